"""One rule for each structural operation: its tangent from its arguments' tangents, their cotangents from its own.

    forward(node, tangents)   tangents of the arguments, None for zero; some are not
    reverse(node, g, i)       what cotangent g of the node gives to argument i

Scalar rows follow from their partial derivatives. Library operations and loops add their rules to `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from . import adjoint, ops
from .adjoint import Tangents, filled, inside, linear, masked, negated, quotient, scale, summed, total
from .node import Expr
from .primitives import (
    broadcast,
    cast,
    concat,
    contract,
    elementwise,
    full,
    iota,
    place,
    real,
    recurrence,
    reduce,
    reshape,
    slice_,
    transpose,
    untransposed,
    zeros_like,
)
from .rules_complex import (
    complex_forward,
    complex_reverse,
    conj_forward,
    conj_reverse,
    imag_forward,
    imag_reverse,
    real_forward,
    real_reverse,
)
from .rules_indexing import (
    gather_forward,
    gather_reverse,
    scatter_forward,
    scatter_reverse,
    update_forward,
    update_reverse,
)
from .size import Dim, maximum, product
from .softmax import logsumexp_forward, logsumexp_reverse, softmax_forward, softmax_reverse

Onto = Callable[[Expr, Tangents, Tangents], "list[Expr | None]"]


class Rule(NamedTuple):
    """How one operation is differentiated.

    `onto(node, parts, present)`, of a node with several results: the cotangents of all arguments from those of the
    results, each on top of what it has already.
    """

    forward: Callable[[Expr, Tangents], Expr | None]
    reverse: Callable[[Expr, Expr, int], Expr | None]
    onto: Onto | None = None


RULES: dict[str, Rule] = {}

# What an argument's derivative is: given by a rule, zero by the user's or our own choice, or not defined.
SMOOTH, STOPPED, NONE = "smooth", "stopped", "none"


def edge(node: Expr, index: int) -> str:
    """How `node` depends on argument `index`: SMOOTH, STOPPED or NONE."""
    if node.op == "stop_gradient" or (node.op == "mask" and index == 0):
        return STOPPED
    if node.op == "custom" and index < node.attrs[0].results:
        return STOPPED
    if node.op in ("item", "pack"):
        return SMOOTH
    if node.args[index].dtype.kind not in "fc" or (node.dtype is not None and node.dtype.kind not in "fc"):
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


def _sqrt_forward(node: Expr, tangents: Tangents) -> Expr:
    return scale(_only(tangents), _slope_of_root(node))


def _sqrt_reverse(node: Expr, g: Expr, index: int) -> Expr:
    return scale(g, _slope_of_root(node))


def _slope_of_root(node: Expr) -> Expr:
    """1 / (2 sqrt x). The root of a sum of squares, such as a norm, has derivative 0 where it is 0, not 0 * inf."""
    slope = adjoint.partial(node, 0)
    assert slope is not None
    if node.dtype.kind == "c" or not is_sum_of_squares(node.args[0]):
        return slope
    return masked(elementwise("not_equal", node, zeros_like(node)), slope)


def is_sum_of_squares(x: Expr) -> bool:
    """Whether `x` is by form a sum of squares, so that its derivative is 0 wherever it is 0."""
    todo = [x]
    while todo:
        node = todo.pop()
        if node.op == "add":
            todo.extend(node.args)
        elif _keeps_squares(node):
            todo.append(node.args[0])
        elif not _is_square(node):
            return False
    return True


def _is_square(x: Expr) -> bool:
    if x.op == "square":
        return True
    same = len(x.args) == 2 and x.args[0] is x.args[1]
    return same and (x.op == "multiply" or (x.op == "contract" and x.attrs[0] == x.attrs[1]))


def _keeps_squares(x: Expr) -> bool:
    if x.op in ("reduce", "divide"):
        return x.attrs[0] == "add" if x.op == "reduce" else _is_count(x.args[1])
    return x.op in ("broadcast", "reshape", "transpose", "slice", "cast", "positive")


def _is_count(x: Expr) -> bool:
    x = x.args[0] if x.op == "broadcast" else x
    value = adjoint.number(x)
    return x.op == "size" or (value is not None and value > 0)


def _cast_forward(node: Expr, tangents: Tangents) -> Expr:
    return inside(_only(tangents), lambda x: cast(x, node.dtype))


def _cast_reverse(node: Expr, g: Expr, index: int) -> Expr:
    """Of a real number that became complex the real part of g counts."""
    wanted = node.args[0].dtype
    return inside(g, lambda x: cast(x if wanted.kind == "c" else real(x), wanted))


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
    x, fill = filled(tangents, node.args)
    return place(x, *node.attrs, fill=fill)


def _place_reverse(node: Expr, g: Expr, index: int) -> Expr:
    """What was placed gets its region; the fill gets all the rest, added up."""
    ranges, x = node.attrs[0], node.args[0]
    if index == 0:
        return linear(g, lambda y: slice_(y, ranges, x.shape))
    outside = place(full(x.shape, False, bool), ranges, node.shape, True)
    return reduce(masked(outside, g), "add", tuple(range(len(g.shape))))


def _concat_forward(node: Expr, tangents: Tangents) -> Expr:
    return concat(filled(tangents, node.args), node.attrs[0])


def _concat_reverse(node: Expr, g: Expr, index: int) -> Expr:
    axis = node.attrs[0]
    start: Dim = 0
    for part in node.args[:index]:
        start = start + part.shape[axis]
    ranges = tuple((start if i == axis else 0, 1) for i in range(len(g.shape)))
    return linear(g, lambda x: slice_(x, ranges, node.args[index].shape))


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


def _contract_reverse(node: Expr, g: Expr, index: int) -> Expr | None:
    """Labels that were summed in this operand alone repeat. The two shares of x @ x.T are one product."""
    mirrored = _mirrored(node)
    if mirrored is not None:
        if index == 1:
            return None
        g = total([g, transpose(g, mirrored)])
    labels, out = list(node.attrs[:2]), node.attrs[2]
    mine, theirs = labels[index], labels[1 - index]
    kept = "".join(c for c in mine if c in out or c in theirs)
    share = contract(g, node.args[1 - index], out, theirs, kept)
    return broadcast(share, tuple(mine.index(c) for c in kept), node.args[index].shape)


def _mirrored(node: Expr) -> tuple[int, ...] | None:
    """For a matrix product of an array with its own transpose: the order of axes that exchanges their roles in the
    result.
    """
    (a, la), (b, lb) = (untransposed(x, labels) for x, labels in zip(node.args, node.attrs[:2], strict=True))
    out = node.attrs[2]
    if a is not b or len(out) < 2 or la == lb:
        return None
    roles = dict(zip(la, lb, strict=True))
    if any(roles.get(roles[c], "") != c for c in la if c in roles and roles[c] in roles):
        return None
    roles.update({v: k for k, v in roles.items()})
    turned = [roles[c] for c in out]
    return tuple(turned.index(c) for c in out) if sorted(turned) == sorted(out) else None


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
    "sqrt": Rule(_sqrt_forward, _sqrt_reverse),
    "cast": Rule(_cast_forward, _cast_reverse),
    "real": Rule(real_forward, real_reverse),
    "imag": Rule(imag_forward, imag_reverse),
    "conj": Rule(conj_forward, conj_reverse),
    "complex": Rule(complex_forward, complex_reverse),
    "broadcast": Rule(_broadcast_forward, _broadcast_reverse),
    "reshape": Rule(_reshape_forward, _reshape_reverse),
    "transpose": Rule(_transpose_forward, _transpose_reverse),
    "slice": Rule(_slice_forward, _slice_reverse),
    "place": Rule(_place_forward, _place_reverse),
    "concat": Rule(_concat_forward, _concat_reverse),
    "update": Rule(update_forward, update_reverse),
    "gather": Rule(gather_forward, gather_reverse),
    "scatter": Rule(scatter_forward, scatter_reverse),
    "reduce": Rule(_reduce_forward, _reduce_reverse),
    "contract": Rule(_contract_forward, _contract_reverse),
    "recurrence": Rule(_recurrence_forward, _recurrence_reverse),
    "logsumexp": Rule(logsumexp_forward, logsumexp_reverse),
    "softmax": Rule(softmax_forward, softmax_reverse),
})
