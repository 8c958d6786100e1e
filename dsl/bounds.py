"""How large an integer expression can be, by its form: `i` in a loop of n turns is at most n - 1."""

from __future__ import annotations

from . import size
from .node import Expr
from .size import Dim


def most(x: Expr) -> Dim | None:
    """A size that scalar `x` never exceeds; None where its form does not tell."""
    return _end(x, True)


def least(x: Expr) -> Dim | None:
    """A size that scalar `x` is never below; None where its form does not tell."""
    return _end(x, False)


def _end(x: Expr, upper: bool) -> Dim | None:
    if x.op == "const":
        return int(x.attrs[0].array) if not x.shape and x.dtype.kind in "iu" else None
    if x.op == "size":
        return x.attrs[0]
    if x.op == "bound":
        known = len(x.attrs) > 1
        return (x.attrs[1] - 1 if upper else 0) if known else None
    if x.op == "cast":
        return _end(x.args[0], upper) if x.args[0].dtype.kind in "iu" else None
    if x.op not in ("add", "subtract", "minimum", "maximum"):
        return None
    a, b = _end(x.args[0], upper), _end(x.args[1], upper != (x.op == "subtract"))
    if x.op == "minimum" and upper or x.op == "maximum" and not upper:
        return a if b is None else b                  # either will do
    if a is None or b is None:
        return None
    if x.op in ("add", "subtract"):
        return a + b if x.op == "add" else a - b
    return size.maximum(a, b) if upper else size.minimum(a, b)
