"""Logistic map, one number, a million turns of a few operations."""

from __future__ import annotations

import numpy as np

SECTION = "loops"
SIZES, TINY = (1_000_000,), 12
WRT = (0, 1)
STEPS = 1_000_000


def inputs(size, draw):
    return [np.array(0.3), np.array(2.9), np.zeros(size)]


def program(xp, control, x, r, turns):
    last, _ = control.scan(lambda c, _: (r * c * (1.0 - c), None), x, None, length=turns.shape[0])
    return last
