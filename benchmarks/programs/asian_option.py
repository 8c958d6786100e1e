"""Asian options, 1,000 paths of 252 days for each, and their sensitivities; one thread, normals given."""

from __future__ import annotations

import numpy as np

from ..program import Bar

SECTION = "options"
SIZES, TINY = (100,), 3
WRT = (0, 1, 2, 3)
PEERS = ("jax", "c")
THREADS = 1
BARS = (Bar("gradient: c", least=1 / 1.2),)
PATHS, DAYS = 1000, 252


def inputs(size, draw):
    paths, days = (PATHS, DAYS) if size > TINY else (70, 9)
    return [draw.uniform(80, 120, size), draw.uniform(80, 120, size), draw.uniform(0.01, 0.05, size),
            draw.uniform(0.1, 0.4, size), draw.standard_normal((days, paths))]


def weights(arrays, draw):
    return [np.ones(len(arrays[0]))]


def program(xp, control, spot, strike, rate, volatility, normals):
    """Prices of calls on the mean of the daily prices within a year, as the mean over paths that all of them share."""
    days, paths = normals.shape
    drift = ((rate - 0.5 * volatility**2) / days)[:, None]
    scale = (volatility / xp.sqrt(1.0 * days))[:, None]

    def day(state, normal):
        price, total = state
        price = price * xp.exp(drift + scale * normal)
        return (price, total + price), None

    start = xp.broadcast_to(spot[:, None], (spot.shape[0], paths))
    (_, total), _ = control.scan(day, (start, xp.zeros_like(start)), normals)
    payoff = xp.maximum(total / days - strike[:, None], 0.0)
    return xp.exp(-rate) * xp.mean(payoff, axis=1)
