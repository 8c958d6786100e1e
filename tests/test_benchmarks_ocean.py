"""The geophysical models of benchmarks/ are held to what is known of them: published densities, limits, budgets."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import pullback as pb

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def benchmarks():
    sys.path.append(str(ROOT))
    yield
    sys.path.remove(str(ROOT))


def load(name):
    return importlib.import_module(f"benchmarks.programs.{name}")


def run(module, *arrays):
    return pb.compile(lambda *args: module.program(pb, pb, *args))(*arrays)


def test_density_is_the_published_one():
    """The check values of gsw_rho in version 3.01 of the Gibbs SeaWater toolbox, which has the 48 terms."""
    salinity = np.array([34.7118, 34.8915, 35.0256, 34.8472, 34.7366, 34.7324])
    temperature = np.array([28.8099, 28.4392, 22.7862, 10.2262, 6.8272, 4.3236])
    pressure = np.array([10.0, 50, 125, 250, 600, 1000])
    expected = [1021.840446566116, 1022.262985174925, 1024.427770449335,
                1027.790499661129, 1029.837753532120, 1032.002083264508]
    np.testing.assert_allclose(run(load("equation_of_state"), salinity, temperature, pressure), expected, rtol=1e-14)


NX, NY, NZ = 9, 10, 6


def make_box(slope_east=0.0, slope_north=0.0):
    """Even cells of 10 km x 12 km x 20 m, all water, temperature linear: its surfaces have these slopes."""
    east, north, up = np.meshgrid(10e3 * np.arange(NX), 12e3 * np.arange(NY), 20.0 * np.arange(NZ), indexing="ij")
    temperature = 5.0 + 0.02 * (up - slope_east * east - slope_north * north)
    metrics = [np.full((NX, 1, 1), 10e3), np.full((1, NY, 1), 12e3), np.full(NZ, 20.0), np.full(NZ, 20.0),
               np.ones((1, NY, 1)), np.ones((1, NY, 1))]
    bottom = np.zeros((NX, NY), int)
    return [temperature, np.full_like(temperature, 35.0), np.full_like(temperature, 1000.0), bottom, *metrics,
            np.zeros(NZ)]


def test_flat_surfaces_mix_along_the_horizontal():
    module = load("isoneutral_mixing")
    k_11, k_22, k_33, *slopes = run(module, *make_box())
    inside = slice(1, NZ - 1)                   # at the surface there is no gradient above
    full = 1000.0 * 0.5 * (1 + np.tanh(1.0))    # the taper of a level surface
    np.testing.assert_allclose(k_11[:, :, inside], full)
    np.testing.assert_allclose(k_22[:, :, inside], full)
    assert not np.any(k_33) and not any(np.any(s) for s in slopes)


def test_the_tensor_of_an_even_slope_is_that_of_redi():
    """K11 = K22 = K, K13 = K31 = K sx, K23 = K32 = K sy, K33 = K (sx^2 + sy^2), each with its taper."""
    module = load("isoneutral_mixing")
    slope_x, slope_y = 4e-4, -7e-4
    k_11, k_22, k_33, *slopes = run(module, *make_box(slope_x, slope_y))
    east, north, top_east, top_north = (np.stack(slopes[k:k + 4]) for k in (0, 4, 8, 12))

    def taper(slope):
        return 0.5 * (1 + np.tanh((module.STEEP - abs(slope)) / module.WIDTH))

    inside, below = slice(1, NZ - 1), slice(0, NZ - 1)
    np.testing.assert_allclose(k_11[:, :, inside], 1000 * taper(slope_x), rtol=1e-8)
    np.testing.assert_allclose(k_22[:, :, inside], 1000 * taper(slope_y), rtol=1e-8)
    for sides, tops, slope in ((east, top_east, slope_x), (north, top_north, slope_y)):
        np.testing.assert_allclose(sides[..., inside], slope * taper(slope), rtol=1e-8)
        np.testing.assert_allclose(tops[..., below], slope * taper(slope), rtol=1e-8)
    vertical = 1000 * (slope_x**2 * taper(slope_x) + slope_y**2 * taper(slope_y))
    np.testing.assert_allclose(k_33[:, :, below], vertical, rtol=1e-8)


def test_steep_surfaces_and_land_mix_no_more_than_the_least():
    module = load("isoneutral_mixing")
    arrays = make_box(0.05, 0.0)
    k_11, k_22, k_33, *slopes = run(module, *arrays)
    np.testing.assert_allclose(k_11[:, :, 1:-1], module.LEAST)
    assert np.all(k_33 < 1e-20) and all(np.all(np.abs(s) < 1e-20) for s in slopes[:4])
    arrays[3][...] = NZ
    assert not any(np.any(field) for field in run(module, *arrays))


def make_energy(bottom):
    draw = np.random.default_rng(2)
    shape = NX, NY, NZ
    still = np.zeros(shape)
    metrics = [draw.uniform(8e3, 12e3, (NX, 1, 1)), draw.uniform(8e3, 12e3, (1, NY, 1)), draw.uniform(10, 30, NZ),
               draw.uniform(10, 30, NZ), draw.uniform(0.5, 1, (1, NY, 1)), draw.uniform(0.5, 1, (1, NY, 1))]
    return [still, still, still, draw.uniform(1e-3, 1e-2, shape), still, draw.uniform(1e-3, 1e-1, shape),
            np.full(shape, np.inf), still, np.zeros(shape[:2]), bottom, *metrics]


def thickness_of(arrays):
    return np.append(arrays[13][:-1], 0.5 * arrays[13][-1])


@pytest.mark.parametrize("lowest", [0, 2])
def test_vertical_mixing_keeps_the_energy_of_each_column(lowest):
    """No flow, no dissipation (an infinite length), and nothing through the surface."""
    module = load("turbulent_kinetic_energy")
    arrays = make_energy(np.full((NX, NY), lowest))
    arrays[3] = np.broadcast_to(arrays[3][:1, :1], (NX, NY, NZ)).copy()     # even: nothing spreads
    energy, moved, added = run(module, *arrays)
    before = arrays[3][2:-2, 2:-2]
    assert not np.any(moved) and not np.any(added)
    assert np.max(np.abs(energy - before)) > 1e-4
    np.testing.assert_array_equal(energy[:, :, :lowest], before[:, :, :lowest])
    wet = slice(lowest, NZ)
    np.testing.assert_allclose((energy * thickness_of(arrays))[:, :, wet].sum(-1),
                               (before * thickness_of(arrays))[:, :, wet].sum(-1), rtol=1e-12)


def test_surface_flux_and_dissipation_are_in_the_budget():
    module = load("turbulent_kinetic_energy")
    arrays = make_energy(np.zeros((NX, NY), int))
    arrays[3] = np.broadcast_to(arrays[3][:1, :1], (NX, NY, NZ)).copy()
    arrays[6], arrays[8] = np.full((NX, NY, NZ), 20.0), np.full((NX, NY), 1e-5)
    energy, _, _ = run(module, *arrays)
    before, thick = arrays[3][2:-2, 2:-2], thickness_of(arrays)
    lost = module.STEP * module.DISSIPATION * np.sqrt(before) / 20.0 * energy
    np.testing.assert_allclose(((energy - before + lost) * thick).sum(-1), module.STEP * 1e-5, rtol=1e-10)


def test_the_flow_and_horizontal_mixing_move_energy_without_loss():
    """Walls all around, beyond the halo: what leaves one cell enters the next."""
    module = load("turbulent_kinetic_energy")
    bottom = np.full((NX, NY), NZ)
    bottom[2:-2, 2:-2] = 0
    arrays = make_energy(bottom)
    draw = np.random.default_rng(3)
    shape = NX, NY, NZ
    u, v, w = 0.3 * draw.standard_normal(shape), 0.3 * draw.standard_normal(shape), 1e-3 * draw.standard_normal(shape)
    u[:2], u[-3:], v[:, :2], v[:, -3:] = 0, 0, 0, 0
    u[1], v[:, 1] = 0, 0
    arrays[:3] = u, v, w
    energy, moved, added = run(module, *arrays)
    dx, dy, cos_t = arrays[10], arrays[11], arrays[14]
    volume = (dx * dy * cos_t)[2:-2, 2:-2] * thickness_of(arrays)
    assert np.max(np.abs(moved)) > 1e-9
    assert abs((moved * volume).sum()) < 1e-12 * (np.abs(moved) * volume).sum()
    np.testing.assert_allclose((energy * volume).sum(), (arrays[3][2:-2, 2:-2] * volume).sum(), rtol=1e-12)


def test_a_surface_that_drains_energy_stops_at_zero():
    module = load("turbulent_kinetic_energy")
    arrays = make_energy(np.zeros((NX, NY), int))
    arrays[5] = np.full((NX, NY, NZ), 1e-9)
    arrays[3] = np.full((NX, NY, NZ), 1e-3)
    arrays[8] = np.full((NX, NY), -1e-3)
    energy, _, added = run(module, *arrays)
    assert np.all(energy[:, :, -1] == 0) and np.all(added > 0)
    top = thickness_of(arrays)[-1]
    np.testing.assert_allclose(added, 1e-3 - 1e-3 * top / module.STEP, rtol=1e-3)
