"""a b + sin c on 3 numbers each: the cost of a call."""

from __future__ import annotations

SECTION = "arrays"
SIZES, TINY = (3,), 3
PEERS = ("jax", "numpy", "numba")


def inputs(size, draw):
    return [draw.standard_normal(size) for _ in range(3)]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[0].shape)]


def program(xp, control, a, b, c):
    return a * b + xp.sin(c)
