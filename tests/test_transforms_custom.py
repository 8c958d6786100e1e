"""Functions with derivatives of their own, and recomputation: in both modes, nested, batched, in loops."""

import numpy as np
import pytest

import pullback as pb

X = np.array([0.3, -1.2, 0.8])


def make_vjp():
    """A sine whose derivative is 10 times what it is, so that it shows which was used."""
    @pb.custom_vjp
    def f(x, y):
        return pb.sin(x) * y
    f.defvjp(lambda x, y: (f(x, y), (x, y)),
             lambda res, g: (10 * g * pb.cos(res[0]) * res[1], pb.sum(g * pb.sin(res[0]))))
    return f


def make_jvp():
    @pb.custom_jvp
    def f(x, y):
        return pb.sin(x) * y

    @f.defjvp
    def rule(primals, tangents):
        (x, y), (tx, ty) = primals, tangents
        return f(x, y), 10 * tx * pb.cos(x) * y + ty * pb.sin(x)
    return f


@pytest.mark.parametrize("f", [make_vjp(), make_jvp()], ids=["vjp", "jvp"])
class TestOwnDerivative:
    def test_value(self, f):
        np.testing.assert_allclose(f(X, 2.0), 2 * np.sin(X))
        np.testing.assert_allclose(f(X, y=2.0), 2 * np.sin(X))

    def test_both_modes(self, f):
        gx, gy = pb.grad(lambda x, y: pb.sum(f(x, y)), argnums=(0, 1))(X, 2.0)
        np.testing.assert_allclose(gx, 20 * np.cos(X))
        np.testing.assert_allclose(gy, np.sin(X).sum())
        value, tangent = pb.jvp(f, (X, 2.0), (np.ones(3), 1.0))
        np.testing.assert_allclose(value, 2 * np.sin(X))
        np.testing.assert_allclose(tangent, 20 * np.cos(X) + np.sin(X))
        np.testing.assert_allclose(pb.jacfwd(f)(X, 2.0), np.diag(20 * np.cos(X)), atol=1e-15)
        np.testing.assert_allclose(pb.jacrev(f)(X, 2.0), np.diag(20 * np.cos(X)), atol=1e-15)

    def test_second_order_differentiates_the_rule(self, f):
        second = pb.grad(pb.grad(lambda x: f(x, 2.0)))(0.3)
        assert second == pytest.approx(-20 * np.sin(0.3))
        mixed = pb.grad(lambda y: pb.grad(lambda x: f(x, y))(0.3))(2.0)
        assert mixed == pytest.approx(10 * np.cos(0.3))

    def test_batched(self, f):
        np.testing.assert_allclose(pb.vmap(pb.grad(f), (0, None))(X, 2.0), 20 * np.cos(X))
        whole = pb.grad(lambda x, y: pb.sum(pb.vmap(f, (0, None))(x, y)), argnums=(0, 1))(X, 2.0)
        np.testing.assert_allclose(whole[0], 20 * np.cos(X))
        np.testing.assert_allclose(whole[1], np.sin(X).sum())
        np.testing.assert_allclose(pb.jvp(pb.vmap(f), (X, X), (X, 0 * X))[1], 10 * np.cos(X) * X * X)
        np.testing.assert_allclose(pb.jacfwd(lambda x: pb.vmap(pb.vmap(f, (None, 0)), (0, None))(x, X))(X),
                                   10 * np.einsum("i,j,ik->ijk", np.cos(X), X, np.eye(3)), atol=1e-15)

    def test_in_a_loop_and_a_branch(self, f):
        def loop(x):
            return pb.fori_loop(0, 2, lambda i, s: f(s, 1.0), x)
        inner = np.sin(0.3)
        assert pb.grad(loop)(0.3) == pytest.approx(100 * np.cos(0.3) * np.cos(inner))
        branch = pb.grad(lambda x: pb.cond(x > 0, lambda y: f(y, 1.0), lambda y: y, x))
        assert branch(0.3) == pytest.approx(10 * np.cos(0.3))
        assert pb.compile(loop)(0.3) == pytest.approx(np.sin(inner))

    def test_expressions_without_types(self, f):
        x = pb.Var("x")
        g = pb.compile(pb.grad(pb.sum(f(x, 2.0) ** 2), x))
        np.testing.assert_allclose(g(x=X), 2 * 2 * np.sin(X) * 20 * np.cos(X))


def test_nests_none_and_arguments_that_are_not_differentiated():
    def scaled(power, p, n):
        return {"a": p["x"] ** power * n, "b": p["y"]}
    f = pb.custom_vjp(scaled, nondiff_argnums=(0,))
    f.defvjp(lambda power, p, n: (f(power, p, n), p["x"]),
             lambda power, x, g: ({"x": 100.0 * power * g["a"], "y": 0 * x}, None))
    found = pb.grad(lambda p: pb.sum(f(3, p, 2)["a"]) + pb.sum(f(3, p, 2)["b"]))({"x": X, "y": X})
    np.testing.assert_allclose(found["x"], np.full(3, 300.0))
    np.testing.assert_allclose(found["y"], np.zeros(3))


def test_rules_by_argument():
    @pb.custom_jvp
    def f(x, y):
        return x * y
    f.defjvps(lambda t, result, x, y: 7.0 * t, None)
    gx, gy = pb.grad(f, argnums=(0, 1))(2.0, 3.0)
    assert (gx, gy) == (7.0, 0.0)


def test_words():
    bare = pb.custom_vjp(lambda x: x)
    with pytest.raises(pb.PullbackError, match="defvjp"):
        bare(1.0)
    bare.defvjp(lambda x: (x, None), lambda _, g: g)
    with pytest.raises(pb.PullbackError, match="returns a tuple with a cotangent for each of its 1 arguments"):
        pb.grad(bare)(1.0)

    def outer(x):
        f = pb.custom_vjp(lambda y: x * y)
        f.defvjp(lambda y: (f(y), y), lambda y, g: (g,))
        return f(2.0) + f(x)
    with pytest.raises(pb.NotDifferentiable, match="pass it as an argument"):
        pb.grad(outer)(1.0)


# ---- recomputation --------------------------------------------------------------------------------------------------
def deep(x, w):
    for _ in range(3):
        x = pb.tanh(w @ x)
    return pb.sum(x * x)


def test_checkpoint_has_the_same_values_and_derivatives():
    w = np.arange(9.0).reshape(3, 3) / 9
    kept = pb.checkpoint(deep)
    assert kept(X, w) == pytest.approx(pb.compile(deep)(X, w), rel=1e-14)
    for a, b in zip(pb.grad(kept, argnums=(0, 1))(X, w), pb.grad(deep, argnums=(0, 1))(X, w), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(pb.hessian(kept)(X, w), pb.hessian(deep)(X, w), rtol=1e-10)
    np.testing.assert_allclose(pb.vmap(pb.grad(kept), (0, None))(np.eye(3), w),
                               pb.vmap(pb.grad(deep), (0, None))(np.eye(3), w), rtol=1e-12)
    closed = pb.grad(lambda w: pb.checkpoint(lambda x: deep(x, w))(X))(w)
    np.testing.assert_allclose(closed, pb.grad(deep, argnums=1)(X, w), rtol=1e-12)
    named = pb.grad(lambda x: kept(x, w=w))(X)
    np.testing.assert_allclose(named, pb.grad(deep)(X, w), rtol=1e-12)


def test_checkpoint_computes_again():
    def twice(f):
        return pb.compile(pb.value_and_grad(f)).lower(X).as_text("graph")
    plain = twice(lambda x: pb.sum(pb.exp(pb.sin(x))))
    again = twice(pb.checkpoint(lambda x: pb.sum(pb.exp(pb.sin(x)))))
    assert plain.count("exp") == 1 and "branch" not in plain
    assert again.count("branch") == 2 and "exp" not in again        # the value, and the value and its slope again


def test_checkpoint_in_expressions():
    x = pb.Var("x")
    y = pb.checkpoint(lambda a: pb.sum(pb.sin(a)))(x)
    np.testing.assert_allclose(pb.compile(pb.grad(y, x))(x=X), np.cos(X))
