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


def never_negative(x: Expr) -> bool:
    """Whether scalar `x` is at least 0 by its form, where it is computed at all."""
    low = least(x)
    return low is not None and size.surely_nonnegative(low)


def is_below(x: Expr, extent: Dim) -> bool:
    """Whether scalar `x` is less than `extent` by its form, where it is computed at all."""
    high = most(x)
    if high is None:
        return False
    return any(size.surely_nonnegative(n - 1 - high) for n in (extent, size.where_positive(extent)))   # at least these


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
