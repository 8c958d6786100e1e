"""Norms of vectors and matrices, with gradients that are 0 where the norm is 0 and has a kink there."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import linalg_spectral as spectral
from .arguments import all_axes, array, floating, one_axis
from .errors import ShapeError
from .node import Expr
from .primitives import cast, elementwise, full, reduce, reshape, scalar, show_shape, transpose, zeros_like
from .size import product
from .surface import surface

_INFINITE = {np.inf: "maximum", -np.inf: "minimum"}
_SPECTRAL = (2, -2, "nuc")               # orders of matrices that depend on singular values


@surface
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Expr:
    """The norm of vectors (`axis` one axis) or matrices (two axes); without `axis` of all of `x`: NumPy's `norm`.

    `ord` of vectors: None or 2 (root of the sum of squares), any number p (sum |x|^p)^(1/p), inf, -inf, 0 (how many
    are not zero). Of matrices: None or 'fro', 'nuc' (sum of the singular values), 2, -2 (largest, smallest), 1, -1
    (largest, smallest sum of a column), inf, -inf (of a row). Where the norm is 0, its gradient is 0.
    Raises ShapeError for an order that does not exist.

    >>> import pullback as pb
    >>> float(pb.linalg.norm([3.0, 4.0])), float(pb.linalg.norm([[1.0, 2.0], [3.0, 4.0]], 1))
    (5.0, 6.0)
    """
    x = array(x)
    rank = len(x.shape)
    spectral_order = ord in _SPECTRAL and (rank if axis is None else len(_axes(axis, rank))) == 2
    x = floating(x) if spectral_order else _real(x)
    if axis is None and (ord is None or rank not in (1, 2)):
        if ord is not None and rank:
            raise ShapeError(f"norm of order {ord!r} is of one or two axes, and the array has shape "
                             f"{show_shape(x.shape)}: name them with axis=")
        return _kept(_euclidean(x, tuple(range(rank))), x, tuple(range(rank)), keepdims)
    axes = tuple(range(rank)) if axis is None else _axes(axis, rank)
    found = _vector(x, ord, axes[0]) if len(axes) == 1 else _matrix(x, ord, axes)
    return _kept(found, x, axes, keepdims)


@surface
def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Expr:
    """The norm of order `ord` of `x` as a vector, over `axis` (one, several, or None: all); the array API's function.
    """
    x = _real(x)
    axes = all_axes(axis, len(x.shape))
    rest = tuple(i for i in range(len(x.shape)) if i not in axes)
    flat = reshape(transpose(x, (*rest, *axes)),
                   (*(x.shape[i] for i in rest), product(x.shape[i] for i in axes)))
    return _kept(_vector(flat, ord, len(rest)), x, axes, keepdims)


@surface
def matrix_norm(x: Any, keepdims: bool = False, ord: Any = "fro") -> Expr:
    """The norm of order `ord` of the matrices in the last two axes; the array API's function."""
    x = floating(x) if ord in _SPECTRAL else _real(x)
    if len(x.shape) < 2:
        raise ShapeError(f"matrix_norm takes a matrix or several along leading axes, not {show_shape(x.shape)}")
    axes = (len(x.shape) - 2, len(x.shape) - 1)
    return _kept(_matrix(x, ord, axes), x, axes, keepdims)


def _axes(axis: Any, rank: int) -> tuple[int, ...]:
    given = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    found = tuple(one_axis(a, rank) for a in given)
    if len(found) not in (1, 2) or len(set(found)) < len(found):
        raise ShapeError(f"norm is of one axis or of two different ones, not of axis={axis!r}")
    return found


def _real(x: Any) -> Expr:
    """`x`, of complex numbers their absolute values: all that most norms depend on."""
    x = array(x)
    return scalar("abs", x) if x.dtype.kind == "c" else floating(x)


def _kept(found: Expr, x: Expr, axes: tuple[int, ...], keepdims: bool) -> Expr:
    return reshape(found, tuple(1 if i in axes else d for i, d in enumerate(x.shape))) if keepdims else found


def _euclidean(x: Expr, axes: tuple[int, ...]) -> Expr:
    return elementwise("sqrt", reduce(elementwise("square", x), "add", axes))


def _vector(x: Expr, order: Any, axis: int) -> Expr:
    if order is None or order == 2:
        return _euclidean(x, (axis,))
    if isinstance(order, str):
        raise ShapeError(f"a norm of vectors has a number as its order, not {order!r}")
    size = elementwise("abs", x)
    if order in _INFINITE:
        return reduce(size, _INFINITE[order], (axis,))
    if order == 0:
        return reduce(cast(elementwise("not_equal", x, zeros_like(x)), x.dtype), "add", (axis,))
    if order == 1:
        return reduce(size, "add", (axis,))
    return _root(reduce(scalar("power", size, float(order)), "add", (axis,)), float(order))


def _root(total: Expr, order: float) -> Expr:
    """total**(1/order), constant where it is 0."""
    zero = elementwise("equal", total, zeros_like(total))
    one = full(total.shape, 1, total.dtype)
    root = scalar("power", elementwise("where", zero, one, total), 1 / order)
    return elementwise("where", zero, full(total.shape, 0 if order > 0 else np.inf, total.dtype), root)


def _matrix(x: Expr, order: Any, axes: tuple[int, ...]) -> Expr:
    if order is None or order == "fro":
        return _euclidean(x, axes)
    rest = tuple(i for i in range(len(x.shape)) if i not in axes)
    x = transpose(x, (*rest, *axes))
    last = len(rest)
    if order in (1, -1, np.inf, -np.inf):
        summed, left = (last, last) if order in (1, -1) else (last + 1, last)
        return reduce(reduce(elementwise("abs", x), "add", (summed,)), "maximum" if order > 0 else "minimum", (left,))
    if order in _SPECTRAL:
        fold = {2: "maximum", -2: "minimum", "nuc": "add"}[order]
        return reduce(spectral.svd(x)[1], fold, (last,))
    raise ShapeError(f"a norm of matrices has the order None, 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, not {order!r}")
