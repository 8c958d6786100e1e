"""gammaln, digamma and its first three derivatives, in float64.

Large arguments: Stirling's series in 1/x^2. Small ones are moved up (or, for gammaln, next to 2) by the recurrence
gamma(x + 1) = x gamma(x); negative ones are reflected, with sin and cot of pi x from the exact distance to an integer.
"""

from __future__ import annotations

import math

from . import tables
from .circular import cos_near, sin_near
from .logarithm import log
from .scalar import Code, Value

LARGE = 8.0


def sine_and_cosine(code: Code, x: Value) -> tuple[Value, Value, Value]:
    """r = x - n with the nearest integer n, sin(pi |r|) and cos(pi |r|)."""
    high, low = tables.PI_BY_2[x.dtype]
    r = x - code.apply("round", x)
    a = abs(r)
    swap = a > 0.25
    near = code.where(swap, 0.5 - a, a)
    angle = near * (2.0 * high)
    error = code.fma(near, 2.0 * low, code.fma(near, 2.0 * high, -angle))
    s, c = (u + v for u, v in (sin_near(code, angle, error), cos_near(code, angle, error)))
    return r, code.where(swap, c, s), code.where(swap, s, c)


def _product_above(code: Code, x: Value) -> tuple[Value, Value]:
    """x (x + 1) ... (x + 7) and its derivative."""
    rising = [0, 5040, 13068, 13132, 6769, 1960, 322, 28, 1]
    product = code.horner(tuple(map(float, rising[1:])), x) * x
    return product, code.horner(tuple(float(k * c) for k, c in enumerate(rising))[1:], x)


def digamma(code: Code, x: Value) -> Value:
    reflect = x < 0.0
    y = code.where(reflect, 1.0 - x, x)
    large = y >= LARGE
    product, slope = _product_above(code, y)
    z = code.where(large, y, y + LARGE)
    inverse = 1.0 / z
    t = inverse * inverse
    series = code.fma(t, code.horner(tables.DIGAMMA[x.dtype], t), 0.5 * inverse)
    result = (log(code, z) - series) - code.where(large, 0.0, slope / product)
    r, s, c = sine_and_cosine(code, x)
    cotangent = code.copysign(c / s, r)
    reflected = code.where(s > 0.0, result - math.pi * cotangent, math.nan)
    return code.where(reflect, reflected, result)


def _positive_polygamma(code: Code, order: int, x: Value) -> Value:
    """(-1)^(order + 1) polygamma(order, x) for x > 0: eight terms of the sum over 1/(x + k)^(order + 1), then the series."""
    def power(u: Value) -> Value:
        return u * u if order == 1 else u * u * u if order == 2 else (u * u) * (u * u)

    total = power(1.0 / (x + 7.0))
    for k in reversed(range(7)):
        total = total + power(1.0 / (x + float(k) if k else x))
    u = 1.0 / (x + LARGE)
    t = u * u
    series = code.horner(tables.POLYGAMMA[f"order{order}"], t)
    first, second = ((1.0, 0.5), (1.0, 1.0), (2.0, 3.0))[order - 1]
    lead = u if order == 1 else t if order == 2 else t * u
    return code.fma(lead, code.fma(t, series, code.fma(second, u, first)), total * float(math.factorial(order)))


def _polygamma(code: Code, order: int, x: Value) -> Value:
    reflect = x < 0.0
    result = _positive_polygamma(code, order, abs(code.where(reflect, 1.0 - x, x)))
    r, s, c = sine_and_cosine(code, x)
    cotangent = code.copysign(c / s, r)
    square = cotangent * cotangent
    if order == 1:
        return code.where(reflect, code.fma(square, math.pi**2, math.pi**2) - result, result)
    if order == 2:
        return -code.where(reflect, code.fma((square + 1.0) * cotangent, 2.0 * math.pi**3, result), result)
    return code.where(reflect, (square + 1.0) * code.fma(square, 6.0 * math.pi**4, 2.0 * math.pi**4) - result, result)


def polygamma1(code: Code, x: Value) -> Value:
    return _polygamma(code, 1, x)


def polygamma2(code: Code, x: Value) -> Value:
    return _polygamma(code, 2, x)


def polygamma3(code: Code, x: Value) -> Value:
    return _polygamma(code, 3, x)


def _moved_next_to_two(code: Code, x: Value) -> tuple[Value, Value, Value]:
    """d, p and whether to divide: gamma(x) is gamma(2 + d) times (or divided by) p, -3/4 <= d <= 1/2, for 0 < x < 8."""
    d, product = x - 2.0, code.constant(1.0, x.dtype)
    for _ in range(6):
        above = d > 0.5
        product = code.where(above, product * (d + 1.0), product)
        d = code.where(above, d - 1.0, d)
    up, twice = x < 1.25, x < 0.5
    raised = code.where(twice, x * (x + 1.0), x)
    return code.where(twice, x, code.where(up, x - 1.0, d)), code.where(up, raised, product), up


def _positive_gammaln(code: Code, x: Value) -> Value:
    large = x >= LARGE
    d, product, up = _moved_next_to_two(code, x)
    logarithm = log(code, code.where(large, x, product))
    near = code.fma(code.horner(tables.GAMMALN[x.dtype], d), d, code.where(up, -logarithm, logarithm))
    inverse = 1.0 / x
    series = code.fma(inverse, code.horner(tables.STIRLING[x.dtype], inverse * inverse), 0.5 * math.log(2.0 * math.pi) - 0.5)
    far = code.fma(x - 0.5, logarithm - 1.0, series)
    return code.where(large, far, near)


def gammaln(code: Code, x: Value) -> Value:
    """log |gamma(x)|; for x < 0 by gamma(x) gamma(-x) = -pi / (x sin(pi x))."""
    a = abs(x)
    result = _positive_gammaln(code, a)
    _, s, _ = sine_and_cosine(code, x)
    reflected = log(code, math.pi / (a * s)) - result
    result = code.where((x < 0.0) & (a > 2.0**-100), reflected, result)
    return code.where(a.equals(math.inf), math.inf, result)
