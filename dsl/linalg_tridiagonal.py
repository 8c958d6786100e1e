"""Tridiagonal systems: Gaussian elimination with partial pivoting as two loops over the rows.

    tridiagonal(dl, d, du, b)    x of a @ x = b, where a has `d` on its diagonal, `dl` below and `du` above it

With exchanges of neighbouring rows only, a row of the upper factor has three elements (G. Golub, C. Van Loan, Matrix
Computations, 4.3; LAPACK's gtsv). Loops of numbers run in registers, and a batch in lanes. The derivatives are
solutions of the same system and of its transpose, whose off-diagonals are exchanged: none goes through the elimination.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .adjoint import negated, total
from .arguments import floating
from .batch import Lane, Lanes
from .errors import ShapeError
from .library import ROUTINES, Parts, Routine, Type, routine
from .linear import pair
from .loop import at, repeat
from .node import FUNCTIONS, Expr
from .primitives import broadcast_to, concat, elementwise, full, reduce, reshape, show_shape, slice_, transpose
from .size import Dim
from .surface import as_expr, size_value, surface

Cotangents = Sequence[Expr | None]


@surface
def tridiagonal_solve(dl: Any, d: Any, du: Any, b: Any) -> Expr:
    """x of a @ x = b for tridiagonal matrices: a[i, i] = d[i], a[i, i-1] = dl[i], a[i, i+1] = du[i].

    `d` (.., n); `dl` and `du` as long, where dl[0] and du[n-1] are not looked at (JAX's convention), or (.., n-1)
    without these. `b` (.., n), or (.., n, k) where it has one axis more than `d`. Leading axes broadcast.

    Gaussian elimination with partial pivoting, O(n) in time and memory. All NaN where the matrix is singular.
    A derivative of either mode costs another solution. Raises ShapeError where the sizes do not agree.

    >>> import pullback as pb
    >>> pb.linalg.tridiagonal_solve([0.0, 1.0, 1.0], [2.0, 3.0, 2.0], [1.0, 1.0, 0.0], [3.0, 5.0, 3.0]).eval()
    array([1., 1., 1.])
    """
    dl, d, du, b = map(floating, (dl, d, du, b))
    for name, x in (("dl", dl), ("d", d), ("du", du), ("b", b)):
        if not x.shape:
            raise ShapeError(f"tridiagonal_solve takes arrays of one axis or more, and {name} has none")
    n = d.shape[-1]
    below, above = _off_diagonal(dl, n, "dl", 1), _off_diagonal(du, n, "du", 0)
    vector = len(b.shape) <= max(len(x.shape) for x in (dl, d, du))
    if not sizes.equal(b.shape[-1 if vector else -2], n):
        raise ShapeError(f"tridiagonal_solve: the diagonal has {sizes.show(n)} elements, and the right-hand side has "
                         f"the shape {show_shape(b.shape)}: give (.., n), or (.., n, k) with one axis more than d")
    right = reshape(b, (*b.shape, 1)) if vector else b
    x = solve(*_together(below, d, above, right))
    return reshape(x, x.shape[:-1]) if vector else x


def _off_diagonal(x: Expr, n: Dim, name: str, first: int) -> Expr:
    """The n - 1 elements of an off-diagonal, which start at `first` where it is as long as the diagonal."""
    if sizes.equal(x.shape[-1], n):
        return _part(x, -1, first, n - 1)
    if not sizes.equal(x.shape[-1], n - 1):
        raise ShapeError(f"tridiagonal_solve: {name} is as long as d ({sizes.show(n)}) or one shorter, not "
                         f"{show_shape(x.shape)}")
    return x


def _together(dl: Expr, d: Expr, du: Expr, b: Expr) -> list[Expr]:
    """All in their common dtype with equal batch axes."""
    dtype = b
    for x in (dl, d, du):
        dtype, _ = pair(dtype, x)
    operands = [pair(x, dtype)[0] for x in (dl, d, du, b)]
    cores = (1, 1, 1, 2)
    batch: tuple[Dim, ...] = ()
    for x, core in zip(operands, cores, strict=True):
        batch = primitives.broadcast_shapes(batch, x.shape[: len(x.shape) - core])
    return [broadcast_to(x, (*batch, *x.shape[len(x.shape) - core :])) for x, core in zip(operands, cores, strict=True)]


def _part(x: Expr, axis: int, start: Dim, count: Dim) -> Expr:
    """`count` elements from `start` on along an axis."""
    axis %= len(x.shape)
    ranges = tuple((start, 1) if k == axis else (0, 1) for k in range(len(x.shape)))
    return slice_(x, ranges, (*x.shape[:axis], count, *x.shape[axis + 1 :]))


# ---- the routine and its derivatives ----------------------------------------------------------------------------
def solve(dl: Expr, d: Expr, du: Expr, b: Expr) -> Expr:
    return routine("tridiagonal", dl, d, du, b)[0]


def _types(dl: Expr, d: Expr, du: Expr, b: Expr) -> list[Type]:
    return [(b.dtype, tuple(b.shape[-2:]))]


def _columns(x: Expr, like: Expr) -> Expr:
    """A number for each row, in all columns."""
    return primitives.broadcast(x, tuple(range(len(x.shape))), (*x.shape, like.shape[-1]))


def _moved(tangents: Cotangents, x: Expr) -> list[Expr]:
    """What changes of the three diagonals add to a @ x."""
    low, middle, high = tangents
    n = x.shape[-2]
    zero = full((*x.shape[:-2], 1, x.shape[-1]), 0, x.dtype)
    axis, parts = len(x.shape) - 2, []
    if middle is not None:
        parts.append(elementwise("multiply", _columns(middle, x), x))
    if low is not None:
        product = elementwise("multiply", _columns(low, x), _part(x, -2, 0, n - 1))
        parts.append(concat([zero, product], axis))
    if high is not None:
        product = elementwise("multiply", _columns(high, x), _part(x, -2, 1, n - 1))
        parts.append(concat([product, zero], axis))
    return parts


def _forward(node: Expr, tangents: Cotangents) -> Parts:
    """a @ dx = db - da @ x"""
    *diagonals, change = tangents
    parts = [] if change is None else [change]
    if any(t is not None for t in diagonals):
        parts += map(negated, _moved(diagonals, solve(*node.args)))
    dl, d, du, _ = node.args
    return [solve(dl, d, du, total(parts))]


def _reverse(node: Expr, parts: Cotangents) -> Parts:
    """b gets u = a^-T @ g, and a the three diagonals of -u @ x.T."""
    (dl, d, du, _), (g,) = node.args, parts
    assert g is not None
    x, share = solve(*node.args), solve(du, d, dl, g)
    less = d.shape[-1] - 1

    def rows(left: Expr, right: Expr) -> Expr:
        return negated(reduce(elementwise("multiply", left, right), "add", (len(x.shape) - 1,)))

    return [rows(_part(share, -2, 1, less), _part(x, -2, 0, less)), rows(share, x),
            rows(_part(share, -2, 0, less), _part(x, -2, 1, less)), share]


def _lanes(node: Expr, parts: list[Lane], lanes: Lanes) -> list[Lane] | None:
    """Right-hand sides in lanes, of one matrix: more columns."""
    *diagonals, b = parts
    if any(x.batched for x in diagonals):
        return None
    rank, count = len(b.value.shape), b.value.shape[-1]
    moved = transpose(b.value, (*range(1, rank - 1), 0, rank - 1))
    dl, d, du = (x.value for x in diagonals)
    x = solve(dl, d, du, reshape(moved, (*moved.shape[:-2], moved.shape[-2] * count)))
    back = reshape(x, (*x.shape[:-1], lanes.size, count))
    return [Lane(transpose(back, (rank - 2, *range(rank - 2), rank - 1)), True)]


# ---- elimination ------------------------------------------------------------------------------------------------
def _elimination(dl: Expr, d: Expr, du: Expr, b: Expr) -> list[Expr]:
    """Rows first, as the turns of loops are rows; one right-hand side without its axis, as it is a number in a row."""
    rank = len(d.shape)
    single = isinstance(b.shape[-1], int) and b.shape[-1] == 1
    high = concat([du, full((*d.shape[:-1], 1), 0, d.dtype)], rank - 1)
    right = reshape(b, b.shape[:-1]) if single else b
    low, middle, high, right = (_rows_first(x, rank - 1) for x in (dl, d, high, right))
    upper, last = _eliminated(low, middle, high, right)
    x = _substituted(upper, last)
    x = transpose(x, (*range(1, rank), 0, *range(rank, len(x.shape))))
    return [reshape(x, (*x.shape, 1)) if single else x]


def _rows_first(x: Expr, axis: int) -> Expr:
    return transpose(x, (axis, *(k for k in range(len(x.shape)) if k != axis)))


def _eliminated(low: Expr, middle: Expr, high: Expr, right: Expr) -> tuple[list[Expr], list[Expr]]:
    """Of the upper factor the rows but the last, three elements and right-hand sides each; the last row."""
    where, absolute = FUNCTIONS["where"], FUNCTIONS["abs"]

    def turn(i: Expr, row: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        first, second, value = row
        below, pivot, above, following = at(low, i), at(middle, i + 1), at(high, i + 1), at(right, i + 1)
        swap = absolute(below) > absolute(first)
        factor = where(swap, first, below) / where(swap, below, first)
        top = [where(swap, below, first), where(swap, pivot, second), where(swap, above, 0.0)]
        times, chosen = _spread(factor, value), where(_spread(swap, value), following, value)
        rest = [where(swap, second, pivot) - factor * top[1], where(swap, -factor * above, above),
                where(_spread(swap, value), value, following) - times * chosen]
        return rest, [*top, chosen]

    start = [at(x, as_expr(0)) for x in (middle, high, right)]
    loop = repeat(middle.shape[0] - 1, start, turn, checkpoint="none")
    return [loop.item("stacked", k) for k in range(4)], [loop.item("carry", 0), loop.item("carry", 2)]


def _substituted(upper: list[Expr], last: list[Expr]) -> Expr:
    """x from the last row to the first; a last pivot of zero makes all NaN, as any other does by 0 / 0."""
    pivot, value = last
    end = _spread(FUNCTIONS["where"](pivot != 0, pivot, np.nan), value)
    less = upper[0].shape[0]

    def turn(i: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        next_, second = states
        first, *others, right = (at(x, size_value(less - 1) - i) for x in upper)
        q, r = (_spread(x, right) for x in others)
        x = (right - q * next_ - r * second) / _spread(first, right)
        return [x, next_], [x]

    found = value / end
    loop = repeat(less, [found, full(found.shape, 0, found.dtype)], turn, checkpoint="none")
    stacked = loop.item("stacked", 0)
    back = slice_(stacked, ((less - 1, -1), *((0, 1),) * (len(stacked.shape) - 1)), stacked.shape)
    return concat([back, reshape(found, (1, *found.shape))], 0)


def _spread(x: Expr, like: Expr) -> Expr:
    """A number for each system, for each of its right-hand sides."""
    return x if len(x.shape) == len(like.shape) else _columns(x, like)


def _flops(dl: Expr, d: Expr, du: Expr, b: Expr) -> Dim:
    return d.shape[-1] * (b.shape[-1] * 7 + 6)


ROUTINES["tridiagonal"] = Routine((1, 1, 1, 2), _types, _forward, _reverse, _flops,
                                  _elimination, _lanes)
