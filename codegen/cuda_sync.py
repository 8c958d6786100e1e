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
from .program import For, Load, Offset, Stmt, Store, Update, walk_stmts

UNIFORM = ("thread 0",)
ALL = ("every thread",)


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
        return [_access(s, alias, stmt) for s in _touching(walk_stmts(stmt.body), written, alias)]
    if isinstance(stmt, For):
        return [x for s in stmt.body for x in accesses(s, written, alias)]
    return [_access(s, alias, None) for s in _touching([stmt], written, alias)]


def _touching(stmts: Iterable[Stmt], written: set[str], alias: dict[str, str]) -> Iterator[Load | Store | Update]:
    for stmt in stmts:
        if isinstance(stmt, (Load, Store, Update)) and alias.get(stmt.buffer, stmt.buffer) in written:
            yield stmt


def _access(stmt: Load | Store | Update, alias: dict[str, str], loop: For | None) -> Access:
    buffer = alias.get(stmt.buffer, stmt.buffer)
    reads, writes = not isinstance(stmt, Store), not isinstance(stmt, Load)
    if loop is None:
        return Access(buffer, reads, writes, UNIFORM if writes else ALL, writes)
    owner = _lane(stmt.offset, loop)
    return Access(buffer, reads, writes, owner or _exact(stmt.offset, loop), owner is not None)


def _lane(offset: Offset, loop: For) -> tuple[object, ...] | None:
    """The owner where the address alone tells it: all but the index that is spread over threads adds multiples of its
    extent."""
    spread: dict[str, Dim] = {loop.axes[-1].name: 1}
    extent = loop.axes[-1].extent
    if len(loop.axes) > 1:
        outer = loop.axes[-2]
        spread[outer.name], extent = extent, extent * outer.extent
    if any(not same(offset.coefficient(name), c) for name, c in spread.items()):
        return None
    if not all(name in spread or is_multiple(c, extent) for name, c in offset.terms):
        return None
    return "lane", render(extent), render(offset.const)


def _exact(offset: Offset, loop: For) -> tuple[object, ...]:
    """The owner where only the very same form of offset, in a loop over the same extents, is known to have it too."""
    position = {axis.name: f"axis {n}" for n, axis in enumerate(loop.axes)}
    if not any(name == loop.axes[-1].name for name, _ in offset.terms):
        return ALL
    terms = sorted((position.get(name, name), render(coefficient)) for name, coefficient in offset.terms)
    return tuple(render(axis.extent) for axis in loop.axes), render(offset.const), *terms


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
