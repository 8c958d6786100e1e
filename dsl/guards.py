"""What a trace assumes about the sizes of its inputs, so that its program is used again only where it holds."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
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

    def canonical(self, dim: Dim) -> Dim:
        """`dim` with every symbol replaced by what it was found equal to."""
        while not isinstance(dim, int):
            known = {s: self.equal[s] for s in dim.symbols() if s in self.equal}
            if not known:
                return dim
            dim = dim.substitute(known)
        return dim


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
