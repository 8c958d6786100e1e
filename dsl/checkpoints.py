"""What the reverse derivative of a loop keeps: all states, or those from which it runs again.

    all          every state
    none         no state: each is computed again from the start
    every K      those at the starts of segments of K turns
    sqrt         segments of about sqrt(turns) turns
    revolve      segments of segments: three levels, so that a level holds the cube root of the turns
    auto BYTES   the fewest levels whose states fit; one more where turns are light and all states pass the cache

A loop whose number of turns is known only when it runs is cut into a fixed number of segments, twice (`segmented`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from . import size as sizes
from .errors import PullbackError
from .loop import About, Body, Loop, repeat, tiled
from .node import Expr, make, toposort
from .ops import ROWS
from .primitives import elementwise
from .size import Dim, Size, active_guards
from .surface import size_value
from .undo import chain_of, is_small

DEFAULT = 128 << 20        # bytes of states beyond which to run again is as cheap as to read them from memory
CACHE = 24 << 20           # bytes of states beyond which they leave the cache before the reverse reads them
LIGHT = 24                 # operations on an element of the state that take as long as writing and reading it in memory
_SIMPLE = {"add", "subtract", "multiply", "negative", "square", "abs", "where", "minimum", "maximum"}
_UNITS = {"": 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_LEVELS = {"sqrt": 2, "revolve": 3}


def strategy(checkpoint: Any, budget: Any = None) -> str:
    """The user's `checkpoint` and `budget` as one word, 'all', 'none', 'every K', 'sqrt', 'revolve' or 'auto BYTES'."""
    if budget is not None and checkpoint != "auto":
        raise PullbackError(f"budget= goes with checkpoint='auto', not {checkpoint!r}: leave one of them out")
    if isinstance(checkpoint, (int, np.integer)) and not isinstance(checkpoint, bool) and checkpoint > 0:
        return f"every {int(checkpoint)}"
    if checkpoint == "auto":
        return f"auto {DEFAULT if budget is None else _bytes(budget)}"
    if checkpoint in ("all", "none", "sqrt", "revolve"):
        return str(checkpoint)
    raise PullbackError(
        f"checkpoint is 'all', 'none', 'sqrt', 'revolve', 'auto' or a positive int (every k-th state), not "
        f"{checkpoint!r}"
    )


def _bytes(budget: Any) -> int:
    if isinstance(budget, (int, np.integer)) and budget > 0:
        return int(budget)
    found = (
        re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B)?\s*", budget, re.IGNORECASE) if isinstance(budget, str) else None
    )
    if found is None:
        raise PullbackError(f"a budget is a number of bytes such as '64MB' or '2GB', not {budget!r}")
    return int(float(found[1]) * _UNITS[(found[2] or "").upper()])


def state_bytes(states: Sequence[Expr]) -> Dim:
    """The bytes of one set of float states."""
    total: Dim = 0
    for x in states:
        total = total + (sizes.product(x.shape) * x.dtype.itemsize if x.dtype.kind in "fc" else 0)
    return total


def tiles(word: str, count: Dim, each: Dim, light: bool = False) -> list[int]:
    """The lengths of segments, outermost first, that `word` asks for in a loop of `count` turns and `each` bytes a
    state; `light`: whether a turn is computed sooner than its states come from memory.
    """
    name, *number = word.split()
    if name in ("all", "none"):
        return []
    if name == "every":
        return [int(number[0])]
    turns = _value(count)
    if turns is None or turns < 4:
        return []
    if name in _LEVELS:
        return _even(turns, _LEVELS[name])
    budget = int(number[0])
    segments = _even(turns, 2)
    if light and not _fits(count, [], each, CACHE) and _fits(count, segments, each, min(budget, CACHE)):
        return segments
    for levels in range(1, 8):
        found = _even(turns, levels)
        if _fits(count, found, each, budget):
            return found
    return _even(turns, 8)


def _even(turns: int, levels: int) -> list[int]:
    """`levels` - 1 lengths of segments, so that a level holds about as many states as another."""
    radix = max(2, math.ceil(turns ** (1 / levels) - 1e-9))
    return [radix**k for k in range(levels - 1, 0, -1) if radix**k < turns]


def _is_light(body: Body) -> bool:
    """Whether a turn takes few operations for an element of its states."""
    total = 0
    for node in toposort(body.results):
        if node.op in ("loop", "branch", "library", "contract", "recurrence", "scatter"):
            return False
        if node.op in ROWS and any(len(node.shape) >= len(x.shape) > 0 for x in body.carries):
            total += 1 if node.op in _SIMPLE else 4 if node.op == "divide" else 15
    return total <= LIGHT * len(body.carries)


def _fits(count: Dim, lengths: Sequence[int], each: Dim, budget: int) -> bool:
    """Whether the states fit; the answer is a guard of the program, so that other sizes are asked again."""
    held: Dim = 0
    for outer, inner in zip([count, *lengths], [*lengths, 1], strict=True):
        held = held + sizes.floordiv(outer + (inner - 1), inner)
    needed = held * each
    return needed <= budget if isinstance(needed, int) else _value(needed) is None or bool(needed <= budget)


def _value(dim: Dim) -> int | None:
    """The value of a size in the present call, without a guard; None where it has none."""
    if not isinstance(dim, Size):
        return dim
    guards = active_guards()
    return sizes.evaluate(dim, guards.values) if guards is not None and dim.symbols() <= guards.values.keys() else None


def kept(loop: Loop, bytes_kept: Callable[[Loop], Dim | None]) -> Loop:
    """`loop`, cut into the segments that its body's strategy asks for. Where all states pass a budget it stays whole
    if what its reverse reads of them, `bytes_kept` a turn, does not.
    """
    if loop.count is None or loop.turns is None:
        return loop
    each: Dim = 0
    for k, x in enumerate(loop.inits):
        chain = chain_of(loop.body, k)
        once = chain is not None and is_small(chain.written * loop.turns, 2 * sizes.product(x.shape) + 1)
        written = 0 if once else state_bytes([x]) if chain is None else chain.written * x.dtype.itemsize
        each = each + written
    word, light = loop.body.checkpoint, _is_light(loop.body)
    lengths, fits = tiles(word, loop.turns, each, light), "all states fit"
    if lengths and word.startswith("auto"):
        least = bytes_kept(loop)
        lengths = lengths if least is None else tiles(word, loop.turns, least, light) and lengths
        fits = "what the reverse reads of all states fits"
    about = replace(loop.body.about, why=_reason(word, loop.turns, each, fits, bool(lengths)))
    body = replace(loop.body, about=about)
    return tiled(Loop(make("loop", loop.node.args, (body, loop.node.attrs[1]))), lengths)


def is_within(word: str, turns: Dim, size: Dim, states: Dim) -> bool:
    """Whether `size` bytes a turn can be kept beside `states`: no more than these, or a quarter of the budget. The
    answer is a guard of the program, so that memory is what is said before a call.
    """
    name, *number = word.split()
    budget = int(number[0]) if name == "auto" else DEFAULT if name == "all" else 0
    return _at_most(size, states) or _at_most(size * turns, budget // 4)


def _at_most(part: Dim, whole: Dim) -> bool:
    over = part - whole
    return over <= 0 if isinstance(over, int) else _value(over) is not None and bool(part <= whole)


def _reason(word: str, turns: Dim, each: Dim, fits: str, cut: bool) -> str:
    """Why a loop keeps what it keeps, in words."""
    name, *number = word.split()
    if name != "auto":
        return f"checkpoint={number[0]}" if name == "every" else f"checkpoint={name!r}"
    budget = f"the budget of {int(number[0]) / (1 << 20):,.4g} MB"
    if not cut:
        return f"{fits} {budget}"
    if _fits(turns, [], each, int(number[0])):
        return f"turns are run again sooner than all states come from memory, which fit {budget}"
    return f"all states together pass {budget}"


# ---- loops whose turns are counted when they run ------------------------------------------------------------------
def segmented(loop: Loop, count: Expr) -> Loop:
    """`count` turns of `loop`'s body in at most S segments of at most S segments, S fixed by the bytes of a state.

    Up to S**2 turns every state is found again by running at most two segments; beyond, the turns of the smallest
    segments are run again from their start.
    """
    most = _slots(loop)
    said, why = loop.body.about.said, "the number of turns is known when it has run: a fixed number of states is kept"
    about = About(f"{said}, again in at most {most} segments", why, progress=loop.body.about.progress)
    part = About(f"segment of {said}", why)
    every = _ceiling(count, most)
    small = _ceiling(every, most)

    def outer(number: Expr, carries: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        start, turns = _segment(number, every, count)

        def middle(part: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
            first, few = _segment(part, small, turns)
            inside = loop.part(elementwise("add", start, first), few, states, checkpoint="none")
            return _all(inside), ()

        return _all(repeat(_pieces(turns, small), carries, middle, limit=most, about=part)), ()

    return repeat(_pieces(count, every), loop.inits, outer, limit=most, about=about)


def _slots(loop: Loop) -> Dim:
    word = loop.body.checkpoint.split()
    budget = int(word[1]) if word[0] == "auto" else DEFAULT
    if word[0] == "every":
        return 4096
    each = sizes.maximum(state_bytes(loop.inits), 1)
    return sizes.maximum(sizes.minimum(sizes.floordiv(budget // 2, each), 4096), 16)


def _segment(number: Expr, every: Expr, count: Expr) -> tuple[Expr, Expr]:
    """First turn and number of turns of segment `number` of `every` turns, of `count` turns in all."""
    start = elementwise("multiply", number, every)
    return start, elementwise("minimum", every, elementwise("subtract", count, start))


def _ceiling(count: Expr, parts: Dim) -> Expr:
    """The least length of at most `parts` equal segments, at least 1."""
    over = elementwise("add", count, size_value(parts - 1))
    return elementwise("maximum", elementwise("floor_divide", over, size_value(parts)), size_value(1))


def _pieces(count: Expr, every: Expr) -> Expr:
    over = elementwise("add", count, elementwise("subtract", every, size_value(1)))
    return elementwise("floor_divide", over, every)


def _all(loop: Loop) -> list[Expr]:
    return [loop.item("carry", k) for k in range(len(loop.inits))]
