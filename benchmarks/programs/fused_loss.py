"""sum(exp(-x x) sin y + log(1 + y y) tanh x)."""

from __future__ import annotations

import numpy as np

SECTION = "arrays"
SIZES, TINY = (2_000_000,), 1003
WRT = (0, 1)
PEERS = ("jax", "numpy", "numba")


def inputs(size, draw):
    return [draw.standard_normal(size), draw.standard_normal(size)]


def program(xp, control, x, y):
    return xp.sum(xp.exp(-x * x) * xp.sin(y) + xp.log(1 + y * y) * xp.tanh(x))


def gradient_numpy(x, y):
    bell, sine, curve, slope = np.exp(-x * x), np.sin(y), np.log(1 + y * y), np.tanh(x)
    slope_x = -2 * x * bell * sine + curve * (1 - slope * slope)
    return np.sum(bell * sine + curve * slope), slope_x, bell * np.cos(y) + 2 * y / (1 + y * y) * slope
