"""Softmax loss, by hand in Numba."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from .numba_options import parallel


@parallel
def gradient(x, t):
    """Mean over rows of logsumexp(x) - sum(t x), and its gradient in x."""
    rows, columns = x.shape
    slope, losses = np.empty_like(x), np.empty(rows)
    for i in prange(rows):
        largest = -np.inf
        for j in range(columns):
            largest = max(largest, x[i, j])
        total, chosen = 0.0, 0.0
        for j in range(columns):
            slope[i, j] = math.exp(x[i, j] - largest)
            total += slope[i, j]
            chosen += t[i, j] * x[i, j]
        losses[i] = math.log(total) + largest - chosen
        for j in range(columns):
            slope[i, j] = (slope[i, j] / total - t[i, j]) / rows
    return losses.mean(), slope
