"""Functions of arrays, traced and planned: what the CUDA texts are checked on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np

import pullback as pb
from pullback.codegen.plan import plan
from pullback.codegen.program import Program
from pullback.dsl.functional import grad, value_and_grad
from pullback.dsl.node import FUNCTIONS
from pullback.dsl.trace import Traced, trace
from pullback.kernels import reference
from pullback.kernels.inputs import ready

fn = SimpleNamespace(**FUNCTIONS)
r = np.random.default_rng(0)
A, B, V = r.normal(size=(37, 50)), r.normal(size=(37, 50)), r.normal(size=50)
CUBE, LONG, SHORT = r.uniform(0.1, 2, size=(6, 7, 8)), r.normal(size=5000), r.normal(size=40)
INDEX = r.integers(-37, 37, size=11)
ONE_HOT, WEIGHTS = np.eye(10)[r.integers(0, 10, 37)], r.normal(size=(10, 50)) * 0.1


def traced(function: Callable, arrays: Sequence[np.ndarray]) -> Traced:
    """The typed graph of `function` for arrays like these."""
    names = [f"x{i}" for i in range(len(arrays))]
    given = [ready(a, n)[1] for a, n in zip(arrays, names, strict=True)]
    return trace(lambda leaves: function(*leaves), names, [g.kind for g in given], [g.shape for g in given])


def planned(graph: Traced) -> Program:
    return plan(graph.outputs, graph.inputs)


def inputs_of(graph: Traced, arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], dict[str, int]]:
    """Arrays in memory order, and the sizes that they give."""
    found = [ready(a, "x")[0] for a in arrays]
    return found, graph.sizes_of([a.shape for a in found])


def expected(graph: Traced, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What the reference target computes."""
    found, sizes = inputs_of(graph, arrays)
    return reference.evaluate(graph.outputs, dict(zip(graph.inputs, found, strict=True)), sizes)


def softmax(x):
    e = fn.exp(x - fn.max(x, axis=1, keepdims=True))
    return e / fn.sum(e, axis=1, keepdims=True)


def cross_entropy(w, b, x, y):
    z = x @ fn.transpose(w) + b
    return fn.mean(fn.logsumexp(z, axis=1) - fn.sum(y * z, axis=1))


def layer_norm(x, y):
    centred = x - fn.mean(x, axis=1, keepdims=True)
    return y * centred / fn.sqrt(fn.var(x, axis=1, keepdims=True) + 1e-5)


def gradient(function: Callable, count: int = 1) -> Callable:
    """Value and gradient of the sum of `function` with respect to its first `count` arguments."""
    return lambda *args: value_and_grad(lambda *xs: fn.sum(function(*xs)), argnums=tuple(range(count)))(*args)


VALUES: dict[str, tuple[Callable, list[np.ndarray]]] = {
    "pointwise": (lambda x, y: x * y + 1, [A, B]),
    "broadcast": (lambda x, y: x * y + 1, [A, V]),
    "outer": (lambda x, y: x[:, None] * y[None, :], [V, V]),
    "scalar": (lambda x: x * 2 + fn.sin(x), [np.float64(2.0)]),
    "full reduction": (lambda x: fn.sum(fn.exp(-x * x) * fn.sin(x)), [LONG]),
    "column reduction": (lambda x: (fn.sum(x, axis=0), fn.max(x, axis=0), fn.mean(x, axis=0)), [A]),
    "row reduction": (lambda x: (fn.sum(x, axis=1), fn.std(x, axis=1)), [A]),
    "outer reduction": (lambda x: fn.sum(x, axis=(0, 2)), [CUBE]),
    "inner reduction": (lambda x: fn.sum(x, axis=1), [CUBE]),
    "product": (lambda x: fn.prod(x, axis=2), [CUBE]),
    "any and all": (lambda x: (fn.any(x > 2, axis=0), fn.all(x < 5)), [A]),
    "argmax": (lambda x: (fn.argmax(x, axis=1), fn.argmin(x), fn.argmax(x, axis=0)), [A]),
    "logsumexp": (lambda x: (fn.logsumexp(x, axis=1), fn.logsumexp(x)), [A]),
    "softmax": (softmax, [A]),
    "softmax of float32": (softmax, [A.astype("float32")]),
    "layer_norm": (layer_norm, [A, B]),
    "pairs": (lambda x, y: fn.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=2), [A, B]),
    "kernel density": (lambda x, y: fn.logsumexp(-((x[:, None] - y[None, :]) ** 2), axis=1), [LONG[:300], LONG[:500]]),
    "transpose": (lambda x: fn.transpose(x) * 2, [A]),
    "matmul": (lambda x, y: x @ fn.transpose(y) + 1, [A, B]),
    "matrix times vector": (lambda x, y: x @ y + 1, [A, V]),
    "gather rows": (lambda x, i: x[i], [A, INDEX]),
    "gather columns": (lambda x, i: x[:, i], [A, INDEX]),
    "scatter rows": (lambda x, i: x.at[i].add(x[:11]), [A, INDEX]),
    "scatter elements": (
        lambda x, i: (x.at[i].set(i * 1.0), x.at[i].max(i * 0.1), x.at[i].add(x[:11])),
        [SHORT, INDEX],
    ),
    "cumsum": (lambda x: (fn.cumsum(x, axis=1), fn.cumsum(x, axis=0)), [A]),
    "cumprod": (lambda x: fn.cumprod(x, axis=1), [A]),
    "concatenate": (lambda x, y: fn.concatenate([x, y], axis=1), [A, B]),
    "slice": (lambda x: x[3:30:2, ::-1] * 2, [A]),
    "reshape": (lambda x: fn.reshape(x, (25, 74)) + 1, [A]),
    "flip": (lambda x: fn.flip(x, axis=0) + x, [A]),
    "tile": (lambda x: fn.tile(x, (2, 3)), [A[:4, :5]]),
    "repeat": (lambda x: fn.repeat(x, 3, axis=1), [A[:4, :5]]),
    "tril": (lambda x: fn.tril(x), [A]),
    "empty": (lambda x: (x * 2, fn.sum(x), fn.sum(x, axis=0)), [A[:0]]),
    "integers": (lambda i: (i // 3, i % 5, i << 2, i & 7, -i, abs(i)), [INDEX]),
    "bools": (lambda x: (x > 0, ~(x > 0), fn.sum(x > 0)), [A]),
}
GRADIENTS: dict[str, tuple[Callable, list[np.ndarray]]] = {
    "elementwise loss": (
        gradient(lambda x, y: fn.exp(-x * x) * fn.sin(y) + fn.log(1 + y * y) * fn.tanh(x), 2),
        [LONG, LONG[::-1].copy()],
    ),
    "softmax regression": (gradient(cross_entropy, 2), [WEIGHTS, np.zeros(10), A, ONE_HOT]),
    "row softmax loss": (gradient(lambda x, y: fn.logsumexp(x, axis=1) - fn.sum(x * y, axis=1)), [A, B]),
    "layer_norm": (gradient(layer_norm, 2), [A, B]),
    "kernel density": (
        gradient(lambda x, y: fn.logsumexp(-((x[:, None] - y[None, :]) ** 2), axis=1), 2),
        [LONG[:300], LONG[:500]],
    ),
    "matmul": (gradient(lambda x, y: fn.tanh(x @ fn.transpose(y)), 2), [A, B]),
    "broadcast": (gradient(lambda x, y: (x * y) ** 2, 2), [A, V]),
    "gather rows": (gradient(lambda x, i: x[i] ** 2), [A, INDEX]),
    "gather elements": (gradient(lambda x, i: fn.sin(x[i])), [SHORT, INDEX]),
    "cumsum": (gradient(lambda x: fn.cumsum(x, axis=1) ** 2), [A]),
    "max": (gradient(lambda x: fn.max(x, axis=1) ** 2), [A]),
    "concatenate": (gradient(lambda x, y: fn.concatenate([x, y], axis=1) ** 3, 2), [A, B]),
    "slice": (gradient(lambda x: x[3:30:2, ::-1] ** 2), [A]),
    "product": (gradient(lambda x: fn.prod(x, axis=2)), [CUBE]),
    "where": (gradient(lambda x: fn.where(x > 0, fn.sqrt(x), x)), [A]),
    "special": (gradient(lambda x: fn.gammaln(x) + fn.erf(x) * fn.sigmoid(x)), [CUBE]),
    "float32": (gradient(lambda x: fn.logsumexp(x, axis=1)), [A.astype("float32")]),
    "second order": (lambda x: grad(lambda z: fn.sum(grad(lambda u: fn.sum(fn.sin(u) * u))(z) ** 2))(x), [A]),
}
LOOPS: dict[str, tuple[Callable, list[np.ndarray]]] = {
    "fixed count": (lambda x: pb.fori_loop(0, 5, lambda i, s: pb.sin(s) * (i + 1), x), [V]),
    "scan": (lambda x: pb.scan(lambda s, row: (s * 0.5 + row, pb.sum(s)), x[0] * 0, x), [A]),
    "while": (lambda x: pb.while_loop(lambda s: pb.sum(s * s) > 1.0, lambda s: s * 0.7, x), [V]),
    "stencil": (
        lambda u: pb.fori_loop(0, 6, lambda i, u: u.at[1:-1].set(0.25 * u[:-2] + 0.5 * u[1:-1] + 0.25 * u[2:]), u),
        [V],
    ),
    "gradient of a fixed count": (gradient(lambda x: pb.fori_loop(0, 5, lambda i, s: pb.sin(s) * (i + 1), x)), [V]),
    "gradient of a scan": (gradient(lambda x: pb.scan(lambda s, row: (s * 0.5 + row**2, pb.sum(s)), x[0], x)[1]), [A]),
    "gradient of a while": (
        gradient(lambda x: pb.while_loop(lambda s: pb.sum(s * s) > 1.0, lambda s: s * pb.cos(s), x)), [V]
    ),
    "gradient of a stencil": (
        gradient(lambda u: pb.fori_loop(0, 6, lambda i, u: u.at[1:-1].set(u[:-2] * u[2:] + u[1:-1]), u)), [V]
    ),
}
CASES = {
    **{f"loop: {k}": v for k, v in LOOPS.items()},
    **{f"value: {k}": v for k, v in VALUES.items()},
    **{f"gradient: {k}": v for k, v in GRADIENTS.items()},
}
