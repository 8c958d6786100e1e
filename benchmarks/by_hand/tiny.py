"""Tiny, by hand in Numba."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit
def value(a, b, c):
    return a * b + np.sin(c)
