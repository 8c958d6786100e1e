"""Loops in lanes: every row of their kernels goes its own way through all turns, so a block of rows may take all turns
before the next block begins. Its states stay in the cache, and threads meet once for the whole loop.
"""

from __future__ import annotations

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
    if not all(_in_own_row(step, rows, written - scalars) for step in steps if isinstance(step, Kernel)):
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


def _in_own_row(kernel: Kernel, rows: Dim, arrays: set[str]) -> bool:
    """Whether `kernel` touches, of what the turns write, nothing but its own row; one element may read none of it."""
    single = is_scalar(kernel)
    stmts = walk_stmts(kernel.begin + kernel.body + kernel.end)
    shared = (s.offset for s in stmts if isinstance(s, (Load, Store, Update)) and s.buffer in arrays)
    return all(not single and _own_row(offset, kernel.rows.name, rows) for offset in shared)


def _own_row(offset: Offset, row: str, rows: Dim) -> bool:
    others = [c for name, c in offset.terms if name != row]
    return same(offset.coefficient(row), 1) and all(_is_multiple(c, rows) for c in [*others, offset.const])


def _is_multiple(dim: Dim, of: Dim) -> bool:
    if not isinstance(dim, Size) and dim == 0:
        return True
    return same(floordiv(dim, of) * of, dim)
