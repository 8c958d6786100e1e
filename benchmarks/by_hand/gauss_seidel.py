"""Gauss seidel, by hand in Numba."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit
def gradient(a):
    """Five sweeps in place; their adjoint reads no value."""
    a, n = a.copy(), len(a)
    for _ in range(5):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                total = a[i - 1, j - 1] + a[i - 1, j] + a[i - 1, j + 1] + a[i, j - 1] + a[i, j] + a[i, j + 1]
                a[i, j] = (total + a[i + 1, j - 1] + a[i + 1, j] + a[i + 1, j + 1]) / 9.0
    slope = np.cos(a)
    for _ in range(5):
        for i in range(n - 2, 0, -1):
            for j in range(n - 2, 0, -1):
                share = slope[i, j] / 9.0
                slope[i, j] = 0.0
                for p in range(i - 1, i + 2):
                    for q in range(j - 1, j + 2):
                        slope[p, q] += share
    return np.sum(np.sin(a)), slope
