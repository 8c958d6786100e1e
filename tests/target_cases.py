"""Programs that every target must compute as the reference does: name -> (function, arrays)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from expressions import cross_entropy, fn, gradient, layer_norm, softmax  # noqa: E402

from pullback.dsl.control import fori_loop  # noqa: E402
from pullback.dsl.functional import grad  # noqa: E402

Cases = dict[str, tuple[Callable, list[np.ndarray]]]
R = np.random.default_rng(11)


def normal(*shape: int, dtype: str = "float64") -> np.ndarray:
    return R.normal(size=shape).astype(dtype)


def positive(*shape: int) -> np.ndarray:
    return R.uniform(0.5, 1.5, size=shape)


def integers(high: int, *shape: int, low: int = 0, dtype: str = "int64") -> np.ndarray:
    return R.integers(low, high, size=shape).astype(dtype)


CUBE = normal(3, 5, 7)
X, Y = normal(17, 33), normal(17, 33)


def standardised_columns(x):
    return (x - fn.mean(x, axis=0)) / fn.std(x, axis=0)


def folds_of(x):
    """Reductions over every subset of the axes of a cube, several kinds each."""
    results = []
    for count in (1, 2, 3):
        for axes in combinations(range(3), count):
            results += [fn.sum(x, axis=axes), fn.max(x, axis=axes), fn.min(x * x, axis=axes), fn.prod(x, axis=axes)]
    return tuple(results)


def means_of(x):
    return tuple(f(x, axis=axes, keepdims=True) for axes in ((0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2))
                 for f in (fn.mean, fn.var, fn.std))


def bools_of(x):
    return tuple(f(x > 0.5, axis=axes) for axes in (0, 1, 2, (0, 1), (0, 2), None) for f in (fn.any, fn.all, fn.sum))


def places_of(x):
    found = [f(x, axis=axis) for axis in (0, 1, 2) for f in (fn.argmax, fn.argmin)]
    return (*found, fn.argmax(x), fn.argmin(x))


def running_folds(x):
    """Cumulative sums and products along every axis, from both ends."""
    return tuple(f(g(x, axis=axis), axis=axis) for axis in (0, 1, 2) for f in (fn.cumsum, fn.cumprod)
                 for g in (lambda v, axis: v, fn.flip))


SHEAR = np.array([[1.0, 0.5], [-0.2, 2.0]])


def mixture(x, centre, scale):
    """Log-density of curves (x, sin x) under Gaussians with a centre and a shear each."""
    apart = fn.stack([x, fn.sin(x)], axis=1)[:, None, :] - fn.stack([centre, centre * centre], axis=1)
    z = fn.einsum("kij,nkj->nki", fn.exp(scale)[:, None, None] * SHEAR, apart)
    return fn.logsumexp(scale - 0.5 * fn.sum(z * z, axis=2), axis=1)


REDUCTIONS: Cases = {
    "every subset of axes": (folds_of, [CUBE]),
    "every subset of axes, float32": (folds_of, [CUBE.astype("float32")]),
    "every subset of axes, int32": (folds_of, [integers(4, 3, 5, 7, low=-3, dtype="int32")]),
    "means, variances": (means_of, [CUBE]),
    "of bools": (bools_of, [CUBE]),
    "places": (places_of, [CUBE]),
    "places of ties": (places_of, [integers(3, 3, 5, 7)]),
    "long vector": (lambda x: (fn.sum(x), fn.mean(x), fn.max(x), fn.sum(x * x), fn.logsumexp(x)), [normal(100_003)]),
    "tall matrix": (lambda x: (fn.sum(x, axis=0), fn.sum(x, axis=1), fn.sum(x)), [normal(20_011, 3)]),
    "wide matrix": (lambda x: (fn.sum(x, axis=0), fn.sum(x, axis=1), fn.sum(x)), [normal(3, 20_011)]),
    "nothing": (lambda x: (fn.sum(x, axis=0), fn.sum(x, axis=1), fn.prod(x), fn.all(x > 0), fn.any(x > 0)),
                [np.zeros((0, 5))]),
    "one element": (lambda x: (fn.sum(x), fn.max(x, axis=0), fn.cumsum(x, axis=0), fn.std(x)), [normal(1, 1)]),
    "cumulative": (running_folds, [CUBE]),
    "NaN wins": (lambda x: (fn.max(x, axis=0), fn.min(x, axis=1), fn.max(x)),
                 [np.array([[1.0, np.nan, 3.0], [-np.inf, 2.0, np.inf]])]),
    "all infinite": (lambda x: (fn.logsumexp(x, axis=1), fn.max(x, axis=1)), [np.full((2, 3), -np.inf)]),
}

ROW_PROGRAMS: Cases = {
    "softmax": (softmax, [X]),
    "softmax of one column": (softmax, [normal(9, 1)]),
    "softmax of no rows": (softmax, [np.zeros((0, 4))]),
    "softmax of float32": (softmax, [X.astype("float32")]),
    "layer norm": (layer_norm, [X, Y]),
    "logsumexp": (lambda x: (fn.logsumexp(x, axis=1), fn.logsumexp(x, axis=0), fn.logsumexp(x)), [X]),
    "standardised columns": (standardised_columns, [X]),
    "standardised twice": (lambda x: standardised_columns(standardised_columns(x) + 1), [X]),
    "softmax of a softmax": (lambda x: softmax(softmax(x) * 3), [X]),
    "columns beside pointwise": (lambda x, y: (x * y, fn.sum(x * y, axis=0), fn.sum(x * y, axis=1), fn.sum(x * y)),
                                 [X, Y]),
    "rows feed columns": (lambda x: fn.sum(x / fn.sum(x * x, axis=1, keepdims=True), axis=0), [X]),
    "columns feed rows": (lambda x: fn.sum(x / fn.sum(x * x, axis=0), axis=1), [X]),
    "total feeds all": (lambda x: x / fn.sum(x * x) + fn.max(x), [X]),
    "max minus min of rows": (lambda x: fn.sum((fn.max(x, axis=1) - fn.min(x, axis=1)) ** 2), [X]),
    "rank three": (lambda x: (x - fn.mean(x, axis=2, keepdims=True)) / fn.std(x, axis=(0, 2), keepdims=True), [CUBE]),
    "softmax in the middle": (lambda x: fn.exp(x) / fn.sum(fn.exp(x), axis=1, keepdims=True), [CUBE]),
    "pairs": (lambda x, y: fn.sum(fn.exp(-fn.abs(x[:, None] - y)), axis=1), [normal(33), normal(17)]),
    "pairs of points": (lambda x, y: fn.min(fn.sum((x[:, None, :] - y) ** 2, axis=2), axis=1),
                        [normal(33, 3), normal(17, 3)]),
}

STRUCTURE: Cases = {
    "0-d": (lambda x: (x, x + 1, fn.reshape(x, (1, 1)), fn.broadcast_to(x, (3, 2))), [np.array(2.5)]),
    "zero-size": (lambda x: (x + 1, fn.transpose(x), fn.reshape(x, (5, 0)), x[:, ::2]), [np.zeros((0, 5))]),
    "transposes": (lambda x: tuple(fn.transpose(x, p) * 2 for p in ((0, 2, 1), (1, 0, 2), (2, 0, 1), (2, 1, 0))),
                   [CUBE]),
    "broadcasts": (lambda x, y, z: (x + y[:, None] * z, x * y[:, None] - 1, x[:, 0][:, None] + z),
                   [X, normal(17), normal(33)]),
    "axes of one": (lambda x, y: (x * y, fn.sum(x * y, axis=0), x + x[0, 0]), [normal(1, 33), normal(17, 1)]),
    "slices": (lambda x: (x[1:], x[:-1], x[::3], x[::-1], x[5:1:-2], x[-4:, 3:30:7], x[40:], x[3], x[:, -1]), [X]),
    "slices of slices": (lambda x: (x[1:][::2][::-1], x[::-1][1:-1], x[2:, ::-2][:, 1:]), [X]),
    "flip, roll, tile, repeat": (lambda x: (fn.flip(x), fn.roll(x, 3, axis=0), fn.roll(x, -40, axis=1),
                                            fn.tile(x, (2, 1)), fn.repeat(x, 3, axis=0)), [normal(5, 7)]),
    "concatenate": (lambda x, y: (fn.concatenate([x, y, x[:1]], axis=0), fn.concatenate([x, y * 2], axis=1),
                                  fn.stack([x, y], axis=1), fn.sum(fn.concatenate([x, y], axis=1), axis=1)), [X, Y]),
    "concatenate nothing": (lambda x, y: fn.concatenate([x, y, x]), [np.zeros(0), normal(3)]),
    "pads": (lambda x: (fn.pad(x, 2), fn.pad(x, ((1, 0), (0, 3)), constant_values=7.0),
                        fn.sum(fn.pad(x, 1) ** 2, axis=0)), [normal(5, 7)]),
    "pads by mode": (lambda x: tuple(fn.pad(x, ((2, 1), (0, 3)), mode=m) for m in ("edge", "wrap", "reflect")),
                     [normal(5, 7)]),
    "reshapes that divide": (lambda x: (fn.reshape(x, (15, 7)) * 2, fn.reshape(x, (7, 15)) + 1,
                                        fn.reshape(fn.transpose(x), (-1,)), fn.reshape(x * 2, (5, 3, 7))[1]), [CUBE]),
    "reshape of a reduction": (lambda x: fn.sum(fn.reshape(fn.exp(x), (5, 21)), axis=1), [CUBE]),
    "diagonals, triangles": (lambda x: (fn.tril(x), fn.triu(x, 1), fn.trace(x), fn.diagonal(x)), [normal(5, 7)]),
    "differences": (lambda x: (fn.diff(x), x[1:] - x[:-1], x[2:] - 2 * x[1:-1] + x[:-2]), [normal(33)]),
    "created": (lambda x: (x + fn.arange(33), fn.ones_like(x) * 2, fn.zeros((4, 2)), fn.eye(3), fn.full((2,), 1.5)),
                [normal(17, 33)]),
    "casts": (lambda x: tuple(x.astype(t) for t in ("float32", "int32", "int8", "uint8", "int64", "bool", "float64")),
              [integers(100, 37)]),
    "results that are inputs": (lambda x, y: (x, y, x, x + y, x + y), [X, Y]),
    "constants": (lambda x: (x + np.arange(33.0), np.eye(17) @ x, fn.asarray(np.arange(6).reshape(2, 3)),
                             fn.asarray(2.0)), [X]),
}

INDEXING: Cases = {
    "gather": (lambda x, i: (x[i], x[:, i], x[i, i], x[i][:, i]), [X, integers(17, 11, low=-17)]),
    "gather by a matrix": (lambda x, i: (x[i], fn.sum(x[i], axis=2)), [X, integers(17, 3, 4)]),
    "gather of computed": (lambda x, i: (fn.exp(x) * 2)[i % 17], [X, integers(100, 40)]),
    "gather nothing": (lambda x, i: x[i], [X, np.zeros(0, np.int64)]),
    "take": (lambda x, i: (fn.take(x, i, axis=0), fn.take(x, i, axis=1), fn.take(x, i)), [X, integers(17, 5)]),
    "take_along_axis": (lambda x, i: fn.take_along_axis(x, i, axis=1), [X, integers(33, 17, 2)]),
    "masks": (lambda x: fn.where(x > 0, x, -2 * x), [X]),
    "scatter with duplicates": (lambda x, i, v: (x.at[i].add(v), x.at[i].max(v), x.at[i].min(v), x.at[i].multiply(v)),
                                [normal(5), integers(5, 50), normal(50)]),
    "the last of duplicates": (lambda x, i, v: x.at[i].set(v), [normal(5), integers(5, 50), normal(50)]),
    "scatter rows": (lambda x, i, v: (x.at[i].add(v), x.at[i].set(v)), [X, integers(17, 40), normal(40, 33)]),
    "scatter columns": (lambda x, i, v: x.at[:, i].add(v), [X, integers(33, 5), normal(17, 5)]),
    "scatter pairs": (lambda x, i, j, v: x.at[i, j].add(v), [X, integers(17, 60), integers(33, 60), normal(60)]),
    "scatter integers": (lambda x, i: x.at[i].add(1), [np.zeros(6, np.int64), integers(6, 100)]),
    "scatter then use": (lambda x, i, v: fn.sum(x.at[i].add(v) ** 2, axis=1), [X, integers(17, 40), normal(40, 33)]),
    "update a region": (lambda x, v: (x.at[2:7].set(v), x.at[1:11:2].add(v), x.at[10:0:-2].multiply(v),
                                      x.at[-5:].max(v), x.at[3].set(v[0])), [X, normal(5, 33)]),
    "update the inside": (lambda x: x.at[1:-1, 1:-1].set(x[2:, 1:-1] + x[:-2, 1:-1] + x[1:-1, 2:] + x[1:-1, :-2]), [X]),
    "update twice": (lambda x: x.at[::2].set(1.0).at[1::2].add(x[1::2] * 2).at[0].set(7.0), [normal(9)]),
}

CONTRACTIONS: Cases = {
    "matrix products": (lambda x, y: (x @ fn.transpose(y), fn.transpose(x) @ y, x @ fn.transpose(y) @ x), [X, Y]),
    "products of float32": (lambda x, y: x @ fn.transpose(y), [X.astype("float32"), Y.astype("float32")]),
    "vectors": (lambda x, v, u: (x @ v, u @ x, fn.dot(v, v), fn.outer(u, v), fn.vdot(u, u)),
                [X, normal(33), normal(17)]),
    "batches": (lambda x, y: (x @ y, x @ y[0], fn.einsum("bij,bjk->bik", x, y), fn.einsum("bij,bjk->ki", x, y)),
                [normal(4, 3, 5), normal(4, 5, 7)]),
    "batches of vectors": (lambda x, v: (fn.einsum("bij,bj->bi", x, v), fn.einsum("bij,bi->bj", x, v)),
                           [normal(4, 5, 5), normal(4, 5)]),
    "einsum": (lambda x, y: (fn.einsum("ij,kj->ik", x, y), fn.einsum("ij,ij->i", x, y), fn.einsum("ij->j", x),
                             fn.einsum("ij,ij->", x, y), fn.einsum("ij,kl->", x, y)), [X, Y]),
    "tensordot": (lambda x, y: (fn.tensordot(x, y, axes=2), fn.tensordot(x, y, axes=([0, 1], [1, 0]))),
                  [normal(5, 5), normal(5, 5)]),
    "integers": (lambda x, y: (x @ fn.transpose(y), x @ x[0]), [integers(9, 5, 7, low=-9), integers(9, 4, 7, low=-9)]),
    "bools": (lambda x, y: (x > 0) @ fn.transpose(y > 0), [normal(5, 7), normal(4, 7)]),
    "sums over nothing": (lambda x, y: x @ y, [np.zeros((3, 0)), np.zeros((0, 4))]),
    "empty products": (lambda x, y: x @ y, [np.zeros((0, 3)), np.ones((3, 4))]),
    "products that fuse": (lambda x, y: fn.tanh(x @ fn.transpose(y) + 1) * 2, [X, Y]),
    "triple": (lambda a, b, c: fn.einsum("ij,jk,kl->il", a, b, c), [normal(5, 7), normal(7, 3), normal(3, 9)]),
    "quadratic form": (lambda x, a: fn.einsum("bi,ij,bj->b", x, a, x), [normal(9, 5), normal(5, 5)]),
    "small": (lambda w, x: fn.tanh(x @ w), [normal(3, 2), normal(50, 3)]),
}


def jacobi(u):
    for _ in range(3):
        u = u.at[1:-1].set(0.5 * (u[2:] + u[:-2]))
    return u


def recurrent(w, x):
    h = fn.tanh(x[0] @ w)
    for k in (1, 2, 3):
        h = fn.tanh(h @ w + x[k])
    return h


GRADIENTS: Cases = {
    "elementwise loss": (gradient(lambda x, y: fn.exp(-x * x) * fn.sin(y) + fn.log(1 + y * y) * fn.tanh(x), 2), [X, Y]),
    "softmax": (gradient(lambda x, y: softmax(x) * y, 2), [X, Y]),
    "layer norm": (gradient(layer_norm, 2), [X, Y]),
    "regression": (gradient(cross_entropy, 2), [normal(10, 33), normal(10), X, np.eye(10)[integers(10, 17)]]),
    "standardised columns": (gradient(lambda x, y: standardised_columns(x) * y, 2), [X, Y]),
    "reductions": (gradient(lambda x: fn.max(x, axis=1) ** 2 * fn.min(x, axis=1) + fn.prod(x[:, :3], axis=1)), [X]),
    "ties": (gradient(lambda x: fn.max(x, axis=1)), [np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]])]),
    "norms": (gradient(lambda x: fn.sqrt(fn.sum(x * x, axis=1))), [X]),
    "std": (gradient(lambda x: fn.std(x, axis=0)), [X]),
    "cumulative": (gradient(lambda x, y: fn.cumsum(x, axis=0) * fn.cumprod(y, axis=1), 2), [CUBE[0], CUBE[1]]),
    "slices": (gradient(lambda x: fn.sum(x[1:11:3, ::-1] ** 2) + fn.sum(x[:-1] * x[1:])), [X]),
    "pads": (gradient(lambda x: fn.pad(x, 1) ** 3), [X]),
    "concatenations": (gradient(lambda x, y: fn.concatenate([x, y]) ** 2, 2), [X, Y]),
    "gather": (gradient(lambda x, i: fn.sin(x[i]) * x[i]), [X, integers(17, 40)]),
    "scatter": (gradient(lambda x, v, i: x.at[i].add(v) ** 2, 2), [normal(5), normal(50), integers(5, 50)]),
    "scatter set": (gradient(lambda x, v, i: x.at[i].set(v) ** 2, 2), [normal(5), normal(50), integers(5, 50)]),
    "regions": (gradient(jacobi), [normal(33)]),
    "products": (gradient(lambda x, y: fn.tanh(x @ fn.transpose(y)), 2), [X, Y]),
    "batched products": (gradient(lambda x, y: (x @ y) ** 2, 2), [normal(4, 3, 5), normal(4, 5, 7)]),
    "recurrent net": (gradient(recurrent, 2), [normal(5, 5), normal(4, 3, 5)]),
    "pairs": (gradient(lambda x, y: fn.exp(-(x[:, None] - y) ** 2), 2), [normal(33), normal(17)]),
    "a mixture": (gradient(mixture, 3), [normal(23), normal(5), normal(5)]),
    "a mixture of many": (gradient(mixture, 3), [normal(9), normal(19), normal(19)]),
    "pairs of points": (gradient(lambda x, y: fn.logsumexp(-fn.sum((x[:, None, :] - y) ** 2, axis=2), axis=1), 2),
                        [normal(33, 3), normal(17, 3)]),
    "pairs with many coordinates": (gradient(lambda x, y: fn.exp(-0.1 * fn.sum((x[:, None] - y) ** 2, axis=2)), 2),
                                    [normal(9, 40), normal(6, 40)]),
    "farthest pairs": (gradient(lambda x, y: fn.max(fn.sum((x[:, None] - y) ** 2, axis=2), axis=1), 2),
                       [normal(9, 20), normal(6, 20)]),
    "where": (gradient(lambda x: fn.where(x > 0, fn.sqrt(x), x)), [X]),
    "second order": (lambda x: grad(lambda z: fn.sum(grad(lambda u: fn.sum(fn.sin(u) * u))(z) ** 2))(x), [X]),
    "second order of a softmax": (lambda x: grad(lambda z: fn.sum(grad(lambda u: fn.sum(softmax(u) ** 2))(z) ** 2))(x),
                                  [X]),
    "float32": (gradient(lambda x, y: softmax(x) * y, 2), [X.astype("float32"), Y.astype("float32")]),
}

def complex_normal(*shape: int, dtype: str = "complex128") -> np.ndarray:
    return (normal(*shape) + 1j * normal(*shape)).astype(dtype)


def complex_rows(z, w):
    return (z + w, z - w * 2, z * w, z / w, -z, fn.exp(z), fn.log(z), fn.sqrt(z), fn.sin(z), fn.cos(z), fn.tan(z),
            fn.sinh(z), fn.cosh(z), fn.tanh(z), z ** 3, z ** w, fn.abs(z), fn.angle(z), fn.conj(z), z == w)


def rotations(z, v):
    def turn(k, state):
        return fn.exp(-0.1j * v) * state + 0.01 * z[k]

    return fori_loop(0, z.shape[0], turn, z[0])


Z, W = complex_normal(17, 33), complex_normal(17, 33)
COMPLEX: Cases = {
    "rows": (complex_rows, [Z, W]),
    "rows of complex64": (complex_rows, [Z.astype("complex64"), W.astype("complex64")]),
    "folds": (lambda z: (fn.sum(z), fn.sum(z, axis=0), fn.sum(z, axis=1), fn.mean(z), fn.prod(z, axis=0),
                         fn.cumsum(z, axis=1), fn.cumprod(z, axis=0), fn.var(z, axis=0)), [Z[:5, :7]]),
    "structure": (lambda z, w: (z, fn.transpose(z), z[::2, ::-1], fn.concatenate([z, w * 1j]), fn.pad(z, 1),
                                z.at[1:3].set(0).at[:, 0].add(w[:, 0]).at[4].multiply(1j), z[:0]), [Z, W]),
    "indexing": (lambda z, i: (z[i], z.at[i].set(2j), z.at[i].add(1 + 1j)), [Z, integers(17, 9)]),
    "products": (lambda z, w, x: (z @ fn.transpose(w), x @ fn.transpose(z), fn.einsum("ij,ij->i", z, w)), [Z, W, X]),
    "captured": (lambda z: (z * Z, fn.asarray(W), z * (2 - 1j)), [Z]),
    "real in between": (lambda z: (fn.sum(fn.abs(z) ** 2, axis=1), fn.real(z) * 2, fn.imag(z)[:, 0]), [Z]),
    "loop": (rotations, [Z, X[0]]),
    "gradient": (gradient(lambda z, w: fn.abs(fn.exp(z) * w) ** 2 + fn.real(z / w), 2), [Z, W]),
    "gradient of a loop": (gradient(lambda z, v: fn.abs(rotations(z, v)) ** 2, 2), [Z, X[0]]),
}

CASES: Cases = {f"{group}: {name}": case for group, cases in (
    ("reduction", REDUCTIONS), ("rows", ROW_PROGRAMS), ("structure", STRUCTURE), ("indexing", INDEXING),
    ("contraction", CONTRACTIONS), ("gradient", GRADIENTS), ("complex", COMPLEX)) for name, case in cases.items()}
