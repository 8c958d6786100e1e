"""Differential equations: orders of convergence, SciPy's solutions, derivatives of both modes, trajectories, noise."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from target_contract import assert_agree, expected, job_of, run_on_cpu

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import run_program  # noqa: E402
from expressions import inputs_of  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.program import Kernel, Loop  # noqa: E402
from pullback.dsl import nest  # noqa: E402
from pullback.dsl.ode_tableaus import TABLEAUS  # noqa: E402

rng = np.random.default_rng(5)
PREY = np.array([1.1, 0.4, 0.1, 0.4])
START = np.array([10.0, 5.0])
WAYS = {"rk4": {"steps": 30}, "dopri5": {"rtol": 1e-9, "atol": 1e-11}, "tsit5": {"rtol": 1e-9, "atol": 1e-11}}


def lotka_volterra(t, y, p):
    return pb.stack([p[0] * y[0] - p[1] * y[0] * y[1], p[2] * y[0] * y[1] - p[3] * y[1]])


def by_scipy(f, y0, t, **words):
    words = {"rtol": 1e-12, "atol": 1e-12, "method": "DOP853", **words}
    return solve_ivp(f, (t[0], t[-1]), y0, t_eval=t, **words).y.T


def pendulum(t, y):
    """(q, p) with Hamiltonian p**2/2 - cos q."""
    q, p = y
    return p, -pb.sin(q)


# ---- values -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", WAYS)
def test_lotka_volterra_as_scipy(method):
    t = np.linspace(0.0, 6.0, 7)
    expected = by_scipy(lambda t, y: [PREY[0] * y[0] - PREY[1] * y[0] * y[1], PREY[2] * y[0] * y[1] - PREY[3] * y[1]],
                        START, t)
    f = pb.compile(lambda y0, t, p: pb.ode.solve(lotka_volterra, y0, t, method, (p,), **WAYS[method]))
    np.testing.assert_allclose(f(START, t, PREY), expected, rtol=2e-7)
    np.testing.assert_allclose(f(START, t[[0, 2, 6]], PREY), expected[[0, 2, 6]], rtol=5e-5 if method == "rk4" else
                               2e-7)
    back = pb.ode.solve(lotka_volterra, expected[-1], t[::-1], method, (PREY,), **WAYS[method])
    np.testing.assert_allclose(back, expected[::-1], rtol=1e-6)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4), ("leapfrog", 2)])
def test_the_order_of_equal_steps(method, order):
    def last(steps):
        q, p = pb.ode.solve(pendulum, (1.0, 0.5), [0.0, 3.0], method, steps=steps)
        return np.array([q[-1], p[-1]])

    exact = by_scipy(lambda t, y: [y[1], -np.sin(y[0])], [1.0, 0.5], [0.0, 3.0])[-1]
    coarse, fine = (np.abs(last(n) - exact).max() for n in (40, 80))
    assert abs(np.log2(coarse / fine) - order) < 0.25


def test_names_that_other_libraries_use():
    by_name = pb.ode.solve(pendulum, (1.0, 0.5), [0.0, 3.0], "RK45")
    np.testing.assert_array_equal(by_name[0], pb.ode.solve(pendulum, (1.0, 0.5), [0.0, 3.0], "dopri5")[0])


def test_a_field_that_names_the_state_first_gets_it_first():
    t, k = np.linspace(0.0, 2.0, 5), 0.7
    expected = pb.ode.solve(lambda t, y, k: -k * y * t, 1.0, t, "rk4", (k,), steps=4)
    np.testing.assert_array_equal(pb.ode.solve(lambda y, t, k: -k * y * t, 1.0, t, "rk4", (k,), steps=4), expected)
    np.testing.assert_allclose(expected, np.exp(-k * t**2 / 2), rtol=1e-4)
    paths = [pb.ode.euler_maruyama(drift, spread, 1.0, t, pb.random.key(3)) for drift, spread in (
        (lambda t, y: -y * t, lambda t, y: 0.1 * t), (lambda y, t: -y * t, lambda y, time: 0.1 * time))]
    np.testing.assert_array_equal(*paths)


@pytest.mark.parametrize("method", TABLEAUS)
def test_the_coefficients_satisfy_the_conditions_of_order_five(method):
    tableau = TABLEAUS[method]
    a = np.zeros((7, 7))
    for i, row in enumerate(tableau.stages):
        a[i, : len(row)] = row
    c, b = np.array(tableau.nodes), a[-1]
    np.testing.assert_allclose(a.sum(1), c, atol=1e-14)
    hat = b - np.array(tableau.error)
    ac, ac2 = a @ c, a @ c**2
    trees = [(np.ones(7), 1), (c, 2), (c**2, 3), (ac, 6), (c**3, 4), (c * ac, 8), (ac2, 12), (a @ ac, 24),
             (c**4, 5), (c**2 * ac, 10), (c * ac2, 15), (c * (a @ ac), 30), (ac**2, 20), (a @ c**3, 20),
             (a @ (c * ac), 40), (a @ ac2, 60), (a @ a @ ac, 120)]
    for k, (tree, density) in enumerate(trees):
        assert abs(b @ tree - 1 / density) < 1e-14
        if k < 8:
            assert abs(abs(hat @ tree) - 1 / density) < 1e-14


@pytest.mark.parametrize("method", TABLEAUS)
def test_the_error_follows_the_tolerance(method):
    t = np.array([0.0, 10.0])
    exact = by_scipy(lambda t, y: [y[1], -np.sin(y[0])], [1.0, 0.5], t)[-1]
    for rtol in (1e-4, 1e-7, 1e-10):
        q, p = pb.ode.solve(pendulum, (1.0, 0.5), t, method, rtol=rtol, atol=rtol)
        assert 1e-3 * rtol < abs(q[-1] - exact[0]) + abs(p[-1] - exact[1]) < 200 * rtol


def test_the_step_sizes_are_those_of_scipy():
    """With coarse tolerances any other sequence of steps would differ in the fifth digit."""
    reference = solve_ivp(lambda t, y: [y[1], -np.sin(y[0])], (0.0, 8.0), [1.0, 0.5], "RK45", rtol=1e-4, atol=1e-6)
    q, p = pb.ode.solve(pendulum, (1.0, 0.5), [0.0, 8.0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose([q[-1], p[-1]], reference.y[:, -1], rtol=1e-9)


def test_a_symplectic_method_keeps_the_energy():
    q, p = pb.ode.solve(pendulum, (1.0, 0.0), np.linspace(0, 200, 41), "leapfrog", steps=50)
    energy = 0.5 * p**2 - np.cos(q)
    assert np.abs(energy - energy[0]).max() < 2e-3 and abs(energy[-10:].mean() - energy[:10].mean()) < 2e-4


def test_times_that_drive_the_system_and_nests_and_float32():
    def driven(t, y, a):
        return {"x": -y["x"] + pb.cos(t) * a["gain"], "n": {"v": 2.0 * t + 0.0 * y["n"]["v"]}}

    t = [0.0, 0.5, 2.0]
    y0 = {"x": np.array([1.0, 2.0]), "n": {"v": 0}}
    for method in ("rk4", "dopri5"):
        y = pb.ode.solve(driven, y0, t, method, ({"gain": 3.0},), steps=40)
        np.testing.assert_allclose(y["n"]["v"], np.square(t), rtol=1e-9)
        exact = [(x0 - 1.5) * np.exp(-2.0) + 1.5 * (np.cos(2.0) + np.sin(2.0)) for x0 in (1.0, 2.0)]
        np.testing.assert_allclose(y["x"][-1], exact, rtol=1e-6)
    single = pb.ode.solve(lambda t, y: -y, np.ones(3, np.float32), t, "tsit5", rtol=1e-4)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single[-1], np.exp(-2.0), rtol=1e-3)
    np.testing.assert_array_equal(pb.ode.solve(lambda t, y: -y, 2.0, [1.0]), [2.0])


def test_variables_without_types():
    k, y0, t = pb.Var("k"), pb.Var("y0"), pb.Var("t")
    for method, words in (("rk4", {"steps": 20}), ("dopri5", {"rtol": 1e-8})):
        path = pb.ode.solve(lambda t, y: -k * y, y0, t, method, **words)
        f = pb.compile({"path": path, "slope": pb.grad(pb.sum(path), k)})
        times = np.array([0.0, 0.3, 1.0])
        got = f(k=1.5, y0=np.array([1.0, 2.0]), t=times)
        np.testing.assert_allclose(got["path"], np.exp(-1.5 * times)[:, None] * [1.0, 2.0], rtol=1e-6)
        np.testing.assert_allclose(got["slope"], np.sum(-times * np.exp(-1.5 * times)) * 3.0, rtol=1e-6)


# ---- trajectories -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", TABLEAUS)
def test_each_trajectory_has_steps_of_its_own(method):
    """What a trajectory gives does not depend on the others, though their stiffness differs a thousandfold."""
    rates, y0 = np.array([0.1, 1.0, 40.0]), rng.random((3, 2)) + 0.5

    def decay(t, y, k):
        return -k[..., None] * y * y + pb.sin(t)[..., None]

    t = np.array([0.0, 0.7, 2.0])
    together = pb.ode.solve(decay, y0, t, method, (rates,), rtol=1e-5, trajectories=1)
    alone = [pb.ode.solve(decay, y0[[i]], t, method, (rates[[i]],), rtol=1e-5, trajectories=1) for i in range(3)]
    np.testing.assert_allclose(together, np.concatenate(alone, axis=1), rtol=1e-12)
    for i in range(3):
        expected = by_scipy(lambda t, y, k=rates[i]: -k * y * y + np.sin(t), y0[i], t)
        np.testing.assert_allclose(together[:, i], expected, rtol=1e-4)

    def loss(y0):
        return pb.sum(pb.ode.solve(decay, y0, t, method, (rates,), rtol=1e-5, trajectories=1)[-1])

    gradient = pb.grad(loss)(y0)
    h = 1e-5
    bump = np.zeros((3, 2))
    bump[1, 0] = h
    np.testing.assert_allclose(gradient[1, 0], (loss(y0 + bump) - loss(y0 - bump)) / (2 * h), rtol=1e-3)


def test_a_state_that_leaves_the_domain_is_stepped_more_carefully():
    """A trial step too far gives NaN: it is rejected, and the gradient has none."""
    def f(y0):
        return pb.ode.solve(lambda t, y: -pb.sqrt(y), y0, [0.0, 1.7], first_step=4.0, rtol=1e-8)[-1]

    value, gradient = pb.value_and_grad(f)(1.0)
    np.testing.assert_allclose(value, (1 - 0.85) ** 2, rtol=1e-6)
    np.testing.assert_allclose(gradient, 0.15, rtol=1e-5)


# ---- derivatives ------------------------------------------------------------------------------------------------
def leapfrog_loss(y0, p, end):
    q, v = pb.ode.solve(lambda t, y: (y[1], -p[0] * pb.sin(y[0]) - p[1] * y[0]), (y0[0], y0[1]),
                        pb.stack([0.0, 0.5 * end, end]), "leapfrog", steps=25)
    return pb.sum(q**2 + v * q)


def runge_kutta_loss(method):
    def loss(y0, p, end):
        t = pb.stack([0.0, 0.5 * end, end])
        return pb.sum(pb.ode.solve(lotka_volterra, y0, t, method, (p,), **WAYS[method]) ** 2)

    return loss


LOSSES = {**{m: runge_kutta_loss(m) for m in WAYS}, "leapfrog": leapfrog_loss}


@pytest.mark.parametrize("method", LOSSES)
def test_gradients_in_state_parameters_and_end_time(method):
    """The two modes agree, and the remainder of Taylor's formula falls as the square of the distance."""
    loss, at = LOSSES[method], (START / 10, PREY, 2.0)
    along = (rng.normal(size=2), rng.normal(size=4), 0.7)

    def everything(*x):
        return pb.value_and_grad(loss, argnums=(0, 1, 2))(*x), pb.jvp(loss, x, along)[1]

    compiled = pb.compile(everything)
    (value, gradient), forward = compiled(*at)
    slope = sum(np.sum(g * v) for g, v in zip(gradient, along, strict=True))
    np.testing.assert_allclose(slope, forward, rtol=1e-10)
    rest = []
    for h in (2e-2, 2e-3):
        (moved, _), _ = compiled(*(x + h * v for x, v in zip(at, along, strict=True)))
        rest.append(moved - value - h * slope)
    assert 70 < rest[0] / rest[1] < 140


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_second_derivatives(method):
    words = {"rk4": {"steps": 40}, "dopri5": {"rtol": 1e-10}}[method]

    def last(k):
        return pb.ode.solve(lambda t, y: -k * y, 1.0, [0.0, 1.5], method, **words)[-1]

    np.testing.assert_allclose(pb.grad(pb.grad(last))(0.8), 2.25 * np.exp(-1.2), rtol=1e-6)


def test_the_derivative_at_the_end_is_the_field():
    def last(end):
        return pb.ode.solve(lambda t, y: pb.cos(t) * y, 1.0, pb.stack([0.0, end]), "dopri5", rtol=1e-9)[-1]

    np.testing.assert_allclose(pb.grad(last)(1.3), np.cos(1.3) * np.exp(np.sin(1.3)), rtol=1e-7)


# ---- noise ------------------------------------------------------------------------------------------------------
def brownian(s0, drift, volatility, key, members=4000, steps=50, t=(0.0, 0.5, 1.0)):
    start = s0 * pb.ones(members)
    return pb.ode.euler_maruyama(lambda t, s: drift * s, lambda t, s: volatility * s, start, list(t), key, steps=steps)


def test_geometric_brownian_motion_has_its_moments_and_sensitivities():
    def mean(s0, drift, volatility):
        return pb.mean(brownian(s0, drift, volatility, pb.random.key(11)), axis=1)[-1]

    def spread(s0, drift, volatility):
        return pb.var(brownian(s0, drift, volatility, pb.random.key(11))[-1])

    value, slopes = pb.value_and_grad(mean, argnums=(0, 1, 2))(2.0, 0.3, 0.4)
    exact = 2 * np.exp(0.3)
    error = exact * np.sqrt(np.expm1(0.16) / 4000)
    assert abs(value - exact) < 4 * error + 0.01
    np.testing.assert_allclose(slopes[0], value / 2.0, rtol=1e-10)
    np.testing.assert_allclose(slopes[1], value, rtol=0.02)
    h = 1e-5
    f = pb.compile(mean)
    np.testing.assert_allclose(slopes[2], (f(2.0, 0.3, 0.4 + h) - f(2.0, 0.3, 0.4 - h)) / (2 * h), rtol=1e-5, atol=1e-7)
    assert abs(pb.compile(spread)(2.0, 0.3, 0.4) / (exact**2 * np.expm1(0.16)) - 1) < 0.15


def test_a_path_is_the_sum_of_its_steps():
    key, y0 = pb.random.key(4), {"a": np.ones(3), "b": 0.5}
    t = np.linspace(0.0, 1.0, 5)

    def drift(t, y):
        return {"a": -y["a"] + t, "b": y["b"] * 0.2}

    def diffusion(t, y):
        return {"a": 0.1 * y["a"], "b": 0.3}

    path = pb.ode.euler_maruyama(drift, diffusion, y0, t, key, steps=2)
    a, b, h = np.ones(3), 0.5, 0.125
    for n in range(8):
        step = pb.random.fold_in(key, n)
        noise = [np.asarray(pb.random.normal(pb.random.fold_in(step, j), s)) for j, s in ((0, 3), (1, ()))]
        a, b = (a + h * (-a + n * h) + 0.1 * a * np.sqrt(h) * noise[0], b + h * b * 0.2 + 0.3 * np.sqrt(h) * noise[1])
        if n % 2:
            np.testing.assert_allclose(path["a"][n // 2 + 1], a, rtol=1e-12)
            np.testing.assert_allclose(path["b"][n // 2 + 1], b, rtol=1e-12)


# ---- every target ----------------------------------------------------------------------------------------------
def ensemble(method, **words):
    """Value and gradients of a loss over seven pairs of prey and predator."""
    def loss(x, v, p):
        x, v = pb.ode.solve(lambda t, y, p: tuple(pb.unstack(lotka_volterra(t, pb.stack(y), p))), (x, v),
                            [0.0, 1.0, 2.0], method, (p,), **words)
        return pb.sum(x[-1] ** 2) + pb.sum(v[1:])

    return lambda x, v, p: tuple(nest.leaves(pb.value_and_grad(loss, argnums=(0, 1, 2))(x, v, p)))


@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
@pytest.mark.parametrize(("method", "words"), [("rk4", {"steps": 4}), ("tsit5", {"trajectories": 1, "max_steps": 64})])
def test_an_ensemble_and_its_gradients_as_cuda_text(method, words):
    arrays = [rng.uniform(5, 15, 7), rng.uniform(3, 7, 7), PREY]
    job = job_of(ensemble(method, **words), arrays)
    assert_agree(run_on_cpu(job), expected(job))
    assert_agree(run_program(job[1], *inputs_of(job[0], arrays)), expected(job))


def test_a_step_of_an_ensemble_is_one_kernel():
    """Forward: one kernel inside the loop over steps, however many members there are; the last two are the sums."""
    def last(x, v, p):
        path = pb.ode.solve(lambda t, y, p: (p[0] * y[0] - p[1] * y[0] * y[1], p[2] * y[0] * y[1] - p[3] * y[1]),
                            (x, v), [0.0, 1.0], "rk4", (p,), steps=100)
        return path[0][-1], path[1][-1]

    program = pb.compile(last).lower(np.ones(50), np.ones(50), PREY).program
    (loop,) = [s for s in program.steps if isinstance(s, Loop)]
    assert sum(isinstance(s, Kernel) for s in loop.steps) == 1


# ---- words ------------------------------------------------------------------------------------------------------
def test_what_cannot_be_solved_is_refused_with_words():
    def decay(t, y):
        return -y

    for call, error, words in (
        (lambda: pb.ode.solve(decay, 1.0, [0.0, 1.0], "lsoda"), pb.PullbackError, "'dopri5', 'tsit5', 'euler'"),
        (lambda: pb.ode.solve(decay, 1.0, 2.0), pb.ShapeError, r"t=\[0\.0, 1\.0\]"),
        (lambda: pb.ode.solve(decay, 1.0, [0.0, 1.0], trajectories=1), pb.ShapeError, "trajectories=1"),
        (lambda: pb.ode.solve(lambda t, y: y[0], (1.0, 2.0), [0.0, 1.0]), pb.PullbackError, "one derivative for each"),
        (lambda: pb.ode.solve(decay, 1.0, [0.0, 1.0], "leapfrog"), pb.PullbackError, r"\(dq/dt, dp/dt\)"),
        (lambda: pb.ode.solve(3, 1.0, [0.0, 1.0]), TypeError, "takes a function"),
        (lambda: pb.ode.solve(lambda t, y: y * y, 1.0, [0.0, 2.0]), IndexError, "max_steps=4096"),
    ):
        with pytest.raises(error, match=words):
            call()
