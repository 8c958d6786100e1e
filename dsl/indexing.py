"""Reading and writing at an index: x[...], take, and x.at[...].set and its kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .arguments import array, one_axis, repeats_to
from .errors import DTypeError, ShapeError
from .node import FUNCTIONS, Expr
from .primitives import PyScalar, cast, scalar, show_shape
from .selection import Selection, select, wrapped
from .surface import as_expr, surface


@surface
def getitem(x: Any, index: Any) -> Expr:
    """`x[index]` by NumPy's rules.

    Slices clamp; an integer or index array out of range raises, ShapeError when the program is built where that is
    known, else IndexError when it runs. `x[i:i+3]` with a traced `i` has 3 elements and raises where it leaves the
    array. A constant mask selects; a traced one is refused, since how many elements it selects depends on data.
    """
    x = array(x)
    found = select(x, index)
    part = found.region(x)
    if found.indices:
        part = primitives.gather(part, found.indices, found.axes)
    return primitives.reshape(primitives.transpose(part, found.perm), found.shape)


@surface
def take(x: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Expr:
    """The elements of `x` at `indices` along `axis` (None: of the flattened array); `mode` raise, wrap or clip.

    >>> import pullback as pb
    >>> pb.take(pb.Var('x'), [0, 2], axis=1)
    take(x, [0, 2], axis=1)
    """
    x, indices = array(x), _index_array(indices)
    x = primitives.reshape(x, (sizes.product(x.shape),)) if axis is None else x
    at = one_axis(0 if axis is None else axis, len(x.shape))
    length = x.shape[at]
    if mode == "clip":
        indices = scalar("clip", cast(indices, np.int64), 0, length - 1)
    elif mode == "wrap":
        indices = scalar("remainder", cast(indices, np.int64), length)
    elif mode != "raise":
        raise ShapeError(f"take has the modes 'raise', 'wrap' and 'clip', not {mode!r}")
    found = primitives.gather(x, [wrapped(indices, length, at)], (at,))
    rank = len(indices.shape)
    return primitives.transpose(found, (*range(rank, rank + at), *range(rank), *range(rank + at, len(found.shape))))


def _index_array(indices: Any) -> Expr:
    found = array(indices)
    return cast(found, np.int64) if isinstance(indices, (list, tuple)) and found.shape == (0,) else found


@surface
def take_along_axis(x: Any, indices: Any, axis: Any = -1) -> Expr:
    """out[.., i, ..] = x[.., indices[.., i, ..], ..] along `axis`; the other axes broadcast."""
    x, indices = array(x), array(indices)
    if axis is None:
        x, axis = primitives.reshape(x, (sizes.product(x.shape),)), 0
    at = one_axis(axis, len(x.shape))
    if len(indices.shape) != len(x.shape):
        raise ShapeError(f"take_along_axis takes indices of as many axes as the array, not {show_shape(indices.shape)} "
                         f"for {show_shape(x.shape)}")
    others = [tuple(1 if i == at else d for i, d in enumerate(s)) for s in (x.shape, indices.shape)]
    shape = list(primitives.broadcast_shapes(*others))
    shape[at] = indices.shape[at]
    places = [_along(x, i, tuple(shape)) for i in range(len(shape))]
    places[at] = primitives.broadcast_to(wrapped(indices, x.shape[at], at), tuple(shape))
    return primitives.gather(x, places, tuple(range(len(shape))))


def _along(x: Expr, axis: int, shape: tuple) -> Expr:
    """The index along `axis`; always 0 where the axis of `x` repeats."""
    if primitives.repeats(x.shape[axis], shape[axis]):
        return primitives.full(shape, 0, np.int64)
    return primitives.iota(shape, axis)


# ---- writing ----------------------------------------------------------------------------------------------------
_ROW = {"add": "add", "multiply": "multiply", "minimum": "minimum", "maximum": "maximum"}


@surface
def update_at(x: Any, index: Any, op: str, value: Any) -> Expr:
    """`x` with `value` folded in at `index` by `op`: set, add, multiply, minimum or maximum (`x.at[index]` calls it).

    `value` broadcasts to the shape of `x[index]` and is cast to the dtype of `x`; DTypeError where that would lose its
    fraction. Of duplicate indices in set the last wins.
    """
    x = array(x)
    found = select(x, index)
    v = _laid_out(_value_for(x, value), found)
    if found.indices:
        v = _scattered(found.region(x), found, v, op)
        op = "set"
    v = primitives.reshape(v, tuple(found.lengths))
    if found.whole(x):
        return v if op == "set" else scalar(_ROW[op], x, v)
    return _update_region(x, v, found, op)


def _scattered(x: Expr, found: Selection, v: Expr, op: str) -> Expr:
    """Whatever is folded into one element or row is set there, so that derivatives are of that place alone."""
    if op in ("multiply", "minimum", "maximum") and all(sizes.same(d, 1) for d in found.indices[0].shape):
        v, op = scalar(_ROW[op], primitives.gather(x, found.indices, found.axes), v), "set"
    return primitives.scatter(x, found.indices, v, found.axes, op)


def _update_region(x: Expr, v: Expr, found: Selection, op: str) -> Expr:
    if any(isinstance(d, int) and d == 0 for d in found.lengths):
        return x
    ranges, backwards = [], []
    for (start, step), length in zip(found.ranges, found.lengths, strict=True):
        backwards.append((length - 1, -1) if step < 0 else (0, 1))
        ranges.append((start + step * (length - 1), -step) if step < 0 else (start, step))
    return primitives.update(x, primitives.slice_(v, tuple(backwards), v.shape), tuple(ranges), op)


def _value_for(x: Expr, value: Any) -> Expr:
    if isinstance(value, PyScalar):
        kind = np.result_type(x.dtype, value)
        if not np.can_cast(kind, x.dtype, "same_kind"):
            raise _lossy(type(value).__name__, x.dtype)
        return cast(as_expr(value), x.dtype)
    value = as_expr(value)
    if not np.can_cast(value.dtype, x.dtype, "same_kind"):
        raise _lossy(str(value.dtype), x.dtype)
    return cast(value, x.dtype)


def _lossy(given: str, dtype: np.dtype) -> DTypeError:
    return DTypeError(f"a value of {given} does not fit an array of {dtype}: "
                      f"convert the value with .astype({str(dtype)!r}), or the array")


def _laid_out(v: Expr, found: Selection) -> Expr:
    """The value broadcast to the shape of x[index], its axes in the order of gather: index arrays first."""
    extra = len(v.shape) - len(found.shape)
    if extra > 0 and all(sizes.same(d, 1) for d in v.shape[:extra]):
        v = primitives.reshape(v, v.shape[extra:])
    if not repeats_to(v.shape, found.shape):
        raise ShapeError(f"a value of shape {show_shape(v.shape)} does not fit the selected shape "
                         f"{show_shape(found.shape)}")
    v = primitives.broadcast_to(v, found.shape)
    gathered = found.indices[0].shape if found.indices else ()
    rest = tuple(d for i, d in enumerate(found.kept) if i not in found.axes)
    dims = (*gathered, *rest)
    v = primitives.reshape(v, tuple(dims[p] for p in found.perm))
    return primitives.transpose(v, tuple(found.perm.index(i) for i in range(len(found.perm))))


class At:
    """`x.at[index].set(v)`: a new expression with a region changed; `x` stays as it is."""

    __slots__ = ("_x",)

    def __init__(self, x: Expr) -> None:
        self._x = x

    def __getitem__(self, index: Any) -> AtIndex:
        return AtIndex(self._x, index)


class AtIndex:
    """A place in an array that can be read and written."""

    __slots__ = ("_index", "_x")

    def __init__(self, x: Expr, index: Any) -> None:
        self._x, self._index = x, index

    def get(self) -> Expr:
        """`x[index]`."""
        return getitem(self._x, self._index)

    def set(self, value: Any) -> Expr:
        """`x` with `x[index] = value`; of duplicate indices the last wins."""
        return update_at(self._x, self._index, "set", value)

    def add(self, value: Any) -> Expr:
        """`x` with `x[index] += value`, each duplicate index counted."""
        return update_at(self._x, self._index, "add", value)

    def subtract(self, value: Any) -> Expr:
        """`x` with `x[index] -= value`, each duplicate index counted."""
        return update_at(self._x, self._index, "add", -value)

    def multiply(self, value: Any) -> Expr:
        """`x` with `x[index] *= value`, each duplicate index counted."""
        return update_at(self._x, self._index, "multiply", value)

    def divide(self, value: Any) -> Expr:
        """`x` with `x[index] /= value`, each duplicate index counted."""
        divisor = update_at(FUNCTIONS["ones_like"](self._x), self._index, "multiply", value)
        return FUNCTIONS["divide"](self._x, divisor)

    def power(self, value: Any) -> Expr:
        """`x` with `x[index] **= value`, a duplicate index once."""
        return self.apply(lambda old: old ** value)

    def apply(self, function: Callable[[Expr], Any]) -> Expr:
        """`x` with `x[index] = function(x[index])`, a duplicate index once."""
        return self.set(function(self.get()))

    def min(self, value: Any) -> Expr:
        """`x` with the lesser of `x[index]` and `value`."""
        return update_at(self._x, self._index, "minimum", value)

    def max(self, value: Any) -> Expr:
        """`x` with the greater of `x[index]` and `value`."""
        return update_at(self._x, self._index, "maximum", value)
