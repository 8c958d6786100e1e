"""The table of scalar operations: one row each, from which everything else about an operation follows.

A row says what the operation means (as sympy text), how dtypes combine, how it is written, where it is hard, and what
its value and derivative are there. Partials come from `partials`, where the textbook's would be wrong from
`partials_by_hand`; a target that has neither a machine operation nor a routine for a row computes it by `expansion`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan, pi
from typing import Any

import numpy as np

from . import expansions, ops_numpy, partials_by_hand, partials_special
from . import partials as derived
from .ops_special import SPECIAL
from .row import Row, entry

_PARTIALS = (partials_by_hand, partials_special, derived)
_JUMP = "piecewise constant: no derivative"
AS_DEFINED = "as its expression"             # kinks of a row of the user's
# Rows that take complex numbers: of those with a complex result the partials are the complex derivative.
_COMPLEX = frozenset((
    "add", "subtract", "multiply", "divide", "negative", "positive", "reciprocal", "square", "sqrt", "rsqrt", "power",
    "exp", "exp2", "log", "log2", "log10", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sech", "abs", "equal",
    "not_equal", "isnan", "isinf", "isfinite", "where", "mask", "cast", "stop_gradient"))


def _row(name: str, args: str, meaning: str, kind: str, function: Callable[..., Any] | None = None,
**fields: Any) -> Row:
    fields.setdefault("complex", name in _COMPLEX)
    return entry(name, args, meaning, kind, function, **fields)


def _jump(name: str, args: str, meaning: str, kind: str, function: Callable[..., Any] | None = None,
**fields: Any) -> Row:
    return _row(name, args, meaning, kind, function, jumps=True, kinks=_JUMP, **fields)


_POSITIVE = ((1e-3, 50.0),)
_INTS = ((-40.0, 40.0), (-40.0, 40.0))
_TIE = "ties share the derivative equally"

_ARITHMETIC = (
    _row("add", "x y", "x + y", "numeric", infix="+", precedence=11, linear=True),
    _row("subtract", "x y", "x - y", "numeric", aliases=("sub",), infix="-", precedence=11, linear=True),
    _row("multiply", "x y", "x*y", "numeric", aliases=("mul",), infix="*", precedence=12, latex=r"#1 \, #2"),
    _row("divide", "x y", "x/y", "float", aliases=("true_divide", "div"), infix="/", precedence=12,
         latex=r"\frac{#1}{#2}",
         domain=((-3, 3), (0.1, 4)), edges=((1.0, 1e160), (1e-160, -3.0))),
    _row("floor_divide", "x y", "floor(x/y)", "numeric", np.floor_divide, infix="//", precedence=12, jumps=True,
         kinks=_JUMP,
         latex=r"\left\lfloor\frac{#1}{#2}\right\rfloor", domain=((-30, 30), (0.3, 4)),
         special=(((7.0, -2.0), -4.0, ()), ((-7.0, 2.0), -4.0, ()), ((6.0, 3.0), 2.0, ()), ((1.0, inf), 0.0, ()))),
    _row("remainder", "x y", "x - y*floor(x/y)", "numeric", np.remainder, aliases=("mod",), infix="%", precedence=12,
         absolute=20.0,
         latex=r"#1 \bmod #2", domain=((-30, 30), (0.3, 4)),
         kinks="jumps where x is a multiple of y; derivative of the piece to its right",
         special=(((7.0, -2.0), -1.0, (1.0, 4.0)), ((-7.0, 2.0), 1.0, (1.0, 4.0)))),
    _row("fmod", "x y", "x - y*sign(x/y)*floor(Abs(x/y))", "numeric", domain=((-30, 30), (0.3, 4)), absolute=20.0,
         kinks="jumps where x is a multiple of y", special=(((7.0, -2.0), 1.0, (1.0, 3.0)),
         ((-7.0, 2.0), -1.0, (1.0, 3.0)))),
    _row("fma", "x y z", "x*y + z", "numeric", latex=r"#1 \, #2 + #3", absolute=9.0),
    _row("negative", "x", "-x", "numeric", aliases=("neg",), infix="-", precedence=13, latex="-#1", linear=True),
    _row("positive", "x", "x", "numeric", aliases=("pos",), infix="+", precedence=13, latex="#1", linear=True),
    _row("abs", "x", "Abs(x)", "numeric", np.absolute, aliases=("absolute", "fabs"), latex=r"\left|#1\right|",
         kinks="derivative 0 at 0",
         special=(((0.0,), 0.0, (0.0,)), ((-0.0,), 0.0, (0.0,)), ((-2.0,), 2.0, (-1.0,)))),
    _jump("sign", "x", "sign(x)", "numeric", latex=r"\operatorname{sgn}\left(#1\right)",
          special=(((0.0,), 0.0, ()), ((nan,), nan, ()))),
    _row("reciprocal", "x", "1/x", "float", latex=r"\frac{1}{#1}", domain=((0.1, 5),), edges=((1e150,), (-1e-150,))),
    _row("square", "x", "x**2", "numeric", latex="#1^{2}", special=(((0.0,), 0.0, (0.0,)),)),
    _row("sqrt", "x", "sqrt(x)", "float", latex=r"\sqrt{#1}", domain=_POSITIVE, edges=((1e-300,), (1e300,)),
         kinks="derivative inf at 0", special=(((0.0,), 0.0, (inf,)), ((-1.0,), nan, (nan,)))),
    _row("rsqrt", "x", "1/sqrt(x)", "float", latex=r"\frac{1}{\sqrt{#1}}", domain=_POSITIVE,
         edges=((1e-200,), (1e200,))),
    _row("cbrt", "x", "sign(x)*Abs(x)**Rational(1, 3)", "float", latex=r"\sqrt[3]{#1}", domain=((-9, 9),),
         edges=((-8.0,), (1e-100,), (-1e100,)),
         kinks="derivative inf at 0", special=(((0.0,), 0.0, (inf,)), ((-8.0,), -2.0, (1 / 12,)))),
    _row("power", "x y", "x**y", "numeric", np.power, aliases=("pow",), infix="**", precedence=14, latex="#1^{#2}",
         domain=((0.05, 5), (-3, 3)), edges=((1.0, 1e5), (1e-100, 2.5)), tolerance=8.0,
         kinks="0**y has derivative 0 in y for y >= 0; x**0 has derivative 0",
         special=(((0.0, 2.0), 0.0, (0.0, 0.0)), ((0.0, 1.0), 0.0, (1.0, 0.0)), ((0.0, 0.0), 1.0, (0.0, 0.0)),
         ((-1.5, 2.0), 2.25, (-3.0, None)),
                  ((-2.0, 3.0), -8.0, (12.0, None)), ((-2.0, 0.0), 1.0, (0.0, None)), ((0.0, 0.5), 0.0, (inf, 0.0)),
                  ((0.0, 3.5), 0.0, (0.0, 0.0)))),
)

_EXPONENTIAL = (
    _row("exp", "x", "exp(x)", "float", latex="e^{#1}", domain=((-80, 80),), edges=((-700.0,), (709.0,)),
         special=(((-inf,), 0.0, (0.0,)), ((inf,), inf, (inf,)))),
    _row("exp2", "x", "2**x", "float", latex="2^{#1}", domain=((-100, 100),), edges=((-1000.0,), (1000.0,))),
    _row("expm1", "x", "exp(x) - 1", "float", latex=r"\left(e^{#1} - 1\right)", domain=((-40, 40),),
         edges=((1e-300,), (-1e-10,), (700.0,)),
         special=(((-inf,), -1.0, (0.0,)), ((-100.0,), -1.0, (3.720075976020836e-44,)))),
    _row("log", "x", "log(x)", "float", latex=r"\log\left(#1\right)", domain=_POSITIVE,
         edges=((1e-300,), (1e300,), (1.0 + 1e-12,)),
         special=(((0.0,), -inf, (inf,)), ((-1.0,), nan, (None,)))),
    _row("log2", "x", "log(x)/log(2)", "float", latex=r"\log_{2}\left(#1\right)", domain=_POSITIVE,
         edges=((1e-300,), (1e300,))),
    _row("log10", "x", "log(x)/log(10)", "float", latex=r"\log_{10}\left(#1\right)", domain=_POSITIVE,
         edges=((1e-300,), (1e300,))),
    _row("log1p", "x", "log(1 + x)", "float", latex=r"\log\left(1 + #1\right)", domain=((-0.99, 50),),
         edges=((1e-300,), (-1e-12,), (1e300,)),
         special=(((-1.0,), -inf, (inf,)),)),
    _row("logaddexp", "x y", "log(exp(x) + exp(y))", "float", latex=r"\log\left(e^{#1} + e^{#2}\right)",
         domain=((-30, 30), (-30, 30)), absolute=1.0,
         edges=((1000.0, 1000.0), (-1000.0, -990.0), (700.0, -100.0), (2.0, 2.0)),
         special=(((-inf, -inf), -inf, (0.5, 0.5)), ((-inf, 1.0), 1.0, (0.0, 1.0)), ((inf, inf), inf, (0.5, 0.5)))),
    _row("logaddexp2", "x y", "log(2**x + 2**y)/log(2)", "float", domain=((-30, 30), (-30, 30)), absolute=1.0,
         edges=((1000.0, 1000.0), (2.0, 2.0)),
         special=(((-inf, -inf), -inf, (0.5, 0.5)),)),
    _row("sigmoid", "x", "1/(1 + exp(-x))", "float", aliases=("expit", "logistic"), latex=r"\sigma\left(#1\right)",
         domain=((-60, 60),),
         edges=((-700.0,), (700.0,)), special=(((-1e5,), 0.0, (0.0,)), ((1e5,), 1.0, (0.0,)), ((0.0,), 0.5, (0.25,)))),
    _row("softplus", "x", "log(1 + exp(x))", "float", domain=((-60, 60),), edges=((-700.0,), (700.0,), (1e5,), (0.0,)),
         special=(((-inf,), 0.0, (0.0,)), ((inf,), inf, (1.0,)))),
    _row("log_sigmoid", "x", "-log(1 + exp(-x))", "float", aliases=("log_expit",), domain=((-60, 60),),
         edges=((-700.0,), (700.0,), (-1e5,)),
         special=(((-inf,), -inf, (1.0,)),)),
    _row("log1mexp", "x", "log(1 - exp(x))", "float", latex=r"\log\left(1 - e^{#1}\right)", domain=((-40, -1e-3),),
         edges=((-1e-300,), (-700.0,), (-0.69,), (-0.7,)),
         special=(((0.0,), -inf, (-inf,)), ((-inf,), 0.0, (0.0,)), ((1.0,), nan, (None,)))),
    _row("log_cosh", "x", "log(cosh(x))", "float", latex=r"\log\cosh\left(#1\right)", domain=((-40, 40),),
         edges=((1e-100,), (-1e-9,), (700.0,), (-1e5,)), special=(((0.0,), 0.0, (0.0,)), ((-inf,), inf, (-1.0,)))),
    _row("logit", "x", "log(x/(1 - x))", "float", domain=((1e-3, 0.999),), edges=((0.5 + 1e-10,), (1e-200,)),
         tolerance=8.0,
         special=(((0.0,), -inf, (inf,)), ((1.0,), inf, (inf,)))),
    _row("xlogy", "x y", "Piecewise((0, Eq(x, 0)), (x*log(y), True))", "float", latex=r"#1 \log\left(#2\right)",
         domain=((-3, 3), (0.01, 9)),
         edges=((1.5, 1e-300),), kinks="0 where x = 0, also at y = 0",
         special=(((0.0, 0.0), 0.0, (-inf, 0.0)), ((0.0, 2.0), 0.0, (0.6931471805599453, 0.0)))),
    _row("xlog1py", "x y", "Piecewise((0, Eq(x, 0)), (x*log(1 + y), True))", "float",
         latex=r"#1 \log\left(1 + #2\right)",
         domain=((-3, 3), (-0.9, 9)), edges=((1.5, 1e-300),), kinks="0 where x = 0, also at y = -1",
         special=(((0.0, -1.0), 0.0, (-inf, 0.0)),)),
)

_TRIGONOMETRIC = (
    _row("sin", "x", "sin(x)", "float", latex=r"\sin\left(#1\right)", domain=((-20, 20),), edges=((1e5,), (1e-300,)),
         absolute=0.01),
    _row("cos", "x", "cos(x)", "float", latex=r"\cos\left(#1\right)", domain=((-20, 20),), edges=((1e5,),),
         absolute=0.01),
    _row("tan", "x", "tan(x)", "float", latex=r"\tan\left(#1\right)", domain=((-1.5, 1.5),), edges=((1e5,), (1e-300,)),
         absolute=0.01),
    _row("asin", "x", "asin(x)", "float", aliases=("arcsin",), latex=r"\arcsin\left(#1\right)", domain=((-0.99, 0.99),),
         edges=((1.0 - 1e-12,), (1e-12 - 1.0,), (1e-300,)), special=(((1.0,), pi / 2, (inf,)), ((2.0,), nan, (nan,)))),
    _row("acos", "x", "acos(x)", "float", aliases=("arccos",), latex=r"\arccos\left(#1\right)", domain=((-0.99, 0.99),),
         edges=((1.0 - 1e-12,), (1e-12 - 1.0,)), special=(((1.0,), 0.0, (-inf,)), ((-1.0,), pi, (-inf,)))),
    _row("atan", "x", "atan(x)", "float", aliases=("arctan",), latex=r"\arctan\left(#1\right)",
         edges=((1e-300,), (1e100,), (-1e100,)),
         special=(((inf,), pi / 2, (0.0,)), ((1e200,), pi / 2, (0.0,)))),
    _row("atan2", "y x", "atan2(y, x)", "float", aliases=("arctan2",), domain=((0.1, 3), (-3, 3)),
         edges=((1e-100, 3e-100), (1e200, 1e200), (-1.0, 1e-300), (1.0, -2.0)),
         kinks="derivative 0 at the origin; jumps across the negative x axis",
         special=(((0.0, 0.0), 0.0, (0.0, 0.0)), ((0.0, -1.0), pi, (-1.0, 0.0)))),
    _row("sinh", "x", "sinh(x)", "float", latex=r"\sinh\left(#1\right)", domain=((-80, 80),),
         edges=((1e-300,), (700.0,))),
    _row("cosh", "x", "cosh(x)", "float", latex=r"\cosh\left(#1\right)", domain=((-80, 80),), edges=((0.0,), (700.0,))),
    _row("tanh", "x", "tanh(x)", "float", latex=r"\tanh\left(#1\right)", domain=((-40, 40),),
         edges=((1e-300,), (300.0,), (-300.0,), (0.0,)),
         special=(((1e4,), 1.0, (0.0,)), ((-inf,), -1.0, (0.0,)))),
    _row("sech", "x", "sech(x)", "float", latex=r"\operatorname{sech}\left(#1\right)", domain=((-40, 40),),
         edges=((0.0,), (1e-300,), (700.0,), (-700.0,)), absolute=1e-3,
         special=(((0.0,), 1.0, (0.0,)), ((inf,), 0.0, (0.0,)), ((-1e4,), 0.0, (0.0,)))),
    _row("asinh", "x", "asinh(x)", "float", aliases=("arcsinh",), domain=((-50, 50),),
         edges=((1e-300,), (1e22,), (-1e200,), (1e200,))),
    _row("acosh", "x", "acosh(x)", "float", aliases=("arccosh",), domain=((1.01, 50),),
         edges=((1.0 + 1e-12,), (1e200,)),
         special=(((1.0,), 0.0, (inf,)), ((0.5,), nan, (None,)))),
    _row("atanh", "x", "atanh(x)", "float", aliases=("arctanh",), domain=((-0.99, 0.99),),
         edges=((1.0 - 1e-12,), (1e-300,)),
         special=(((1.0,), inf, (inf,)),)),
    _row("hypot", "x y", "sqrt(x**2 + y**2)", "float", latex=r"\sqrt{#1^{2} + #2^{2}}",
         edges=((1e200, 1e200), (1e-200, -1e-200), (0.0, 2.0)),
         kinks="derivative 0 at the origin", special=(((0.0, 0.0), 0.0, (0.0, 0.0)), ((3.0, -4.0), 5.0, (0.6, -0.8)))),
    _row("sinc", "x", "sin(pi*x)/(pi*x)", "float", aliases=("sinc_pi",), domain=((-4, 4),),
         edges=((1e-300,), (1e-9,), (0.3,), (0.51,)), absolute=0.3,
         special=(((0.0,), 1.0, (0.0,)),)),
    _row("degrees", "x", "x*180/pi", "float", aliases=("rad2deg",)),
    _row("radians", "x", "x*pi/180", "float", aliases=("deg2rad",)),
)

_COMPARISON = (
    _jump("equal", "x y", "Eq(x, y)", "compare", infix="==", precedence=6, latex="#1 = #2",
          special=(((nan, nan), 0, ()), ((0.0, -0.0), 1, ()))),
    _jump("not_equal", "x y", "Ne(x, y)", "compare", infix="!=", precedence=6, latex=r"#1 \neq #2",
          special=(((nan, nan), 1, ()),)),
    _jump("less", "x y", "x < y", "compare", infix="<", precedence=6, latex="#1 < #2",
          special=(((nan, 1.0), 0, ()), ((1.0, 1.0), 0, ()))),
    _jump("less_equal", "x y", "x <= y", "compare", infix="<=", precedence=6, latex=r"#1 \leq #2",
          special=(((nan, 1.0), 0, ()), ((1.0, 1.0), 1, ()))),
    _jump("greater", "x y", "x > y", "compare", infix=">", precedence=6, latex="#1 > #2",
          special=(((1.0, nan), 0, ()), ((1.0, 1.0), 0, ()))),
    _jump("greater_equal", "x y", "x >= y", "compare", infix=">=", precedence=6, latex=r"#1 \geq #2",
          special=(((inf, inf), 1, ()),)),
    _jump("logical_and", "x y", "", "logical", latex=r"#1 \wedge #2", domain=((0, 2), (0, 2)),
          special=(((0.0, 2.0), 0, ()), ((3.0, nan), 1, ()))),
    _jump("logical_or", "x y", "", "logical", latex=r"#1 \vee #2", domain=((0, 2), (0, 2)),
          special=(((0.0, 2.0), 1, ()), ((0.0, 0.0), 0, ()))),
    _jump("logical_xor", "x y", "", "logical", latex=r"#1 \oplus #2", domain=((0, 2), (0, 2)),
          special=(((1.0, 2.0), 0, ()), ((0.0, 2.0), 1, ()))),
    _jump("logical_not", "x", "", "logical", latex=r"\neg #1", domain=((0, 2),),
          special=(((0.0,), 1, ()), ((nan,), 0, ()))),
    _jump("isnan", "x", "", "test", special=(((nan,), 1, ()), ((inf,), 0, ()))),
    _jump("isinf", "x", "", "test", special=(((nan,), 0, ()), ((-inf,), 1, ()))),
    _jump("isfinite", "x", "", "test", special=(((nan,), 0, ()), ((inf,), 0, ()), ((0.0,), 1, ()))),
    _jump("signbit", "x", "", "test", special=(((-0.0,), 1, ()), ((0.0,), 0, ()), ((-inf,), 1, ()))),
)

_ROUNDING = (
    _jump("floor", "x", "floor(x)", "numeric", latex=r"\left\lfloor#1\right\rfloor",
          special=(((-0.5,), -1.0, ()), ((-0.0,), -0.0, ()))),
    _jump("ceil", "x", "ceiling(x)", "numeric", latex=r"\left\lceil#1\right\rceil",
          special=(((0.5,), 1.0, ()), ((1e300,), 1e300, ()))),
    _jump("trunc", "x", "sign(x)*floor(Abs(x))", "numeric", aliases=("fix",), special=(((-1.5,), -1.0, ()),)),
    _jump("round", "x", "", "numeric", ops_numpy.round_half_even, aliases=("rint", "around"),
          special=(((0.5,), 0.0, ()), ((1.5,), 2.0, ()), ((2.5,), 2.0, ()), ((-2.5,), -2.0, ()))),
    _jump("bitwise_and", "x y", "", "integer", np.bitwise_and, infix="&", precedence=9, domain=_INTS,
          special=(((12, 10), 8, ()), ((-1, 7), 7, ()))),
    _jump("bitwise_or", "x y", "", "integer", np.bitwise_or, infix="|", precedence=7, domain=_INTS,
          special=(((12, 10), 14, ()),)),
    _jump("bitwise_xor", "x y", "", "integer", np.bitwise_xor, infix="^", precedence=8, domain=_INTS,
          special=(((12, 10), 6, ()),)),
    _jump("bitwise_invert", "x", "", "integer", np.invert, aliases=("invert", "bitwise_not"), infix="~", precedence=13,
          domain=_INTS[:1],
          special=(((5,), -6, ()),)),
    _jump("bitwise_left_shift", "x y", "", "integer", np.left_shift, aliases=("left_shift",), infix="<<",
          precedence=10, domain=((-40, 40), (0, 30)),
          special=(((1, 3), 8, ()), ((1, 100), 0, ()))),
    _jump("bitwise_right_shift", "x y", "", "integer", np.right_shift, aliases=("right_shift",), infix=">>",
          precedence=10, domain=((-40, 40), (0, 30)),
          special=(((-8, 1), -4, ()), ((-8, 100), -1, ()))),
)

_SELECTION = (
    _row("minimum", "x y", "Min(x, y)", "numeric", kinks=_TIE, latex=r"\min\left(#1, #2\right)",
         special=(((1.0, 1.0), 1.0, (0.5, 0.5)), ((nan, 1.0), nan, (None, None)), ((-inf, 1.0), -inf, (1.0, 0.0)))),
    _row("maximum", "x y", "Max(x, y)", "numeric", kinks=_TIE, latex=r"\max\left(#1, #2\right)",
         special=(((1.0, 1.0), 1.0, (0.5, 0.5)), ((1.0, nan), nan, (None, None)), ((-inf, 1.0), 1.0, (0.0, 1.0)))),
    _row("fmin", "x y", "Min(x, y)", "numeric", kinks=_TIE, special=(((1.0, 1.0), 1.0, (0.5, 0.5)),
         ((nan, 1.0), 1.0, (0.0, 1.0)))),
    _row("fmax", "x y", "Max(x, y)", "numeric", kinks=_TIE, special=(((1.0, 1.0), 1.0, (0.5, 0.5)),
         ((1.0, nan), 1.0, (1.0, 0.0)))),
    _row("clip", "x low high", "Min(Max(x, low), high)", "numeric", kinks=_TIE, domain=((-3, 3), (-2, -1), (1, 2)),
         special=(((5.0, 0.0, 1.0), 1.0, (0.0, 0.0, 1.0)), ((0.0, 0.0, 1.0), 0.0, (0.5, 0.5, 0.0)),
         ((0.5, 2.0, 1.0), 1.0, (0.0, 0.0, 1.0)))),
    _row("where", "c x y", "Piecewise((x, Ne(c, 0)), (y, True))", "select", linear=True, kinks="as the condition says",
         domain=((0, 2), (-3, 3), (-3, 3)),
         special=(((1.0, 2.0, nan), 2.0, (None, 1.0, 0.0)), ((0.0, inf, 3.0), 3.0, (None, 0.0, 1.0)))),
    _row("mask", "c g", "Piecewise((g, Ne(c, 0)), (0, True))", "select", linear=True, kinks="as the condition says",
         domain=((0, 2), (-3, 3)),
         special=(((1.0, 2.0), 2.0, (None, 1.0)), ((0.0, nan), 0.0, (None, 0.0)))),
    _row("copysign", "x y", "Abs(x)*sign(y)", "float", kinks="derivative 0 at x = 0; jumps with the sign of y",
         special=(((0.0, -1.0), -0.0, (0.0, None)), ((2.0, -0.0), -2.0, (-1.0, None)),
         ((-2.0, -3.0), -2.0, (1.0, None)))),
    _row("heaviside", "x h", "Piecewise((0, x < 0), (1, x > 0), (h, True))", "float",
         kinks="jumps at x = 0, where it is h",
         special=(((0.0, 0.25), 0.25, (None, 1.0)), ((-1.0, 0.25), 0.0, (None, 0.0)),
         ((nan, 0.25), nan, (None, None)))),
    _row("cast", "x", "x", "cast", linear=True, aliases=("astype",), latex="#1"),
    _jump("bitcast", "x", "", "cast"),
    _row("stop_gradient", "x", "x", "numeric", ops_numpy.identity, kinks="derivative 0 by choice",
         special=(((1.5,), 1.5, (0.0,)),)),
)

ROWS: dict[str, Row] = {row.name: row for group in (_ARITHMETIC, _EXPONENTIAL, _TRIGONOMETRIC, SPECIAL, _COMPARISON,
_ROUNDING, _SELECTION) for row in group}
_DEFINED: dict[str, tuple[tuple[Callable[..., Any] | None, ...], Callable[..., Any]]] = {}     # what users add
by_alias: dict[str, str] = {alias: row.name for row in ROWS.values() for alias in (row.name, *row.aliases)}


def partials(name: str) -> tuple[Callable[..., Any] | None, ...]:
    """One function `d(op, *args, result)` for each argument, or None where there is no derivative.

    `op.<row>(...)` builds operations; a Python number, as operand or as result,
    stands for that number in the dtype of the row's result.
    """
    if name in _DEFINED:
        return _DEFINED[name][0]
    names = [f"{name}_{i}" for i in range(len(ROWS[name].args))]
    return tuple(next((f for f in (getattr(m, n, None) for m in _PARTIALS) if f), None) for n in names)


def expansion(name: str, dtype: Any) -> Callable[..., Any] | None:
    """`f(op, *args)` that computes row `name` on operands of `dtype` by simpler rows.

    None where there is none: a machine operation or an elementary function. A Python number in it is a constant of
    `dtype`.
    """
    return _DEFINED[name][1] if name in _DEFINED else expansions.find(name, np.dtype(dtype))


def define(row: Row, partials: tuple[Callable[..., Any] | None, ...], expansion: Callable[..., Any]) -> Row:
    """Add a row of the user's; raises ValueError for a name that is taken, unless by a row of the same meaning."""
    known = ROWS.get(row.name) or ROWS.get(by_alias.get(row.name, ""))
    if known is None:
        _DEFINED[row.name] = partials, expansion
        ROWS[row.name], by_alias[row.name] = row, row.name
        return row
    if row.name in _DEFINED and (known.meaning, known.args) == (row.meaning, row.args):
        return known
    raise ValueError(f"the operation {row.name!r} exists and means {known.meaning or known.name}; choose another name")


def result_dtype(name: str, *operands: Any, dtype: Any = None) -> np.dtype:
    """The dtype of row `name` on operands of these dtypes; a Python number stands for a weak operand.

    `dtype` is the target of a cast. Raises DTypeError for operands that the row does not take.

    >>> result_dtype("add", "float32", 1.0), result_dtype("sin", "int8")
    (dtype('float32'), dtype('float64'))
    """
    return ROWS[name].signature(*operands, dtype=dtype)[1]


def operand_dtypes(name: str, *operands: Any) -> tuple[np.dtype, ...]:
    """The dtypes that the operands are cast to before row `name` computes.

    >>> operand_dtypes("less", "int32", "float32")
    (dtype('float64'), dtype('float64'))
    """
    row = ROWS[name]
    return row.signature(*operands, dtype="float64" if row.kind == "cast" else None)[0]
