"""Loops whose turns do the same to every lane of their arrays, as one kernel: each lane runs through all turns with its
state in registers.

On CUDA a lane is a thread, and one launch stands for all turns. The CPU takes blocks of lanes through the turns instead
(codegen/llvm_lanes.py): eight lanes in registers wait for their own results, and took two to three times as long.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from ..dsl.size import Size, product, same
from .lanes import is_private
from .program import (
    Axis,
    For,
    Kernel,
    Library,
    Load,
    Loop,
    Offset,
    Program,
    Step,
    Stmt,
    Store,
    Update,
    walk_stmts,
)
from .registers import promoted
from .turns import ZERO, kernels_of, single_row, turns_of, words_of


def lane_kernel(loop: Loop, program: Program, outside: set[str]) -> Kernel | None:
    """`loop` as a kernel over its lanes; None where it cannot be one. `outside`: buffers that other steps touch."""
    wide = [k for k in kernels_of(loop) if not same(k.rows.extent, 1)]
    if not wide or not all(k.vector and same(k.rows.extent, wide[0].rows.extent) for k in wide):
        return None
    lane = Axis(f"{loop.name}_lane", wide[0].rows.extent)
    body = _turns(loop, program, lane)
    if body is None:
        return None
    rows = {lane.name, *(k.rows.name for k in wide)}
    touched = [s for s in walk_stmts(tuple(body)) if isinstance(s, (Load, Store, Update))]
    written = {s.buffer for s in touched if not isinstance(s, Load)}
    places = {b: [(s.offset, _rows_of(s.offset, rows)) for s in touched if s.buffer == b] for b in written}
    own = {b for b in written if is_private(places[b], lane.extent)}
    alone = {b for b in written - own if same(product(program.buffers[b].shape), 1)}
    if own | alone != written or alone & outside or any(isinstance(s, Update) for s in touched):
        return None
    cells = _Cells(program, own, rows)
    stmts = promoted([cells.stmt(s) for s in body], cells.program(), cells.of(outside), dict.fromkeys(rows, lane.name))
    titles, fused = words_of(loop)
    work = loop.count if isinstance(loop.count, (int, Size)) else 1
    return Kernel(loop.name, titles, lane, work, tuple(cells.back(s, lane.name) for s in stmts), True,
                  chunks=wide[0].chunks, fuses=fused)


# ---- statements -------------------------------------------------------------------------------------------------
def _turns(loop: Loop, program: Program, lane: Axis) -> list[Stmt] | None:
    """The turns of a loop for one lane."""
    if loop.count is None or loop.swaps or loop.progress:
        return None
    body: list[Stmt] = []
    for step in loop.steps:
        found = _turns(step, program, lane) if isinstance(step, Loop) else _of_lane(step, program, lane)
        if found is None:
            return None
        body += found
    return turns_of(loop, body)


def _of_lane(step: Step, program: Program, lane: Axis) -> list[Stmt] | None:
    if isinstance(step, Library):
        return _copied(step, program, lane)
    if not isinstance(step, Kernel) or step.combine or step.accs or step.serial or any(
            isinstance(s, For) for s in step.body):
        return None
    return [*step.begin, *step.body, *step.end] if step.vector else single_row(step)


def _copied(step: Library, program: Program, lane: Axis) -> list[Stmt] | None:
    if step.routine != "copy":
        return None
    (source, start), (target, place), count = step.operands[0], step.target, step.attr("count")
    name = f"{step.name}_value"
    here = ((lane.name, 1),) if same(count, lane.extent) else ()  # type: ignore[arg-type]
    if not here and not same(count, 1):  # type: ignore[arg-type]
        return None
    load = Load(name, program.buffers[target].dtype, source, Offset(start, here))
    return [load, Store(target, Offset(place, here), name)]


# ---- whose element is whose -------------------------------------------------------------------------------------
def _rows_of(offset: Offset, rows: set[str]) -> str:
    """The name of the row in an offset, or ''."""
    return next((n for n, _ in offset.terms if n in rows), "")


class _Cells:
    """Elements that belong to a lane, as scalars of their own names while they are put in registers."""

    def __init__(self, given: Program, own: set[str], rows: set[str]) -> None:
        self.given, self.own, self.rows = given, own, rows
        self.names: dict[tuple[str, str], str] = {}
        self.places: dict[str, tuple[str, Offset]] = {}

    def stmt(self, stmt: Stmt) -> Stmt:
        if isinstance(stmt, For):
            return replace(stmt, body=tuple(map(self.stmt, stmt.body)))
        if not isinstance(stmt, (Load, Store)) or stmt.buffer not in self.own or stmt.mask is not None:
            return stmt
        if any(n not in self.rows for n, _ in stmt.offset.terms):
            return stmt
        stride = next(c for n, c in stmt.offset.terms if n in self.rows)
        key = stmt.buffer, f"{stmt.offset.const} {stride}"
        if key not in self.names:
            self.names[key] = self._name(stmt.buffer)
            self.places[self.names[key]] = stmt.buffer, Offset(stmt.offset.const, (("", stride),))
        return replace(stmt, buffer=self.names[key], offset=ZERO)

    def _name(self, buffer: str) -> str:
        taken = {*self.given.buffers, *self.given.sizes, *self.names.values()}
        wishes = (f"{buffer}_lane{'' if k == 1 else k}" for k in itertools.count(1))
        return next(w for w in wishes if w not in taken)

    def program(self) -> Program:
        scalars = {name: replace(self.given.buffers[b], name=name, shape=()) for name, (b, _) in self.places.items()}
        return replace(self.given, buffers={**self.given.buffers, **scalars})

    def of(self, outside: set[str]) -> set[str]:
        """The scalars whose buffers are among `outside`."""
        return {name for name, (buffer, _) in self.places.items() if buffer in outside}

    def back(self, stmt: Stmt, lane: str) -> Stmt:
        if isinstance(stmt, For):
            return replace(stmt, body=tuple(self.back(s, lane) for s in stmt.body))
        if isinstance(stmt, (Load, Store)) and stmt.buffer in self.places:
            buffer, offset = self.places[stmt.buffer]
            return replace(stmt, buffer=buffer, offset=Offset(offset.const, ((lane, offset.terms[0][1]),)))
        return stmt

