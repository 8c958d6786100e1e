"""Electromagnetic fields on staggered cells, 20 steps."""

from __future__ import annotations

from ..program import Bar

SECTION = "loops"
SIZES, TINY = (200,), 6
WRT = (0, 1, 2)
STEPS = 20
BARS = (Bar("gradient / value", most=2.2),)


def inputs(size, draw):
    return [draw.random((size, size + 20)) for _ in range(3)]


def program(xp, control, ex, ey, hz):
    """Two electric components and a magnetic one, driven at one side."""

    def step(t, fields):
        ex, ey, hz = fields
        ey = ey.at[0, :].set(1.0 * t)
        ey = ey.at[1:, :].add(-0.5 * (hz[1:, :] - hz[:-1, :]))
        ex = ex.at[:, 1:].add(-0.5 * (hz[:, 1:] - hz[:, :-1]))
        curl = ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1]
        return ex, ey, hz.at[:-1, :-1].add(-0.7 * curl)

    ex, ey, hz = control.fori_loop(0, STEPS, step, (ex, ey, hz))
    return xp.sum(ex * ex) + xp.sum(xp.sin(ey)) + xp.sum(hz * hz)
