"""The part of a loop where every border is far away: conditions on indices are constants there.

Neighbours read at an offset, and their adjoints, are masked at the ends of an axis: `j >= 1`, `j < n - 1`. On all turns
but the first and last the answers are known. `interior_of` finds the conditions of a vector loop that compare a loop
index with a size, what they are away from the ends, and the body that is left when they are folded: plain loads, no
selection. Conditions on the index of the loop bound the turns that are interior; those on indices around it are known
in the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..dsl import size
from ..dsl.size import Dim, Size
from .loops import defined, operands
from .program import (
    Axis,
    Check,
    Extent,
    For,
    Kernel,
    Let,
    Literal,
    Load,
    Offset,
    Operand,
    Stmt,
    Store,
    Update,
    walk_stmts,
)

FAR = 1 << 20            # every size is imagined as large when a border is looked for at the start or end of an axis
NEAR = 64                # a border this close to 0 is at the start


@dataclass(frozen=True)
class Interior:
    """`loop` is right for turns from every one of `starts` to every one of `ends`, where the conditions `rows` of the
    row have the given values; `row` is right for all turns of such a row.
    """

    loop: For
    row: For
    starts: tuple[Dim, ...]
    ends: tuple[Dim, ...]
    rows: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Border:
    """Where a condition on `index` changes: its interior lies from `turn` on (`at_start`) or before it."""

    index: str
    turn: Dim
    at_start: bool
    condition: str


def interior_of(loop: For, lets: Mapping[str, Let], extents: Mapping[str, Dim]) -> Interior | None:
    """The interior of a vector loop, or None where no condition of its body is known in one.

    `lets`: the values that are computed in the kernel, by name; `extents`: what is known of its indices.
    """
    inside = {n for stmt in walk_stmts(loop.body) for n in defined(stmt)}
    found = _Conditions(loop.axes[-1], lets, extents, inside)
    known = {name: value for name in _tested(loop.body) if (value := found.value(name)) is not None}
    if not known:
        return None
    of_row = _Conditions(loop.axes[-1], lets, extents, inside)
    of_row.found.update({name: None if name in inside else value for name, value in found.assumed.items()})
    for name in known:
        of_row.value(name)
    known_of_row = {name: value for name, value in of_row.found.items() if value is not None}
    row = _folded(loop, known_of_row) if known_of_row else loop
    own = [b for b in found.borders if b.index == loop.axes[-1].name]
    starts, ends = (tuple(b.turn for b in own if b.at_start == first) for first in (True, False))
    rows = tuple((b.condition, found.assumed[b.condition]) for b in found.borders if b.index != loop.axes[-1].name)
    return Interior(_folded(loop, known), row, starts, ends, rows)


def _tested(body: tuple[Stmt, ...]) -> Iterable[str]:
    """The names of bools that decide something."""
    for stmt in walk_stmts(body):
        if isinstance(stmt, (Load, Store, Update)) and stmt.mask:
            yield stmt.mask
        elif isinstance(stmt, Check) and isinstance(stmt.ok, str):
            yield stmt.ok
        elif isinstance(stmt, Let) and stmt.op in ("where", "mask") and isinstance(stmt.args[0], str):
            yield stmt.args[0]


class _Conditions:
    """What bools are in the interior of the loop over `axis`, and what had to be assumed for it."""

    def __init__(self, axis: Axis, lets: Mapping[str, Let], extents: Mapping[str, Dim], inside: set[str]) -> None:
        self.axis, self.lets, self.inside = axis.name, lets, inside
        self.extents = {**extents, axis.name: axis.extent}
        self.assumed: dict[str, bool] = {}
        self.borders: list[Border] = []
        self.found: dict[str, bool | None] = {}

    def value(self, name: str) -> bool | None:
        if name not in self.found:
            self.found[name] = self._value(name)
        return self.found[name]

    def _value(self, name: str) -> bool | None:
        let = self.lets.get(name)
        if let is None or let.dtype != "bool":
            return None
        if let.op in ("less", "greater_equal"):
            return self._comparison(name, let.op == "less", *let.args)
        if let.op in ("greater", "less_equal"):
            return self._comparison(name, let.op == "greater", *reversed(let.args))
        if let.op not in ("logical_and", "logical_or", "logical_not"):
            return None
        values = [self.value(a) if isinstance(a, str) else None for a in let.args]
        if let.op == "logical_not":
            return None if values[0] is None else not values[0]
        decides = let.op == "logical_or"
        return decides if decides in values else None if None in values else not decides

    def _comparison(self, name: str, less: bool, left: Operand, right: Operand) -> bool | None:
        """left < right or left >= right, where their difference runs along one index, forwards or backwards."""
        a, b = self._affine(left), self._affine(right)
        if a is None or b is None:
            return None
        position = a + b.scaled(-1)                         # < 0 or >= 0
        (index, step), *others = position.terms or (("", 0),)
        known = index == self.axis or index in self.extents and self.inside.isdisjoint((index, name))
        if others or step not in (1, -1) or not known:
            return None
        assert isinstance(step, int)
        turn = position.const * -step + (step < 0)           # where the answer changes
        rises = less == (step < 0)                           # from false to true
        at_start = _imagined(turn) <= min(NEAR, _imagined(self.extents[index]) // 2)
        self.assumed[name] = rises == at_start
        self._keep(Border(index, turn, at_start, name))
        return self.assumed[name]

    def _keep(self, border: Border) -> None:
        """Of borders of which one lies within the other, the one that leaves less."""
        for k, other in enumerate(self.borders):
            further = border.turn - other.turn
            if (other.index, other.at_start) == (border.index, border.at_start) and not isinstance(further, Size):
                self.borders[k] = border if (further > 0) == border.at_start and further else other
                return
        self.borders.append(border)

    def _affine(self, operand: Operand) -> Offset | None:
        """An integer as a constant plus multiples of loop indices."""
        if isinstance(operand, Extent):
            return Offset(operand.size)
        if isinstance(operand, Literal):
            return Offset(int(operand.value)) if operand.dtype == "int64" else None
        let = self.lets.get(operand)
        if let is None or operand in self.extents:
            return Offset(0, ((operand, 1),))
        if let.op not in ("add", "multiply", "negative"):
            return None
        parts = [self._affine(a) for a in let.args]
        known = [p for p in parts if p is not None]
        if len(known) < len(parts):
            return None
        if let.op == "negative":
            return known[0].scaled(-1)
        a, b = known
        if let.op == "add":
            return a + b
        return a.scaled(b.const) if not b.terms else b.scaled(a.const) if not a.terms else None


def extents_of(kernel: Kernel) -> dict[str, Dim]:
    """The sizes of the axes that the indices of a kernel run along; those of the digits of its row number too."""
    found = {axis.name: axis.extent for s in walk_stmts(kernel.body) if isinstance(s, For) for axis in s.axes}
    for let in (s for s in kernel.body if isinstance(s, Let)):
        if let.op == "remainder" and isinstance(let.args[1], (Extent, Literal)):
            found[let.name] = let.args[1].size if isinstance(let.args[1], Extent) else int(let.args[1].value)
        elif let.op == "floor_divide":
            found[let.name] = FAR
    return {**found, kernel.rows.name: kernel.rows.extent}


def _imagined(dim: Dim) -> int:
    return size.evaluate(dim, dict.fromkeys(dim.symbols(), FAR)) if isinstance(dim, Size) else dim


# ---- folding ----------------------------------------------------------------------------------------------------
def _folded(loop: For, known: Mapping[str, bool]) -> For:
    """`loop` where bools are `known`, without what nobody reads then."""
    return live(_decided(loop, known, {}))


def _decided(loop: For, known: Mapping[str, bool], alias: dict[str, Operand]) -> For:
    body: list[Stmt] = []
    for stmt in loop.body:
        stmt = _decided(stmt, known, alias) if isinstance(stmt, For) else _renamed(stmt, alias)
        if isinstance(stmt, Let):
            same = _choice(stmt, known)
            if same is not None:
                alias[stmt.name] = same
                continue
        if isinstance(stmt, Check) and known.get(str(stmt.ok)):
            continue
        if isinstance(stmt, (Load, Store, Update)) and stmt.mask in known:
            if known[str(stmt.mask)]:
                stmt = replace(stmt, mask=None, other=None) if isinstance(stmt, Load) else replace(stmt, mask=None)
            elif not isinstance(stmt, Load):
                continue
            elif stmt.dtype != "bool" and stmt.other is not None:
                alias[stmt.name] = stmt.other
                continue
        body.append(stmt)
    accs = tuple(replace(a, value=_now(a.value, alias)) for a in loop.accs)
    carries = tuple(replace(c, init=_now(c.init, alias), value=_now(c.value, alias)) for c in loop.carries)
    return replace(loop, body=tuple(body), accs=accs, carries=carries)


def _choice(let: Let, known: Mapping[str, bool]) -> Operand | None:
    """The argument that `let` is equal to where bools are `known`."""
    first = known.get(let.args[0]) if isinstance(let.args[0], str) else None
    if let.op in ("where", "mask"):
        return None if first is None or let.dtype == "bool" else (*let.args[1:], Literal.of(0, let.dtype))[not first]
    if let.op not in ("logical_and", "logical_or") or let.dtype != "bool" or let.name in known:
        return None
    neutral = let.op == "logical_and"
    rest = [a for a in let.args if not (isinstance(a, str) and known.get(a) is neutral)]
    return rest[0] if len(rest) == 1 and isinstance(rest[0], str) else None


def _now(operand: Operand, alias: Mapping[str, Operand]) -> Operand:
    return alias.get(operand, operand) if isinstance(operand, str) else operand


def _renamed(stmt: Stmt, alias: Mapping[str, Operand]) -> Stmt:
    """A statement that reads what its operands stand for."""
    if isinstance(stmt, Let):
        return replace(stmt, args=tuple(_now(a, alias) for a in stmt.args))
    if isinstance(stmt, Load):
        return replace(stmt, offset=_moved(stmt.offset, alias), mask=_name(stmt.mask, alias))
    if isinstance(stmt, (Store, Update)):
        return replace(stmt, offset=_moved(stmt.offset, alias), value=_now(stmt.value, alias),
                       mask=_name(stmt.mask, alias))
    if isinstance(stmt, Check):
        return replace(stmt, ok=str(_name(stmt.ok, alias)))
    return stmt


def _name(mask: str | None, alias: Mapping[str, Operand]) -> str | None:
    found = _now(mask, alias) if mask else None
    assert found is None or isinstance(found, str)
    return found


def _moved(offset: Offset, alias: Mapping[str, Operand]) -> Offset:
    total = Offset(offset.const)
    for name, factor in offset.terms:
        now = alias.get(name, name)
        if isinstance(now, str):
            total = total + Offset(0, ((now, factor),))
        else:
            total = total + Offset((now.size if isinstance(now, Extent) else int(now.value)) * factor)
    return total


def live(loop: For) -> For:
    """`loop` without values that nobody reads."""
    read = {o for o in operands(loop) if isinstance(o, str)}
    body: list[Stmt] = []
    for stmt in reversed(loop.body):
        if isinstance(stmt, (Let, Load)) and stmt.name not in read:
            continue
        stmt = live(stmt) if isinstance(stmt, For) else stmt
        for part in walk_stmts((stmt,)):
            read.update(o for o in operands(part) if isinstance(o, str))
            if isinstance(part, (Load, Store, Update)):
                read.update(name for name, _ in part.offset.terms)
        body.append(stmt)
    return replace(loop, body=tuple(reversed(body)))
