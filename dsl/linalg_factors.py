"""The part of `pb.linalg` that rests on orthogonal factors: qr, eigh, svd, and least squares."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import linalg_rules as rules
from . import linalg_small as small
from . import linalg_spectral as spectral
from . import primitives
from . import size as sizes
from .adjoint import total
from .arguments import at_most, floating
from .errors import ShapeError
from .linalg_arguments import matrices, square
from .linear import matmul, pair
from .node import FUNCTIONS, Expr
from .primitives import cast, show_shape
from .surface import several, surface


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Expr
    R: Expr


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Expr
    eigenvectors: Expr


class EigResult(NamedTuple):
    """What `eig` gives."""

    eigenvalues: Expr
    eigenvectors: Expr


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Expr
    S: Expr
    Vh: Expr


# ---- orthogonal factors -----------------------------------------------------------------------------------------
def qr(a: Any, mode: str = "reduced") -> Any:
    """q with orthonormal columns and upper triangular r, a = q @ r: k = min(m, n).

    Shapes (.., m, n) -> (.., m, k), (.., k, n).

    `mode`: 'reduced', or 'r' for r alone. Derivatives need the first k columns to be independent.

    >>> import pullback as pb
    >>> q, r = pb.linalg.qr([[3.0, 1.0], [4.0, 2.0]])
    >>> bool(pb.allclose(q @ r, [[3.0, 1.0], [4.0, 2.0]]))
    True
    """
    if mode not in ("reduced", "r"):
        raise ShapeError(f"the mode of qr is 'reduced' or 'r', not {mode!r}")
    factors = qr_factors(a)
    return factors.R if mode == "r" else factors


@surface
@several(QRResult)
def qr_factors(a: Any) -> QRResult:
    """What `qr` computes."""
    a = matrices(a, "qr")
    *batch, m, n = a.shape
    if at_most(n, m):
        q, r = spectral.qr(a)
    else:
        zero = ((0, 1),) * (len(a.shape) - 1)
        q, left = spectral.qr(primitives.slice_(a, (*zero, (0, 1)), (*batch, m, m)))
        rest = primitives.slice_(a, (*zero, (m, 1)), (*batch, m, n - m))
        r = primitives.concat([left, matmul(rules.conj_transposed(q), rest)], len(a.shape) - 1)
    return QRResult(q, r)


@surface
@several(EighResult)
def eigh(a: Any, UPLO: str | None = None, symmetrize_input: bool = True) -> Any:
    """Eigenvalues in ascending order and eigenvectors as columns of Hermitian matrices: (.., n) real, (.., n, n).

    `symmetrize_input` (JAX's default) takes the Hermitian part of `a`; otherwise the triangle `UPLO` ('L' or 'U') is
    read. Equal eigenvalues: see `dsl/linalg_spectral.py`.

    >>> import pullback as pb
    >>> w, v = pb.linalg.eigh([[2.0, 0.0], [0.0, 1.0]])
    >>> w.eval()
    array([1., 2.])
    """
    return EighResult(*spectral.eigh(_symmetric(square(a, "eigh"), UPLO, symmetrize_input)))


@surface
def eigvalsh(a: Any, UPLO: str | None = "L", symmetrize_input: bool = True) -> Expr:
    """The eigenvalues of Hermitian matrices in ascending order: (.., n, n) -> (.., n), real."""
    return spectral.eigh(_symmetric(square(a, "eigvalsh"), UPLO, symmetrize_input))[0]


def _symmetric(a: Expr, triangle: str | None, symmetrize: bool) -> Expr:
    if triangle not in (None, "L", "U"):
        raise ShapeError(f"UPLO is 'L' or 'U', not {triangle!r}")
    if symmetrize:
        return rules.hermitian_part(a)
    return rules.conj_transposed(a) if triangle == "U" else a


@surface
@several(EigResult)
def eig(a: Any) -> Any:
    """Eigenvalues in no order and eigenvectors as columns of length 1 of square matrices: (.., n), (.., n, n), complex.

    NaN where LAPACK finds none. The derivative of a vector is what it takes to stay one of length 1, orthogonal to the
    vector: right for all that does not depend on the phases of vectors. Where eigenvalues are equal it is NaN or inf,
    as theirs is where their vectors are not independent. Symmetric matrices: `eigh`. Raises ShapeError where `a` is not
    square. On CUDA it takes a CuPy that has `linalg.eig` (version 14).

    >>> import pullback as pb
    >>> w, v = pb.linalg.eig([[0.0, 2.0], [0.0, 1.0]])
    >>> sorted(w.eval().real)
    [np.float64(0.0), np.float64(1.0)]
    """
    a = square(a, "eig")
    return EigResult(*spectral.eig(cast(a, np.result_type(a.dtype, np.complex64))))


@surface
def eigvals(a: Any) -> Expr:
    """The eigenvalues of square matrices in no order: (.., n, n) -> (.., n), complex; see `eig`."""
    a = square(a, "eigvals")
    return spectral.eig(cast(a, np.result_type(a.dtype, np.complex64)))[0]


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """u, s, vh with a = u @ diag(s) @ vh, s in descending order: (.., m, k), (.., k), (.., k, n), k = min(m, n).

    `full_matrices` (the default, as in NumPy) completes u and vh to square matrices; if they are not square already
    this form has no derivative. `compute_uv=False` gives s alone.

    >>> import pullback as pb
    >>> pb.linalg.svd([[3.0, 0.0], [0.0, 4.0]], compute_uv=False).eval()
    array([4., 3.])
    """
    return svd_factors(a, bool(full_matrices)) if compute_uv else svdvals(a)


@surface
@several(SVDResult)
def svd_factors(a: Any, full_matrices: bool) -> SVDResult:
    """What `svd` computes."""
    a = matrices(a, "svd")
    if full_matrices and not sizes.equal(a.shape[-2], a.shape[-1]):
        return SVDResult(*spectral.full_svd(a))
    return SVDResult(*spectral.svd(a))


@surface
def svdvals(a: Any) -> Expr:
    """The singular values in descending order: (.., m, n) -> (.., min(m, n))."""
    return spectral.svd(matrices(a, "svdvals"))[1]


# ---- least squares ----------------------------------------------------------------------------------------------
def _cutoff(a: Expr, rcond: Any, factor: int = 1) -> tuple[float, Any]:
    """Singular values up to the product of these two, times the largest, count as zero."""
    if rcond is not None:
        return float(rcond), 1
    return float(np.finfo(a.dtype).eps) * factor, sizes.maximum(*a.shape[-2:])


@surface
def pinv(a: Any, rcond: Any = None, hermitian: bool = False) -> Expr:
    """The pseudo-inverse: (.., m, n) -> (.., n, m). Singular values up to `rcond` (default 10 * max(m, n) * eps, JAX's)
    times the largest count as zero; the derivative takes the rank as fixed.

    >>> import pullback as pb
    >>> pb.linalg.pinv([[2.0], [0.0]]).eval()
    array([[0.5, 0. ]])
    """
    a = matrices(a, "pinv")
    return spectral.pinv(a, *_cutoff(a, rcond, 10))


@surface
@several(lambda *args, **kwargs: 4)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """x that minimises |a @ x - b| (the shortest one), the sums of squares that remain, the rank of `a` and its
    singular values; `a` (m, n), `b` (m,) or (m, k).

    Singular values up to `rcond` (default max(m, n) * eps) times the largest count as zero.

    >>> import pullback as pb
    >>> x, rest, rank, s = pb.linalg.lstsq([[1.0], [1.0]], [1.0, 3.0])
    >>> x.eval(), float(rest), int(rank)
    (array([2.]), 2.0, 1)
    """
    a, b = matrices(a, "lstsq"), floating(b)
    a, b = pair(a, b)
    if len(a.shape) != 2 or len(b.shape) not in (1, 2) or not sizes.equal(a.shape[0], b.shape[0]):
        raise ShapeError(f"lstsq takes a matrix and right-hand sides with as many rows, not {show_shape(a.shape)} and "
                         f"{show_shape(b.shape)}")
    cutoff = _cutoff(a, rcond)
    x = matmul(spectral.pinv(a, *cutoff), b)
    rest = primitives.elementwise("subtract", b, matmul(a, x))
    s = spectral.svd(a)[1]
    rank = primitives.reduce(cast(spectral.kept_values(s, *cutoff), np.int64), "add", (0,))
    squares = total([primitives.elementwise("square", part) for part in small.parts(rest)])
    return x, primitives.reduce(squares, "add", (0,)), rank, s


@surface
def matrix_rank(a: Any, rtol: Any = None) -> Expr:
    """How many singular values are larger than `rtol` (default max(m, n) * eps) times the largest, as int64."""
    a = matrices(a, "matrix_rank")
    s = spectral.svd(a)[1]
    return primitives.reduce(cast(spectral.kept_values(s, *_cutoff(a, rtol)), np.int64), "add", (len(s.shape) - 1,))


@surface
def cond(a: Any, p: Any = None) -> Expr:
    """The condition number in the 2-norm: the largest by the smallest singular value."""
    if p not in (None, 2):
        raise ShapeError(f"cond is there for p=None or 2, not {p!r}: write norm(a, p) * norm(inv(a), p)")
    s = spectral.svd(matrices(a, "cond"))[1]
    return s[..., 0] / s[..., -1]


FUNCTIONS["qr"], FUNCTIONS["svd"] = qr, svd
