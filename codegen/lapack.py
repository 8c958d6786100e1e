"""How LAPACK and BLAS are called for a library routine: the rows that native code runs without Python.

A call is words: the routine without its letter of type, then its arguments,

    'T        a character                 n, k, 1, -1     an integer of `dims`, or that number
    one       the number 1                o0, t0, s0      operand, result or scratch memory
    info      where the routine reports failure

LAPACK is column-major, so a row-major matrix is the transpose of what it sees. Each row chooses the call that wants
that transpose: no matrix is ever turned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..dsl.size import Dim
from .program import Library

Dims = dict[str, Dim]


@dataclass(frozen=True)
class Native:
    """`calls(dims, **static)` for each element of the batch. Result k starts as a copy of operand `starts[k]`.

    `dims(*shapes)`: the integers that calls name, of the operands' core shapes. `scratch`: dtype (None: that of the
    matrices) and elements. `fails`: the results are NaN where the routine reports failure. `diagonal`: they are where
    operand 0 has a zero on its diagonal, `unless` a static flag says that it is not looked at.
    """

    dims: Callable[..., Dims]
    calls: Callable[..., tuple[str, ...]]
    starts: tuple[int | None, ...]
    scratch: tuple[tuple[str | None, Callable[[Dims], Dim]], ...] = ()
    fails: bool = False
    diagonal: Callable[..., bool] = lambda **static: False


def _square(a: tuple[Dim, ...], *rest: tuple[Dim, ...]) -> Dims:
    return {"n": a[-1]}


def _columns(a: tuple[Dim, ...], b: tuple[Dim, ...]) -> Dims:
    return {"n": a[-1], "k": b[-1]}


def _rows(a: tuple[Dim, ...], pivots: tuple[Dim, ...], b: tuple[Dim, ...]) -> Dims:
    return {"n": a[-1], "k": b[-2]}


def _getrs(dims: Dims, trans: bool) -> tuple[str, ...]:
    """The factors are those of a.T."""
    return (f"getrs '{'N' if trans else 'T'} n k o0 n o1 t0 n info",)


def _trsm(dims: Dims, lower: bool, trans: bool, unit: bool) -> tuple[str, ...]:
    """x.T @ op(a).T = b.T, or for one right-hand side, whose memory is the same either way, op(a) @ x = b."""
    triangle, diagonal = "U" if lower else "L", "U" if unit else "N"
    if isinstance(dims["k"], int) and dims["k"] == 1:
        return (f"trsm 'L '{triangle} '{'N' if trans else 'T'} '{diagonal} n 1 one o0 n t0 n",)
    return (f"trsm 'R '{triangle} '{'T' if trans else 'N'} '{diagonal} k n one o0 n t0 k",)


NATIVE: dict[str, Native] = {
    "potrf": Native(_square, lambda dims: ("potrf 'U n t0 n info",), (0,), fails=True),
    "getrf": Native(_square, lambda dims: ("getrf n n t0 n t1 info",), (0, None)),
    "getrs": Native(_rows, _getrs, (2,), diagonal=lambda trans: True),
    "triangular": Native(_columns, _trsm, (1,), diagonal=lambda lower, trans, unit: not unit),
}


def calls_of(step: Library) -> tuple[tuple[str, ...], Dims]:
    """The calls of a step for one element of its batch, and the integers in them."""
    native = NATIVE[step.routine]
    shapes: Any = step.attr("shapes")
    dims = native.dims(*shapes)
    return native.calls(dims, **dict(step.attr("static"))), dims  # type: ignore[call-overload]


