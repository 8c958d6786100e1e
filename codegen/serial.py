"""Loops whose turns do single elements, one after the other, as one kernel: nothing is called in a turn, nobody meets,
and scalars stay in registers.

The loop stays what it is in the Program, to be read and explained; targets write `serialised(program)`. A turn may hold
kernels of one row, kernels whose rows keep an order, copies, and loops of such; and where there are loops inside, also
kernels over no more elements than those have turns by form, and kernels over a handful of elements anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from ..dsl.size import Dim, Size, product, same, symbol
from .lane_loops import lane_kernel
from .memory import touched
from .program import (
    Axis,
    Branch,
    Extent,
    For,
    Kernel,
    Library,
    Literal,
    Load,
    Loop,
    Offset,
    Operand,
    Program,
    Step,
    Stmt,
    Store,
)
from .registers import promoted
from .turns import ZERO, count_name, kernels_of, single_row, turns_of, words_of

UNKNOWN = symbol("unknown")
HANDFUL = 64             # elements that are not worth a call


def serialised(program: Program, lanes: bool = False) -> Program:
    """`program` with a kernel for every loop that can be one; with `lanes` also for those that take every lane of their
    arrays through its turns (codegen/lane_loops.py).
    """
    if not any(isinstance(s, (Loop, Branch)) for s in program.steps):
        return program
    return replace(program, steps=_Merger(program, lanes).steps(program.steps))


class _Merger:
    def __init__(self, program: Program, lanes: bool) -> None:
        self.program, self.lanes = program, lanes
        self.uses = Counter(name for step in program.steps for name in _mentions(step))
        self.uses.update(program.outputs)

    def steps(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(map(self.step, steps))

    def step(self, step: Step) -> Step:
        if isinstance(step, Branch):
            return replace(step, branches=tuple(map(self.steps, step.branches)))
        if not isinstance(step, Loop):
            return step
        stmts = _loop(step, self.program)
        if stmts is not None:
            return self.kernel(step, stmts)
        kernel = lane_kernel(step, self.program, self.outside(step)) if self.lanes else None
        return replace(step, steps=self.steps(step.steps)) if kernel is None else kernel

    def outside(self, loop: Loop) -> set[str]:
        """The buffers of `loop` that other steps touch too."""
        own = Counter(_mentions(loop))
        return {name for name, count in self.uses.items() if count > own[name]}

    def kernel(self, loop: Loop, stmts: list[Stmt]) -> Kernel:
        titles, fused = words_of(loop)
        body = promoted(stmts, self.program, self.outside(loop))
        return Kernel(loop.name, titles, Axis(f"{loop.name}_row", 1), 1, body, False,
                      chunks=kernels_of(loop)[0].chunks, serial=True, fuses=fused)


def _mentions(step: Step) -> Iterable[str]:
    """The buffers that steps touch, once for each step without steps inside, and for each loop's own."""
    if isinstance(step, Loop):
        yield from (b for b in (step.count, step.index, step.condition) if isinstance(b, str))
        yield from (b for pair in step.swaps for b in pair)
        for inner in step.test + step.steps:
            yield from _mentions(inner)
    elif isinstance(step, Branch):
        yield step.predicate
        for branch in step.branches:
            for inner in branch:
                yield from _mentions(inner)
    else:
        yield from touched(step)


def _loop(loop: Loop, program: Program) -> list[Stmt] | None:
    """The loop as statements; None where it cannot be."""
    if loop.count is None or loop.swaps or loop.progress or not kernels_of(loop):
        return None
    inner = [_loop(step, program) for step in loop.steps if isinstance(step, Loop)]
    turns = [x for step in loop.steps if isinstance(step, Loop) for x in _turns_inside(step)]
    body: list[Stmt] = []
    loops = iter(inner)
    for step in loop.steps:
        found = next(loops) if isinstance(step, Loop) else _statements(step, program, turns)
        if found is None:
            return None
        body += found
    stmts = turns_of(loop, body)
    if loop.index is None:
        return stmts
    if isinstance(loop.count, str):
        count: Operand = count_name(loop)
    else:
        count = Extent(loop.count) if isinstance(loop.count, Size) else Literal.of(loop.count, "int64")
    return [*stmts, Store(loop.index, ZERO, count)]


def _turns_inside(loop: Loop) -> list[Dim]:
    """How often the innermost turns of `loop` run, a number of turns that is not known by form being UNKNOWN."""
    own = UNKNOWN if isinstance(loop.count, str) or loop.count is None else loop.count
    inner = [n for step in loop.steps if isinstance(step, Loop) for n in _turns_inside(step)]
    return [own * n for n in inner] or [own]


def _statements(step: Step, program: Program, turns: list[Dim]) -> list[Stmt] | None:
    if isinstance(step, Library):
        return _copied(step, program, turns) if step.routine == "copy" else None
    if not isinstance(step, Kernel) or step.combine or step.accs:
        return None
    if same(step.rows.extent, 1) and not step.vector:
        return single_row(step)
    if same(step.rows.extent, 1) or step.serial or _few(product([step.rows.extent, step.work]), turns):
        return [*step.begin, For((step.rows,), step.body, vector=step.vector), *step.end]
    return None


def _few(elements: Dim, turns: list[Dim]) -> bool:
    """Whether there are no more elements than turns of some loop beside, or than a product of as many sizes; a handful
    is few anywhere.
    """
    if not isinstance(elements, Size):
        return elements <= HANDFUL or any(isinstance(n, Size) or n >= elements for n in turns)
    return any(_degree(n) >= _degree(elements) for n in turns)


def _degree(dim: Dim) -> int:
    if not isinstance(dim, Size):
        return 0
    return max((sum(power for _, power in powers) for powers, _ in dim.terms), default=0)


def _copied(step: Library, program: Program, turns: list[Dim]) -> list[Stmt] | None:
    (source, start), (target, place), count = step.operands[0], step.target, step.attr("count")
    name, dtype, index = f"{step.name}_value", program.buffers[target].dtype, f"{step.name}_at"
    if same(count, 1):  # type: ignore[arg-type]
        return [Load(name, dtype, source, Offset(start)), Store(target, Offset(place), name)]
    if not _few(count, turns):  # type: ignore[arg-type]
        return None
    here = ((index, 1),)
    body = (Load(name, dtype, source, Offset(start, here)), Store(target, Offset(place, here), name))
    return [For((Axis(index, count),), body, vector=True)]  # type: ignore[arg-type]
