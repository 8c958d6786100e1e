"""erf, erfc and erfinv.

erfc(x) = e^(-x^2) g(q) / (1 + 2x) for x >= 0, where g is smooth in q = (x - 4) / (x + 4), which maps [0, inf) to [-1, 1)
(Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x", 1981). Near 0, erf(x) = x + x P(x^2).
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


def erf(code: Code, x: Value) -> Value:
    a = abs(x)
    near = code.fma(code.horner(tables.ERF[x.dtype], x * x), x, x)
    return code.where(a < 0.75, near, code.copysign(1.0 - _complement(code, a), x))


def erfc(code: Code, x: Value) -> Value:
    far = _complement(code, abs(x))
    return code.where(x < 0.0, 2.0 - far, far)


def erfinv(code: Code, x: Value) -> Value:
    """x F(u) with u = sqrt(w + c), w = -log(1 - x^2): smooth at 0 and linear in u towards 1."""
    shift, middle, half, *series = tables.ERFINV[x.dtype]
    w = -log(code, code.fma(-x, x, 1.0))
    u = code.sqrt(w + shift)
    result = x * code.horner(tuple(series), (u - middle) * half)
    return code.where(abs(x).equals(1.0), code.copysign(math.inf, x), result)
