"""exp(-x x) sin y + log(1 + y y) tanh x, by hand in Numba."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from .numba_options import parallel


@parallel
def value(x, y):
    out = np.empty_like(x)
    for i in prange(x.size):
        out[i] = math.exp(-x[i] * x[i]) * math.sin(y[i]) + math.log(1 + y[i] * y[i]) * math.tanh(x[i])
    return out
