"""Turbulent kinetic energy: a step of its prognostic equation.

Vertical mixing and dissipation are implicit (Gaspar, Gregoris, Lefevre 1990: dissipation is a constant times
energy^(3/2) over a mixing length): a tridiagonal system for each column of water. Horizontal diffusion and advection
with Roe's superbee limiter are explicit, the latter in Adams-Bashforth steps. This is a step of the ocean models pyOM2
and Veros, and the third benchmark of pyhpc-benchmarks.

Arguments on (east, north, up), energy lying on top faces of cells, with two cells of halo on all four sides: velocities
through the faces around an energy's cell, energy, its last tendency by advection, viscosity, mixing length, forcing;
the flux through the surface; the lowest wet level of each column; lengths of cells and cosines of latitude.
Results, on the interior: energy, its tendency by advection, energy added where the surface would drain it below zero.
"""

from __future__ import annotations

from ..ocean import grid_shape, make_bottom, make_metrics, move, water
from ..program import Bar

SECTION = "geophysics"
SIZES, TINY = (4096, 65_536, 1_048_576, 4_194_304), 1024
WRT = (0, 1, 2, 3, 5, 7, 8)
PEERS = ("jax", "numpy", "numba")
BARS = (Bar("value: numba", least=1.0), Bar("value: jax", least=1.0), Bar("gradient: jax", least=1.0),
        Bar("gradient / value", most=4.0))

STEP = 600.0                # s
DISSIPATION = 0.7
DIFFUSIVITY = 2000.0        # horizontal, m2/s
NEW, OLD = 1.6, 0.6         # weights of two tendencies: Adams-Bashforth, a little off centre
TINY_STEP = 1e-20


def inputs(size, draw):
    shape = grid_shape(size)
    u, v, w = (scale * draw.standard_normal(shape) for scale in (0.5, 0.5, 1e-3))
    energy, viscosity = draw.uniform(1e-4, 1e-2, shape), draw.uniform(1e-4, 1e-2, shape)
    tendency, forcing = 1e-8 * draw.standard_normal(shape), 1e-7 * draw.standard_normal(shape)
    return [u, v, w, energy, tendency, viscosity, draw.uniform(1, 50, shape), forcing,
            1e-4 * draw.standard_normal(shape[:2]), make_bottom(shape, draw), *make_metrics(shape, draw)]


def weights(arrays, draw):
    nx, ny, nz = arrays[3].shape
    return [draw.standard_normal((nx - 4, ny - 4, nz)) for _ in range(2)] + [draw.standard_normal((nx - 4, ny - 4))]


def mix_vertically(xp, control, energy, viscosity, length, forcing, surface, wet, dz_t, dz_w):
    """Energy after implicit mixing between levels, with dissipation, forcing and what comes through the surface."""
    exchange = 0.5 * STEP * (viscosity[:, :, 1:] + viscosity[:, :, :-1]) / dz_t[1:] * xp.where(wet[:, :, :-1], 1.0, 0.0)
    thickness = xp.concatenate([dz_w[:-1], 0.5 * dz_w[-1:]])
    below = xp.pad(exchange, ((0, 0), (0, 0), (1, 0))) / thickness
    above = xp.pad(exchange, ((0, 0), (0, 0), (0, 1))) / thickness
    lost = STEP * DISSIPATION * xp.sqrt(xp.maximum(energy, 0.0)) / length
    gained = STEP * (forcing + xp.pad(surface[:, :, None], ((0, 0), (0, 0), (energy.shape[2] - 1, 0))) / thickness)
    diagonal = xp.where(wet, 1.0 + below + above + lost, 1.0)
    right = xp.where(wet, energy + gained, energy)
    return control.linalg.tridiagonal_solve(-below, diagonal, -above, right[..., None])[..., 0], thickness


def limited_flux(xp, velocity, before, step, after, mean, width):
    """Advection through a face by Roe's superbee scheme, from steps of energy there and on both sides."""
    upwind = xp.where(velocity > 0.0, before, after)
    ratio = upwind / xp.where(xp.abs(step) < TINY_STEP, TINY_STEP, step)
    limit = xp.maximum(0.0, xp.maximum(xp.minimum(1.0, 2.0 * ratio), xp.minimum(2.0, ratio)))
    courant = xp.abs(velocity) * STEP / width
    return velocity * mean - 0.5 * xp.abs(velocity) * (1.0 - limit + courant * limit) * step


def horizontal_flux(xp, velocity, energy, mask, width, i, j):
    """Advection through the faces to the east (i = 1) or north (j = 1), from the one that begins the interior on."""
    last = (energy.shape[0] - i, energy.shape[1] - j)
    first, second = energy[:last[0], :last[1]], energy[i:, j:]
    steps = (second - first) * mask[:last[0], :last[1]] * mask[i:, j:]
    mean = 0.5 * (first + second)
    if i:
        before, step, after, mean = steps[:-2, 2:-2], steps[1:-1, 2:-2], steps[2:, 2:-2], mean[1:-1, 2:-2]
        return limited_flux(xp, velocity[1:-2, 2:-2], before, step, after, mean, width)
    before, step, after, mean = steps[2:-2, :-2], steps[2:-2, 1:-1], steps[2:-2, 2:], mean[2:-2, 1:-1]
    return limited_flux(xp, velocity[2:-2, 1:-2], before, step, after, mean, width)


def advection(xp, u, v, w, energy, mask, dx, dy, dz_w, cos_t, cos_u, thickness):
    """The tendency of energy that the flow brings, on the interior."""
    east = horizontal_flux(xp, u, energy, mask, dx[1:-2] * cos_t[:, 2:-2], 1, 0)
    north = horizontal_flux(xp, v * cos_u, energy, mask, dy[:, 1:-2] * cos_t[:, 1:-2], 0, 1)
    inner, inner_mask = move(energy), move(mask)
    steps = xp.pad((inner[:, :, 1:] - inner[:, :, :-1]) * inner_mask[:, :, 1:] * inner_mask[:, :, :-1],
                   ((0, 0), (0, 0), (1, 1)))
    mean = 0.5 * (inner[:, :, 1:] + inner[:, :, :-1])
    top = limited_flux(xp, move(w)[:, :, :-1], steps[:, :, :-2], steps[:, :, 1:-1], steps[:, :, 2:], mean, dz_w[:-1])
    upwards = xp.pad(top, ((0, 0), (0, 0), (1, 1)))
    across = (east[1:] - east[:-1]) / (cos_t * dx)[2:-2, 2:-2] + (north[:, 1:] - north[:, :-1]) / (cos_t * dy)[:, 2:-2]
    return -inner_mask * (across + (upwards[:, :, 1:] - upwards[:, :, :-1]) / thickness)


def diffusion(xp, energy, mask, dx, dy, cos_t, cos_u):
    """The tendency of energy by horizontal mixing, on the interior."""
    a, b = energy[1:-2, 2:-2], energy[2:-1, 2:-2]
    east = (b - a) / (cos_t[:, 2:-2] * dx[1:-2]) * mask[1:-2, 2:-2] * mask[2:-1, 2:-2]
    a, b = energy[2:-2, 1:-2], energy[2:-2, 2:-1]
    north = (b - a) / dy[:, 1:-2] * mask[2:-2, 1:-2] * mask[2:-2, 2:-1] * cos_u[:, 1:-2]
    across = (east[1:] - east[:-1]) / (cos_t * dx)[2:-2, 2:-2] + (north[:, 1:] - north[:, :-1]) / (cos_t * dy)[:, 2:-2]
    return DIFFUSIVITY * move(mask) * across


def program(xp, control, u, v, w, energy, tendency, viscosity, length, forcing, surface, bottom,
            dx, dy, dz_t, dz_w, cos_t, cos_u):
    wet = water(xp, energy, bottom)
    mask = xp.where(wet, 1.0, 0.0)
    inner = [move(field) for field in (energy, viscosity, length, forcing, surface, wet)]
    mixed, thickness = mix_vertically(xp, control, *inner, dz_t, dz_w)
    drained = xp.where(mixed[:, :, -1] < 0.0, -mixed[:, :, -1], 0.0)
    kept = mixed + xp.pad(drained[:, :, None], ((0, 0), (0, 0), (mixed.shape[2] - 1, 0)))
    moved = advection(xp, u, v, w, energy, mask, dx, dy, dz_w, cos_t, cos_u, thickness)
    spread = diffusion(xp, energy, mask, dx, dy, cos_t, cos_u)
    return kept + STEP * (spread + NEW * moved - OLD * move(tendency)), moved, drained * thickness[-1] / STEP
