"""exp and its family.

x = n ln 2 + r with |r| <= ln(2)/2, and e^r = 1 + r + r^2 P(r). Rounding to the nearest integer is done by adding
1.5 * 2^52, which also leaves n in the low bits; 2^n is applied in two factors, so that overflow and subnormal results
round once.
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


def reduced(code: Code, x: Value, n: Value, low: Value | None = None) -> tuple[Value, Value]:
    """x + low - n ln 2 as a sum whose second part is the rounding of the first."""
    hi, lo = tables.LN2[x.dtype]
    first = code.fma(n, -hi, x)
    second = n * -lo if low is None else code.fma(n, -lo, low)
    r = first + second
    return r, (first - r) + second


def exp_of(code: Code, x: Value, low: Value | None = None, offset: int = 0) -> Value:
    """e^(x + low) * 2^offset, where |low| is at most a few ulps of x; given `low`, the result is within 0.6 ulp."""
    x = clamp(code, x, *((-746.0, 710.5) if x.dtype == "float64" else (-105.0, 89.5)))
    n, bits = nearest(code, x, LOG2E, 2 * BIAS[x.dtype] + offset)
    r, tail = reduced(code, x, n, low)
    series, square = code.horner(tables.EXP[x.dtype], r), r * r
    if low is None:
        return scaled(code, 1.0 + code.fma(series, square, r), bits)
    high = 1.0 + r
    return scaled(code, high + code.fma(series, square, ((1.0 - high) + r) + tail), bits)


def exp(code: Code, x: Value) -> Value:
    return exp_of(code, x)


def exp_product(code: Code, x: Value, y: Value) -> Value:
    """e^(xy), with the rounding error of the product where that is finite."""
    p = x * y
    low = code.fma(x, y, -p)
    return exp_of(code, p, code.where(abs(p) < 1000.0, low, 0.0))


def exp2(code: Code, x: Value) -> Value:
    x = clamp(code, x, *((-1080.0, 1025.0) if x.dtype == "float64" else (-155.0, 129.0)))
    n, bits = nearest(code, x, 1.0, 2 * BIAS[x.dtype])
    r = x - n
    return scaled(code, code.fma(code.horner(tables.EXP2[x.dtype], r), r, 1.0), bits)


def expm1_parts(code: Code, x: Value) -> tuple[Value, Value]:
    """(e^x - 1) / 2 as a sum of a number and its correction. Halved, so that it overflows no earlier than expm1."""
    x = clamp(code, x, *((-40.0, 710.0) if x.dtype == "float64" else (-20.0, 89.0)))
    n, bits = nearest(code, x, LOG2E, BIAS[x.dtype] - 1)
    r, tail = reduced(code, x, n)
    scale = power_of_two(code, bits, x.dtype)
    minus_one = scale - 0.5
    high = code.fma(scale, r, minus_one)
    rest = code.fma(scale, r, minus_one - high)
    return high, code.fma(scale, code.fma(code.horner(tables.EXP[x.dtype], r), r * r, tail), rest)


def expm1(code: Code, x: Value) -> Value:
    high, rest = expm1_parts(code, x)
    return code.where(abs(x) < 2.0 ** -(MANTISSA[x.dtype] + 2), x, 2.0 * (high + rest))


def tanh(code: Code, x: Value) -> Value:
    """-t / (t + 2) with t = expm1(-2|x|), the quotient corrected by its remainder."""
    high, rest = expm1_parts(code, abs(x) * -2.0)
    t = high + rest
    low = (high - t) + rest
    below = 1.0 + t
    inverse = 1.0 / below
    q = t * inverse
    remainder = code.fma(-q, below, t) - code.fma(q, (1.0 - below) + t, code.fma(q, low, -low))
    result = code.copysign(code.fma(remainder, inverse, q), x)
    return code.where(abs(x) < 2.0 ** -(MANTISSA[x.dtype] // 2 + 2), x, result)


def sigmoid(code: Code, x: Value) -> Value:
    """1 / (1 + e^-x), by e^x / (1 + e^x) where x < 0; the quotient is corrected by its remainder."""
    z = exp_of(code, -abs(x))
    numerator, below = code.where(x < 0.0, z, 1.0), 1.0 + z
    inverse = 1.0 / below
    q = numerator * inverse
    remainder = code.fma(-q, below, numerator) - q * ((1.0 - below) + z)
    return code.fma(remainder, inverse, q)


def sinh(code: Code, x: Value) -> Value:
    a = abs(x)
    half = exp_of(code, a, offset=-1)
    square = x * x
    small = code.fma(code.horner(tables.SINH[x.dtype], square), square * x, x)
    return code.where(a < 1.0, small, code.copysign(half - 0.25 / half, x))


def cosh(code: Code, x: Value) -> Value:
    half = exp_of(code, abs(x), offset=-1)
    return half + 0.25 / half


def sech(code: Code, x: Value) -> Value:
    """2z / (1 + z^2) with z = e^-|x|: 1/cosh without its overflow."""
    twice = exp_of(code, -abs(x), offset=1)
    z = 0.5 * twice
    return twice / code.fma(z, z, 1.0)
