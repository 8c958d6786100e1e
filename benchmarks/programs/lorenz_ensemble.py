"""Lorenz's three equations, an ensemble, 500 Runge-Kutta steps."""

from __future__ import annotations

import numpy as np

from .lotka_volterra import runge_kutta

SECTION = "ensembles"
SIZES, TINY = (10_000,), 3
WRT = (0, 1)
STEPS = 500


def inputs(size, draw):
    rates = np.array([10.0, 28.0, 8.0 / 3.0])[:, None] * draw.uniform(0.9, 1.1, (3, size))
    return [draw.standard_normal((3, size)), rates]


def program(xp, control, y, rates):
    sigma, rho, beta = (rates[k] for k in range(3))

    def field(state):
        x, y, z = state
        return sigma * (y - x), x * (rho - z) - y, x * y - beta * z

    x, y, z = control.fori_loop(0, STEPS, lambda i, s: runge_kutta(field, s, 0.002), (y[0], y[1], y[2]))
    return xp.sum(x * x) + xp.sum(y * z)
