"""How each operation of a graph is computed at an index: one rule each, for `codegen.emit.Emitter`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from ..dsl import size
from ..dsl.bounds import is_below, never_negative
from ..dsl.node import Expr
from ..dsl.size import Dim, same
from .emit import NEVER, RULES, Emitter, Index, Rule, close_loop, done, dtype_name, flat, integer
from .program import Extent, Literal, Offset, Operand

UNROLLED = 8             # turns of a loop of fixed length that are written out


def _row(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    product = next((k for k, a in enumerate(node.args) if a in emitter.products), None) if emitter.products else None
    if product is not None:
        return (yield from _fused_product(emitter, node, product, index, mask))
    args = []
    for arg in node.args:
        args.append((yield arg, index, mask))
    if node.op != "stop_gradient":
        emitter.fused.append(node.op)
    return emitter.let(node.op, dtype_name(node), *args)


def _fused_product(emitter: Emitter, node: Expr, at: int, index: Index, mask: str | None) -> Rule:
    """a*b + c, a*b - c or c - a*b, rounded once."""
    a = yield node.args[at].args[0], index, mask
    b = yield node.args[at].args[1], index, mask
    c = yield node.args[1 - at], index, mask
    dtype = dtype_name(node)
    if node.op == "subtract" and at == 0:
        c = emitter.let("negative", dtype, c)
    elif node.op == "subtract":
        a = emitter.let("negative", dtype, a)
    emitter.fused += ["multiply", node.op]
    return emitter.let("fma", dtype, a, b, c)


def _const(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    return done(Literal.of(node.attrs[0].array[()], dtype_name(node)))


def _size(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    extent = Extent(node.attrs[0])
    return done(extent if dtype_name(node) == "int64" else emitter.let("cast", dtype_name(node), extent))


def _iota(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    here = emitter.integer(index[0])
    return done(here if dtype_name(node) == "int64" else emitter.let("cast", dtype_name(node), here))


def _broadcast(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    return (yield node.args[0], tuple(index[d] for d in node.attrs[0]), mask)


def _transpose(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    perm = node.attrs[0]
    return (yield node.args[0], tuple(index[perm.index(i)] for i in range(len(perm))), mask)


def _slice(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    moved = tuple(i.scaled(step) + Offset(start) for i, (start, step) in zip(index, node.attrs[0], strict=True))
    return (yield node.args[0], moved, mask)


def _reshape(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    source = node.args[0]
    moved = renumbered(emitter if source not in emitter.stored else None, index, node.shape, source.shape)
    if moved is not None:
        return (yield source, moved, mask)
    return emitter.load(source, (), flat(index, node.shape), mask)


def renumbered(emitter: Emitter | None, index: Index, shape: tuple, target: tuple) -> Index | None:
    """The index into `target` of the element at `index` of `shape`, the same in row-major order.

    Without an emitter (to divide with): None where the answer is not affine.
    """
    result: list[Offset] = []
    a = b = 0
    while b < len(target):
        if same(target[b], 1):
            result.append(Offset())
            b += 1
        elif a < len(shape) and same(shape[a], 1):
            a += 1
        elif a < len(shape) and same(shape[a], target[b]):
            result.append(index[a])
            a, b = a + 1, b + 1
        else:
            end_a, end_b = _group(shape, a, target, b)
            position = flat(index[a:end_a], shape[a:end_a])
            if emitter is None and end_b - b > 1:
                return None
            result += _digits(emitter, position, target[b:end_b]) if emitter is not None else [position]
            a, b = end_a, end_b
    return tuple(result)


def _group(shape: tuple, a: int, target: tuple, b: int) -> tuple[int, int]:
    """The ends of the shortest runs of axes from a and b with equal products."""
    for end_a in range(a + 1, len(shape) + 1):
        for end_b in range(b + 1, len(target) + 1):
            if same(size.product(shape[a:end_a]), size.product(target[b:end_b])):
                return end_a, end_b
    return len(shape), len(target)


def _digits(emitter: Emitter, position: Offset, dims: tuple) -> list[Offset]:
    """`position` written in the mixed base `dims`."""
    result: list[Offset] = []
    for axis in range(len(dims) - 1, 0, -1):
        value, base = emitter.integer(position), integer(dims[axis])
        result.append(Offset(0, ((emitter.let("remainder", "int64", value, base), 1),)))
        position = Offset(0, ((emitter.let("floor_divide", "int64", value, base), 1),))
    return [position, *reversed(result)]


def _place(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    source, fill = node.args
    ranges, _ = node.attrs
    here = in_region(emitter, index, ranges, source.shape, node.shape, mask)
    outside = yield fill, (), None
    if isinstance(here, Literal):
        return outside
    moved = tuple(emitter.divided(p, start, step) for p, (start, step) in zip(index, ranges, strict=True))
    value = yield source, moved, emitter.both(mask, here)
    return value if here is None else emitter.let("where", dtype_name(node), here, value, outside)


def _update(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    op, ranges = node.attrs
    target, source = node.args
    here = in_region(emitter, index, ranges, source.shape, target.shape, mask)
    if isinstance(here, Literal):
        return (yield target, index, mask)
    moved = tuple(emitter.divided(p, start, step) for p, (start, step) in zip(index, ranges, strict=True))
    value = yield source, moved, emitter.both(mask, here)
    old = yield target, index, mask
    if op != "set":
        value = emitter.let(op, dtype_name(node), old, value)
    return value if here is None else emitter.let("where", dtype_name(node), here, value, old)


def _concat(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    axis = node.attrs[0]
    start: Dim = 0
    result: Operand | None = None
    for part in node.args:
        here = emitter.inside(index[axis], start, 1, part.shape[axis], node.shape[axis], mask)
        if isinstance(here, Literal):
            start = start + part.shape[axis]
            continue
        moved = tuple(p + Offset(-start) if i == axis else p for i, p in enumerate(index))
        value = yield part, moved, emitter.both(mask, here)
        result = (
            value if result is None or here is None else emitter.let("where", dtype_name(node), here, value, result)
        )
        start = start + part.shape[axis]
    return Literal.of(0, dtype_name(node)) if result is None else result


def in_region(
    emitter: Emitter, index: Index, ranges: tuple, counts: tuple, extents: tuple, mask: str | None
) -> str | Literal | None:
    """A bool: `index` is start + step*i on every axis; None for always, NEVER for never, where `mask` holds."""
    here: str | None = None
    for position, (start, step), count, extent in zip(index, ranges, counts, extents, strict=True):
        found = emitter.inside(position, start, step, count, extent, mask)
        if isinstance(found, Literal):
            return NEVER
        here = emitter.both(here, found)
    return here


def _gather(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    source, *arrays = node.args
    axes = node.attrs[0]
    rank = len(arrays[0].shape)
    places = {}
    for axis, array in zip(axes, arrays, strict=True):
        position = yield array, index[:rank], mask
        places[axis] = checked(emitter, position, array, source.shape[axis], mask if array.shape else None)
    rest = iter(index[rank:])
    moved = tuple(places[i] if i in places else next(rest) for i in range(len(source.shape)))
    return (yield source, moved, mask)


def checked(emitter: Emitter, position: Operand, array: Expr, extent: Dim, mask: str | None) -> Offset:
    """`position` as an index into an axis of `extent`; out of range it reports and becomes 0."""
    if isinstance(position, Literal):
        return Offset(int(position.value))
    if isinstance(position, Extent):
        return Offset(position.size)
    wide = position if dtype_name(array) == "int64" else emitter.let("cast", "int64", position)
    if not array.shape and never_negative(array) and is_below(array, extent):
        return Offset(0, ((str(wide), 1),))
    low = emitter.let("greater_equal", "bool", wide, integer(0), wish="inside")
    fits = emitter.both(low, emitter.let("less", "bool", wide, integer(extent), wish="inside"))
    assert fits is not None
    ok = (
        fits
        if mask is None
        else emitter.let("logical_or", "bool", fits, emitter.let("logical_not", "bool", mask), wish="inside")
    )
    emitter.check(ok, f"an index array holds a position outside its axis of {extent} elements")
    safe = emitter.let("where", "int64", fits, wide, integer(0), wish="at")
    return Offset(0, ((safe, 1),))


def _half(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    """One part of a complex number; the other is computed where it is stored."""
    return (yield node.args[node.attrs[0]], index, mask)


def _require(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    """The first argument; where the second is false the program reports `attrs[0]`."""
    value = yield node.args[0], index, mask
    ok = yield node.args[1], index, mask
    assert isinstance(ok, str)
    emitter.check(ok, node.attrs[0])
    return value


def _reduce(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    """A reduction computed where it is used: a loop in the scope of its index.

    It runs in lanes only where it is stored: several kernels that compute it again must find the same bits.
    """
    op, axes = node.attrs
    source = node.args[0]
    if unrolls([source.shape[a] for a in axes]):
        return (yield from _unrolled(emitter, node, index, mask))
    depth = emitter.depth(index, mask)
    inner, emitter.scopes = emitter.scopes[depth + 1:], emitter.scopes[: depth + 1]
    vector = node in emitter.own and not any(s.vector for s in emitter.scopes)
    loops = {a: emitter.axis(source.shape[a]) for a in axes}
    scopes = [emitter.open((loops[a],), vector and a == axes[-1]) for a in axes]
    rest = iter(index)
    full = tuple(Offset(0, ((loops[i].name, 1),)) if i in loops else next(rest) for i in range(len(source.shape)))
    value = yield source, full, mask
    emitter.fused.append(f"{op} over {len(axes)} axes")
    for scope in reversed(scopes):
        value = close_loop(emitter, scope, ((op, dtype_name(node), value),))[0]
    emitter.scopes = emitter.scopes + inner
    return value


def unrolls(extents: Sequence[Dim]) -> bool:
    """Whether a loop over axes of these sizes is so short that its turns are written out."""
    turns = size.product(extents)
    return isinstance(turns, int) and 0 < turns <= UNROLLED


def turns_of(extents: Sequence[Dim]) -> Iterator[Index]:
    """Every index of short axes, the last fastest."""
    return (tuple(map(Offset, place)) for place in itertools.product(*(range(int(n)) for n in extents)))


def _unrolled(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    """A short reduction turn by turn."""
    op, axes = node.attrs
    source = node.args[0]
    total: Operand | None = None
    for turn in turns_of([source.shape[a] for a in axes]):
        rest, place = iter(index), dict(zip(axes, turn, strict=True))
        full = tuple(place[i] if i in place else next(rest) for i in range(len(source.shape)))
        value = yield source, full, mask
        total = value if total is None else emitter.let(op, dtype_name(node), total, value)
    emitter.fused.append(op)
    assert total is not None
    return total


RULES.update({
    "row": _row,
    "const": _const,
    "size": _size,
    "iota": _iota,
    "broadcast": _broadcast,
    "transpose": _transpose,
    "slice": _slice,
    "reshape": _reshape,
    "place": _place,
    "update": _update,
    "concat": _concat,
    "gather": _gather,
    "reduce": _reduce,
    "require": _require,
    "half": _half,
    "cast": _row,
})
