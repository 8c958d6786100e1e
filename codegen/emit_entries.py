"""Entries of Jacobians computed where they are stored: the rules of `unit`, `entries` and `bands` (dsl/entries.py)."""

from __future__ import annotations

from collections.abc import Iterable

from ..dsl.node import Expr
from ..dsl.size import Dim, Size
from .emit import NEVER, RULES, Emitter, Index, Rule, at_most, dtype_name, flat, integer
from .emit_rules import checked
from .program import Extent, Literal, Offset, Operand
from .seeds import seed


def _unit(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    """Known by form where the index is as far from the column in every turn."""
    column = yield node.args[0], index[:1], None
    wanted = _offset(emitter, column, node.args[0]) + Offset(node.attrs[0])
    here = flat(index[1:], node.shape[1:])
    apart = here + wanted.scaled(-1)
    if not apart.terms and not isinstance(apart.const, Size):
        return seed(apart.const == 0, dtype_name(node))
    found = emitter.let("equal", "bool", emitter.integer(here), emitter.integer(wanted))
    return emitter.let("cast", dtype_name(node), found)


def _entries(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    tangents, rows = node.args
    row = yield rows, index, None
    place = _offset(emitter, row, rows) if rows.op == "iota" else checked(emitter, row, rows, tangents.shape[1], mask)
    return (yield tangents, (index[0], place), mask)


def _offset(emitter: Emitter, value: Operand, array: Expr) -> Offset:
    if isinstance(value, Literal):
        return Offset(int(value.value))
    if isinstance(value, Extent):
        return Offset(value.size)
    return Offset(0, ((value if dtype_name(array) == "int64" else emitter.let("cast", "int64", value), 1),))


def _bands(emitter: Emitter, node: Expr, index: Index, mask: str | None) -> Rule:
    """Every diagonal, also in rows where it has no entry: what they share is the same there. Each is stored at a place
    of its own, so there is no one value.
    """
    for diagonal in node.args:
        yield diagonal, index, mask
    return Literal.of(0, dtype_name(node))


def band_stores(emitter: Emitter, node: Expr, index: Index) -> Iterable[tuple[Offset, Operand, str | None]]:
    """Where the entries of the row at `index` are stored, with their values, and the masks where they are."""
    (offsets, columns), rows = node.attrs, node.args[0].shape[0]
    masks = [emitter.between(index[0], -d, columns - d, rows, None) for d in offsets]
    start = _start(emitter, node, index[0], masks)
    for place, (diagonal, here) in enumerate(zip(node.args, masks, strict=True)):
        if not isinstance(here, Literal):
            yield start + Offset(place), emitter.value(diagonal, index), here


def _start(emitter: Emitter, node: Expr, row: Offset, masks: list[str | Literal | None]) -> Offset:
    """Where the entry of the first diagonal would be. In rows with an entry of each that follows from the number of
    the row alone; where the first ones have none, those that there are come as much earlier.
    """
    (offsets, columns), rows = node.attrs, node.args[0].shape[0]
    inner = row.scaled(len(offsets)) + Offset(-sum(max(-d, 0) for d in offsets))
    whole: str | None = None
    for here in masks:
        whole = emitter.both(whole, None if isinstance(here, Literal) else here)
    if whole is None and NEVER not in masks:
        return inner
    total: Operand = integer(0)
    for d in offsets:
        total = emitter.let("add", "int64", total, _before(emitter, row, d, rows, columns))
    if NEVER not in masks:
        total = emitter.let("where", "int64", str(whole), emitter.integer(inner), total)
    return Offset(0, ((str(total), 1),))


def _before(emitter: Emitter, row: Offset, offset: int, rows: Dim, columns: Dim) -> Operand:
    """The entries of a diagonal in earlier rows, less one where it comes in a later row."""
    ended = emitter.integer(row)
    if not at_most(rows, columns - offset):
        ended = emitter.let("minimum", "int64", ended, integer(columns - offset))
    if offset >= 0:
        return emitter.let("maximum", "int64", ended, integer(0))
    return emitter.let("maximum", "int64", emitter.let("add", "int64", ended, integer(offset)), integer(-1))


RULES.update({"unit": _unit, "entries": _entries, "bands": _bands})
