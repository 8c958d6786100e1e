"""Sparse matrices from their entries, SciPy's on the CPU and CuPy's on CUDA, and pictures of their patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..dsl.sparsity import Sparsity


def csr(data: Any, pattern: Sparsity) -> Any:
    """The CSR matrix of a pattern with these entries, in its order; where `data` lies."""
    if isinstance(data, np.ndarray):
        from scipy.sparse import csr_array

        return csr_array((data, pattern.indices.copy(), pattern.indptr.copy()), shape=pattern.shape)
    import cupy
    from cupyx.scipy.sparse import csr_matrix

    return csr_matrix((data, cupy.asarray(pattern.indices), cupy.asarray(pattern.indptr)), shape=pattern.shape)


def spy(pattern: Sparsity, ax: Any, settings: dict[str, Any]) -> Any:
    """The entries of a pattern as squares on matplotlib's `ax`, or on a new figure."""
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots()[1]
    shown = {"marker": "s", "markersize": max(0.5, 240 / max(pattern.shape)), "linestyle": "none", **settings}
    ax.plot(pattern.indices, pattern.rows(), **shown)
    ax.set(xlim=(-0.5, pattern.shape[1] - 0.5), ylim=(pattern.shape[0] - 0.5, -0.5), aspect="equal")
    return ax
