"""Functions that join arrays and cut them.

Raises ShapeError, saying both shapes, where arrays do not fit or an axis does not exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .arguments import array, entries, integer, one_axis
from .errors import PullbackError, ShapeError
from .node import Expr, where
from .primitives import cast, show_shape
from .shapes import at_least_axes, flip, ravel, swapaxes
from .size import Dim
from .surface import several, surface


def part(x: Expr, axis: int, start: Dim, length: Dim, step: int = 1) -> Expr:
    """`length` elements of `x` along `axis` from `start` in steps of `step`."""
    ranges = tuple((start, step) if i == axis else (0, 1) for i in range(len(x.shape)))
    return primitives.slice_(x, ranges, tuple(length if i == axis else d for i, d in enumerate(x.shape)))


def _without(x: Expr, axis: int) -> Expr:
    """`x` without an axis of size 1."""
    return primitives.reshape(x, tuple(d for i, d in enumerate(x.shape) if i != axis))


# ---- joining ----------------------------------------------------------------------------------------------------
def _common_parts(arrays: Any, dtype: Any = None) -> list[Expr]:
    parts = [array(a) for a in arrays]
    if not parts:
        raise ShapeError("there is nothing to join: give at least one array")
    common = np.result_type(*[p.dtype for p in parts]) if dtype is None else np.dtype(dtype)
    return [cast(p, common) for p in parts]


@surface
def concatenate(arrays: Any, axis: Any = 0, dtype: Any = None) -> Expr:
    """`arrays` one after another along `axis` (None: flattened); their other axes agree."""
    parts = _common_parts(arrays, dtype)
    if axis is None:
        return primitives.concat([primitives.reshape(p, (sizes.product(p.shape),)) for p in parts], 0)
    return primitives.concat(parts, one_axis(axis, len(parts[0].shape)))


@surface
def stack(arrays: Any, axis: Any = 0, dtype: Any = None) -> Expr:
    """`arrays` of one shape side by side along a new `axis`."""
    parts = _common_parts(arrays, dtype)
    first = parts[0].shape
    for p in parts:
        if len(p.shape) != len(first) or not all(map(sizes.equal, p.shape, first)):
            raise ShapeError(f"cannot stack {show_shape(first)} and {show_shape(p.shape)}: the shapes must agree")
    at = one_axis(axis, len(first) + 1)
    return primitives.concat([primitives.reshape(p, (*first[:at], 1, *first[at:])) for p in parts], at)


@surface
def hstack(arrays: Any) -> Expr:
    """`arrays` one after another along the second axis, 1-D ones along the first."""
    parts = [at_least_axes(p, 1) for p in _common_parts(arrays)]
    return primitives.concat(parts, 0 if len(parts[0].shape) == 1 else 1)


@surface
def vstack(arrays: Any) -> Expr:
    """`arrays` one below another; 1-D ones are rows."""
    return primitives.concat([at_least_axes(p, 2) for p in _common_parts(arrays)], 0)


@surface
def dstack(arrays: Any) -> Expr:
    """`arrays` one behind another along the third axis."""
    return primitives.concat([at_least_axes(p, 3) for p in _common_parts(arrays)], 2)


@surface
def column_stack(arrays: Any) -> Expr:
    """1-D `arrays` as columns of a matrix; 2-D ones side by side."""
    parts = _common_parts(arrays)
    columns = [primitives.reshape(p, (*at_least_axes(p, 1).shape, 1)) if len(p.shape) < 2 else p for p in parts]
    return primitives.concat(columns, 1)


def _parts_of_unstack(x: Any, axis: Any = 0) -> int:
    raise PullbackError(f"how many parts {x} has along axis {axis} is not known before the call{where(x)}: "
                        "write x[i], or declare its shape with pb.Var(name, shape)")


@surface
@several(_parts_of_unstack)
def unstack(x: Any, axis: Any = 0) -> tuple[Expr, ...]:
    """The parts of `x` along `axis`, one for each index."""
    x = array(x)
    at = one_axis(axis, len(x.shape))
    return tuple(_without(part(x, at, i, 1), at) for i in range(integer(x.shape[at])))


def _parts_of_split(x: Any, indices_or_sections: Any, axis: Any = 0) -> int:
    if _has_cuts(indices_or_sections):
        return len(entries(indices_or_sections)) + 1
    return integer(indices_or_sections, "sections")


def _has_cuts(indices_or_sections: Any) -> bool:
    given = indices_or_sections
    return isinstance(given, (tuple, list)) or isinstance(given, Expr) and len(given.shape) == 1


@surface
@several(_parts_of_split)
def split(x: Any, indices_or_sections: Any, axis: Any = 0) -> list[Expr]:
    """`x` cut along `axis` into equal sections, or before each of the given indices."""
    x = array(x)
    at = one_axis(axis, len(x.shape))
    length = x.shape[at]
    if _has_cuts(indices_or_sections):
        total = integer(length, "the size of the axis that is cut")
        cuts = [slice(None, i).indices(total)[1] for i in map(integer, entries(indices_or_sections))]
        bounds = [0, *cuts, total]
        return [part(x, at, a, max(b - a, 0)) for a, b in zip(bounds, bounds[1:], strict=False)]
    sections = integer(indices_or_sections, "sections")
    each = sizes.floordiv(length, sections)
    if not sizes.equal(each * sections, length):
        raise ShapeError(f"axis {at} of {show_shape(x.shape)} does not divide into {sections} equal sections")
    return [part(x, at, i * each, each) for i in range(sections)]


@surface
@several(_parts_of_split)
def array_split(x: Any, indices_or_sections: Any, axis: Any = 0) -> list[Expr]:
    """`split` into sections that need not be equal: the first ones have an element more."""
    x = array(x)
    at = one_axis(axis, len(x.shape))
    if _has_cuts(indices_or_sections):
        return split(x, indices_or_sections, at)
    sections = integer(indices_or_sections, "sections")
    each, longer = divmod(integer(x.shape[at], "the size of the axis that is cut"), sections)
    return split(x, [i * each + min(i, longer) for i in range(1, sections)], at)


@surface
@several(_parts_of_split)
def hsplit(x: Any, indices_or_sections: Any) -> list[Expr]:
    """`split` along the second axis, of a vector along its own."""
    return split(x, indices_or_sections, 1 if len(array(x).shape) > 1 else 0)


@surface
@several(_parts_of_split)
def vsplit(x: Any, indices_or_sections: Any) -> list[Expr]:
    """`split` along the first axis."""
    return split(x, indices_or_sections, 0)


@surface
@several(_parts_of_split)
def dsplit(x: Any, indices_or_sections: Any) -> list[Expr]:
    """`split` along the third axis."""
    return split(x, indices_or_sections, 2)


@surface
def append(x: Any, values: Any, axis: Any = None) -> Expr:
    """`x` and then `values` along `axis`; without one, both flattened."""
    if axis is None:
        x, values, axis = ravel(x), ravel(values), 0
    return concatenate([x, values], axis)


@surface
def rot90(x: Any, k: Any = 1, axes: Any = (0, 1)) -> Expr:
    """`x` turned by `k` quarters from the first towards the second of `axes`."""
    x, turns = array(x), integer(k, "k") % 4
    first, second = (one_axis(a, len(x.shape)) for a in axes)
    if turns == 0:
        return x
    if turns == 2:
        return flip(x, (first, second))
    swapped = swapaxes(x, first, second)
    return flip(swapped, first if turns == 1 else second)
