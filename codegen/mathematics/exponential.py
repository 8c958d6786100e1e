"""exp and its family.

x = n ln 2 + r with |r| <= ln(2)/2, and e^r = 1 + r + r^2 P(r). Rounding to the nearest integer is done by adding 1.5 * 2^52, which
also leaves n in the low bits; 2^n is applied in two factors, so that overflow and subnormal results round once.
"""

from __future__ import annotations

from . import tables
from .scalar import BIAS, MANTISSA, Code, Value

LOG2E = 1.4426950408889634


def clamp(code: Code, x: Value, lo: float, hi: float) -> Value:
    """`x` within [lo, hi]; NaN stays."""
    x = code.where(x < lo, lo, x)
    return code.where(x > hi, hi, x)


def nearest(code: Code, x: Value, scale: float, offset: int = 0) -> tuple[Value, Value]:
    """n, the integer nearest to x*scale, and an integer whose low bits are those of n + offset."""
    magic = 1.5 * 2.0 ** MANTISSA[x.dtype] + offset
    shifted = code.fma(x, scale, magic)
    return shifted - magic, code.bits(shifted)


def power_of_two(code: Code, biased: Value, dtype: str) -> Value:
    """2^k from the low bits of `biased` = k + bias."""
    return code.from_bits(biased << MANTISSA[dtype])


def scaled(code: Code, x: Value, twice_biased: Value) -> Value:
    """x * 2^n from the low bits of n + 2*bias, exact but for one rounding."""
    half = twice_biased >> 1
    return (x * power_of_two(code, half, x.dtype)) * power_of_two(code, twice_biased - half, x.dtype)


def reduced(code: Code, x: Value, n: Value) -> tuple[Value, Value]:
    """x - n ln 2 as a sum: the first part is exact for the n that occur."""
    hi, lo = tables.LN2[x.dtype]
    return code.fma(n, -hi, x), n * -lo


def exp_of(code: Code, x: Value, low: Value | None = None, offset: int = 0) -> Value:
    """e^(x + low) * 2^offset, where |low| is at most a few ulps of x."""
    x = clamp(code, x, *((-746.0, 710.0) if x.dtype == "float64" else (-105.0, 89.0)))
    n, bits = nearest(code, x, LOG2E, 2 * BIAS[x.dtype] + offset)
    first, second = reduced(code, x, n)
    r = first + (second if low is None else second + low)
    p = code.fma(code.horner(tables.EXP[x.dtype], r), r * r, r)
    return scaled(code, 1.0 + p, bits)


def exp(code: Code, x: Value) -> Value:
    return exp_of(code, x)
