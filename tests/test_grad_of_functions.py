"""Gradients and Hessians of the public array functions, compiled with sizes left open, against finite differences."""

import numpy as np
import pytest

import pullback as pb

RNG = np.random.default_rng(3)


def numbers(*shape):
    return RNG.normal(size=shape) + 0.1


def index(*values):
    return np.array(values)


X, V, M = numbers(3, 4), numbers(4), numbers(4, 4)
POSITIVE = np.abs(numbers(3, 4)) + 0.5

def softmax(x):
    e = pb.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


FUNCTIONS = {
    "sum": (lambda x: pb.sum(x, axis=0) ** 2, X),
    "prod": (lambda x: pb.prod(x, axis=1), X),
    "max": (lambda x: pb.max(x, axis=1) ** 2, X),
    "min": (lambda x: pb.min(x) ** 2, X),
    "mean": (lambda x: pb.mean(x, axis=0, keepdims=True) * x, X),
    "var": (lambda x: pb.var(x, axis=1), X),
    "std": (lambda x: pb.std(x, axis=1, ddof=1), X),
    "logsumexp": (lambda x: pb.logsumexp(x, axis=1) ** 2, X),
    "cumsum": (lambda x: pb.cumsum(x, axis=1) ** 2, X),
    "cumprod": (lambda x: pb.cumprod(x, axis=1), X),
    "matmul": (lambda x, m: (x @ m) ** 2, X, M),
    "matmul of vectors": (lambda v, m: (v @ m) @ v, V, M),
    "matmul of batches": (lambda a, b: pb.sin(a @ b), numbers(2, 3, 4), numbers(4, 2)),
    "einsum": (lambda x, m: pb.einsum("ij,jk,ik->k", x, m, x), X, M),
    "einsum of a diagonal": (lambda m: pb.einsum("ii->i", m) ** 2, M),
    "tensordot": (lambda x, m: pb.tensordot(x, m, 1) ** 2, X, M),
    "outer": (lambda v: pb.outer(v, v) ** 2, V),
    "reshape": (lambda x: pb.reshape(x, (2, -1)) ** 2, X),
    "transpose": (lambda x: x.T @ x, X),
    "concatenate": (lambda x, v: pb.concatenate([x, v[None], x * x], axis=0) ** 2, X, V),
    "stack": (lambda v: pb.stack([v, v * v], axis=1) ** 2, V),
    "pad": (lambda v: pb.pad(v, (2, 1), constant_values=1.0) ** 2, V),
    "pad wrap": (lambda v: pb.pad(v, (2, 1), mode="wrap") ** 2, V),
    "pad reflect": (lambda v: pb.pad(v, (2, 3), mode="reflect") ** 2, V),
    "pad edge": (lambda v: pb.pad(v, (2, 1), mode="edge") ** 2, V),
    "roll": (lambda v: pb.roll(v, 1) * v, V),
    "flip": (lambda x: pb.flip(x, 1) * x, X),
    "tile": (lambda v: pb.tile(v, 3) ** 2, V),
    "repeat": (lambda v: pb.repeat(v, 2) ** 2, V),
    "slices": (lambda x: x[1:, ::2] * x[:-1, 1::2], X),
    "negative steps": (lambda x: x[::-1, -2::-2] ** 2, X),
    "a row": (lambda x: x[-1] * x[0], X),
    "integer arrays": (lambda x: x[index(0, 2, 0), index(1, 1, 3)] ** 2, X),
    "repeated rows": (lambda x: x[index(2, 2, 0)] ** 2, X),
    "a mask": (lambda v: v[np.array([True, False, True, True])] ** 2, V),
    "take": (lambda x: pb.take(x, index(3, 0, 3), axis=1) ** 2, X),
    "at set": (lambda x, v: x.at[1].set(v * v) ** 2, X, V),
    "at set with duplicates": (lambda v: v.at[index(1, 1, 2)].set(pb.sin(v[:3])) ** 2, V),
    "at add": (lambda x, v: x.at[index(1, 1), index(0, 0)].add(v[:2]) ** 2, X, V),
    "at multiply": (lambda x, v: x.at[0, 1:].multiply(v[1:]) ** 2, X, V),
    "at max": (lambda x, v: x.at[index(0, 2)].max(v) ** 2, X, V),
    "where": (lambda x: pb.where(x > 0, pb.sqrt(x), x * x), X),
    "clip": (lambda x: pb.clip(x, -0.5, 0.5) ** 2, X),
    "maximum": (lambda x, v: pb.maximum(x, v) ** 2, X, V),
    "powers": (lambda x: x**3 + x**0.5 + 2**x, POSITIVE),
    "norm": (lambda x: pb.sqrt(pb.sum(x * x, axis=1)), X),
    "softmax": (softmax, X),
    "broadcasting": (lambda x, v: (x[:, None, :] - v[None, :, None]) ** 2 / (1 + v * v), X, V),
    "diagonal": (lambda m: pb.diagonal(m) * pb.trace(m), M),
    "triangles": (lambda m: pb.tril(m) @ pb.triu(m), M),
    "argmax as index": (lambda v: v[pb.argmax(v)] ** 2 * v, V),
    "size of an axis": (lambda x: x.sum() / x.shape[0] * x, X),
}


def weigh(result):
    """A scalar that sees every element of `result` differently."""
    return pb.sum(pb.cos(0.7 * pb.arange(result.size) + 0.2).reshape(result.shape) * result)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient_and_hessian(name):
    function, *values = FUNCTIONS[name]
    places = tuple(range(len(values)))

    def loss(*args):
        return weigh(function(*args))

    def slope(*args):
        return pb.grad(loss, places)(*args)

    def along(values, vectors):
        return pb.hvp(loss, tuple(values), tuple(vectors))

    value, gradient = pb.compile(loss), pb.compile(slope)
    vectors = [RNG.normal(size=v.shape) for v in values]
    found = gradient(*values)
    step = 1e-6
    ahead, behind = ([v + s * step * t for v, t in zip(values, vectors, strict=True)] for s in (1, -1))
    directional = sum(np.sum(g * t) for g, t in zip(found, vectors, strict=True))
    assert directional == pytest.approx((value(*ahead) - value(*behind)) / (2 * step), rel=1e-6, abs=1e-7)
    second = pb.compile(along)(values, vectors)
    second = second if isinstance(second, tuple) else (second,)
    for h, a, b in zip(second, gradient(*ahead), gradient(*behind), strict=True):
        np.testing.assert_allclose(h, (a - b) / (2 * step), rtol=1e-5, atol=1e-6)


def test_a_variable_whose_shape_is_declared_is_an_argument():
    """Its dtype is not known yet: the derivative shows what it is, and becomes it when the dtype is."""
    x = pb.Var("x", ("n",))
    slope = pb.grad(lambda x: pb.sum(x * x))(x)
    assert repr(slope) == repr(pb.grad(pb.sum(x * x), x)) == "2*x"
    np.testing.assert_array_equal(pb.compile(slope)(x=np.arange(3.0)), [0.0, 2.0, 4.0])
