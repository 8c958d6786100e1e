"""Five-point Laplacian, by hand in Numba."""

from __future__ import annotations

import numpy as np
from numba import prange

from .numba_options import parallel


@parallel
def value(u):
    rows, columns = u.shape
    out = np.empty((rows - 2, columns - 2), u.dtype)
    for i in prange(1, rows - 1):
        for j in range(1, columns - 1):
            out[i - 1, j - 1] = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - 4 * u[i, j]
    return out
