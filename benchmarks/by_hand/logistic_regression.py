"""Logistic regression, by hand in Numba."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from .numba_options import CHUNKS, parallel


@parallel
def gradient(w, x, t):
    """Mean over rows of log(1 + exp(-t x.w)), and its gradient in w: x is read once."""
    rows, columns = x.shape
    losses, slopes = np.zeros(CHUNKS), np.zeros((CHUNKS, columns))
    size = -(-rows // CHUNKS)
    for chunk in prange(CHUNKS):
        for i in range(chunk * size, min(rows, (chunk + 1) * size)):
            margin = 0.0
            for j in range(columns):
                margin += x[i, j] * w[j]
            margin *= t[i]
            tail = math.exp(-abs(margin))
            losses[chunk] += math.log1p(tail) + max(-margin, 0.0)
            weight = -t[i] * (tail if margin >= 0 else 1.0) / (1 + tail)
            for j in range(columns):
                slopes[chunk, j] += weight * x[i, j]
    return losses.sum() / rows, slopes.sum(axis=0) / rows
