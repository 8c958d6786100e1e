"""Complex numbers: values against NumPy and mpmath, derivatives against finite differences and the dot-product test."""

import mpmath
import numpy as np
import pytest

import pullback as pb

R = np.random.default_rng(5)


def numbers(*shape, dtype="complex128"):
    return (R.normal(size=shape) + 1j * R.normal(size=shape)).astype(dtype)


Z, W = numbers(3, 4), numbers(3, 4)
X = R.normal(size=(3, 4))

PROGRAMS = {
    "sums": lambda xp, z, w: z + w - 2 * z,
    "products": lambda xp, z, w: z * w * 1j,
    "quotients": lambda xp, z, w: z / w + 1 / z,
    "literals": lambda xp, z, w: 2j * z + (1 - 1j) - z / 2,
    "negative": lambda xp, z, w: -z,
    "abs": lambda xp, z, w: abs(z),
    "angle": lambda xp, z, w: xp.angle(z),
    "degrees": lambda xp, z, w: xp.angle(z, deg=True),
    "parts": lambda xp, z, w: z.real + w.imag,
    "conj": lambda xp, z, w: xp.conj(z) * w,
    **{name: lambda xp, z, w, name=name: getattr(xp, name)(z) for name in (
        "exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "reciprocal", "square", "exp2", "log2",
        "log10", "positive", "isnan", "isfinite", "isinf", "sum", "prod", "mean", "var", "std", "any", "all")},
    "integer powers": lambda xp, z, w: z ** 3 + z ** -2 + z ** 0 + z ** 17,
    "powers": lambda xp, z, w: z ** w + z ** 0.3 + 2.0 ** z + z ** 0.5,
    "fold rows": lambda xp, z, w: z.sum(axis=0) * xp.prod(w, axis=0),
    "running": lambda xp, z, w: xp.cumsum(z, axis=1) + xp.cumprod(w, axis=0),
    "matmul": lambda xp, z, w: z @ w.T,
    "real matmul": lambda xp, z, w: z @ w.real.T,
    "einsum": lambda xp, z, w: xp.einsum("ij,ik->jk", z, w),
    "vdot": lambda xp, z, w: xp.vdot(z, w),
    "outer": lambda xp, z, w: xp.outer(z, w),
    "slices": lambda xp, z, w: z[1:, ::2] + w[:-1, 1::2],
    "indices": lambda xp, z, w: z[np.array([2, 0, 0])],
    "where": lambda xp, z, w: xp.where(z.real > 0, z, w),
    "equal": lambda xp, z, w: (z == w) | (z == z),
    "not equal": lambda xp, z, w: z != w,
    "stack": lambda xp, z, w: xp.stack([z, w]),
    "concatenate with reals": lambda xp, z, w: xp.concatenate([z, w.real]),
    "transposed": lambda xp, z, w: z.T,
    "as it is": lambda xp, z, w: z,
    "of reals": lambda xp, z, w: z.real.astype(complex),
    "creation": lambda xp, z, w: xp.zeros(3, complex) + xp.ones(3) * 1j + xp.full(3, 2 - 1j),
    "phases": lambda xp, z, w: xp.exp(1j * xp.linspace(0, 1, 5)),
    "bools": lambda xp, z, w: z.astype(bool),
    "round": lambda xp, z, w: xp.round(z, 2),
    "nan_to_num": lambda xp, z, w: xp.nan_to_num(z / 0),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_as_numpy(name):
    wanted = np.asarray(PROGRAMS[name](np, Z, W))
    found = pb.compile(lambda z, w: PROGRAMS[name](pb, z, w))(Z, W)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-30)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_complex64_as_numpy():
    z, w = Z.astype("complex64"), W.astype("complex64")
    found = pb.compile(lambda z, w: {name: program(pb, z, w) for name, program in PROGRAMS.items()})(z, w)
    for name, program in PROGRAMS.items():
        wanted = np.asarray(program(np, z, w))
        assert (found[name].dtype, found[name].shape) == (wanted.dtype, wanted.shape), name
        np.testing.assert_allclose(found[name], wanted, rtol=3e-5, err_msg=name)


def test_layouts_and_sizes():
    f = pb.compile(lambda z, w: z * w + 1j)
    for z in (Z, Z.T.copy().T, Z[:, ::2], Z[:0], Z[0], Z[0, 0], Z.astype(">c16"), 1 + 2j, np.complex64(2)):
        np.testing.assert_allclose(f(z, 2.0), np.asarray(z) * 2.0 + 1j, rtol=1e-6)
    out = np.empty((3, 4), complex)
    assert f(Z, W, out=out) is out
    np.testing.assert_allclose(out, Z * W + 1j)
    assert f.source("cpu") and "double" in f.source("cuda")


def test_promotion_is_numpys():
    one = numbers(2, dtype="complex64")
    for a, b in ((one, 2), (one, 2.5), (one, 1j), (one, np.float64(1)), (one, np.ones(2, "int32")),
                 (np.ones(2, "float32"), 1j), (np.ones(2), 1j), (np.ones(2, "int8"), 1j), (True, 1j)):
        assert pb.compile(pb.multiply)(a, b).dtype == np.result_type(a, b)
        assert pb.compile(lambda a, b=b: a * b)(a).dtype == np.result_type(a, b)
    assert pb.compile(lambda z: abs(z))(one).dtype == np.float32


def test_saved_programs_take_complex_arrays(tmp_path):
    f = pb.compile(lambda z: (pb.exp(z), z.real))
    wanted = f(Z)
    f.save(tmp_path / "program")
    f.export(tmp_path / "program.py")
    names = {}
    exec((tmp_path / "program.py").read_text(), names)
    for found in (pb.load(tmp_path / "program")(Z), names["program"](Z)):
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


# ---- accuracy ---------------------------------------------------------------------------------------------------
HARD = [1e200 + 1e200j, 1e-200 - 1e-200j, 3e307 + 1.7e308j, 5e-324 + 5e-324j, 1 + 1e-9j, 0.6 + 0.8j, 0.8 + 0.6000001j,
        -1 + 1e-300j, -4 - 1e-20j, 1e-300 + 1j, 30 + 0.5j, -30 + 2j, 0.001 + 1e3j, 20 + 1.57j, 1e-8 - 1e-8j, -2 + 0j]


@pytest.mark.parametrize("name", ["sqrt", "log", "exp", "sin", "cos", "tan", "sinh", "cosh", "tanh"])
def test_hard_arguments(name):
    points = np.array([z for z in HARD if max(abs(z.real), abs(z.imag)) < 700 or name in ("sqrt", "log")])
    found = pb.compile(getattr(pb, name))(points)
    with mpmath.workprec(200):
        wanted = [getattr(mpmath, name)(mpmath.mpc(z.real, z.imag)) for z in points]
        for z, a, b in zip(points, found, wanted, strict=True):
            assert abs(mpmath.mpc(a.real, a.imag) - b) <= 1e-15 * abs(b) + 1e-323, (name, z, a, complex(b))


def test_quotients_and_moduli_do_not_overflow():
    f = pb.compile(lambda z, w: (z / w, abs(z), 1 / w))
    z = np.array([1e300 + 1e300j, 1e-300j, 1 + 1j, 1 - 2j, 3j])
    w = np.array([1e300 - 1e300j, 1e-300, 1e308j, 4 + 0j, 0])
    quotient, modulus, inverse = f(z, w)
    np.testing.assert_allclose(quotient[:4], [1j, 1j, 1e-308 - 1e-308j, 0.25 - 0.5j], rtol=1e-15)
    np.testing.assert_allclose(modulus, [np.hypot(1e300, 1e300), 1e-300, np.sqrt(2), np.sqrt(5), 3])
    np.testing.assert_allclose(inverse[:2], [5e-301 + 5e-301j, 1e300])
    assert np.isinf(quotient[4].imag) and np.isinf(inverse[4].real)


def test_branch_cuts_keep_the_sign_of_zero():
    z = np.array([complex(-4, 0.0), complex(-4, -0.0), complex(0.0, 0.0), complex(0.0, -0.0)])
    for name in ("sqrt", "log"):
        with np.errstate(all="ignore"):
            wanted = getattr(np, name)(z)
        found = pb.compile(getattr(pb, name))(z)
        np.testing.assert_array_equal(found.real, wanted.real)
        np.testing.assert_array_equal(np.signbit(found.imag), np.signbit(wanted.imag))
        np.testing.assert_allclose(found.imag, wanted.imag, rtol=1e-15)


def test_a_real_factor_scales_both_parts():
    """As in C: no 0 * inf is formed for the imaginary part that a real number does not have."""
    z = np.array([complex(np.inf, 1), complex(2, -np.inf)])
    np.testing.assert_array_equal(pb.compile(lambda z: z * 2.0)(z), [complex(np.inf, 2), complex(4, -np.inf)])


# ---- derivatives ------------------------------------------------------------------------------------------------
SMOOTH = {
    **{name: lambda z, w, name=name: getattr(pb, name)(z) * w for name in (
        "exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "reciprocal", "square", "abs", "angle",
        "real", "imag", "conj", "log2", "exp2")},
    "quotient": lambda z, w: z / w,
    "power": lambda z, w: z ** w + z ** 3 + w ** -1,
    "folds": lambda z, w: pb.prod(z, axis=0) * pb.mean(w, axis=0) + pb.sum(z * w),
    "running": lambda z, w: pb.cumsum(z, axis=1) * pb.cumprod(w, axis=0),
    "var": lambda z, w: pb.var(z) * w,
    "matmul": lambda z, w: z @ w.T @ pb.conj(z),
    "einsum": lambda z, w: pb.einsum("ij,kj->ik", z, pb.conj(w)),
    "indexing": lambda z, w: z.at[1].set(w[0]).at[pb.asarray([0, 0])].add(w[1:]) * z[::-1],
    "where": lambda z, w: pb.where(pb.real(z) > 0, z * w, pb.conj(z)),
    "polar": lambda z, w: abs(z) * pb.exp(1j * pb.angle(w)),
    "real to complex": lambda z, w: pb.exp(1j * abs(z)) * w.real,
    "loop": lambda z, w: pb.scan(lambda c, v: (c * v + z[0], abs(c)), z[1], w),
    "branch": lambda z, w: pb.cond(pb.sum(abs(z)) > 0, lambda a, b: a * b, lambda a, b: a - b, z, w),
    "while": lambda z, w: pb.while_loop(lambda c: pb.sum(abs(c)) < 40, lambda c: c * (1.5 + 0.2j) + w, z, max_steps=30),
    "custom": lambda z, w: pb.checkpoint(lambda z: pb.exp(z) * w)(z),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    pb.check_grads(SMOOTH[name], (Z, W), order=1 if name in ("loop", "while", "power", "running") else 2)


@pytest.mark.parametrize("name", SMOOTH)
def test_dot_products(name):
    """<g, J v> = <J' g, v> with <a, b> = Re(sum(a b)), to rounding."""
    v, w = (numbers(3, 4), numbers(3, 4)), (Z, W)
    value, tangent = pb.jvp(SMOOTH[name], w, v)
    value, tangent = (x if isinstance(x, tuple) else (x,) for x in (value, tangent))
    g = tuple(numbers(*y.shape) if y.dtype.kind == "c" else R.normal(size=y.shape) for y in value)
    pulled = pb.vjp(SMOOTH[name], *w)[1](g if len(g) > 1 else g[0])
    left = sum(np.sum(a * b).real for a, b in zip(g, tangent, strict=True))
    right = sum(np.sum(a * b).real for a, b in zip(pulled, v, strict=True))
    assert left == pytest.approx(right, rel=1e-11, abs=1e-11)


def test_convention():
    """The gradient of a real f is df/dx - i df/dy; a linear map transposes without conjugation."""
    np.testing.assert_allclose(pb.grad(lambda z: pb.sum(abs(z) ** 2))(Z), 2 * Z.conj())
    np.testing.assert_allclose(pb.grad(lambda z: pb.sum(z.imag))(Z), np.full(Z.shape, -1j))
    np.testing.assert_allclose(pb.grad(lambda x: pb.sum(pb.imag(x * W)))(X), W.imag)
    np.testing.assert_allclose(pb.vjp(lambda z: W.T @ z, Z)[1](numbers(4, 4) * 0 + 1j)[0], W @ np.full((4, 4), 1j))
    z = pb.Var("z")
    np.testing.assert_allclose(pb.compile(pb.grad(pb.sum(abs(z) ** 2), z))(z=Z), 2 * Z.conj())


def test_gradient_of_the_modulus_at_zero_is_zero():
    np.testing.assert_array_equal(pb.grad(lambda z: abs(z))(0j), 0)
    np.testing.assert_array_equal(pb.grad(lambda z: pb.angle(z))(0j), 0)


def test_holomorphic_functions():
    np.testing.assert_allclose(pb.grad(lambda z: pb.sum(z ** 3), holomorphic=True)(Z), 3 * Z ** 2)
    np.testing.assert_allclose(pb.value_and_grad(lambda z: z * z, holomorphic=True)(2j)[1], 4j)
    for jacobian in (pb.jacfwd, pb.jacrev, pb.jacobian):
        np.testing.assert_allclose(jacobian(lambda z: z ** 2, holomorphic=True)(Z[0]), np.diag(2 * Z[0]), atol=1e-15)
    np.testing.assert_allclose(pb.jacobian(lambda x: x * W[0])(X[0]), np.diag(W[0]))
    np.testing.assert_allclose(pb.jacobian(lambda z: abs(z) ** 2)(Z[0]), np.diag(2 * Z[0].conj()), atol=1e-15)


def test_loops_carry_complex_states():
    found = pb.compile(lambda z: pb.fori_loop(0, 4, lambda k, c: c * z[0, k], 1 + 0j))(Z)
    np.testing.assert_allclose(found, np.prod(Z[0]))
    last, all_of = pb.compile(lambda z: pb.scan(lambda c, row: (c + row, c), pb.zeros(4, complex), z))(Z)
    np.testing.assert_allclose(last, Z.sum(axis=0))
    np.testing.assert_allclose(all_of[1:], np.cumsum(Z, axis=0)[:-1])
    branch = pb.compile(lambda k, z: pb.switch(k, [lambda z: z * 2j, lambda z: pb.conj(z), lambda z: z], z))
    for k, wanted in enumerate((Z * 2j, Z.conj(), Z)):
        np.testing.assert_allclose(branch(k, Z), wanted)


def test_differential_equations_bound_the_modulus_of_the_error():
    found = pb.compile(lambda z: pb.ode.solve(lambda t, y: 1j * y, z, np.linspace(0, 2, 3), rtol=1e-9, atol=1e-9))(Z[0])
    np.testing.assert_allclose(found, Z[0] * np.exp(1j * np.array([[0], [1], [2]])), rtol=1e-7)


def test_norms():
    for order, axis in ((None, None), (1, 0), (np.inf, 1), (3, 0), ("fro", (0, 1)), (1, (0, 1)), (0, 1)):
        np.testing.assert_allclose(pb.compile(lambda z, o=order, a=axis: pb.linalg.norm(z, o, a))(Z),
                                   np.linalg.norm(Z, order, axis))
    np.testing.assert_allclose(pb.grad(lambda z: pb.linalg.norm(z))(Z), Z.conj() / np.linalg.norm(Z))


def test_printed():
    x = pb.Var("x")
    assert repr(pb.exp(2j * x) + (1 - 1j)) == "exp(2j*x) + (1-1j)"
    assert r"\mathrm{i}" in pb.exp(2j * x)._repr_latex_()


def test_vmap():
    np.testing.assert_allclose(pb.vmap(lambda z: pb.exp(z) * z.real + pb.sum(pb.conj(z)))(Z),
                               np.exp(Z) * Z.real + Z.conj().sum(axis=1)[:, None])
    np.testing.assert_allclose(pb.vmap(pb.grad(lambda z, x: pb.sum(abs(z * x) ** 2)), in_axes=(0, None))(Z, X[0]),
                               2 * Z.conj() * X[0] ** 2)


def test_least_squares_by_descent():
    """Steps along the conjugate of the gradient find a complex solution."""
    a, target = numbers(8, 3), numbers(8)
    gradient = pb.compile(pb.grad(lambda z: pb.sum(abs(pb.asarray(a) @ z - target) ** 2)))
    z = np.zeros(3, complex)
    rate = 0.5 / np.linalg.norm(a, 2) ** 2
    for _ in range(2000):
        z = z - rate * gradient(z).conj()
    np.testing.assert_allclose(z, np.linalg.lstsq(a, target, rcond=None)[0], rtol=1e-6)


# ---- refusals ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("function", [
    lambda z: z < 1, lambda z: z >= z, lambda z: pb.max(z), lambda z: pb.min(z, axis=0), lambda z: pb.maximum(z, 1),
    lambda z: pb.floor(z), lambda z: z // 2, lambda z: z % 2, lambda z: pb.argmax(z), lambda z: pb.atan2(z, 1),
    lambda z: pb.logsumexp(z), lambda z: pb.softmax(z), lambda z: pb.clip(z, 0, 1), lambda z: pb.erf(z),
    lambda z: z.astype("float64"), lambda z: pb.zeros(3).at[0].set(z[0, 0]), lambda z: z.at[0].max(1),
    lambda z: z.at[pb.asarray([0, 0])].multiply(2), lambda z: pb.zeros(3, "clongdouble"), lambda z: z & 1,
])
def test_refused(function):
    with pytest.raises(pb.DTypeError, match="complex|clongdouble"):
        pb.compile(function)(Z)


def test_refused_derivatives_name_what_to_write():
    with pytest.raises(pb.NotDifferentiable, match="holomorphic=True.*vjp"):
        pb.grad(lambda z: pb.sum(z * z))(Z)
    with pytest.raises(pb.NotDifferentiable, match="complex results with respect to complex"):
        pb.grad(lambda x: pb.sum(x * x), holomorphic=True)(X)
    with pytest.raises(pb.NotDifferentiable, match="jacfwd needs a real argument"):
        pb.jacobian(lambda z: z * 2)(Z)
    with pytest.raises(pb.NotDifferentiable, match="jacrev needs a real result"):
        pb.jacrev(lambda x: x * 2j)(X)
    with pytest.raises(pb.NotDifferentiable, match="hessian|jac"):
        pb.hessian(lambda z: pb.sum(abs(z) ** 2))(Z)
    with pytest.raises(pb.NotDifferentiable, match="vjp"):
        pb.compile(pb.grad(pb.sum(pb.Var("z"))))(z=Z)
