"""erf, erfc and erfinv.

erfc(x) = e^(-x^2) g(q) / (1 + 2x) for x >= 0, where g is smooth in q = (x - 4) / (x + 4), which maps [0, inf) to
[-1, 1) (Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x", 1981). Near 0,
erf(x) = x + x P(x^2).
"""

from __future__ import annotations

import math

from . import tables
from .exponential import exp_of
from .logarithm import log
from .scalar import Code, Value


def _complement(code: Code, a: Value) -> Value:
    """erfc(a) for a >= 0."""
    limit = 28.0 if code.double else 11.0
    a = code.where(a > limit, limit, a)
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


def erfinv(code: Code, x: Value) -> Value:
    """x F(w) with w = -log(1 - x^2); towards 1, where F grows as sqrt(w), x sqrt(w) G(1 / sqrt(w))."""
    w = -log(code, code.fma(-x, x, 1.0))
    root = code.sqrt(w)
    near = code.horner(tables.ERFINV[x.dtype], w - 3.125)
    far = root * code.horner(tables.ERFINV_FAR[x.dtype], 1.0 / root - 0.28125)
    result = x * code.where(w < 6.25, near, far)
    return code.where(abs(x).equals(1.0), code.copysign(math.inf, x), result)
