"""Rows in strips: what is known row by row is computed in lanes, for as many rows at a time as there are lanes.

The loops inside the rows stay what they are, one row after the other. What they need of a row's values, and what they
give, passes through vectors on the stack. An exponential or a division of each row then costs an eighth; the bits
stay, because every row's own order does. Rows left over are computed one by one.
"""

from __future__ import annotations

from itertools import groupby

from .llvm_function import State, Value, literal_text, memory_type, register_type
from .llvm_memory import Memory
from .loops import defined, operands
from .machine import MACHINE
from .program import Axis, For, Kernel, Let, Load, Stmt, Store, Update, walk_stmts

DEAR = {"divide", "sqrt"}                        # machine operations that take as long as the start of a strip
Segment = tuple[Stmt, ...]


def strips_of(kernel: Kernel) -> list[Segment]:
    """The statements of a row, those known in the row alone and those in loops by turns; none where strips do not pay
    or the rows of one would get in each other's way.
    """
    known = [s for s in kernel.body if isinstance(s, Let)]
    dear = sum(2 if s.op not in MACHINE else s.op in DEAR for s in known if s.dtype.startswith("float"))
    if kernel.vector or kernel.serial or dear < 2 or not any(isinstance(s, For) for s in kernel.body):
        return []
    segments = [tuple(group) for _, group in groupby(kernel.body, lambda s: isinstance(s, For))]
    written = [{s.buffer for s in walk_stmts(segment) if isinstance(s, (Store, Update))} for segment in segments]
    read = {s.buffer for s in walk_stmts(kernel.body) if isinstance(s, Load)}
    apart = sum(map(len, written)) == len(set().union(*written)) and not read & set().union(*written)
    return segments if apart else []


def _is_loops(segment: Segment) -> bool:
    return isinstance(segment[0], For)


def _mentioned(segment: Segment) -> set[str]:
    found = {o for s in walk_stmts(segment) for o in operands(s) if isinstance(o, str)}
    return found | {n for s in walk_stmts(segment) if isinstance(s, (Load, Store, Update)) for n, _ in s.offset.terms}


class Strips(Memory):
    """The part of a kernel's writer that runs rows in strips. `slots`: what the function has on its stack."""

    slots: list[str]
    stack: dict[str, str]
    lets: dict[str, Let]

    def stmts(self, stmts: tuple[Stmt, ...]) -> None:
        raise NotImplementedError

    def turn(self, loop: For, axis: Axis, index: str, names: list[str]) -> list[str]:
        raise NotImplementedError

    def write_strips(self, segments: list[Segment]) -> None:
        f, kernel, width = self.f, self.kernel, self.lanes
        span = f.pure("sub i64 %hi, %lo", -1)
        middle = f.pure(f"add i64 %lo, {f.pure(f'and i64 {span}, {-width}', -1)}", -1)
        states: list[State] = [(register_type(a.dtype, 0), literal_text(a.identity)) for a in kernel.accs]
        names = f.loop("%lo", middle, width, states, lambda row, names: self.strip(segments, row, names))
        states = [(kind, name) for (kind, _), name in zip(states, names, strict=True)]
        loop = For((kernel.rows,), kernel.body, kernel.accs)
        names = f.loop(middle, "%hi", 1, states, lambda row, names: self.turn(loop, kernel.rows, row, names))
        for acc, name in zip(kernel.accs, names, strict=True):
            self.values[acc.name] = Value(name, acc.dtype, 0, f.depth)

    def strip(self, segments: list[Segment], row: str, names: list[str]) -> list[str]:
        """The rows from `row` on: the accumulators after them."""
        self.stack = {}
        for k, segment in enumerate(segments):
            self.values[self.kernel.rows.name] = Value(row, "int64", 0, self.f.depth)
            if not _is_loops(segment):
                self.lane_axis = self.kernel.rows.name
                self.stmts(segment)
                self.lane_axis = None
                continue
            later = _mentioned(tuple(s for rest in segments[k + 1:] for s in rest))
            later |= {str(a.value) for a in self.kernel.accs}
            self.rows_of_strip(segment, row, {n for s in segment for n in defined(s)} & later)
        return [self.accumulated(k, name) for k, name in enumerate(names)]

    def rows_of_strip(self, segment: Segment, row: str, given: set[str]) -> None:
        """Loops of one row after the other, which leave the values `given`."""
        f, values = self.f, self.values
        wide = {n: values[n] for n in sorted(self.asked_for(segment)) if n in values and values[n].width}
        for name, value in wide.items():
            self.push(name, value)

        def turn(lane: str, _: list[str]) -> list[str]:
            values[self.kernel.rows.name] = Value(f.emit(f"add i64 {row}, {lane}"), "int64", 0, f.depth)
            for name, value in wide.items():
                values[name] = self.popped(name, value.dtype, lane)
            self.stmts(segment)
            for name in sorted(given):
                self.put(name, values[name], lane)
            return []

        f.loop("0", str(self.lanes), 1, [], turn)
        for name, value in wide.items():
            values[name] = value
        for name in given:
            values[name] = self.popped(name, values[name].dtype, None)

    def asked_for(self, segment: Segment) -> set[str]:
        """What the loops of a row read, and the conditions that its masks are made of: blocks at borders ask for those.
        """
        found = _mentioned(segment)
        waiting = [n for n in found if n in self.lets]
        while waiting:
            let = self.lets[waiting.pop()]
            if let.dtype == "bool":
                parts = {a for a in let.args if isinstance(a, str) and a in self.lets and self.lets[a].dtype == "bool"}
                waiting += sorted(parts - found)
                found |= parts
        return found

    def accumulated(self, number: int, name: str) -> str:
        """An accumulator after the rows of a strip, in their order."""
        acc = self.kernel.accs[number]
        value = self.operand(acc.value)
        for lane in range(self.lanes):
            text = value.text
            if value.width:
                text = self.f.emit(f"extractelement {register_type(value.dtype, value.width)} {text}, i64 {lane}")
            name = self.combine(acc.op, acc.dtype, name, text, 0)
        return name

    # ---- the stack ----------------------------------------------------------------------------------------------
    def slot(self, name: str, dtype: str) -> str:
        if name not in self.stack:
            self.stack[name] = f"%strip.{len(self.stack)}"
            self.slots.append(f"{self.stack[name]} = alloca <{self.lanes} x {memory_type(dtype)}>, align 64")
        return self.stack[name]

    def push(self, name: str, value: Value) -> None:
        if name not in self.stack:
            text = self._to_memory(value.text, value.dtype, value.width)
            kind = f"<{self.lanes} x {memory_type(value.dtype)}>"
            self.f.line(f"store {kind} {text}, ptr {self.slot(name, value.dtype)}, align 64")

    def put(self, name: str, value: Value, lane: str) -> None:
        kind, text = memory_type(value.dtype), self._to_memory(value.text, value.dtype, 0)
        place = self.f.emit(f"getelementptr {kind}, ptr {self.slot(name, value.dtype)}, i64 {lane}")
        self.f.line(f"store {kind} {text}, ptr {place}")

    def popped(self, name: str, dtype: str, lane: str | None) -> Value:
        """A value from the stack: of one row, or of all."""
        f, kind, width, slot = self.f, memory_type(dtype), 0, self.stack[name]
        if lane is None:
            kind, width = f"<{self.lanes} x {kind}>", self.lanes
        else:
            slot = f.emit(f"getelementptr {kind}, ptr {slot}, i64 {lane}")
        text = f.emit(f"load {kind}, ptr {slot}")
        return Value(self._to_register(text, dtype, width, f.depth), dtype, width, f.depth)
