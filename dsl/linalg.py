"""`pb.linalg`: linear algebra with the names and arguments of NumPy, SciPy and JAX, batched over leading axes.

Integers are computed as float64. What has no answer gives NaN as in JAX, never an exception from compiled code: the
Cholesky factor of a matrix that is not positive definite, the solution of a system with a zero pivot.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import linalg_rules as rules
from . import primitives
from . import size as sizes
from .arguments import array
from .errors import ShapeError
from .linear import pair
from .node import Expr
from .primitives import cast, show_shape
from .surface import surface


def floating(x: Any) -> Expr:
    """`x` in a dtype that the routines compute in."""
    x = array(x)
    return x if x.dtype.kind == "f" else cast(x, np.float64)


def matrices(x: Any, name: str) -> Expr:
    """`x` as one matrix or several."""
    x = floating(x)
    if len(x.shape) < 2:
        raise ShapeError(f"{name} takes a matrix or several along leading axes, not {show_shape(x.shape)}")
    return x


def square(x: Any, name: str) -> Expr:
    """`x` as one square matrix or several."""
    x = matrices(x, name)
    if not sizes.equal(x.shape[-2], x.shape[-1]):
        raise ShapeError(f"{name} takes square matrices, not {show_shape(x.shape)}: the last two axes must agree")
    return x


def together(a: Expr, b: Expr, core: int = 2) -> tuple[Expr, Expr]:
    """Both in their common dtype with equal batch axes; `core` axes of `b` are its own."""
    a, b = pair(a, b)
    batch = primitives.broadcast_shapes(a.shape[:-2], b.shape[: len(b.shape) - core])
    own = b.shape[len(b.shape) - core :]
    return primitives.broadcast_to(a, (*batch, *a.shape[-2:])), primitives.broadcast_to(b, (*batch, *own))


@surface
def cholesky(a: Any, *, upper: bool = False, symmetrize_input: bool = True) -> Expr:
    """The lower factor l of symmetric positive definite matrices, a = l @ l.T, zero above the diagonal.

    Shape (.., n, n). `upper` gives l.T. `symmetrize_input` (JAX's default) takes the symmetric part of `a` first, so
    that the gradient is symmetric; without it the lower triangle is read. NaN where `a` is not positive definite.
    Raises ShapeError where `a` is not square.

    >>> import pullback as pb
    >>> pb.linalg.cholesky([[4.0, 2.0], [2.0, 5.0]]).eval()
    array([[2., 0.],
           [1., 2.]])
    """
    a = square(a, "cholesky")
    factor = rules.cholesky(rules.symmetric_part(a) if symmetrize_input else a)
    return rules.transposed(factor) if upper else factor


@surface
def solve(a: Any, b: Any) -> Expr:
    """x of a @ x = b for square matrices `a`: (.., n, n), and a vector (n,) or matrices (.., n, k) `b`.

    By LU factors with partial pivoting, which the derivatives use again. NaN where a pivot is zero.
    Raises ShapeError where the sizes do not agree.

    >>> import pullback as pb
    >>> pb.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]).eval()
    array([1. , 0.5])
    """
    a, b, vector = _system(a, b, "solve")
    x = rules.solve(a, b)
    return primitives.reshape(x, x.shape[:-1]) if vector else x


@surface
def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, overwrite_b: bool = False,
    check_finite: bool = True,
) -> Expr:
    """x of op(a) @ x = b for triangular `a`; SciPy's arguments. Only the triangle that `lower` says is read.

    `trans`: 0 or 'N' (a), 1 or 'T' or 2 or 'C' (its transpose). `unit_diagonal`: the diagonal counts as ones.
    NaN where the diagonal has a zero.

    >>> import pullback as pb
    >>> pb.linalg.solve_triangular([[2.0, 0.0], [2.0, 4.0]], [2.0, 6.0], lower=True).eval()
    array([1., 1.])
    """
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ShapeError(f"trans is 0, 1, 2, 'N', 'T' or 'C', not {trans!r}")
    a, b, vector = _system(a, b, "solve_triangular")
    x = rules.triangular(a, b, bool(lower), trans not in (0, "N"), bool(unit_diagonal))
    return primitives.reshape(x, x.shape[:-1]) if vector else x


def _system(a: Any, b: Any, name: str) -> tuple[Expr, Expr, bool]:
    """Matrices and right-hand sides of equal batch axes; whether the latter was a vector (NumPy 2: of one axis)."""
    a, b = square(a, name), floating(b)
    if not b.shape:
        raise ShapeError(f"{name} takes a vector or matrices as right-hand side, not a scalar")
    vector = len(b.shape) == 1
    if vector:
        b = primitives.reshape(b, (*b.shape, 1))
    if not sizes.equal(a.shape[-1], b.shape[-2]):
        raise ShapeError(f"{name}: the matrix has {sizes.show(a.shape[-1])} columns, the right-hand side "
                         f"{sizes.show(b.shape[-2])} rows ({show_shape(a.shape)} and {show_shape(b.shape)})")
    a, b = together(a, b)
    return a, b, vector


@surface
def inv(a: Any) -> Expr:
    """The inverse of square matrices, (.., n, n). NaN where a pivot is zero. To solve a system, `solve` is better.

    >>> import pullback as pb
    >>> pb.linalg.inv([[2.0, 0.0], [0.0, 4.0]]).eval()
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    return rules.inverse(square(a, "inv"))


@surface
def expm(a: Any) -> Expr:
    """The exponential of square matrices, (.., n, n), by scaling and squaring.

    Its derivative is a block of the exponential of twice the size.

    >>> import pullback as pb
    >>> pb.linalg.expm([[0.0, 1.0], [0.0, 0.0]]).eval()
    array([[1., 1.],
           [0., 1.]])
    """
    return rules.expm(square(a, "expm"))


PUBLIC: dict[str, Any] = {f.__name__: f for f in (cholesky, expm, inv, solve, solve_triangular)}
