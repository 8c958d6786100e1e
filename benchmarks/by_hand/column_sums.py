"""Column sums, by hand in Numba."""

from __future__ import annotations

import numpy as np
from numba import prange

from .numba_options import CHUNKS, parallel


@parallel
def value(x):
    rows, columns = x.shape
    partial = np.zeros((CHUNKS, columns))
    size = -(-rows // CHUNKS)
    for chunk in prange(CHUNKS):
        for i in range(chunk * size, min(rows, (chunk + 1) * size)):
            for j in range(columns):
                partial[chunk, j] += x[i, j]
    return partial.sum(axis=0)
