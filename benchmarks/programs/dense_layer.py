"""max(w @ x + b, 0), n x n @ n x 1000."""

from __future__ import annotations

SECTION = "arrays"
SIZES, TINY = (512,), 9
WRT = (0, 1, 2)
PEERS = ("jax", "numpy", "numba")


def inputs(size, draw):
    return [draw.standard_normal((size, size)), draw.standard_normal((size, 1000)), draw.standard_normal((size, 1))]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[1].shape)]


def program(xp, control, w, x, b):
    return xp.maximum(w @ x + b, 0.0)
