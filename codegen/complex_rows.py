"""Rows on complex numbers in rows on their parts.

A number is a pair (re, im) of real nodes of one shape; a part that is None is 0 by form, such as the imaginary part of
a real number. Products and quotients leave such parts out, so that inf times a real number has no NaN in its other part
(as in C; NumPy computes inf * 0 there). The formulas neither overflow nor cancel where the result does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..dsl import primitives
from ..dsl.adjoint import number
from ..dsl.node import Expr
from ..dsl.primitives import elementwise

Part = Expr | None
Pair = tuple[Part, Part]
PairRow = Callable[..., Pair]


def row(name: str, *args: Any) -> Expr:
    """Row `name` of parts and numbers; numbers take the dtype of the first part that is no bool."""
    known = [a for a in args if isinstance(a, Expr)]
    like = next((a for a in known if a.dtype.kind != "b"), known[0])
    return elementwise(name, *(a if isinstance(a, Expr) else primitives.full(like.shape, a, like.dtype) for a in args))


def whole(part: Part, other: Part) -> Expr:
    """A part, with zeros like `other` for one that is 0 by form."""
    if part is not None:
        return part
    assert other is not None
    return primitives.zeros_like(other)


# ---- products of parts that may be missing ----------------------------------------------------------------------
def times(a: Part, b: Part) -> Part:
    if a is None or b is None:
        return None
    for one, other in ((a, b), (b, a)):
        if number(one) == 1:
            return other
    return row("multiply", a, b)


def plus(a: Part, b: Part) -> Part:
    """a + b; a missing part leaves the other as it is."""
    return b if a is None else a if b is None else row("add", a, b)


def minus(a: Part, b: Part) -> Part:
    if b is None:
        return a
    return row("negative", b) if a is None else row("subtract", a, b)


def over(a: Part, b: Expr) -> Part:
    return None if a is None else row("divide", a, b)


# ---- arithmetic -------------------------------------------------------------------------------------------------
def _add(z: Pair, w: Pair) -> Pair:
    """0 by form is +0 here, and -0 + 0 is 0."""
    return _sum("add", z[0], w[0]), _sum("add", z[1], w[1])


def _subtract(z: Pair, w: Pair) -> Pair:
    return _sum("subtract", z[0], w[0]), _sum("subtract", z[1], w[1])


def _sum(name: str, a: Part, b: Part) -> Part:
    return None if a is None and b is None else row(name, whole(a, b), whole(b, a))


def _negative(z: Pair) -> Pair:
    some = next(p for p in z if p is not None)
    minus_zero = primitives.full(some.shape, -0.0, some.dtype)
    re, im = (minus_zero if part is None else row("negative", part) for part in z)
    return re, im


def multiply(z: Pair, w: Pair) -> Pair:
    (a, b), (c, d) = _without_minus_zero(z), _without_minus_zero(w)
    return minus(times(a, c), times(b, d)), plus(times(a, d), times(b, c))


def _without_minus_zero(z: Pair) -> Pair:
    """An imaginary part that is -0 by form, of the negative of a real number, is none in a product."""
    return (z[0], None) if z[1] is not None and number(z[1]) == 0 else z


def _square(z: Pair) -> Pair:
    a, b = z
    if a is None or b is None:
        return multiply(z, z)
    product = row("multiply", a, b)
    return row("subtract", row("square", a), row("square", b)), row("add", product, product)


def divide(z: Pair, w: Pair) -> Pair:
    """Smith's method: the divisor's larger part is divided out first."""
    (a, b), (c, d) = z, w
    if d is None:
        assert c is not None
        return over(a, c), over(b, c)
    if c is None:
        return over(b, d), (None if a is None else over(row("negative", a), d))
    wide = row("greater_equal", row("abs", c), row("abs", d))
    large, small = row("where", wide, c, d), row("where", wide, d, c)
    nothing = row("equal", large, 0)
    ratio = row("where", nothing, 0, row("divide", small, row("where", nothing, 1, large)))
    below = row("where", nothing, row("abs", large), row("add", large, row("multiply", small, ratio)))
    if b is None:
        assert a is not None
        scaled = row("multiply", a, ratio)
        re, im = row("where", wide, a, scaled), row("negative", row("where", wide, scaled, a))
    else:
        x, y = whole(a, b), b
        first, second = row("where", wide, x, y), row("where", wide, y, x)
        re = row("add", first, row("multiply", second, ratio))
        im = row("where", wide, row("subtract", y, row("multiply", x, ratio)),
                 row("subtract", row("multiply", y, ratio), x))
    return row("divide", re, below), row("divide", im, below)


def _reciprocal(z: Pair) -> Pair:
    like = next(p for p in z if p is not None)
    return divide((primitives.full(like.shape, 1, like.dtype), None), z)


# ---- roots, exponentials, logarithms ----------------------------------------------------------------------------
def _sqrt(z: Pair) -> Pair:
    """The root with the nonnegative real part; scaled so that neither the modulus overflows nor halves underflow."""
    x, y = whole(*z), whole(z[1], z[0])
    limits = np.finfo(x.dtype)
    tiny = row("less", row("maximum", row("abs", x), row("abs", y)), float(limits.tiny * 4))
    scale = row("where", tiny, float(2.0 ** 54), primitives.full(x.shape, 0.25, x.dtype))
    back = row("where", tiny, float(2.0 ** -27), primitives.full(x.shape, 2.0, x.dtype))
    u, v = row("multiply", x, scale), row("multiply", y, scale)
    larger = row("sqrt", row("multiply", row("add", row("abs", u), row("hypot", u, v)), 0.5))
    larger = row("multiply", larger, back)
    zero = row("equal", larger, 0)
    ratio = row("divide", row("abs", y), row("where", zero, 1, row("add", larger, larger)))
    smaller = row("where", row("isinf", y), row("abs", y), ratio)
    right = row("logical_not", row("signbit", x))
    re = row("where", right, larger, smaller)
    im = row("where", right, smaller, larger)
    return re, row("copysign", im, y)


def _exp(z: Pair) -> Pair:
    x, y = z
    if y is None:
        assert x is not None
        return row("exp", x), None
    cos, sin = row("cos", y), row("sin", y)
    if x is None:
        return cos, sin
    size = row("exp", x)
    return row("multiply", size, cos), _kept_zero(sin, size)


def _kept_zero(a: Expr, b: Expr) -> Expr:
    """a * b, but a where a is 0 and b overflows."""
    return row("where", row("equal", a, 0), a, row("multiply", a, b))


def _log(z: Pair) -> Pair:
    """The logarithm of the larger part and of what the other adds; near the unit circle log1p of what the squared
    modulus differs by from 1.
    """
    x, y = whole(*z), whole(z[1], z[0])
    a, b = row("abs", x), row("abs", y)
    large, small = row("maximum", a, b), row("minimum", a, b)
    near = row("logical_and", row("greater", large, 0.5), row("less", large, 2))
    excess = row("add", row("multiply", row("subtract", large, 1), row("add", large, 1)), row("square", small))
    usual = row("logical_and", row("greater", large, 0), row("isfinite", large))
    ratio = row("where", usual, row("divide", small, row("where", usual, large, 1)), 0)
    beside = row("where", near, excess, row("square", ratio))
    rest = row("multiply", 0.5, row("log1p", beside))
    return row("where", near, rest, row("add", row("log", large), rest)), row("atan2", y, x)


# ---- trigonometric and hyperbolic -------------------------------------------------------------------------------
def _sin(z: Pair) -> Pair:
    x, y = whole(*z), whole(z[1], z[0])
    return _kept_zero(row("sin", x), row("cosh", y)), _kept_zero(row("sinh", y), row("cos", x))


def _cos(z: Pair) -> Pair:
    x, y = whole(*z), whole(z[1], z[0])
    return row("multiply", row("cos", x), row("cosh", y)), row("negative", _product(row("sin", x), row("sinh", y)))


def _sinh(z: Pair) -> Pair:
    x, y = whole(*z), whole(z[1], z[0])
    return _kept_zero(row("sinh", x), row("cos", y)), _kept_zero(row("sin", y), row("cosh", x))


def _cosh(z: Pair) -> Pair:
    x, y = whole(*z), whole(z[1], z[0])
    return row("multiply", row("cosh", x), row("cos", y)), _product(row("sin", y), row("sinh", x))


def _product(a: Expr, b: Expr) -> Expr:
    """a * b with 0 where either is 0, though the other overflows."""
    zero = row("logical_or", row("equal", a, 0), row("equal", b, 0))
    return row("where", zero, 0, row("multiply", a, b))


def _tanh(z: Pair) -> Pair:
    return _tangent(whole(*z), whole(z[1], z[0]))


def _tan(z: Pair) -> Pair:
    """tan z = -i tanh(i z)."""
    im, re = _tangent(whole(z[1], z[0]), whole(*z))
    return re, im


def _tangent(x: Expr, y: Expr) -> tuple[Expr, Expr]:
    """The parts of tanh(x + iy), over sinh(x)**2 + cos(y)**2, which does not cancel; far out the real part is 1."""
    sinh, cos = row("sinh", x), row("cos", y)
    below = row("add", row("square", sinh), row("square", cos))
    far = row("greater", row("abs", x), 22)
    near = row("divide", row("multiply", sinh, row("cosh", x)), below)
    return row("where", far, row("copysign", 1, x), near), row("divide", row("multiply", row("sin", y), cos), below)


PAIR_ROWS: dict[str, PairRow] = {
    "add": _add, "subtract": _subtract, "negative": _negative, "multiply": multiply, "square": _square,
    "divide": divide, "reciprocal": _reciprocal, "sqrt": _sqrt, "exp": _exp, "log": _log,
    "sin": _sin, "cos": _cos, "tan": _tan, "sinh": _sinh, "cosh": _cosh, "tanh": _tanh,
}
