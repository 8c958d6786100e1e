"""Small systems written out element by element, so that they fuse into the kernels around them: a batch runs in lanes,
and a loop calls nothing. The same answers as LAPACK gives, NaN included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .node import Expr
from .primitives import cast, concat, conj, elementwise, full, imag, real, reshape, slice_, zeros_like
from .size import Dim, fixed_if_small

LARGEST = 8              # size of matrices of a batch, and of a determinant, that are written out
ALONE, RESULTS = 4, 8    # size of one matrix, and elements of its solution, as there are no lanes; of complex ones
OPERATIONS = 720         # of an elimination with its right-hand sides: with more it takes long to compile

Rows = list[list[Expr]]


def with_known_sizes(x: Expr) -> Expr:
    """`x` with the sizes of its matrices as numbers where they are small, behind guards: a program of its own for each.
    """
    return reshape(x, (*x.shape[:-2], *(fixed_if_small(d, LARGEST) for d in x.shape[-2:])))


def is_small(a: Expr, columns: Dim = 0, eliminated: bool = True) -> bool:
    """Whether results of square matrices like `a` are written out: a number, or solutions of so many columns, with
    `eliminated` by Gaussian elimination.
    """
    n = a.shape[-1]
    if not isinstance(n, int) or not isinstance(columns, int) or not 0 < n <= LARGEST:
        return False
    if columns and (len(a.shape) == 2 or a.dtype.kind == "c"):
        return n <= ALONE and n * columns <= RESULTS
    choices = 3 * sum(m * (m + columns) for m in range(1, n)) if eliminated else 0     # of rows, and a product
    return n * columns <= LARGEST**2 and choices + columns * n * n <= OPERATIONS


def elements(x: Expr) -> Rows:
    """x[.., i, j] of every i and j."""
    batch, (m, n) = x.shape[:-2], x.shape[-2:]
    whole = ((0, 1),) * len(batch)
    return [[reshape(slice_(x, (*whole, (i, 1), (j, 1)), (*batch, 1, 1)), batch) for j in range(n)] for i in range(m)]


def assembled(rows: Sequence[Sequence[Expr]]) -> Expr:
    """The matrices with these elements."""
    batch = rows[0][0].shape
    flat = concat([reshape(x, (*batch, 1)) for row in rows for x in row], len(batch))
    return reshape(flat, (*batch, len(rows), len(rows[0])))


def _number(value: float, like: Expr) -> Expr:
    return full(like.shape, value, like.dtype)


def _minus(x: Expr, a: Expr, b: Expr) -> Expr:
    """x - a*b"""
    return elementwise("subtract", x, elementwise("multiply", a, b))


def _where(condition: Expr, x: Expr, y: Expr) -> Expr:
    return elementwise("where", condition, x, y)


def parts(x: Expr) -> list[Expr]:
    """The real and the imaginary part; of a real array itself."""
    return [real(x), imag(x)] if x.dtype.kind == "c" else [x]


def _magnitude(x: Expr) -> Expr:
    """What pivots are compared by, as LAPACK does: |re| + |im|."""
    size, *rest = (elementwise("abs", part) for part in parts(x))
    return elementwise("add", size, rest[0]) if rest else size


def cholesky(a: Expr) -> Expr:
    """Column by column; all NaN where a pivot is not positive."""
    given, n = elements(a), a.shape[-1]
    zero = _number(0, given[0][0])
    rows: Rows = [[zero] * n for _ in range(n)]
    good: Expr | None = None
    for j in range(n):
        pivot = real(given[j][j])
        for k in range(j):
            for part in parts(rows[j][k]):
                pivot = _minus(pivot, part, part)
        positive = elementwise("greater", pivot, zeros_like(pivot))
        good = positive if good is None else elementwise("logical_and", good, positive)
        rows[j][j] = cast(elementwise("sqrt", pivot), a.dtype)
        for i in range(j + 1, n):
            x = given[i][j]
            for k in range(j):
                x = _minus(x, rows[i][k], conj(rows[j][k]))
            rows[i][j] = elementwise("divide", x, rows[j][j])
    assert good is not None
    nan = _number(np.nan, zero)
    return assembled([[_where(good, x, nan) if j <= i else x for j, x in enumerate(row)] for i, row in enumerate(rows)])


def eliminated(rows: Rows) -> tuple[Rows, Expr]:
    """Gaussian elimination with partial pivoting of n rows of n or more elements: the upper triangle, and the sign of
    the exchanges. A column without a pivot is left as it is.
    """
    rows = [list(row) for row in rows]
    n, width = len(rows), len(rows[0])
    sign = _number(1, rows[0][0])
    for c in range(n):
        for r in range(c + 1, n):
            larger = elementwise("greater", _magnitude(rows[r][c]), _magnitude(rows[c][c]))
            sign = _where(larger, elementwise("negative", sign), sign)
            for j in range(c, width):
                top, low = rows[c][j], rows[r][j]
                rows[c][j], rows[r][j] = _where(larger, low, top), _where(larger, top, low)
        pivot = rows[c][c]
        safe = _where(elementwise("equal", pivot, _number(0, pivot)), _number(1, pivot), pivot)
        for r in range(c + 1, n):
            factor = elementwise("divide", rows[r][c], safe)
            for j in range(c + 1, width):
                rows[r][j] = _minus(rows[r][j], factor, rows[c][j])
    return rows, sign


def determinant(a: Expr) -> Expr:
    rows, product = eliminated(elements(a))
    for i, row in enumerate(rows):
        product = elementwise("multiply", product, row[i])
    return product


def solve(a: Expr, b: Expr, trans: bool) -> Expr:
    """x of op(a) @ x = b; all NaN where a pivot is zero."""
    left, right = elements(a), elements(b)
    n = len(left)
    left = [list(column) for column in zip(*left, strict=True)] if trans else left
    rows, _ = eliminated([[*x, *y] for x, y in zip(left, right, strict=True)])
    return assembled(_backwards([row[:n] for row in rows], [row[n:] for row in rows]))


def _backwards(upper: Rows, right: Rows) -> Rows:
    """x of upper @ x = right; all NaN where the diagonal of `upper` has a zero."""
    n = len(upper)
    good: Expr | None = None
    for i in range(n):
        nonzero = elementwise("not_equal", upper[i][i], _number(0, upper[i][i]))
        good = nonzero if good is None else elementwise("logical_and", good, nonzero)
    assert good is not None
    found: Rows = [[] for _ in range(n)]
    for i in reversed(range(n)):
        for column, x in enumerate(right[i]):
            for j in range(i + 1, n):
                x = _minus(x, upper[i][j], found[j][column])
            found[i].append(elementwise("divide", x, upper[i][i]))
    return [[_where(good, x, _number(np.nan, x)) for x in row] for row in found]


def triangular(a: Expr, b: Expr, lower: bool, trans: bool, unit: bool) -> Expr:
    """x of op(a) @ x = b where one triangle of a is looked at; all NaN where its diagonal has a zero."""
    left, right = elements(a), elements(b)
    if unit:
        left = [[_number(1, x) if i == j else x for j, x in enumerate(row)] for i, row in enumerate(left)]
    left = [list(column) for column in zip(*left, strict=True)] if trans else left
    if lower != trans:                   # forwards is backwards with rows and columns in the other order
        return assembled(_backwards([row[::-1] for row in left[::-1]], right[::-1])[::-1])
    return assembled(_backwards(left, right))
