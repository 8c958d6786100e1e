"""Folds over axes: sums, extremes, moments, positions, and running sums and products.

`axis` is None (all), an int or a tuple, negative from the end; `keepdims` leaves axes of size 1. ShapeError for an axis
that does not exist, and where zero elements are folded that have no identity.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from . import softmax as softmax_of
from .arguments import all_axes, along, array, at_most, element_type, floating, integer, one_axis
from .elementwise import isclose
from .errors import ShapeError
from .node import Expr
from .primitives import cast, scalar, show_shape
from .size import Dim
from .surface import constant, surface


def _fold(x: Expr, op: str, axis: Any, keepdims: bool) -> Expr:
    axes = all_axes(axis, len(x.shape))
    folded = _extreme(x, op, axes) if op in ("minimum", "maximum") else primitives.reduce(x, op, axes)
    return primitives.reshape(folded, kept_shape(x, axes)) if keepdims else folded


def _extreme(x: Expr, op: str, axes: tuple[int, ...]) -> Expr:
    """Fold by minimum or maximum; over no elements it has a value only where there is no result either."""
    if all(at_most(1, x.shape[a]) for a in axes):
        return primitives.reduce(x, op, axes)
    kept = tuple(d for i, d in enumerate(x.shape) if i not in axes)
    if all(at_most(1, d) for d in kept):
        raise ShapeError(f"the {op} of zero elements does not exist (shape {show_shape(x.shape)}, axes {axes}): "
                         "give a nonempty array")
    return primitives.full(kept, 0, x.dtype)


def kept_shape(x: Expr, axes: tuple[int, ...]) -> tuple[Dim, ...]:
    """The shape of `x` with `axes` of size 1."""
    return tuple(1 if i in axes else d for i, d in enumerate(x.shape))


def _count(x: Expr, axis: Any) -> Dim:
    return sizes.product(x.shape[a] for a in all_axes(axis, len(x.shape)))


def _accumulating(x: Expr, dtype: Any) -> Expr:
    """`x` in the dtype its sum has: bools and short integers in 64 bits."""
    if dtype is not None:
        return cast(x, element_type(dtype))
    if x.dtype.kind in "bi":
        return cast(x, np.int64)
    return cast(x, np.uint64) if x.dtype.kind == "u" else x


# ---- sums and logic ---------------------------------------------------------------------------------------------
@surface
def sum_(x: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Expr:
    """The sum over `axis`; bools and integers in 64 bits.

    >>> import pullback as pb
    >>> pb.sum(pb.Var('x'), axis=0)
    sum(x, axis=0)
    """
    return _fold(_accumulating(array(x), dtype), "add", axis, keepdims)


@surface
def prod(x: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Expr:
    """The product over `axis`; bools and integers in 64 bits."""
    return _fold(_accumulating(array(x), dtype), "multiply", axis, keepdims)


@surface
def min_(x: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    """The least element over `axis`; NaN wins. Ties share the derivative equally."""
    return _fold(array(x), "minimum", axis, keepdims)


@surface
def max_(x: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    """The greatest element over `axis`; NaN wins. Ties share the derivative equally."""
    return _fold(array(x), "maximum", axis, keepdims)


@surface
def ptp(x: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    """Greatest minus least element over `axis`."""
    x = array(x)
    return scalar("subtract", _fold(x, "maximum", axis, keepdims), _fold(x, "minimum", axis, keepdims))


@surface
def any_(x: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    """Whether any element over `axis` is not zero."""
    return _fold(cast(array(x), bool), "logical_or", axis, keepdims)


@surface
def all_(x: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    """Whether every element over `axis` is not zero."""
    return _fold(cast(array(x), bool), "logical_and", axis, keepdims)


@surface
def count_nonzero(x: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    """How many elements over `axis` are not zero (int64)."""
    return _fold(cast(cast(array(x), bool), np.int64), "add", axis, keepdims)


@surface
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Expr:
    """Whether |a - b| <= atol + rtol * |b| everywhere."""
    return all_(isclose(a, b, rtol, atol, equal_nan))


@surface
def array_equal(a: Any, b: Any) -> Expr:
    """Whether two arrays have one shape and equal elements."""
    a, b = array(a), array(b)
    if len(a.shape) != len(b.shape) or not all(map(sizes.equal, a.shape, b.shape)):
        return constant(np.asarray(False))
    return all_(scalar("equal", a, b))


# ---- moments ----------------------------------------------------------------------------------------------------
@surface
def mean(x: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Expr:
    """The arithmetic mean over `axis`; of integers in float64. Of zero elements it is NaN."""
    return _mean(floating(x) if dtype is None else cast(array(x), element_type(dtype)), axis, keepdims)


def _mean(x: Expr, axis: Any, keepdims: bool) -> Expr:
    return _kept(scalar("divide", _fold(x, "add", axis, False), _count(x, axis)), x, axis, keepdims)


def _kept(folded: Expr, x: Expr, axis: Any, keepdims: bool) -> Expr:
    """`folded`, what was computed of a fold of `x`, with axes of size 1 where these are to be kept."""
    return primitives.reshape(folded, kept_shape(x, all_axes(axis, len(x.shape)))) if keepdims else folded


@surface
def average(x: Any, axis: Any = None, weights: Any = None, *, keepdims: bool = False) -> Expr:
    """The mean weighted by `weights`, of the shape of `x` or, with one axis, of its length."""
    x = floating(x)
    if weights is None:
        return _mean(x, axis, keepdims)
    weights = array(weights)
    axes = all_axes(axis, len(x.shape))
    if len(weights.shape) != len(x.shape):
        if len(weights.shape) != 1 or len(axes) != 1:
            raise ShapeError(f"weights of shape {show_shape(weights.shape)} fit neither the array "
                             f"{show_shape(x.shape)} nor one axis of it: give weights of the array's shape, "
                             "or of one axis with axis=")
        shape = tuple(weights.shape[0] if i == axes[0] else d for i, d in enumerate(x.shape))
        weights = primitives.broadcast(weights, axes, shape)
    weighted = _fold(scalar("multiply", x, weights), "add", axes, keepdims)
    return scalar("divide", weighted, _fold(floating(weights), "add", axes, keepdims))


@surface
def var(x: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, *, keepdims: bool = False,
        correction: Any = None) -> Expr:
    """The variance over `axis` in two passes, divided by n - ddof (`correction` is the same).

    Of complex numbers it is the mean of the squared moduli of the differences from the mean.
    """
    return _variance(floating(x) if dtype is None else cast(array(x), element_type(dtype)), axis, keepdims,
                     ddof if correction is None else correction)


def _variance(x: Expr, axis: Any, keepdims: bool, ddof: Any) -> Expr:
    from_mean = scalar("subtract", x, _mean(x, axis, True))
    total = _fold(squared_modulus(from_mean), "add", axis, False)
    count = _count(x, axis)
    if isinstance(ddof, float) and not ddof.is_integer():
        freedom: Any = scalar("maximum", scalar("subtract", count, ddof), 0.0)
    else:
        freedom = sizes.maximum(count - integer(ddof, "ddof"), 0)
    return _kept(scalar("divide", total, freedom), x, axis, keepdims)


@surface
def std(x: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, *, keepdims: bool = False,
        correction: Any = None) -> Expr:
    """The standard deviation over `axis`; where the elements are equal its derivative is 0."""
    x = floating(x) if dtype is None else cast(array(x), element_type(dtype))
    return root_of_squares(_variance(x, axis, keepdims, ddof if correction is None else correction))


def squared_modulus(x: Expr) -> Expr:
    """The square of the modulus, a real array."""
    parts = [primitives.real(x), primitives.imag(x)] if x.dtype.kind == "c" else [x]
    squares = [scalar("square", part) for part in parts]
    return scalar("add", *squares) if len(squares) > 1 else squares[0]


def root_of_squares(total: Expr) -> Expr:
    """sqrt of a sum of squares: where the sum is 0 the derivative is the finite 0, not 0 * inf."""
    zero = scalar("equal", total, 0)
    return scalar("where", zero, total, scalar("sqrt", scalar("where", zero, 1, total)))


@surface
def logsumexp(x: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    """log(sum(exp(x))) over `axis` without overflow; -inf, with derivative 0, where all elements are -inf.

    >>> import pullback as pb
    >>> pb.logsumexp(pb.Var('x'), axis=-1)
    logsumexp(x, axis=-1)
    """
    x = floating(x)
    axes = all_axes(axis, len(x.shape))
    some = all(at_most(1, x.shape[a]) for a in axes)
    folded = softmax_of.logsumexp(x, axes) if some else _extreme(x, "maximum", axes)
    return primitives.reshape(folded, kept_shape(x, axes)) if keepdims else folded


@surface
def softmax(x: Any, axis: Any = None) -> Expr:
    """exp(x) divided by its sum over `axis` (default: over all), without overflow; 0 where all elements are -inf.

    >>> import pullback as pb
    >>> pb.softmax(pb.Var('x'), axis=0)
    softmax(x, axis=0)
    """
    x = floating(x)
    return softmax_of.softmax(x, all_axes(axis, len(x.shape)))


# ---- positions --------------------------------------------------------------------------------------------------
@surface
def argmax(x: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    """The index (int64) of the first greatest element along `axis`, or in the flattened array; the first NaN wins."""
    return _position(array(x), "maximum", axis, keepdims)


@surface
def argmin(x: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    """The index (int64) of the first least element along `axis`, or in the flattened array; the first NaN wins."""
    return _position(array(x), "minimum", axis, keepdims)


def _position(x: Expr, op: str, axis: Any, keepdims: bool) -> Expr:
    shape = kept_shape(x, all_axes(axis, len(x.shape)))
    if axis is None:
        x, axis = primitives.reshape(x, (sizes.product(x.shape),)), 0
    axis = one_axis(axis, len(x.shape))
    length = x.shape[axis]
    x = cast(x, np.int8) if x.dtype.kind == "b" else x
    best = scalar("equal", x, _fold(x, op, axis, True))
    if x.dtype.kind == "f":
        best = scalar("logical_or", best, scalar("isnan", x))
    places = scalar("where", best, primitives.iota(x.shape, axis), length)
    found = _extreme(places, "minimum", (axis,))
    return primitives.reshape(found, shape) if keepdims else found


# ---- running folds ----------------------------------------------------------------------------------------------
@surface
def cumsum(x: Any, axis: Any = None, dtype: Any = None) -> Expr:
    """Running sums along `axis` (None: of the flattened array)."""
    x, axis = along(_accumulating(array(x), dtype), axis)
    return primitives.recurrence(primitives.full(x.shape, 1, x.dtype), x, axis)


@surface
def cumprod(x: Any, axis: Any = None, dtype: Any = None) -> Expr:
    """Running products along `axis` (None: of the flattened array)."""
    x, axis = along(_accumulating(array(x), dtype), axis)
    first = scalar("equal", primitives.iota(x.shape, axis), 0)
    return primitives.recurrence(scalar("where", first, 0, x), scalar("where", first, x, 0), axis)


@surface
def cumulative_sum(x: Any, *, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Expr:
    """Running sums of a 1-D array or along `axis`; `include_initial` puts a 0 first."""
    x, axis = _single_axis(_accumulating(array(x), dtype), axis)
    total = primitives.recurrence(primitives.full(x.shape, 1, x.dtype), x, axis)
    return _with_first(total, axis, 0) if include_initial else total


@surface
def cumulative_prod(x: Any, *, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Expr:
    """Running products of a 1-D array or along `axis`; `include_initial` puts a 1 first."""
    x, axis = _single_axis(array(x), axis)
    total = cumprod(x, axis, dtype)
    return _with_first(total, axis, 1) if include_initial else total


def _single_axis(x: Expr, axis: Any) -> tuple[Expr, int]:
    if axis is None and len(x.shape) != 1:
        raise ShapeError(f"axis= is needed for an array of {len(x.shape)} axes")
    return x, one_axis(0 if axis is None else axis, len(x.shape))


def _with_first(x: Expr, axis: int, value: int) -> Expr:
    first = primitives.full(kept_shape(x, (axis,)), value, x.dtype)
    return primitives.concat([first, x], axis)
