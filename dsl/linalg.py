"""`pb.linalg`: linear algebra with the names and arguments of NumPy, SciPy and JAX, batched over leading axes.

Integers are computed as float64, complex numbers by LAPACK's routines for them, with derivatives as in
`dsl/complex_numbers.py`. What has no answer gives NaN as in JAX, never an exception from compiled code: the
Cholesky factor of a matrix that is not positive definite, the solution of a system with a zero pivot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from . import linalg_determinants as determinants
from . import linalg_rules as rules
from . import linalg_small as small
from . import primitives
from . import size as sizes
from .arguments import array, floating, integer
from .diagonals import diagonal, trace
from .errors import ShapeError
from .linalg_arguments import square, together
from .linalg_factors import cond, eig, eigh, eigvals, eigvalsh, lstsq, matrix_rank, pinv, qr, svd, svdvals
from .linalg_norms import matrix_norm, norm, vector_norm
from .linalg_tridiagonal import tridiagonal_solve
from .linear import cross, matmul, outer, pair, tensordot, vecdot
from .node import FUNCTIONS, Expr
from .primitives import show_shape
from .surface import several, surface


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Expr
    logabsdet: Expr


@surface
def cholesky(a: Any, *, upper: bool = False, symmetrize_input: bool = True) -> Expr:
    """The lower factor l of Hermitian (or symmetric) positive definite matrices, a = l @ l.H, zero above the diagonal.

    Shape (.., n, n). `upper` gives l.H. `symmetrize_input` (JAX's default) takes the Hermitian part of `a` first, so
    that the gradient is Hermitian; without it the lower triangle is read. NaN where `a` is not positive definite.
    Raises ShapeError where `a` is not square.

    >>> import pullback as pb
    >>> pb.linalg.cholesky([[4.0, 2.0], [2.0, 5.0]]).eval()
    array([[2., 0.],
           [1., 2.]])
    """
    a = small.with_known_sizes(square(a, "cholesky"))
    factor = rules.cholesky(rules.hermitian_part(a) if symmetrize_input else a)
    return rules.conj_transposed(factor) if upper else factor


@surface
def solve(a: Any, b: Any) -> Expr:
    """x of a @ x = b for square matrices `a`: (.., n, n), and a vector (n,) or matrices (.., n, k) `b`.

    By LU factors with partial pivoting, which the derivatives use again. NaN where a pivot is zero.
    Raises ShapeError where the sizes do not agree.

    >>> import pullback as pb
    >>> pb.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]).eval()
    array([1. , 0.5])
    """
    a, b, vector = _system(a, b, "solve")
    x = _each(a, b, rules.solve)
    return primitives.reshape(x, x.shape[:-1]) if vector else x


@surface
def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, overwrite_b: bool = False,
    check_finite: bool = True,
) -> Expr:
    """x of op(a) @ x = b for triangular `a`; SciPy's arguments. Only the triangle that `lower` says is read.

    `trans`: 0 or 'N' (a), 1 or 'T' (its transpose), 2 or 'C' (the conjugate of that). `unit_diagonal`: the diagonal
    counts as ones. NaN where the diagonal has a zero.

    >>> import pullback as pb
    >>> pb.linalg.solve_triangular([[2.0, 0.0], [2.0, 4.0]], [2.0, 6.0], lower=True).eval()
    array([1., 1.])
    """
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ShapeError(f"trans is 0, 1, 2, 'N', 'T' or 'C', not {trans!r}")
    a, b, vector = _system(a, b, "solve_triangular")
    a = primitives.conj(a) if trans in (2, "C") else a
    static = bool(lower), trans not in (0, "N"), bool(unit_diagonal)
    x = _each(a, b, lambda a, b: rules.triangular(a, b, *static))
    return primitives.reshape(x, x.shape[:-1]) if vector else x


def _system(a: Any, b: Any, name: str) -> tuple[Expr, Expr, bool]:
    """Matrices and right-hand sides of equal batch axes, or one matrix for all of them if it is not small; whether the
    right-hand side was a vector (NumPy 2: of one axis).
    """
    a, b = square(a, name), floating(b)
    if not b.shape:
        raise ShapeError(f"{name} takes a vector or matrices as right-hand side, not a scalar")
    vector = len(b.shape) == 1
    if vector:
        b = primitives.reshape(b, (*b.shape, 1))
    if not sizes.equal(a.shape[-1], b.shape[-2]):
        raise ShapeError(f"{name}: the matrix has {sizes.show(a.shape[-1])} columns, the right-hand side "
                         f"{sizes.show(b.shape[-2])} rows ({show_shape(a.shape)} and {show_shape(b.shape)})")
    one, many = (small.with_known_sizes(x) for x in pair(a, b))
    if len(one.shape) == 2 < len(many.shape) and not small.is_small(one, many.shape[-1]):
        return one, many, vector
    a, b = (small.with_known_sizes(x) for x in together(a, b))
    return a, b, vector


def _each(a: Expr, b: Expr, solution: Callable[[Expr, Expr], Expr]) -> Expr:
    """`solution(a, b)`; the right-hand sides of a batch are columns where there is one matrix for all of them."""
    if len(a.shape) == len(b.shape):
        return solution(a, b)
    rank, (*batch, n, count) = len(b.shape), b.shape
    rows = primitives.transpose(b, (rank - 2, *range(rank - 2), rank - 1))
    x = solution(a, primitives.reshape(rows, (n, sizes.product(batch) * count)))
    back = primitives.reshape(x, (n, *batch, count))
    return primitives.transpose(back, (*range(1, rank - 1), 0, rank - 1))


@surface
def inv(a: Any) -> Expr:
    """The inverse of square matrices, (.., n, n). NaN where a pivot is zero. To solve a system, `solve` is better.

    >>> import pullback as pb
    >>> pb.linalg.inv([[2.0, 0.0], [0.0, 4.0]]).eval()
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    return rules.inverse(small.with_known_sizes(square(a, "inv")))


@surface
def expm(a: Any) -> Expr:
    """The exponential of square matrices, (.., n, n), by scaling and squaring.

    Its derivative is a block of the exponential of twice the size.

    >>> import pullback as pb
    >>> pb.linalg.expm([[0.0, 1.0], [0.0, 0.0]]).eval()
    array([[1., 1.],
           [0., 1.]])
    """
    return rules.expm(square(a, "expm"))


# ---- determinants -----------------------------------------------------------------------------------------------
@surface
def det(a: Any) -> Expr:
    """The determinant of square matrices, (.., n, n) -> (..). Its gradient, the cofactors, is right for singular
    matrices of rank n - 1 as well.

    >>> import pullback as pb
    >>> float(pb.linalg.det([[2.0, 0.0], [0.0, 4.0]]))
    8.0
    """
    return determinants.determinant(small.with_known_sizes(square(a, "det")))


@surface
@several(SlogdetResult)
def slogdet(a: Any) -> Any:
    """The sign and the logarithm of the absolute value of the determinant; (0, -inf) where it is 0.

    >>> import pullback as pb
    >>> sign, logarithm = pb.linalg.slogdet([[1.0, 0.0], [0.0, -1.0]])
    >>> float(sign), float(logarithm)
    (-1.0, 0.0)
    """
    return SlogdetResult(*determinants.slogdet(square(a, "slogdet")))


# ---- powers and products ----------------------------------------------------------------------------------------
@surface
def matrix_power(a: Any, n: Any) -> Expr:
    """a @ a @ .. @ a, `n` times, by repeated squaring; the identity for 0, powers of the inverse below.

    >>> import pullback as pb
    >>> pb.linalg.matrix_power([[1.0, 1.0], [0.0, 1.0]], 5).eval()
    array([[1., 5.],
           [0., 1.]])
    """
    a, power = square(array(a), "matrix_power"), integer(n, "n")
    if power == 0:
        return rules.identity(a.shape[:-2], a.shape[-1], a.dtype)
    base, rest = (rules.inverse(a) if power < 0 else a), abs(power)
    result: Expr | None = None
    while True:
        if rest & 1:
            result = base if result is None else matmul(result, base)
        rest >>= 1
        if not rest:
            assert result is not None
            return result
        base = matmul(base, base)


@surface
def multi_dot(arrays: Any) -> Expr:
    """The matrix product of several arrays, in the order that takes the fewest operations; the first and the last may
    be vectors.
    """
    parts = [array(x) for x in arrays]
    if len(parts) < 2:
        raise ShapeError(f"multi_dot takes at least two arrays, not {len(parts)}")
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    names = [letters[k : k + 2] for k in range(len(parts))]
    names[0] = names[0] if len(parts[0].shape) == 2 else names[0][1]
    names[-1] = names[-1] if len(parts[-1].shape) == 2 else names[-1][0]
    out = names[0][:-1] + names[-1][1:]
    return FUNCTIONS["einsum"](f"{','.join(names)}->{out}", *parts)


PUBLIC: dict[str, Any] = {f.__name__: f for f in (
    cholesky, cond, cross, det, diagonal, eig, eigh, eigvals, eigvalsh, expm, inv, lstsq, matmul, matrix_norm,
    matrix_power, matrix_rank, multi_dot, norm, outer, pinv, qr, slogdet, solve, solve_triangular, svd, svdvals,
    tensordot, trace, tridiagonal_solve, vecdot, vector_norm)}
