"""Triad, by hand in Numba."""

from __future__ import annotations

import numpy as np
from numba import prange

from .numba_options import parallel


@parallel
def value(x, y):
    out = np.empty_like(x)
    for i in prange(x.size):
        out[i] = 1.5 * x[i] + y[i]
    return out
