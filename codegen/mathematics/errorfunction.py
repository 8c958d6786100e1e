"""erf, erfc, their inverses, and the normal distribution.

erfc(x) = e^(-x^2) g(q) / (1 + 2x) for x >= 0, where g is smooth in q = (x - 4) / (x + 4), which maps [0, inf) to
[-1, 1) (Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x", 1981). Near 0,
erf(x) = x + x P(x^2).
"""

from __future__ import annotations

import math

from . import tables
from .exponential import exp_of
from .logarithm import log, log1p_of
from .scalar import Code, Value


def _limit(code: Code) -> float:
    return 28.0 if code.double else 11.0


def _smooth(code: Code, a: Value) -> Value:
    """erfc(a) e^(a^2) for 0 <= a <= limit."""
    return code.horner(tables.ERFC[a.dtype], (a - 4.0) / (a + 4.0)) / code.fma(a, 2.0, 1.0)


def _complement(code: Code, a: Value) -> Value:
    """erfc(a) for a >= 0."""
    a = code.where(a > _limit(code), _limit(code), a)
    square = a * a
    decay = exp_of(code, -square, -code.fma(a, a, -square))
    g = code.horner(tables.ERFC[a.dtype], (a - 4.0) / (a + 4.0))
    return decay * g / code.fma(a, 2.0, 1.0)


def _near_zero(code: Code, x: Value) -> Value:
    """erf(x) for |x| < 3/4."""
    return code.fma(code.horner(tables.ERF[x.dtype], x * x), x, x)


def erf(code: Code, x: Value) -> Value:
    a = abs(x)
    return code.where(a < 0.75, _near_zero(code, x), code.copysign(1.0 - _complement(code, a), x))


def erfc(code: Code, x: Value) -> Value:
    a = abs(x)
    far = _complement(code, a)
    return code.where(a < 0.4375, 1.0 - _near_zero(code, x), code.where(x < 0.0, 2.0 - far, far))


def _scaled(code: Code, a: Value) -> Value:
    """erfc(a) e^(a^2) for a >= 0."""
    inverse = 1.0 / a
    far = inverse * code.horner(tables.ERFCX_FAR[a.dtype], inverse * inverse)
    return code.where(a < 10.0, _smooth(code, code.where(a < 10.0, a, 10.0)), far)


def erfcx(code: Code, x: Value) -> Value:
    """e^(x^2) erfc(x): for x < 0 it is 2 e^(x^2) minus its value at -x."""
    a = abs(x)
    result = _scaled(code, a)
    a = code.where(a > _limit(code), _limit(code), a)
    square = a * a
    growth = 2.0 * exp_of(code, square, code.fma(a, a, -square))
    return code.where(x < 0.0, growth - result, result)


def _normal_tail(code: Code, a: Value) -> Value:
    """The probability of more than `a` >= 0 standard deviations: x^2/2 is kept with its rounding error."""
    limit = 39.0 if code.double else 15.0
    a = code.where(a > limit, limit, a)
    half = 0.5 * a
    square = half * a
    decay = exp_of(code, -square, -code.fma(half, a, -square))
    return decay * (0.5 * _smooth(code, a * math.sqrt(0.5)))


def ndtr(code: Code, x: Value) -> Value:
    a = abs(x)
    tail = _normal_tail(code, a)
    near = code.fma(_near_zero(code, x * math.sqrt(0.5)), 0.5, 0.5)
    return code.where(a < 0.6, near, code.where(x < 0.0, tail, 1.0 - tail))


def log_ndtr(code: Code, x: Value) -> Value:
    """Below -1 the logarithm of erfcx is added to -x^2/2, both negative."""
    a = abs(x)
    far = log(code, 0.5 * _scaled(code, a * math.sqrt(0.5))) - 0.5 * x * x
    return code.where(x < -1.0, far, log1p_of(code, -ndtr(code, -x)))


def _inverse(code: Code, x: Value, w: Value) -> Value:
    """erfinv(x) with w = -log(1 - x^2), for w up to 38 (float32: 17)."""
    root = code.sqrt(w)
    near = code.horner(tables.ERFINV[x.dtype], w - 3.125)
    far = root * code.horner(tables.ERFINV_FAR[x.dtype], 1.0 / root - 0.28125)
    return x * code.where(w < 6.25, near, far)


def erfinv(code: Code, x: Value) -> Value:
    """x F(w) with w = -log(1 - x^2); towards 1, where F grows as sqrt(w), x sqrt(w) G(1 / sqrt(w))."""
    result = _inverse(code, x, -log(code, code.fma(-x, x, 1.0)))
    return code.where(abs(x).equals(1.0), code.copysign(math.inf, x), result)


def erfcinv(code: Code, x: Value) -> Value:
    """erfinv(1 - x), where 1 - (1 - x)^2 is x (2 - x); in float64, with a third piece for x down to the smallest."""
    rest = 1.0 - x
    low = code.where(x > 1.0, 2.0 - x, x)
    w = -log(code, code.where(low > 0.25, code.fma(-rest, rest, 1.0), low * (2.0 - low)))
    root = code.sqrt(w)
    tail = code.copysign(root * code.horner(tables.ERFINV_TAIL[x.dtype], 1.0 / root - 0.1), rest)
    result = code.where(w < 37.0, _inverse(code, rest, w), tail)
    return code.where(low.equals(0.0), code.copysign(math.inf, rest), result)
