"""What an index selects: NumPy's indexing rules turned into one slice, one gather and one permutation.

An index is a tuple of integers, slices, None, `...`, index arrays and constant masks. Integers and slices that are
known when the program is built become a strided region; index arrays, traced integers and slices with traced bounds
become one gather of what is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .arguments import nonnegative
from .bounds import never_negative
from .errors import DTypeError, PullbackError, ShapeError
from .node import Expr, toposort, where
from .primitives import scalar, show_shape
from .size import Dim, Size
from .surface import as_expr, constant
from .traced_slice import index_vector


@dataclass
class Selection:
    """`x[index]` as steps: the region `ranges` of shape `lengths`; without the axes `dropped`; `axes` of the rest
    gathered by `indices` of one shape; axes permuted by `perm`; reshaped to `shape` (which has the new axes)."""

    ranges: list[tuple[Dim, int]] = field(default_factory=list)
    lengths: list[Dim] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)
    indices: list[Expr] = field(default_factory=list)
    axes: tuple[int, ...] = ()
    perm: tuple[int, ...] = ()
    shape: tuple[Dim, ...] = ()

    @property
    def kept(self) -> tuple[Dim, ...]:
        """The region's shape without the dropped axes."""
        return tuple(d for i, d in enumerate(self.lengths) if i not in self.dropped)

    def region(self, x: Expr) -> Expr:
        return primitives.reshape(primitives.slice_(x, tuple(self.ranges), tuple(self.lengths)), self.kept)

    def whole(self, x: Expr) -> bool:
        """Whether the region is all of `x`, in order."""
        return all(sizes.same(s, 0) and k == 1 for s, k in self.ranges) and sizes.same_shape(self.lengths, x.shape)


def select(x: Expr, index: Any) -> Selection:
    """The selection that `x[index]` makes. ShapeError where the index does not fit `x`."""
    items = _expanded(x, index)
    found = Selection()
    arrays: dict[int, Expr] = {}              # axis of x -> index array
    vectors: dict[int, Expr] = {}             # axis of x -> indices of a slice with traced bounds
    layout: list[Any] = []                    # of the result: an axis of x, None for a new axis, "arrays" once
    together = _arrays_stand_together(items)
    axis = 0
    for item in items:
        if item is None or item is Ellipsis:
            layout += [None] if item is None else []
            continue
        length = x.shape[axis]
        if isinstance(item, slice):
            vectors |= _take_slice(found, item, length, axis)
            layout.append(axis)
        else:
            if _static(item):
                _take_integer(found, item, length, axis)
            else:
                found.ranges.append((0, 1))
                found.lengths.append(length)
                arrays[axis] = wrapped(item, length, axis)
            if together and "arrays" not in layout:
                layout.append("arrays")
        axis += 1
    if arrays and not together:
        layout.insert(0, "arrays")
    _finish(found, arrays, vectors, layout)
    return found


def _finish(found: Selection, arrays: dict[int, Expr], vectors: dict[int, Expr], layout: list[Any]) -> None:
    """Bring all index arrays to one shape, arrays' axes first, and place the result's axes."""
    common = primitives.broadcast_shapes(*[a.shape for a in arrays.values()])
    full = (*common, *[v.shape[0] for v in vectors.values()])
    spread = {a: primitives.broadcast_to(e, common) for a, e in arrays.items()}
    spread = {a: primitives.broadcast(e, tuple(range(len(common))), full) for a, e in spread.items()}
    places = {a: len(common) + i for i, a in enumerate(vectors)}
    spread |= {a: primitives.broadcast(v, (places[a],), full) for a, v in vectors.items()}
    gathered = sorted(spread)
    kept = [a for a in range(len(found.ranges)) if a not in found.dropped]
    found.indices = [spread[a] for a in gathered]
    found.axes = tuple(kept.index(a) for a in gathered)
    rest = [a for a in kept if a not in spread]
    places |= {a: len(full) + i for i, a in enumerate(rest)}
    dims = (*full, *[found.lengths[a] for a in rest])
    perm: list[int] = []
    shape: list[Dim] = []
    for part in layout:
        moved = [] if part is None else list(range(len(common))) if part == "arrays" else [places[part]]
        perm += moved
        shape += [1] if part is None else [dims[m] for m in moved]
    found.perm, found.shape = tuple(perm), tuple(shape)


# ---- the items of an index --------------------------------------------------------------------------------------
def _expanded(x: Expr, index: Any) -> list[Any]:
    """The items of `index`: masks as index arrays, lists as arrays, `...` followed by the full slices it stands for."""
    rank = len(x.shape)
    items: list[Any] = []
    masked = 0
    for item in index if isinstance(index, tuple) else (index,):
        entry = _item(item)
        if isinstance(entry, Expr) and entry.dtype.kind == "b":
            positions = _mask_positions(entry)
            masked += len(positions) - 1
            items += [_Masked(p, entry.shape[i]) for i, p in enumerate(positions)]
        else:
            items.append(entry)
    used = sum(item is not None and item is not Ellipsis for item in items)
    if used > rank:
        raise ShapeError(f"too many indices: {used} for the {rank} axes of {show_shape(x.shape)}")
    if sum(item is Ellipsis for item in items) > 1:
        raise ShapeError("an index can have one '...' only")
    at = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    items[at + 1:at + 1] = [slice(None)] * (rank - used)
    return _unmasked(items, x)


@dataclass
class _Masked:
    """The positions where a mask holds on one of its axes, which has `length` elements."""

    positions: Expr
    length: Dim


def _unmasked(items: list[Any], x: Expr) -> list[Any]:
    axis, plain = 0, []
    for item in items:
        if isinstance(item, _Masked) and not sizes.equal(item.length, x.shape[axis]):
            raise ShapeError(f"the mask has {sizes.show(item.length)} elements along axis {axis}, the array "
                             f"{show_shape(x.shape)} has {sizes.show(x.shape[axis])}")
        plain.append(item.positions if isinstance(item, _Masked) else item)
        axis += item is not None and item is not Ellipsis
    return plain


def _item(item: Any) -> Any:
    """One item as None, `...`, a slice, an int, a Size, or an expression of integers or bools."""
    if item is None or item is Ellipsis or isinstance(item, (slice, Size)):
        return item
    if isinstance(item, (bool, np.bool_)):
        raise ShapeError(f"{item} as an index adds an axis that may be empty: write None for a new axis")
    if isinstance(item, int):
        return item
    if isinstance(item, (float, str)):
        raise ShapeError(f"an index is made of integers, slices, None, '...', integer arrays and masks, not {item!r}")
    entry = as_expr(item)
    if isinstance(item, (list, tuple)) and entry.shape == (0,):
        entry = constant(np.zeros(0, np.int64))
    if entry.dtype.kind not in "biu":
        raise DTypeError(f"an index array holds integers or bools, not {entry.dtype}: convert it with .astype('int64')")
    if entry.op == "size":
        return entry.attrs[0]
    if entry.op == "const" and not entry.shape and entry.dtype.kind != "b":
        return int(entry.attrs[0].array)
    return entry


def _mask_positions(mask: Expr) -> list[Expr]:
    if any(n.op in ("var", "size", "item") for n in toposort([mask])) or not mask.shape:
        raise PullbackError(f"the expression {mask} cannot select elements{where(mask)}: how many it selects depends "
                            "on data; write pb.where(mask, x, other), or index with a NumPy array of bools")
    values = mask.attrs[0].array if mask.op == "const" else np.asarray(mask)
    return [constant(p) for p in np.nonzero(values)]


def _static(item: Any) -> bool:
    return isinstance(item, (int, Size))


def _arrays_stand_together(items: list[Any]) -> bool:
    """NumPy's rule: index arrays and integers that follow each other leave their axes in place, others come first."""
    places = [i for i, item in enumerate(items) if _static(item) or isinstance(item, Expr)]
    return not places or places[-1] - places[0] == len(places) - 1


# ---- integers, slices, arrays -----------------------------------------------------------------------------------
def _take_integer(found: Selection, i: Dim, length: Dim, axis: int) -> None:
    positive = nonnegative(i)
    place = i if positive else length + i
    if not nonnegative(place) or not nonnegative(length - 1 - place):
        raise ShapeError(f"index {sizes.show(i)} is out of bounds for axis {axis} with size {sizes.show(length)}")
    found.ranges.append((place, 1))
    found.lengths.append(1)
    found.dropped.add(axis)


def _take_slice(found: Selection, item: slice, length: Dim, axis: int) -> dict[int, Expr]:
    """Add a slice to the region; one with traced bounds selects all there, and its index vector is returned."""
    bounds = [b if b is None else _item(b) for b in (item.start, item.stop, item.step)]
    step = 1 if bounds[2] is None else bounds[2]
    if not isinstance(step, int) or step == 0:
        raise ShapeError(f"the step of a slice is an integer other than 0, known when the program is built, not {step}")
    if isinstance(bounds[0], Expr) or isinstance(bounds[1], Expr):
        found.ranges.append((0, 1))
        found.lengths.append(length)
        return {axis: index_vector(bounds[0], bounds[1], step)}
    start, count = slice_range(bounds[0], bounds[1], step, length)
    found.ranges.append((start, step))
    found.lengths.append(count)
    return {}


def slice_range(start: Dim | None, stop: Dim | None, step: int, length: Dim) -> tuple[Dim, Dim]:
    """First index and number of elements of start:stop:step in `length` elements, clamped as NumPy clamps.

    Only the clamps that matter are made, so that sizes stay short: where a bound beyond the end leaves nothing, the
    count says so.
    """
    if isinstance(length, int) and all(b is None or isinstance(b, int) for b in (start, stop)):
        ints = slice(start, stop, step).indices(length)
        return ints[0], len(range(*ints))
    if step > 0:
        first = 0 if start is None else start if nonnegative(start) else sizes.maximum(length + start, 0)
        last = length if stop is None else sizes.minimum(stop, length) if nonnegative(stop) else length + stop
        return first, sizes.maximum(sizes.floordiv(last - first + step - 1, step), 0)
    top = length - 1
    first = top if start is None else sizes.minimum(start, top) if nonnegative(start) else length + start
    last = -1 if stop is None else stop if nonnegative(stop) else sizes.maximum(length + stop, -1)
    return first, sizes.maximum(sizes.floordiv(first - last - step - 1, -step), 0)


def wrapped(index: Expr, length: Dim, axis: int) -> Expr:
    """Index array as int64 with negative entries counted from the end. ShapeError where constants are out of range."""
    if index.dtype.kind not in "iu":
        raise DTypeError(f"an index array holds integers, not {index.dtype}: convert it with .astype('int64')")
    if index.op == "const":
        values = index.attrs[0].array.astype(np.int64)
        if isinstance(length, int):
            wrong = values[(values < -length) | (values >= length)]
            if wrong.size:
                raise ShapeError(f"index {wrong[0]} is out of bounds for axis {axis} with size {length}")
            return constant(np.where(values < 0, values + length, values))
        if not values.size or values.min() >= 0:
            return constant(values)
    signed = primitives.cast(index, np.int64)
    if _never_negative(index) or not index.shape and never_negative(index):
        return signed
    return scalar("where", scalar("less", signed, 0), scalar("add", signed, length), signed)


def _never_negative(index: Expr) -> bool:
    while index.op in ("broadcast", "reshape", "transpose", "slice", "cast") and index.args[0].dtype.kind in "iu":
        if index.dtype.kind == "u":
            break
        index = index.args[0]
    return index.op == "iota" or index.dtype.kind == "u"
