"""Prices by Black and Scholes, by hand in Numba."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ..programs.black_scholes import RATE, VOLATILITY
from .numba_options import parallel

DRIFT = RATE + 0.5 * VOLATILITY**2


@parallel
def value(stock, strike, years):
    call, put = np.empty_like(stock), np.empty_like(stock)
    for i in prange(stock.size):
        spread = VOLATILITY * math.sqrt(years[i])
        first = (math.log(stock[i] / strike[i]) + DRIFT * years[i]) / spread
        discounted = strike[i] * math.exp(-RATE * years[i])
        call[i] = stock[i] * 0.5 * (1 + math.erf(first * math.sqrt(0.5)))
        call[i] -= discounted * 0.5 * (1 + math.erf((first - spread) * math.sqrt(0.5)))
        put[i] = call[i] - stock[i] + discounted
    return call, put
