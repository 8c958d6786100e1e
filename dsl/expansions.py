"""How rows are computed by simpler ones on a target that has no operation or routine of their own.

`<row>(op, *args)` serves every dtype; `_INTEGER` and `_BOOL` hold the rows that are computed otherwise there.
A Python number is a constant of the operands' dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, inf, log, nan, pi
from typing import Any

import numpy as np

Ops = Any
Value = Any


def positive(op: Ops, x: Value) -> Value:
    return x


def sign(op: Ops, x: Value) -> Value:
    zero_or_nan = op.where(op.equal(x, 0), 0, x)
    return op.where(op.greater(x, 0), 1, op.where(op.less(x, 0), -1, zero_or_nan))


def reciprocal(op: Ops, x: Value) -> Value:
    return op.divide(1, x)


def square(op: Ops, x: Value) -> Value:
    return op.multiply(x, x)


def rsqrt(op: Ops, x: Value) -> Value:
    return op.divide(1, op.sqrt(x))


def floor_divide(op: Ops, x: Value, y: Value) -> Value:
    """(x - fmod)/y is within rounding of the quotient, one too many where the signs of rest and divisor differ."""
    rest = op.fmod(x, y)
    wrong = op.logical_and(op.not_equal(rest, 0), op.logical_xor(op.less(rest, 0), op.less(y, 0)))
    near = op.round(op.divide(op.subtract(x, rest), y))
    whole = op.where(wrong, op.subtract(near, 1), near)
    quotient = op.divide(x, y)
    return op.where(op.equal(y, 0), quotient, op.where(op.equal(whole, 0), op.copysign(0, quotient), whole))


def remainder(op: Ops, x: Value, y: Value) -> Value:
    """fmod with the sign of the divisor."""
    rest = op.fmod(x, y)
    wrong = op.logical_xor(op.less(rest, 0), op.less(y, 0))
    return op.where(op.equal(rest, 0), op.copysign(0, y), op.where(wrong, op.add(rest, y), rest))


def logaddexp(op: Ops, x: Value, y: Value) -> Value:
    high, gap = op.maximum(x, y), op.abs(op.subtract(x, y))
    return op.add(high, op.where(op.equal(x, y), log(2), op.log1p(op.exp(op.negative(gap)))))


def logaddexp2(op: Ops, x: Value, y: Value) -> Value:
    high, gap = op.maximum(x, y), op.abs(op.subtract(x, y))
    return op.add(high, op.where(op.equal(x, y), 1, op.multiply(1 / log(2), op.log1p(op.exp2(op.negative(gap))))))


def sigmoid(op: Ops, x: Value) -> Value:
    small = op.exp(op.negative(op.abs(x)))
    return op.divide(op.where(op.less(x, 0), small, 1), op.add(1, small))


def sech(op: Ops, x: Value) -> Value:
    small = op.exp(op.negative(op.abs(x)))
    return op.divide(op.multiply(2, small), op.add(1, op.multiply(small, small)))


def softplus(op: Ops, x: Value) -> Value:
    return op.add(op.maximum(x, 0), op.log1p(op.exp(op.negative(op.abs(x)))))


def log_sigmoid(op: Ops, x: Value) -> Value:
    return op.negative(op.softplus(op.negative(x)))


def log1mexp(op: Ops, x: Value) -> Value:
    near = op.log(op.negative(op.expm1(x)))
    return op.where(op.greater(x, -log(2)), near, op.log1p(op.subtract(0, op.exp(x))))


def log_cosh(op: Ops, x: Value) -> Value:
    """|x| + log1p(exp(-2|x|)) - log(2), which vanishes near 0; there log1p(cosh(x) - 1)."""
    a = op.abs(x)
    near = op.log1p(op.multiply(2, op.square(op.sinh(op.multiply(0.5, op.minimum(a, 1))))))
    far = op.add(a, op.subtract(op.log1p(op.exp(op.multiply(-2, a))), log(2)))
    return op.where(op.less(a, 1), near, far)


def logit(op: Ops, x: Value) -> Value:
    rest = op.subtract(1, x)
    near = op.log1p(op.divide(op.subtract(x, rest), rest))
    return op.where(op.less(op.abs(op.subtract(x, 0.5)), 0.25), near, op.log(op.divide(x, rest)))


def xlogy(op: Ops, x: Value, y: Value) -> Value:
    return op.where(op.logical_and(op.equal(x, 0), op.equal(y, y)), 0, op.multiply(x, op.log(y)))


def xlog1py(op: Ops, x: Value, y: Value) -> Value:
    return op.where(op.logical_and(op.equal(x, 0), op.equal(y, y)), 0, op.multiply(x, op.log1p(y)))


def ndtri(op: Ops, x: Value) -> Value:
    return op.multiply(-(2**0.5), op.erfcinv(op.multiply(2, x)))


def betaln(op: Ops, x: Value, y: Value) -> Value:
    """log(gamma(x) gamma(y) / gamma(x + y)): where y is large, Stirling's series for the quotient, or for both."""
    small, large = op.minimum(x, y), op.maximum(x, y)
    total, ratio = op.add(small, large), op.divide(small, large)
    near = op.subtract(op.add(op.gammaln(small), op.gammaln(large)), op.gammaln(total))
    rest = op.subtract(_stirling(op, large), _stirling(op, total))
    growth = op.log1p(ratio)
    uneven = op.subtract(op.multiply(small, op.log(large)), op.add(small, op.gammaln(small)))
    uneven = op.subtract(op.subtract(rest, uneven), op.multiply(op.subtract(total, 0.5), growth))
    share = op.log(op.divide(ratio, op.add(1, ratio)))
    both = op.add(op.add(_stirling(op, small), rest), 0.5 * log(2 * pi))
    both = op.add(op.subtract(both, op.multiply(0.5, op.log(large))), op.multiply(op.subtract(small, 0.5), share))
    both = op.subtract(both, op.multiply(large, growth))
    return op.where(op.less(large, 10), near, op.where(op.less(small, 10), uneven, both))


def _stirling(op: Ops, x: Value) -> Value:
    """The series of log gamma in 1/x, for x >= 10."""
    inverse = op.divide(1, x)
    square = op.multiply(inverse, inverse)
    result: Value = 1 / 156
    for c in (-691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        result = op.add(op.multiply(result, square), c)
    return op.multiply(result, inverse)


def beta(op: Ops, x: Value, y: Value) -> Value:
    """By gamma where that does not overflow."""
    total = op.gamma(op.add(x, y))
    quotient = op.multiply(op.divide(op.gamma(x), total), op.gamma(y))
    return op.where(op.isfinite(total), quotient, op.exp(op.betaln(x, y)))


_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def zeta(op: Ops, s: Value, q: Value) -> Value:
    """The sum over k >= 0 of (q + k)**-s for s > 1: ten terms, then the series of Euler and Maclaurin. q is positive,
    or above -4 for an integer s; inf at the poles, else NaN.
    """
    power = op.negative(s)
    total = op.power(q, power)
    for k in range(1, 10):
        total = op.add(total, op.power(op.add(q, k), power))
    far = op.add(q, 10)
    last = op.power(far, power)
    total = op.add(total, op.add(op.divide(op.multiply(last, far), op.subtract(s, 1)), op.multiply(0.5, last)))
    term = op.divide(op.multiply(last, s), far)
    for j, b in enumerate(_BERNOULLI, 1):
        total = op.add(total, op.multiply(b / factorial(2 * j), term))
        step = op.multiply(op.add(s, 2 * j - 1), op.add(s, 2 * j))
        term = op.divide(op.multiply(term, step), op.multiply(far, far))
    negative = op.logical_and(op.equal(op.floor(s), s), op.greater(q, -4))
    inside = op.logical_and(op.greater(s, 1), op.logical_or(op.greater(q, 0), negative))
    pole = op.logical_and(op.less_equal(q, 0), op.equal(op.floor(q), q))
    edge = op.where(op.logical_or(op.equal(s, 1), op.logical_and(op.greater(s, 1), pole)), inf, nan)
    inside = op.logical_and(inside, op.logical_not(pole))
    return op.where(inside, op.where(op.equal(q, inf), 0, total), edge)


def sinc(op: Ops, x: Value) -> Value:
    angle = op.multiply(pi, x)
    return op.where(op.equal(x, 0), 1, op.divide(op.sin(angle), angle))


def degrees(op: Ops, x: Value) -> Value:
    return op.multiply(180 / pi, x)


def radians(op: Ops, x: Value) -> Value:
    return op.multiply(pi / 180, x)


def isnan(op: Ops, x: Value) -> Value:
    return op.not_equal(x, x)


def isinf(op: Ops, x: Value) -> Value:
    return op.equal(op.abs(x), inf)


def isfinite(op: Ops, x: Value) -> Value:
    return op.less(op.abs(x), inf)


def signbit(op: Ops, x: Value) -> Value:
    return op.less(op.copysign(1, x), 0)


def fmin(op: Ops, x: Value, y: Value) -> Value:
    return op.where(op.not_equal(x, x), y, op.where(op.not_equal(y, y), x, op.minimum(x, y)))


def fmax(op: Ops, x: Value, y: Value) -> Value:
    return op.where(op.not_equal(x, x), y, op.where(op.not_equal(y, y), x, op.maximum(x, y)))


def clip(op: Ops, x: Value, low: Value, high: Value) -> Value:
    return op.minimum(op.maximum(x, low), high)


def heaviside(op: Ops, x: Value, h: Value) -> Value:
    at_zero_or_nan = op.where(op.equal(x, 0), h, x)
    return op.where(op.less(x, 0), 0, op.where(op.greater(x, 0), 1, at_zero_or_nan))


# integers ----------------------------------------------------------------------------------------------------------
def _same(op: Ops, x: Value) -> Value:
    return x


def _integer_fma(op: Ops, x: Value, y: Value, z: Value) -> Value:
    return op.add(op.multiply(x, y), z)


def _integer_sign(op: Ops, x: Value) -> Value:
    return op.subtract(op.where(op.greater(x, 0), 1, 0), op.where(op.less(x, 0), 1, 0))


def _integer_fmod(op: Ops, x: Value, y: Value) -> Value:
    rest = op.remainder(x, y)
    wrong = op.logical_and(op.not_equal(rest, 0), op.logical_xor(op.less(x, 0), op.less(y, 0)))
    return op.where(wrong, op.subtract(rest, y), rest)


def _integer_power(op: Ops, x: Value, y: Value) -> Value:
    """Square and multiply over every bit of a non-negative exponent."""
    result: Value = 1
    for bit in range(64):
        odd = op.not_equal(op.bitwise_and(op.bitwise_right_shift(y, bit), 1), 0)
        result = op.where(odd, op.multiply(result, x), result)
        x = op.multiply(x, x)
    return result


def _never(op: Ops, x: Value) -> Value:
    return op.not_equal(x, x)


def _always(op: Ops, x: Value) -> Value:
    return op.equal(x, x)


def _integer_signbit(op: Ops, x: Value) -> Value:
    return op.less(x, 0)


_INTEGER: dict[str, Callable[..., Any]] = {
    "floor": _same, "ceil": _same, "trunc": _same, "round": _same, "fma": _integer_fma, "sign": _integer_sign,
    "fmod": _integer_fmod, "power": _integer_power,
    "isnan": _never, "isinf": _never, "isfinite": _always, "signbit": _integer_signbit,
}


# bools -------------------------------------------------------------------------------------------------------------
def _and(op: Ops, x: Value, y: Value) -> Value:
    return op.logical_and(x, y)


def _or(op: Ops, x: Value, y: Value) -> Value:
    return op.logical_or(x, y)


def _differ(op: Ops, x: Value, y: Value) -> Value:
    return op.logical_xor(x, y)


def _agree(op: Ops, x: Value, y: Value) -> Value:
    return op.logical_not(op.logical_xor(x, y))


def _below(op: Ops, x: Value, y: Value) -> Value:
    return op.logical_and(op.logical_not(x), y)


def _at_most(op: Ops, x: Value, y: Value) -> Value:
    return op.logical_or(op.logical_not(x), y)


def _above(op: Ops, x: Value, y: Value) -> Value:
    return op.logical_and(x, op.logical_not(y))


def _at_least(op: Ops, x: Value, y: Value) -> Value:
    return op.logical_or(x, op.logical_not(y))


def _false(op: Ops, x: Value) -> Value:
    return op.logical_xor(x, x)


def _true(op: Ops, x: Value) -> Value:
    return op.logical_not(op.logical_xor(x, x))


def _not(op: Ops, x: Value) -> Value:
    return op.logical_not(x)


_BOOL: dict[str, Callable[..., Any]] = {
    "add": _or, "multiply": _and, "maximum": _or, "minimum": _and, "fmax": _or, "fmin": _and, "abs": _same,
    "floor": _same, "ceil": _same, "trunc": _same, "round": _same,
    "bitwise_and": _and, "bitwise_or": _or, "bitwise_xor": _differ, "bitwise_invert": _not,
    "equal": _agree, "not_equal": _differ,
    "less": _below, "less_equal": _at_most, "greater": _above, "greater_equal": _at_least,
    "isnan": _false, "isinf": _false, "isfinite": _true, "signbit": _false,
}

_FLOAT_ONLY = {"floor_divide", "remainder"}     # on integers these are machine operations


def find(name: str, dtype: np.dtype) -> Callable[..., Any] | None:
    """The expansion of row `name` on operands of `dtype`; None for machine operations and elementary functions."""
    if dtype.kind == "b" and name in _BOOL:
        return _BOOL[name]
    if dtype.kind in "iu" and name in _INTEGER:
        return _INTEGER[name]
    if dtype.kind != "f" and name in _FLOAT_ONLY:
        return None
    return _GENERAL.get(name)


_GENERAL: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (
        positive, sign, reciprocal, square, rsqrt, floor_divide, remainder,
        logaddexp, logaddexp2, sigmoid, softplus, log_sigmoid, log1mexp, log_cosh,
        logit, ndtri, beta, betaln, zeta, xlogy, xlog1py,
        sech, sinc, degrees, radians, isnan, isinf, isfinite, signbit, fmin, fmax, clip, heaviside)}
