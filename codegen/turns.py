"""A loop of steps as a loop of statements: what serial loops and loops over lanes are made of."""

from __future__ import annotations

from collections.abc import Sequence

from .program import Axis, For, Kernel, Let, Literal, Load, Loop, Offset, Stmt, Store, walk_steps

ZERO = Offset()


def kernels_of(loop: Loop) -> list[Kernel]:
    return [s for s in walk_steps(loop.steps) if isinstance(s, Kernel)]


def words_of(loop: Loop) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The title of `loop` as one kernel, and what it fuses."""
    inside = kernels_of(loop)
    titles = (f"{loop.name}:", *(f"  {line}" for k in inside for line in k.title))
    return titles, tuple(dict.fromkeys(["loop", *(f for k in inside for f in k.fuses)]))


def turns_of(loop: Loop, body: Sequence[Stmt]) -> list[Stmt]:
    """The turns of `loop`, which may read their number, after what their count takes."""
    turn = f"{loop.name}_turn"
    stmts = tuple(body) if loop.index is None else (Store(loop.index, ZERO, turn), *body)
    if isinstance(loop.count, str):
        count = count_name(loop)
        return [Load(count, "int64", loop.count, ZERO), For((Axis(turn, 1),), stmts, turns=count)]
    assert loop.count is not None, "a loop that is tested turn by turn has no count"
    return [For((Axis(turn, loop.count),), stmts)]


def count_name(loop: Loop) -> str:
    """The value that holds a count known at run time."""
    return f"{loop.name}_count"


def single_row(kernel: Kernel) -> list[Stmt]:
    """The statements of a kernel of one row."""
    row = Let(kernel.rows.name, "int64", "cast", (Literal.of(0, "int64"),))
    return [*kernel.begin, row, *kernel.body, *kernel.end]
