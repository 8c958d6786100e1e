"""Jacobians and Hessians: of functions and expressions, by tangents and by cotangents, against finite differences."""

from collections import namedtuple

import numpy as np
import pytest

import pullback as pb

R = np.random.default_rng(1)
W, X, V = R.normal(size=(3, 4)), R.normal(size=4), R.normal(size=(2, 3))


def differences(f, x, step=1e-3):
    """Central differences with four points, of shape f(x).shape + x.shape."""
    columns = []
    for index in np.ndindex(x.shape):
        unit = np.zeros_like(x)
        unit[index] = step
        a, b, c, d = (np.asarray(f(x + k * unit)) for k in (-1, 1, -2, 2))
        columns.append((8 * (b - a) - (d - c)) / (12 * step))
    return np.stack(columns, axis=-1).reshape((*columns[0].shape, *x.shape))


def rows(x):
    return pb.tanh(W @ x) * x[:3] + pb.sum(x**2)


FUNCTIONS = {
    "a vector": (rows, X),
    "a matrix": (lambda x: pb.sin(x) @ W, V),
    "a matrix on the left": (lambda x: W.T @ pb.exp(x.T), V),
    "only a product": (lambda x: x @ W, V),
    "a product from the left": (lambda x: W @ x, X),
    "from a scalar": (lambda x: pb.sin(x) * X, np.array(0.5)),
    "to a scalar": (lambda x: pb.prod(x), X),
    "a scalar of a scalar": (lambda x: x**3, np.array(1.5)),
    "slices and indices": (lambda x: x[::-1][1:] * x.at[1].multiply(3.0)[[0, 3, 3]], X),
    "softmax": (lambda x: pb.softmax(x) + pb.logsumexp(x), X),
    "a scan": (lambda x: pb.scan(lambda s, e: (pb.sin(s) + e, s * e), 0.1, x)[1], X),
    "a loop": (lambda x: pb.fori_loop(0, 3, lambda i, s: pb.sin(s * x) + i * s, x), X),
    "an unbounded loop": (lambda x: pb.while_loop(lambda s: pb.sum(s * s) < 50.0, lambda s: s * 1.5 + x, x), X),
    "a branch": (lambda x: pb.cond(x[0] > 0, lambda y: y * y, lambda y: pb.sin(y), x), X),
    "batched": (lambda x: pb.vmap(lambda a: a @ V.T * a[0])(x), V),
    "broadcast": (lambda x: x[:, None] * x, X),
    "cumulative": (lambda x: pb.cumsum(x) * pb.cumprod(x), X),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_forward_reverse_and_differences_agree(name):
    f, x = FUNCTIONS[name]
    forward, reverse, auto = pb.jacfwd(f)(x), pb.jacrev(f)(x), pb.jacobian(f)(x)
    assert forward.shape == reverse.shape == auto.shape == (*np.shape(pb.compile(f)(x)), *x.shape)
    np.testing.assert_allclose(forward, reverse, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(auto, reverse, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(forward, differences(pb.compile(f), x), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["a vector", "a scan", "an unbounded loop", "softmax", "batched"])
def test_second_and_third_order(name):
    f, x = FUNCTIONS[name]

    def g(x):
        return pb.sum(f(x) ** 2)
    h = pb.hessian(g)(x)
    np.testing.assert_allclose(h, pb.jacrev(pb.jacrev(g))(x), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(h, pb.jacfwd(pb.jacfwd(g))(x), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(h, differences(pb.grad(g), x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.tensordot(h, x, x.ndim), pb.hvp(g, (x,), (x,)), rtol=1e-9, atol=1e-9)
    if name != "batched":
        third = pb.jacfwd(pb.hessian(g))(x)
        np.testing.assert_allclose(third, differences(pb.hessian(g), x), rtol=1e-5, atol=1e-4)


# ---- structure ------------------------------------------------------------------------------------------------------
Point = namedtuple("Point", "a b")


def test_nests_of_results_and_arguments():
    def f(p, s):
        return {"y": W @ p.a * s, "z": pb.sum(p.b)}
    p = Point(X, V)
    for jac in (pb.jacfwd, pb.jacrev, pb.jacobian):
        found = jac(f)(p, 2.0)
        assert isinstance(found["y"], Point)
        np.testing.assert_allclose(found["y"].a, 2 * W)
        np.testing.assert_array_equal(found["y"].b, np.zeros((3, 2, 3)))
        np.testing.assert_array_equal(found["z"].b, np.ones((2, 3)))
        both = jac(f, argnums=(0, "s"))(p, 2.0)
        np.testing.assert_allclose(both["y"][1], W @ X)
    (one, aux) = pb.jacfwd(lambda x: (x * x, {"n": x.sum()}), has_aux=True)(X)
    np.testing.assert_allclose(one, np.diag(2 * X))
    np.testing.assert_allclose(aux["n"], X.sum())


def test_hessian_of_a_nest():
    h = pb.hessian(lambda p: p["x"][0] * pb.sum(p["y"] ** 2))({"x": X, "y": V[0]})
    np.testing.assert_allclose(h["x"]["y"][0], 2 * V[0])
    np.testing.assert_allclose(h["y"]["y"], 2 * X[0] * np.eye(3))
    np.testing.assert_array_equal(h["x"]["x"], np.zeros((4, 4)))


def test_expressions():
    x, y = pb.Var("x"), pb.Var("y")
    e = pb.sin(x) * y
    found = pb.jacobian(e, [x, y])
    at = {"x": X, "y": X + 1}
    np.testing.assert_allclose(pb.compile(found[0])(**at), np.diag(np.cos(X) * (X + 1)))
    np.testing.assert_allclose(pb.compile(found[1])(**at), np.diag(np.sin(X)), atol=1e-15)
    by_name = pb.jacobian({"e": e})
    np.testing.assert_allclose(pb.compile(by_name["e"]["x"])(**at), np.diag(np.cos(X) * (X + 1)))
    h = pb.hessian(pb.sum(e), [x, y])
    np.testing.assert_allclose(pb.compile(h[0][1])(**at), np.diag(np.cos(X)), atol=1e-15)
    assert repr(pb.jacobian(e, x)) == "jacobian(sin(x)*y, x)"
    assert repr(pb.hessian(pb.sum(x**2), x)) == "hessian(sum(x**2), x)"
    value, row = pb.compile((pb.sum(e), pb.jacfwd(pb.sum(e), x)))(**at)
    np.testing.assert_allclose(row, np.cos(X) * (X + 1))


def test_a_linear_function_has_a_hessian_of_zeros():
    x = pb.Var("x")
    np.testing.assert_array_equal(pb.compile(pb.hessian(pb.sum(3 * x), x))(x=X), np.zeros((4, 4)))
    np.testing.assert_array_equal(pb.hessian(lambda x: pb.sum(3 * x))(X), np.zeros((4, 4)))


def test_an_array_in_fortran_order():
    a = np.asfortranarray(V)
    x = pb.Var("x")
    np.testing.assert_allclose(pb.compile(pb.jacobian(x @ W, x))(x=a), pb.jacobian(lambda x: x @ W)(V))
    np.testing.assert_allclose(pb.compile(pb.hessian(pb.sum(x**3), x))(x=a), pb.hessian(lambda x: pb.sum(x**3))(V))
    np.testing.assert_allclose(pb.jacrev(lambda x: x @ W)(a), pb.jacrev(lambda x: x @ W)(V))


def test_one_compilation_serves_every_size():
    f = pb.compile(pb.jacfwd(lambda x: pb.sin(x) * pb.sum(x)))
    for n in (2, 3, 5):
        assert f(np.ones(n)).shape == (n, n)
    assert len(f.log) == 1


def test_a_product_is_its_own_jacobian_without_a_product():
    a, x = R.normal(size=(30, 20)), R.normal(size=20)
    for jac in (pb.jacfwd, pb.jacrev):
        f = pb.compile(jac(lambda x, a: a @ x))
        np.testing.assert_array_equal(f(x, a), a)
        assert "gemm" not in f.explain()


def test_what_is_diagonal_is_never_stored_as_a_matrix():
    a, x = R.normal(size=(30, 20)), R.normal(size=20)
    for f in (pb.jacfwd(lambda x: a @ pb.tanh(x)), pb.jacrev(lambda x: pb.tanh(a @ x)),
              pb.hessian(lambda x: x @ (pb.asarray(a.T @ a) @ x)), pb.hessian(lambda x: pb.sum(pb.exp(x) * x))):
        program = pb.compile(f)
        result = program(x)
        assert "gemm" not in program.explain()
        assert program.lower(x).memory()["temporaries"] < result.nbytes
    pb.check_grads(lambda x: a @ pb.tanh(x), (x,))


def test_zeros_beside_an_infinite_derivative():
    for jac in (pb.jacfwd, pb.jacrev):
        np.testing.assert_array_equal(jac(pb.sqrt)(np.array([0.0, 4.0])), [[np.inf, 0], [0, 0.25]])


def test_the_mode_is_the_shorter_one():
    wide, tall = R.normal(size=(2, 50)), R.normal(size=(50, 2))
    for matrix in (wide, tall):
        f = pb.compile(pb.jacobian(lambda x, m=matrix: pb.sin(pb.asarray(m) @ x)))
        np.testing.assert_allclose(f(np.ones(matrix.shape[1])), np.cos(matrix.sum(1))[:, None] * matrix)


def test_linearize():
    value, along = pb.linearize(rows, X)
    np.testing.assert_allclose(value, pb.compile(rows)(X))
    np.testing.assert_allclose(along(X), pb.jacfwd(rows)(X) @ X)
    np.testing.assert_allclose(along(2 * X), 2 * along(X))

    def twice(x):
        value, along = pb.linearize(pb.sin, x)
        return value + along(x) + along(2 * x)
    np.testing.assert_allclose(pb.compile(twice)(X), np.sin(X) + 3 * X * np.cos(X))


def test_words():
    with pytest.raises(pb.ShapeError, match="hessian takes a scalar"):
        pb.compile(pb.hessian(pb.Var("x") * 2, "x"))(x=X)
    with pytest.raises(pb.NotDifferentiable):
        pb.jacobian(pb.Var("x") * 2, "y")
    with pytest.raises(pb.NotDifferentiable):
        pb.jacfwd(lambda i: i * 2)(np.arange(3))
