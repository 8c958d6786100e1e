"""Mean of three neighbours in turn between two fields, 100 steps."""

from __future__ import annotations

SECTION = "loops"
SIZES, TINY = (200_000,), 12
WRT = (0, 1)
STEPS = 100


def inputs(size, draw):
    return [draw.standard_normal(size), draw.standard_normal(size)]


def weights(arrays, draw):
    return [draw.standard_normal(a.shape) for a in arrays]


def program(xp, control, a, b):
    def step(_, fields):
        a, b = fields
        b = b.at[1:-1].set((a[:-2] + a[1:-1] + a[2:]) / 3.0)
        return a.at[1:-1].set((b[:-2] + b[1:-1] + b[2:]) / 3.0), b

    return control.fori_loop(0, STEPS, step, (a, b))
