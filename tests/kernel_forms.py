"""Every form of kernel as a function of a module, NumPy or pullback, with the numbers that it takes and shapes around
the sizes of warps and blocks."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np

import pullback as pb

FLOATS, REALS = ("float32", "float64"), ("float32", "float64", "int32")
INTEGERS = ("int8", "uint8", "int16", "uint16", "uint32", "int64", "uint64")
NUMBERS, ALL = (*REALS, "complex64", "complex128"), (*REALS, "bool", "complex64", "complex128")
LINE = [(0,), (1,), (31,), (33,), (255,), (257,), (1023,), (4097,)]
PLANE = [(0, 5), (5, 0), (1, 1), (1, 33), (31, 1), (33, 257), (257, 31), (3, 1023), (1023, 3)]
SOME = [shape for shape in PLANE if 0 not in shape]      # of what has no meaning for no elements


def softmax(m, x):
    e = m.exp(x - m.max(x, axis=1, keepdims=True))
    return e / m.sum(e, axis=1, keepdims=True)


def layer_norm(m, x):
    centred = x - m.mean(x, axis=1, keepdims=True)
    return centred / m.sqrt(m.mean(centred * centred, axis=1, keepdims=True) + 1)


def smoothed(m, x):
    return 2 * x - m.roll(x, 1, axis=1) - m.roll(x, -1, axis=0)


def bordered(m, x):
    return m.concatenate([x[:1], x[1:] - x[:-1]], axis=0) if m is np else x - pb.where(
        pb.arange(x.shape[0])[:, None] > 0, pb.shift(x, -1, 0, boundary="nearest"), 0 * x)


def scattered(m, x):
    """Places that repeat, in an order of their own."""
    count = x.shape[0]
    if m is np:
        out, place = np.zeros_like(x), (np.arange(count) * 7 + 3) % max(1, count // 2)
        np.add.at(out, place, x)
        return out
    place = (pb.arange(count) * 7 + 3) % pb.maximum(1, count // 2)
    return (x * 0).at[place].add(x)


def gradient_of_softmax(m, x):
    """Of the sum of squares of every row's softmax."""
    if m is np:
        s = softmax(np, x)
        return 2 * s * (s - np.sum(s * s, axis=1, keepdims=True))
    return pb.grad(lambda z: pb.sum(softmax(pb, z) ** 2))(x)


def gradient_of_pairs(m, x):
    if m is np:
        return 2 * np.sum(np.sign(x[:, None] - x[None, :]), axis=1)
    return pb.grad(lambda z: pb.sum(abs(z[:, None] - z[None, :])))(x)


def gradient_of_gather(m, x):
    """Places that repeat, so that their derivatives add up."""
    if m is np:
        return 3 * x**2 * np.bincount(np.arange(len(x)) * 7 % max(1, len(x) // 2), minlength=len(x)).astype(x.dtype)
    return pb.grad(lambda z: pb.sum(z[pb.arange(z.shape[0]) * 7 % pb.maximum(1, z.shape[0] // 2)] ** 3))(x)


def value_and_gradient(m, x):
    """One sweep: partial results of chunks beside a result for each element."""
    if m is np:
        return np.sum(np.sin(x) * x), np.cos(x) * x + np.sin(x)
    return pb.value_and_grad(lambda z: pb.sum(pb.sin(z) * z))(x)


def steps(m, x):
    """A loop whose turns do the same to every lane."""
    if m is np:
        for _ in range(5):
            x = x * 0.5 + np.cos(x)
        return x
    return pb.fori_loop(0, 5, lambda i, s: s * 0.5 + pb.cos(s), x)


def scanned(m, x):
    """A state of a row, a turn for each of them."""
    if m is np:
        state, sums = np.zeros_like(x[0]), []
        for row in x:
            state = state * row.dtype.type(0.5) + row
            sums.append(state.sum())
        return state, np.array(sums, x.dtype)
    return pb.scan(lambda s, row: (s * 0.5 + row, pb.sum(s * 0.5 + row)), x[0] * 0, x)


def systems(m, x):
    """A small system of equations for each row."""
    one = m.ones_like(x)
    matrices = m.stack([m.stack([x + 3, one], axis=-1), m.stack([one, x * x + 2], axis=-1)], axis=-2)
    return m.linalg.solve(matrices, m.stack([x, one], axis=-1)[..., None])[..., 0]


# name: function of a module and an array, the numbers that it takes, the shapes
FORMS = {
    "pointwise": (lambda m, x: x * x + x, NUMBERS, LINE),
    "pointwise, transcendental": (lambda m, x: m.exp(-x * x) * m.sin(x), (*FLOATS, "complex128"), LINE),
    "pointwise, truth": (lambda m, x: m.logical_xor(x, m.logical_not(x[::-1])), ("bool", "int32"), LINE),
    "broadcast": (lambda m, x: x[:, None] + x[None, :40], ALL, LINE[:6]),
    "reversed with a step": (lambda m, x: x[::-2] + x[::-2], ALL, LINE),
    "transpose": (lambda m, x: m.transpose(x) + m.transpose(x), (*ALL, "int8", "uint64"), PLANE),
    "reshape": (lambda m, x: m.reshape(m.transpose(x), (-1,)), ALL, SOME),
    "concatenate": (lambda m, x: m.concatenate([x, x[:, ::-1], x], axis=1), ALL, PLANE),
    "full sum": (lambda m, x: (m.sum(x), m.sum(x * x)), NUMBERS, LINE),
    "full extremes": (lambda m, x: (m.max(x), m.min(x), m.argmax(x)), (*REALS, *INTEGERS), LINE[1:]),
    "any and all": (lambda m, x: (m.any(x), m.all(x), m.sum(x)), ("bool",), LINE),
    "row sum": (lambda m, x: (m.sum(x, axis=1), m.prod(x, axis=1)), NUMBERS, PLANE),
    "row extremes": (lambda m, x: (m.max(x, axis=1), m.argmin(x, axis=1)), (*REALS, *INTEGERS), SOME),
    "column sum": (lambda m, x: m.sum(x, axis=0), (*ALL, "int8", "uint8"), PLANE),
    "column extremes": (lambda m, x: (m.max(x, axis=0), m.argmax(x, axis=0)), REALS, SOME),
    "softmax": (softmax, FLOATS, SOME),
    "layer norm": (layer_norm, FLOATS, SOME),
    "cumulative along rows": (lambda m, x: m.cumsum(x, axis=1), NUMBERS, PLANE),
    "cumulative down columns": (lambda m, x: m.cumsum(x, axis=0), NUMBERS, PLANE),
    "stencil, periodic": (smoothed, REALS, SOME),
    "stencil, bordered": (bordered, REALS, SOME),
    "gather": (lambda m, x: x[(m.arange(x.shape[0]) * 5) % x.shape[0]], ALL, LINE[1:]),
    "scatter": (scattered, REALS, LINE[1:]),
    "scatter of rows": (scattered, FLOATS, SOME),
    "pairs": (lambda m, x: m.sum(abs(x[:, None] - x[None, :]), axis=1), REALS, LINE[:6]),
    "pairs of rows": (lambda m, x: m.sum((x[:, None, :] - x[None, :9, :]) ** 2, axis=2), FLOATS, SOME[:5]),
    "value and gradient": (value_and_gradient, FLOATS, LINE),
    "gradient of softmax": (gradient_of_softmax, FLOATS, SOME),
    "gradient of pairs": (gradient_of_pairs, FLOATS, LINE[1:6]),
    "gradient of gather": (gradient_of_gather, FLOATS, LINE[1:6]),
    "lanes": (steps, FLOATS, LINE),
    "scan": (scanned, FLOATS, SOME),
    "small systems": (systems, FLOATS, LINE),
}
CASES = [(name, dtype) for name, (_, dtypes, _) in FORMS.items() for dtype in dtypes]


@cache
def array(dtype, shape):
    """Numbers of a size at which sums and products of thousands keep their digits."""
    r = np.random.default_rng([len(shape), *shape])
    values = r.uniform(-1, 1, shape) + (1j * r.uniform(-1, 1, shape) if dtype.startswith("complex") else 0)
    if dtype == "bool":
        return values > 0.3
    return np.rint(np.abs(values) * 9 if dtype.startswith("u") else values * 9).astype(dtype) if "int" in dtype else (
        values.astype(dtype))


def assert_right(name, x, got):
    """`got`, arrays, are what NumPy computes."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        want = FORMS[name][0](np, x)
    for a, b in zip(got, want if isinstance(want, tuple) else (want,), strict=True):
        b = np.asarray(b)
        assert a.size == b.size and a.dtype == b.dtype, (x.shape, a.dtype, b.dtype)
        close = 2e-4 if a.dtype in (np.float32, np.complex64) else 1e-9
        np.testing.assert_allclose(a.reshape(b.shape), b, rtol=close, atol=close, err_msg=str(x.shape))
