"""Layer norm, rows of 500."""

from __future__ import annotations

SECTION = "arrays"
SIZES, TINY = (4000,), 7
WRT = (0, 1, 2)
PEERS = ("jax", "numpy", "numba")


def inputs(size, draw):
    return [draw.standard_normal((size, 500)), draw.standard_normal(500), draw.standard_normal(500)]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[0].shape)]


def program(xp, control, x, gain, offset):
    centred = x - xp.mean(x, axis=1, keepdims=True)
    return centred / xp.sqrt(xp.mean(centred * centred, axis=1, keepdims=True) + 1e-5) * gain + offset
