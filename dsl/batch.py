"""Batching of typed graphs: what a graph computes for each of several lanes, computed for all of them at once.

A batched value has the lanes along a leading axis; what no lane tells apart stays as it is. One rule for each
operation with a batched argument; those of loops and branches stand in `batch_control`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from . import ops
from .adjoint import row, scale, sizes_like
from .node import Expr, make, rebuild, toposort
from .primitives import (
    broadcast,
    cast,
    complex_,
    concat,
    conj,
    contract,
    elementwise,
    full,
    gather,
    imag,
    iota,
    place,
    real,
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
    must not raise. Of the batched values that are d in their lane's own element, and 0 elsewhere, `diagonals` tells d.
    """

    size: Dim
    active: Expr | None = None
    diagonals: dict[Expr, Expr] = field(default_factory=dict)

    def spread(self, lane: Lane) -> Expr:
        """The value with its axis of lanes."""
        x = lane.value
        if lane.batched:
            return x
        return broadcast(x, tuple(range(1, x.ndim + 1)), (self.size, *x.shape))

    def along(self, mask: Expr, like: Expr) -> Expr:
        """One value per lane, repeated to the shape of the batched `like`."""
        return broadcast(mask, (0,), like.shape)

    def diagonal(self, d: Expr) -> Expr:
        """In each lane one element of `d`, in row-major order, and 0 elsewhere."""
        whole = (self.size, *d.shape)
        number = full(whole, 0, np.int64)
        stride: Dim = 1
        for axis in range(d.ndim, 0, -1):
            here = iota(whole, axis)
            number = here if axis == d.ndim else row("add", row("multiply", here, sizes_like(stride, whole)), number)
            stride = stride * whole[axis]
        own = elementwise("equal", iota(whole, 0), number)
        found = elementwise("mask", own, broadcast(d, tuple(range(1, d.ndim + 1)), whole))
        self.diagonals[found] = d
        return found

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
            found = _diagonal_row(node, parts, lanes)
            done[node] = Lane(_row(node, parts, lanes) if found is None else found, True)
    return [done[o] for o in outputs]


def _row(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    args = [lanes.spread(p) for p in parts]
    return make(node.op, args, node.attrs, node.dtype, args[0].shape)


# Rows that keep a value diagonal: which of their arguments are, the others having no lanes.
_KEEP = {"negative": ("d",), "add": ("dd",), "subtract": ("dd",), "multiply": ("d-", "-d"), "divide": ("d-",),
         "mask": ("-d",)}


def _diagonal_row(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr | None:
    """The row of diagonals as a diagonal: 0 elsewhere, whatever the other factor is there."""
    found = [lanes.diagonals.get(p.value) if p.batched else None for p in parts]
    form = "".join("d" if d is not None else "*" if p.batched else "-" for d, p in zip(found, parts, strict=True))
    if form not in _KEEP.get(node.op, ()):
        return None
    args = [p.value if d is None else d for d, p in zip(found, parts, strict=True)]
    return lanes.diagonal(scale(*args) if node.op == "multiply" else elementwise(node.op, *args))


def _shifted(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + 1 for a in axes)


# ---- renumbering ------------------------------------------------------------------------------------------------
def _cast(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    return cast(parts[0].value, node.dtype)


def _complex(node: Expr, parts: list[Lane], lanes: Lanes) -> Expr:
    return complex_(*(lanes.spread(p) for p in parts))


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
        d = lanes.diagonals.get(one.value) if one.batched and not other.batched else None
        if d is not None and out == of_one:
            same = of_other == of_one
            return lanes.diagonal(scale(d, other.value) if same else contract(d, other.value, of_one, of_other, out))
        if d is not None and set(of_other) | set(of_one) == set(of_other) | set(out):
            return _product_with_diagonal(other.value, d, of_one, of_other, out, lanes)
    lane = next(c for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in of_a + of_b)
    return contract(a.value, b.value, lane + of_a if a.batched else of_a, lane + of_b if b.batched else of_b,
                    lane + out)


def _product_with_diagonal(x: Expr, d: Expr, own: str, labels: str, out: str, lanes: Lanes) -> Expr:
    """The product of x[labels] with diag(d)[own]: the elements of x in another order, times d. Labels of the diagonal
    that stay are equal in its element and in the result.
    """
    dims = {**dict(zip(own, d.shape, strict=True)), **dict(zip(labels, x.shape, strict=True))}
    whole = (*d.shape, *(dims[c] for c in out))
    axes = [own.index(c) if c not in out else len(own) + out.index(c) for c in labels]
    order = tuple(sorted(range(len(axes)), key=axes.__getitem__))
    moved = broadcast(transpose(x, order), tuple(sorted(axes)), whole)
    result = scale(broadcast(d, tuple(range(d.ndim)), whole), moved)
    for axis, label in enumerate(own):
        if label in out:
            same = elementwise("equal", iota(whole, axis), iota(whole, len(own) + out.index(label)))
            result = elementwise("mask", same, result)
    return reshape(result, (lanes.size, *whole[d.ndim :]))


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
    "real": lambda node, parts, lanes: real(parts[0].value), "imag": lambda node, parts, lanes: imag(parts[0].value),
    "conj": lambda node, parts, lanes: conj(parts[0].value), "complex": _complex,
    "contract": _contract, "recurrence": _recurrence, "logsumexp": _logsumexp, "softmax": _softmax, "pack": _pack,
})
