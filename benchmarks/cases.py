"""The cases, a row each: what is computed, from which arrays, how NumPy and a person with Numba compute it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """One row.

    `program(xp, *arrays)` serves pullback and JAX; with `wrt` (argument numbers) its value and gradient are asked for.
    `numpy(*arrays)` returns the same by hand, and so does the function called `name` in by_hand.py. `shapes` are the
    arguments'. `counts_bytes`: bytes per second say something about the case.
    """

    name: str
    title: str
    shapes: tuple[tuple[int, ...], ...]
    program: Callable
    numpy: Callable
    wrt: tuple[int, ...] = ()
    counts_bytes: bool = True


def make_arrays(case: Case) -> list[np.ndarray]:
    """Return the arguments: normal numbers, the same at every call."""
    draw = np.random.default_rng(0)
    return [draw.standard_normal(shape) for shape in case.shapes]


def traffic(case: Case, results: list[np.ndarray]) -> int:
    """Return the bytes that cannot be avoided: every input read once, every result written once."""
    return 8 * sum(int(np.prod(shape)) for shape in case.shapes) + sum(result.nbytes for result in results)


def fused_loss(xp, x, y):
    return xp.sum(xp.exp(-x * x) * xp.sin(y) + xp.log(1 + y * y) * xp.tanh(x))


def fused_loss_numpy(x, y):
    bell, sine, curve, slope = np.exp(-x * x), np.sin(y), np.log(1 + y * y), np.tanh(x)
    slope_x = -2 * x * bell * sine + curve * (1 - slope * slope)
    return np.sum(bell * sine + curve * slope), slope_x, bell * np.cos(y) + 2 * y / (1 + y * y) * slope


def softmax_loss(xp, x, t):
    largest = xp.max(x, axis=1, keepdims=True)
    total = xp.sum(xp.exp(x - largest), axis=1)
    return xp.mean(xp.log(total) + largest[:, 0] - xp.sum(t * x, axis=1))


def softmax_loss_numpy(x, t):
    largest = np.max(x, axis=1, keepdims=True)
    weights = np.exp(x - largest)
    total = np.sum(weights, axis=1, keepdims=True)
    loss = np.mean(np.log(total) + largest - np.sum(t * x, axis=1, keepdims=True))
    return loss, (weights / total - t) / len(x)


def logistic_regression(xp, w, x, t):
    return xp.mean(xp.logaddexp(0.0, -t * (x @ w)))


def logistic_regression_numpy(w, x, t):
    margin = t * (x @ w)
    return np.mean(np.logaddexp(0.0, -margin)), (-t * np.exp(-np.logaddexp(0.0, margin))) @ x / len(x)


def layer_norm(xp, x, gain, offset):
    centred = x - xp.mean(x, axis=1, keepdims=True)
    return centred / xp.sqrt(xp.mean(centred * centred, axis=1, keepdims=True) + 1e-5) * gain + offset


def gelu(xp, x):
    if not hasattr(xp, "erf"):
        from jax.scipy import special as xp
    return 0.5 * x * (1 + xp.erf(x * np.sqrt(0.5)))


def gelu_numpy(x):
    from scipy.special import erf

    return 0.5 * x * (1 + erf(x * np.sqrt(0.5)))


SWEEPS = 5


def gauss_seidel(xp, a):
    """Sweeps over a grid, element by element, each from the neighbours as they are then."""
    if not hasattr(xp, "fori_loop"):
        from jax import lax as loops
    else:
        loops = xp
    n = a.shape[0]

    def element(i, j, a):
        above = a[i - 1, j - 1] + a[i - 1, j] + a[i - 1, j + 1]
        below = a[i + 1, j - 1] + a[i + 1, j] + a[i + 1, j + 1]
        return a.at[i, j].set((above + a[i, j - 1] + a[i, j] + a[i, j + 1] + below) / 9.0)

    def row(i, a):
        return loops.fori_loop(1, n - 1, lambda j, a: element(i, j, a), a)

    return xp.sum(xp.sin(loops.fori_loop(0, SWEEPS, lambda t, a: loops.fori_loop(1, n - 1, row, a), a)))


def gauss_seidel_numpy(a):
    a, inner = a.copy(), range(1, len(a) - 1)
    for _ in range(SWEEPS):
        for i in inner:
            for j in inner:
                a[i, j] = a[i - 1:i + 2, j - 1:j + 2].sum() / 9
    slope = np.cos(a)
    for _ in range(SWEEPS):
        for i in reversed(inner):
            for j in reversed(inner):
                share, slope[i, j] = slope[i, j] / 9, 0.0
                slope[i - 1:i + 2, j - 1:j + 2] += share
    return np.sum(np.sin(a)), slope


MILLION = 1_000_000
CASES = (
    Case("triad", "1.5 x + y, 8 million", ((8 * MILLION,),) * 2,
         lambda xp, x, y: 1.5 * x + y, lambda x, y: 1.5 * x + y),
    Case("gelu", "x/2 (1 + erf(x/sqrt 2)), 2 million", ((2 * MILLION,),), gelu, gelu_numpy),
    Case("fused_loss", "sum(exp(-x x) sin y + log(1 + y y) tanh x) with gradient, 2 million", ((2 * MILLION,),) * 2,
         fused_loss, fused_loss_numpy, wrt=(0, 1)),
    Case("softmax_loss", "row softmax loss with gradient, 4000 x 500", ((4000, 500),) * 2,
         softmax_loss, softmax_loss_numpy, wrt=(0,)),
    Case("logistic_regression", "logistic loss with gradient, 20000 x 100", ((100,), (20000, 100), (20000,)),
         logistic_regression, logistic_regression_numpy, wrt=(0,)),
    Case("layer_norm", "layer norm, 4000 x 500", ((4000, 500), (500,), (500,)),
         layer_norm, lambda x, gain, offset: layer_norm(np, x, gain, offset)),
    Case("column_sums", "sum over rows, 8000 x 1000", ((8000, 1000),),
         lambda xp, x: xp.sum(x, axis=0), lambda x: np.sum(x, axis=0)),
    Case("dense_layer", "max(w @ x + b, 0), 512 x 512 @ 512 x 1000", ((512, 512), (512, 1000), (512, 1)),
         lambda xp, w, x, b: xp.maximum(w @ x + b, 0.0), lambda w, x, b: np.maximum(w @ x + b, 0.0),
         counts_bytes=False),
    Case("gauss_seidel", "5 Gauss-Seidel sweeps, element by element, with gradient, 60 x 60", ((60, 60),),
         gauss_seidel, gauss_seidel_numpy, wrt=(0,), counts_bytes=False),
    Case("tiny", "a b + sin c on 3 numbers each: the cost of a call", ((3,),) * 3,
         lambda xp, a, b, c: a * b + xp.sin(c), lambda a, b, c: a * b + np.sin(c), counts_bytes=False),
)
