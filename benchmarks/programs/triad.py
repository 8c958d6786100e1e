"""1.5 x + y: as many bytes as possible for a flop."""

from __future__ import annotations

from ..program import Bar

SECTION = "elementwise"
SIZES, TINY = (10_000_000,), 1003
DTYPES = ("float64", "float32")
WRT = (0, 1)
PEERS = ("jax", "numpy", "numba", "c", "copy")
BARS = (Bar("floor", most=1.3), Bar("gradient / value", most=2.2))


def inputs(size, draw):
    return [draw.standard_normal(size), draw.standard_normal(size)]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[0].shape)]


def program(xp, control, x, y):
    return 1.5 * x + y
