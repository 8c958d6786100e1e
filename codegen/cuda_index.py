"""Index arithmetic of a kernel, and how far it reaches: what may be computed in the type of an index.

The values of a Program are int64, and a division of those costs about 160 instructions, one of int 48. A value that is
made of axes, sizes and numbers alone has a bound that is a size; the host takes 'int' indices only where every bound is
in reach, so nothing overflows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..dsl.size import Dim, Size, render, surely_nonnegative
from .cuda_plan import INT_SPAN
from .program import Axis, Extent, For, Kernel, Let, Literal, Operand, Stmt


@dataclass(frozen=True, slots=True)
class Bound:
    """|value| <= reach, and whether it is known not to be negative."""

    reach: Dim
    natural: bool


# For each operation: its text in the type of an index, and the bound of its value.
_Rule = tuple[str, Callable[..., Bound]]


def _sum(a: Bound, b: Bound) -> Bound:
    return Bound(a.reach + b.reach, a.natural and b.natural)


def _product(a: Bound, b: Bound) -> Bound:
    return Bound(a.reach * b.reach, a.natural and b.natural)


_RULES: dict[str, _Rule] = {
    "cast": ("{0}", lambda a: a),
    "add": ("{0} + {1}", _sum),
    "subtract": ("{0} - {1}", lambda a, b: Bound(a.reach + b.reach, False)),
    "negative": ("-{0}", lambda a: Bound(a.reach, False)),
    "multiply": ("{0} * {1}", _product),
    "fma": ("{0} * {1} + {2}", lambda a, b, c: _sum(_product(a, b), c)),
    "minimum": ("{1} < {0} ? {1} : {0}", _sum),
    "maximum": ("{1} > {0} ? {1} : {0}", lambda a, b: Bound(a.reach + b.reach, a.natural or b.natural)),
    "floor_divide": ("pb_floor_divide({0}, {1})", lambda a, b: Bound(a.reach + 1, a.natural and b.natural)),
    "remainder": ("pb_remainder({0}, {1})", lambda a, b: Bound(b.reach, b.natural)),
}
_NATURAL = {  # of numbers that are not negative
    "floor_divide": ("pb_quotient({0}, {1})", lambda a, b: a),
    "remainder": ("pb_modulo({0}, {1})", lambda a, b: b),
}


class Indices:
    """The values of a kernel that are index arithmetic: the text of each as a form over its operands, and its
    bound."""

    def __init__(self, kernel: Kernel) -> None:
        self.forms: dict[str, str] = {}
        self.bounds: dict[str, Bound] = {}
        self._axis(kernel.rows)
        for part in (kernel.begin, kernel.body, kernel.end):
            self._statements(part)

    @property
    def reaches(self) -> dict[str, Dim]:
        """The bounds that are sizes, by their text."""
        found = (self.bounds[name].reach for name in self.forms)
        return {render(reach): reach for reach in found if isinstance(reach, Size) or reach >= INT_SPAN}

    def _axis(self, axis: Axis) -> None:
        if (reach := _magnitude(axis.extent)) is not None:
            self.bounds[axis.name] = Bound(reach, True)

    def _statements(self, stmts: tuple[Stmt, ...]) -> None:
        for stmt in stmts:
            if isinstance(stmt, Let) and stmt.dtype == "int64":
                self._let(stmt)
            elif isinstance(stmt, For):
                if stmt.turns is None:
                    for axis in stmt.axes:
                        self._axis(axis)
                self._statements(stmt.body)

    def _let(self, let: Let) -> None:
        operands = [self._bound(a) for a in let.args]
        bounds = [b for b in operands if b is not None]
        if let.op not in _RULES or len(bounds) < len(operands):
            return
        natural = all(b.natural for b in bounds) and let.op in _NATURAL
        form, rule = _NATURAL[let.op] if natural else _RULES[let.op]
        self.forms[let.name], self.bounds[let.name] = form, rule(*bounds)

    def _bound(self, operand: Operand) -> Bound | None:
        if isinstance(operand, str):
            return self.bounds.get(operand)
        if isinstance(operand, Extent):
            reach = _magnitude(operand.size)
            return None if reach is None else Bound(reach, surely_nonnegative(operand.size))
        assert isinstance(operand, Literal)
        return Bound(abs(int(operand.value)), operand.value >= 0) if operand.dtype == "int64" else None


def _magnitude(dim: Dim) -> Dim | None:
    """A size that is at least |dim|, every term of which counts as positive; None where one has no sign by form."""
    if not isinstance(dim, Size):
        return abs(dim)
    reach = Size(tuple((monomial, abs(coefficient)) for monomial, coefficient in dim.terms))
    return reach if surely_nonnegative(reach) else None
