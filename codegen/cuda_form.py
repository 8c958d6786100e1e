"""Kernels in the form that suits a grid of threads; what they compute stays the same."""

from __future__ import annotations

from dataclasses import replace

from ..dsl.size import Dim, Size
from .cuda_scan import in_lanes
from .program import Check, For, Kernel, Let, Literal, Load, Stmt, Store, Update, walk_stmts


def suited(kernel: Kernel) -> Kernel:
    """`kernel` with rows that occupy the device, where its form allows it.

    Rows without a vector loop inside, and without an order to keep, are spread over threads. A single row that is one
    vector loop becomes a row for each turn of that loop, so that it takes more than one block. A running sum along
    neighbours is spread over the threads of a block: a vector loop with a carry.
    """
    loop = _only_loop(kernel)
    if loop is not None:
        row = Let(kernel.rows.name, "int64", "cast", (Literal.of(0, "int64"),))
        return replace(
            kernel, rows=loop.axes[0], body=(row, *kernel.body[:-1], *loop.body), work=1, vector=True, serial=False
        )
    kernel = in_lanes(kernel)
    stmts = list(walk_stmts(kernel.body))
    alone = not kernel.vector and not any(isinstance(s, For) and s.vector for s in stmts)
    if kernel.serial:
        looped = any(isinstance(s, For) for s in stmts) and not kernel.accs
        return replace(kernel, vector=True) if alone and looped else kernel
    return replace(kernel, vector=True) if alone and not any(isinstance(s, Update) for s in stmts) else kernel


def _only_loop(kernel: Kernel) -> For | None:
    """The vector loop that a single row is, after values that it does not write."""
    *before, last = kernel.body or (None,)
    if not _is_one(kernel.rows.extent) or kernel.vector or kernel.accs or kernel.begin or kernel.end or kernel.combine:
        return None
    if not isinstance(last, For) or not last.vector or len(last.axes) > 1 or last.accs:
        return None
    written = {s.buffer for s in walk_stmts(last.body) if isinstance(s, (Store, Update))}
    return last if all(_is_value(s, written) for s in before) and not collides(last) else None


def _is_one(dim: Dim) -> bool:
    return not isinstance(dim, Size) and dim == 1


def _is_value(stmt: Stmt | None, written: set[str]) -> bool:
    return isinstance(stmt, (Let, Check)) or isinstance(stmt, Load) and stmt.buffer not in written


def collides(loop: For) -> bool:
    """Whether turns of `loop` may write one address: its axis is not in the offset, or with a value of the turn."""
    stmts = list(walk_stmts(loop.body))
    values = {s.name for s in stmts if isinstance(s, (Let, Load))}
    writes = [s.offset for s in stmts if isinstance(s, (Store, Update))]
    axis = loop.axes[-1].name
    return any(axis not in (names := {n for n, _ in offset.terms}) or names & values for offset in writes)


def ordered_write(kernel: Kernel) -> Store | Update | None:
    """The one write of a kernel that does nothing but write places of its own choice, in the order of its rows."""
    *before, last = kernel.body or (None,)
    if not kernel.serial or kernel.accs or not isinstance(last, (Store, Update)):
        return None
    quiet = all(isinstance(s, (Let, Load, Check)) and getattr(s, "buffer", None) != last.buffer for s in before)
    return last if quiet else None
