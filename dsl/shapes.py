"""Functions that renumber and repeat elements without computing on them.

Raises ShapeError, saying both shapes, where arrays do not fit or an axis does not exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .arguments import all_axes, array, dimension, entries, integer, is_one, one_axis, repeats_to, shape_of
from .errors import ShapeError
from .node import FUNCTIONS, Expr
from .primitives import show_shape
from .size import Dim, Size
from .surface import several, surface


# ---- shape ------------------------------------------------------------------------------------------------------
def shape(x: Any) -> tuple[Dim, ...]:
    """The sizes of `x` along its axes; ints and symbolic sizes."""
    return tuple(array(x)._known("shape"))


def ndim(x: Any) -> int:
    """The number of axes of `x`."""
    return len(shape(x))


def size(x: Any, axis: Any = None) -> Dim:
    """The number of elements of `x`, in all or along `axis`."""
    dims = shape(x)
    return sizes.product(dims[a] for a in all_axes(axis, len(dims)))


@surface
def reshape(x: Any, shape: Any, order: str = "C", copy: bool | None = None) -> Expr:
    """`x` in another shape with the same elements; one size may be -1.

    >>> import pullback as pb
    >>> pb.reshape(pb.Var('x'), (2, -1))
    reshape(x, (2, -1))
    """
    x = array(x)
    wanted = _complete_shape(x.shape, entries(shape))
    if order == "C":
        return primitives.reshape(x, wanted)
    if order == "F":
        return _reverse(primitives.reshape(_reverse(x), wanted[::-1]))
    raise ShapeError(f"reshape takes order 'C' or 'F', not {order!r}")


def _reverse(x: Expr) -> Expr:
    return primitives.transpose(x, tuple(range(len(x.shape)))[::-1])


def _complete_shape(old: tuple[Dim, ...], wanted: list[Any]) -> tuple[Dim, ...]:
    """`wanted` with -1 replaced by what is left."""
    given = [dimension(d) if isinstance(d, (Size, Expr)) else integer(d, "a dimension") for d in wanted]
    unknown = [i for i, d in enumerate(given) if isinstance(d, int) and d == -1]
    if not unknown:
        return shape_of(given)
    if len(unknown) > 1:
        raise ShapeError(f"only one size of {tuple(given)} can be -1")
    left = list(old)
    known: Dim = 1
    for d in (d for i, d in enumerate(given) if i != unknown[0]):
        same = next((k for k, o in enumerate(left) if sizes.same(o, d)), None)
        if same is None:
            known = known * dimension(d)
        else:
            left.pop(same)
    given[unknown[0]] = _quotient(sizes.product(left), known, old, given)
    return tuple(given)


def _quotient(total: Dim, known: Dim, old: tuple[Dim, ...], wanted: list[Any]) -> Dim:
    fits = not (isinstance(known, int) and (known == 0 or isinstance(total, int) and total % known))
    if not fits:
        raise ShapeError(f"cannot reshape {show_shape(old)} into {show_shape(tuple(wanted))}: "
                         f"{sizes.show(sizes.product(old))} elements do not divide")
    return sizes.floordiv(total, known)


@surface
def ravel(x: Any) -> Expr:
    """The elements of `x` in row-major order along one axis."""
    x = array(x)
    return primitives.reshape(x, (sizes.product(x.shape),))


@surface
def expand_dims(x: Any, axis: Any) -> Expr:
    """`x` with axes of size 1 at `axis` of the result."""
    x = array(x)
    added = axis if isinstance(axis, (tuple, list)) else (axis,)
    places = all_axes(tuple(added), len(x.shape) + len(added))
    dims = iter(x.shape)
    return primitives.reshape(x, tuple(1 if i in places else next(dims) for i in range(len(x.shape) + len(added))))


@surface
def squeeze(x: Any, axis: Any = None) -> Expr:
    """`x` without the axes of size 1 at `axis` (None: all of them)."""
    x = array(x)
    if axis is None:
        axes = tuple(i for i, d in enumerate(x.shape) if is_one(d))
    else:
        axes = all_axes(axis, len(x.shape))
        for a in axes:
            if not is_one(x.shape[a]):
                raise ShapeError(f"cannot squeeze axis {a} of {show_shape(x.shape)}: "
                                 f"its size is {sizes.show(x.shape[a])}, not 1")
    return primitives.reshape(x, tuple(d for i, d in enumerate(x.shape) if i not in axes))


def at_least_axes(x: Expr, rank: int) -> Expr:
    """`x` with at least `rank` axes, new ones where NumPy's atleast functions put them."""
    missing = rank - len(x.shape)
    if missing <= 0:
        return x
    if rank == 3 and len(x.shape) in (1, 2):           # NumPy's choice: (n,) is (1, n, 1) and (m, n) is (m, n, 1)
        return primitives.reshape(x, (*((1,) if len(x.shape) == 1 else ()), *x.shape, 1))
    return primitives.reshape(x, ((1,) * missing + x.shape))


@surface
def at_least(x: Any, rank: int) -> Expr:
    """`x` with at least `rank` axes, new ones where NumPy's atleast_1d, _2d and _3d put them."""
    return at_least_axes(array(x), rank)


def _at_least_all(xs: tuple[Any, ...], rank: int) -> Any:
    results = tuple(at_least(x, rank) for x in xs)
    return results[0] if len(results) == 1 else results


def atleast_1d(*xs: Any) -> Any:
    """Arrays with at least one axis."""
    return _at_least_all(xs, 1)


def atleast_2d(*xs: Any) -> Any:
    """Arrays with at least two axes, new ones in front."""
    return _at_least_all(xs, 2)


def atleast_3d(*xs: Any) -> Any:
    """Arrays with at least three axes, placed as NumPy places them."""
    return _at_least_all(xs, 3)


# ---- order of axes ----------------------------------------------------------------------------------------------
@surface
def transpose(x: Any, axes: Any = None) -> Expr:
    """`x` with its axes in the order `axes` (None: reversed).

    >>> import pullback as pb
    >>> pb.transpose(pb.Var('x'))
    x.T
    """
    x = array(x)
    if axes is None:
        return _reverse(x)
    rank = len(x.shape)
    perm = tuple(one_axis(a, rank) for a in entries(axes))
    if sorted(perm) != list(range(rank)):
        raise ShapeError(f"transpose of {show_shape(x.shape)} takes each of its {rank} axes once, not {perm}")
    return primitives.transpose(x, perm)


@surface
def matrix_transpose(x: Any) -> Expr:
    """`x` with its last two axes swapped."""
    x = array(x)
    rank = len(x.shape)
    if rank < 2:
        raise ShapeError(f"matrix_transpose takes at least two axes, not {show_shape(x.shape)}")
    return primitives.transpose(x, (*range(rank - 2), rank - 1, rank - 2))


@surface
def swapaxes(x: Any, axis1: Any, axis2: Any) -> Expr:
    """`x` with two axes exchanged."""
    x = array(x)
    perm = list(range(len(x.shape)))
    a, b = one_axis(axis1, len(perm)), one_axis(axis2, len(perm))
    perm[a], perm[b] = perm[b], perm[a]
    return primitives.transpose(x, tuple(perm))


@surface
def moveaxis(x: Any, source: Any, destination: Any) -> Expr:
    """`x` with axes `source` moved to `destination`; the others keep their order."""
    x = array(x)
    rank = len(x.shape)
    start, end = ([one_axis(a, rank) for a in entries(places)] for places in (source, destination))
    if len(start) != len(end) or len(set(start)) < len(start) or len(set(end)) < len(end):
        raise ShapeError(f"moveaxis takes as many distinct sources as destinations, not {source} and {destination}")
    others = iter(a for a in range(rank) if a not in start)
    return primitives.transpose(x, tuple(start[end.index(i)] if i in end else next(others) for i in range(rank)))


@surface
def flip(x: Any, axis: Any = None) -> Expr:
    """`x` backwards along `axis` (None: all)."""
    x = array(x)
    return _flipped(x, all_axes(axis, len(x.shape)))


def _flipped(x: Expr, axes: tuple[int, ...]) -> Expr:
    ranges = tuple((d - 1, -1) if i in axes else (0, 1) for i, d in enumerate(x.shape))
    return primitives.slice_(x, ranges, x.shape) if axes else x


@surface
def flipud(x: Any) -> Expr:
    """`x` backwards along its first axis."""
    x = at_least_axes(array(x), 1)
    return _flipped(x, (0,))


@surface
def fliplr(x: Any) -> Expr:
    """`x` backwards along its second axis."""
    x = array(x)
    return _flipped(x, (one_axis(1, len(x.shape)),))


# ---- repeating --------------------------------------------------------------------------------------------------
@surface
def broadcast_to(x: Any, shape: Any) -> Expr:
    """`x` repeated to `shape` by NumPy's rule."""
    x, wanted = array(x), shape_of(shape)
    if not repeats_to(x.shape, wanted):
        raise ShapeError(f"cannot broadcast {show_shape(x.shape)} to {show_shape(wanted)}")
    return primitives.broadcast_to(x, wanted)


@surface
@several(lambda *xs: len(xs))
def broadcast_arrays(*xs: Any) -> tuple[Expr, ...]:
    """`xs` repeated to the shape they have together."""
    parts = [array(x) for x in xs]
    common = primitives.broadcast_shapes(*[p.shape for p in parts])
    return tuple(primitives.broadcast_to(p, common) for p in parts)


def broadcast_shapes(*shapes: Any) -> tuple[Dim, ...]:
    """The shape that arrays of these shapes have together."""
    return primitives.broadcast_shapes(*map(shape_of, shapes))


@surface
def tile(x: Any, reps: Any) -> Expr:
    """`x` laid side by side `reps` times along each axis."""
    x = array(x)
    counts = list(shape_of(reps))
    counts = [1] * (len(x.shape) - len(counts)) + counts
    x = primitives.reshape(x, (1,) * (len(counts) - len(x.shape)) + x.shape)
    dims, spread, kept = [], [], []
    for count, dim in zip(counts, x.shape, strict=True):
        if not sizes.same(count, 1):
            spread.append(count)
        kept.append(len(spread))
        spread.append(dim)
        dims.append(count * dim)
    return primitives.reshape(primitives.broadcast(x, tuple(kept), tuple(spread)), tuple(dims))


@surface
def repeat(x: Any, repeats: Any, axis: Any = None) -> Expr:
    """Each element of `x` `repeats` times along `axis` (None: of the flattened array); `repeats` is a number or a
    constant array with one for each."""
    x = array(x)
    x = primitives.reshape(x, (sizes.product(x.shape),)) if axis is None else x
    at = one_axis(0 if axis is None else axis, len(x.shape))
    if isinstance(repeats, (list, tuple)) or isinstance(repeats, Expr) and repeats.shape:
        return _repeat_each(x, np.asarray([integer(r, "repeats") for r in entries(repeats)]), at)
    count = dimension(repeats, "repeats")
    spread = (*x.shape[:at + 1], count, *x.shape[at + 1:])
    kept = tuple(i for i in range(len(spread)) if i != at + 1)
    merged = (*x.shape[:at], x.shape[at] * count, *x.shape[at + 1:])
    return primitives.reshape(primitives.broadcast(x, kept, spread), merged)


def _repeat_each(x: Expr, counts: np.ndarray, axis: int) -> Expr:
    if len(counts) == 1:
        return repeat(x, int(counts[0]), axis)
    if not sizes.equal(x.shape[axis], len(counts)):
        raise ShapeError(f"{len(counts)} repeats do not fit axis {axis} of {show_shape(x.shape)}")
    which = primitives.constant(np.repeat(np.arange(len(counts)), counts))
    gathered = primitives.gather(x, [which], (axis,))
    return primitives.transpose(gathered, (*range(1, axis + 1), 0, *range(axis + 1, len(x.shape))))



# These wait for the arrays of a call in their parts only, or never.
FUNCTIONS.update(shape=shape, ndim=ndim, size=size, broadcast_shapes=broadcast_shapes,
                 atleast_1d=atleast_1d, atleast_2d=atleast_2d, atleast_3d=atleast_3d)
