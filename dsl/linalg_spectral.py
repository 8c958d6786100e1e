"""Orthogonal and spectral factorisations: qr, eigh, svd, and the pseudo-inverse.

Sources: S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions with application in optimum
experimental design" (2010) for qr; M. Giles (2008) for eigh and svd; G. Golub and V. Pereyra, "The differentiation of
pseudo-inverses" (1973). Vectors of equal eigenvalues (or of equal or zero singular values) have no derivative: it is
NaN or inf there, as in JAX. The values have one, always.

    qr(a)          q, r of a matrix with at least as many rows as columns
    eigh(a)        values in ascending order, and vectors as columns, of a symmetric or Hermitian matrix
    eig(a)         values and vectors as columns, of length 1, of any square complex matrix
    svd(a; full)   u, s, vh
    pinv(a; part, count)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .adjoint import masked, negated, quotient, scale, total
from .diagonals import diagonal, tril, triu
from .errors import NotDifferentiable
from .library import ROUTINES, Parts, Routine, Type, routine, static_of
from .linalg_rules import conj_transposed, only, solve, transposed, triangular
from .linear import matmul
from .node import Expr, where
from .primitives import (
    broadcast,
    cast,
    complex_,
    conj,
    elementwise,
    full,
    imag,
    iota,
    part_dtype,
    real,
    reduce,
    scalar,
    slice_,
    zeros_like,
)
from .size import Dim, minimum
from .surface import size_value

Cotangents = Sequence[Expr | None]


# ---- helpers of shape -------------------------------------------------------------------------------------------
def along_columns(w: Expr, like: Expr) -> Expr:
    """w[j] at [i, j]."""
    rank = len(like.shape)
    return broadcast(w, (*range(rank - 2), rank - 1), like.shape)


def along_rows(w: Expr, like: Expr) -> Expr:
    """w[i] at [i, j]."""
    return broadcast(w, tuple(range(len(like.shape) - 1)), like.shape)


def _reciprocal(x: Expr) -> Expr:
    return quotient(full(x.shape, 1, x.dtype), x)


def _off_diagonal(x: Expr) -> Expr:
    """`x` with zeros on the diagonal."""
    rank = len(x.shape)
    return masked(elementwise("not_equal", iota(x.shape, rank - 1), iota(x.shape, rank - 2)), x)


def _last_diagonal(x: Expr) -> Expr:
    return diagonal(x, 0, -2, -1)


def _imaginary_diagonal(x: Expr) -> Expr:
    """i Im(x) on the diagonal, zeros elsewhere: what turns the phases of vectors."""
    rank, part = len(x.shape), imag(x)
    there = elementwise("equal", iota(x.shape, rank - 1), iota(x.shape, rank - 2))
    return masked(there, complex_(zeros_like(part), part))


# ---- qr ---------------------------------------------------------------------------------------------------------
def qr(a: Expr) -> tuple[Expr, ...]:
    return routine("qr", a)


def _qr_types(a: Expr) -> list[Type]:
    m, n = a.shape[-2:]
    return [(a.dtype, (m, n)), (a.dtype, (n, n))]


def _qr_forward(node: Expr, tangents: Cotangents) -> Parts:
    q, r = qr(node.args[0])
    along = transposed(triangular(r, transposed(only(tangents)), lower=False, trans=True))     # da @ r^-1
    inner = matmul(conj_transposed(q), along)
    below = tril(inner, -1)
    turned = elementwise("subtract", below, conj_transposed(below))
    if inner.dtype.kind == "c":          # the diagonal of r is real
        turned = total([turned, _imaginary_diagonal(inner)])
    rest = elementwise("subtract", inner, turned)
    return [elementwise("subtract", along, matmul(q, rest)), matmul(rest, r)]


def _qr_reverse(node: Expr, parts: Cotangents) -> Parts:
    """(gq + conj(q @ m)) @ r^-T, m being r @ gr.T - gq.T @ q with its lower triangle mirrored, Hermitian."""
    (q, r), (gq, gr) = qr(node.args[0]), parts
    terms = ([] if gr is None else [matmul(r, transposed(triu(gr)))]) + (
        [] if gq is None else [negated(matmul(transposed(gq), q))])
    inner = total(terms)
    lower = tril(inner)
    if inner.dtype.kind == "c":
        lower = elementwise("subtract", lower, _imaginary_diagonal(inner))
    inner = elementwise("add", lower, conj_transposed(tril(inner, -1)))
    whole = total(([] if gq is None else [gq]) + [conj(matmul(q, inner))])
    return [transposed(triangular(r, transposed(whole), lower=False))]


def _qr_expansion(a: Expr) -> list[Expr]:
    factors, q = routine("gelqf", a)
    batch, n = a.shape[:-2], a.shape[-1]
    return [q, triu(slice_(factors, ((0, 1),) * len(a.shape), (*batch, n, n)))]


# ---- eigh -------------------------------------------------------------------------------------------------------
def eigh(a: Expr) -> tuple[Expr, ...]:
    return routine("eigh", a)


def _eigh_types(a: Expr) -> list[Type]:
    n = a.shape[-1]
    return [(part_dtype(a.dtype), (n,)), (a.dtype, (n, n))]


def _gaps(w: Expr, like: Expr) -> Expr:
    """1 / (w[j] - w[i]), and 0 on the diagonal, in the dtype of `like`."""
    gaps = _off_diagonal(_reciprocal(elementwise("subtract", along_columns(w, like), along_rows(w, like))))
    return cast(gaps, like.dtype)


def _eigh_forward(node: Expr, tangents: Cotangents) -> Parts:
    w, v = eigh(node.args[0])
    inner = matmul(conj_transposed(v), matmul(only(tangents), v))
    return [real(_last_diagonal(inner)), matmul(v, scale(inner, _gaps(w, inner)))]


def _eigh_reverse(node: Expr, parts: Cotangents) -> Parts:
    (w, v), (gw, gv) = eigh(node.args[0]), parts
    terms: list[Expr] = []
    if gv is not None:
        inner = matmul(transposed(v), gv)
        terms.append(matmul(conj(v), matmul(scale(inner, _gaps(w, inner)), transposed(v))))
    if gw is not None:
        terms.append(matmul(scale(conj(v), along_columns(cast(gw, v.dtype), v)), transposed(v)))
    return [total(terms)]


def _eigh_expansion(a: Expr) -> list[Expr]:
    w, rows = routine("syevd", a)
    return [w, conj_transposed(rows)]


# ---- eig --------------------------------------------------------------------------------------------------------
def eig(a: Expr) -> tuple[Expr, ...]:
    return routine("eig", a)


def _eig_types(a: Expr) -> list[Type]:
    n = a.shape[-1]
    return [(a.dtype, (n,)), (a.dtype, (n, n))]


def _eig_forward(node: Expr, tangents: Cotangents) -> Parts:
    """The diagonal of c = v^-1 da v, and v (c * gaps) without what lies along each vector: their lengths stay 1, and
    their phases as they are.
    """
    w, v = eig(node.args[0])
    inner = solve(v, matmul(only(tangents), v))
    moved = matmul(v, scale(inner, _gaps(w, inner)))
    along = reduce(elementwise("multiply", conj(v), moved), "add", (len(v.shape) - 2,))
    return [_last_diagonal(inner), elementwise("subtract", moved, scale(v, along_columns(along, v)))]


def _eig_expansion(a: Expr) -> list[Expr]:
    """LAPACK gets zeros where a matrix is not finite: it would print complaints."""
    rank = len(a.shape)
    finite = reduce(elementwise("isfinite", a), "logical_and", (rank - 2, rank - 1))
    given = broadcast(finite, tuple(range(rank - 2)), a.shape)
    w, rows = routine("geev", elementwise("where", given, a, zeros_like(a)))
    nan = full(a.shape, np.nan, a.dtype)
    known = broadcast(finite, tuple(range(rank - 2)), w.shape)
    return [elementwise("where", known, w, full(w.shape, np.nan, w.dtype)),
            elementwise("where", given, conj_transposed(rows), nan)]


# ---- svd --------------------------------------------------------------------------------------------------------
def svd(a: Expr) -> tuple[Expr, ...]:
    return routine("svd", a, full=False)


def full_svd(a: Expr) -> tuple[Expr, ...]:
    """With as many vectors as there can be."""
    return routine("svd", a, full=True)


def _svd_types(a: Expr, full: bool) -> list[Type]:
    m, n = a.shape[-2:]
    k = minimum(m, n)
    return [(a.dtype, (m, m if full else k)), (part_dtype(a.dtype), (k,)), (a.dtype, (n if full else k, n))]


def _svd_forward(node: Expr, tangents: Cotangents) -> Parts:
    """Of the factors with as many vectors as values. The parts outside of their span vanish where there is none."""
    (a,), (da,) = node.args, tangents
    if da is None or static_of(node)["full"]:
        raise NotDifferentiable(f"the vectors that complete a singular value decomposition have no derivative"
                                f"{where(node)}: use svd(a, full_matrices=False)")
    u, s, vh = svd(a)
    v, uh = conj_transposed(vh), conj_transposed(u)
    inner = matmul(uh, matmul(da, v))
    row, column = (cast(along(s, inner), inner.dtype) for along in (along_rows, along_columns))
    gaps = scale(_gaps(s, inner), _reciprocal(elementwise("add", column, row)))
    turned, inverse = conj_transposed(inner), cast(_reciprocal(s), a.dtype)
    moved = scale(gaps, total([scale(inner, column), scale(turned, row)]))
    if a.dtype.kind == "c":              # pairs of vectors may turn together: all of it to those of u
        moved = total([moved, scale(_imaginary_diagonal(inner), along_columns(inverse, inner))])
    du = matmul(u, moved)
    dv = matmul(scale(gaps, negated(total([scale(inner, row), scale(turned, column)]))), vh)
    beyond_u = elementwise("subtract", matmul(da, v), matmul(u, inner))
    beyond_v = elementwise("subtract", matmul(uh, da), matmul(inner, vh))
    return [total([du, scale(beyond_u, along_columns(inverse, beyond_u))]), real(_last_diagonal(inner)),
            total([dv, scale(beyond_v, along_rows(inverse, beyond_v))])]


def _svd_expansion(a: Expr, full: bool) -> tuple[Expr, ...]:
    return routine("gesdd", a, full=full)


# ---- the pseudo-inverse -----------------------------------------------------------------------------------------
def pinv(a: Expr, part: float, count: Dim) -> Expr:
    return routine("pinv", a, part=part, count=count)[0]


def kept_values(s: Expr, part: float, count: Dim) -> Expr:
    """Which singular values are more than `part * count` times the largest."""
    axis = len(s.shape) - 1
    least = scalar("multiply", reduce(s, "maximum", (axis,)), scalar("multiply", size_value(count, s.dtype), part))
    return scalar("greater", s, broadcast(least, tuple(range(axis)), s.shape))


def _pinv_types(a: Expr, part: float, count: Dim) -> list[Type]:
    return [(a.dtype, tuple(a.shape[:-3:-1]))]


def _pinv_forward(node: Expr, tangents: Cotangents) -> Parts:
    """-p da p + p p.H da.H (1 - a p) + (1 - p a) da.H p.H p (Golub and Pereyra, 4.12)."""
    a, da = node.args[0], only(tangents)
    p = pinv(a, **static_of(node))
    ph, dah = conj_transposed(p), conj_transposed(da)
    left, right = matmul(p, matmul(ph, dah)), matmul(matmul(dah, ph), p)
    return [total([negated(matmul(p, matmul(da, p))), left, negated(matmul(left, matmul(a, p))),
                   right, negated(matmul(p, matmul(a, right)))])]


def _pinv_expansion(a: Expr, part: float, count: Dim) -> list[Expr]:
    u, s, vh = svd(a)
    kept = kept_values(s, part, count)
    one = full(s.shape, 1, s.dtype)
    inverse = elementwise("where", kept, elementwise("divide", one, elementwise("where", kept, s, one)), zeros_like(s))
    v = conj_transposed(vh)
    return [matmul(scale(v, along_columns(cast(inverse, a.dtype), v)), conj_transposed(u))]


def _work(factor: int) -> Any:
    def flops(a: Expr, **static: Any) -> Dim:
        m, n = a.shape[-2:]
        return m * n * minimum(m, n) * factor

    return flops


ROUTINES.update({
    "qr": Routine((2,), _qr_types, _qr_forward, _qr_reverse, expansion=_qr_expansion, analytic=False),
    "gelqf": Routine((2,), lambda a: [(a.dtype, tuple(a.shape[-2:]))] * 2, flops=_work(4)),
    "eigh": Routine((2,), _eigh_types, _eigh_forward, _eigh_reverse, expansion=_eigh_expansion, analytic=False),
    "syevd": Routine((2,), _eigh_types, flops=_work(9)),
    "eig": Routine((2,), _eig_types, _eig_forward, expansion=_eig_expansion, analytic=False),
    "geev": Routine((2,), _eig_types, flops=_work(25)),
    "svd": Routine((2,), _svd_types, _svd_forward, expansion=_svd_expansion, analytic=False),
    "gesdd": Routine((2,), _svd_types, flops=_work(14)),
    "pinv": Routine((2,), _pinv_types, _pinv_forward, expansion=_pinv_expansion, analytic=False),
})
