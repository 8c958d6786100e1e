"""Partials by hand of the special functions; see `partials_by_hand`."""

from __future__ import annotations

from math import factorial, inf, pi, prod, sqrt
from typing import Any

Ops = Any     # attributes are rows: op.multiply(a, b)
Value = Any   # an expression, an array, or a Python number


def gammaln_0(op: Ops, x: Value, r: Value) -> Value:
    return op.digamma(x)


def polygamma3_0(op: Ops, x: Value, r: Value) -> Value:
    """-4! zeta(5, x); of negative x by reflection, with the fourth derivative of the cotangent."""
    below = op.stop_gradient(op.less(x, 0.0))
    tail = op.multiply(-24.0, op.zeta(5.0, op.where(below, op.subtract(1.0, x), x)))
    cotangent = op.divide(1.0, op.tan(op.multiply(pi, op.where(below, x, 0.25))))
    square = op.square(cotangent)
    factors = op.multiply(op.add(1.0, square), op.add(2.0, op.multiply(3.0, square)))
    reflected = op.multiply(-8.0 * pi**5, op.multiply(cotangent, factors))
    return op.where(below, op.add(tail, reflected), tail)


zeta_0 = None


def zeta_1(op: Ops, s: Value, q: Value, r: Value) -> Value:
    return op.multiply(op.negative(s), op.zeta(op.add(s, 1.0), q))


def betaln_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _digamma_fall(op, x, y)


def betaln_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _digamma_fall(op, y, x)


def beta_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return op.multiply(r, _digamma_fall(op, x, y))


def beta_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return op.multiply(r, _digamma_fall(op, y, x))


def _digamma_fall(op: Ops, x: Value, h: Value) -> Value:
    """digamma(x) - digamma(x + h); for small h by its odd derivatives in the middle, for large x by the logarithm of
    the quotient and the difference of the asymptotic series.
    """
    near = op.stop_gradient(op.less(op.abs(h), op.multiply(3e-3, op.abs(x))))
    middle, square, end = op.add(x, op.multiply(0.5, h)), op.square(h), op.add(x, h)
    third = op.multiply(1 / 24, op.polygamma3(middle))
    fifth = op.multiply(op.multiply(square, 120 / 1920), op.zeta(6.0, middle))
    slope = op.add(op.polygamma1(middle), op.multiply(square, op.add(third, fifth)))
    direct = op.subtract(op.digamma(x), op.digamma(end))
    large = op.stop_gradient(op.greater(op.minimum(x, end), 10.0))
    x, end = op.where(large, x, 10.0), op.where(large, end, 10.0)
    ratio = op.divide(h, x)
    far = op.add(op.log1p(op.where(large, ratio, 0.0)), op.multiply(0.5, op.divide(ratio, end)))
    far = op.add(far, op.subtract(_digamma_series(op, x), _digamma_series(op, end)))
    return op.where(near, op.multiply(op.negative(h), slope), op.where(large, op.negative(far), direct))


def _digamma_series(op: Ops, x: Value) -> Value:
    """log(x) - 1/(2x) - digamma(x) for x >= 10."""
    square = op.square(op.divide(1.0, x))
    series: Value = 1 / 12
    for c in (-691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12):
        series = op.add(c, op.multiply(square, series))
    return op.multiply(square, series)


# error function and normal distribution: e^(-x^2) with the rounding error of the square -----------------------------
def erf_0(op: Ops, x: Value, r: Value) -> Value:
    return op.multiply(2 / sqrt(pi), op.exp_product(op.negative(x), x))


def erfc_0(op: Ops, x: Value, r: Value) -> Value:
    return op.multiply(-2 / sqrt(pi), op.exp_product(op.negative(x), x))


def erfcx_0(op: Ops, x: Value, r: Value) -> Value:
    """2 (x r - 1/sqrt(pi)) cancels for large x, where the asymptotic series takes over."""
    near = op.multiply(2.0, op.subtract(op.multiply(x, r), 1 / sqrt(pi)))
    inverse = op.divide(1.0, op.where(op.stop_gradient(op.less(x, 7.0)), 7.0, x))
    square = op.square(inverse)
    series: Value = _ERFCX_TERMS[-1]
    for term in reversed(_ERFCX_TERMS[:-1]):
        series = op.add(term, op.multiply(square, series))
    return op.where(op.stop_gradient(op.less(x, 7.0)), near, op.multiply(square, series))


_ERFCX_TERMS = tuple(-prod(range(1, 2 * k + 2, 2)) * (-0.5) ** k / sqrt(pi) for k in range(28))


def _reciprocal_density(op: Ops, distance: Value, tail: Value, edge: Value) -> Value:
    """e^(z^2) by erfcx(z) = e^(z^2) erfc(z), which does not ask for the digits of z; `edge` where the tail is 0."""
    at_edge = op.stop_gradient(op.equal(tail, 0.0))
    return op.where(at_edge, edge, op.divide(op.erfcx(distance), op.where(at_edge, 1.0, tail)))


def erfinv_0(op: Ops, x: Value, r: Value) -> Value:
    return op.multiply(sqrt(pi) / 2, _reciprocal_density(op, op.abs(r), op.subtract(1.0, op.abs(x)), inf))


def erfcinv_0(op: Ops, x: Value, r: Value) -> Value:
    return op.multiply(-sqrt(pi) / 2, _reciprocal_density(op, op.abs(r), op.minimum(x, op.subtract(2.0, x)), inf))


def ndtr_0(op: Ops, x: Value, r: Value) -> Value:
    return op.multiply(1 / sqrt(2 * pi), op.exp_product(op.multiply(-0.5, x), x))


def log_ndtr_0(op: Ops, x: Value, r: Value) -> Value:
    """Density over probability; below 0 both are multiplied by e^(x^2/2)."""
    below = op.stop_gradient(op.less(x, 0.0))
    scaled = op.erfcx(op.multiply(-sqrt(0.5), op.where(below, x, 0.0)))
    share = op.divide(ndtr_0(op, x, r), op.ndtr(op.where(below, 0.0, x)))
    return op.where(below, op.divide(sqrt(2 / pi), scaled), share)


def ndtri_0(op: Ops, x: Value, r: Value) -> Value:
    distance, tail = op.multiply(sqrt(0.5), op.abs(r)), op.minimum(x, op.subtract(1.0, x))
    return op.multiply(sqrt(pi / 2), _reciprocal_density(op, distance, tail, inf))


# modified Bessel functions -------------------------------------------------------------------------------------------
def i0_0(op: Ops, x: Value, r: Value) -> Value:
    return op.i1(x)


def i1_0(op: Ops, x: Value, r: Value) -> Value:
    return op.subtract(op.i0(x), _over(op, r, x, False))


def i0e_0(op: Ops, x: Value, r: Value) -> Value:
    near = op.subtract(op.i1e(x), op.multiply(op.stop_gradient(op.sign(x)), r))
    return _scaled_bessel_slope(op, x, near, 0, op.stop_gradient(op.sign(x)))


def i1e_0(op: Ops, x: Value, r: Value) -> Value:
    sign = op.stop_gradient(op.sign(x))
    near = op.subtract(op.subtract(op.i0e(x), op.multiply(sign, r)), _over(op, r, x, True))
    return _scaled_bessel_slope(op, x, near, 1, 1.0)


def _over(op: Ops, r: Value, x: Value, scaled: bool) -> Value:
    """i1(x)/x; near 0 by its power series, since derivatives of the quotient cancel there."""
    near = op.stop_gradient(op.less(op.abs(x), 1.0))
    square, series = op.square(op.where(near, x, 0.0)), 0.0
    for k in reversed(range(9)):
        series = op.add(0.5 / (4**k * factorial(k) * factorial(k + 1)), op.multiply(square, series))
    scale = 1.0 if not scaled else op.exp(op.negative(op.abs(x)))
    return op.where(near, op.multiply(scale, series), op.divide(r, op.where(near, 1.0, x)))


def _scaled_bessel_slope(op: Ops, x: Value, near: Value, order: int, sign: Value) -> Value:
    """The derivative of e^-|x| I(x): a difference that cancels for large x, where it is that of the asymptotic series
    sum c_k x^(-k - 1/2) / sqrt(2 pi).
    """
    far = op.stop_gradient(op.greater(op.abs(x), 30.0))
    inverse = op.divide(1.0, op.where(far, op.abs(x), 30.0))
    coefficients = [prod((2 * j - 1) ** 2 - 4 * order**2 for j in range(1, k + 1)) / (factorial(k) * 8**k)
                    for k in range(17)]
    series: Value = 0.0
    for k, c in reversed(list(enumerate(coefficients))):
        series = op.add(-(k + 0.5) * c / sqrt(2 * pi), op.multiply(inverse, series))
    return op.where(far, op.multiply(sign, op.multiply(op.multiply(inverse, op.sqrt(inverse)), series)), near)
