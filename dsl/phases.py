"""Which nodes of a program are its derivatives, told to whoever listens while it is traced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from .node import Expr


@dataclass(frozen=True, eq=False)
class Differentiation:
    """`results` are derivatives of `outputs`, found in the `phase` 'reverse' or 'tangent'."""

    phase: str
    outputs: tuple[Expr, ...]
    results: tuple[Expr, ...]


_found: ContextVar[list[Differentiation] | None] = ContextVar("differentiations", default=None)


def differentiated(phase: str, outputs: Sequence[Expr], results: Sequence[Expr]) -> None:
    """Tell that typed `results` are derivatives of typed `outputs`."""
    listener = _found.get()
    if listener is not None:
        listener.append(Differentiation(phase, tuple(outputs), tuple(results)))


@contextmanager
def differentiations() -> Iterator[list[Differentiation]]:
    """What is differentiated inside, in order."""
    found: list[Differentiation] = []
    token = _found.set(found)
    try:
        yield found
    finally:
        _found.reset(token)
