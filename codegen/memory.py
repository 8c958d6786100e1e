"""Where temporaries live: one workspace, places reused when lives do not meet."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from ..dsl import size
from ..dsl.size import Dim
from .program import (
    Branch,
    Buffer,
    Combine,
    Kernel,
    Library,
    Load,
    Loop,
    Program,
    Step,
    Store,
    Update,
    walk_steps,
    walk_stmts,
)

ALIGNMENT = 64
PAGE = 4096              # addresses a multiple of it apart share a few places in the first cache
SKEW = 5 * ALIGNMENT     # put between arrays, so that a sweep over many of one size does not drive them out


def planned(program: Program) -> Program:
    """`program` with a place for every temporary that a step touches; the others are dropped."""
    lives = exchanged(program, lifetimes(program.steps))
    buffers = {n: b for n, b in program.buffers.items() if b.kind != "temp" or n in lives}
    slots: list[tuple[Dim, int]] = []                     # bytes of a slot, last step that uses it
    chosen: dict[str, int] = {}
    for name in sorted((n for n, b in buffers.items() if b.kind == "temp"), key=lambda n: lives[n]):
        first, last = lives[name]
        bytes_ = buffer_bytes(buffers[name])
        free = next((i for i, (b, end) in enumerate(slots) if end < first and size.same(b, bytes_)), None)
        if free is None:
            slots.append((bytes_, last))
            chosen[name] = len(slots) - 1
        else:
            slots[free] = (bytes_, last)
            chosen[name] = free
    starts: list[Dim] = [0]
    chunks = {k.chunks for k in program.kernels()}
    for bytes_, _ in slots:
        starts.append(starts[-1] + aligned(bytes_) + (SKEW if _is_long(bytes_, chunks) else 0))
    placed = {n: replace(b, place=starts[chosen[n]]) if n in chosen else b for n, b in buffers.items()}
    return replace(program, buffers=placed, workspace=starts[-1])


def _is_long(count: Dim, chunks: set[str]) -> bool:
    """Whether an array of `count` bytes may be a page or more; the number of chunks is small."""
    return count >= PAGE if isinstance(count, int) else not count.symbols() <= chunks


def residuals(program: Program) -> list[tuple[Loop, str]]:
    """The temporaries that loops fill, a row a turn, for their reverse, each with its loop: past states, and stacked
    values that a loop backwards reads.
    """
    loops = [s for s in walk_steps(program.steps) if isinstance(s, Loop)]
    read = set().union(*(touched(loop) for loop in loops if loop.backwards))
    return [(loop, name) for loop in loops for name, _ in loop.keeps
            if program.buffers[name].kind == "temp" and name in read]


def buffer_bytes(buffer: Buffer) -> Dim:
    return size.product(buffer.shape) * itemsize(buffer)


def itemsize(buffer: Buffer) -> int:
    return np.dtype(buffer.dtype).itemsize


def aligned(count: Dim, unit: int = 1) -> Dim:
    """`count` elements of `unit` bytes, and as many more as end them at an aligned place."""
    per = ALIGNMENT // unit
    return (count + per - 1) // per * per


def lifetimes(steps: tuple[Step, ...]) -> dict[str, tuple[int, int]]:
    """First and last step that touches each buffer, steps counted in the order of the text.

    What a loop touches lives through all of it, but for the temporaries of one turn: those that nothing else touches.
    """
    lives: dict[str, tuple[int, int]] = {}
    at = 0
    for step in steps:
        counts = _mentions(steps) if isinstance(step, Loop) and _has_turns_in_order(step) else None
        at = _extended(lives, step, at, counts)
    return lives


def _has_turns_in_order(loop: Loop) -> bool:
    """Whether no part of the loop can be in lanes, where a block of rows is turns ahead of another."""
    return any(isinstance(s, Loop) and s.swaps for s in walk_steps((loop,)))


def _extended(lives: dict[str, tuple[int, int]], step: Step, at: int, counts: Counter[str] | None) -> int:
    """Add the lives of what `step` touches; it begins at `at`. Returns where the next begins.

    `counts`: how many steps of the program touch each buffer, where turns may have temporaries of their own.
    """
    found: dict[str, tuple[int, int]] = {}
    end = at + 1
    if isinstance(step, Loop) and counts is not None:
        inner: dict[str, tuple[int, int]] = {}
        for part in step.steps:
            end = _extended(inner, part, end, counts)
        here = _mentions(step.steps)
        found = {name: life for name, life in inner.items() if here[name] == counts[name]}
    found |= {name: (at, end) for name in touched(step) if name not in found}
    for name, (first, last) in found.items():
        known = lives.get(name, (first, last))
        lives[name] = (min(first, known[0]), max(last, known[1]))
    return end + 1


def _mentions(steps: tuple[Step, ...]) -> Counter[str]:
    """How many steps touch each buffer, a loop also by what it is driven by."""
    found: Counter[str] = Counter()
    for step in walk_steps(steps):
        found.update(_driving(step) if isinstance(step, Loop) else touched(step))
    return found


def _driving(loop: Loop) -> set[str]:
    """The buffers that are the number of turns, the turn, or trade places."""
    named = {b for b in (loop.count, loop.index, loop.condition) if isinstance(b, str)}
    return named.union(*loop.swaps)


def exchanged(program: Program, lives: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Buffers that trade places live as long as either; with an output, to the end."""
    pairs = [pair for step in walk_steps(program.steps) if isinstance(step, Loop) for pair in step.swaps]
    end = max((last for _, last in lives.values()), default=0)
    for _ in pairs:
        for a, b in pairs:
            fixed = any(program.buffers[n].kind != "temp" for n in (a, b))
            both = (min(lives[a][0], lives[b][0]), end if fixed else max(lives[a][1], lives[b][1]))
            lives = {**lives, a: both, b: both}
    return lives


def touched(step: Step) -> set[str]:
    """The buffers that `step` reads or writes."""
    if isinstance(step, Kernel):
        stmts = walk_stmts(step.begin + step.body + step.end)
        return {s.buffer for s in stmts if isinstance(s, (Load, Store, Update))} | {
            b for c in step.combine for b in _pair(c)
        }
    if isinstance(step, Library):
        return {b for b, _ in step.operands + step.targets}
    if isinstance(step, Loop):
        return _driving(step).union(*(touched(s) for s in step.test + step.steps))
    assert isinstance(step, Branch)
    return {step.predicate}.union(*(touched(s) for branch in step.branches for s in branch))


def _pair(combine: Combine) -> tuple[str, str]:
    return combine.partial, combine.target
