"""Batching of typed graphs: what a graph computes for each of several lanes, computed for all of them at once.

A batched value has the lanes along a leading axis; what no lane tells apart stays as it is. One rule for each
operation with a batched argument; those of loops and branches stand in `batch_control`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import ops
from .node import Expr, make, rebuild, toposort
from .primitives import (
    broadcast,
    cast,
    concat,
    contract,
    elementwise,
    full,
    gather,
    iota,
    place,
    recurrence,
    reduce,
    reshape,
    scatter,
    slice_,
    transpose,
    update,
    zeros_like,
)
from .size import Dim
from .softmax import logsumexp, softmax


class Lane(NamedTuple):
    """A value in every lane: with a leading axis of lanes, or (`batched` is False) the same in all."""

    value: Any
    batched: bool


@dataclass(frozen=True, eq=False)
class Lanes:
    """How many lanes there are, and which of them are `active` (default all): the others' results are not used, and
    must not raise. `units` is a batched value that holds the unit vectors, one in each lane.
    """

    size: Dim
    active: Expr | None = None
    units: Expr | None = None

    def spread(self, lane: Lane) -> Expr:
        """The value with its axis of lanes."""
        x = lane.value
        if lane.batched:
            return x
        return broadcast(x, tuple(range(1, x.ndim + 1)), (self.size, *x.shape))

    def along(self, mask: Expr, like: Expr) -> Expr:
        """One value per lane, repeated to the shape of the batched `like`."""
        return broadcast(mask, (0,), like.shape)

    def safe(self, index: Expr) -> Expr:
        """A batched index, 0 in lanes that are not active."""
        if self.active is None:
            return index
        return elementwise("where", self.along(self.active, index), index, zeros_like(index))


BatchRule = Callable[[Expr, "list[Lane]", Lanes], Any]
BATCH_RULES: dict[str, BatchRule] = {}       # (node, lanes of its arguments, of which one is batched) -> batched value


def batched(outputs: Sequence[Expr], known: Mapping[Expr, Lane], lanes: Lanes) -> list[Lane]:
    """`outputs` for all lanes, given the lanes of some nodes."""
    done: dict[Expr, Lane] = dict(known)
    for node in toposort(outputs):
        if node in done:
            continue
        parts = [done[a] for a in node.args]
        if not any(p.batched for p in parts):
            done[node] = Lane(rebuild(node, tuple(p.value for p in parts)), False)
        elif node.op == "item":
            done[node] = parts[0].value[node.attrs[0]]
        elif node.op in BATCH_RULES:
            done[node] = Lane(BATCH_RULES[node.op](node, parts, lanes), True)
        else:
            assert node.op in ops.ROWS, f"{node.op} has no batching rule"
            args = [lanes.spread(p) for p in parts]
            done[node] = Lane(make(node.op, args, node.attrs, node.dtype, args[0].shape), True)
    return [done[o] for o in outputs]


def _shifted(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + 1 for a in axes)


# ---- renumbering ------------------------------------------------------------------------------------------------
def _cast(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    return cast(parts[0].value, node.dtype)


def _broadcast(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    dims, shape = node.attrs
    return broadcast(parts[0].value, (0, *_shifted(dims)), (lanes.size, *shape))


def _reshape(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    return reshape(parts[0].value, (lanes.size, *node.shape))


def _transpose(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    return transpose(parts[0].value, (0, *_shifted(node.attrs[0])))


def _slice(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    return slice_(parts[0].value, ((0, 1), *node.attrs[0]), (lanes.size, *node.shape))


def _place(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    """A fill that differs between lanes is chosen outside of the region."""
    (ranges, _), (x, fill) = node.attrs, parts
    whole, shape = ((0, 1), *ranges), (lanes.size, *node.shape)
    if not fill.batched:
        return place(x.value, whole, shape, fill.value)
    inner = lanes.spread(x)
    inside = place(full(inner.shape, True, bool), whole, shape, False)
    return elementwise("where", inside, place(inner, whole, shape), broadcast(fill.value, (0,), shape))


def _concat(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    return concat([lanes.spread(p) for p in parts], node.attrs[0] + 1)


# ---- reading and writing parts ----------------------------------------------------------------------------------
def _update(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    op, ranges = node.attrs
    x, v = (lanes.spread(p) for p in parts)
    return update(x, v, ((0, 1), *ranges), op)


def _lane_numbers(shape: tuple) -> Expr:
    return iota(shape, 0)


def _gather(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    (axes,), (x, *indices) = node.attrs, parts
    if not any(i.batched for i in indices):
        found = gather(x.value, [i.value for i in indices], _shifted(axes))       # its lanes follow the indices' axes
        count = indices[0].value.ndim
        return transpose(found, (count, *range(count), *range(count + 1, found.ndim)))
    each = [lanes.safe(lanes.spread(i)) for i in indices]
    if not x.batched:
        return gather(x.value, each, axes)
    return gather(x.value, [_lane_numbers(each[0].shape), *each], (0, *_shifted(axes)))


def _scatter(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    (op, axes), (x, *indices, updates) = node.attrs, parts
    target, new = lanes.spread(x), lanes.spread(updates)
    if not any(i.batched for i in indices):
        count = indices[0].value.ndim
        turned = transpose(new, (*range(1, count + 1), 0, *range(count + 1, new.ndim)))
        return scatter(target, [i.value for i in indices], turned, _shifted(axes), op)
    each = [lanes.safe(lanes.spread(i)) for i in indices]
    return scatter(target, [_lane_numbers(each[0].shape), *each], new, (0, *_shifted(axes)), op)


# ---- folding ----------------------------------------------------------------------------------------------------
def _reduce(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    op, axes = node.attrs
    return reduce(parts[0].value, op, _shifted(axes))


def _contract(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    (of_a, of_b, out), (a, b) = node.attrs, parts
    for one, other, of_one, of_other in ((a, b, of_a, of_b), (b, a, of_b, of_a)):
        if one.value is lanes.units and not other.batched and set(of_other) | set(of_one) == set(of_other) | set(out):
            return _product_with_units(other.value, of_one, of_other, out, node.shape, lanes)
    lane = next(c for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in of_a + of_b)
    return contract(a.value, b.value, lane + of_a if a.batched else of_a, lane + of_b if b.batched else of_b,
                    lane + out)


def _product_with_units(x: Expr, units: str, labels: str, out: str, shape: tuple, lanes: Lanes) -> Expr:
    """The product of x[labels] with every unit vector: its elements in another order, where labels of the unit vector
    that stay are equal in both.
    """
    assert lanes.units is not None
    unit_shape = lanes.units.shape[1:]
    summed = [c for c in labels if c not in out]
    whole = (*unit_shape, *shape)
    axes = [units.index(c) if c in summed else len(units) + out.index(c) for c in labels]
    order = sorted(range(len(axes)), key=axes.__getitem__)
    result = broadcast(transpose(x, tuple(order)), tuple(sorted(axes)), whole)
    for axis, label in enumerate(units):
        if label in out:
            same = elementwise("equal", iota(whole, axis), iota(whole, len(units) + out.index(label)))
            result = elementwise("mask", same, result)
    return reshape(result, (lanes.size, *shape))


def _recurrence(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    axis, backward = node.attrs
    a, b = (lanes.spread(p) for p in parts)
    return recurrence(a, b, axis + 1, backward)


def _logsumexp(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    return logsumexp(parts[0].value, _shifted(node.attrs[0]))


def _softmax(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    return softmax(parts[0].value, _shifted(node.attrs[0]))


def _pack(node: Expr, parts: list[Lane], lanes: Lanes) -> list[Lane]:
    return parts


BATCH_RULES.update({
    "cast": _cast, "broadcast": _broadcast, "reshape": _reshape, "transpose": _transpose, "slice": _slice,
    "place": _place, "concat": _concat, "update": _update, "gather": _gather, "scatter": _scatter, "reduce": _reduce,
    "contract": _contract, "recurrence": _recurrence, "logsumexp": _logsumexp, "softmax": _softmax, "pack": _pack,
})
