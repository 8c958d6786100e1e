"""sin, cos, tan and their inverses.

x - n pi/2 is formed nearly without error from three parts of pi/2: the first has so few bits that one fma is exact
(Boldo, Daumas and Li, "Formally verified argument reduction with a fused multiply-add", 2009), the errors of the next
step are kept. Beyond `reach` the integer n no longer fits the trick that finds it; the routine says so by its domain.
"""

from __future__ import annotations

import math

from . import tables
from .exponential import nearest
from .scalar import MANTISSA, Code, Value

Pair = tuple[Value, Value]


def reach(dtype: str) -> float:
    """The largest |x| whose n is found exactly enough."""
    return 2.0**45 if dtype == "float64" else 2.0**18


def two_sum(a: Value, b: Value) -> Pair:
    """a + b and its rounding error."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def quadrant(code: Code, x: Value) -> tuple[Value, Value, Value]:
    """An integer whose low two bits are those of n, and x - n pi/2 as a number and its correction."""
    first, second, third = tables.HALF_PI[x.dtype]
    n, bits = nearest(code, x, 2.0 / math.pi)
    start = code.fma(n, -first, x)
    product = n * second
    difference, error = two_sum(start, -product)
    tail = error + code.fma(n, -third, -code.fma(n, second, -product))
    r = difference + tail
    return bits, r, (difference - r) + tail


def sin_near(code: Code, r: Value, low: Value) -> Pair:
    """sin(r + low) for |r| <= pi/4 as a sum, the second part small."""
    square = r * r
    series = code.horner(tables.SIN[r.dtype], square)
    return r, code.fma(square * r, series, code.fma(square * -0.5, low, low))


def cos_near(code: Code, r: Value, low: Value) -> Pair:
    """cos(r + low) for |r| <= pi/4 as a sum, the second part small."""
    square = r * r
    high = code.fma(square, -0.5, 1.0)
    rest = code.fma(square, -0.5, 1.0 - high)
    return high, code.fma(code.horner(tables.COS[r.dtype], square), square * square, code.fma(-r, low, rest))


def _wave(code: Code, x: Value, shift: int) -> Value:
    bits, r, low = quadrant(code, x)
    phase = bits + shift if shift else bits
    s, c = (a + b for a, b in (sin_near(code, r, low), cos_near(code, r, low)))
    chosen = code.where((phase & 1).equals(0), s, c)
    sign = (phase & 2) << (MANTISSA[x.dtype] + (10 if code.double else 7))
    return code.from_bits(code.bits(chosen) ^ sign)


def sin(code: Code, x: Value) -> Value:
    return code.where(abs(x) < 2.0 ** -(MANTISSA[x.dtype] // 2 + 2), x, _wave(code, x, 0))


def cos(code: Code, x: Value) -> Value:
    return _wave(code, x, 1)


def tan(code: Code, x: Value) -> Value:
    """sin / cos of the remainder, or -cos / sin; the quotient is corrected by its remainder."""
    bits, r, low = quadrant(code, x)
    even = (bits & 1).equals(0)
    (s, s_low), (c, c_low) = sin_near(code, r, low), cos_near(code, r, low)
    top, top_low = code.where(even, s, -c), code.where(even, s_low, -c_low)
    below, below_low = code.where(even, c, s), code.where(even, c_low, s_low)
    numerator, denominator = top + top_low, below + below_low
    inverse = 1.0 / denominator
    q = numerator * inverse
    numerator_low = (top - numerator) + top_low
    denominator_low = (below - denominator) + below_low
    remainder = code.fma(-q, denominator, numerator) + code.fma(-q, denominator_low, numerator_low)
    result = code.fma(remainder, inverse, q)
    return code.where(abs(x) < 2.0 ** -(MANTISSA[x.dtype] // 2 + 2), x, result)


def within_reach(x: Value) -> Value:
    """Where the three above hold; NaN counts as inside."""
    return ~(abs(x) > reach(x.dtype))


def turned(code: Code, x: Value) -> tuple[Value, Value, Value]:
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


def sinc(code: Code, x: Value) -> Value:
    """sin(pi x) / (pi x), 1 at 0."""
    r, s, _ = turned(code, x)
    odd = (x - r) * 0.5
    flipped = code.apply("round", odd).differs(odd) ^ ((r < 0.0) ^ (x < 0.0))
    a = abs(x)
    result = code.where(flipped, -s, s) / (a * math.pi)
    return code.where(a < 2.0 ** -(MANTISSA[x.dtype] // 2 + 4), 1.0, code.where(a.equals(math.inf), 0.0, result))


def _two_terms(a: Value | float, b: Value, low: Value) -> Value:
    """a + b + low for |a| >= |b| or a = 0, rounded nearly once."""
    total = a + b
    return total + (((a - total) + b) + low)


def _asin_parts(code: Code, x: Value) -> tuple[Value, Value, Value]:
    """Whether |x| <= 1/2; y and asin(y) - y, where y = |x| there and sqrt((1 - |x|) / 2) elsewhere."""
    a = abs(x)
    small = a <= 0.5
    half = code.fma(a, -0.5, 0.5)
    square = code.where(small, a * a, half)
    y = code.where(small, a, code.sqrt(half))
    return small, y, code.horner(tables.ASIN[x.dtype], square) * square * y


def asin(code: Code, x: Value) -> Value:
    """pi/2 - 2 asin(sqrt((1 - |x|) / 2)) beyond 1/2."""
    high, low = tables.PI_BY_2[x.dtype]
    small, y, rest = _asin_parts(code, x)
    return code.copysign(code.where(small, y + rest, _two_terms(high, -2.0 * y, low - 2.0 * rest)), x)


def acos(code: Code, x: Value) -> Value:
    """pi/2 - asin(x); beyond 1/2 it is 2 asin(sqrt((1 - |x|) / 2)), or pi minus that."""
    high, low = tables.PI_BY_2[x.dtype]
    small, y, rest = _asin_parts(code, x)
    below = x < 0.0
    near = _two_terms(high, code.where(below, y, -y), low + code.where(below, rest, -rest))
    twice, twice_rest = 2.0 * y, 2.0 * rest
    far = code.where(below, _two_terms(2.0 * high, -twice, 2.0 * low - twice_rest), twice + twice_rest)
    return code.where(small, near, far)


def _angle(code: Code, top: Value, below: Value) -> Pair:
    """atan(top / below) for 0 <= top <= below, as a sum; pi/4 is taken out above tan(pi/8)."""
    high, low = tables.PI_BY_2[top.dtype]
    steep = top > below * (math.sqrt(2.0) - 1.0)
    taken, added = code.where(steep, -below, 0.0), code.where(steep, top, 0.0)
    numerator, denominator = taken + top, below + added
    inverse = 1.0 / denominator
    q = numerator * inverse
    errors = code.fma(-q, (below - denominator) + added, (taken - numerator) + top)
    q_low = (code.fma(-q, denominator, numerator) + errors) * inverse
    square = q * q
    rest = code.fma(square * q, code.horner(tables.ATAN[q.dtype], square), q_low)
    start = code.where(steep, high / 2, 0.0)
    total = start + q
    return total, ((start - total) + q) + (rest + code.where(steep, low / 2, 0.0))


def atan(code: Code, x: Value) -> Value:
    high, low = tables.PI_BY_2[x.dtype]
    a = abs(x)
    a = code.where(a > 2.0**100, 2.0**100, a)
    inverted = a > 1.0
    angle, rest = _angle(code, code.where(inverted, 1.0, a), code.where(inverted, a, 1.0))
    return code.copysign(code.where(inverted, _two_terms(high, -angle, low - rest), angle + rest), x)


def atan2(code: Code, y: Value, x: Value) -> Value:
    """The angle of (x, y). Both are scaled away from overflow; two infinities stand for the diagonal."""
    high, low = tables.PI_BY_2[x.dtype]
    far = 2.0**500 if code.double else 2.0**60
    across, up = abs(x), abs(y)
    inverted = up > across
    top, below = code.where(inverted, across, up), code.where(inverted, up, across)
    infinite = below.equals(math.inf)
    top = code.where(infinite, code.where(top.equals(math.inf), 1.0, top * 0.0), top)
    below = code.where(infinite | below.equals(0.0), 1.0, below)
    scale = code.where(below > far, 1.0 / far, code.where(below < 1.0 / far, far, 1.0))
    angle, rest = _angle(code, top * scale, below * scale)
    behind = code.copysign(1.0, x) < 0.0
    turn = inverted ^ behind
    quarters = code.where(inverted, 1.0, code.where(behind, 2.0, 0.0))
    tail = code.fma(quarters, low, code.where(turn, -rest, rest))
    result = _two_terms(quarters * high, code.where(turn, -angle, angle), tail)
    return code.copysign(result, y)
