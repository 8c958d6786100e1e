"""Sum over rows of 1000."""

from __future__ import annotations

SECTION = "arrays"
SIZES, TINY = (8000,), 7
PEERS = ("jax", "numpy", "numba")


def inputs(size, draw):
    return [draw.standard_normal((size, 1000))]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[0].shape[1])]


def program(xp, control, x):
    return xp.sum(x, axis=0)
