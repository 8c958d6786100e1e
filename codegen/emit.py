"""Values of graph nodes at an index, as statements placed in the outermost loop in which they are defined.

`Emitter.value(node, index)` emits what computes `node[index]`. An index is one affine `Offset` per axis over loop
indices and int64 values. A statement goes to the deepest open scope whose loop its index mentions, so what does not
change in a loop is outside of it. Nodes in `stored` are loaded from their buffers. Rules are generators that yield
the (node, index, mask) they need, which keeps deep graphs off Python's stack.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import cache
from typing import Any

import numpy as np

from ..dsl import ops, size
from ..dsl.node import Expr
from ..dsl.primitives import identity_of
from ..dsl.size import Dim, same
from .names import Names
from .program import Acc, Axis, Check, Extent, For, Let, Literal, Load, Offset, Operand, Stmt
from .seeds import Seed, folded

Index = tuple  # of Offset
Request = tuple[Expr, Index, "str | None"]
Rule = Generator[Request, Operand, Operand]
LETTERS = "ijklmnpq"
NEVER = Literal.of(False, "bool")          # a mask that holds nowhere
# How each operation is computed at an index (codegen/emit_rules.py); `row` is any row of the table of operations.
RULES: dict[str, Callable[..., Any]] = {}


class Scope:
    """The body of an open loop: what it binds, its statements and the values that are known in it."""

    def __init__(self, axes: tuple[Axis, ...], vector: bool = False) -> None:
        self.axes = axes
        self.vector = vector
        self.stmts: list[Stmt] = []
        self.known: dict[tuple, Operand] = {}
        self.accs: list[Acc] = []


class Emitter:
    """Statements of one kernel. `stored` maps nodes to buffers; `own` are those whose buffers this kernel writes, and
    `products` those that are fused with the addition that reads them.
    """

    def __init__(self, stored: dict[Expr, str], names: Names, errors: list[str]) -> None:
        self.stored = stored
        self.names = names
        self.errors = errors
        self.own: set[Expr] = set()
        self.products: set[Expr] = set()
        self.scopes: list[Scope] = [Scope(())]
        self.depth_of: dict[str, int] = {}
        self.extent_of: dict[str, Dim] = {}
        self.stretch: dict[str, dict[str, tuple[Dim, Dim]]] = {}      # of masks: where on each axis they may hold
        self.loads: dict[Expr, set[Index]] = {}
        self.in_row: dict[tuple[Expr, Index], tuple[str, Offset]] = {}  # kept from an earlier pass over the row
        self.fused: list[str] = []

    # scopes ----------------------------------------------------------------------------------------------------
    def open(self, axes: tuple[Axis, ...], vector: bool = False) -> Scope:
        self.scopes.append(Scope(axes, vector))
        for axis in axes:
            self.depth_of[axis.name] = len(self.scopes) - 1
            self.extent_of[axis.name] = axis.extent
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
        if any(isinstance(a, Seed) for a in args):
            simple = folded(op, dtype, args)
            if simple is not None:
                return self.let(simple[0], dtype, *simple[1]) if isinstance(simple, tuple) else simple  # type: ignore[return-value]
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
        request: Request | None = (node, index, mask if node.shape else None)
        result: Any = None
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
                return result
            try:
                node, index, mask = rule.send(result)
                request = (node, index, mask if node.shape else None)          # a scalar is there to be read anywhere
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
        if (node, index) in self.in_row:
            buffer, offset = self.in_row[node, index]
            load = Load(self.names.new(f"{buffer}_at"), dtype_name(node), buffer, offset)
            return done(self.define(self.depth((offset,)), load))
        rule = RULES.get(node.op)
        if rule is None and node.op in ops.ROWS:
            rule = RULES["row"]
        assert rule is not None, f"{node.op} is not computed in a kernel and was not stored"
        return rule(self, node, index, mask)

    def _load(self, node: Expr, index: Index, mask: str | None) -> Rule:
        return done(self.load(node, index, flat(index, node.shape), mask))

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

    def check(self, ok: str, text: str) -> None:
        """Report `text` where `ok` is false; once, where it is known."""
        if text not in self.errors:
            self.errors.append(text)
        scope = self.scopes[self.operand_depth((ok,))]
        if ("check", ok, text) not in scope.known:
            scope.known["check", ok, text] = ok
            scope.stmts.append(Check(ok, self.errors.index(text)))

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
        """The mask where both hold; None is everywhere. It is remembered which stretch of each axis it allows."""
        if a is None or b is None:
            return b if a is None else a
        mask = self.let("logical_and", "bool", a, b, wish="inside")
        self.stretch[mask] = {**self.stretch.get(a, {}), **self.stretch.get(b, {})}
        return mask

    def inside(
        self, position: Offset, start: Dim, step: int, count: Dim, extent: Dim, mask: str | None
    ) -> str | Literal | None:
        """A bool: `position` is start + step*i for some 0 <= i < count.

        None where that is so whenever `mask` holds, NEVER where it never is then.
        """
        if step == 1 and same(start, 0) and same(count, extent):
            return None
        if step == 1:
            return self.between(position, start, start + count, extent, mask)
        relative = self.integer(position + Offset(-start))
        if step < 0:
            relative = self.let("negative", "int64", relative)
        stride = integer(abs(step))
        aligned = self.let("equal", "bool", self.let("remainder", "int64", relative, stride), integer(0), wish="inside")
        low = self.let("greater_equal", "bool", relative, integer(0), wish="inside")
        high = self.let("less", "bool", relative, integer(count * abs(step)), wish="inside")
        return self.both(aligned, self.both(low, high))

    def between(self, position: Offset, low: Dim, high: Dim, extent: Dim, mask: str | None) -> str | Literal | None:
        """A bool: low <= position < high; see `inside`."""
        axis, step = self._axis_of(position)
        fixed = not position.terms
        first, end = (position.const, position.const + 1) if fixed else (0, extent)
        if axis:
            first, end = self._stretch_of(position, axis, step, mask)
        if (axis or fixed) and (at_most(high, first) or at_most(end, low)):
            return NEVER
        above, below = at_most(low, first), at_most(end, high)
        if above and below:
            return None
        here = self.integer(position)
        lower = None if above else self.let("greater_equal", "bool", here, integer(low), wish="inside")
        upper = None if below else self.let("less", "bool", here, integer(high), wish="inside")
        found = self.both(lower, upper)
        if found is not None and axis:
            start, stop = first if above else low, end if below else high
            const = position.const
            allowed = (start - const, stop - const) if step == 1 else (const - stop + 1, const - start + 1)
            self.stretch[found] = {axis: allowed}
        return found

    def _axis_of(self, position: Offset) -> tuple[str, int]:
        """The axis that `position` follows, forwards (1) or backwards (-1); no name where it does otherwise."""
        if len(position.terms) == 1:
            axis, step = position.terms[0]
            if axis in self.extent_of and isinstance(step, int) and abs(step) == 1:
                return axis, step
        return "", 0

    def _stretch_of(self, position: Offset, axis: str, step: int, mask: str | None) -> tuple[Dim, Dim]:
        """From where to where `position` runs where `mask` holds."""
        whole = (0, self.extent_of[axis])
        first, end = whole if mask is None else self.stretch.get(mask, {}).get(axis, whole)
        const = position.const
        return (const + first, const + end) if step == 1 else (const - end + 1, const - first + 1)

    def divided(self, position: Offset, start: Dim, step: int) -> Offset:
        """(position - start) / step as an index."""
        relative = position + Offset(-start)
        if abs(step) == 1:
            return relative.scaled(step)
        quotient = self.let(
            "floor_divide", "int64", self.integer(relative.scaled(1 if step > 0 else -1)), integer(abs(step))
        )
        return Offset(0, ((quotient, 1),))


def at_most(a: Dim, b: Dim) -> bool:
    """Whether a <= b by form."""
    difference = a - b
    return isinstance(difference, int) and difference <= 0


def done(operand: Operand) -> Rule:
    """The rule of a value that needs no other."""
    return operand
    yield


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
    return _name(node.dtype)


@cache                                     # numpy builds the text anew each time
def _name(dtype: np.dtype) -> str:
    return dtype.name
