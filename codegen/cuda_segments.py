"""Which launches in a row one captured CUDA graph can hold.

A graph holds kernels and copies, and the turns of a short loop one after the other. It holds no other library step
(CuPy refuses cuBLAS while it captures) and nothing that the host decides by a value: those stand between graphs. A
longer loop is a graph of a block of its turns, launched again and again; its turn is counted on the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..dsl.size import evaluate
from .cuda_plan import Action, Launch, Repeat
from .program import Library, Loop

LEAST = 3  # launches from which a graph is worth its capture
MOST = 128  # launches up to which turns are written out in one graph


@dataclass(frozen=True, slots=True)
class Segment:
    """Actions in a row; `graph` where they are one."""

    actions: tuple[Action, ...]
    graph: bool


def segments(actions: Sequence[Action], sizes: Mapping[str, int]) -> Iterator[Segment]:
    """`actions` in order, cut where a graph has to end."""
    counted = [(action, launches_of(action, sizes)) for action in actions]
    for fits, run in groupby(counted, lambda pair: pair[1] is not None):
        pairs = list(run)
        yield Segment(tuple(a for a, _ in pairs), fits and sum(count or 0 for _, count in pairs) >= LEAST)


def launches_of(action: Action, sizes: Mapping[str, int]) -> int | None:
    """The launches that `action` adds to a graph, None where it has to stay outside."""
    if isinstance(action, Launch):
        return 1
    if isinstance(action, Library):
        return 1 if action.routine == "copy" else None
    if not isinstance(action, Repeat) or action.loop.count is None or isinstance(action.loop.count, str):
        return None
    turn, count = launches_of_turn(action, sizes), max(0, evaluate(action.loop.count, sizes))
    return None if turn is None or count * turn >= MOST else 1 + count * turn


def launches_of_turn(action: Repeat, sizes: Mapping[str, int]) -> int | None:
    """The launches of one turn, None where a graph cannot hold it."""
    if action.test or action.loop.progress:
        return None
    counts = [launches_of(a, sizes) for a in action.actions]
    return None if None in counts else sum(filter(None, counts)) + (action.loop.index is not None)


def blocks_of_turns(loop: Loop, turn: int, count: int) -> list[int]:
    """The turns of each graph of a loop of `count` turns with `turn` launches each: equal blocks, then the rest.

    A block with buffers that trade places is even, so that each finds them where the last one did.
    """
    if count * turn < LEAST:
        return []
    pair = 2 if loop.swaps else 1
    block = max(1, MOST // max(1, turn * pair)) * pair
    return [block] * (count // block) + [count % block] * (count % block > 0)


def described(actions: Sequence[Action], sizes: Mapping[str, int]) -> list[str]:
    """A line for each graph: what it holds. Blocks of a loop whose count is known on the device only say so."""
    lines = []
    for segment in segments(actions, sizes):
        if segment.graph:
            lines.append("one CUDA graph: " + ", ".join(map(_name, segment.actions)))
            continue
        for action in segment.actions:
            if isinstance(action, Repeat):
                lines += _described_loop(action, sizes)
    return lines


def _described_loop(action: Repeat, sizes: Mapping[str, int]) -> list[str]:
    loop, turn = action.loop, launches_of_turn(action, sizes)
    if turn is None or loop.count is None:
        return [f"{line} (each turn of {loop.name})" for line in described(action.actions, sizes)]
    inside = ", ".join(map(_name, action.actions))
    if isinstance(loop.count, str):
        return [f"CUDA graphs of blocks of turns of {loop.name}: {inside}"]
    blocks = blocks_of_turns(loop, turn, evaluate(loop.count, sizes))
    if not blocks:
        return []
    same = blocks.count(blocks[0])
    rest = f", and {blocks[-1]} turns" if blocks[-1] != blocks[0] else ""
    return [f"one CUDA graph of {blocks[0]} turns of {loop.name}, launched {same} times{rest}: {inside}"]


def _name(action: Action) -> str:
    return action.loop.name if isinstance(action, Repeat) else action.name  # type: ignore[union-attr]
