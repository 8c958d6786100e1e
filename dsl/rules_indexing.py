"""Derivatives of reading and writing parts of an array: update, gather and scatter. See `rules`."""

from __future__ import annotations

from .adjoint import Tangents, filled, linear, masked, ones, partial, quotient, scale, total
from .node import Expr, make
from .primitives import broadcast, cast, elementwise, full, gather, iota, reshape, scatter, slice_, zeros_like
from .size import product


# ---- static regions ---------------------------------------------------------------------------------------------
def update_forward(node: Expr, tangents: Tangents) -> Expr:
    (op, ranges), (tx, tv) = node.attrs, filled(tangents, node.args)
    if op in ("set", "add"):
        return make("update", (tx, tv), node.attrs, node.dtype, node.shape)
    inner = linear(tx, lambda x: slice_(x, ranges, tv.shape))
    shares = [_share_of_region(node, t, i) for i, t in enumerate((inner, tv))]
    return _set_region(tx, ranges, total(shares))


def update_reverse(node: Expr, g: Expr, index: int) -> Expr | None:
    op, ranges = node.attrs
    v = node.args[1]
    if op == "add" and index == 0:
        return g
    if op == "set" and index == 0:
        return _set_region(g, ranges, zeros_like(v))
    inner = linear(g, lambda x: slice_(x, ranges, v.shape))
    if op in ("set", "add"):
        return inner
    share = _share_of_region(node, inner, index)
    return share if index else _set_region(g, ranges, share)


def _share_of_region(node: Expr, g: Expr, index: int) -> Expr:
    """What the old value (`index` 0) or the new one has in the derivative of an update that combines them by a row."""
    (op, ranges), (x, v) = node.attrs, node.args
    factor = partial(elementwise(op, slice_(x, ranges, v.shape), v), index)
    return zeros_like(v) if factor is None else scale(g, factor)


def _set_region(x: Expr, ranges: tuple, v: Expr) -> Expr:
    return make("update", (x, v), ("set", ranges), x.dtype, x.shape)


# ---- by arrays of indices -----------------------------------------------------------------------------------------
def gather_forward(node: Expr, tangents: Tangents) -> Expr:
    assert tangents[0] is not None
    return gather(tangents[0], list(node.args[1:]), node.attrs[0])


def gather_reverse(node: Expr, g: Expr, index: int) -> Expr:
    x, *indices = node.args
    return scatter(zeros_like(x), indices, g, node.attrs[0], "add")


def scatter_forward(node: Expr, tangents: Tangents) -> Expr | None:
    (op, axes), (x, *indices, updates) = node.attrs, node.args
    if op in ("set", "add"):
        tx, tu = filled((tangents[0], tangents[-1]), (x, updates))
        return scatter(tx, indices, tu, axes, op)
    parts = []
    if tangents[0] is not None:
        parts.append(scale(tangents[0], _share_of_target(node)))
    if tangents[-1] is not None:
        weighted = scale(tangents[-1], _share_of_updates(node))
        parts.append(scatter(zeros_like(x), indices, weighted, axes, "add"))
    return total(parts)


def scatter_reverse(node: Expr, g: Expr, index: int) -> Expr:
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
