"""Functions that move elements along an axis: pad, roll and diff."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .arguments import array, at_most, entries, integer, one_axis
from .errors import ShapeError
from .joining import part
from .node import Expr
from .primitives import cast, scalar, show_shape
from .size import Dim, Size
from .surface import surface


# ---- pad --------------------------------------------------------------------------------------------------------
@surface
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Expr:
    """`x` with elements added before and after each axis.

    `pad_width`: a number, (before, after), or such a pair for each axis; `mode`: constant, edge, reflect, symmetric or
    wrap; `constant_values`: one value, or pairs as for `pad_width`.
    """
    x = array(x)
    widths = _pairs(pad_width, len(x.shape), "pad_width", integer)
    for before, after in widths:
        if before < 0 or after < 0:
            raise ShapeError(f"pad_width cannot be negative: {widths}; write a slice to make an array smaller")
    if mode == "constant":
        return _pad_constant(x, widths, constant_values)
    if mode not in _BORDERS:
        raise ShapeError(f"pad has the modes 'constant', {', '.join(map(repr, _BORDERS))}, not {mode!r}")
    for axis, (before, after) in enumerate(widths):
        if before or after:
            x = _pad_axis(x, axis, before, after, mode)
    return x


def _pairs(value: Any, rank: int, what: str, convert: Callable[..., Any]) -> list[tuple[Any, Any]]:
    """`value` as one pair for each axis."""
    given = entries(value)
    if all(not isinstance(v, (tuple, list)) for v in given) and len(given) <= 2:      # one number, or one pair for all
        given = [given]
    given = [g * 2 if len(g) == 1 else g for g in map(entries, given)]
    given = given * rank if len(given) == 1 else given
    if len(given) != rank or any(len(g) != 2 for g in given):
        raise ShapeError(f"{what} is a number, a pair, or a pair for each of the {rank} axes, not {value!r}")
    return [(convert(a, what), convert(b, what)) for a, b in given]


def _pad_constant(x: Expr, widths: list[tuple[int, int]], values: Any) -> Expr:
    fills = _pairs(values, len(x.shape), "constant_values", lambda v, _: cast(array(v), x.dtype)) if x.shape else []
    distinct = {fill for pair in fills for fill in pair}
    if len(distinct) == 1:
        shape = tuple(d + a + b for d, (a, b) in zip(x.shape, widths, strict=True))
        return primitives.place(x, tuple((a, 1) for a, _ in widths), shape, distinct.pop())
    for axis, ((before, after), ends) in enumerate(zip(widths, fills, strict=True)):
        blocks = [primitives.broadcast_to(fill, tuple(n if i == axis else d for i, d in enumerate(x.shape)))
                  for n, fill in zip((before, after), ends, strict=True)]
        x = primitives.concat([blocks[0], x, blocks[1]], axis)
    return x


# mode -> how many elements an axis of n supplies at once, and the period of its continuation
_BORDERS: dict[str, tuple[Callable[[Dim], Dim], Callable[[Dim], Dim]]] = {
    "edge": (lambda n: n, lambda n: n),
    "reflect": (lambda n: n - 1, lambda n: 2 * n - 2),
    "symmetric": (lambda n: n, lambda n: 2 * n),
    "wrap": (lambda n: n, lambda n: n),
}


def _pad_axis(x: Expr, axis: int, before: int, after: int, mode: str) -> Expr:
    n = x.shape[axis]
    if not at_most(1, n):
        raise ShapeError(f"axis {axis} of {show_shape(x.shape)} has no elements to pad with: use mode='constant'")
    if mode == "edge":
        shapes = [tuple(k if i == axis else d for i, d in enumerate(x.shape)) for k in (before, after)]
        ends = [part(x, axis, place, 1) for place in (0, n - 1)]
        first, last = (primitives.broadcast_to(e, s) for e, s in zip(ends, shapes, strict=True))
        return primitives.concat([first, x, last], axis)
    supply, period = _BORDERS[mode]
    if at_most(max(before, after), supply(n)):
        return _pad_once(x, axis, before, after, mode)
    return _pad_many(x, axis, before, after, mode, period(n))


def _pad_once(x: Expr, axis: int, before: int, after: int, mode: str) -> Expr:
    n = x.shape[axis]
    if mode == "wrap":
        first, last = part(x, axis, n - before, before), part(x, axis, 0, after)
    else:
        skip = 1 if mode == "reflect" else 0
        first = part(x, axis, before - 1 + skip, before, -1)
        last = part(x, axis, n - 1 - skip, after, -1)
    return primitives.concat([p for p, k in ((first, before), (x, 1), (last, after)) if k], axis)


def _pad_many(x: Expr, axis: int, before: int, after: int, mode: str, period: Dim) -> Expr:
    """A border wider than the array: indices run through the periodic (and mirrored) continuation."""
    n = x.shape[axis]
    places = scalar("subtract", primitives.iota((n + before + after,), 0), before)
    if isinstance(n, int) and n == 1:
        places = scalar("multiply", places, 0)
    else:
        places = scalar("remainder", places, period)
        if mode != "wrap":
            mirrored = scalar("subtract", period - (0 if mode == "reflect" else 1), places)
            places = scalar("minimum", places, mirrored)
    found = primitives.gather(x, [places], (axis,))
    return primitives.transpose(found, (*range(1, axis + 1), 0, *range(axis + 1, len(x.shape))))


# ---- roll and diff ----------------------------------------------------------------------------------------------
@surface
def roll(x: Any, shift: Any, axis: Any = None) -> Expr:
    """`x` moved by `shift` along `axis`, what leaves one end entering the other (None: of the flattened array).

    `shift` may be a traced integer; tuples move several axes.
    """
    x = array(x)
    if axis is None:
        flat = primitives.reshape(x, (sizes.product(x.shape),))
        return primitives.reshape(_rolled(flat, 0, shift), x.shape)
    axes = [one_axis(a, len(x.shape)) for a in entries(axis)]
    shifts = entries(shift)
    shifts = shifts * len(axes) if len(shifts) == 1 else shifts
    axes = axes * len(shifts) if len(axes) == 1 else axes
    if len(shifts) != len(axes):
        raise ShapeError(f"roll takes one shift for each axis, not {len(shifts)} for {len(axes)}")
    for at, by in zip(axes, shifts, strict=True):
        x = _rolled(x, at, by)
    return x


def _rolled(x: Expr, axis: int, shift: Any) -> Expr:
    n = x.shape[axis]
    if isinstance(n, int) and n == 0:
        return x
    if isinstance(shift, Expr) and shift.op != "const":
        return _rolled_by_traced(x, axis, shift)
    by = shift if isinstance(shift, Size) else integer(shift, "shift")
    if isinstance(by, int) and isinstance(n, Size):
        if not at_most(abs(by), n):
            by %= max(int(n), 1)
        by = by + n if by < 0 else by
    else:
        by = by % n
    if sizes.same(by, 0):
        return x
    return primitives.concat([part(x, axis, n - by, by), part(x, axis, 0, n - by)], axis)


def _rolled_by_traced(x: Expr, axis: int, shift: Expr) -> Expr:
    n = x.shape[axis]
    places = scalar("remainder", scalar("subtract", primitives.iota((n,), 0), cast(shift, np.int64)), n)
    found = primitives.gather(x, [places], (axis,))
    return primitives.transpose(found, (*range(1, axis + 1), 0, *range(axis + 1, len(x.shape))))


@surface
def diff(x: Any, n: Any = 1, axis: Any = -1, prepend: Any = None, append: Any = None) -> Expr:
    """The difference of neighbours along `axis`, `n` times; of bools whether they differ."""
    x = array(x)
    at = one_axis(axis, len(x.shape))
    ends = [None if e is None else _end(x, at, e) for e in (prepend, append)]
    parts = [p for p in (ends[0], x, ends[1]) if p is not None]
    common = np.result_type(*[p.dtype for p in parts])
    x = primitives.concat([cast(p, common) for p in parts], at)
    for _ in range(integer(n, "n")):
        left = sizes.maximum(x.shape[at] - 1, 0)
        x = scalar("not_equal" if x.dtype.kind == "b" else "subtract", part(x, at, 1, left), part(x, at, 0, left))
    return x


def _end(x: Expr, axis: int, value: Any) -> Expr:
    end = array(value)
    shape = tuple(1 if i == axis else d for i, d in enumerate(x.shape))
    return end if end.shape else primitives.broadcast_to(end, shape)


@surface
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Expr:
    """The integral of `y` along `axis` by the trapezoidal rule, over points `x` or steps `dx`."""
    y = array(y)
    at = one_axis(axis, len(y.shape))
    inner = sizes.maximum(y.shape[at] - 1, 0)
    steps = dx
    if x is not None:
        points = array(x)
        steps = diff(points, axis=0 if len(points.shape) == 1 else at)
        if len(points.shape) == 1:
            steps = primitives.reshape(steps, (steps.shape[0], *(1,) * (len(y.shape) - 1 - at)))
    sums = scalar("add", part(y, at, 1, inner), part(y, at, 0, inner))
    return primitives.reduce(scalar("divide", scalar("multiply", steps, sums), 2.0), "add", (at,))
