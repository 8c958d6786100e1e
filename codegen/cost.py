"""What a Program moves and computes, as formulas in its sizes.

Bytes: every kernel reads each buffer that it touches once and writes each result once (rows that are read again come
from cache). Flops: one for a floating operation, two for fma, and a fixed number for elementary functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..dsl import size
from ..dsl.size import Dim
from .machine import MACHINE
from .memory import buffer_bytes, itemsize
from .program import (
    Branch,
    For,
    Kernel,
    Let,
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

ELEMENTARY = 20


@dataclass(frozen=True)
class Cost:
    """Bytes read and written, floating operations; dims are formulas in the program's sizes."""

    read: Dim = 0
    written: Dim = 0
    flops: Dim = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.read + other.read, self.written + other.written, self.flops + other.flops)

    @property
    def bytes(self) -> Dim:
        return self.read + self.written


def cost_of(program: Program, step: Step) -> Cost:
    """The cost of one execution of `step`; of a loop, times its count where that is a size."""
    if isinstance(step, Kernel):
        return _kernel(program, step)
    if isinstance(step, Library):
        return _library(program, step)
    if isinstance(step, Loop):
        inside = sum((cost_of(program, s) for s in step.test + step.steps), Cost())
        turns = step.count if not isinstance(step.count, str) and step.count is not None else 1
        return Cost(inside.read * turns, inside.written * turns, inside.flops * turns)
    assert isinstance(step, Branch)
    return max(
        (sum((cost_of(program, s) for s in branch), Cost()) for branch in step.branches),
        key=lambda c: repr(c.flops),
        default=Cost(),
    )


def _kernel(program: Program, kernel: Kernel) -> Cost:
    combined = sum((buffer_bytes(program.buffers[c.target]) for c in kernel.combine), 0)
    return Cost(
        _moved(program, kernel, kernel.body, (Load, Update)),
        _moved(program, kernel, kernel.body + kernel.end, (Store, Update)) + combined,
        _flops(kernel.begin, 1) + _flops(kernel.body, kernel.rows.extent) + len(kernel.accs) * kernel.rows.extent,
    )


def _moved(program: Program, kernel: Kernel, stmts: tuple[Stmt, ...], kinds: tuple[type, ...]) -> Dim:
    """Bytes of the buffers that statements of `kinds` touch: of one with a row for every turn of a loop that row, of
    another the whole.
    """
    turns = _turn_values(program, kernel)
    rows: dict[tuple[str, Offset], Dim] = {}
    whole: set[str] = set()
    for stmt, times in [*_repeated(kernel.begin, 1), *_repeated(stmts, kernel.rows.extent)]:
        if isinstance(stmt, kinds):
            at_turn = turns & {name for name, _ in stmt.offset.terms}              # type: ignore[attr-defined]
            if at_turn:
                rows[stmt.buffer, stmt.offset] = times                             # type: ignore[attr-defined]
            else:
                whole.add(stmt.buffer)                                             # type: ignore[attr-defined]
    parts = (n * itemsize(program.buffers[b]) for (b, _), n in rows.items() if b not in whole)
    return _bytes(program, whole) + sum(parts, 0)


def _turn_values(program: Program, kernel: Kernel) -> set[str]:
    """Names of values that follow from a scalar buffer, such as the number of a turn."""
    found: set[str] = set()
    for stmt in walk_stmts(kernel.begin + kernel.body):
        scalar = isinstance(stmt, Load) and not program.buffers[stmt.buffer].shape
        if scalar or isinstance(stmt, Let) and not found.isdisjoint(a for a in stmt.args if isinstance(a, str)):
            found.add(stmt.name)                                                   # type: ignore[union-attr]
    return found


def _repeated(stmts: tuple[Stmt, ...], times: Dim) -> Iterator[tuple[Stmt, Dim]]:
    """Every statement with how often it runs."""
    for stmt in stmts:
        yield stmt, times
        if isinstance(stmt, For):
            yield from _repeated(stmt.body, times * size.product(a.extent for a in stmt.axes))


def _bytes(program: Program, names: set[str]) -> Dim:
    total: Dim = 0
    for name in sorted(names):
        total = total + buffer_bytes(program.buffers[name])
    return total


def _flops(body: tuple[Stmt, ...], times: Dim) -> Dim:
    total: Dim = 0
    for stmt in body:
        if isinstance(stmt, For):
            inner = times * size.product(a.extent for a in stmt.axes)
            total = total + _flops(stmt.body, inner) + inner * len(stmt.accs)
        elif isinstance(stmt, Let) and stmt.dtype.startswith("float"):
            total = total + times * (2 if stmt.op == "fma" else 1 if stmt.op in MACHINE else ELEMENTARY)
    return total


def _library(program: Program, step: Library) -> Cost:
    read = _bytes(program, {b for b, _ in step.operands})
    written = _bytes(program, {b for b, _ in step.targets})
    if step.routine == "copy":
        return Cost(read, written)
    if step.routine != "gemm":
        return Cost(read, written, step.attr("flops"))  # type: ignore[arg-type]
    m, n, k, batch = (step.attr(name) for name in ("m", "n", "k", "batch"))
    return Cost(read, written, 2 * m * n * k * batch)  # type: ignore[operator]
