"""What each library routine computes, in NumPy and SciPy: a function of its name in dsl/library.py.

`np` and `scipy` are those modules, or CuPy and cupyx.scipy; operands are arrays with their batch axes, static values
come by name. Results are arrays, a tuple where there are several; NaN where there is no answer.

These run on the reference, as host callbacks of native code, on CUDA, and as text in the module for Numba.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any


def listed(x: Any, core: int) -> Any:
    """`x` with its batch axes as one."""
    cut = x.ndim - core
    return x.reshape((math.prod(x.shape[:cut]), *x.shape[cut:]))


def attempt(function: Callable[..., Any], otherwise: Any) -> Any:
    """`function()`, or NaN like `otherwise` (or None) where linear algebra fails (LinAlgError is a ValueError)."""
    try:
        return function()
    except ValueError:
        return otherwise if otherwise is None else otherwise * math.nan


def put(np: Any, results: Any, *targets: Any) -> None:
    """Write results into flat arrays."""
    for target, result in zip(targets, results if isinstance(results, tuple) else (results,), strict=True):
        target[...] = np.ravel(result)


def potrf(np: Any, scipy: Any, a: Any) -> Any:
    """The lower Cholesky factor; above it may be anything."""
    factor = np.array(a)
    for whole, out in zip(listed(a, 2), listed(factor, 2), strict=True):
        out[...] = attempt(lambda a=whole: np.linalg.cholesky(np.tril(a) + np.tril(a, -1).T.conj()), whole)
    return factor


cholesky = potrf


def getrf(np: Any, scipy: Any, a: Any) -> Any:
    """LAPACK's factors of the transpose, as their transpose, and its pivots (from 1)."""
    factors, pivots = np.empty_like(a), np.empty(a.shape[:-1], np.int32)
    for k, matrix in enumerate(listed(a, 2)):
        lu, swaps = scipy.linalg.lu_factor(matrix.T, check_finite=False)
        listed(factors, 2)[k], listed(pivots, 1)[k] = lu.T, swaps + 1
    return factors, pivots


def getrs(np: Any, scipy: Any, factors: Any, pivots: Any, b: Any, trans: bool) -> Any:
    """x with op(a) @ x = b for every row x and b; NaN where a pivot is zero."""
    x = np.empty_like(b)
    for k, out in enumerate(listed(x, 2)):
        lu = listed(factors, 2)[k].T
        swaps, given = listed(pivots, 1)[k] - 1, listed(b, 2)[k].T
        solved = scipy.linalg.lu_solve((lu, swaps), given, 0 if trans else 1, check_finite=False)
        out[...] = np.where((np.diagonal(lu) == 0).any(), math.nan, solved.T)
    return x


def solve(np: Any, scipy: Any, a: Any, b: Any, trans: bool) -> Any:
    factors, pivots = getrf(np, scipy, a)
    rows = getrs(np, scipy, factors, pivots, np.array(np.swapaxes(b, -1, -2)), trans)
    return np.swapaxes(rows, -1, -2)


def inv(np: Any, scipy: Any, a: Any) -> Any:
    factors, pivots = getrf(np, scipy, a)
    return getri(np, scipy, factors, pivots)


def getri(np: Any, scipy: Any, factors: Any, pivots: Any) -> Any:
    unit = np.eye(factors.shape[-1], dtype=factors.dtype) + np.zeros_like(factors)
    return getrs(np, scipy, factors, pivots, unit, True)


def triangular(np: Any, scipy: Any, a: Any, b: Any, lower: bool, trans: bool, unit: bool) -> Any:
    """x with op(a) @ x = b; NaN where the diagonal has a zero."""
    x = np.empty_like(b)
    for k, out in enumerate(listed(x, 2)):
        whole = listed(a, 2)[k]
        matrix = np.array(whole)
        if not unit:
            matrix += np.diag(np.where(np.diagonal(whole) == 0, math.nan, 0).astype(a.dtype))
        out[...] = scipy.linalg.solve_triangular(matrix, listed(b, 2)[k], trans=int(trans), lower=lower,
                                                 unit_diagonal=unit, check_finite=False)
    return x


def tridiagonal(np: Any, scipy: Any, dl: Any, d: Any, du: Any, b: Any) -> Any:
    """x with a @ x = b; NaN where `a` is singular."""
    x = np.empty_like(b)
    for k, out in enumerate(listed(x, 2)):
        bands = np.zeros((3, d.shape[-1]), d.dtype)
        bands[0, 1:], bands[1], bands[2, :-1] = listed(du, 1)[k], listed(d, 1)[k], listed(dl, 1)[k]
        given = listed(b, 2)[k]
        out[...] = attempt(lambda a=bands, y=given: scipy.linalg.solve_banded((1, 1), a, y, check_finite=False), given)
        if d.shape[-1] == 1 and not bands[1].any():
            out[...] = math.nan
    return x


def gelqf(np: Any, scipy: Any, a: Any) -> Any:
    """r above and on the diagonal of the first, q in the second."""
    q, r = np.empty_like(a), np.zeros_like(a)
    for k, whole in enumerate(listed(a, 2)):
        listed(q, 2)[k], listed(r, 2)[k][: a.shape[-1]] = np.linalg.qr(whole)
    return r, q


def syevd(np: Any, scipy: Any, a: Any) -> Any:
    """Eigenvalues, and the conjugates of eigenvectors as rows."""
    w, v = np.empty(a.shape[:-1], a.real.dtype), np.empty_like(a)
    for k, whole in enumerate(listed(a, 2)):
        values, vectors = attempt(lambda a=whole: np.linalg.eigh(a), None) or (math.nan, math.nan * whole)
        listed(w, 1)[k], listed(v, 2)[k] = values, vectors.T.conj()
    return w, v


def eigh(np: Any, scipy: Any, a: Any) -> Any:
    w, v = syevd(np, scipy, a)
    return w, np.swapaxes(v, -1, -2).conj()


def geev(np: Any, scipy: Any, a: Any) -> Any:
    """Eigenvalues, and the conjugates of eigenvectors as rows."""
    if not hasattr(np.linalg, "eig"):
        raise NotImplementedError("this version of CuPy has no linalg.eig: install version 14, or compile for the CPU")
    w, v = np.empty(a.shape[:-1], a.dtype), np.empty_like(a)
    for k, whole in enumerate(listed(a, 2)):
        values, vectors = attempt(lambda a=whole: np.linalg.eig(a), None) or (math.nan, math.nan * whole)
        listed(w, 1)[k], listed(v, 2)[k] = values, vectors.T.conj()
    return w, v


def eig(np: Any, scipy: Any, a: Any) -> Any:
    w, v = geev(np, scipy, a)
    return w, np.swapaxes(v, -1, -2).conj()


def gesdd(np: Any, scipy: Any, a: Any, full: bool) -> Any:
    batch, (m, n) = a.shape[:-2], a.shape[-2:]
    k = min(m, n)
    u, v = (np.empty((*batch, *d), a.dtype) for d in ((m, m if full else k), (n if full else k, n)))
    s = np.empty((*batch, k), a.real.dtype)
    for i, whole in enumerate(listed(a, 2)):
        parts = attempt(lambda a=whole: np.linalg.svd(a, full_matrices=full), None)
        for x, core, part in zip((u, s, v), (2, 1, 2), parts or (math.nan,) * 3, strict=True):
            listed(x, core)[i] = part
    return u, s, v


svd = gesdd


def trmm(np: Any, scipy: Any, a: Any, b: Any, lower: bool, trans: bool) -> Any:
    triangle = np.tril(a) if lower else np.triu(a)
    return (np.swapaxes(triangle, -1, -2) if trans else triangle) @ b


def syrk(np: Any, scipy: Any, a: Any, trans: bool) -> Any:
    """a @ a.T, or a.T @ a; above the diagonal it may be anything."""
    turned = np.swapaxes(a, -1, -2)
    return turned @ a if trans else a @ turned


def expm(np: Any, scipy: Any, a: Any) -> Any:
    x = np.empty_like(a)
    for whole, out in zip(listed(a, 2), listed(x, 2), strict=True):
        out[...] = attempt(lambda a=whole: scipy.linalg.expm(a), whole)
    return x


def det(np: Any, scipy: Any, a: Any) -> Any:
    return np.linalg.det(a)


def slogdet(np: Any, scipy: Any, a: Any) -> Any:
    return tuple(np.linalg.slogdet(a))


def cofactor(np: Any, scipy: Any, a: Any) -> Any:
    """From the singular values: conj(u @ diag(products of the others) @ vh), times the determinants of u and vh."""
    u, s, v = np.linalg.svd(a)
    others = np.stack([np.prod(np.delete(s, k, -1), -1) for k in range(s.shape[-1])], -1) if s.shape[-1] else s
    return (np.linalg.det(u) * np.linalg.det(v))[..., None, None] * ((u * others[..., None, :]) @ v).conj()


def qr(np: Any, scipy: Any, a: Any) -> Any:
    r, q = gelqf(np, scipy, a)
    return q, r[..., : a.shape[-1], :]


def pinv(np: Any, scipy: Any, a: Any, part: float, count: int) -> Any:
    return np.linalg.pinv(a, part * count)


def fft(np: Any, scipy: Any, z: Any, axes: Any, inverse: bool, norm: str) -> Any:
    transform = scipy.fft.ifftn if inverse else scipy.fft.fftn
    return transform(z, axes=tuple(axes), norm=norm) if z.size else z


def rfft(np: Any, scipy: Any, x: Any, axes: Any, norm: str) -> Any:
    """Of the last of `axes` the frequencies that are not negative; of no arrays none."""
    if not x.size:
        shape = list(x.shape)
        shape[axes[-1]] = shape[axes[-1]] // 2 + 1
        return np.zeros(shape, np.result_type(x.dtype, np.complex64))
    return scipy.fft.rfftn(x, axes=tuple(axes), norm=norm)


def irfft(np: Any, scipy: Any, z: Any, n: int, axes: Any, norm: str) -> Any:
    """`n` real numbers along the last of `axes`."""
    lengths = [z.shape[a] for a in axes[:-1]] + [n]
    if not z.size:
        shape = list(z.shape)
        shape[axes[-1]] = n
        return np.zeros(shape, z.real.dtype)
    return scipy.fft.irfftn(z, s=lengths, axes=tuple(axes), norm=norm)


def argsort(np: Any, scipy: Any, x: Any) -> Any:
    return np.argsort(x, axis=-1, kind="stable")


def searchsorted(np: Any, scipy: Any, x: Any, v: Any, right: bool) -> Any:
    """Of every row of `v` in that of `x`."""
    found = np.empty(v.shape, np.int64)
    for row, wanted, out in zip(listed(x, 1), listed(v, 1), listed(found, 1), strict=True):
        out[...] = np.searchsorted(row, wanted, side="right" if right else "left")
    return found


def source(names: Iterable[str]) -> list[str]:
    """The texts of the functions `names` and of those that they call."""
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        function = globals().get(name)
        if name in found or not inspect.isfunction(function):
            continue
        found[name] = inspect.getsource(function)
        codes = [function.__code__]
        for code in codes:
            codes += [c for c in code.co_consts if inspect.iscode(c)]
            waiting += code.co_names
    return [found[name] for name in sorted(found)]
