"""Heat equation with seven points on a cube, 50 steps."""

from __future__ import annotations

from ..program import Bar
from ..stencils import half_steps

SECTION = "loops"
SIZES, TINY = (25, 70), 5
WRT = (0, 1)
STEPS = 50
BARS = (Bar("gradient / value", most=2.2),)


def inputs(size, draw):
    return [draw.random((size,) * 3), draw.random((size,) * 3)]


def heated(u):
    centre = u[1:-1, 1:-1, 1:-1]
    ends = ((u[2:, 1:-1, 1:-1], u[:-2, 1:-1, 1:-1]), (u[1:-1, 2:, 1:-1], u[1:-1, :-2, 1:-1]),
            (u[1:-1, 1:-1, 2:], u[1:-1, 1:-1, :-2]))
    return centre + sum(0.125 * (after - 2.0 * centre + before) for after, before in ends)


def program(xp, control, a, b):
    return half_steps(xp, control, (slice(1, -1),) * 3, heated, STEPS, a, b)
