"""Lotka-Volterra ensemble, 1,000 Runge-Kutta steps."""

from __future__ import annotations

import numpy as np

SECTION = "ensembles"
SIZES, TINY = (10_000,), 3
WRT = (0, 1)
STEPS = 1000


def inputs(size, draw):
    low, high = np.array([1.0, 0.3, 0.6, 0.2]), np.array([1.6, 0.6, 1.0, 0.4])
    return [draw.uniform(0.5, 2, (2, size)), draw.uniform(low, high, (size, 4)).T.copy()]


def runge_kutta(field, y, h):
    """One classical step of order 4 of a tuple of arrays."""

    def moved(slopes, by):
        return tuple(a + by * s for a, s in zip(y, slopes, strict=True))

    k1 = field(y)
    k2 = field(moved(k1, h / 2))
    k3 = field(moved(k2, h / 2))
    k4 = field(moved(k3, h))
    return tuple(a + h / 6 * (p + 2 * q + 2 * r + s) for a, p, q, r, s in zip(y, k1, k2, k3, k4, strict=True))


def program(xp, control, y, rates):
    """A column of state and rates for each member."""
    a, b, c, d = (rates[k] for k in range(4))

    def field(state):
        u, v = state
        return a * u - b * u * v, d * u * v - c * v

    u, v = control.fori_loop(0, STEPS, lambda i, s: runge_kutta(field, s, 0.05), (y[0], y[1]))
    return xp.sum(u * u) + xp.sum(v)
