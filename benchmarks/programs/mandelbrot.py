"""How many steps points of the plane take to leave a circle: each as long as it stays, at most 200."""

from __future__ import annotations

import numpy as np

SECTION = "loops"
SIZES, TINY = (400,), 6
STEPS = 200


def inputs(size, draw):
    x, y = np.linspace(-2.2, 0.8, size), np.linspace(-1.3, 1.3, size)
    return [np.repeat(x[None], size, axis=0), np.repeat(y[:, None], size, axis=1)]


def weights(arrays, draw):
    return [np.ones(arrays[0].shape)]


def program(xp, control, a, b):
    def stays(state):
        turn, x, y, _ = state
        return (turn < STEPS) & xp.any(x * x + y * y <= 4.0)

    def step(state):
        turn, x, y, count = state
        inside = x * x + y * y <= 4.0
        moved = xp.where(inside, x * x - y * y + a, x), xp.where(inside, 2.0 * x * y + b, y)
        return turn + 1, *moved, count + xp.where(inside, 1.0, 0.0)

    start = 0, xp.zeros_like(a), xp.zeros_like(b), xp.zeros_like(a)
    return control.while_loop(stays, step, start)[3]
