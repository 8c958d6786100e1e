"""Heat in two dimensions by alternating directions: a recurrence along rows, then along columns, 20 steps."""

from __future__ import annotations

SECTION = "loops"
SIZES, TINY = (200,), 6
WRT = (0,)
STEPS = 20


def inputs(size, draw):
    return [draw.standard_normal((size, size))]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[0].shape)]


def half_step(xp, control, u, rate):
    """Explicit along the rows, implicit along the columns: one tridiagonal system for each, by elimination."""
    inside = u[:, 1:-1]
    right = (0.5 * rate * (u[:, :-2] + u[:, 2:]) + (1.0 - rate) * inside)[1:-1]
    a, b = -0.5 * rate, 1.0 + rate
    zero = xp.zeros_like(right[0])

    def eliminate(above, row):
        factor, value = above
        pivot = b - a * factor
        factor, value = a / pivot, (row - a * value) / pivot
        return (factor, value), (factor, value)

    def substitute(below, row):
        found = row[1] - row[0] * below
        return found, found

    _, (factors, values) = control.scan(eliminate, (zero, zero), right)
    _, solved = control.scan(substitute, zero, (factors[::-1], values[::-1]))
    return u.at[1:-1, 1:-1].set(solved[::-1])


def program(xp, control, u):
    def step(_, u):
        u = half_step(xp, control, u, 0.7)
        return half_step(xp, control, u.T, 0.7).T

    return control.fori_loop(0, STEPS, step, u)
