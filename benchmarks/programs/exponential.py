"""exp(-x x)."""

from __future__ import annotations

from ..program import Bar

SECTION = "elementwise"
SIZES, TINY = (10_000_000,), 1003
DTYPES = ("float64", "float32")
WRT = (0,)
PEERS = ("jax", "numpy", "numba", "c", "copy")
BARS = (Bar("value: jax", least=2.5), Bar("floor", most=1.3), Bar("gradient / value", most=4.0))


def inputs(size, draw):
    return [draw.standard_normal(size)]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[0].shape)]


def program(xp, control, x):
    return xp.exp(-x * x)
