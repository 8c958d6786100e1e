"""A phrase: the call of a public function that an operation is printed as."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .node import Expr


@dataclass(frozen=True, eq=False)
class Phrase:
    """The call `name(*args, **named)`. Arguments are expressions, phrases, nests of them and static values.

    Leaves: `name` of a variable, `number` (0-d array), `array` (a captured one), `size`.
    """

    name: str
    args: tuple = ()
    named: dict[str, Any] = field(default_factory=dict)

    def expressions(self) -> Iterator[Expr]:
        """The expressions that it speaks of, in order."""
        return _expressions((self.args, self.named))


def _expressions(value: Any) -> Iterator[Expr]:
    if isinstance(value, Expr):
        yield value
    elif isinstance(value, Phrase):
        yield from value.expressions()
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _expressions(part)
    elif isinstance(value, dict):
        yield from _expressions(tuple(value.values()))
    elif isinstance(value, slice):
        yield from _expressions((value.start, value.stop, value.step))
