"""log and its family.

x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); with s = f/(2 + f) and t = s^2, log(1 + f) = 2 atanh(s)
= f - f^2/2 + s (f^2/2 + t P(t)), where the last term is small and the first two are nearly exact.
"""

from __future__ import annotations

import math

from ..program import bits_of
from . import tables
from .exponential import exp_of
from .scalar import BIAS, MANTISSA, Code, Value


def exponent_and_fraction(code: Code, x: Value) -> tuple[Value, Value]:
    """k + bias, an unsigned integer, and m with x = 2^k m and m in [sqrt(1/2), sqrt(2)), for normal x > 0."""
    width = MANTISSA[x.dtype]
    root = bits_of(math.sqrt(0.5), x.dtype)
    moved = code.bits(x) + (bits_of(1.0, x.dtype) - root)
    return moved >> width, code.from_bits((moved & ((1 << width) - 1)) + root)


def small_integer(code: Code, u: Value, dtype: str) -> Value:
    """The float of an unsigned integer below 2^20."""
    base = 2.0 ** MANTISSA[dtype]
    return code.from_bits(u | bits_of(base, dtype)) - base


def normalised(code: Code, x: Value) -> tuple[Value, Value]:
    """x times a power of two that makes it normal, and the exponent to add for it."""
    dtype = x.dtype
    shift = MANTISSA[dtype] + 2
    tiny = x < 2.0 ** (1 - BIAS[dtype])
    return code.where(tiny, x * 2.0**shift, x), code.where(tiny, -float(shift), 0.0)


def log_parts(code: Code, f: Value) -> tuple[Value, Value]:
    """f^2/2 and s (f^2/2 + t P(t)): log(1 + f) is f minus the first plus the second."""
    s = f / (2.0 + f)
    t = s * s
    square = f * f * 0.5
    return square, s * code.fma(code.horner(tables.LOG[f.dtype], t), t, square)


def log_with_exponent(code: Code, k: Value, f: Value) -> Value:
    """k ln 2 + log(1 + f)."""
    hi, lo = tables.LN2[f.dtype]
    square, rest = log_parts(code, f)
    return code.fma(k, hi, f - (square - code.fma(k, lo, rest)))


def at_edges(code: Code, x: Value, result: Value, zero: float) -> Value:
    """`result` for 0 < x < inf, and C99's values elsewhere: -inf at `zero`, NaN below."""
    result = code.where(x < math.inf, result, x)
    result = code.where(x.equals(zero), -math.inf, result)
    return code.where(x < zero, math.nan, result)


def log(code: Code, x: Value) -> Value:
    k, f = exponent_and_excess(code, x)
    return at_edges(code, x, log_with_exponent(code, k, f), 0.0)


def exponent_and_excess(code: Code, x: Value) -> tuple[Value, Value]:
    """k and f with x = 2^k (1 + f), for x > 0; both are floats."""
    normal, extra = normalised(code, x)
    biased, m = exponent_and_fraction(code, normal)
    return small_integer(code, biased, x.dtype) + (extra - float(BIAS[x.dtype])), m - 1.0


def _log_in_base(code: Code, x: Value, table: dict[str, tuple[float, ...]]) -> Value:
    """log(1 + f) / log(base) in twice the precision, added to k log(2) / log(base)."""
    k, f = exponent_and_excess(code, x)
    square, rest = log_parts(code, f)
    high = f - square
    low = ((f - high) - square) + rest
    scale, scale_low, two, two_low = table[x.dtype]
    part = high * scale
    part_low = code.fma(high, scale, -part) + code.fma(low, scale, high * scale_low)
    whole = k * two
    total = whole + part
    tail = ((whole - total) + part) + code.fma(k, two_low, part_low)
    return at_edges(code, x, total + tail, 0.0)


def log2(code: Code, x: Value) -> Value:
    return _log_in_base(code, x, tables.LOG_BASE_2)


def log10(code: Code, x: Value) -> Value:
    return _log_in_base(code, x, tables.LOG_BASE_10)


def log1p_of(code: Code, x: Value, low: Value | None = None) -> Value:
    """log(1 + x + low), where |low| is at most a few ulps of x: 1 + x is kept with its rounding error."""
    u = 1.0 + x
    back = u - 1.0
    error = (1.0 - (u - back)) + (x - back)
    biased, m = exponent_and_fraction(code, u)
    bias = BIAS[x.dtype]
    twice = code.from_bits((code.constant(2 * bias + 1, biased.dtype) - biased) << MANTISSA[x.dtype])   # 2^(1 - k)
    f = code.fma(0.5 * (error if low is None else error + low), twice, m - 1.0)
    k = small_integer(code, biased, x.dtype) - float(bias)
    result = at_edges(code, x, log_with_exponent(code, k, f), -1.0)
    return code.where(abs(x) < 2.0 ** -(MANTISSA[x.dtype] + 2), x, result)


def log1p(code: Code, x: Value) -> Value:
    return log1p_of(code, x)


def softplus(code: Code, x: Value) -> Value:
    """log(1 + e^x)."""
    return code.where(x < 0.0, 0.0, x) + log1p_of(code, exp_of(code, -abs(x)))


def logaddexp(code: Code, x: Value, y: Value) -> Value:
    """log(e^x + e^y); equal arguments, infinite ones too, are 0 apart."""
    larger = code.where(x < y, y, x)
    apart = code.where(x.equals(y), 0.0, abs(x - y))
    return larger + log1p_of(code, exp_of(code, -apart))


def asinh(code: Code, x: Value) -> Value:
    """log(|x| + sqrt(x^2 + 1)) with the sign of x; log(2|x|) where x^2 would overflow."""
    a = abs(x)
    large = a > 2.0 ** (BIAS[x.dtype] // 2 - 4)
    square = a * a
    rest = square / (1.0 + code.sqrt(1.0 + square))
    result = log1p_of(code, code.where(large, a, a + rest), code.where(large, 0.0, (a - (a + rest)) + rest))
    return code.copysign(result + code.where(large, math.log(2.0), 0.0), x)


def acosh(code: Code, x: Value) -> Value:
    """log1p(t + sqrt(t^2 + 2t)) with t = x - 1; log(2x) where t^2 would overflow."""
    large = x > 2.0 ** (BIAS[x.dtype] // 2 - 4)
    t = x - 1.0
    root = code.sqrt(code.fma(t, t, t + t))
    total = root + t
    result = log1p_of(code, code.where(large, x, total), code.where(large, 0.0, (root - total) + t))
    return code.where(x < 1.0, math.nan, result + code.where(large, math.log(2.0), 0.0))


def atanh(code: Code, x: Value) -> Value:
    """log1p(2|x| / (1 - |x|)) / 2, the quotient corrected by its remainder."""
    a = abs(x)
    twice, below = a + a, 1.0 - a
    inverse = 1.0 / below
    q = twice * inverse
    low = (code.fma(-q, below, twice) - q * ((1.0 - below) - a)) * inverse
    return code.copysign(0.5 * log1p_of(code, q, low), x)
