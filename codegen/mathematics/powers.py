"""power, cbrt, hypot and fmod."""

from __future__ import annotations

import math

from . import tables
from .exponential import exp_of, nearest, power_of_two
from .logarithm import exponent_and_excess, log_with_exponent, small_integer
from .scalar import BIAS, MANTISSA, Code, Value

Pair = tuple[Value, Value]


def _fast_sum(a: Value | float, b: Value) -> Pair:
    """a + b and its rounding error, for |a| >= |b| or a = 0."""
    total = a + b
    return total, (a - total) + b


def _product(code: Code, a: Value, b: Value | float) -> Pair:
    """a * b and its rounding error."""
    p = a * b
    return p, code.fma(a, b, -p)


def long_log(code: Code, x: Value) -> Pair:
    """log(x) for x > 0 to about 65 bits, as a sum. With s = f / (2 + f): 2 s + s^3 (2/3 + t Q(t)), t = s^2."""
    k, f = exponent_and_excess(code, x)
    below, below_low = _fast_sum(2.0, f)
    inverse = 1.0 / below
    s = f * inverse
    s_low = code.fma(-s, below_low, code.fma(-s, below, f)) * inverse
    t, t_low = _product(code, s, s)
    t_low = code.fma(s + s, s_low, t_low)
    third, third_low, *series = tables.LONG_LOG[x.dtype]
    tail, tail_low = _product(code, t, code.horner(tuple(series), t))
    factor, factor_low = _fast_sum(third, tail)
    factor_low = factor_low + (tail_low + third_low)
    cube, cube_low = _product(code, t, s)
    cube_low = code.fma(t, s_low, code.fma(t_low, s, cube_low))
    term, term_low = _product(code, cube, factor)
    term_low = code.fma(cube, factor_low, code.fma(cube_low, factor, term_low))
    two, two_low = tables.LN2[x.dtype]
    high, error = _fast_sum(k * two, s + s)
    high, more = _fast_sum(high, term)
    low = code.fma(k, two_low, code.fma(2.0, s_low, term_low)) + (error + more)
    return _fast_sum(high, low)


def power_of_positive(code: Code, x: Value, y: Value) -> Value:
    """x^y for 0 < x < inf and finite y."""
    log, log_low = long_log(code, x)
    product, low = _product(code, y, log)
    low = code.fma(y, log_low, low)
    return exp_of(code, product, code.where(abs(product) < 1000.0, low, 0.0))


def _shortpower_of_positive(code: Code, x: Value, y: Value) -> Value:
    """The same, good to half the digits of float64."""
    return exp_of(code, y * log_with_exponent(code, *exponent_and_excess(code, x)))


def power(code: Code, x: Value, y: Value) -> Value:
    """x^y with the special values of C99: 1 where y = 0 or x = 1; of negative x only integer powers."""
    a = abs(x)
    grows = (a > 1.0) ^ (y < 0.0)
    limit = code.where(a.equals(1.0), 1.0, code.where(grows, math.inf, 0.0))    # y infinite, or x 0 or infinite
    regular = (abs(y) < math.inf) & (a > 0.0) & (a < math.inf)
    finite = power_of_positive(code, a, y) if code.double else code.in_double(_shortpower_of_positive, a, y)
    magnitude = code.where(regular, finite, limit)
    whole = code.apply("floor", y).equals(y)
    halved = y * 0.5
    odd = whole & code.apply("floor", halved).differs(halved)
    negative = code.copysign(1.0, x) < 0.0
    result = code.where(negative & odd, -magnitude, magnitude)
    result = code.where((x < 0.0) & (a < math.inf) & ~whole, math.nan, result)
    result = code.where(x.equals(x) & y.equals(y), result, x + y)
    return code.where(y.equals(0.0) | x.equals(1.0), 1.0, result)


def cbrt(code: Code, x: Value) -> Value:
    """x = 2^(3q) z with z in [1, 8): w = z^(-1/3) by a polynomial and a step of third order, then z w^2, corrected."""
    width, bias = MANTISSA[x.dtype], BIAS[x.dtype]
    shift = 18 if code.double else 8                                            # of the root, so 3 * shift of x
    a = abs(x)
    tiny = a < 2.0 ** (1 - bias)
    bits = code.bits(code.where(tiny, a * 2.0 ** (3 * shift), a))
    e = small_integer(code, bits >> width, x.dtype) - float(bias)
    q, biased = nearest(code, e - 1.0, 1.0 / 3.0, bias)
    left = e - 3.0 * q                                                          # 0, 1 or 2
    m = code.from_bits((bits & ((1 << width) - 1)) | (bias << width))
    z = m * code.where(left.equals(0.0), 1.0, code.where(left.equals(1.0), 2.0, 4.0))
    start = code.where(left.equals(0.0), 1.0, code.where(left.equals(1.0), 0.5 ** (1 / 3), 0.25 ** (1 / 3)))
    w = code.horner(tables.CBRT[x.dtype], m) * start
    e = code.fma(-z * w, w * w, 1.0)
    w = code.fma(w * e, code.fma(e, 2.0 / 9.0, 1.0 / 3.0), w)
    square = w * w
    root = z * square
    root_square, error = _product(code, root, root)
    residual = code.fma(-root_square, root, z) - error * root
    root = code.fma(residual, square * (1.0 / 3.0), root)
    result = root * power_of_two(code, biased, x.dtype) * code.where(tiny, 2.0**-shift, 1.0)
    return code.where((a > 0.0) & (a < math.inf), code.copysign(result, x), x)


def hypot(code: Code, x: Value, y: Value) -> Value:
    """sqrt(x^2 + y^2), scaled away from overflow; infinite where either is."""
    far, down, up = (2.0**500, 2.0**-600, 2.0**600) if code.double else (2.0**60, 2.0**-70, 2.0**90)
    a, b = abs(x), abs(y)
    swap = b > a
    larger, smaller = code.where(swap, b, a), code.where(swap, a, b)
    big, small = larger > far, larger < 1.0 / far
    scale = code.where(big, down, code.where(small, up, 1.0))
    back = code.where(big, 1.0 / down, code.where(small, 1.0 / up, 1.0))
    p, q = larger * scale, smaller * scale
    result = code.sqrt(code.fma(p, p, q * q)) * back
    return code.where(a.equals(math.inf) | b.equals(math.inf), math.inf, result)


def _quotient(x: Value, y: Value) -> Value:
    return abs(x) / abs(y)


def fmod(code: Code, x: Value, y: Value) -> Value:
    """x - n y, exactly. The rounded quotient is n, or one above it, which shows by the sign."""
    a, b = abs(x), abs(y)
    rest = code.fma(-code.apply("trunc", _quotient(x, y)), b, a)
    rest = code.where(rest < 0.0, rest + b, rest)
    return code.copysign(code.where(b.equals(math.inf) & (a < math.inf), a, rest), x)


def quotient_is_exact(x: Value, y: Value) -> Value:
    """Where fmod holds: the integer quotient has few enough bits, or the result is NaN."""
    large = _quotient(x, y) >= 2.0 ** MANTISSA[x.dtype]
    return ~(large & (abs(x) < math.inf) & (abs(y) > 0.0))
