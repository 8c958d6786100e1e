"""Determinants from LU factors, with gradients that hold where a matrix is singular.

    slogdet(a)     sign and logarithm of the absolute value
    det(a)
    cofactor(a)    the derivative of the determinant: det(a) * inv(a).T, and its limit where one pivot is zero
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import linalg_small as small
from .adjoint import masked, negated, quotient, scale, total
from .diagonals import diagonal
from .library import ROUTINES, Parts, Routine, Type, routine
from .linalg_rules import inverse, only, transposed, triangular
from .linear import matmul
from .node import Expr
from .primitives import (
    broadcast,
    cast,
    complex_,
    elementwise,
    full,
    imag,
    iota,
    part_dtype,
    real,
    reduce,
    reshape,
    zeros_like,
)

Cotangents = Sequence[Expr | None]


def _scalar(a: Expr) -> Type:
    return a.dtype, ()


def _spread(g: Expr, like: Expr) -> Expr:
    """A number for each matrix, at all its elements."""
    return broadcast(g, tuple(range(len(g.shape))), like.shape)


def _sum(x: Expr) -> Expr:
    """Over the elements of each matrix."""
    rank = len(x.shape)
    return reduce(x, "add", (rank - 2, rank - 1))


def _product(x: Expr) -> Expr:
    """Along the last axis."""
    return reduce(x, "multiply", (len(x.shape) - 1,))


def _factored(a: Expr) -> tuple[Expr, Expr, Expr, Expr]:
    """LU factors, pivots, their diagonal, and the sign of the permutation: a factor -1 for every exchange."""
    factors, pivots = routine("getrf", a)
    place = elementwise("add", iota(pivots.shape, len(pivots.shape) - 1, np.int32), full(pivots.shape, 1, np.int32))
    one = full(pivots.shape, 1, part_dtype(a.dtype))
    signs = elementwise("where", elementwise("equal", pivots, place), one, negated(one))
    return factors, pivots, diagonal(factors, 0, -2, -1), cast(_product(signs), a.dtype)


# ---- det --------------------------------------------------------------------------------------------------------
def determinant(a: Expr) -> Expr:
    return routine("det", a)[0]


def cofactor(a: Expr) -> Expr:
    return routine("cofactor", a)[0]


def _det_forward(node: Expr, tangents: Cotangents) -> Parts:
    """tr(cofactor.T @ da) (Jacobi)."""
    return [_sum(scale(only(tangents), cofactor(node.args[0])))]


def _det_reverse(node: Expr, parts: Cotangents) -> Parts:
    share = cofactor(node.args[0])
    return [scale(_spread(only(parts), share), share)]


def _det_expansion(a: Expr) -> list[Expr]:
    if small.is_small(a):
        return [small.determinant(a)]
    _, _, pivots, sign = _factored(a)
    return [elementwise("multiply", _product(pivots), sign)]


def _cofactor_forward(node: Expr, tangents: Cotangents) -> Parts:
    """(tr(c.T da) c - c da.T c) / det; NaN where `a` is singular."""
    a, da = node.args[0], only(tangents)
    c = cofactor(a)
    parts = [scale(_spread(_sum(scale(da, c)), c), c), negated(matmul(c, matmul(transposed(da), c)))]
    return [quotient(total(parts), _spread(determinant(a), c))]


def _cofactor_expansion(a: Expr) -> list[Expr]:
    """det * inv.T. Where just one pivot is zero, y @ u.T times the other pivots: with one put in its place the factors
    give the null vectors u of `a` and y of its transpose, scaled so that it is exact. With more zeros it is NaN.
    """
    factors, pivots, diagonal_, sign = _factored(a)
    axis, one = len(diagonal_.shape) - 1, full(diagonal_.shape, 1, a.dtype)
    zero = elementwise("equal", diagonal_, zeros_like(diagonal_))
    filled = elementwise("where", zero, one, diagonal_)
    value = elementwise("multiply", _product(filled), sign)
    mended = elementwise("add", factors, _on_diagonal(cast(zero, a.dtype)))
    unit = cast(zero, a.dtype)
    column, row = (*unit.shape, 1), (*unit.shape[:-1], 1, unit.shape[-1])
    u = routine("getrs", mended, pivots, reshape(unit, row), trans=False)[0]
    y = triangular(mended, reshape(unit, column), lower=True, trans=True)
    regular = transposed(routine("getri", mended, pivots)[0])
    zeros = reduce(cast(zero, part_dtype(a.dtype)), "add", (axis,))
    single = elementwise("where", elementwise("equal", zeros, full(zeros.shape, 1, zeros.dtype)), value,
                         full(zeros.shape, np.nan, a.dtype))
    singular = scale(matmul(y, u), _spread(single, a))
    none = _spread(elementwise("equal", zeros, zeros_like(zeros)), a)
    return [elementwise("where", none, scale(regular, _spread(value, a)), singular)]


def _on_diagonal(d: Expr) -> Expr:
    """The matrices with `d` on their diagonals."""
    n = d.shape[-1]
    whole = broadcast(d, (*range(len(d.shape) - 1), len(d.shape)), (*d.shape[:-1], n, n))
    rank = len(whole.shape)
    return masked(elementwise("equal", iota(whole.shape, rank - 1), iota(whole.shape, rank - 2)), whole)


# ---- slogdet ----------------------------------------------------------------------------------------------------
def slogdet(a: Expr) -> tuple[Expr, ...]:
    return routine("slogdet", a)


def _slogdet_types(a: Expr) -> list[Type]:
    return [_scalar(a), (part_dtype(a.dtype), ())]


def _slogdet_forward(node: Expr, tangents: Cotangents) -> Parts:
    """The real part of t = tr(a^-1 @ da) for the logarithm; i Im(t) times the sign, which turns if it is complex."""
    a = node.args[0]
    along = _sum(scale(only(tangents), transposed(inverse(a))))
    if a.dtype.kind != "c":
        return [None, along]
    turned = complex_(zeros_like(real(along)), imag(along))
    return [scale(turned, slogdet(a)[0]), real(along)]


def _slogdet_reverse(node: Expr, parts: Cotangents) -> Parts:
    """g for the logarithm and h for the sign give t -> Re((g + i Im(h sign)) t)."""
    (a,), (h, g) = node.args, parts
    terms = [] if g is None else [cast(g, a.dtype)]
    if h is not None and a.dtype.kind == "c":
        turned = imag(scale(h, slogdet(a)[0]))
        terms.append(complex_(zeros_like(turned), turned))
    if not terms:
        return [None]
    share = transposed(inverse(a))
    return [scale(_spread(total(terms), share), share)]


def _slogdet_expansion(a: Expr) -> list[Expr]:
    _, _, pivots, sign = _factored(a)
    logarithm = elementwise("log", elementwise("abs", pivots))
    return [elementwise("multiply", _product(_phase(pivots)), sign),
            reduce(logarithm, "add", (len(pivots.shape) - 1,))]


def _phase(z: Expr) -> Expr:
    """z / |z|, and 0 at 0."""
    if z.dtype.kind != "c":
        return elementwise("sign", z)
    zero = elementwise("equal", z, zeros_like(z))
    one = full(z.shape, 1, z.dtype)
    size = cast(elementwise("abs", z), z.dtype)
    return elementwise("where", zero, z, elementwise("divide", z, elementwise("where", zero, one, size)))


ROUTINES.update({
    "det": Routine((2,), lambda a: [_scalar(a)], _det_forward, _det_reverse, expansion=_det_expansion),
    "cofactor": Routine((2,), lambda a: [(a.dtype, tuple(a.shape[-2:]))], _cofactor_forward,
                        expansion=_cofactor_expansion),
    "slogdet": Routine((2,), _slogdet_types, _slogdet_forward, _slogdet_reverse, expansion=_slogdet_expansion,
                       analytic=False),
})
