"""gamma, its logarithm, digamma and its first three derivatives, in float64.

Large arguments: Stirling's series in 1/x^2. Small ones are moved up (or, for gammaln, next to 2) by the recurrence
gamma(x + 1) = x gamma(x); negative ones are reflected, with sin and cot of pi x from the exact distance to an integer.
"""

from __future__ import annotations

import math

from . import tables
from .circular import turned
from .exponential import exp_of
from .logarithm import log
from .powers import power_of_positive
from .scalar import Code, Value

LARGE = 8.0


def _digamma_near(code: Code, x: Value) -> Value:
    """digamma(x) for 0 < x < 8: digamma(y) with 1 <= y < 2, plus the sum of 1/(y + k) on the way to x as a quotient."""
    root, root_low = tables.DIGAMMA_ROOT[x.dtype]
    below = x < 1.0
    y = code.where(below, x + 1.0, x)
    total, product = code.where(below, -1.0, 0.0), code.where(below, x, 1.0)
    for _ in range(6):
        above, lower = y >= 2.0, y - 1.0
        total = code.where(above, code.fma(total, lower, product), total)
        product = code.where(above, product * lower, product)
        y = code.where(above, lower, y)
    distance = (y - root) - root_low
    return code.fma(code.horner(tables.DIGAMMA_NEAR[x.dtype], y - 1.5), distance, total / product)


def digamma(code: Code, x: Value) -> Value:
    reflect = x < 0.0
    y = code.where(reflect, 1.0 - x, x)
    inverse = 1.0 / y
    t = inverse * inverse
    far = log(code, y) - code.fma(t, code.horner(tables.DIGAMMA[x.dtype], t), 0.5 * inverse)
    result = code.where(y < LARGE, _digamma_near(code, y), far)
    r, s, c = turned(code, x)
    reflected = code.where(s > 0.0, result - math.pi * code.copysign(c / s, r), math.nan)
    return code.where(reflect, reflected, result)


def _positive_polygamma(code: Code, order: int, x: Value) -> Value:
    """|polygamma(order, x)| for x > 0: eight terms of the sum over 1/(x + k)^(order + 1), then the series."""
    def power(u: Value) -> Value:
        return u * u if order == 1 else u * u * u if order == 2 else (u * u) * (u * u)

    total = power(1.0 / (x + 7.0))
    for k in reversed(range(7)):
        total = total + power(1.0 / (x + float(k) if k else x))
    u = 1.0 / (x + LARGE)
    t = u * u
    series = code.horner((tables.POLYGAMMA1, tables.POLYGAMMA2, tables.POLYGAMMA3)[order - 1][x.dtype], t)
    first, second = ((1.0, 0.5), (1.0, 1.0), (2.0, 3.0))[order - 1]
    lead = u if order == 1 else t if order == 2 else t * u
    return code.fma(lead, code.fma(t, series, code.fma(second, u, first)), total * float(math.factorial(order)))


def _polygamma(code: Code, order: int, x: Value) -> Value:
    reflect = x < 0.0
    result = _positive_polygamma(code, order, abs(code.where(reflect, 1.0 - x, x)))
    r, s, c = turned(code, x)
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
    constant = 0.5 * math.log(2.0 * math.pi) - 0.5
    series = code.fma(inverse, code.horner(tables.STIRLING[x.dtype], inverse * inverse), constant)
    far = code.fma(x - 0.5, logarithm - 1.0, series)
    return code.where(large, far, near)


def gammaln(code: Code, x: Value) -> Value:
    """log |gamma(x)|; for x < 0 by gamma(x) gamma(-x) = -pi / (x sin(pi x))."""
    a = abs(x)
    result = _positive_gammaln(code, a)
    _, s, _ = turned(code, x)
    reflected = log(code, math.pi / (a * s)) - result
    result = code.where((x < 0.0) & (a > 2.0**-100), reflected, result)
    return code.where(a.equals(math.inf), math.inf, result)


def _positive_gamma(code: Code, x: Value) -> Value:
    """gamma(x) for x > 0; large ones by x^(x/2 - 1/4) e^-x S(1/x) x^(x/2 - 1/4), which overflows as gamma does."""
    d, product, up = _moved_next_to_two(code, x)
    series = code.horner(tables.GAMMA_NEAR[x.dtype], d)
    near = code.where(up, series / product, series * product)
    a = code.where(x < LARGE, LARGE, code.where(x > 172.0, 172.0, x))
    half = power_of_positive(code, a, 0.5 * (a - 0.5))
    far = half * (exp_of(code, -a) * code.horner(tables.GAMMA_FAR[x.dtype], 1.0 / a)) * half
    return code.where(x < LARGE, near, far)


def gamma(code: Code, x: Value) -> Value:
    """For x < 0 by gamma(x) gamma(-x) = -pi / (x sin(pi x)); NaN at negative integers."""
    a = abs(x)
    result = _positive_gamma(code, a)
    _, s, _ = turned(code, x)
    half = 0.5 * code.apply("floor", a)
    sign = code.where(code.apply("floor", half).equals(half), -1.0, 1.0)
    reflected = code.where(s > 0.0, sign * (math.pi / (a * s)) / result, math.nan)
    result = code.where((x < 0.0) & (a > 2.0**-100), reflected, result)
    return code.where(a < 2.0**-100, 1.0 / x, code.where(x.equals(-math.inf), math.nan, result))
