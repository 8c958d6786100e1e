"""Average of five points on a square, 50 steps."""

from __future__ import annotations

from ..program import Bar
from ..stencils import half_steps

SECTION = "loops"
SIZES, TINY = (150,), 6
WRT = (0, 1)
STEPS = 50
BARS = (Bar("gradient / value", most=2.2),)


def inputs(size, draw):
    return [draw.random((size, size)), draw.random((size, size))]


def average(u):
    return 0.2 * (u[1:-1, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] + u[2:, 1:-1] + u[:-2, 1:-1])


def program(xp, control, a, b):
    return half_steps(xp, control, (slice(1, -1),) * 2, average, STEPS, a, b)
