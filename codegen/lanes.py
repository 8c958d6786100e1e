"""Loops in lanes: every row of their kernels goes its own way through all turns, so a block of rows may take all turns
before the next block begins. Its states stay in the cache, and threads meet once for the whole loop.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..dsl.size import Dim, Size, floordiv, same
from .memory import touched
from .program import Branch, Kernel, Library, Load, Loop, Offset, Program, Step, Store, Update, walk_steps, walk_stmts


def lanes_of(program: Program, loop: Loop) -> Dim | str:
    """The number of rows of a loop in lanes, or why it is none."""
    if not any(s is loop for s in program.steps):
        return "inside of another"
    steps = [loop, *walk_steps(loop.steps)]
    refused = next(filter(None, map(_refused, steps)), None)
    if refused:
        return refused
    rows = _common_rows(steps)
    if rows is None:
        return "its steps do not have the same rows"
    written = set().union(*map(_written, steps))
    scalars = private_scalars(program, loop)
    outside = set().union(*(touched(s) for s in program.steps if s is not loop))
    if any(program.buffers[b].kind != "temp" for b in scalars) or scalars & outside:
        return "a number of a turn is used after it"
    if any(not program.buffers[b].shape and b not in scalars for b in written):
        return "a number of a turn is used after it"
    if not _in_own_rows(steps, rows, written - scalars):
        return "a row reads or writes another"
    return rows


def private_scalars(program: Program, loop: Loop) -> set[str]:
    """The scalars that the turns of `loop` compute."""
    written = set().union(*map(_written, [loop, *walk_steps(loop.steps)]))
    return {b for b in written if not program.buffers[b].shape}


def is_scalar(step: Kernel | Library) -> bool:
    """Whether a step computes one element."""
    extent = step.rows.extent if isinstance(step, Kernel) else step.attr("count")
    return same(extent, 1)  # type: ignore[arg-type]


def _refused(step: Step) -> str | None:
    if isinstance(step, Loop):
        if step.condition is not None:
            return "its turns are tested one by one"
        if step.progress:
            return "its turns are shown"
        return "states trade places" if step.swaps else None
    if isinstance(step, Branch):
        return "a turn branches"
    if isinstance(step, Library):
        return None if step.routine == "copy" else f"a turn calls {step.routine}"
    if step.combine:
        return "a turn folds over the rows"
    return "a turn scatters" if step.serial else None


def _common_rows(steps: list[Step]) -> Dim | None:
    """The rows that all steps have, but for those of one element."""
    found: list[Dim] = []
    for step in steps:
        if isinstance(step, (Kernel, Library)) and not is_scalar(step):
            found.append(step.rows.extent if isinstance(step, Kernel) else step.attr("count"))  # type: ignore[arg-type]
    return found[0] if found and all(same(found[0], f) for f in found) else None


def _written(step: Step) -> set[str]:
    if isinstance(step, Kernel):
        stmts = walk_stmts(step.begin + step.body + step.end)
        return {s.buffer for s in stmts if isinstance(s, (Store, Update))}
    if isinstance(step, Library):
        return {b for b, _ in step.targets}
    return {step.index} if isinstance(step, Loop) and step.index else set()


def _in_own_rows(steps: list[Step], rows: Dim, arrays: set[str]) -> bool:
    """Whether the kernels touch, of what the turns write, nothing but their own rows; one element may read none."""
    places: dict[str, list[tuple[Offset, str]]] = {}
    for kernel in (s for s in steps if isinstance(s, Kernel)):
        row = "" if is_scalar(kernel) else kernel.rows.name
        for stmt in walk_stmts(kernel.begin + kernel.body + kernel.end):
            if isinstance(stmt, (Load, Store, Update)) and stmt.buffer in arrays:
                places.setdefault(stmt.buffer, []).append((stmt.offset, row))
    return all(is_private(found, rows) for found in places.values())


def is_private(places: Sequence[tuple[Offset, str]], rows: Dim) -> bool:
    """Whether every row touches elements of its own: `places` in one buffer, each with the name of the row there. Rows
    are the last axis, or have a few fixed elements each.
    """
    strides = {offset.coefficient(row) for offset, row in places}
    others = [c for offset, row in places for name, c in offset.terms if name != row]
    consts = [offset.const for offset, _ in places]
    if len(strides) != 1 or isinstance(stride := strides.pop(), Size) or stride < 1:
        return False
    if stride == 1:
        return all(_is_multiple(c, rows) for c in [*others, *consts])
    return not others and all(isinstance(c, int) and 0 <= c < stride for c in consts)


def _is_multiple(dim: Dim, of: Dim) -> bool:
    if not isinstance(dim, Size) and dim == 0:
        return True
    return same(floordiv(dim, of) * of, dim)
