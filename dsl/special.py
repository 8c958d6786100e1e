"""`pb.special`: special functions by SciPy's names. Every one of them is `pb.NAME` too.

Elementwise functions are rows of the table of operations, and so have derivatives of both modes and every order on
every target; folds take `axis`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from . import softmax as softmax_of
from .aliases import ALIASES
from .arguments import all_axes, array, integer
from .elementwise import where
from .errors import ShapeError
from .node import FUNCTIONS, Expr
from .primitives import cast, scalar
from .reductions import logsumexp, softmax
from .surface import surface


def _floats(*values: Any) -> list[Expr]:
    return [x if x.dtype.kind == "f" else cast(x, "float64") for x in map(array, values)]


@surface
def polygamma(n: Any, x: Any) -> Expr:
    """The derivative of order `n`, a nonnegative integer, of digamma. Above order 3, `x` must be positive.

    Raises ShapeError for a negative or a traced order.

    >>> import numpy as np, pullback as pb
    >>> np.round(pb.special.polygamma(1, pb.asarray(1.0)).eval(), 6)
    np.float64(1.644934)
    """
    order = integer(n, "the order of polygamma")
    if order < 0:
        raise ShapeError(f"the order of polygamma is a nonnegative integer, not {order}")
    if order <= 3:
        return scalar(f"polygamma{order}" if order else "digamma", x)
    sign = 1.0 if order % 2 else -1.0
    return scalar("multiply", sign * math.factorial(order), scalar("zeta", order + 1.0, *_floats(x)))


@surface
def entr(x: Any) -> Expr:
    """The entropy -x log(x): 0 at 0, -inf below."""
    x, = _floats(x)
    return where(scalar("less", x, 0), -math.inf, scalar("subtract", 0, scalar("xlogy", x, x)))


@surface
def rel_entr(x: Any, y: Any) -> Expr:
    """The relative entropy x log(x/y): 0 where x = 0 <= y, inf where x or y is negative, or y is 0 and x is not."""
    x, y = _floats(x, y)
    return _relative(x, y, 0.0)


@surface
def kl_div(x: Any, y: Any) -> Expr:
    """x log(x/y) - x + y: y where x = 0 <= y, inf where x or y is negative, or y is 0 and x is not."""
    x, y = _floats(x, y)
    return _relative(x, y, scalar("subtract", y, x))


def _relative(x: Expr, y: Expr, rest: Any) -> Expr:
    both = scalar("logical_and", scalar("greater", x, 0), scalar("greater", y, 0))
    safe_x, safe_y = (where(both, v, 1) for v in (x, y))
    inside = scalar("add", scalar("multiply", safe_x, scalar("log", scalar("divide", safe_x, safe_y))), rest)
    zero = scalar("logical_and", scalar("equal", x, 0), scalar("greater_equal", y, 0))
    unknown = scalar("logical_or", scalar("isnan", x), scalar("isnan", y))
    outside = where(zero, scalar("add", scalar("multiply", 0, safe_x), rest), math.inf)
    return where(both, inside, where(unknown, scalar("add", x, y), outside))


@surface
def log_softmax(x: Any, axis: Any = None) -> Expr:
    """log(softmax(x)) over `axis` (default: over all) without its underflow; -inf where all elements are -inf."""
    x, = _floats(x)
    return softmax_of.log_softmax(x, all_axes(axis, len(x.shape)))


@surface
def factorial_(x: Any) -> Expr:
    """gamma(x + 1)."""
    x, = _floats(x)
    return scalar("gamma", scalar("add", x, 1))


_ROWS = (
    "erf", "erfc", "erfcx", "erfinv", "erfcinv", "ndtr", "log_ndtr", "ndtri", "gamma", "gammaln", "digamma", "psi",
    "lgamma", "beta", "betaln", "zeta", "i0", "i0e", "i1", "i1e", "xlogy", "xlog1py", "logit", "expit", "log_expit",
    "sigmoid", "log_sigmoid", "softplus", "logaddexp", "log1p", "expm1", "exp2", "cbrt", "sinc", "log1mexp",
    "log_cosh",
)
_OWN = (polygamma, entr, rel_entr, kl_div, log_softmax, factorial_, logsumexp, softmax)
PUBLIC: dict[str, Callable[..., Any]] = {
    **{name: FUNCTIONS[ALIASES.get(name, name)] for name in _ROWS}, **{f.__name__: f for f in _OWN}}
__all__ = sorted(PUBLIC)


def __getattr__(name: str) -> Any:
    try:
        return PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'pullback.special' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return __all__
