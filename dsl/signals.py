"""Functions of samples in a row: convolution, differences along a grid, polynomials, covariance.

Raises ShapeError for arrays of another rank and sizes that do not fit, PullbackError for an unknown mode.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import size as sizes
from .arguments import array, floating, integer, one_axis
from .errors import PullbackError, ShapeError
from .joining import part
from .node import FUNCTIONS, Expr, where
from .primitives import iota, place, reshape, scalar, show_shape
from .shapes import flip
from .size import Dim
from .surface import as_expr, surface

_UNROLLED = 16           # taps of a filter whose products are written out, a shifted read each


# ---- convolution ------------------------------------------------------------------------------------------------
@surface
def convolve(a: Any, v: Any, mode: str = "full") -> Expr:
    """The sums of a[i - k] * v[k] over k of two vectors: 'full' of length n + m - 1, 'same' the middle max(n, m) of
    them, 'valid' those without an end of either.

    >>> import numpy as np, pullback as pb
    >>> pb.compile(pb.convolve)(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0]))
    array([ 1., 12., 23., 30.])
    """
    a, v = _vectors("convolve", a, v, mode)
    if a.shape[0] < v.shape[0]:
        a, v = v, a
    n, m = a.shape[0], sizes.fixed_if_small(v.shape[0], _UNROLLED)
    length, first = {"full": (n + m - 1, 0), "same": (n, sizes.floordiv(m - 1, 2)), "valid": (n - m + 1, m - 1)}[mode]
    padded = place(a, ((m - 1 - first, 1),), (length + m - 1,))        # pad would fix the size of v
    if not isinstance(m, int):
        places = scalar("subtract", reshape(iota((length,), 0, np.int64), (length, 1)), iota((m,), 0, np.int64))
        windows = FUNCTIONS["take"](padded, scalar("add", places, m - 1))
        return FUNCTIONS["sum"](scalar("multiply", windows, v), 1)
    found = scalar("multiply", part(padded, 0, m - 1, length), v[0])
    for k in range(1, m):
        found = scalar("add", found, scalar("multiply", part(padded, 0, m - 1 - k, length), v[k]))
    return found


@surface
def correlate(a: Any, v: Any, mode: str = "valid") -> Expr:
    """The sums of a[i + k] * conj(v[k]) over k of two vectors, with the modes of `convolve`."""
    a, v = _vectors("correlate", a, v, mode)
    if a.shape[0] < v.shape[0]:
        return flip(FUNCTIONS["conj"](correlate(v, a, mode)), 0)
    return convolve(a, flip(FUNCTIONS["conj"](v), 0), mode)


def _vectors(name: str, a: Any, v: Any, mode: str) -> tuple[Expr, Expr]:
    if mode not in ("full", "same", "valid"):
        raise PullbackError(f"{name} has the modes 'full', 'same' and 'valid', not {mode!r}")
    a, v = array(a), array(v)
    if len(a.shape) != 1 or len(v.shape) != 1 or sizes.equal(a.shape[0], 0) or sizes.equal(v.shape[0], 0):
        raise ShapeError(f"{name} takes two vectors that are not empty, not arrays of shapes {show_shape(a.shape)} "
                         f"and {show_shape(v.shape)}{where(v)}")
    return a, v


# ---- differences ------------------------------------------------------------------------------------------------
def gradient(f: Any, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences of the samples `f` along `axis`, one-sided at the ends (of order `edge_order`, 1 or 2);
    an array for one axis, a list of arrays for several or for axis=None.

    `spacing`: a step or the coordinates along the axis, once for all or one for each. Not the derivative of a program:
    that is `pb.grad`.

    >>> import numpy as np, pullback as pb
    >>> pb.compile(lambda f: pb.gradient(f, 0.5))(np.array([0.0, 1.0, 4.0]))
    array([2., 4., 6.])
    """
    f = as_expr(f)
    if axis is None and f.shape is None:
        raise PullbackError("how many gradients there are is not known of an array of unknown rank: give axis=, or "
                            "call pullback.gradient inside a function given to pullback.compile")
    axes = range(len(f.shape)) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    steps = spacing or (1.0,)
    steps = steps * len(axes) if len(steps) == 1 else steps
    if len(steps) != len(axes):
        raise ShapeError(f"gradient takes one spacing or one for each of the {len(axes)} axes, not {len(steps)}")
    if edge_order not in (1, 2):
        raise PullbackError(f"gradient has the edge orders 1 and 2, not {edge_order!r}")
    found = [_difference(f, h, a, edge_order) for h, a in zip(steps, axes, strict=True)]
    return found[0] if len(found) == 1 else found


FUNCTIONS["gradient"] = gradient


@surface
def _difference(f: Any, spacing: Any, axis: Any, edge_order: int) -> Expr:
    f, spacing = array(f), array(spacing)
    at = one_axis(axis, len(f.shape))
    n = f.shape[at]
    if n <= edge_order:
        raise ShapeError(f"gradient with edge_order={edge_order} takes at least {edge_order + 1} samples along axis "
                         f"{at}, not an array of shape {show_shape(f.shape)}{where(f)}")
    f = FUNCTIONS["moveaxis"](floating(f), at, -1)
    steps = spacing if not spacing.shape else scalar("subtract", spacing[1:], spacing[:-1])
    first, last = (steps, steps) if not spacing.shape else (steps[0], steps[-1])
    if edge_order == 1:
        ends = [scalar("divide", scalar("subtract", f[..., 1:2], f[..., :1]), first),
                scalar("divide", scalar("subtract", f[..., -1:], f[..., -2:-1]), last)]
    else:
        second, before = (steps, steps) if not spacing.shape else (steps[1], steps[-2])
        ends = [_one_sided([f[..., i:i + 1] for i in range(3)], first, second),
                -_one_sided([f[..., n - 1 - i:n - i] for i in range(3)], last, before)]
    return FUNCTIONS["moveaxis"](FUNCTIONS["concatenate"]([ends[0], _central(f, n, steps), ends[1]], -1), -1, at)


def _central(f: Expr, n: Dim, h: Expr) -> Expr:
    """The slope at the middle of three samples, of the parabola through them."""
    before, middle, after = (part(f, len(f.shape) - 1, i, n - 2) for i in range(3))
    if not h.shape:
        return (after - before) / (2 * h)
    a, b = h[:-1], h[1:]
    return -b / (a * (a + b)) * before + (b - a) / (a * b) * middle + a / (b * (a + b)) * after


def _one_sided(samples: list[Expr], a: Expr, b: Expr) -> Expr:
    """The slope at the first of three samples, `a` and `b` apart, of the parabola through them."""
    x, y, z = samples
    return -(2 * a + b) / (a * (a + b)) * x + (a + b) / (a * b) * y - a / (b * (a + b)) * z


@surface
def ediff1d(x: Any, to_end: Any = None, to_begin: Any = None) -> Expr:
    """The differences of neighbours in the flattened `x`, between `to_begin` and `to_end` where given."""
    flat = FUNCTIONS["ravel"](x)
    parts = [to_begin, FUNCTIONS["diff"](flat), to_end]
    return FUNCTIONS["concatenate"]([FUNCTIONS["ravel"](p) for p in parts if p is not None])


# ---- polynomials ------------------------------------------------------------------------------------------------
@surface
def polyval(p: Any, x: Any) -> Expr:
    """The polynomial with the coefficients `p`, the highest power first, at `x`, by Horner's scheme."""
    p, x = array(p), array(x)
    found = scalar("multiply", x, 0)
    for k in range(integer(p.shape[0], "the number of coefficients")):
        found = scalar("add", scalar("multiply", found, x), p[k])
    return found


@surface
def vander(x: Any, N: Any = None, increasing: bool = False) -> Expr:
    """The powers of the vector `x` below `N` (its length) as columns, falling unless `increasing`."""
    x = array(x)
    if len(x.shape) != 1:
        raise ShapeError(f"vander takes a vector, not an array of shape {show_shape(x.shape)}{where(x)}")
    powers = range(integer(x.shape[0] if N is None else N, "the number of powers"))
    columns = [scalar("power", x, k) for k in (powers if increasing else reversed(powers))]
    return FUNCTIONS["stack"](columns, 1) if columns else FUNCTIONS["zeros"]((x.shape[0], 0), x.dtype)


# ---- covariance -------------------------------------------------------------------------------------------------
@surface
def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None) -> Expr:
    """The covariances of the rows of `m` (of its columns with rowvar=False) and of `y`: the sum of products of the
    differences from the means over n - 1, over n with `bias`, or over n - ddof.

    >>> import numpy as np, pullback as pb
    >>> pb.compile(pb.cov)(np.array([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    x = _rows(m, rowvar) if y is None else FUNCTIONS["concatenate"]([_rows(m, rowvar), _rows(y, rowvar)])
    x = scalar("subtract", x, FUNCTIONS["mean"](x, 1, keepdims=True))
    freedom = x.shape[1] - integer((0 if bias else 1) if ddof is None else ddof, "ddof")
    products = FUNCTIONS["matmul"](x, FUNCTIONS["conj"](FUNCTIONS["transpose"](x)))
    return FUNCTIONS["squeeze"](scalar("divide", products, freedom))


def _rows(m: Any, rowvar: bool) -> Expr:
    m = floating(m)
    if len(m.shape) > 2:
        raise ShapeError(f"cov takes a vector or a matrix, not an array of shape {show_shape(m.shape)}{where(m)}")
    return FUNCTIONS["atleast_2d"](m) if len(m.shape) < 2 or rowvar else FUNCTIONS["transpose"](m)


@surface
def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Expr:
    """The correlation coefficients of the rows of `x` and `y`: `cov` over the product of the deviations. Rounding may
    leave the last bit of a 1; it is not cut off, so that the derivative stays."""
    found = cov(x, y, rowvar)
    if not found.shape:
        return scalar("divide", found, found)
    deviation = scalar("sqrt", FUNCTIONS["real"](FUNCTIONS["diagonal"](found)))
    return scalar("divide", scalar("divide", found, reshape(deviation, (*deviation.shape, 1))), deviation)
