"""Fixed points and roots: values, and derivatives by the implicit function theorem, against closed forms and SciPy."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize
from target_contract import assert_agree, expected, job_of, run_on_cpu

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import run_program  # noqa: E402
from expressions import inputs_of  # noqa: E402

import pullback as pb  # noqa: E402

rng = np.random.default_rng(3)
A = np.array([[0.3, -0.2, 0.1], [0.15, 0.25, -0.1], [0.0, 0.2, -0.3]])
B = np.array([0.5, -1.0, 0.7])


def kepler(mean, e):
    """The eccentric anomaly E with E - e sin E = mean."""
    return pb.root(lambda x: x - e * pb.sin(x) - mean, mean)


def equilibrium(a, b):
    return pb.fixed_point(lambda z: pb.tanh(a @ z + b), np.zeros(3))


def equilibrium_slopes(a, b):
    """The solution and its Jacobian in b, by NumPy."""
    z = optimize.root(lambda z: z - np.tanh(a @ z + b), np.zeros(3), tol=1e-14).x
    s = 1 - z**2
    return z, np.linalg.solve(np.eye(3) - s[:, None] * a, np.diag(s))


# ---- values -----------------------------------------------------------------------------------------------------
def test_fixed_point_of_a_contraction():
    z, _ = equilibrium_slopes(A, B)
    np.testing.assert_allclose(equilibrium(A, B), z, rtol=1e-9)
    np.testing.assert_allclose(pb.fixed_point(lambda x: pb.cos(x), 1.0, tol=1e-14), 0.7390851332151607, rtol=1e-13)


def test_arguments_follow_the_start_or_come_as_args():
    f = lambda x, a, b: 0.5 * (x + a / x) + b  # noqa: E731
    assert pb.fixed_point(f, 1.0, 2.0, 0.0) == pytest.approx(np.sqrt(2))
    assert pb.fixed_point(f, 1.0, args=(2.0, 0.0)) == pytest.approx(np.sqrt(2))
    assert pb.root(lambda x, p: x * x - p["a"], 1.0, {"a": 9.0}) == pytest.approx(3)
    assert pb.root(lambda x, a: x * x - a, 1.0, args=9.0) == pytest.approx(3)


@pytest.mark.parametrize("method", ["newton", "chord"])
def test_root_as_scipy(method):
    def f(x, np=pb):
        return np.stack([x[0] + 0.5 * (x[0] - x[1]) ** 3 - 1.0, 0.5 * (x[1] - x[0]) ** 3 + x[1]])

    found = pb.root(lambda x: f(x), np.zeros(2), method=method)
    np.testing.assert_allclose(found, optimize.root(lambda x: f(x, np), [0, 0], tol=1e-13).x, rtol=1e-9)


def test_newton_halves_steps_that_lead_away():
    """From 3 the full step of arctan goes ever further, and that of log leaves its domain."""
    assert pb.root(lambda x: pb.arctan(x), 3.0) == pytest.approx(0.0, abs=1e-12)
    assert pb.root(lambda x: pb.log(x), 5.0) == pytest.approx(1.0)


def test_a_start_that_is_a_solution_with_a_singular_matrix():
    assert pb.root(lambda x: x**3, 0.0) == 0.0
    assert abs(pb.root(lambda x: x**3, 1.0, tol=1e-5)) < 1e-4


def test_nests_and_integers():
    def f(u):
        return {"x": u["x"] + u["y"].sum() - 3.0, "y": u["y"] - u["x"] * np.array([0.5, 0.25])}

    found = pb.root(f, {"x": 1, "y": np.array([1, 1])})
    assert found["x"] == pytest.approx(3 / 1.75)
    np.testing.assert_allclose(found["y"], found["x"] * np.array([0.5, 0.25]))


def test_float32_stays():
    x0 = np.ones(3, np.float32)
    found = pb.root(lambda x, a: x**3 - a, x0, np.array([1, 8, 27], np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [1, 2, 3], rtol=1e-6)
    assert pb.root(lambda x, a: x**3 - a, 1.0, np.float32(8)).dtype == np.float32
    wide = pb.root(lambda x, a: x**3 - a, x0, np.array([2.0, 8.0, 27.0]))
    assert wide.dtype == np.float64 and wide[0] == pytest.approx(2 ** (1 / 3), rel=1e-14)


def test_expressions_without_types():
    a, x = pb.Var("a"), pb.Var("x")
    y = pb.root(lambda x: x * x - a, x)
    f = pb.compile([y, pb.grad(pb.sum(y), a)])
    value, slope = f(a=np.array([4.0, 9.0]), x=np.ones(2))
    np.testing.assert_allclose(value, [2, 3])
    np.testing.assert_allclose(slope, [1 / 4, 1 / 6])
    assert f(a=16.0, x=1.0)[0] == pytest.approx(4)
    assert "root" in repr(y)


def test_a_large_system_without_a_matrix():
    """-c u'' + u + u^3 = s on 400 points, by products only; the derivative against a dense solve."""
    n = 400
    s = 1.0 + np.sin(np.linspace(0, 3, n))

    h = (n + 1.0) ** 2 * 1e-3

    def f(u, s):
        beside = pb.shift(u, 1, boundary="constant") + pb.shift(u, -1, boundary="constant")
        return h * (2 * u - beside) + u + u**3 - s

    u = pb.root(f, np.zeros(n), s, linear_solver="gmres")
    matrix = np.diag(2 * h + 1 + 3 * u**2) - h * (np.eye(n, k=1) + np.eye(n, k=-1))
    np.testing.assert_allclose(2 * h * u - h * np.r_[0, u[:-1]] - h * np.r_[u[1:], 0] + u + u**3, s, rtol=1e-9)
    for solver in ("gmres", "cg"):
        root = lambda s, solver=solver: pb.root(f, np.zeros(n), s, linear_solver=solver)  # noqa: E731
        slope = pb.grad(lambda s, root=root: pb.sum(root(s) ** 2))(s)
        np.testing.assert_allclose(slope, np.linalg.solve(matrix.T, 2 * u), rtol=1e-8)


# ---- derivatives ------------------------------------------------------------------------------------------------
def test_kepler_in_both_modes_and_three_orders():
    mean, e = 0.8, 0.6
    anomaly = optimize.brentq(lambda x: x - e * np.sin(x) - mean, 0, 3, xtol=1e-15)
    d = 1 - e * np.cos(anomaly)
    second = -e * np.sin(anomaly) / d**3
    third = (3 * (e * np.sin(anomaly)) ** 2 / d**5) - e * np.cos(anomaly) / d**4
    first = pb.grad(kepler)
    assert kepler(mean, e) == pytest.approx(anomaly, rel=1e-14)
    assert first(mean, e) == pytest.approx(1 / d, rel=1e-13)
    assert pb.jvp(kepler, (mean, e), (0.0, 1.0))[1] == pytest.approx(np.sin(anomaly) / d, rel=1e-13)
    assert pb.grad(first)(mean, e) == pytest.approx(second, rel=1e-12)
    along = lambda f: lambda m: pb.jvp(f, (m,), (1.0,))[1]  # noqa: E731
    assert along(along(lambda m: kepler(m, e)))(mean) == pytest.approx(second, rel=1e-12)
    assert pb.grad(pb.grad(first))(mean, e) == pytest.approx(third, rel=1e-11)


@pytest.mark.parametrize("solver", ["dense", "gmres", "iteration"])
def test_jacobian_of_an_equilibrium(solver):
    def found(b):
        return pb.fixed_point(lambda z: pb.tanh(A @ z + b), np.zeros(3), tol=1e-13, linear_solver=solver)

    _, slopes = equilibrium_slopes(A, B)
    np.testing.assert_allclose(pb.jacfwd(found)(B), slopes, rtol=1e-10)
    np.testing.assert_allclose(pb.jacrev(found)(B), slopes, rtol=1e-10)
    forward = pb.jvp(found, (B,), (np.array([1.0, 2.0, -1.0]),))[1]
    np.testing.assert_allclose(forward, slopes @ [1, 2, -1], rtol=1e-10)


def test_checked_with_nests():
    def f(a, b):
        found = pb.root(lambda u: {"x": u["x"] ** 3 + u["y"].sum() - a, "y": u["y"] * 2 - u["x"] * b},
                        {"x": 1.0, "y": np.ones(2)}, tol=1e-13)
        return found["x"] * found["y"][0] + pb.sum(found["y"] ** 2)

    pb.check_grads(f, (3.0, np.array([0.5, 1.5])), order=2, modes=("fwd", "rev"))


def test_adjoint_dot_product():
    t, g = rng.normal(size=(3, 3)), rng.normal(size=3)
    moved = pb.jvp(lambda a: equilibrium(a, B), (A,), (t,))[1]
    _, back = pb.vjp(lambda a: equilibrium(a, B), A)
    assert np.vdot(g, moved) == pytest.approx(np.vdot(back(g)[0], t), rel=1e-12)


def test_the_derivative_does_not_depend_on_the_way():
    """Stopping early leaves an error in the value only: the derivative is that of an exact solution there."""
    def sqrt(a, tol):
        return pb.fixed_point(lambda x: 0.5 * (x + a / x), 30.0, tol=tol)

    rough = sqrt(4.0, 0.1)
    assert 1e-6 < abs(rough - 2) < 0.1
    slope = pb.grad(lambda a: sqrt(a, 0.1))(4.0)
    assert slope == pytest.approx((0.5 / rough) / (1 - 0.5 * (1 - 4 / rough**2)), rel=1e-13)


def test_the_start_has_no_derivative():
    assert pb.grad(lambda x0, a: pb.root(lambda x: x * x - a, x0))(1.0, 4.0) == 0.0


def test_inside_loops_and_lanes():
    def path(a):
        def step(x, _):
            x = pb.root(lambda y: y + 0.1 * y**3 - a * x, x)
            return x, x

        return pb.scan(step, 1.0, None, length=4)[1].sum()

    def by_numpy(a, x=1.0, total=0.0):
        for _ in range(4):
            x = optimize.brentq(lambda y, x=x: y + 0.1 * y**3 - a * x, -9, 9, xtol=1e-15)
            total += x
        return total

    assert path(1.2) == pytest.approx(by_numpy(1.2))
    slope = (by_numpy(1.2 + 1e-5) - by_numpy(1.2 - 1e-5)) / 2e-5
    assert pb.grad(path)(1.2) == pytest.approx(slope, rel=1e-8)
    means, e = np.linspace(0.1, 3, 7), np.linspace(0, 0.9, 7)
    each = pb.vmap(pb.value_and_grad(kepler, argnums=1))(means, e)
    np.testing.assert_allclose(each[0], [kepler(m, x) for m, x in zip(means, e, strict=True)])
    np.testing.assert_allclose(each[1], np.sin(each[0]) / (1 - e * np.cos(each[0])), rtol=1e-10)
    lanes = pb.vmap(pb.jacrev(equilibrium, argnums=1), (None, 0))(A, np.stack([B, 2 * B]))
    np.testing.assert_allclose(lanes, [equilibrium_slopes(A, B)[1], equilibrium_slopes(A, 2 * B)[1]], rtol=1e-8)
    pair = pb.jacrev(lambda b: pb.vmap(equilibrium, (None, 0))(A, b))(np.stack([B, 2 * B]))
    np.testing.assert_allclose(pair[1, :, 1], equilibrium_slopes(A, 2 * B)[1], rtol=1e-8)
    np.testing.assert_allclose(pair[1, :, 0], 0)


# ---- what is refused --------------------------------------------------------------------------------------------
def test_what_does_not_converge_raises():
    with pytest.raises(IndexError, match=r"fixed_point has not converged.*max_steps=20"):
        pb.fixed_point(lambda x: 2.0 * x + 1.0, 1.0, max_steps=20)
    with pytest.raises(IndexError, match="root has not converged"):
        pb.root(lambda x: x * x + 1.0, 2.0)
    with pytest.raises(IndexError, match="root has not converged"):
        pb.root(lambda x: pb.log(x), -1.0)


def test_singular_systems_show():
    """x0 is a solution, so that only the derivative meets the singular matrix."""
    def second(a, solver):
        return pb.root(lambda x: pb.stack([x[0] - a, x[0] * a - a * a]), np.ones(2), linear_solver=solver)[1]

    with pytest.raises(IndexError, match="linear system"):
        pb.grad(lambda a: pb.stop_gradient(a) * second(a, "gmres"))(1.0)
    assert np.isnan(pb.compile(lambda a: pb.jvp(lambda a: second(a, "dense"), (a,), (1.0,))[1])(1.0))


def test_errors_say_what_to_write():
    with pytest.raises(pb.PullbackError, match="methods 'newton', 'chord'"):
        pb.root(lambda x: x, 1.0, method="secant")
    with pytest.raises(pb.PullbackError, match="linear_solver is one of"):
        pb.root(lambda x: x, 1.0, linear_solver="lu")
    with pytest.raises(pb.ShapeError, match=r"as many equations as unknowns"):
        pb.root(lambda x: x[:2], np.ones(3))
    with pytest.raises(pb.PullbackError, match="one value for each unknown"):
        pb.fixed_point(lambda x: (x, x), 1.0)
    with pytest.raises(TypeError, match="takes a function"):
        pb.root(1.0, 2.0)
    with pytest.raises(pb.DTypeError, match="real and imaginary parts"):
        pb.root(lambda z: z * z + 1, np.array(1j))
    with pytest.raises(pb.DTypeError, match="returns int64"):
        pb.root(lambda x: x.astype("int64"), 1.0)


# ---- targets ----------------------------------------------------------------------------------------------------
@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
@pytest.mark.parametrize("solver", ["gmres", "cg"])
def test_every_target_computes_the_same(solver):
    def f(p):
        y = pb.root(lambda x: x + 0.1 * x**3 + 0.1 * x[::-1] - p, np.zeros(3), linear_solver=solver)
        return pb.sum(y * y)

    job = job_of(pb.value_and_grad(f), [B])
    assert_agree(run_on_cpu(job), expected(job))
    assert_agree(run_program(job[1], *inputs_of(job[0], [B])), expected(job))


# ---- steady states ----------------------------------------------------------------------------------------------
def brusselator(t, y, p):
    x, z = y
    return p["a"] + x * x * z - (p["b"] + 1) * x, p["b"] * x - x * x * z


def test_steady_state_of_the_brusselator():
    """It rests at (a, b/a)."""
    a, b = 1.3, 1.7
    found = pb.ode.steady_state(brusselator, (1.0, 1.0), ({"a": a, "b": b},))
    np.testing.assert_allclose(found, (a, b / a), rtol=1e-12)

    def second(a, b):
        return pb.ode.steady_state(brusselator, (1.0, 1.0), ({"a": a, "b": b},), tol=1e-13)[1]

    np.testing.assert_allclose(pb.grad(second, argnums=(0, 1))(a, b), (-b / a**2, 1 / a), rtol=1e-11)
    np.testing.assert_allclose(pb.hessian(second, argnums=(0, 1))(a, b), [[2 * b / a**3, -1 / a**2], [-1 / a**2, 0]],
                               rtol=1e-10, atol=1e-12)


def test_steady_state_is_where_the_integration_ends():
    start = (np.array(1.0), np.array(1.0))
    p = ({"a": 1.0, "b": 1.5},)
    end = pb.ode.solve(brusselator, start, [0.0, 80.0], args=p, rtol=1e-10)
    np.testing.assert_allclose([x[-1] for x in end], pb.ode.steady_state(brusselator, start, p), rtol=1e-7)
