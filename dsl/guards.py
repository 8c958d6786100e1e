"""What a trace assumes about the sizes of its inputs, so that its program is used again only where it holds."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .size import Dim

RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "==": lambda a, b: a == b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
}


@dataclass
class Guards:
    """What a trace assumed about the sizes of its inputs.

    `values` gives each symbol the size of the present call; `facts` are the comparisons that were decided by it, as
    (relation, size, size, outcome); `equal` maps a symbol to the size it was found equal to.
    """

    values: dict[str, int] = field(default_factory=dict)
    facts: list[tuple[str, Dim, Dim, bool]] = field(default_factory=list)
    equal: dict[str, Dim] = field(default_factory=dict)

    def record(self, relation: str, a: Dim, b: Dim, outcome: bool) -> None:
        if not any(r == relation and o == outcome and _same(x, a) and _same(y, b) for r, x, y, o in self.facts):
            self.facts.append((relation, a, b, outcome))

    def hold(self, values: Mapping[str, int]) -> bool:
        """Whether sizes `values` answer every recorded comparison as before."""
        return all(RELATIONS[r](_value(a, values), _value(b, values)) == o for r, a, b, o in self.facts)

    def learn(self, a: Dim, b: Dim) -> None:
        """Remember a == b by eliminating a symbol, so that equal sizes print and plan alike.

        max(p, 0) == max(q, 0) is p == q where both are positive, and remembered (and recorded) so.
        """
        a, b = self.canonical(a), self.canonical(b)
        if _same(a, b):
            return
        bare = self._unclamped(a), self._unclamped(b)
        if not (_same(bare[0], a) and _same(bare[1], b)):
            self.record("==", *bare, True)
            self.learn(*bare)
            return
        found = sorted([*_solved(b, a), *_solved(a, b)], key=lambda f: not _plainly_positive(f[1]))
        if found:
            self.equal[found[0][0]] = found[0][1]

    def _unclamped(self, a: Dim) -> Dim:
        """p for max(p, 0), where that is positive in the present call."""
        if isinstance(a, int):
            return a
        match a.terms:
            case (((("max", tuple(p), 0), 1),), 1),:
                return type(a)(p) if _value(a, self.values) > 0 else a
        return a

    def canonical(self, dim: Dim) -> Dim:
        """`dim` with every symbol replaced by what it was found equal to."""
        while not isinstance(dim, int):
            known = {s: self.equal[s] for s in dim.symbols() if s in self.equal}
            if not known:
                return dim
            dim = dim.substitute(known)
        return dim


def _solved(a: Dim, b: Dim) -> Iterable[tuple[str, Dim]]:
    """The symbols that `a` == b gives as sizes: alone in `a`, or equal to what is surely not negative."""
    if isinstance(a, int):
        return
    for monomial, coefficient in a.terms:
        if coefficient == 1 and len(monomial) == 1 and isinstance(monomial[0][0], str) and monomial[0][1] == 1:
            rest = b - a + type(a)(((monomial, 1),))
            free = isinstance(rest, int) or monomial[0][0] not in rest.symbols()
            if free and (len(a.terms) == 1 or _plainly_positive(rest)):
                yield monomial[0][0], rest


def _plainly_positive(dim: Dim) -> bool:
    return dim >= 0 if isinstance(dim, int) else all(c > 0 for _, c in dim.terms)


def _same(a: Dim, b: Dim) -> bool:
    return a == b if isinstance(a, int) and isinstance(b, int) else not isinstance(a, int) and a.same(b)


def _value(dim: Dim, values: Mapping[str, int]) -> int:
    return dim if isinstance(dim, int) else dim.evaluate(values)


_active: contextvars.ContextVar[Guards | None] = contextvars.ContextVar("pullback_guards", default=None)


def active_guards() -> Guards | None:
    """The guards of the trace that is going on, if one is."""
    return _active.get()


class tracing:
    """`with tracing(guards):` lets sizes take the values of `guards` and records what they decide."""

    def __init__(self, guards: Guards) -> None:
        self.guards = guards

    def __enter__(self) -> Guards:
        self._token = _active.set(self.guards)
        return self.guards

    def __exit__(self, *exc: object) -> None:
        _active.reset(self._token)
