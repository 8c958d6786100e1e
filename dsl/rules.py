"""One rule for each structural operation: its tangent from its arguments' tangents, their cotangents from its own.

    forward(node, tangents)   tangents of the arguments, None for zero; some are not
    reverse(node, g, i)       what cotangent g of the node gives to argument i

Scalar rows follow from their partial derivatives. Library operations and loops add their rules to `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from . import adjoint, ops
from .adjoint import linear, masked, negated, ones, quotient, scale, summed, total
from .node import Expr, make
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
    zeros_like,
)
from .size import Dim, maximum, product

Tangents = Sequence[Expr | None]


class Rule(NamedTuple):
    """How one operation is differentiated."""

    forward: Callable[[Expr, Tangents], Expr | None]
    reverse: Callable[[Expr, Expr, int], Expr | None]


RULES: dict[str, Rule] = {}

# What an argument's derivative is: given by a rule, zero by the user's or our own choice, or not defined.
SMOOTH, STOPPED, NONE = "smooth", "stopped", "none"


def edge(node: Expr, index: int) -> str:
    """How `node` depends on argument `index`: SMOOTH, STOPPED or NONE."""
    if node.op == "stop_gradient" or (node.op == "mask" and index == 0):
        return STOPPED
    if node.op in ("item", "pack"):
        return SMOOTH
    if node.args[index].dtype.kind != "f" or (node.dtype is not None and node.dtype.kind != "f"):
        return NONE
    if node.op in RULES:
        return SMOOTH
    return SMOOTH if node.op in ops.ROWS and ops.partials(node.op)[index] is not None else NONE


def reverse(node: Expr, g: Expr, index: int) -> Expr | None:
    """The cotangent that argument `index` gets from cotangent `g` of `node`; None for zero."""
    if node.op in RULES:
        return RULES[node.op].reverse(node, g, index)
    factor = adjoint.partial(node, index)
    return None if factor is None else scale(g, factor)


def forward(node: Expr, tangents: Tangents) -> Expr | None:
    """The tangent of `node`; None for zero."""
    if node.op in RULES:
        return RULES[node.op].forward(node, tangents)
    parts = [(adjoint.partial(node, i), t) for i, t in enumerate(tangents) if t is not None]
    scaled = [scale(t, factor) for factor, t in parts if factor is not None]
    return total(scaled) if scaled else None


def _filled(tangents: Tangents, args: Sequence[Expr]) -> list[Expr]:
    return [zeros_like(a) if t is None else t for t, a in zip(tangents, args, strict=True)]


# ---- scalar rows with a rule of their own ------------------------------------------------------------------------
def _divide_forward(node: Expr, tangents: Tangents) -> Expr | None:
    x, y = tangents
    parts = [x] if x is not None else []
    if y is not None:
        parts.append(negated(scale(y, node)))
    return quotient(total(parts), node.args[1])


def _divide_reverse(node: Expr, g: Expr, index: int) -> Expr:
    """g / y serves both arguments."""
    share = quotient(g, node.args[1])
    return share if index == 0 else negated(scale(share, node))


def _cast_forward(node: Expr, tangents: Tangents) -> Expr:
    return _cast_inside(_only(tangents), node)


def _cast_reverse(node: Expr, g: Expr, index: int) -> Expr:
    return _cast_inside(g, node.args[0])


def _cast_inside(g: Expr, like: Expr) -> Expr:
    return masked(g.args[0], cast(g.args[1], like.dtype)) if g.op == "mask" else cast(g, like.dtype)


def _only(tangents: Tangents) -> Expr:
    tangent, = tangents
    assert tangent is not None
    return tangent


# ---- renumbering ------------------------------------------------------------------------------------------------
def _broadcast_forward(node: Expr, tangents: Tangents) -> Expr:
    return linear(_only(tangents), lambda x: broadcast(x, *node.attrs))


def _broadcast_reverse(node: Expr, g: Expr, index: int) -> Expr:
    dims = node.attrs[0]
    return summed(g, tuple(i for i in range(len(g.shape)) if i not in dims))


def _reshape_forward(node: Expr, tangents: Tangents) -> Expr:
    return linear(_only(tangents), lambda x: reshape(x, node.shape))


def _reshape_reverse(node: Expr, g: Expr, index: int) -> Expr:
    return linear(g, lambda x: reshape(x, node.args[0].shape))


def _transpose_forward(node: Expr, tangents: Tangents) -> Expr:
    return linear(_only(tangents), lambda x: transpose(x, node.attrs[0]))


def _transpose_reverse(node: Expr, g: Expr, index: int) -> Expr:
    perm = node.attrs[0]
    back = tuple(perm.index(i) for i in range(len(perm)))
    return linear(g, lambda x: transpose(x, back))


def _slice_forward(node: Expr, tangents: Tangents) -> Expr:
    return linear(_only(tangents), lambda x: slice_(x, *node.attrs))


def _slice_reverse(node: Expr, g: Expr, index: int) -> Expr:
    return place(g, node.attrs[0], node.args[0].shape)


def _place_forward(node: Expr, tangents: Tangents) -> Expr:
    x, fill = _filled(tangents, node.args)
    return place(x, *node.attrs, fill=fill)


def _place_reverse(node: Expr, g: Expr, index: int) -> Expr:
    """What was placed gets its region; the fill gets all the rest, added up."""
    ranges, x = node.attrs[0], node.args[0]
    if index == 0:
        return linear(g, lambda y: slice_(y, ranges, x.shape))
    outside = place(full(x.shape, False, bool), ranges, node.shape, True)
    return reduce(masked(outside, g), "add", tuple(range(len(g.shape))))


def _concat_forward(node: Expr, tangents: Tangents) -> Expr:
    return concat(_filled(tangents, node.args), node.attrs[0])


def _concat_reverse(node: Expr, g: Expr, index: int) -> Expr:
    axis = node.attrs[0]
    start: Dim = 0
    for part in node.args[:index]:
        start = start + part.shape[axis]
    ranges = tuple((start if i == axis else 0, 1) for i in range(len(g.shape)))
    return linear(g, lambda x: slice_(x, ranges, node.args[index].shape))


def _update_forward(node: Expr, tangents: Tangents) -> Expr:
    (op, ranges), (tx, tv) = node.attrs, _filled(tangents, node.args)
    if op in ("set", "add"):
        return make("update", (tx, tv), node.attrs, node.dtype, node.shape)
    old, combined = _updated_region(node)
    inner = linear(tx, lambda x: slice_(x, ranges, old.shape))
    region = forward(combined, [inner, tv])
    return _set_region(tx, ranges, zeros_like(old) if region is None else region)


def _update_reverse(node: Expr, g: Expr, index: int) -> Expr | None:
    op, ranges = node.attrs
    v = node.args[1]
    if op == "add" and index == 0:
        return g
    if op == "set" and index == 0:
        return _set_region(g, ranges, zeros_like(v))
    inner = linear(g, lambda x: slice_(x, ranges, v.shape))
    if op in ("set", "add"):
        return inner
    share = reverse(_updated_region(node)[1], inner, index)
    return share if index else _set_region(g, ranges, zeros_like(v) if share is None else share)


def _updated_region(node: Expr) -> tuple[Expr, Expr]:
    """The region before an update that combines, and after it."""
    (op, ranges), (x, v) = node.attrs, node.args
    old = slice_(x, ranges, v.shape)
    return old, elementwise(op, old, v)


def _set_region(x: Expr, ranges: tuple, v: Expr) -> Expr:
    return make("update", (x, v), ("set", ranges), x.dtype, x.shape)


# ---- indexing by arrays -----------------------------------------------------------------------------------------
def _gather_forward(node: Expr, tangents: Tangents) -> Expr:
    assert tangents[0] is not None
    return gather(tangents[0], list(node.args[1:]), node.attrs[0])


def _gather_reverse(node: Expr, g: Expr, index: int) -> Expr:
    x, *indices = node.args
    return scatter(zeros_like(x), indices, g, node.attrs[0], "add")


def _scatter_forward(node: Expr, tangents: Tangents) -> Expr | None:
    (op, axes), (x, *indices, updates) = node.attrs, node.args
    if op in ("set", "add"):
        tx, tu = _filled((tangents[0], tangents[-1]), (x, updates))
        return scatter(tx, indices, tu, axes, op)
    parts = []
    if tangents[0] is not None:
        parts.append(scale(tangents[0], _share_of_target(node)))
    if tangents[-1] is not None:
        weighted = scale(tangents[-1], _share_of_updates(node))
        parts.append(scatter(zeros_like(x), indices, weighted, axes, "add"))
    return total(parts)


def _scatter_reverse(node: Expr, g: Expr, index: int) -> Expr:
    (op, axes), (_, *indices, updates) = node.attrs, node.args
    if index == 0:
        if op == "add":
            return g
        if op == "set":
            return scatter(g, indices, zeros_like(updates), axes, "set")
        return scale(g, _share_of_target(node))
    taken = gather(g, indices, axes)
    if op == "add":
        return taken
    if op == "set":
        return _of_last_writers(node, taken)
    return scale(taken, _share_of_updates(node))


def _of_last_writers(node: Expr, taken: Expr) -> Expr:
    """`taken` for the updates that were not overwritten by a later one."""
    axes, (x, *indices, _) = node.attrs[1], node.args
    shape = indices[0].shape
    if all(isinstance(d, int) and d == 1 for d in shape):
        return taken
    order = reshape(iota((product(shape),), 0), shape)
    target = full(tuple(x.shape[a] for a in axes), -1, order.dtype)
    places = tuple(range(len(axes)))
    winners = gather(scatter(target, indices, order, places, "set"), indices, places)
    last = elementwise("equal", winners, order)
    return masked(broadcast(last, tuple(range(len(shape))), taken.shape), taken)


def _share_of_target(node: Expr) -> Expr:
    """The derivative of a multiply, minimum or maximum scatter with respect to what was there before."""
    (op, axes), (x, *indices, updates) = node.attrs, node.args
    if op == "multiply":
        return scatter(ones(x.shape, x.dtype), indices, updates, axes, "multiply")
    return masked(elementwise("equal", x, node), quotient(ones(x.shape, x.dtype), _ties(node)))


def _share_of_updates(node: Expr) -> Expr:
    """The derivative of each target with respect to each update that meets it."""
    (op, axes), (_, *indices, updates) = node.attrs, node.args
    if op == "multiply":
        return _other_factors(node)
    shared = quotient(ones(updates.shape, updates.dtype), gather(_ties(node), indices, axes))
    return masked(elementwise("equal", updates, gather(node, indices, axes)), shared)


def _ties(node: Expr) -> Expr:
    """How many of the old value and the updates are the new value, for each target; they share its derivative."""
    (_, axes), (x, *indices, updates) = node.attrs, node.args
    own = cast(elementwise("equal", x, node), x.dtype)
    hits = cast(elementwise("equal", updates, gather(node, indices, axes)), x.dtype)
    return scatter(own, indices, hits, axes, "add")


def _other_factors(node: Expr) -> Expr:
    """For each update of a multiply scatter, the product of all else that went into its target; zeros do no harm."""
    (_, axes), (x, *indices, updates) = node.attrs, node.args
    if all(isinstance(d, int) and d == 1 for d in indices[0].shape):
        return gather(x, indices, axes)
    zero = elementwise("equal", updates, zeros_like(updates))
    nonzero = elementwise("where", zero, ones(updates.shape, updates.dtype), updates)
    rest = gather(scatter(x, indices, nonzero, axes, "multiply"), indices, axes)
    count = gather(scatter(zeros_like(x), indices, cast(zero, x.dtype), axes, "add"), indices, axes)
    others = elementwise("subtract", count, cast(zero, x.dtype))
    return masked(elementwise("equal", others, zeros_like(others)), elementwise("divide", rest, nonzero))


# ---- folding ----------------------------------------------------------------------------------------------------
def _kept(node: Expr) -> tuple[int, ...]:
    return tuple(i for i in range(len(node.args[0].shape)) if i not in node.attrs[1])


def _reduce_forward(node: Expr, tangents: Tangents) -> Expr:
    tangent, (op, axes) = _only(tangents), node.attrs
    if op == "add":
        return reduce(tangent, "add", axes)
    if op == "multiply":
        return reduce(scale(tangent, _products_of_others(node.args[0], axes)), "add", axes)
    winners, count = _winners(node)
    return quotient(reduce(masked(winners, tangent), "add", axes), count)


def _reduce_reverse(node: Expr, g: Expr, index: int) -> Expr:
    op, axes = node.attrs
    if op == "add":
        return _spread(node, g)
    if op == "multiply":
        return scale(_spread(node, g), _products_of_others(node.args[0], axes))
    winners, count = _winners(node)
    return masked(winners, _spread(node, quotient(g, count)))


def _spread(node: Expr, g: Expr) -> Expr:
    """g, of the shape of a fold, repeated along the axes that were folded."""
    return linear(g, lambda y: broadcast(y, _kept(node), node.args[0].shape))


def _winners(node: Expr) -> tuple[Expr, Expr]:
    """Which elements are the minimum or maximum, and for each fold how many; they share the derivative equally."""
    x = node.args[0]
    same = elementwise("equal", x, _spread(node, node))
    return same, reduce(cast(same, x.dtype), "add", node.attrs[1])


def _products_of_others(x: Expr, axes: tuple[int, ...]) -> Expr:
    """The product over `axes` of all elements but one, for each: two running products, so zeros do no harm."""
    perm = (*(i for i in range(len(x.shape)) if i not in axes), *axes)
    moved = transpose(x, perm)
    outer = len(perm) - len(axes)
    flat = reshape(moved, (*moved.shape[:outer], product(moved.shape[outer:])))
    others = scale(_running_product(flat, outer, False), _running_product(flat, outer, True))
    return transpose(reshape(others, moved.shape), tuple(perm.index(i) for i in range(len(perm))))


def _running_product(x: Expr, axis: int, backward: bool) -> Expr:
    """The product of all elements before each one (`backward`: after it) along `axis`."""
    position = iota(x.shape, axis)
    edge_index = full(x.shape, 0, position.dtype) if not backward else _last_index(x, axis)
    start = cast(elementwise("equal", position, edge_index), x.dtype)
    return recurrence(shifted(x, axis, backward), start, axis, backward)


def _last_index(x: Expr, axis: int) -> Expr:
    return adjoint.sizes_like(x.shape[axis] - 1, x.shape)


def shifted(x: Expr, axis: int, backward: bool) -> Expr:
    """x[k-1] at k along `axis`, 0 at the first; `backward`: x[k+1] at k, 0 at the last."""
    shape = tuple(maximum(d - 1, 0) if i == axis else d for i, d in enumerate(x.shape))
    one, zero = (tuple((k if i == axis else 0, 1) for i in range(len(x.shape))) for k in (1, 0))
    source, target = (one, zero) if backward else (zero, one)
    return place(slice_(x, source, shape), target, x.shape)


def _contract_forward(node: Expr, tangents: Tangents) -> Expr:
    (a, b), (ta, tb) = node.args, tangents
    parts = [contract(ta, b, *node.attrs)] if ta is not None else []
    if tb is not None:
        parts.append(contract(a, tb, *node.attrs))
    return total(parts)


def _contract_reverse(node: Expr, g: Expr, index: int) -> Expr:
    """Labels that were summed in this operand alone repeat."""
    labels, out = list(node.attrs[:2]), node.attrs[2]
    mine, theirs = labels[index], labels[1 - index]
    kept = "".join(c for c in mine if c in out or c in theirs)
    share = contract(g, node.args[1 - index], out, theirs, kept)
    return broadcast(share, tuple(mine.index(c) for c in kept), node.args[index].shape)


def _recurrence_forward(node: Expr, tangents: Tangents) -> Expr:
    (axis, back), (a, _), (ta, tb) = node.attrs, node.args, tangents
    parts = [scale(ta, shifted(node, axis, back))] if ta is not None else []
    if tb is not None:
        parts.append(tb)
    return recurrence(a, total(parts), axis, back)


def _recurrence_reverse(node: Expr, g: Expr, index: int) -> Expr:
    """lam[k] = a[k+1]*lam[k+1] + g[k] is the cotangent of b; a gets lam[k]*s[k-1]."""
    (axis, back), (a, _) = node.attrs, node.args
    lam = recurrence(shifted(a, axis, not back), g, axis, not back)
    return lam if index == 1 else scale(lam, shifted(node, axis, back))


RULES.update({
    "divide": Rule(_divide_forward, _divide_reverse),
    "cast": Rule(_cast_forward, _cast_reverse),
    "broadcast": Rule(_broadcast_forward, _broadcast_reverse),
    "reshape": Rule(_reshape_forward, _reshape_reverse),
    "transpose": Rule(_transpose_forward, _transpose_reverse),
    "slice": Rule(_slice_forward, _slice_reverse),
    "place": Rule(_place_forward, _place_reverse),
    "concat": Rule(_concat_forward, _concat_reverse),
    "update": Rule(_update_forward, _update_reverse),
    "gather": Rule(_gather_forward, _gather_reverse),
    "scatter": Rule(_scatter_forward, _scatter_reverse),
    "reduce": Rule(_reduce_forward, _reduce_reverse),
    "contract": Rule(_contract_forward, _contract_reverse),
    "recurrence": Rule(_recurrence_forward, _recurrence_reverse),
})
