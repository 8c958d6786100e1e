"""Where the threads of a block must meet: buffers that one thread writes and another touches within one kernel.

An access has an *owner* when every address is touched by one thread alone, known by its form: thread 0 (what is
stored outside of vector loops) or the thread to which the vector loop gives the element. Two accesses of one buffer,
at least one of them a write, need a barrier between them unless their owners are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..dsl.size import Dim, Size, render, same
from .program import CHUNK, For, Load, Offset, Stmt, Store, Update, walk_stmts

UNIFORM = ("thread 0",)
ALL = ("every thread",)
ROW = ("the thread of the row",)


@dataclass(frozen=True, slots=True)
class Access:
    """One touch of `buffer`: `reads`, `writes`, its `owner`, and whether an owner stays the same in later rows
    (`steady`)."""

    buffer: str
    reads: bool
    writes: bool
    owner: tuple[object, ...]
    steady: bool


def conflict(a: Access, b: Access, later_row: bool = False) -> bool:
    """Whether threads must meet between `a` and `b`; `later_row`: `b` belongs to a later turn of a loop around both."""
    if a.buffer != b.buffer or not (a.writes or b.writes):
        return False
    if a.owner == ALL and b.owner == ALL:
        return True
    return a.owner != b.owner or a.owner == ALL or (later_row and not (a.steady and b.steady))


def accesses(stmt: Stmt, written: set[str], alias: dict[str, str]) -> list[Access]:
    """Every access of `stmt`, which is outside of vector loops, to the buffers in `written`."""
    if isinstance(stmt, For) and stmt.vector:
        return [access(s, alias, stmt) for s in _touching(walk_stmts(stmt.body), written, alias)]
    if isinstance(stmt, For):
        return [x for s in stmt.body for x in accesses(s, written, alias)]
    return [access(s, alias, None) for s in _touching([stmt], written, alias)]


def _touching(stmts: Iterable[Stmt], written: set[str], alias: dict[str, str]) -> Iterator[Load | Store | Update]:
    for stmt in stmts:
        if isinstance(stmt, (Load, Store, Update)) and alias.get(stmt.buffer, stmt.buffer) in written:
            yield stmt


def access(stmt: Load | Store | Update, alias: dict[str, str], loop: For | None) -> Access:
    """What `stmt` touches, outside of vector loops or in `loop`."""
    buffer = alias.get(stmt.buffer, stmt.buffer)
    reads, writes = not isinstance(stmt, Store), not isinstance(stmt, Load)
    if loop is None:
        return Access(buffer, reads, writes, UNIFORM if writes else ALL, writes)
    owner = _lane(stmt.offset, loop)
    return Access(buffer, reads, writes, owner or _exact(stmt.offset, loop), owner is not None)


def _lane(offset: Offset, loop: For) -> tuple[object, ...] | None:
    """The owner where the address alone tells it: all but the index that is spread over threads adds multiples of its
    extent. A block works on one chunk, whose number moves the addresses of one stride alike."""
    spread: dict[str, Dim] = {loop.axes[-1].name: 1}
    extent = loop.axes[-1].extent
    if len(loop.axes) > 1:
        outer = loop.axes[-2]
        spread[outer.name], extent = extent, extent * outer.extent
    if any(not same(offset.coefficient(name), c) for name, c in spread.items()):
        return None
    moving = [(name, c) for name, c in offset.terms if name not in spread and not is_multiple(c, extent)]
    if any(name != CHUNK for name, _ in moving):
        return None
    return "lane", render(extent), _shift(offset.const, extent), *(render(c) for _, c in moving)


def _shift(const: Dim, extent: Dim) -> str:
    """By how much `const` moves an element from its thread: whole multiples of `extent` do not."""
    if not isinstance(const, Size) and not isinstance(extent, Size) and extent:
        return str(const % extent)
    return "0" if is_multiple(const, extent) else render(const)


def _exact(offset: Offset, loop: For) -> tuple[object, ...]:
    """The owner where only the very same form of offset, in a loop over the same extents, is known to have it too."""
    position = {axis.name: f"axis {n}" for n, axis in enumerate(loop.axes)}
    if not any(name == loop.axes[-1].name for name, _ in offset.terms):
        return ALL
    terms = sorted((position.get(name, name), render(coefficient)) for name, coefficient in offset.terms)
    return tuple(render(axis.extent) for axis in loop.axes), render(_group(offset, loop)), *terms


def _group(offset: Offset, loop: For) -> Dim:
    """The constant of `offset` without what stays between two neighbours of a loop by steps: with a step of 2, the two
    parts of a complex number have one owner."""
    step = offset.coefficient(loop.axes[-1].name)
    if isinstance(step, Size) or step < 2:
        return offset.const
    if not all(is_multiple(offset.coefficient(axis.name), step) for axis in loop.axes):
        return offset.const
    terms = offset.const.terms if isinstance(offset.const, Size) else (((), offset.const),)
    start = offset.const - sum(scale for powers, scale in terms if not powers) % step
    return start if is_multiple(start, step) else offset.const


def is_multiple(coefficient: Dim, extent: Dim) -> bool:
    """Whether `coefficient` is a whole multiple of `extent`, by form."""
    if not isinstance(extent, Size):
        terms = coefficient.terms if isinstance(coefficient, Size) else (((), coefficient),)
        return extent > 0 and all(scale % extent == 0 for _, scale in terms)
    if not isinstance(coefficient, Size):
        return coefficient == 0
    (wanted, unit), *rest = extent.terms
    need = Counter(dict(wanted))
    return not rest and all(scale % unit == 0 and need <= Counter(dict(powers)) for powers, scale in coefficient.terms)
