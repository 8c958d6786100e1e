"""Scalars of one kernel in registers: what a buffer of one element hands from statement to statement, and from turn to
turn, becomes a value and a carry. What is computed again from the same values is computed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..dsl.size import product, same
from .program import (
    Carry,
    Check,
    Extent,
    For,
    Let,
    Literal,
    Load,
    Offset,
    Operand,
    Program,
    Stmt,
    Store,
    Update,
    walk_stmts,
)

Values = dict[str, Operand]


def promoted(
    stmts: Sequence[Stmt], program: Program, outside: set[str], renamed: Mapping[str, str] | None = None
) -> tuple[Stmt, ...]:
    """`stmts` with scalars in registers; those of the buffers `outside` are stored at the end. `renamed`: other names
    for indices.
    """
    registers = _Registers(stmts, program, outside)
    registers.values.update(renamed or {})
    return tuple(registers.write())


class _Registers:
    def __init__(self, stmts: Sequence[Stmt], program: Program, outside: set[str]) -> None:
        self.stmts, self.program, self.outside = stmts, program, outside
        every = list(walk_stmts(tuple(stmts)))
        self.written = {s.buffer for s in every if isinstance(s, (Store, Update))}
        self.scalars = _scalars(stmts, program)
        self.loads = Counter(s.buffer for s in every if isinstance(s, Load))
        self.taken = {*program.buffers, *program.sizes, *_names(every)}
        self.values: Values = {}                                  # of names that are no longer defined
        self.known: list[dict[tuple, str]] = []                   # what has been computed in each open loop

    def write(self) -> list[Stmt]:
        held: Values = {}
        found = self.block(self.stmts, held)
        dirty = {s.buffer for s in walk_stmts(tuple(self.stmts)) if isinstance(s, Store)} & self.scalars & self.outside
        return [*found, *(Store(b, Offset(), held[b]) for b in sorted(dirty) if b in held)]

    # ---- statements ---------------------------------------------------------------------------------------------
    def block(self, stmts: Iterable[Stmt], held: Values) -> list[Stmt]:
        """`stmts`, where the scalars have the values `held`; they have others after it."""
        self.known.append({})
        found: list[Stmt] = []
        for stmt in stmts:
            if isinstance(stmt, For):
                found += self.loop(stmt, held)
            elif isinstance(stmt, Load) and stmt.buffer in self.scalars:
                if stmt.buffer in held:
                    self.values[stmt.name] = held[stmt.buffer]
                else:
                    held[stmt.buffer] = stmt.name
                    found.append(stmt)
            elif isinstance(stmt, Store) and stmt.buffer in self.scalars:
                held[stmt.buffer] = self.operand(stmt.value)
            elif isinstance(stmt, Let) and stmt.op == "cast" and isinstance(stmt.args[0], Literal):
                self.values[stmt.name] = Literal.of(stmt.args[0].value, stmt.dtype)
            else:
                found += self.once(self.renamed(stmt))
        self.known.pop()
        return found

    def once(self, stmt: Stmt) -> list[Stmt]:
        """`stmt`, unless the same has been computed where it can be used."""
        if isinstance(stmt, Let):
            key: tuple = (stmt.op, stmt.dtype, stmt.args)
        elif isinstance(stmt, Load) and stmt.buffer not in self.written:
            key = ("load", stmt.buffer, repr(stmt.offset), stmt.mask, stmt.other)
        elif isinstance(stmt, Check):
            key = ("check", stmt.ok, stmt.code)
        else:
            return [stmt]
        present = next((scope[key] for scope in self.known if key in scope), None)
        if present is not None:
            if not isinstance(stmt, Check):
                self.values[stmt.name] = present
            return []
        self.known[-1][key] = "" if isinstance(stmt, Check) else stmt.name
        return [stmt]

    def loop(self, loop: For, held: Values) -> list[Stmt]:
        for axis in loop.axes:
            self.values.pop(axis.name, None)                      # loops side by side may share the name of their index
        stored = {s.buffer for s in walk_stmts(loop.body) if isinstance(s, Store)} & self.scalars
        inner = Counter(s.buffer for s in walk_stmts(loop.body) if isinstance(s, Load))
        front: list[Stmt] = []
        carried: dict[str, Carry] = {}
        for buffer in sorted((inner.keys() & self.scalars) - stored):
            self.fetch(buffer, held, front)
        inside = dict(held)
        for buffer in sorted(stored):
            later = buffer in self.outside or self.loads[buffer] > inner[buffer]
            if not later and not _reads_first(loop.body, buffer):
                inside.pop(buffer, None)
                held.pop(buffer, None)
                continue
            self.fetch(buffer, held, front)
            dtype = self.program.buffers[buffer].dtype
            carry = Carry(self.fresh(buffer), self.fresh(buffer), dtype, held[buffer], held[buffer])
            carried[buffer], inside[buffer] = carry, carry.name
        renamed = replace(loop, turns=None if loop.turns is None else self.operand(loop.turns),
                          carries=tuple(replace(c, init=self.operand(c.init)) for c in loop.carries))
        body = self.block(loop.body, inside)
        own = tuple(replace(c, value=self.operand(c.value)) for c in renamed.carries)
        accs = tuple(replace(a, value=self.operand(a.value)) for a in loop.accs)
        for buffer, carry in carried.items():
            carried[buffer] = replace(carry, value=inside[buffer])
            held[buffer] = carry.result
        return [*front, replace(renamed, body=tuple(body), accs=accs, carries=(*own, *carried.values()))]

    def fetch(self, buffer: str, held: Values, front: list[Stmt]) -> None:
        """Load a scalar before a loop, where its value is not known."""
        if buffer not in held:
            held[buffer] = name = self.fresh(buffer)
            front.append(Load(name, self.program.buffers[buffer].dtype, buffer, Offset()))

    # ---- names --------------------------------------------------------------------------------------------------
    def fresh(self, buffer: str) -> str:
        number = 1
        while (name := f"{buffer}_{number}") in self.taken:
            number += 1
        self.taken.add(name)
        return name

    def operand(self, operand: Operand) -> Operand:
        return self.values.get(operand, operand) if isinstance(operand, str) else operand

    def name(self, name: str) -> str:
        found = self.operand(name)
        assert isinstance(found, str), f"{name} is {found}, where a name is needed"
        return found

    def offset(self, offset: Offset) -> Offset:
        total = Offset(offset.const)
        for name, coefficient in offset.terms:
            value = self.operand(name)
            if isinstance(value, str):
                total = total + Offset(0, ((value, coefficient),))
            else:
                number = value.size if isinstance(value, Extent) else int(value.value)
                total = total + Offset(number * coefficient)
        return total

    def renamed(self, stmt: Stmt) -> Stmt:
        if isinstance(stmt, Let):
            return replace(stmt, args=tuple(map(self.operand, stmt.args)))
        if isinstance(stmt, Check):
            return replace(stmt, ok=self.name(stmt.ok))
        assert isinstance(stmt, (Load, Store, Update))
        mask = None if stmt.mask is None else self.name(stmt.mask)
        if isinstance(stmt, Load):
            other = None if stmt.other is None else self.operand(stmt.other)
            return replace(stmt, offset=self.offset(stmt.offset), mask=mask, other=other)
        return replace(stmt, offset=self.offset(stmt.offset), mask=mask, value=self.operand(stmt.value))


def _scalars(stmts: Sequence[Stmt], program: Program) -> set[str]:
    """Buffers of one number that are read and written as a whole, outside of vector loops where they are written."""
    found = {b.name for b in program.buffers.values()
             if b.kind in ("temp", "output") and b.dtype != "bool" and same(product(b.shape), 1)}
    for stmt in walk_stmts(tuple(stmts)):
        if isinstance(stmt, Update) or isinstance(stmt, (Load, Store)) and (stmt.mask or not _is_start(stmt.offset)):
            found.discard(stmt.buffer)
        if isinstance(stmt, For) and stmt.vector:
            found -= {s.buffer for s in walk_stmts(stmt.body) if isinstance(s, Store)}
    return found


def _is_start(offset: Offset) -> bool:
    return not offset.terms and same(offset.const, 0)


def _reads_first(stmts: Iterable[Stmt], buffer: str) -> bool:
    """Whether `buffer` may be read before it is written; a loop may have no turn."""
    for stmt in stmts:
        if isinstance(stmt, For):
            if _reads_first(stmt.body, buffer):
                return True
        elif isinstance(stmt, Load) and stmt.buffer == buffer:
            return True
        elif isinstance(stmt, Store) and stmt.buffer == buffer:
            return False
    return False


def _names(stmts: Iterable[Stmt]) -> set[str]:
    found: set[str] = set()
    for stmt in stmts:
        if isinstance(stmt, (Let, Load)):
            found.add(stmt.name)
        elif isinstance(stmt, For):
            found.update(a.name for a in (*stmt.axes, *stmt.accs))
            found.update(n for c in stmt.carries for n in (c.name, c.result))
    return found
