"""Modified Bessel functions of order 0 and 1, in float64, as they are and scaled by e^-|x|.

I0(x) = P(x^2/4) and I1(x) = x/2 R(x^2/4) with positive coefficients for |x| < 8; beyond, sqrt(x) e^-x I(x) is a
polynomial in 1/x.
"""

from __future__ import annotations

import math

from . import tables
from .exponential import exp_of
from .scalar import Code, Value

LARGE = 8.0
MIDDLE = 0.0625          # of the range of 1/x, about which powers are small


def _far(code: Code, a: Value, table: dict[str, tuple[float, ...]]) -> Value:
    """e^-a I(a) for a >= 8."""
    return code.horner(table[a.dtype], 1.0 / a - MIDDLE) / code.sqrt(a)


def _near(code: Code, a: Value, table: dict[str, tuple[float, ...]]) -> Value:
    a = code.where(a < LARGE, a, LARGE)
    return code.horner(table[a.dtype], a * a * 0.25)


def _grown(code: Code, a: Value, x: Value) -> Value:
    """x e^a, which overflows only where the product does."""
    half = exp_of(code, 0.5 * a)
    return code.where(a >= 720.0, math.inf, (x * half) * half)


def i0e(code: Code, x: Value) -> Value:
    a = abs(x)
    return code.where(a < LARGE, exp_of(code, -a) * _near(code, a, tables.I0), _far(code, a, tables.I0_FAR))


def i0(code: Code, x: Value) -> Value:
    a = abs(x)
    return code.where(a < LARGE, _near(code, a, tables.I0), _grown(code, a, _far(code, a, tables.I0_FAR)))


def i1e(code: Code, x: Value) -> Value:
    a = abs(x)
    near = exp_of(code, -a) * (0.5 * a * _near(code, a, tables.I1))
    return code.copysign(code.where(a < LARGE, near, _far(code, a, tables.I1_FAR)), x)


def i1(code: Code, x: Value) -> Value:
    a = abs(x)
    near = 0.5 * a * _near(code, a, tables.I1)
    return code.copysign(code.where(a < LARGE, near, _grown(code, a, _far(code, a, tables.I1_FAR))), x)
