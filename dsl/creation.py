"""Arrays made from nothing: constants, ranges, identities. The default dtype is float64, of integer ranges int64.

Shapes may contain symbolic sizes. The results are expressions, also where no argument is one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .arguments import array, dimension, element_type, floating, integer, shape_of
from .diagonals import on_diagonal
from .errors import ShapeError
from .node import Expr
from .primitives import cast, scalar
from .size import Dim, Size
from .surface import several, size_value, surface


@surface
def asarray(x: Any, dtype: Any = None, copy: bool | None = None) -> Expr:
    """`x` as an expression: an array as it is at this moment, a number, or a nest of numbers and expressions."""
    return array(x) if dtype is None else cast(array(x), element_type(dtype))


@surface
def zeros(shape: Any, dtype: Any = None) -> Expr:
    """An array of zeros.

    >>> import pullback as pb
    >>> pb.zeros((2, 3)).shape
    (2, 3)
    """
    return primitives.full(shape_of(shape), 0, element_type(dtype))


@surface
def ones(shape: Any, dtype: Any = None) -> Expr:
    """An array of ones."""
    return primitives.full(shape_of(shape), 1, element_type(dtype))


@surface
def empty(shape: Any, dtype: Any = None) -> Expr:
    """The same as zeros: an expression has no element without a value."""
    return primitives.full(shape_of(shape), 0, element_type(dtype))


@surface
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Expr:
    """An array with every element `fill_value`, which broadcasts to `shape`; its dtype unless `dtype` is given."""
    value = array(fill_value)
    return primitives.broadcast_to(value if dtype is None else cast(value, element_type(dtype)), shape_of(shape))


@surface
def zeros_like(x: Any, dtype: Any = None, shape: Any = None) -> Expr:
    """Zeros of the shape and dtype of `x`, unless others are given."""
    return _like(array(x), 0, dtype, shape)


@surface
def ones_like(x: Any, dtype: Any = None, shape: Any = None) -> Expr:
    """Ones of the shape and dtype of `x`, unless others are given."""
    return _like(array(x), 1, dtype, shape)


@surface
def empty_like(x: Any, dtype: Any = None, shape: Any = None) -> Expr:
    """The same as zeros_like."""
    return _like(array(x), 0, dtype, shape)


@surface
def full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Expr:
    """`fill_value` in the shape and dtype of `x`, unless others are given."""
    x = array(x)
    value = cast(array(fill_value), element_type(dtype, x.dtype))
    return primitives.broadcast_to(value, x.shape if shape is None else shape_of(shape))


def _like(x: Expr, value: int, dtype: Any, shape: Any) -> Expr:
    return primitives.full(x.shape if shape is None else shape_of(shape), value, element_type(dtype, x.dtype))


# ---- ranges -----------------------------------------------------------------------------------------------------
@surface
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Expr:
    """start, start + step, ... before `stop`; `arange(n)` counts from 0. Bounds are numbers or sizes.

    >>> import pullback as pb
    >>> pb.arange(4).dtype
    dtype('int64')
    """
    start, stop = (0, start) if stop is None else (start, stop)
    start, stop, step = (_number(v) for v in (start, stop, step))
    if not isinstance(step, Size) and step == 0:
        raise ShapeError("the step of arange cannot be 0")
    whole = all(isinstance(v, (int, Size)) for v in (start, stop, step))
    count = _whole_count(start, stop, integer(step)) if whole else _count(float(start), float(stop), float(step))
    found = np.dtype(np.int64 if whole else np.float64) if dtype is None else element_type(dtype)
    if whole:
        places = primitives.iota((count,), 0)
        places = places if step == 1 else scalar("multiply", places, step)
        return cast(places if isinstance(start, int) and start == 0 else scalar("add", places, start), found)
    first = np.asarray(start).astype(found)
    delta = (np.asarray(start + step).astype(found) - first).item()
    places = primitives.iota((count,), 0, found)
    return scalar("add", scalar("multiply", places, delta), first.item())


def _number(value: Any) -> Any:
    """A bound of a range as a Python number or a size."""
    if isinstance(value, Expr) and value.op in ("const", "size") and not value.shape:
        return value.attrs[0] if value.op == "size" else value.attrs[0].array.item()
    if isinstance(value, (int, float, Size)):
        return value
    raise ShapeError(f"the bounds of arange are numbers or sizes known when the program is built, not {value!r}: "
                     "write start + step * pb.arange(n)")


def _whole_count(start: Dim, stop: Dim, step: int) -> Dim:
    span = stop - start
    return primitives.size.maximum((span + step - 1) // step if step > 0 else (-span - step - 1) // -step, 0)


def _count(start: float, stop: float, step: float) -> int:
    return max(math.ceil((stop - start) / step), 0)


@surface
def linspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None) -> Expr:
    """`num` values from `start` to `stop` in equal steps, the last being `stop` unless endpoint=False.

    The bounds may be 0-d expressions.
    """
    start, stop, count = _endpoint(start), _endpoint(stop), dimension(num, "num")
    common = np.result_type(start.dtype, stop.dtype)
    start, stop = cast(start, common), cast(stop, common)
    intervals = count - 1 if endpoint else count
    places = primitives.iota((count,), 0, common)
    if isinstance(intervals, int) and intervals <= 0:
        result = scalar("add", scalar("multiply", places, 0), start)
    else:
        step = scalar("divide", scalar("subtract", stop, start), intervals)
        result = scalar("add", scalar("multiply", places, step), start)
        if endpoint:
            last = scalar("equal", primitives.iota((count,), 0), intervals)
            result = scalar("where", last, stop, result)
    if dtype is None:
        return result
    wanted = element_type(dtype)
    return cast(scalar("floor", result) if wanted.kind in "iu" else result, wanted)


@surface
def logspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None) -> Expr:
    """`num` powers of `base` whose exponents go from `start` to `stop` in equal steps."""
    found = scalar("power", base, linspace(start, stop, num, endpoint))
    return found if dtype is None else cast(found, element_type(dtype))


@surface
def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None) -> Expr:
    """`num` positive values from `start` to `stop` in equal ratios, the ends to the last bit."""
    start, stop, count = _endpoint(start), _endpoint(stop), dimension(num, "num")
    found = scalar("exp", linspace(scalar("log", start), scalar("log", stop), count, endpoint))
    places = primitives.iota((count,), 0)
    found = scalar("where", scalar("equal", places, 0), start, found)
    if endpoint:
        found = scalar("where", scalar("equal", places, sizes.maximum(count - 1, 1)), stop, found)
    return found if dtype is None else cast(found, element_type(dtype))


def _endpoint(value: Any) -> Expr:
    end = size_value(value, np.float64) if isinstance(value, Size) else array(value)
    if end.shape:
        raise ShapeError(f"an end of linspace is one number, not an array of shape {end.shape}")
    return floating(end)


@surface
@several(lambda *xs, **_: len(xs))
def meshgrid(*xs: Any, indexing: str = "xy", sparse: bool = False) -> tuple[Expr, ...]:
    """Coordinate arrays of a grid from 1-D `xs`; indexing 'xy' swaps the first two axes."""
    if indexing not in ("xy", "ij"):
        raise ShapeError(f"meshgrid has the indexings 'xy' and 'ij', not {indexing!r}")
    axes = list(range(len(xs)))
    if indexing == "xy" and len(xs) > 1:
        axes[:2] = [1, 0]
    flat = [primitives.reshape(x, (primitives.size.product(x.shape),)) for x in map(array, xs)]
    shape: list[Dim] = [1] * len(flat)
    for axis, x in zip(axes, flat, strict=True):
        shape[axis] = x.shape[0]
    if sparse:
        return tuple(primitives.reshape(x, tuple(d if i == axis else 1 for i, d in enumerate(shape)))
                     for axis, x in zip(axes, flat, strict=True))
    return tuple(primitives.broadcast(x, (axis,), tuple(shape)) for axis, x in zip(axes, flat, strict=True))


# ---- matrices ---------------------------------------------------------------------------------------------------
@surface
def eye(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Expr:
    """A matrix of `n` rows and `m` columns (None: n) with ones on diagonal `k`."""
    shape = (dimension(n), dimension(n if m is None else m))
    return cast(on_diagonal(shape, integer(k, "k")), element_type(dtype))


@surface
def identity(n: Any, dtype: Any = None) -> Expr:
    """The identity matrix of `n` rows."""
    return eye(n, dtype=dtype)
