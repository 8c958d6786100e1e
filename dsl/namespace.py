"""The public list of array functions and constants, with NumPy's and the array API's other names."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import (  # noqa: F401  (they register functions)
    complex_numbers,
    creation,
    einsum,
    joining,
    nan_reductions,
    neighbours,
    operators,
    ops,
    order_statistics,
    ordering,
    piecewise,
    protocols,
    signals,
    special,
    stencil,
)
from .aliases import ALIASES, INTERNAL
from .choice import cond, switch
from .control import associative_scan, fori_loop, scan, while_loop
from .custom import checkpoint, custom_jvp, custom_vjp
from .differentiable import differentiable
from .jacobian import hessian, jacfwd, jacobian, jacrev, linearize
from .node import FUNCTIONS
from .vmap import vmap

_NAMES = (
    # elementwise, with more than one row
    "astype", "divmod", "imag", "isclose", "nan_to_num", "real", "conj", "angle",
    # folds
    "sum", "prod", "min", "max", "ptp", "any", "all", "count_nonzero", "mean", "average", "var", "std", "logsumexp",
    "softmax", "argmax", "argmin", "cumsum", "cumprod",
    "cumulative_sum", "cumulative_prod", "allclose", "array_equal",
    "nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin",
    # shapes
    "shape", "ndim", "size", "reshape", "ravel", "expand_dims", "squeeze", "atleast_1d", "atleast_2d", "atleast_3d",
    "transpose", "matrix_transpose",
    "swapaxes", "moveaxis", "flip", "flipud", "fliplr", "broadcast_to", "broadcast_arrays", "broadcast_shapes",
    "tile", "repeat",
    "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack", "append", "unstack", "split",
    "array_split", "hsplit", "vsplit", "dsplit", "rot90",
    # neighbours and diagonals
    "pad", "roll", "shift", "stencil", "diff", "trapezoid", "diagonal", "trace", "diag", "diagflat", "tril", "triu",
    "tri",
    # indices
    "take", "take_along_axis",
    # order
    "sort", "argsort", "partition", "argpartition", "top_k", "lexsort", "searchsorted", "digitize", "isin", "quantile",
    "percentile", "median", "bincount", "histogram", "histogram_bin_edges", "interp", *order_statistics.REFUSED,
    # pieces and samples
    "select", "piecewise", "choose", "relu", "leaky_relu", "elu", "silu", "gelu", "one_hot", "convolve", "correlate",
    "gradient", "ediff1d", "polyval", "vander", "cov", "corrcoef",
    # products
    "matmul", "dot", "inner", "vdot", "vecdot", "outer", "tensordot", "einsum", "kron", "cross",
    # creation
    "asarray", "zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like", "full_like", "arange",
    "linspace", "logspace", "geomspace", "meshgrid", "eye", "identity",
)

_CONSTANTS: dict[str, Any] = {
    "pi": np.pi, "e": np.e, "inf": np.inf, "nan": np.nan, "newaxis": None, "euler_gamma": np.euler_gamma,
}
_DTYPES: dict[str, Any] = {name: getattr(np, name) for name in (
    "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
    "complex64", "complex128")}

_CONTROL: dict[str, Any] = {f.__name__: f for f in (scan, fori_loop, while_loop, associative_scan, cond, switch)}

_DERIVATIVES: dict[str, Any] = {f.__name__: f for f in (
    checkpoint, custom_jvp, custom_vjp, differentiable, hessian, jacfwd, jacobian, jacrev, linearize, vmap)}

# What most programs do without, by the module that it is in: an import of pullback does not wait for it.
LATE: dict[str, str] = {
    "check_grads": "checking", "fixed_point": "implicit", "root": "implicit", "smoothness": "smoothness",
    "sparsity": "sparsity", "from_sympy": "from_sympy", "to_sympy": "to_sympy",
}

PUBLIC: dict[str, Any] = {
    **_CONTROL,
    **_DERIVATIVES,
    **{name: FUNCTIONS[name] for name in ops.ROWS if name not in INTERNAL},
    **{name: FUNCTIONS[name] for name in _NAMES},
    **{alias: FUNCTIONS[name] for alias, name in ALIASES.items()},
    **special.PUBLIC,
    **_CONSTANTS,
    **_DTYPES,
}
