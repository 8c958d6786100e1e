"""What a Program moves and computes, as formulas in its sizes.

Bytes: every kernel reads each buffer that it touches once and writes each result once (rows that are read again come
from cache). Flops: one for a floating operation, two for fma, and a fixed number for elementary functions.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dsl import size
from ..dsl.size import Dim
from .machine import MACHINE
from .memory import buffer_bytes
from .program import Branch, For, Kernel, Let, Library, Load, Loop, Program, Step, Stmt, Store, Update, walk_stmts

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
    read = {s.buffer for s in walk_stmts(kernel.body) if isinstance(s, (Load, Update))}
    written = {s.buffer for s in walk_stmts(kernel.body + kernel.end) if isinstance(s, (Store, Update))} | {
        c.target for c in kernel.combine
    }
    return Cost(
        _bytes(program, read),
        _bytes(program, written),
        _flops(kernel.body, kernel.rows.extent) + len(kernel.accs) * kernel.rows.extent,
    )


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
