"""Linear systems whose matrix is a function: the solvers behind implicit derivatives, as loops over typed vectors.

    gmres      restarted, with Givens rotations (Y. Saad, Iterative Methods for Sparse Linear Systems, 6.5)
    cg         conjugate gradients, for symmetric positive definite matrices
    iteration  x + (b - A x), which converges where a fixed point was found by iteration

All end where the residual is small beside |b| + |A| |x|, and raise IndexError where that takes too many steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .loop import repeat
from .node import FUNCTIONS, Expr
from .primitives import full

Product = Callable[[Expr], Expr]
_RESTART = 30
_FAILED = "the linear system of an implicit derivative or a Newton step was not solved: "


def gmres(product: Product, b: Expr, tol: Any, max_steps: int) -> Expr:
    """x with A x = b; at most `max_steps` rounds of up to 30 products."""
    zero = full(b.shape, 0, b.dtype)
    size = _norm(b)

    def turn(index: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        x, r, _, scale = states
        step, found = _round(product, r, tol * (size + scale * _norm(x)), scale)
        x = x + step
        r = b - product(x)
        return [x, r, _norm(r), found], ()

    def unsolved(states: list[Expr]) -> Expr:
        x, _, left, scale = states
        return ~(left <= tol * (size + scale * _norm(x)))

    start = [zero, b, size, full((), 0, b.dtype)]
    return repeat(None, start, turn, unsolved, max_steps, "none", _FAILED + "gmres").item("carry", 0)


def _round(product: Product, r: Expr, enough: Expr, scale: Expr) -> tuple[Expr, Expr]:
    """What the space of up to 30 products adds to the solution, and an estimate of |A|."""
    size = min(r.shape[0], _RESTART) if isinstance(r.shape[0], int) else _RESTART
    where, norm = FUNCTIONS["where"], _norm(r)
    basis = full((size + 1, r.shape[0]), 0, r.dtype).at[0].set(_quotient(r, norm))
    rows = full((size, size + 1), 0, r.dtype)          # row k: column k of the triangular factor
    turned = full((size, 2), 0, r.dtype)               # cosine and sine of each rotation
    right = full((size + 1,), 0, r.dtype).at[0].set(norm)

    def turn(_: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        k, left, basis, rows, turned, right, scale = states
        column, next_vector = _orthogonal(basis, product(basis[k]), k)
        scale = FUNCTIONS["maximum"](scale, _norm(column))
        column = _rotated(column, turned, k)
        a, b = column[k], column[k + 1]
        length = FUNCTIONS["hypot"](a, b)
        cosine, sine = where(length > 0, _quotient(a, length), 1.0), _quotient(b, length)
        column = column.at[k].set(length).at[k + 1].set(0.0)
        right = right.at[k + 1].set(-sine * right[k]).at[k].set(cosine * right[k])
        left = FUNCTIONS["abs"](right[k + 1])
        turned = turned.at[k].set(FUNCTIONS["stack"]([cosine, sine]))
        return [k + 1, left, basis.at[k + 1].set(next_vector), rows.at[k].set(column), turned, right, scale], ()

    def more(states: list[Expr]) -> Expr:
        k, left, scale = states[0], states[1], states[-1]
        return (k < size) & ~(left <= enough * where(scale > 0, 0.5, 0.0))

    start = [full((), 0, np.int64), norm, basis, rows, turned, right, scale]
    done = repeat(None, start, turn, more, checkpoint="none")
    basis, rows, right, scale = (done.item("carry", k) for k in (2, 3, 5, 6))
    return _back_substituted(rows, right, size) @ basis[:-1], scale


def _orthogonal(basis: Expr, w: Expr, k: Expr) -> tuple[Expr, Expr]:
    """The column of the Hessenberg matrix, and the next vector: Gram-Schmidt, twice."""
    first = basis @ w
    w = w - first @ basis
    second = basis @ w
    w = w - second @ basis
    length = _norm(w)
    return (first + second).at[k + 1].set(length), _quotient(w, length)


def _rotated(column: Expr, turned: Expr, k: Expr) -> Expr:
    """A column after the rotations of those before it."""

    def turn(i: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        (column,) = states
        a, b, cosine, sine = column[i], column[i + 1], turned[i, 0], turned[i, 1]
        return [column.at[i].set(cosine * a + sine * b).at[i + 1].set(cosine * b - sine * a)], ()

    return repeat(k, [column], turn, limit=column.shape[0], checkpoint="none").item("carry", 0)


def _back_substituted(rows: Expr, right: Expr, size: int) -> Expr:
    """y with R y = right, where row k of `rows` is column k of R; 0 where the space ended before."""

    def turn(index: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        (y,) = states
        j = size - 1 - index
        return [y.at[j].set(_quotient(right[j] - FUNCTIONS["vdot"](rows[:, j], y), rows[j, j]))], ()

    return repeat(size, [full((size,), 0, right.dtype)], turn, checkpoint="none").item("carry", 0)


def cg(product: Product, b: Expr, tol: Any, max_steps: int) -> Expr:
    """x with A x = b for a symmetric positive definite A."""
    zero, size, dot = full(b.shape, 0, b.dtype), _norm(b), FUNCTIONS["vdot"]

    def turn(index: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        x, r, p, rho, scale = states
        moved = product(p)
        alpha = _quotient(rho, dot(p, moved))
        x, r = x + alpha * p, r - alpha * moved
        new = dot(r, r)
        scale = FUNCTIONS["maximum"](scale, _quotient(_norm(moved), _norm(p)))
        return [x, r, r + _quotient(new, rho) * p, new, scale], ()

    def unsolved(states: list[Expr]) -> Expr:
        x, _, _, rho, scale = states
        return ~(FUNCTIONS["sqrt"](rho) <= tol * (size + scale * _norm(x)))

    start = [zero, b, b, dot(b, b), full((), 0, b.dtype)]
    return repeat(None, start, turn, unsolved, max_steps, "none", _FAILED + "cg").item("carry", 0)


def iteration(product: Product, b: Expr, tol: Any, max_steps: int) -> Expr:
    """x with A x = b where 1 - A is a contraction."""

    def turn(index: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        x, r = states
        return [x + r, b - product(x + r)], ()

    def unsolved(states: list[Expr]) -> Expr:
        x, r = states
        return ~(_norm(r) <= tol * (_norm(b) + _norm(x)))

    zero = full(b.shape, 0, b.dtype)
    return repeat(None, [zero, b], turn, unsolved, max_steps, "none", _FAILED + "iteration").item("carry", 0)


def _norm(x: Expr) -> Expr:
    return FUNCTIONS["sqrt"](FUNCTIONS["vdot"](x, x))


def _quotient(a: Expr, b: Expr) -> Expr:
    """a / b, and 0 where b is 0."""
    where = FUNCTIONS["where"]
    return where(b != 0, a / where(b != 0, b, 1.0), 0.0)
