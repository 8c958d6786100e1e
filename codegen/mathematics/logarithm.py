"""log and its family.

x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); with s = f/(2 + f) and t = s^2, log(1 + f) = 2 atanh(s)
= f - f^2/2 + s (f^2/2 + t P(t)), where the last term is small and the first two are nearly exact.
"""

from __future__ import annotations

import math

from ..program import bits_of
from . import tables
from .scalar import BIAS, MANTISSA, Code, Value


def exponent_and_fraction(code: Code, x: Value) -> tuple[Value, Value]:
    """k and m with x = 2^k m and m in [sqrt(1/2), sqrt(2)), for normal x > 0."""
    width, bias = MANTISSA[x.dtype], BIAS[x.dtype]
    root = bits_of(math.sqrt(0.5), x.dtype)
    moved = code.bits(x) + (bits_of(1.0, x.dtype) - root)
    m = code.from_bits((moved & ((1 << width) - 1)) + root)
    return small_integer(code, moved >> width, x.dtype) - float(bias), m


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
    normal, extra = normalised(code, x)
    k, m = exponent_and_fraction(code, normal)
    return at_edges(code, x, log_with_exponent(code, k + extra, m - 1.0), 0.0)
