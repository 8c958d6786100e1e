"""Row softmax loss, rows of 500."""

from __future__ import annotations

import numpy as np

SECTION = "arrays"
SIZES, TINY = (4000,), 7
WRT = (0,)
PEERS = ("jax", "numpy", "numba")


def inputs(size, draw):
    return [draw.standard_normal((size, 500)), draw.standard_normal((size, 500))]


def program(xp, control, x, t):
    largest = xp.max(x, axis=1, keepdims=True)
    total = xp.sum(xp.exp(x - largest), axis=1)
    return xp.mean(xp.log(total) + largest[:, 0] - xp.sum(t * x, axis=1))


def gradient_numpy(x, t):
    """The loss has logsumexp(x) - sum(t x), so its slope is softmax(x) - t."""
    largest = np.max(x, axis=1, keepdims=True)
    weights = np.exp(x - largest)
    total = np.sum(weights, axis=1, keepdims=True)
    loss = np.mean(np.log(total) + largest - np.sum(t * x, axis=1, keepdims=True))
    return loss, (weights / total - t) / len(x)
