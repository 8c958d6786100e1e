"""Slices with traced bounds, such as x[i:i+3]: their length is the difference of the bounds, which must be known."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .errors import DTypeError, ShapeError
from .node import Expr, where
from .primitives import scalar
from .size import Dim, Size

_DEPTH = 50      # bounds are short sums; a deeper expression is taken as one unknown


def index_vector(start: Any, stop: Any, step: int) -> Expr:
    """The indices start, start + step, ... before stop; at least one bound is an expression.

    Raises ShapeError unless stop - start is known when the program is built. The indices are not clamped.
    """
    if start is None or stop is None:
        raise ShapeError("a slice with a traced bound needs both bounds, so that its length is known: write x[i:i+3]")
    for bound in (start, stop):
        if isinstance(bound, Expr) and (bound.dtype.kind not in "iu" or bound.shape):
            raise DTypeError(f"a bound of a slice is one integer, not {bound.dtype} of shape {bound.shape}"
                             f"{where(bound)}")
    span = _difference(stop, start)
    if span is None:
        raise ShapeError(f"the length of the slice {start}:{stop} is not known when the program is built: "
                         "write both bounds from one index, such as x[i:i+3], or choose elements with pb.where")
    count = sizes.floordiv(span + step - 1, step) if step > 0 else sizes.floordiv(-span - step - 1, -step)
    count = sizes.maximum(count, 0)
    offsets = primitives.iota((count,), 0)
    offsets = scalar("multiply", offsets, step) if step != 1 else offsets
    first = primitives.cast(start, np.int64) if isinstance(start, Expr) else start
    return scalar("add", offsets, first)


def _difference(a: Any, b: Any) -> Dim | None:
    """a - b where it is a size, else None."""
    terms: dict[Expr, Dim] = {}
    rest = _collect(a, 1, terms, 0) + _collect(b, -1, terms, 0)
    return rest if all(isinstance(c, int) and c == 0 for c in terms.values()) else None


def _collect(e: Any, factor: int, terms: dict[Expr, Dim], depth: int) -> Dim:
    """Add factor*e, split into unknown terms and a size, to `terms`; the size is returned."""
    if isinstance(e, (int, Size)):
        return e * factor
    if e.op == "size":
        return e.attrs[0] * factor
    if e.op == "const" and not e.shape:
        return int(e.attrs[0].array) * factor
    if depth < _DEPTH:
        if e.op == "cast" and np.can_cast(e.args[0].dtype, e.dtype, "safe"):
            return _collect(e.args[0], factor, terms, depth + 1)
        if e.op in ("add", "subtract"):
            sign = 1 if e.op == "add" else -1
            return _collect(e.args[0], factor, terms, depth + 1) + _collect(e.args[1], sign * factor, terms, depth + 1)
        if e.op == "multiply":
            for number, other in (e.args, e.args[::-1]):
                if number.op == "const" and not number.shape:
                    return _collect(other, factor * int(number.attrs[0].array), terms, depth + 1)
    terms[e] = terms.get(e, 0) + factor
    return 0
