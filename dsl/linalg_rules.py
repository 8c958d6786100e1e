"""Matrix routines: types, derivatives in both modes, flops and what they are in simpler routines.

Everything is batched over leading axes. Sources: M. Giles, "Collected matrix derivative results for forward and
reverse mode algorithmic differentiation" (2008); I. Murray, "Differentiation of the Cholesky decomposition" (2016).
The derivatives are written with the same routines, so they hold to every order, and a factorisation of the value is
the very same node in them. Of complex matrices a cotangent g stands for dz -> Re(g dz): a rule with no conjugate in its
tangent has none in its cotangent; where .H stands in the sources for real matrices is .T.

    cholesky(a)                          lower factor of a symmetric or Hermitian matrix: a = l @ l.H
    solve(a, b; trans)                   x of op(a) @ x = b, with matrices b; op is the transpose where trans
    inv(a), expm(a)
    triangular(a, b; lower, trans, unit) x of op(a) @ x = b where only one triangle of a is looked at
    trmm(a, b; lower, trans)             op(a) @ b of a triangle
    syrk(a; trans)                       the lower triangle of a @ a.T, or of a.T @ a
    potrf getrf getrs getri              what these are composed of; getrs has rows as right-hand sides
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import linalg_small as small
from .adjoint import negated, scale, total
from .batch import Lane, Lanes
from .diagonals import tril, triu
from .library import ROUTINES, Parts, Routine, Type, routine, static_of
from .linear import matmul
from .node import Expr
from .primitives import broadcast, concat, conj, elementwise, full, iota, reshape, slice_, transpose, zeros_like
from .size import Dim

Cotangents = Sequence[Expr | None]


# ---- matrices ---------------------------------------------------------------------------------------------------
def transposed(x: Expr) -> Expr:
    """The last two axes exchanged; free where one of them has one element."""
    rank = len(x.shape)
    if any(isinstance(d, int) and d == 1 for d in x.shape[-2:]):
        return reshape(x, (*x.shape[:-2], x.shape[-1], x.shape[-2]))
    return transpose(x, (*range(rank - 2), rank - 1, rank - 2))


def identity(batch: tuple[Dim, ...], n: Dim, dtype: Any) -> Expr:
    """Unit matrices."""
    shape = (n, n)
    ones = elementwise("equal", iota(shape, 0), iota(shape, 1))
    unit = elementwise("where", ones, full(shape, 1, dtype), full(shape, 0, dtype))
    return broadcast(unit, (len(batch), len(batch) + 1), (*batch, *shape))


def half(x: Expr) -> Expr:
    return scale(x, full(x.shape, 0.5, x.dtype))


def conj_transposed(x: Expr) -> Expr:
    """x.H; of real matrices x.T."""
    return transposed(conj(x))


def hermitian_part(x: Expr) -> Expr:
    """The symmetric part of real matrices."""
    return half(elementwise("add", x, conj_transposed(x)))


def lower_half(x: Expr) -> Expr:
    """The lower triangle with half of the diagonal."""
    row, column = (iota(x.shape, len(x.shape) - 2), iota(x.shape, len(x.shape) - 1))
    zero = full(x.shape, 0, x.dtype)
    kept = elementwise("where", elementwise("equal", row, column), half(x), zero)
    return elementwise("where", elementwise("less", column, row), x, kept)


def _matrix(a: Expr, *rest: Expr, **static: Any) -> list[Type]:
    return [(a.dtype, tuple(a.shape[-2:]))]


def _like_last(*operands: Expr, **static: Any) -> list[Type]:
    return [(operands[-1].dtype, tuple(operands[-1].shape[-2:]))]


def only(parts: Cotangents) -> Expr:
    part, = parts
    assert part is not None
    return part


# ---- cholesky ---------------------------------------------------------------------------------------------------
def cholesky(a: Expr) -> Expr:
    return routine("cholesky", a)[0]


def _cholesky_forward(node: Expr, tangents: Cotangents) -> Parts:
    """dl = l @ lower_half(l^-1 @ da @ l^-H) (Murray, eq. 8)."""
    l = cholesky(node.args[0])  # noqa: E741
    left = triangular(l, only(tangents))
    return [triangular_product(l, lower_half(conj_transposed(triangular(l, conj_transposed(left)))))]


def _cholesky_reverse(node: Expr, parts: Cotangents) -> Parts:
    """The Hermitian part of l^-T @ lower_half(l.T @ g) @ conj(l)^-1 (Murray, eq. 10)."""
    l, g = cholesky(node.args[0]), only(parts)  # noqa: E741
    inner = lower_half(triangular_product(l, g, trans=True))
    left = triangular(l, inner, trans=True)
    return [hermitian_part(conj_transposed(triangular(l, conj_transposed(left), trans=True)))]


def _cholesky_expansion(a: Expr) -> list[Expr]:
    if small.is_small(a, a.shape[-1], False):
        return [small.cholesky(a)]
    return [tril(routine("potrf", a)[0])]


# ---- systems ----------------------------------------------------------------------------------------------------
def solve(a: Expr, b: Expr, trans: bool = False) -> Expr:
    """x of op(a) @ x = b."""
    if a.op == "transpose" and same_but_last(a.attrs[0]):
        a, trans = a.args[0], not trans
    return routine("solve", a, b, trans=trans)[0]


def same_but_last(perm: tuple[int, ...]) -> bool:
    """Whether an order of axes only exchanges the last two."""
    rank = len(perm)
    return perm == (*range(rank - 2), rank - 1, rank - 2)


def _solve_forward(node: Expr, tangents: Cotangents) -> Parts:
    (a, b), (ta, tb), trans = node.args, tangents, static_of(node)["trans"]
    parts = [] if tb is None else [tb]
    if ta is not None:
        x = solve(a, b, trans)
        parts.append(negated(matmul(transposed(ta) if trans else ta, x)))
    return [solve(a, total(parts), trans)]


def _solve_reverse(node: Expr, parts: Cotangents) -> Parts:
    """b gets op(a)^-T @ g, op(a) minus that times x.T (Giles, 2.3.1)."""
    (a, b), trans = node.args, static_of(node)["trans"]
    x, share = solve(a, b, trans), solve(a, only(parts), not trans)
    outer = matmul(x, transposed(share)) if trans else matmul(share, transposed(x))
    return [negated(outer), share]


def _solve_expansion(a: Expr, b: Expr, trans: bool) -> list[Expr]:
    if small.is_small(a, b.shape[-1]):
        return [small.solve(a, b, trans)]
    return [transposed(routine("getrs", *routine("getrf", a), transposed(b), trans=trans)[0])]


def inverse(a: Expr) -> Expr:
    return routine("inv", a)[0]


def _inv_forward(node: Expr, tangents: Cotangents) -> Parts:
    x = inverse(node.args[0])
    return [negated(matmul(x, matmul(only(tangents), x)))]


def _inv_reverse(node: Expr, parts: Cotangents) -> Parts:
    """-x.T @ g @ x.T (Giles, 2.2.3)."""
    x = transposed(inverse(node.args[0]))
    return [negated(matmul(x, matmul(only(parts), x)))]


def _inv_expansion(a: Expr) -> list[Expr]:
    if small.is_small(a, a.shape[-1]):
        return [small.solve(a, identity(a.shape[:-2], a.shape[-1], a.dtype), False)]
    return list(routine("getri", *routine("getrf", a)))


def triangular(a: Expr, b: Expr, lower: bool = True, trans: bool = False, unit: bool = False) -> Expr:
    """x of op(a) @ x = b where a is triangular."""
    return routine("triangular", a, b, lower=lower, trans=trans, unit=unit)[0]


def _triangle(x: Expr, lower: bool, unit: bool) -> Expr:
    """What `triangular` sees of a matrix: one triangle, with `unit` without the diagonal."""
    return tril(x, -1 if unit else 0) if lower else triu(x, 1 if unit else 0)


def _triangular_forward(node: Expr, tangents: Cotangents) -> Parts:
    (a, b), (ta, tb), static = node.args, tangents, static_of(node)
    parts = [] if tb is None else [tb]
    if ta is not None:
        moved = _triangle(ta, static["lower"], static["unit"])
        parts.append(negated(matmul(transposed(moved) if static["trans"] else moved, triangular(a, b, **static))))
    return [triangular(a, total(parts), **static)]


def _triangular_reverse(node: Expr, parts: Cotangents) -> Parts:
    (a, b), static = node.args, static_of(node)
    x = triangular(a, b, **static)
    share = triangular(a, only(parts), **{**static, "trans": not static["trans"]})
    outer = matmul(x, transposed(share)) if static["trans"] else matmul(share, transposed(x))
    return [negated(_triangle(outer, static["lower"], static["unit"])), share]


def triangular_product(a: Expr, b: Expr, lower: bool = True, trans: bool = False) -> Expr:
    """op(a) @ b where only one triangle of a is looked at: half the work of a matrix product."""
    return routine("trmm", a, b, lower=lower, trans=trans)[0]


def _trmm_forward(node: Expr, tangents: Cotangents) -> Parts:
    (a, b), (ta, tb), static = node.args, tangents, static_of(node)
    parts = [] if tb is None else [triangular_product(a, tb, **static)]
    return [total(parts if ta is None else [*parts, triangular_product(ta, b, **static)])]


def _trmm_reverse(node: Expr, parts: Cotangents) -> Parts:
    (a, b), static, g = node.args, static_of(node), only(parts)
    outer = matmul(b, transposed(g)) if static["trans"] else matmul(g, transposed(b))
    share = triangular_product(a, g, static["lower"], not static["trans"])
    return [_triangle(outer, static["lower"], False), share]


def _triangular_expansion(a: Expr, b: Expr, lower: bool, trans: bool, unit: bool) -> list[Expr] | None:
    return [small.triangular(a, b, lower, trans, unit)] if small.is_small(a, b.shape[-1], False) else None


def _trmm_expansion(a: Expr, b: Expr, lower: bool, trans: bool) -> list[Expr] | None:
    triangle = _triangle(a, lower, False)
    return [matmul(transposed(triangle) if trans else triangle, b)] if small.is_small(a, b.shape[-1], False) else None


def _columns(node: Expr, parts: list[Lane], lanes: Lanes) -> list[Lane] | None:
    """Right-hand sides in lanes, of one matrix: more columns."""
    a, b = parts
    if a.batched:
        return None
    rank, count = len(b.value.shape), b.value.shape[-1]
    moved = transpose(b.value, (*range(1, rank - 1), 0, rank - 1))
    *outer, size, _ = moved.shape
    x, = routine(node.attrs[0], a.value, reshape(moved, (*outer, size * count)), **static_of(node))
    back = transpose(reshape(x, (*outer, size, count)), (rank - 2, *range(rank - 2), rank - 1))
    return [Lane(back, True)]


# ---- functions of matrices --------------------------------------------------------------------------------------
def expm(a: Expr) -> Expr:
    return routine("expm", a)[0]


def _expm_along(a: Expr, e: Expr) -> Expr:
    """The derivative of expm at `a` along `e`: a block of expm([[a, e], [0, a]]) (Najfeld & Havel 1995)."""
    rank, n = len(a.shape), a.shape[-1]
    top = concat([a, e], rank - 1)
    bottom = concat([zeros_like(a), a], rank - 1)
    whole = expm(concat([top, bottom], rank - 2))
    return slice_(whole, (*((0, 1),) * (rank - 1), (n, 1)), a.shape)


def _expm_forward(node: Expr, tangents: Cotangents) -> Parts:
    return [_expm_along(node.args[0], only(tangents))]


def _expm_reverse(node: Expr, parts: Cotangents) -> Parts:
    """The derivative along e at a is linear in e, with the derivative at a.T as its transpose."""
    return [_expm_along(transposed(node.args[0]), only(parts))]


# ---- what they are composed of ----------------------------------------------------------------------------------
def _getrf_types(a: Expr) -> list[Type]:
    return [(a.dtype, tuple(a.shape[-2:])), (np.dtype(np.int32), (a.shape[-1],))]


def _syrk_types(a: Expr, trans: bool) -> list[Type]:
    n = a.shape[-1 if trans else -2]
    return [(a.dtype, (n, n))]


def _syrk_flops(a: Expr, trans: bool) -> Dim:
    m, n = a.shape[-2:]
    return m * n * (n if trans else m)


def _cubes(numerator: int, denominator: int) -> Any:
    def flops(a: Expr, *rest: Expr, **static: Any) -> Dim:
        n = a.shape[-1]
        return n * n * n * numerator // denominator

    return flops


def _per_column(times: int) -> Any:
    def flops(a: Expr, *rest: Expr, **static: Any) -> Dim:
        n, k = a.shape[-1], rest[-1].shape[-2] * rest[-1].shape[-1]
        return n * k * times

    return flops


ROUTINES.update({
    "cholesky": Routine((2,), _matrix, _cholesky_forward, _cholesky_reverse, expansion=_cholesky_expansion,
                        analytic=False),
    "potrf": Routine((2,), _matrix, flops=_cubes(1, 3)),
    "solve": Routine((2, 2), _like_last, _solve_forward, _solve_reverse, expansion=_solve_expansion, batch=_columns),
    "inv": Routine((2,), _matrix, _inv_forward, _inv_reverse, expansion=_inv_expansion),
    "triangular": Routine((2, 2), _like_last, _triangular_forward, _triangular_reverse, _per_column(1),
                          _triangular_expansion, _columns),
    "expm": Routine((2,), _matrix, _expm_forward, _expm_reverse, _cubes(20, 1)),
    "trmm": Routine((2, 2), _like_last, _trmm_forward, _trmm_reverse, _per_column(1), _trmm_expansion, _columns),
    "syrk": Routine((2,), _syrk_types, flops=_syrk_flops),
    "getrf": Routine((2,), _getrf_types, flops=_cubes(2, 3)),
    "getri": Routine((2, 1), _matrix, flops=_cubes(4, 3)),
    "getrs": Routine((2, 1, 2), _like_last, flops=_per_column(2)),
})
