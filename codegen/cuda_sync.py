"""Where the threads of a block must meet: buffers that one thread writes and another touches within one kernel.

An access has an *owner* when every address is touched by one thread alone, known by its form: either thread 0 (`UNIFORM` stores)
or the thread that the vector loop gives the element (`mapping`: the offset with its axes by position, and the loop's extents).
Two accesses of one buffer, at least one a write, need a barrier between them unless their owners are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dsl.size import Dim, Size, render, same
from .program import Axis, For, Load, Offset, Stmt, Store, Update, walk_stmts

UNIFORM = ("thread 0",)
ALL = ("every thread",)


@dataclass(frozen=True, slots=True)
class Access:
    """One touch of `buffer`: `reads`, `writes`, its `owner`, and whether an owner stays the same in later rows (`steady`)."""

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


def accesses(stmt: Stmt, written: set[str], alias: dict[str, str], axes: frozenset[str]) -> list[Access]:
    """Every access of `stmt`, outside vector loops, to the buffers in `written`; `axes`: the loops around it."""
    if isinstance(stmt, For) and stmt.vector:
        inner = axes | {a.name for a in stmt.axes}
        return [_access(s, alias, stmt, inner) for s in walk_stmts(stmt.body) if _touches(s, written, alias)]
    if isinstance(stmt, For):
        inner = axes | {a.name for a in stmt.axes}
        return [x for s in stmt.body for x in accesses(s, written, alias, inner)]
    return [_access(stmt, alias, None, axes)] if _touches(stmt, written, alias) else []


def _touches(stmt: Stmt, written: set[str], alias: dict[str, str]) -> bool:
    return isinstance(stmt, (Load, Store, Update)) and alias.get(stmt.buffer, stmt.buffer) in written


def _access(stmt: Load | Store | Update, alias: dict[str, str], loop: For | None, axes: frozenset[str]) -> Access:
    buffer = alias.get(stmt.buffer, stmt.buffer)
    reads, writes = not isinstance(stmt, Store), not isinstance(stmt, Load)
    if loop is None:
        return Access(buffer, reads, writes, UNIFORM if writes else ALL, writes)
    inner = {n for s in walk_stmts(loop.body) if isinstance(s, For) for n in (a.name for a in s.axes)}
    return Access(buffer, reads, writes, _mapping(stmt.offset, loop), _steady(stmt.offset, loop.axes, axes - inner))


def _mapping(offset: Offset, loop: For) -> tuple[object, ...]:
    position = {axis.name: f"axis {n}" for n, axis in enumerate(loop.axes)}
    terms = sorted((position.get(name, name), render(coefficient)) for name, coefficient in offset.terms)
    extents = tuple(render(axis.extent) for axis in loop.axes)
    if not any(position.get(name) == f"axis {len(loop.axes) - 1}" for name, _ in offset.terms):
        return ALL
    return (extents, render(offset.const), *terms)


def _steady(offset: Offset, vector: tuple[Axis, ...], axes: frozenset[str]) -> bool:
    """Whether the same thread owns an address in every row: the offset has no row in it, or rows do not overlap."""
    span = vector[-1]
    if len(vector) > 1 or not same(offset.coefficient(span.name), 1):
        return all(name in axes for name, _ in offset.terms) and not [n for n, _ in offset.terms if n not in {a.name for a in vector}]
    return all(name == span.name or (name in axes and _at_least(c, span.extent)) for name, c in offset.terms)


def _at_least(coefficient: Dim, extent: Dim) -> bool:
    """Whether `coefficient` is a whole multiple of `extent`, by form."""
    if not isinstance(coefficient, Size) and not isinstance(extent, Size):
        return coefficient >= extent
    if not isinstance(extent, Size) or not isinstance(coefficient, Size):
        return False
    if same(coefficient, extent):
        return True
    (monomial, scale), *others = coefficient.terms
    (wanted, unit), *rest = extent.terms
    return not others and not rest and scale % unit == 0 and scale > 0 and set(wanted) <= set(monomial)
