"""Five-point Laplacian of a square field."""

from __future__ import annotations

from ..program import Bar

SECTION = "elementwise"
SIZES, TINY = (3162,), 12
DTYPES = ("float64", "float32")
WRT = (0,)
PEERS = ("jax", "numpy", "numba", "c", "copy")
BARS = (Bar("floor", most=1.3), Bar("gradient / value", most=2.2))


def inputs(size, draw):
    return [draw.standard_normal((size, size))]


def weights(arrays, draw):
    rows, columns = arrays[0].shape
    return [draw.standard_normal((rows - 2, columns - 2))]


def program(xp, control, u):
    return u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1]
