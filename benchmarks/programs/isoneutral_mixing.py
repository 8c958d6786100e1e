"""Isoneutral mixing: the diffusion tensor along surfaces of constant density.

Tracers in the ocean mix along neutral surfaces. The rotated tensor of small slopes (Redi 1982) is discretised by triads
of gradients, as Griffies et al. 1998 have it: for each face of a cell, four (on top, four in each direction) slopes
from the nearest gradients, tapered where they are steep (Danabasoglu and McWilliams 1995). This is a step of the ocean
models pyOM2 and Veros, and the second benchmark of pyhpc-benchmarks. The equation of state is Vallis' nonlinear one.

Arguments: temperature, salinity and the isoneutral diffusivity on (east, north, up), with two cells of halo on all four
sides; the lowest wet level of each column; lengths of cells, cosines of latitude, depths of levels.
Results, on the interior: the three diagonal elements, then the slopes of the triads of the east, the north and the top
face (there eastwards, then northwards), four each.
"""

from __future__ import annotations

import numpy as np

from ..ocean import grid_shape, make_bottom, make_metrics, move, water
from ..program import Bar

SECTION = "geophysics"
SIZES, TINY = (4096, 65_536, 1_048_576, 4_194_304), 512
WRT = (0, 1, 2)
PEERS = ("jax", "numpy", "numba")
BARS = (Bar("value: numba", least=1.0), Bar("value: jax", least=1.0), Bar("gradient: jax", least=1.0),
        Bar("gradient / value", most=4.0))

RHO_0, THETA_0, GRAVITY = 1024.0, 283.0 - 273.15, 9.81
EXPANSION, EXPANSION_T, COMPRESSION, CONTRACTION = 1.67e-4, 1e-5, 1.1e-8, 0.78e-3
STEEP, WIDTH = 1e-3, 1e-3           # slopes where the taper is a half, and how fast it falls
LEAST = 50.0                        # of the horizontal diffusivity, m2/s
TINY_SLOPE = 1e-20


def inputs(size, draw):
    shape = grid_shape(size)
    height = np.arange(shape[2])
    temperature = 10 + 10 * height / shape[2] + 0.3 * draw.standard_normal(shape)
    salinity = 35 - 0.5 * height / shape[2] + 0.02 * draw.standard_normal(shape)
    metrics = make_metrics(shape, draw)
    return [temperature, salinity, draw.uniform(200, 1500, shape), make_bottom(shape, draw), *metrics,
            np.cumsum(metrics[2][::-1])[::-1]]


def weights(arrays, draw):
    nx, ny, nz = arrays[0].shape
    return [draw.standard_normal((nx - 4, ny - 4, nz)) for _ in range(19)]


def program(xp, control, temperature, salinity, k_iso, bottom, dx, dy, dz_t, dz_w, cos_t, cos_u, depth):
    mask = xp.where(water(xp, temperature, bottom), 1.0, 0.0)
    expansion = EXPANSION_T * (temperature - THETA_0) + EXPANSION * (1 - COMPRESSION * GRAVITY * RHO_0 * depth)
    rho_t, rho_s = -RHO_0 * expansion * mask, RHO_0 * CONTRACTION * mask

    mask_east, mask_north, mask_top = mask[1:] * mask[:-1], mask[:, 1:] * mask[:, :-1], mask[:, :, 1:] * mask[:, :, :-1]
    up, both_ends = ((0, 0), (0, 0), (0, 1)), ((0, 0), (0, 0), (1, 1))

    def gradients(field):
        east = mask_east * (field[1:] - field[:-1]) / (0.5 * (dx[1:] + dx[:-1]) * cos_t)
        north = mask_north * (field[:, 1:] - field[:, :-1]) / (0.5 * (dy[:, 1:] + dy[:, :-1]))
        return east, north, xp.pad(mask_top * (field[:, :, 1:] - field[:, :, :-1]) / dz_w[:-1], both_ends)

    east_t, north_t, top_t = gradients(temperature)
    east_s, north_s, top_s = gradients(salinity)

    def rise(i, j, k):
        """Vertical gradient of density by the coefficients of a column, above its cells (k = 1) or below (0)."""
        here = slice(k, top_t.shape[2] - 1 + k)
        return move(rho_t, i, j) * move(top_t, i, j)[:, :, here] + move(rho_s, i, j) * move(top_s, i, j)[:, :, here]

    def tapered(across, upwards):
        """The slope of a triad and its taper."""
        slope = -across / (xp.minimum(upwards, 0.0) - TINY_SLOPE)
        return slope, 0.5 * (1.0 + xp.tanh((STEEP - xp.abs(slope)) / WIDTH))

    k_level = 0.5 * (k_iso + xp.concatenate([k_iso[:, :, :1], k_iso[:, :, :-1]], axis=2))
    dz_face = xp.pad(dz_w, ((1, 0),))

    def side(i, j, gradient_t, gradient_s, open_face):
        """Diagonal element and slopes on the face to the east (i = 1) or north (j = 1)."""
        nz = k_iso.shape[2]
        k_face, total, slopes = 0.5 * (move(k_level) + move(k_level, i, j)), 0.0, []
        for k in (0, 1):
            for ahead in (0, 1):
                a, b = ahead * i, ahead * j
                across = move(rho_t, a, b) * gradient_t + move(rho_s, a, b) * gradient_s
                slope, taper = tapered(across, rise(a, b, k))
                total = total + dz_face[k:nz + k] * open_face * xp.maximum(k_face * taper, LEAST)
                slopes.append(taper * slope * open_face)
        return total / (4.0 * dz_t), slopes

    k_11, slopes_east = side(1, 0, east_t[2:-1, 2:-2], east_s[2:-1, 2:-2], mask_east[2:-1, 2:-2])
    k_22, slopes_north = side(0, 1, north_t[2:-2, 2:-1], north_s[2:-2, 2:-1], mask_north[2:-2, 2:-1])

    def top(cells, faces_t, faces_s, lengths):
        """The part of one direction in the vertical element, and slopes, on the top faces."""
        total, slopes = 0.0, []
        for k in (0, 1):
            here = slice(k, k_iso.shape[2] - 1 + k)
            at_t, at_s = move(rho_t)[:, :, here], move(rho_s)[:, :, here]
            upwards = at_t * move(top_t)[:, :, 1:-1] + at_s * move(top_s)[:, :, 1:-1]
            for face_t, face_s, length in zip(faces_t, faces_s, lengths, strict=True):
                slope, taper = tapered(at_t * face_t[:, :, here] + at_s * face_s[:, :, here], upwards)
                total = total + length * k_top * taper * slope * slope * open_top
                slopes.append(xp.pad(taper * slope * open_top, up))
        return total / (4.0 * cells), slopes

    k_top, open_top = move(k_iso)[:, :, :-1], move(mask_top)
    k_33, slopes_top_east = top(dx[2:-2], (east_t[1:-2, 2:-2], east_t[2:-1, 2:-2]),
                                (east_s[1:-2, 2:-2], east_s[2:-1, 2:-2]), (dx[1:-3], dx[2:-2]))
    widths = dy[:, 1:-3] * cos_u[:, 1:-3], dy[:, 2:-2] * cos_u[:, 2:-2]
    k_33_north, slopes_top_north = top(dy[:, 2:-2] * cos_t[:, 2:-2], (north_t[2:-2, 1:-2], north_t[2:-2, 2:-1]),
                                       (north_s[2:-2, 1:-2], north_s[2:-2, 2:-1]), widths)
    return k_11, k_22, xp.pad(k_33 + k_33_north, up), *slopes_east, *slopes_north, *slopes_top_east, *slopes_top_north
