"""A Kernel as an LLVM function over one chunk of rows.

Vector loops become explicit vectors: a main loop without masks and one masked turn for the tail; a long body is
printed once, masked, which halves its compile time. What does not depend on the lane stays scalar and is spread on
use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .interior import Interior, extents_of, interior_of
from .llvm_function import Function, State, Value, literal_text, register_type
from .llvm_ops import PRINTERS, Op
from .llvm_routines import Routines
from .llvm_strips import Strips, strips_of
from .program import (
    Acc,
    Axis,
    Carry,
    Check,
    For,
    Kernel,
    Let,
    Load,
    Operand,
    Program,
    Stmt,
    Store,
    Update,
    kernel_lanes,
    walk_stmts,
)

# Bodies longer than this are printed once (masked) instead of twice (main and tail).
LONG = 150
PARAMETERS = "ptr %bufs, ptr %sizes, ptr %error, i64 %chunk, i64 %lo, i64 %hi"


class KernelWriter(Strips):
    """Prints the statements of one kernel."""

    def __init__(self, program: Program, kernel: Kernel, routines: Routines) -> None:
        self.f = Function(program.sizes)
        self.kernel, self.routines = kernel, routines
        self.lanes = kernel_lanes(kernel)
        self.values: dict[str, Value] = {kernel.chunk: Value("%chunk", "int64")}
        self.lane_axis: str | None = None
        self.mask: str | None = None
        self.mask_depth = -1
        self.near_row = False              # whether masks only cut the ends of a row that has all its neighbours
        self.buffers = program.buffers
        self.numbers = {name: k for k, name in enumerate(program.buffers)}
        statements = list(walk_stmts(kernel.begin + kernel.body + kernel.end))
        self.written = {s.buffer for s in statements if isinstance(s, (Store, Update))}
        self.lets = {s.name: s for s in statements if isinstance(s, Let)}
        self.extents = extents_of(kernel)
        self.slots: list[str] = []
        self.inline = routines.worth_inlining(statements)

    def write(self) -> str:
        kernel, f = self.kernel, self.f
        self.stmts(kernel.begin)
        segments = strips_of(kernel)
        if segments:
            self.write_strips(segments)
        else:
            self.for_loop(For((kernel.rows,), kernel.body, kernel.accs, vector=kernel.vector), "%lo", "%hi")
        self.stmts(kernel.end)
        f.line("ret void")
        head = f"define internal void @kernel.{kernel.name}({PARAMETERS}) #0"
        slots = "".join(f"  {slot}\n" for slot in ("%spare = alloca i64", *self.slots))
        return f"{head} {{\nentry:\n{slots}{f.text()}\n}}\n"

    # ---- values -------------------------------------------------------------------------------------------------
    def operand(self, operand: Operand) -> Value:
        if not isinstance(operand, str):
            return self.f.constant(operand)
        value = self.values[operand]
        if operand == self.lane_axis:
            counting = ", ".join(f"i64 {k}" for k in range(self.lanes))
            wide = self.f.pure(
                f"add <{self.lanes} x i64> {self.f.widen(value, self.lanes)}, <{counting}>", value.depth, operand
            )
            return value._replace(text=wide, width=self.lanes)
        return value

    def wide(self, operand: Operand) -> str:
        return self.f.widen(self.operand(operand), self.lanes)

    def combine(self, op: str, dtype: str, a: str, b: str, width: int) -> str:
        """`a op b` on registers, here."""
        return PRINTERS[op](Op(self.f, op, dtype, (a, b), (dtype, dtype), width, self.f.depth))

    # ---- statements ---------------------------------------------------------------------------------------------
    def stmts(self, stmts: tuple[Stmt, ...]) -> None:
        for stmt in stmts:
            if isinstance(stmt, Let):
                self.let(stmt)
            elif isinstance(stmt, Load):
                self.load(stmt)
            elif isinstance(stmt, Store):
                self.store(stmt)
            elif isinstance(stmt, Update):
                self.update(stmt)
            elif isinstance(stmt, Check):
                self.check(stmt)
            else:
                end = self.f.size(stmt.axes[-1].extent) if stmt.turns is None else self.operand(stmt.turns).text
                self.for_loop(stmt, "0", end)

    def let(self, stmt: Let) -> None:
        args = [self.operand(a) for a in stmt.args]
        width = max((a.width for a in args), default=0)
        texts = [self.f.widen(a, width) if width else a.text for a in args]
        op = Op(
            self.f, stmt.op, stmt.dtype, texts, [a.dtype for a in args], width, max((a.depth for a in args), default=-1)
        )
        printer = PRINTERS.get(stmt.op)
        text = printer(op) if printer else self.routines.call(op, self.inline)
        self.values[stmt.name] = Value(text, stmt.dtype, width, op.depth)

    def check(self, stmt: Check) -> None:
        """Atomic minimum: whichever thread comes first, the reported error is the same."""
        f, ok = self.f, self.operand(stmt.ok)
        good = ok.text
        if ok.width:
            kind = register_type("bool", self.lanes)
            if self.mask:
                good = f.emit(f"select {kind} {self.mask}, {kind} {good}, {kind} splat (i1 true)")
            good = f.emit(f.call("i1", f"llvm.vector.reduce.and.v{self.lanes}i1", f"{kind} {good}", kind))
        bad, fine = f.fresh("bad"), f.fresh("fine")
        f.line(f"br i1 {good}, label %{fine}, label %{bad}, !prof !0")
        f.open_block(bad)
        f.line(f"atomicrmw umin ptr %error, i64 {stmt.code} monotonic")
        f.line(f"br label %{fine}")
        f.open_block(fine)

    # ---- loops --------------------------------------------------------------------------------------------------
    def for_loop(self, loop: For, lo: str, hi: str) -> None:
        """`lo` and `hi` bound the last axis; the others run over their extents."""
        width = self.lanes if loop.vector or self.lane_axis else 0
        states: list[State] = [
            (register_type(a.dtype, width), _spread(literal_text(a.identity), a.dtype, width)) for a in loop.accs
        ]
        for carry in loop.carries:
            init = self.operand(carry.init)
            states.append((register_type(carry.dtype, width), self.f.widen(init, width) if width else init.text))
        last, *outer = reversed(loop.axes)
        turn: Callable[[list[State]], list[str]] = partial(self.innermost, loop, last, lo, hi)
        for axis in outer:
            turn = self.around(axis, turn)
        results = turn(states)
        for acc, result in zip(loop.accs, results, strict=False):
            if loop.vector:
                self.values[acc.name] = Value(self.fold(acc, result), acc.dtype, 0, self.f.depth)
            else:
                self.values[acc.name] = Value(result, acc.dtype, width, self.f.depth)
        for carry, result in zip(loop.carries, results[len(loop.accs) :], strict=True):
            self.values[carry.result] = Value(result, carry.dtype, width, self.f.depth)

    def around(self, axis: Axis, inner: Callable[[list[State]], list[str]]) -> Callable[[list[State]], list[str]]:
        def turn(states: list[State]) -> list[str]:
            def body(index: str, names: list[str]) -> list[str]:
                self.values[axis.name] = Value(index, "int64", 0, self.f.depth)
                return inner([(kind, name) for (kind, _), name in zip(states, names, strict=True)])

            return self.f.loop("0", self.f.size(axis.extent), 1, states, body)

        return turn

    def innermost(self, loop: For, axis: Axis, lo: str, hi: str, states: list[State]) -> list[str]:
        if not loop.vector:
            return self.f.loop(lo, hi, 1, states, lambda index, names: self.turn(loop, axis, index, names))
        self.lane_axis = axis.name
        near = interior_of(loop, self.lets, self.extents)
        if near is not None:
            result = self.bordered(loop, near, axis, lo, hi, states)
        else:
            long = _is_long(loop)
            middle = lo if long else self.whole_blocks(lo, hi)
            if not long:
                states = self.plain_turns(loop, axis, lo, middle, states)
            result = self.masked_turns(loop, axis, middle, hi, hi, states)
        self.lane_axis = None
        return result

    def whole_blocks(self, lo: str, hi: str, depth: int = -1) -> str:
        """The end of the last full block of lanes from `lo` to `hi`, which are known at `depth`."""
        span = self.f.pure(f"sub i64 {hi}, {lo}", depth)
        return self.f.pure(f"add i64 {lo}, {self.f.pure(f'and i64 {span}, {-self.lanes}', depth)}", depth)

    def plain_turns(self, loop: For, axis: Axis, lo: str, hi: str, states: list[State]) -> list[State]:
        """Full blocks of lanes; the states after them."""
        turns = self.f.loop(lo, hi, self.lanes, states, lambda index, names: self.turn(loop, axis, index, names))
        return _after(states, turns)

    def masked_turns(self, loop: For, axis: Axis, lo: str, end: str, hi: str, states: list[State]) -> list[str]:
        """Blocks of lanes from `lo` to `end`, of which the last may reach beyond `hi`."""
        return self.f.loop(
            lo, end, self.lanes, states, lambda index, names: self.masked_turn(loop, axis, index, hi, names)
        )

    def bordered(self, loop: For, near: Interior, axis: Axis, lo: str, hi: str, states: list[State]) -> list[str]:
        """Blocks of lanes at one end, in the interior, and at the other end; a row at a border before them, and nothing
        of it is left then. A long body is not printed for rows alone.
        """
        f = self.f
        inner, depth = self.row_start(near, lo, hi)
        first, last = self.interior_blocks(near, inner, hi, depth)
        ends, begin = loop, lo
        if near.rows and not _is_long(loop):
            ends, begin = near.row, inner
            states = _after(states, self.masked_turns(loop, axis, lo, inner, hi, states))

        def side(number: str, names: list[str]) -> list[str]:
            start = f.emit(f"icmp eq i64 {number}, 0")
            here, there = (f.emit(f"select i1 {start}, i64 {a}, i64 {b}") for a, b in ((begin, last), (first, hi)))
            self.near_row = ends is not loop
            names = self.masked_turns(ends, axis, here, there, hi, _after(states, names))
            self.near_row = False
            here = f.emit(f"select i1 {start}, i64 {first}, i64 {last}")
            return [name for _, name in self.plain_turns(near.loop, axis, here, last, _after(states, names))]

        return f.loop("0", "2", 1, states, side)

    def row_start(self, near: Interior, lo: str, hi: str) -> tuple[str, int]:
        """`lo`, or `hi` in a row at a border; and the depth where that is known."""
        f, start, depth = self.f, lo, -1
        for name, expected in near.rows:
            value = self.operand(name)
            depth = max(depth, value.depth)
            yes, no = (start, hi) if expected else (hi, start)
            start = f.pure(f"select i1 {value.text}, i64 {yes}, i64 {no}", depth)
        return start, depth

    def interior_blocks(self, near: Interior, lo: str, hi: str, depth: int) -> tuple[str, str]:
        """From where to where full blocks of lanes are interior; all is known at `depth`."""
        f = self.f

        def bounded(name: str, a: str, b: str) -> str:
            return f.pure(f.call("i64", f"llvm.{name}.i64", f"i64 {a}, i64 {b}", "i64, i64"), depth)

        first, last = lo, hi
        for start in near.starts:
            first = bounded("smax", first, f.size(start))
        for end in near.ends:
            last = bounded("smin", last, f.size(end))
        if near.starts:
            first = self.whole_blocks(lo, f.pure(f"add i64 {first}, {self.lanes - 1}", depth), depth)
        return first, bounded("smax", first, self.whole_blocks(lo, bounded("smax", lo, last), depth))

    def masked_turn(self, loop: For, axis: Axis, index: str, hi: str, names: list[str]) -> list[str]:
        f, counting = self.f, ", ".join(f"i64 {k}" for k in range(self.lanes))
        left = f.widen(Value(f.emit(f"sub i64 {hi}, {index}"), "int64", 0, f.depth), self.lanes)
        self.mask, self.mask_depth = f.emit(f"icmp slt <{self.lanes} x i64> <{counting}>, {left}", "mask"), f.depth
        results = self.turn(loop, axis, index, names)
        for k, acc in enumerate(loop.accs):
            kind = register_type(acc.dtype, self.lanes)
            results[k] = f.emit(f"select <{self.lanes} x i1> {self.mask}, {kind} {results[k]}, {kind} {names[k]}")
        self.mask, self.mask_depth = None, -1
        return results

    def turn(self, loop: For, axis: Axis, index: str, names: list[str]) -> list[str]:
        """One turn of the innermost loop: the states after it."""
        f, width = self.f, self.lanes if self.lane_axis else 0
        self.values[axis.name] = Value(index, "int64", 0, f.depth)
        carried = names[len(loop.accs) :]
        for carry, name in zip(loop.carries, carried, strict=True):
            self.values[carry.name] = Value(name, carry.dtype, width, f.depth)
        self.stmts(loop.body)
        results = [
            self.combine(a.op, a.dtype, name, self.states_value(a, width), width)
            for a, name in zip(loop.accs, names, strict=False)
        ]
        return results + [self.states_value(c, width) for c in loop.carries]

    def states_value(self, state: Acc | Carry, width: int) -> str:
        return self.wide(state.value) if width else self.operand(state.value).text

    def fold(self, acc: Acc, lanes: str) -> str:
        """Lane l with lane l + half, until one is left."""
        f, width = self.f, self.lanes
        while width > 1:
            kind, half = register_type(acc.dtype, width), width // 2
            low, high = (
                f.emit(
                    f"shufflevector {kind} {lanes}, {kind} poison, <{half} x i32> <"
                    + ", ".join(f"i32 {k + at}" for k in range(half))
                    + ">"
                )
                for at in (0, half)
            )
            lanes, width = self.combine(acc.op, acc.dtype, low, high, half), half
        return f.emit(f"extractelement {register_type(acc.dtype, 1)} {lanes}, i64 0", acc.name)


def _is_long(loop: For) -> bool:
    return sum(1 for _ in walk_stmts(loop.body)) > LONG


def _after(states: list[State], names: list[str]) -> list[State]:
    return [(kind, name) for (kind, _), name in zip(states, names, strict=True)]


def _spread(text: str, dtype: str, width: int) -> str:
    return f"splat ({register_type(dtype, 0)} {text})" if width else text
