"""Prices of calls and puts by Black and Scholes."""

from __future__ import annotations

import math

from ..program import Bar

SECTION = "elementwise"
SIZES, TINY = (10_000_000,), 1003
DTYPES = ("float64", "float32")
WRT = (0, 1, 2)
PEERS = ("jax", "numpy", "numba", "c", "copy")
BARS = (Bar("value: jax", least=2.5), Bar("floor", most=1.3), Bar("gradient / value", most=4.0))

RATE, VOLATILITY = 0.02, 0.3


def inputs(size, draw):
    """Prices of the stock, strikes, years."""
    return [draw.uniform(50, 150, size), draw.uniform(50, 150, size), draw.uniform(0.2, 3, size)]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[0].shape) for _ in range(2)]


def prices(xp, erf, stock, strike, years):
    spread = VOLATILITY * xp.sqrt(years)
    first = (xp.log(stock / strike) + (RATE + 0.5 * VOLATILITY**2) * years) / spread
    second = first - spread
    discounted = strike * xp.exp(-RATE * years)
    normal_1, normal_2 = (0.5 * (1.0 + erf(d * math.sqrt(0.5))) for d in (first, second))
    call = stock * normal_1 - discounted * normal_2
    return call, call - stock + discounted


def program(xp, control, stock, strike, years):
    return prices(xp, xp.erf, stock, strike, years)


def program_jax(xp, control, stock, strike, years):
    from jax.scipy.special import erf

    return prices(xp, erf, stock, strike, years)


def value_numpy(stock, strike, years):
    import numpy as np
    from scipy.special import erf

    return prices(np, erf, stock, strike, years)
