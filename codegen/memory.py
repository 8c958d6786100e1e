"""Where temporaries live: one workspace, places reused when lives do not meet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..dsl import size
from ..dsl.size import Dim, Size
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
    for bytes_, _ in slots:
        starts.append(starts[-1] + _aligned(bytes_))
    placed = {n: replace(b, place=starts[chosen[n]]) if n in chosen else b for n, b in buffers.items()}
    return replace(program, buffers=placed, workspace=starts[-1])


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


def _aligned(count: Dim) -> Dim:
    if isinstance(count, Size):
        return size.floordiv(count + (ALIGNMENT - 1), ALIGNMENT) * ALIGNMENT
    return -(-count // ALIGNMENT) * ALIGNMENT


def lifetimes(steps: tuple[Step, ...]) -> dict[str, tuple[int, int]]:
    """First and last top-level step that touches each buffer. What a loop touches lives through all of it."""
    lives: dict[str, tuple[int, int]] = {}
    for at, step in enumerate(steps):
        for name in touched(step):
            first, _ = lives.get(name, (at, at))
            lives[name] = (first, at)
    return lives


def exchanged(program: Program, lives: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Buffers that trade places live as long as either; with an output, to the end."""
    pairs = [pair for step in walk_steps(program.steps) if isinstance(step, Loop) for pair in step.swaps]
    for _ in pairs:
        for a, b in pairs:
            fixed = any(program.buffers[n].kind != "temp" for n in (a, b))
            both = (min(lives[a][0], lives[b][0]), len(program.steps) if fixed else max(lives[a][1], lives[b][1]))
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
        named = {b for b in (step.count, step.index, step.condition) if isinstance(b, str)} | {
            b for pair in step.swaps for b in pair
        }
        return named.union(*(touched(s) for s in step.test + step.steps))
    assert isinstance(step, Branch)
    return {step.predicate}.union(*(touched(s) for branch in step.branches for s in branch))


def _pair(combine: Combine) -> tuple[str, str]:
    return combine.partial, combine.target
