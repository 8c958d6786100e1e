"""Values of graph nodes at an index, as statements placed in the outermost loop in which they are defined.

`Emitter.value(node, index)` emits what computes `node[index]`. An index is one affine `Offset` per axis over loop
indices and int64 values. A statement goes to the deepest open scope whose loop its index mentions, so what does not
change in a loop is outside of it. Nodes in `stored` are loaded from their buffers. Rules are generators that yield
the (node, index, mask) they need, which keeps deep graphs off Python's stack.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import numpy as np

from ..dsl import ops, size
from ..dsl.node import Expr
from ..dsl.primitives import identity_of
from ..dsl.size import Dim, same
from .names import Names
from .program import Acc, Axis, Check, Extent, For, Let, Literal, Load, Offset, Operand, Stmt

Index = tuple  # of Offset
Request = tuple[Expr, Index, "str | None"]
Rule = Generator[Request, Operand, Operand]
LETTERS = "ijklmnpq"
UNROLLED = 8             # turns of a loop of fixed length that are written out


class Scope:
    """The body of an open loop: what it binds, its statements and the values that are known in it."""

    def __init__(self, axes: tuple[Axis, ...], vector: bool = False) -> None:
        self.axes = axes
        self.vector = vector
        self.stmts: list[Stmt] = []
        self.known: dict[tuple, Operand] = {}
        self.accs: list[Acc] = []


class Emitter:
    """Statements of one kernel. `stored` maps nodes to buffers, `buffer_shape` gives a buffer's dims for its strides.
    """

    def __init__(self, stored: dict[Expr, str], names: Names, errors: list[str]) -> None:
        self.stored = stored
        self.names = names
        self.errors = errors
        self.scopes: list[Scope] = [Scope(())]
        self.depth_of: dict[str, int] = {}
        self.loads: dict[Expr, set[Index]] = {}
        self.fused: list[str] = []

    # scopes ----------------------------------------------------------------------------------------------------
    def open(self, axes: tuple[Axis, ...], vector: bool = False) -> Scope:
        self.scopes.append(Scope(axes, vector))
        for axis in axes:
            self.depth_of[axis.name] = len(self.scopes) - 1
        return self.scopes[-1]

    def close(self) -> Scope:
        return self.scopes.pop()

    def depth(self, index: Index, mask: str | None = None) -> int:
        names = [n for offset in index for n, _ in offset.terms] + ([mask] if mask else [])
        return max((self.depth_of.get(n, 0) for n in names), default=0)

    def axis(self, extent: Dim, wish: str | None = None) -> Axis:
        letter = wish or LETTERS[min(len(self.scopes) - 1, len(LETTERS) - 1)]
        return Axis(self.names.index(letter), extent)

    def define(self, depth: int, stmt: Let | Load) -> str:
        self.scopes[depth].stmts.append(stmt)
        self.depth_of[stmt.name] = depth
        return stmt.name

    def operand_depth(self, operands: tuple[Operand, ...]) -> int:
        return max((self.depth_of.get(o, 0) for o in operands if isinstance(o, str)), default=0)

    def let(self, op: str, dtype: str, *args: Operand, wish: str = "t") -> str:
        """`op(args)` where its arguments are known, once."""
        depth = self.operand_depth(args)
        key = ("let", op, dtype, args)
        for scope in self.scopes[: depth + 1]:
            if key in scope.known:
                return scope.known[key]  # type: ignore[return-value]
        name = self.define(depth, Let(self.names.new(wish), dtype, op, args))
        self.scopes[depth].known[key] = name
        return name

    # values ----------------------------------------------------------------------------------------------------
    def value(self, node: Expr, index: Index, mask: str | None = None) -> Operand:
        """The operand that holds node[index]; where `mask` is false it may be anything."""
        stack: list[tuple[tuple, Rule, int]] = []
        request: Request | None = (node, index, mask)
        result: Operand | None = None
        while True:
            if request is not None:
                key = (id(request[0]), request[1], request[2])
                found = self._known(key)
                if found is None:
                    stack.append((key, self._rule(*request), len(self.scopes)))
                    result = None
                else:
                    result = found
                request = None
            key, rule, depth = stack[-1] if stack else ((), None, 0)
            if rule is None:
                assert result is not None
                return result
            try:
                request = rule.send(result)
            except StopIteration as stop:
                stack.pop()
                result = stop.value
                assert len(self.scopes) == depth
                where = self.operand_depth((result,)) if isinstance(result, str) else 0
                self.scopes[where].known[key] = result
                if not stack:
                    return result

    def _known(self, key: tuple) -> Operand | None:
        for scope in reversed(self.scopes):
            if key in scope.known:
                return scope.known[key]
        return None

    def remember(self, node: Expr, index: Index, operand: Operand, depth: int) -> None:
        self.scopes[depth].known[(id(node), index, None)] = operand

    def _rule(self, node: Expr, index: Index, mask: str | None) -> Rule:
        if node in self.stored:
            return self._load(node, index, mask)
        rule = RULES.get(node.op)
        if rule is None and node.op in ops.ROWS:
            rule = _row
        assert rule is not None, f"{node.op} is not computed in a kernel and was not stored"
        return rule(self, node, index, mask)

    def _load(self, node: Expr, index: Index, mask: str | None) -> Rule:
        return _done(self.load(node, index, flat(index, node.shape), mask))

    def load(self, node: Expr, index: Index, offset: Offset, mask: str | None) -> str:
        """Load the stored `node` at a flat offset; `index` () says that it is no plain indexing of its axes."""
        self.loads.setdefault(node, set()).add(index)
        buffer, dtype = self.stored[node], dtype_name(node)
        other = Literal.of(0, dtype) if mask else None
        return self.define(
            self.depth((offset,), mask), Load(self.names.new(f"{buffer}_at"), dtype, buffer, offset, mask, other)
        )

    def scalar(self, buffer: str, dtype: str) -> str:
        """The value of a scalar buffer, loaded once."""
        key = ("scalar", buffer)
        if key not in self.scopes[0].known:
            self.scopes[0].known[key] = self.define(0, Load(self.names.new(f"{buffer}_at"), dtype, buffer, Offset()))
        return self.scopes[0].known[key]  # type: ignore[return-value]

    # integers --------------------------------------------------------------------------------------------------
    def integer(self, offset: Offset) -> Operand:
        """An index as an int64 value."""
        total: Operand | None = None
        for name, coefficient in offset.terms:
            term: Operand = name if same(coefficient, 1) else self.let("multiply", "int64", name, integer(coefficient))
            total = term if total is None else self.let("add", "int64", total, term)
        if total is None:
            return integer(offset.const)
        return total if same(offset.const, 0) else self.let("add", "int64", total, integer(offset.const))

    def both(self, a: str | None, b: str | None) -> str | None:
        return b if a is None else a if b is None else self.let("logical_and", "bool", a, b, wish="inside")

    def inside(self, position: Offset, start: Dim, step: int, count: Dim, extent: Dim) -> str | None:
        """A bool: `position` is start + step*i for some 0 <= i < count; None where it always is."""
        if step == 1 and same(start, 0) and same(count, extent):
            return None
        here = self.integer(position)
        if step == 1:
            low = None if same(start, 0) else self.let("greater_equal", "bool", here, integer(start), wish="inside")
            high = (
                None
                if same(start + count, extent)
                else self.let("less", "bool", here, integer(start + count), wish="inside")
            )
            return self.both(low, high)
        relative = self.integer(position + Offset(-start))
        if step < 0:
            relative = self.let("negative", "int64", relative)
        stride = integer(abs(step))
        aligned = self.let("equal", "bool", self.let("remainder", "int64", relative, stride), integer(0), wish="inside")
        low = self.let("greater_equal", "bool", relative, integer(0), wish="inside")
        high = self.let("less", "bool", relative, integer(count * abs(step)), wish="inside")
        return self.both(aligned, self.both(low, high))

    def divided(self, position: Offset, start: Dim, step: int) -> Offset:
        """(position - start) / step as an index."""
        relative = position + Offset(-start)
        if abs(step) == 1:
            return relative.scaled(step)
        quotient = self.let(
            "floor_divide", "int64", self.integer(relative.scaled(1 if step > 0 else -1)), integer(abs(step))
        )
        return Offset(0, ((quotient, 1),))


# ---- rules ------------------------------------------------------------------------------------------------------
def _done(operand: Operand) -> Rule:
    return operand
    yield


def _row(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    args = []
    for arg in node.args:
        args.append((yield arg, index, mask))
    emitter.fused.append(node.op)
    return emitter.let(node.op, dtype_name(node), *args)


def _const(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    return _done(Literal.of(node.attrs[0].array[()], dtype_name(node)))


def _size(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    extent = Extent(node.attrs[0])
    return _done(extent if dtype_name(node) == "int64" else emitter.let("cast", dtype_name(node), extent))


def _iota(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    here = emitter.integer(index[0])
    return _done(here if dtype_name(node) == "int64" else emitter.let("cast", dtype_name(node), here))


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
    ranges, shape = node.attrs
    here: str | None = None
    for position, (start, step), count, extent in zip(index, ranges, source.shape, shape, strict=True):
        here = emitter.both(here, emitter.inside(position, start, step, count, extent))
    outside = yield fill, (), None
    if here is None:
        return (yield source, index, mask)
    moved = tuple(emitter.divided(p, start, step) for p, (start, step) in zip(index, ranges, strict=True))
    value = yield source, moved, emitter.both(mask, here)
    return emitter.let("where", dtype_name(node), here, value, outside)


def _update(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    op, ranges = node.attrs
    target, source = node.args
    here: str | None = None
    for position, (start, step), count, extent in zip(index, ranges, source.shape, target.shape, strict=True):
        here = emitter.both(here, emitter.inside(position, start, step, count, extent))
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
        here = emitter.inside(index[axis], start, 1, part.shape[axis], node.shape[axis])
        moved = tuple(p + Offset(-start) if i == axis else p for i, p in enumerate(index))
        value = yield part, moved, emitter.both(mask, here)
        result = (
            value if result is None or here is None else emitter.let("where", dtype_name(node), here, value, result)
        )
        start = start + part.shape[axis]
    assert result is not None
    return result


def _gather(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    source, *arrays = node.args
    axes = node.attrs[0]
    rank = len(arrays[0].shape)
    places = {}
    for axis, array in zip(axes, arrays, strict=True):
        position = yield array, index[:rank], mask
        places[axis] = checked(emitter, position, array, source.shape[axis], mask)
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
    low = emitter.let("greater_equal", "bool", wide, integer(0), wish="inside")
    fits = emitter.both(low, emitter.let("less", "bool", wide, integer(extent), wish="inside"))
    assert fits is not None
    text = f"an index array holds a position outside its axis of {extent} elements"
    if text not in emitter.errors:
        emitter.errors.append(text)
    ok = (
        fits
        if mask is None
        else emitter.let("logical_or", "bool", fits, emitter.let("logical_not", "bool", mask), wish="inside")
    )
    emitter.scopes[emitter.operand_depth((ok,))].stmts.append(Check(ok, emitter.errors.index(text)))
    safe = emitter.let("where", "int64", fits, wide, integer(0), wish="at")
    return Offset(0, ((safe, 1),))


def _require(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    """The first argument; where the second is false the program reports `attrs[0]`."""
    value = yield node.args[0], index, mask
    ok = yield node.args[1], index, mask
    text = node.attrs[0]
    if text not in emitter.errors:
        emitter.errors.append(text)
    assert isinstance(ok, str)
    emitter.scopes[emitter.operand_depth((ok,))].stmts.append(Check(ok, emitter.errors.index(text)))
    return value


def _reduce(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    """A reduction computed where it is used: a loop in the scope of its index."""
    op, axes = node.attrs
    source = node.args[0]
    if unrolls([source.shape[a] for a in axes]):
        return (yield from _unrolled(emitter, node, index, mask))
    depth = emitter.depth(index, mask)
    inner, emitter.scopes = emitter.scopes[depth + 1:], emitter.scopes[: depth + 1]
    vector = not any(s.vector for s in emitter.scopes)
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


def close_loop(
    emitter: Emitter, scope: Scope, folds: tuple[tuple[str, str, Operand], ...], wish: str = "acc"
) -> list[str]:
    """Close `scope` as a loop that folds values: (op, dtype, value) each; the names of the results, known outside."""
    closed = emitter.close()
    assert closed is scope
    depth = len(emitter.scopes) - 1
    accs = list(scope.accs)
    results = []
    for op, dtype, value in folds:
        name = emitter.names.new(wish)
        accs.append(Acc(name, dtype, op, value, Literal.of(identity_of(op, np.dtype(dtype)), dtype)))
        emitter.depth_of[name] = depth
        results.append(name)
    emitter.scopes[depth].stmts.append(For(scope.axes, tuple(scope.stmts), tuple(accs), (), scope.vector))
    return results


def flat(index: Index, shape: tuple) -> Offset:
    """Row-major flat offset of `index` in an array of `shape`."""
    total = Offset()
    stride: Dim = 1
    for position, dim in zip(reversed(index), reversed(shape), strict=True):
        total = total + position.scaled(stride)
        stride = stride * dim
    return total


def integer(dim: Dim) -> Operand:
    return Extent(dim) if isinstance(dim, size.Size) else Literal.of(dim, "int64")


def dtype_name(node: Expr) -> str:
    return node.dtype.name


RULES: dict[str, Callable[[Emitter, Expr, Index, str | None], Any]] = {
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
    "cast": _row,
}
