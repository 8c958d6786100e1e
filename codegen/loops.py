"""Passes over the loops of one kernel: merge axes that are one run of memory, give the rows one index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..dsl import size
from ..dsl.size import same
from .emit import integer
from .names import Names
from .program import Acc, Axis, Check, For, Let, Load, Offset, Operand, Stmt, Store, Update, walk_stmts

Accs = tuple[Acc, ...]


# ---- collapsing -------------------------------------------------------------------------------------------------
def collapsed(
    rows: tuple[Axis, ...], body: tuple[Stmt, ...], accs: Accs
) -> tuple[tuple[Axis, ...], tuple[Stmt, ...], Accs]:
    """Neighbouring axes that every access walks as one run of memory become one axis: rows among themselves, then
    inner loops.
    """
    at = len(rows) - 1
    rows_list = list(rows)
    while at > 0:
        a, b = rows_list[at - 1], rows_list[at]
        if _one_run(a, b, body, accs):
            body = merge(a, b, body)
            rows_list[at - 1: at + 1] = [Axis(a.name, a.extent * b.extent)]
        at -= 1
    return tuple(rows_list), tuple(_collapsed_inside(body)), accs


def _collapsed_inside(body: tuple[Stmt, ...]) -> list[Stmt]:
    """Perfectly nested loops merged, innermost first."""
    result: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For):
            stmt = replace(stmt, body=tuple(_collapsed_inside(stmt.body)))
            inner = stmt.body[0] if len(stmt.body) == 1 else None
            if (
                isinstance(inner, For)
                and _perfect(stmt, inner)
                and _one_run(stmt.axes[0], inner.axes[0], inner.body, ())
            ):
                a, b = stmt.axes[0], inner.axes[0]
                accs = tuple(replace(o, value=i.value) for o, i in zip(stmt.accs, inner.accs, strict=True))
                stmt = For((Axis(a.name, a.extent * b.extent),), merge(a, b, inner.body), accs, (), inner.vector)
        result.append(stmt)
    return result


def _perfect(outer: For, inner: For) -> bool:
    same_folds = len(outer.accs) == len(inner.accs) and all(
        o.value == i.name and o.op == i.op for o, i in zip(outer.accs, inner.accs, strict=True)
    )
    return not outer.carries and not inner.carries and same_folds


def _one_run(a: Axis, b: Axis, body: Iterable[Stmt], accs: Accs) -> bool:
    """Whether every offset moves along `a` as along extent(b) steps of `b`, and neither index is used as a value."""
    for stmt in walk_stmts(tuple(body)):
        if isinstance(stmt, (Load, Store, Update)) and not same(
            stmt.offset.coefficient(a.name), stmt.offset.coefficient(b.name) * b.extent
        ):
            return False
        if any(o in (a.name, b.name) for o in operands(stmt)):
            return False
    return not any(acc.value in (a.name, b.name) for acc in accs)


def merge(a: Axis, b: Axis, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """`body` with a*extent(b) + b replaced by one index called as `a`."""

    def offset(old: Offset) -> Offset:
        step = old.coefficient(b.name)
        kept = tuple((n, c) for n, c in old.terms if n not in (a.name, b.name))
        return Offset(old.const, kept) + Offset(0, ((a.name, step),))

    return tuple(_with_offsets(s, offset) for s in body)


def _with_offsets(stmt: Stmt, change: object) -> Stmt:
    if isinstance(stmt, (Load, Store, Update)):
        return replace(stmt, offset=change(stmt.offset))  # type: ignore[operator]
    if isinstance(stmt, For):
        return replace(stmt, body=tuple(_with_offsets(s, change) for s in stmt.body))
    return stmt


def operands(stmt: Stmt) -> list[Operand]:
    """The values that a statement reads (not the indices inside its offset)."""
    if isinstance(stmt, Let):
        return list(stmt.args)
    if isinstance(stmt, Load):
        return [o for o in (stmt.mask, stmt.other) if o is not None]
    if isinstance(stmt, (Store, Update)):
        return [o for o in (stmt.value, stmt.mask) if o is not None]
    if isinstance(stmt, Check):
        return [stmt.ok]
    return [a.value for a in stmt.accs] + [o for c in stmt.carries for o in (c.init, c.value)]


# ---- rows -------------------------------------------------------------------------------------------------------
def split_rows(
    rows: tuple[Axis, ...], body: tuple[Stmt, ...], accs: Accs, vector: bool, names: Names
) -> tuple[Axis, tuple[Stmt, ...], Accs, bool]:
    """One row axis. Of several that run in lanes the last becomes an inner vector loop; the others are digits of the
    row number.
    """
    if not rows:
        return Axis(names.index("r"), 1), body, accs, False
    if vector and len(rows) > 1:
        body, accs = _split_last(rows[-1], body, accs, names)
        rows, vector = rows[:-1], False
    if len(rows) == 1:
        return rows[0], body, accs, vector
    row = Axis(names.index("r"), size.product([a.extent for a in rows]))
    digits: list[Stmt] = []
    rest: Operand = row.name
    first, *others = list(rows)
    for axis in reversed(others):
        digits.append(Let(axis.name, "int64", "remainder", (rest, integer(axis.extent))))
        quotient = first.name if axis is others[0] else names.new("rest")
        digits.append(Let(quotient, "int64", "floor_divide", (rest, integer(axis.extent))))
        rest = quotient
    return row, (*digits, *body), accs, vector


def _split_last(axis: Axis, body: tuple[Stmt, ...], accs: Accs, names: Names) -> tuple[tuple[Stmt, ...], Accs]:
    """What depends on `axis` goes into a vector loop over it; what does not stays before it."""
    inside = {axis.name}
    outer: list[Stmt] = []
    inner: list[Stmt] = []
    for stmt in body:
        if _reads(stmt, inside) or isinstance(stmt, (Store, Update)):
            inner.append(stmt)
            inside |= defined(stmt)
        else:
            outer.append(stmt)
    inner_accs = tuple(replace(a, name=names.new("acc")) for a in accs)
    outer_accs = tuple(replace(a, value=i.name) for a, i in zip(accs, inner_accs, strict=True))
    return (*outer, For((axis,), tuple(inner), inner_accs, (), True)), outer_accs


def _reads(stmt: Stmt, found: set[str]) -> bool:
    for part in walk_stmts((stmt,)):
        if any(isinstance(o, str) and o in found for o in operands(part)):
            return True
        if isinstance(part, (Load, Store, Update)) and any(n in found for n, _ in part.offset.terms):
            return True
    return False


def defined(stmt: Stmt) -> set[str]:
    if isinstance(stmt, (Let, Load)):
        return {stmt.name}
    if isinstance(stmt, For):
        return {a.name for a in stmt.accs} | {c.result for c in stmt.carries}
    return set()
