"""Meanings in NumPy of the rows that NumPy does not name itself. SciPy is imported on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import expansions

Array = Any


def special(name: str, *leading: int) -> Callable[..., Array]:
    """`scipy.special.<name>` with `leading` arguments in front (a polygamma's order), imported when first called."""

    def function(*args: Array) -> Array:
        import scipy.special

        return getattr(scipy.special, name)(*leading, *args)

    return function


class Rows:
    """The rows of the table on arrays: what expansions are written in."""

    def __getattr__(self, row: str) -> Callable[..., Any]:
        from . import ops

        return ops.ROWS[row].numpy


def beta(x: Array, y: Array) -> Array:
    return expansions.beta(Rows(), x, y)


def betaln(x: Array, y: Array) -> Array:
    """SciPy's loses digits where one argument is large."""
    return expansions.betaln(Rows(), x, y)


def sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def sech(x: Array) -> Array:
    """1/cosh without its overflow."""
    e = np.exp(-np.where(np.real(x) < 0, -x, x))
    return 2 * e / (1 + e * e)


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_sigmoid(x: Array) -> Array:
    return -softplus(-x)


def log1mexp(x: Array) -> Array:
    return np.where(x > -0.6931471805599453, np.log(-np.expm1(x)), np.log1p(0 - np.exp(x)))


def log_cosh(x: Array) -> Array:
    """|x| + log1p(exp(-2|x|)) - log(2), which vanishes near 0; there log1p(cosh(x) - 1)."""
    a = np.abs(x)
    near = np.log1p(2 * np.sinh(np.minimum(a, 1) / 2) ** 2)
    return np.where(a < 1, near, a + (np.log1p(np.exp(-2 * a)) - np.asarray(np.log(2), x.dtype)))


def logit(x: Array) -> Array:
    """log(x / (1 - x)); near 1/2 the quotient rounds next to 1, so the distance from 1 is formed first."""
    return np.where(np.abs(x - 0.5) < 0.25, np.log1p((2 * x - 1) / (1 - x)), np.log(x / (1 - x)))


def xlogy(x: Array, y: Array) -> Array:
    return np.where((x == 0) & ~np.isnan(y), 0, x * np.log(y))


def xlog1py(x: Array, y: Array) -> Array:
    return np.where((x == 0) & ~np.isnan(y), 0, x * np.log1p(y))


def rsqrt(x: Array) -> Array:
    return 1 / np.sqrt(x)


def reciprocal(x: Array) -> Array:
    return 1 / x


def round_half_even(x: Array) -> Array:
    return np.rint(x) if x.dtype.kind == "f" else x


def fma(x: Array, y: Array, z: Array) -> Array:
    """x*y + z with one rounding; the float64 product is split in halves, so that rare ties may miss the last bit."""
    if x.dtype != np.float64:
        return (x.astype(np.float64) * y + z).astype(x.dtype) if x.dtype.kind == "f" else x * y + z
    product, total = x * y, x * y + z
    (xh, xl), (yh, yl) = _split(x), _split(y)
    low = ((xh * yh - product) + xh * yl + xl * yh) + xl * yl
    back = total - product
    rest = (product - (total - back)) + (z - back)
    exact = total + (rest + low)
    return np.where(np.isfinite(exact), exact, total)


def exp_product(x: Array, y: Array) -> Array:
    """exp(x*y), the rounding error of the product times its result added."""
    product = x * y
    low = fma(x, y, -product) if x.dtype == np.float64 else (x.astype(np.float64) * y - product).astype(x.dtype)
    result = np.exp(product)
    return np.where(np.isfinite(result * low), result + result * low, result)


def ndtr(x: Array) -> Array:
    """SciPy's loses the digits of x^2 in its tail."""
    a = np.abs(x)
    tail = 0.5 * special("erfcx")(a * np.sqrt(x.dtype.type(0.5))) * exp_product(-a / 2, a)
    return np.where(a < 0.6, special("ndtr")(x), np.where(x < 0, tail, 1 - tail))


def log_ndtr(x: Array) -> Array:
    low = np.minimum(x, -1)
    far = np.log(special("erfcx")(low * -np.sqrt(x.dtype.type(0.5))) / 2) - low * low / 2
    return np.where(x < -1, far, np.log1p(-ndtr(-np.maximum(x, -1))))


def _split(x: Array) -> tuple[Array, Array]:
    """Veltkamp's split of a double in two halves of 26 bits."""
    scaled = 134217729.0 * x
    high = scaled - (scaled - x)
    return high, x - high


def clip(x: Array, low: Array, high: Array) -> Array:
    return np.minimum(np.maximum(x, low), high)


def mask(c: Array, g: Array) -> Array:
    return np.where(c, g, np.zeros((), g.dtype))


def cast(x: Array, dtype: np.dtype) -> Array:
    return x.astype(dtype)


def bitcast(x: Array, dtype: np.dtype) -> Array:
    return x.view(dtype)


def identity(x: Array) -> Array:
    return x
