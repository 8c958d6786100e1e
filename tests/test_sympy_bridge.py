"""from_sympy and to_sympy: values against mpmath, adjoints against finite differences, names, refusals, round trips."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

import pullback as pb

x, y, t = sp.symbols("x y t")
i, j, n = sp.symbols("i j n", integer=True)
X, A = sp.IndexedBase("X", shape=(n,)), sp.IndexedBase("A", shape=(n, n))

SCALARS = [
    sp.sec(x), sp.csc(x), sp.cot(x), sp.coth(x), sp.csch(x), sp.asec(x + 3), sp.acot(x), sp.acsch(x), sp.acoth(x + 3),
    sp.sinc(x), sp.frac(x), sp.Heaviside(x - 1), sp.gamma(x), sp.gamma(-x), sp.factorial(x), sp.binomial(x + 5, 2),
    sp.erf(x), sp.erfc(x), sp.loggamma(x), sp.polygamma(1, x), sp.digamma(x), sp.Abs(x - 1), sp.sign(x - 1),
    sp.Max(x, y, 1), sp.Min(x, y), sp.floor(3 * x), sp.ceiling(3 * x), sp.Mod(x, y), sp.Mod(-x, y), sp.log(x, 2),
    sp.log(1 + x), x**y, x**sp.Rational(1, 3), x**sp.Rational(-3, 2), x**-3, sp.exp(-x**2 / 2) / sp.sqrt(2 * sp.pi),
    sp.atan2(y, x), sp.asinh(x), sp.sech(x), -x - y, -(x + y) / 3, 3 * x / 4, x / (y * x + 1), 1 / x / y, -1 / x,
    -x / 2, 2**x, sp.E**x, sp.GoldenRatio * x, 10**30 * x, sp.Rational(1, 3) + x, (x + y)**2 / (2 * sp.pi), x - 1,
    sp.Float("0.1") * x, sp.re(x),
    sp.Piecewise((x, sp.And(x > 0.7, y < 1)), (y, sp.Or(x < 0.3, sp.Not(y > 1))), (x * y, True)),
]


@pytest.mark.parametrize("expr", SCALARS, ids=str)
def test_values_are_those_of_exact_arithmetic(expr):
    a, b = np.random.default_rng(1).uniform(0.2, 1.8, (2, 12))
    f = pb.from_sympy(expr, (x, y))
    exact = [float(sp.re(expr.subs({x: sp.Float(p, 30), y: sp.Float(q, 30)}).evalf(25)))
             for p, q in zip(a.tolist(), b.tolist(), strict=True)]
    np.testing.assert_allclose(f(a, b), exact, rtol=2e-14)
    assert f(a.astype(np.float32), b.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("expr", [e for e in SCALARS if not e.has(sp.floor, sp.ceiling, sp.Mod, sp.frac, sp.sign,
                                                                  sp.Heaviside, sp.re)], ids=str)
def test_gradients_are_sympys(expr):
    a, b = 0.61, 1.43
    got = pb.grad(pb.from_sympy(expr, (x, y)), argnums=0)(a, b)
    real = sp.symbols("x y", real=True)
    exact = sp.diff(expr.subs({x: real[0], y: real[1]}), real[0]).doit()
    exact = exact.subs({real[0]: sp.Float(a, 30), real[1]: sp.Float(b, 30)}).evalf(25)
    np.testing.assert_allclose(got, float(sp.re(exact)), rtol=1e-12)


@pytest.mark.parametrize("expr", [sp.Eq(x, y), sp.Ne(x, y), x >= y, sp.Xor(x > 1, y > 1), sp.Implies(x > 1, y > 1)],
                         ids=str)
def test_relations_are_arrays_of_bools(expr):
    a, b = np.array([0.5, 1.5, 1.5, 0.5, 2.0]), np.array([0.5, 0.7, 1.7, 1.9, 2.0])
    expr = expr.to_nnf() if isinstance(expr, sp.Implies) else expr
    exact = [bool(expr.subs({x: p, y: q})) for p, q in zip(a, b, strict=True)]
    found = pb.from_sympy(expr, (x, y))(a, b)
    assert found.dtype == bool and found.tolist() == exact


# ---- sums -------------------------------------------------------------------------------------------------------
SUMS = [
    sp.Sum(X[i] * X[i + 1], (i, 0, n - 2)) / n, sp.Sum(X[2 * i], (i, 0, 2)), sp.Sum(X[4 - i] * X[i], (i, 0, 4)),
    sp.Sum(X[sp.Mod(i + 1, n)] * X[i]**2, (i, 0, n - 1)), sp.Product(1 + X[i], (i, 0, 3)), sp.Sum(X[i] * i, (i, 1, 3)),
    sp.Sum(X[0], (i, 0, n - 1)), X[2] * X[0], sp.Sum(A[i, j] * X[j] * X[i], (i, 0, n - 1), (j, 0, n - 1)),
    sp.Sum(A[i, i], (i, 0, n - 1)),
    sp.Sum(sp.sin(sp.Sum(A[j, i] * X[j], (j, 0, n - 1))), (i, 0, n - 1)), sp.Sum(X[i], (i, 3, 2)),
]


@pytest.mark.parametrize("expr", SUMS, ids=str)
def test_sums_over_an_index_and_their_gradients(expr):
    rng = np.random.default_rng(2)
    arrays = {A: rng.uniform(0.5, 1.5, (5, 5)), X: rng.uniform(0.5, 1.5, 5)}
    fixed = {base: sp.IndexedBase(base.name, shape=(5,) * arrays[base].ndim) for base in (A, X)}
    entries = {fixed[base][place]: arrays[base][place] for base in (A, X) for place in np.ndindex(arrays[base].shape)}
    f = pb.from_sympy(expr, (A, X))
    exact = float(expr.subs(n, 5).doit().subs(entries))
    np.testing.assert_allclose(f(arrays[A], arrays[X]), exact, rtol=1e-14)
    if expr.subs(n, 5).doit().has(X):
        pb.check_grads(lambda x: f(arrays[A], x), (arrays[X],), order=2)


def test_bounds_may_be_other_indices():
    f = pb.from_sympy(sp.Sum(A[i, j] * X[j], (j, 0, i), (i, 0, n - 1)), (A, X))
    matrix, vector = np.arange(16.0).reshape(4, 4), np.array([1.0, -2.0, 0.5, 3.0])
    np.testing.assert_allclose(f(matrix, vector), (np.tril(matrix) @ vector).sum())
    np.testing.assert_allclose(pb.grad(f)(matrix, vector), np.tril(np.ones((4, 4))) * vector)


def test_a_sum_broadcasts_over_arrays():
    times = np.linspace(0, 1, 7)
    coefficients = np.arange(4.0)
    expected = sum(c * np.cos(k * times) for k, c in enumerate(coefficients))
    series = sp.Sum(X[i] * sp.cos(i * t), (i, 0, n - 1))
    np.testing.assert_allclose(pb.from_sympy(series, (X, t))(coefficients, times), expected, rtol=1e-14)
    np.testing.assert_allclose(pb.compile(pb.from_sympy(series))(X=coefficients, t=times), expected, rtol=1e-14)


def test_bounds_may_be_inputs():
    m = sp.Symbol("m", integer=True)
    f = pb.from_sympy(sp.Sum(X[i]**2, (i, 0, m)), (X, m))
    data = np.arange(5.0)
    assert [float(f(data, k)) for k in (-1, 0, 2, 4)] == [0.0, 0.0, 5.0, 30.0]
    np.testing.assert_allclose(pb.grad(f)(data, 2), [0.0, 2.0, 4.0, 0.0, 0.0])
    with pytest.raises(IndexError):
        f(data, 7)


def test_a_sum_is_one_kernel_over_slices():
    f = pb.from_sympy(sp.Sum(X[i] * X[i + 1], (i, 0, n - 2)), (X,))
    f(np.ones(9))
    program = f.compiled.lower(np.ones(9)).as_text("program")
    assert program.count("gather") == 0 and len(f.compiled.lower(np.ones(9)).program.steps) == 1


# ---- arguments --------------------------------------------------------------------------------------------------
def test_more_than_32_arguments_share_their_parts():
    symbols = sp.symbols("a0:50")
    f = pb.from_sympy(sum(sp.sin(a * b) for a in symbols[:8] for b in symbols[:8]) + sum(symbols), symbols)
    values = np.random.default_rng(3).random(50)
    np.testing.assert_allclose(f(*values), np.sin(np.outer(values[:8], values[:8])).sum() + values.sum(), rtol=1e-13)
    assert pb.compile(f).lower(*values).as_text("graph").count("sin(") == 36


def test_names_become_identifiers_without_collisions():
    awkward = [sp.Symbol("lambda"), sp.Symbol("lambda_"), sp.Symbol(r"\theta_{1}"), sp.Symbol("theta_1"),
               sp.Symbol("x"), sp.Symbol("x", positive=True), sp.Symbol("2nd"), sp.Function("q")(t)]
    f = pb.from_sympy(sum(10**k * s for k, s in enumerate(awkward)), awkward)
    assert len(set(f.names)) == 8 and all(name.isidentifier() for name in f.names)
    assert f.names[1] == "lambda_" and f.names[3] == "theta_1" and f.names[4] == "x"
    assert float(f(*range(1, 9))) == 87654321
    assert float(f(**{name: k for k, name in enumerate(f.names, 1)})) == 87654321


def test_nested_arguments_matrices_and_results():
    vector, matrix = sp.Matrix(sp.symbols("q0:3")), sp.Matrix(2, 2, sp.symbols("m0:4"))
    f = pb.from_sympy({"dot": vector.dot(vector), "both": (matrix * matrix, matrix.det())}, (vector, (x, [y]), matrix))
    m = np.array([[1.0, 2.0], [3.0, 4.0]])
    found = f(np.arange(3.0), (1.0, [2.0]), m)
    assert float(found["dot"]) == 5.0
    np.testing.assert_allclose(found["both"][0], m @ m)
    assert float(found["both"][1]) == -2.0
    assert f(np.arange(3.0)[:, None], (1.0, [2.0]), m)["dot"].shape == ()
    with pytest.raises(pb.ShapeError, match="stands for a matrix of shape"):
        f(np.arange(4.0), (1.0, [2.0]), m)


def test_matrices_of_entries_stand_before_the_axes_of_the_entries():
    f = pb.from_sympy(sp.Matrix([[x * y, 1], [0, x]]), (x, y))
    np.testing.assert_allclose(f(2.0, 3.0), [[6.0, 1.0], [0.0, 2.0]])
    assert f(np.ones(3, np.float32), 2.0).shape == (2, 2, 3) and f(np.float32(2), 3.0).dtype == np.float32


def test_matrix_symbols():
    weights, v = sp.MatrixSymbol("W", 2, 3), sp.MatrixSymbol("v", 3, 1)
    w, c = np.arange(6.0).reshape(2, 3), np.ones((3, 1))
    np.testing.assert_allclose(pb.from_sympy(2 * weights * v, (weights, v))(w, c), 2 * w @ c)
    np.testing.assert_allclose(pb.from_sympy((weights.T * weights)[0, 1] + weights[1, 2], (weights,))(w),
                               (w.T @ w)[0, 1] + w[1, 2])


def test_a_mapping_of_values_gives_an_expression():
    u = pb.Var("u")
    assert str(pb.from_sympy(sp.sin(x) + y, {x: u * 2, y: 1.5})) == "1.5 + sin(u*2)"


# ---- mathematics into kernels with adjoints ---------------------------------------------------------------------
def test_reaction_diffusion_becomes_a_kernel_with_its_adjoint():
    """Gray-Scott on a ring by finite differences: the right-hand side at every point from one written at point i."""
    k, feed, kill, du, dv, h = sp.Symbol("k", integer=True), *sp.symbols("F kappa D_u D_v h")
    u, v = sp.IndexedBase("u", shape=(n,)), sp.IndexedBase("v", shape=(n,))

    def laplacian(w):
        return (w[sp.Mod(k - 1, n)] - 2 * w[k] + w[sp.Mod(k + 1, n)]) / h**2

    reaction = u[k] * v[k]**2
    rates = (du * laplacian(u) - reaction + feed * (1 - u[k]), dv * laplacian(v) + reaction - (feed + kill) * v[k])
    f = pb.from_sympy(rates, (u, v, k, feed, kill, du, dv, h))
    rng = np.random.default_rng(4)
    a, b, parameters = rng.uniform(0.2, 1, 12), rng.uniform(0.2, 1, 12), (0.04, 0.06, 0.2, 0.1, 0.5)
    found = f(a, b, np.arange(12), *parameters)
    laplace = (np.roll(a, 1) - 2 * a + np.roll(a, -1)) / 0.25, (np.roll(b, 1) - 2 * b + np.roll(b, -1)) / 0.25
    np.testing.assert_allclose(found[0], 0.2 * laplace[0] - a * b**2 + 0.04 * (1 - a), rtol=1e-12)
    np.testing.assert_allclose(found[1], 0.1 * laplace[1] + a * b**2 - 0.1 * b, rtol=1e-12)
    pb.check_grads(lambda a, b, *p: f(a, b, np.arange(12), *p), (a, b, *parameters), order=1)
    value, pullback = pb.vjp(lambda a: f(a, b, np.arange(12), *parameters)[0], a)
    tangent, cotangent = rng.standard_normal((2, 12))
    along = pb.jvp(lambda a: f(a, b, np.arange(12), *parameters)[0], (a,), (tangent,))[1]
    np.testing.assert_allclose(pullback(cotangent)[0] @ tangent, cotangent @ along, rtol=1e-12)


def test_hamiltons_equations_conserve_energy():
    """The double pendulum's energy in sympy, its equations by sympy, its motion by a loop."""
    q, p = sp.symbols("q1:3"), sp.symbols("p1:3")
    difference = q[0] - q[1]
    kinetic = (p[0]**2 + 2 * p[1]**2 - 2 * p[0] * p[1] * sp.cos(difference)) / (2 * (1 + sp.sin(difference)**2))
    energy = kinetic - 2 * sp.cos(q[0]) - sp.cos(q[1])
    rates = sp.Array([sp.diff(energy, s) for s in p] + [-sp.diff(energy, s) for s in q])
    state = sp.Array([*q, *p])
    rate, total = pb.from_sympy(rates, (state,)), pb.from_sympy(energy, (state,))

    def moved(start, steps=400, dt=0.005):
        def step(_, z):
            k1 = rate(z)
            k2 = rate(z + dt / 2 * k1)
            k3 = rate(z + dt / 2 * k2)
            return z + dt / 6 * (k1 + 2 * k2 + 2 * k3 + rate(z + dt * k3))
        return pb.fori_loop(0, steps, step, start)

    start = np.array([0.8, 1.1, 0.1, -0.2])
    end = pb.compile(moved)(start)
    assert np.abs(end - start).max() > 0.1
    np.testing.assert_allclose(total(end), total(start), rtol=1e-8)
    pb.check_grads(lambda z: total(moved(z, 20)) + moved(z, 20)[0], (start,), order=1)


# ---- refusals ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("expr, words", [
    (sp.Derivative(sp.Function("u")(t), t), "doit"), (sp.Integral(sp.exp(x**x), x), "integral"),
    (sp.Function("u")(x) + x, "has no value"), (sp.LambertW(x), "not in the table"), (x + y + t, "does not name"),
    (sp.Sum(x, (i, 0, sp.oo)), "no last term"), (sp.DiracDelta(x), "not in the table"),
], ids=str)
def test_what_has_no_numbers_is_refused_in_words(expr, words):
    with pytest.raises(pb.PullbackError, match=words):
        pb.from_sympy(expr, (x, y))(1.0, 2.0)


def test_elements_outside_an_array_are_refused():
    for expr in (sp.Sum(X[i - 1], (i, 0, 3)), sp.Sum(X[i], (i, 0, n)), X[-1], X[7]):
        with pytest.raises(pb.ShapeError):
            pb.from_sympy(expr, (X,))(np.arange(5.0))
    with pytest.raises(pb.ShapeError, match="as in"):
        pb.from_sympy(sp.Sum(A[i, i] * X[i], (i, 0, n - 1)), (A, X))(np.eye(3), np.arange(5.0))
    with pytest.raises(TypeError, match="sympify"):
        pb.from_sympy("x + 1")


def test_a_piecewise_without_otherwise_is_nan_outside():
    f = pb.from_sympy(sp.Piecewise((sp.sqrt(x), x > 0), (1, x < -1)), (x,))
    np.testing.assert_array_equal(f(np.array([4.0, -0.5, -2.0])), [2.0, np.nan, 1.0])
    np.testing.assert_allclose(pb.grad(lambda v: pb.sum(f(v)))(np.array([4.0, -2.0])), [0.25, 0.0])


# ---- to sympy ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("expr", [x**2 + y, sp.sin(x) * y / 3, sp.Piecewise((x, x > y), (y, True)), sp.sqrt(x + 1) / y,
                                  sp.exp(-x**2 / 2), sp.Max(x, y), sp.atan2(y, x), (x > y) & (y > 0)], ids=str)
def test_round_trips(expr):
    assert pb.to_sympy(pb.from_sympy(expr)) == expr
    assert pb.to_sympy(pb.from_sympy(expr, (x, y))) == expr


def test_sums_round_trip():
    for expr in (sp.Sum(X[i]**2, (i, 0, n - 1)), sp.Sum(sp.sin(X[i]) * X[i], (i, 0, n - 1)) / n):
        assert pb.to_sympy(pb.from_sympy(expr)) == expr


def test_programs_as_mathematics():
    v, w, m = pb.Var("v", ("n",)), pb.Var("w", (2,)), pb.Var("M", (2, 2))
    u = pb.Var("x")
    w0, w1 = (sp.IndexedBase("w", shape=(2,))[k] for k in range(2))
    assert pb.to_sympy(pb.grad(pb.sin(u)**2, u)) == 2 * sp.sin(x) * sp.cos(x)
    assert pb.to_sympy(pb.sum(w * w)) == w0**2 + w1**2
    assert list(pb.to_sympy(pb.concatenate([w[::-1], w.at[0].set(5.0)]))) == [w1, w0, 5, w1]
    assert list(pb.to_sympy(pb.grad(w[1] * pb.exp(w[0]), w))) == [w1 * sp.exp(w0), sp.exp(w0)]
    assert pb.to_sympy(pb.grad(pb.sum(pb.sin(v)), v))(i) == sp.cos(sp.IndexedBase("v", shape=(n,))[i])
    assert pb.to_sympy(m.T @ m)[0, 1] == sum(sp.IndexedBase("M", shape=(2, 2))[k, 0]
                                             * sp.IndexedBase("M", shape=(2, 2))[k, 1] for k in range(2))
    assert str(pb.to_sympy(lambda a, b: {"s": a * b + 0.1})["s"]) == "a*b + 0.1"
    with pytest.raises(pb.PullbackError, match="no words in sympy"):
        pb.to_sympy(pb.fori_loop(0, 3, lambda _, z: z * z, u))


def test_numbers_of_a_program_agree_with_those_of_sympy():
    v, z = pb.Var("v", (3,)), pb.Var("z")
    program = pb.logsumexp(v * z) + pb.softmax(v)[1] * pb.hypot(z, v[0]) - pb.log1p(v @ v) + pb.where(z > 1, z, -z)
    data = {"v": np.array([0.3, -0.7, 1.1]), "z": np.float64(0.8)}
    found = pb.to_sympy(program)
    base = sp.IndexedBase("v", shape=(3,))
    exact = found.subs({**{base[k]: sp.Float(data["v"][k], 30) for k in range(3)}, sp.Symbol("z"): sp.Float(0.8, 30)})
    np.testing.assert_allclose(float(exact.evalf(25)), pb.compile(program)(**data), rtol=1e-14)
