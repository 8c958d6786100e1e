"""Sparse matrices from their entries: SciPy's on the CPU, CuPy's on CUDA."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dsl.sparsity import Sparsity


def csr(data: Any, pattern: Sparsity) -> Any:
    """The CSR matrix of a pattern with these entries, in its order; where `data` lies."""
    if isinstance(data, np.ndarray):
        from scipy.sparse import csr_array

        return csr_array((data, pattern.indices, pattern.indptr), shape=pattern.shape, copy=True)
    import cupy
    from cupyx.scipy.sparse import csr_matrix

    return csr_matrix((data, cupy.asarray(pattern.indices), cupy.asarray(pattern.indptr)), shape=pattern.shape)
