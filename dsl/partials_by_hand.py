"""Partials where sympy's derivative would be wrong, overflow, lose digits, or divide zero by zero.

`<row>_<i>(op, *args, result)` is the partial with respect to argument i, written in rows, so that it can be
differentiated again. Branches on a value are closed (`stop_gradient` on the condition): the branch is the derivative's
own choice, not a path of the user. Where a branch only avoids an overflow or a loss of digits, both sides are the same
analytic function, so higher derivatives hold too.
"""

from __future__ import annotations

from math import factorial, pi
from typing import Any

Ops = Any     # attributes are rows: op.multiply(a, b)
Value = Any   # an expression, an array, or a Python number



def _except(op: Ops, here: Value, value: Value) -> Value:
    """`value`, but 0 where the bool `here` holds."""
    return op.mask(op.stop_gradient(op.logical_not(here)), value)


def _both_zero(op: Ops, x: Value, y: Value) -> Value:
    return op.logical_and(op.equal(x, 0.0), op.equal(y, 0.0))


# arithmetic --------------------------------------------------------------------------------------------------------
def abs_0(op: Ops, x: Value, r: Value) -> Value:
    return op.stop_gradient(op.sign(x))


def cbrt_0(op: Ops, x: Value, r: Value) -> Value:
    return op.divide(1.0, op.multiply(3.0, op.multiply(r, r)))


def rsqrt_0(op: Ops, x: Value, r: Value) -> Value:
    return op.divide(op.multiply(-0.5, r), x)


def power_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    """y x**(y-1), which is 0 * inf for 0**0."""
    return _except(op, _both_zero(op, x, y), op.multiply(y, op.power(x, op.subtract(y, 1.0))))


def power_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    """x**y log x, which is 0 * -inf for x = 0."""
    return _except(op, op.logical_and(op.equal(x, 0.0), op.greater_equal(y, 0.0)), op.multiply(r, op.log(x)))


def remainder_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return 1.0


def remainder_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return op.stop_gradient(op.negative(op.floor_divide(x, y)))


def fmod_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return 1.0


def fmod_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    """Minus the whole quotient; x/y alone may round up to the next integer."""
    return op.stop_gradient(op.round(op.divide(op.subtract(r, x), y)))


# exponentials ------------------------------------------------------------------------------------------------------
def logaddexp_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return op.sigmoid(_gap(op, x, y))


def logaddexp_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return op.sigmoid(_gap(op, y, x))


def logaddexp2_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _binary_sigmoid(op, _gap(op, x, y))


def logaddexp2_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _binary_sigmoid(op, _gap(op, y, x))


def _binary_sigmoid(op: Ops, gap: Value) -> Value:
    """1 / (1 + 2**-gap), without the product with log(2) that is rounded."""
    small, large = op.exp2(gap), op.exp2(op.negative(gap))
    below = op.stop_gradient(op.less(gap, 0.0))
    return op.where(below, op.divide(small, op.add(1.0, small)), op.divide(1.0, op.add(1.0, large)))


def _gap(op: Ops, x: Value, y: Value) -> Value:
    """x - y, but 0 for equal infinities."""
    return _except(op, op.logical_and(op.equal(x, y), op.logical_and(op.isinf(x), op.isinf(y))), op.subtract(x, y))


def sigmoid_0(op: Ops, x: Value, r: Value) -> Value:
    """1 - r rounds to 0 for x > 37, sigmoid(-x) does not."""
    return op.multiply(r, op.sigmoid(op.negative(x)))


def softplus_0(op: Ops, x: Value, r: Value) -> Value:
    return op.sigmoid(x)


def log_sigmoid_0(op: Ops, x: Value, r: Value) -> Value:
    return op.sigmoid(op.negative(x))


def log1mexp_0(op: Ops, x: Value, r: Value) -> Value:
    """-e^x / (1 - e^x); the zero added makes it -inf at 0 of either sign."""
    return op.divide(-1.0, op.add(op.expm1(op.negative(x)), 0.0))


def log_cosh_0(op: Ops, x: Value, r: Value) -> Value:
    return op.tanh(x)


def logit_0(op: Ops, x: Value, r: Value) -> Value:
    return op.divide(1.0, op.multiply(x, op.subtract(1.0, x)))


def xlogy_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return op.log(y)


def xlogy_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _except(op, _both_zero(op, x, y), op.divide(x, y))


def xlog1py_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return op.log1p(y)


def xlog1py_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    z = op.add(1.0, y)
    return _except(op, _both_zero(op, x, z), op.divide(x, z))


# trigonometric and hyperbolic --------------------------------------------------------------------------------------
def asin_0(op: Ops, x: Value, r: Value) -> Value:
    return op.divide(1.0, op.sqrt(op.multiply(op.subtract(1.0, x), op.add(1.0, x))))


def acos_0(op: Ops, x: Value, r: Value) -> Value:
    return op.divide(-1.0, op.sqrt(op.multiply(op.subtract(1.0, x), op.add(1.0, x))))


def atan2_0(op: Ops, y: Value, x: Value, r: Value) -> Value:
    return _over_hypot(op, x, op.hypot(y, x))


def atan2_1(op: Ops, y: Value, x: Value, r: Value) -> Value:
    return _over_hypot(op, op.negative(y), op.hypot(y, x))


def _over_hypot(op: Ops, x: Value, h: Value) -> Value:
    """x / h**2 without squaring, 0 where h is 0."""
    return _except(op, op.equal(h, 0.0), op.divide(op.divide(x, h), h))


def tanh_0(op: Ops, x: Value, r: Value) -> Value:
    """1 - tanh**2 rounds to 0 for x > 19, sech**2 does not."""
    return op.square(op.sech(x))


def asinh_0(op: Ops, x: Value, r: Value) -> Value:
    return op.divide(1.0, op.hypot(1.0, x))


def acosh_0(op: Ops, x: Value, r: Value) -> Value:
    return op.divide(1.0, op.multiply(op.sqrt(op.subtract(x, 1.0)), op.sqrt(op.add(x, 1.0))))


def atanh_0(op: Ops, x: Value, r: Value) -> Value:
    return op.divide(1.0, op.multiply(op.subtract(1.0, x), op.add(1.0, x)))


def hypot_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _except(op, op.equal(r, 0.0), op.divide(x, r))


def hypot_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _except(op, op.equal(r, 0.0), op.divide(y, r))


_SINC_TERMS = tuple((-1) ** k * 2 * k * pi ** (2 * k) / factorial(2 * k + 1) for k in range(1, 15))


def sinc_0(op: Ops, x: Value, r: Value) -> Value:
    """(cos(pi x) - sinc x) / x cancels near 0, where its power series takes over."""
    z = op.multiply(x, x)
    series: Value = _SINC_TERMS[-1]
    for term in reversed(_SINC_TERMS[:-1]):
        series = op.add(term, op.multiply(z, series))
    turned = op.subtract(x, op.stop_gradient(op.multiply(2.0, op.round(op.multiply(0.5, x)))))
    far = op.divide(op.subtract(op.cos(op.multiply(pi, turned)), r), x)
    return op.where(op.stop_gradient(op.less(z, 0.25)), op.multiply(x, series), far)


# selection ---------------------------------------------------------------------------------------------------------
def maximum_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _winner(op, op.greater_equal(x, y), op.equal(x, y))


def maximum_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _winner(op, op.greater_equal(y, x), op.equal(x, y))


def minimum_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _winner(op, op.less_equal(x, y), op.equal(x, y))


def minimum_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _winner(op, op.less_equal(y, x), op.equal(x, y))


def _winner(op: Ops, wins: Value, tie: Value) -> Value:
    """1 where the argument wins, 1/2 in a tie. The condition is outermost, so that a mask can move out of products."""
    return op.mask(op.stop_gradient(wins), op.where(op.stop_gradient(tie), 0.5, 1.0))


def fmax_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _winner(op, op.logical_or(op.greater_equal(x, y), op.isnan(y)), op.equal(x, y))


def fmax_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _winner(op, op.logical_or(op.greater_equal(y, x), op.isnan(x)), op.equal(x, y))


def fmin_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _winner(op, op.logical_or(op.less_equal(x, y), op.isnan(y)), op.equal(x, y))


def fmin_1(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return _winner(op, op.logical_or(op.less_equal(y, x), op.isnan(x)), op.equal(x, y))


def clip_0(op: Ops, x: Value, low: Value, high: Value, r: Value) -> Value:
    inner = op.maximum(x, low)
    return op.multiply(maximum_0(op, x, low, inner), minimum_0(op, inner, high, r))


def clip_1(op: Ops, x: Value, low: Value, high: Value, r: Value) -> Value:
    inner = op.maximum(x, low)
    return op.multiply(maximum_1(op, x, low, inner), minimum_0(op, inner, high, r))


def clip_2(op: Ops, x: Value, low: Value, high: Value, r: Value) -> Value:
    return minimum_1(op, op.maximum(x, low), high, r)


where_0 = mask_0 = copysign_1 = heaviside_0 = None


def where_1(op: Ops, c: Value, x: Value, y: Value, r: Value) -> Value:
    return op.mask(c, 1.0)


def where_2(op: Ops, c: Value, x: Value, y: Value, r: Value) -> Value:
    return op.mask(op.logical_not(c), 1.0)


def mask_1(op: Ops, c: Value, g: Value, r: Value) -> Value:
    return op.mask(c, 1.0)


def copysign_0(op: Ops, x: Value, y: Value, r: Value) -> Value:
    return op.stop_gradient(op.multiply(op.sign(x), op.copysign(1.0, y)))


def heaviside_1(op: Ops, x: Value, h: Value, r: Value) -> Value:
    return op.mask(op.stop_gradient(op.equal(x, 0.0)), 1.0)


def cast_0(op: Ops, x: Value, r: Value) -> Value:
    return 1.0


def stop_gradient_0(op: Ops, x: Value, r: Value) -> Value:
    return 0.0
