"""How LAPACK and BLAS are called for a library routine: the rows that native code runs without Python.

A call is words: the routine without its letter of type, then its arguments,

    'T        a character                 n, k, 1, -1     an integer of `dims`, or that number
    one, zero the numbers                 o0, t0, s0      operand, result or scratch memory
    info      where the routine reports failure

and `copy X Y` copies memory Y, of an operand or result, to X. LAPACK is column-major, so a row-major matrix is the
transpose of what it sees. Each row chooses the call that wants that transpose: no matrix is ever turned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..dsl.size import Dim, minimum
from .program import Library

Dims = dict[str, Dim]
BLOCK = 64               # columns that LAPACK works on at a time, at most
Wanted = tuple[int, ...]


@dataclass(frozen=True)
class Native:
    """`calls(dims, wanted, **static)` for each element of the batch, `wanted` being the results that are read. Result k
    starts as a copy of operand `starts[k]`.

    `dims(*shapes)`: the integers that calls name, of the operands' core shapes. `scratch`: dtype (None: that of the
    matrices, 'part': of their parts) and elements. `fails`: the results are NaN where the routine reports failure.
    `diagonal`: they are where operand 0 has a zero on its diagonal, `unless` a static flag says that it is not looked
    at. `of_complex`: the row for complex numbers, where LAPACK is called otherwise for them.
    """

    dims: Callable[..., Dims]
    calls: Callable[..., tuple[str, ...]]
    starts: tuple[int | None, ...]
    scratch: tuple[tuple[str | None, Callable[[Dims], Dim]], ...] = ()
    fails: bool = False
    diagonal: Callable[..., bool] = lambda **static: False
    of_complex: Native | None = None


def _square(a: tuple[Dim, ...], *rest: tuple[Dim, ...]) -> Dims:
    return {"n": a[-1]}


def _columns(a: tuple[Dim, ...], b: tuple[Dim, ...]) -> Dims:
    return {"n": a[-1], "k": b[-1]}


def _rows(a: tuple[Dim, ...], pivots: tuple[Dim, ...], b: tuple[Dim, ...]) -> Dims:
    return {"n": a[-1], "k": b[-2]}


def _getrs(dims: Dims, wanted: Wanted, trans: bool) -> tuple[str, ...]:
    """The factors are those of a.T."""
    return (f"getrs '{'N' if trans else 'T'} n k o0 n o1 t0 n info",)


def _trsm(dims: Dims, wanted: Wanted, lower: bool, trans: bool, unit: bool) -> tuple[str, ...]:
    """x.T @ op(a).T = b.T, or for one right-hand side, whose memory is the same either way, op(a) @ x = b."""
    triangle, diagonal = "U" if lower else "L", "U" if unit else "N"
    if isinstance(dims["k"], int) and dims["k"] == 1:
        return (f"trsm 'L '{triangle} '{'N' if trans else 'T'} '{diagonal} n 1 one o0 n t0 n",)
    return (f"trsm 'R '{triangle} '{'T' if trans else 'N'} '{diagonal} k n one o0 n t0 k",)


def _trmm(dims: Dims, wanted: Wanted, lower: bool, trans: bool) -> tuple[str, ...]:
    """x.T = b.T @ op(a).T"""
    return (f"trmm 'R '{'U' if lower else 'L'} '{'T' if trans else 'N'} 'N k n one o0 n t0 k",)


def _syrk(dims: Dims, wanted: Wanted, trans: bool) -> tuple[str, ...]:
    return ("syrk 'U 'N n k one o0 n zero t0 n",) if trans else ("syrk 'U 'T k n one o0 n zero t0 k",)


NATIVE: dict[str, Native] = {
    "potrf": Native(_square, lambda dims, wanted: ("potrf 'U n t0 n info",), (0,), fails=True),
    "getrf": Native(_square, lambda dims, wanted: ("getrf n n t0 n t1 info",), (0, None)),
    "getrs": Native(_rows, _getrs, (2,), diagonal=lambda trans: True),
    "getri": Native(lambda a, pivots: {"n": a[-1], "w": a[-1] * BLOCK}, lambda dims, wanted: (
        "getri n t0 n o1 s0 w info",), (0,), ((None, lambda d: d["w"]),), diagonal=lambda: True),
    "trmm": Native(_columns, _trmm, (1,)),
    "syrk": Native(lambda a: {"n": a[-1], "k": a[-2]}, _syrk, (None,)),
    "triangular": Native(_columns, _trsm, (1,), diagonal=lambda lower, trans, unit: not unit),
}


def _qr_dims(a: tuple[Dim, ...]) -> Dims:
    return {"m": a[-2], "n": a[-1], "w": a[-1] * BLOCK}


def _eigh(dims: Dims, wanted: Wanted) -> tuple[str, ...]:
    vectors = "V" if 1 in wanted else "N"
    return (f"syevd '{vectors} 'U n t1 n t0 s0 w s1 v info",)


def _hermitian(dims: Dims, wanted: Wanted) -> tuple[str, ...]:
    vectors = "V" if 1 in wanted else "N"
    return (f"heevd '{vectors} 'U n t1 n t0 s0 w s1 r s2 v info",)


def _eigh_dims(a: tuple[Dim, ...]) -> Dims:
    """`w`, `r` and `v`: elements of work space, as LAPACK asks for them."""
    n = a[-1]
    return {"n": n, "w": 1 + 6 * n + 2 * n * n + BLOCK * n, "r": 1 + 5 * n + 2 * n * n, "v": 3 + 5 * n}


def _eig(dims: Dims, wanted: Wanted) -> tuple[str, ...]:
    """Left vectors of the transpose are conjugates of those wanted; right ones are not looked at."""
    return ("copy s0 o0", f"geev '{'V' if 1 in wanted else 'N'} 'N n s0 n t0 t1 n t1 n s1 w s2 info")


def _svd(work: str) -> Callable[..., tuple[str, ...]]:
    """The transpose is v @ s @ u.T: what LAPACK calls u is v here, and the other way round."""
    def calls(dims: Dims, wanted: Wanted, full: bool) -> tuple[str, ...]:
        letter = "N" if wanted == (1,) else "A" if full else "S"
        return ("copy s0 o0", f"gesdd '{letter} n m s0 n t1 t2 n t0 {'m' if full else 'k'} s1 w {work} info")

    return calls


def _svd_dims(a: tuple[Dim, ...]) -> Dims:
    m, n = a[-2:]
    k = minimum(m, n)
    return {"m": m, "n": n, "k": k, "w": 5 * k * k + 7 * k + BLOCK * (m + n)}


def _lq(letters: str) -> Callable[..., tuple[str, ...]]:
    return lambda dims, wanted: ("gelqf n m t0 n s0 s1 w info", "copy t1 t0", f"{letters}lq n m n t1 n s0 s1 w info")


def _orthogonal(letters: str, other: Native | None) -> Native:
    return Native(_qr_dims, _lq(letters), (0, None), ((None, lambda d: d["n"]), (None, lambda d: d["w"])), fails=True,
                  of_complex=other)


NATIVE.update({
    "gelqf": _orthogonal("org", _orthogonal("ung", None)),
    "syevd": Native(
        _eigh_dims, _eigh, (None, 0), ((None, lambda d: d["w"]), ("int32", lambda d: d["v"])), fails=True,
        of_complex=Native(_eigh_dims, _hermitian, (None, 0), (
            (None, lambda d: d["w"]), ("part", lambda d: d["r"]), ("int32", lambda d: d["v"])), fails=True)),
    "geev": Native(lambda a: {"n": a[-1], "w": 2 * a[-1] + BLOCK * a[-1]}, _eig, (None, None), (
        (None, lambda d: d["n"] * d["n"]), (None, lambda d: d["w"]), ("part", lambda d: 2 * d["n"])), fails=True),
    "gesdd": Native(
        _svd_dims, _svd("s2"), (None, None, None), (
            (None, lambda d: d["m"] * d["n"]), (None, lambda d: d["w"]), ("int32", lambda d: 8 * d["k"])), fails=True,
        of_complex=Native(_svd_dims, _svd("s2 s3"), (None, None, None), (
            (None, lambda d: d["m"] * d["n"]), (None, lambda d: d["w"]),
            ("part", lambda d: d["k"] * (5 * d["k"] + 7) + 2 * d["m"] * d["n"]), ("int32", lambda d: 8 * d["k"])),
            fails=True)),
})


def native_row(step: Library) -> Native:
    """The row for the dtype of the step."""
    row = NATIVE[step.routine]
    return row.of_complex or row if str(step.attr("dtype")).startswith("complex") else row


def calls_of(step: Library) -> tuple[tuple[str, ...], Dims]:
    """The calls of a step for one element of its batch, and the integers in them."""
    native = native_row(step)
    shapes: Any = step.attr("shapes")
    dims = native.dims(*shapes)
    return native.calls(dims, step.attr("wanted"), **dict(step.attr("static"))), dims  # type: ignore[call-overload]


