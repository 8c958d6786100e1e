"""Calls under Heston's model, 100 steps: price, and the sensitivities to six parameters."""

from __future__ import annotations

import numpy as np

from ..program import Bar

SECTION = "options"
SIZES, TINY = (200_000,), 5
WRT = (0,)
STEPS = 100
BARS = (Bar("gradient / value", most=2.0),)


def inputs(size, draw):
    steps = STEPS if size > TINY else 4
    market = np.array([100.0, 0.04, 2.0, 0.05, 0.3, -0.7])
    return [market, draw.standard_normal((steps, 2, size))]


def program(xp, control, market, normals):
    """Euler steps of the logarithm of the price and of the variance, which counts as 0 where it falls below."""
    spot, variance, reversion, mean, volatility, correlation = (market[k] for k in range(6))
    h, strike, rate = 1.0 / normals.shape[0], 100.0, 0.02
    other = xp.sqrt(1.0 - correlation**2)

    def step(state, normal):
        log_price, v = state
        first, second = normal[0], normal[1]
        positive = xp.maximum(v, 0.0)
        root = xp.where(v > 0.0, xp.sqrt(xp.where(v > 0.0, v, 1.0) * h), 0.0)
        log_price = log_price + (rate - 0.5 * positive) * h + root * (correlation * first + other * second)
        return (log_price, v + reversion * (mean - positive) * h + volatility * root * first), None

    zero = xp.zeros_like(normals[0, 0])
    (log_price, _), _ = control.scan(step, (xp.log(spot) + zero, variance + zero), normals)
    return np.exp(-rate) * xp.mean(xp.maximum(xp.exp(log_price) - strike, 0.0))
