"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .arguments import array, dimension, element_type, integer, one_axis
from .errors import ShapeError
from .node import Expr
from .primitives import cast, scalar, show_shape
from .reductions import sum_
from .size import Dim
from .surface import surface


@surface
def diagonal(x: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Expr:
    """The elements with index2 = index1 + offset of two axes, along a new last axis.

    Raises ShapeError for an array of fewer than two axes.
    """
    x, k = array(x), integer(offset, "offset")
    rank = len(x.shape)
    if rank < 2:
        raise ShapeError(f"a diagonal is taken of at least two axes, not of {show_shape(x.shape)}")
    first, second = one_axis(axis1, rank), one_axis(axis2, rank)
    if first == second:
        raise ShapeError(f"a diagonal is taken of two different axes, not of axis {first} twice")
    rest = tuple(i for i in range(rank) if i not in (first, second))
    return _last_diagonal(primitives.transpose(x, (*rest, first, second)), k)


def _last_diagonal(x: Expr, k: int) -> Expr:
    """The diagonal of the last two axes: one slice where the row length is known, else a gather."""
    *rest, n, m = x.shape
    down, right = max(-k, 0), max(k, 0)
    length = sizes.maximum(sizes.minimum(n - down, m - right), 0)
    if isinstance(m, int) and not sizes.same(length, 0):
        flat = primitives.reshape(x, (*rest, n * m))
        ranges = (*((0, 1),) * len(rest), (down * m + right, m + 1))
        return primitives.slice_(flat, ranges, (*rest, length))
    along = primitives.iota((length,), 0)
    rows, columns = (scalar("add", along, s) if s else along for s in (down, right))
    found = primitives.gather(x, [rows, columns], (len(rest), len(rest) + 1))
    return primitives.transpose(found, (*range(1, len(rest) + 1), 0))


@surface
def trace(x: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None) -> Expr:
    """The sum of a diagonal; of integers in 64 bits."""
    return sum_(diagonal(x, offset, axis1, axis2), -1, dtype)


@surface
def diag(x: Any, k: Any = 0) -> Expr:
    """Of a vector the matrix with it on diagonal `k`; of a matrix its diagonal `k`."""
    x, offset = array(x), integer(k, "k")
    if len(x.shape) == 2:
        return _last_diagonal(x, offset)
    if len(x.shape) != 1:
        raise ShapeError(f"diag takes a vector or a matrix, not {show_shape(x.shape)}: see diagonal")
    n = x.shape[0] + abs(offset)
    start = max(-offset, 0)
    padded = primitives.place(x, ((start, 1),), (n,))
    rows = primitives.broadcast(padded, (0,), (n, n))
    return scalar("where", on_diagonal((n, n), offset), rows, 0)


@surface
def diagflat(x: Any, k: Any = 0) -> Expr:
    """The matrix with the elements of `x` on diagonal `k`."""
    x = array(x)
    return diag(primitives.reshape(x, (sizes.product(x.shape),)), k)


def on_diagonal(shape: tuple[Dim, Dim], k: int) -> Expr:
    """Whether column = row + k."""
    return scalar("equal", primitives.iota(shape, 1), _row_plus(shape, k))


def _row_plus(shape: tuple[Dim, ...], k: int) -> Expr:
    rows = primitives.iota(shape, len(shape) - 2)
    return scalar("add", rows, k) if k else rows


@surface
def tril(x: Any, k: Any = 0) -> Expr:
    """`x` with zeros above diagonal `k` of its last two axes."""
    return _triangle(array(x), integer(k, "k"), "less_equal")


@surface
def triu(x: Any, k: Any = 0) -> Expr:
    """`x` with zeros below diagonal `k` of its last two axes."""
    return _triangle(array(x), integer(k, "k"), "greater_equal")


def _triangle(x: Expr, k: int, relation: str) -> Expr:
    rank = len(x.shape)
    if rank == 0:
        raise ShapeError("a triangle is taken of at least one axis, not of a scalar")
    if rank == 1:
        x = primitives.broadcast(x, (1,), (x.shape[0], x.shape[0]))
    inside = scalar(relation, primitives.iota(x.shape, len(x.shape) - 1), _row_plus(x.shape, k))
    return scalar("where", inside, x, primitives.zeros_like(x))


@surface
def tri(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Expr:
    """A matrix of `n` rows and `m` columns (None: n) with ones at and below diagonal `k`."""
    shape = (dimension(n), dimension(n if m is None else m))
    inside = scalar("less_equal", primitives.iota(shape, 1), _row_plus(shape, integer(k, "k")))
    return cast(inside, element_type(dtype, np.float64))
