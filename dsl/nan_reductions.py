"""Reductions that leave NaN out: nansum, nanmean and the rest, with NumPy's values. The derivative by a NaN is zero.

Raises ShapeError for an axis that does not exist; integers have no NaN and are reduced as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arguments import array, floating
from .node import FUNCTIONS, Expr
from .primitives import cast, scalar
from .reductions import root_of_squares, squared_modulus
from .surface import surface


@surface
def nansum(x: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Expr:
    """The sum over `axis` of what is not NaN; 0 where all is.

    >>> import numpy as np, pullback as pb
    >>> pb.grad(pb.nansum)(np.array([1.0, np.nan]))
    array([1., 0.])
    """
    return FUNCTIONS["sum"](_replaced(array(x), 0), axis, dtype, keepdims=keepdims)


@surface
def nanprod(x: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Expr:
    """The product over `axis` of what is not NaN; 1 where all is."""
    return FUNCTIONS["prod"](_replaced(array(x), 1), axis, dtype, keepdims=keepdims)


@surface
def nanmean(x: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    """The mean over `axis` of what is not NaN; NaN where all is."""
    return _mean(floating(x), axis, keepdims)


@surface
def nanvar(x: Any, axis: Any = None, ddof: Any = 0, *, keepdims: bool = False) -> Expr:
    """The variance over `axis` of what is not NaN, divided by its number - ddof; NaN where that is not positive."""
    return _variance(floating(x), axis, ddof, keepdims)


@surface
def nanstd(x: Any, axis: Any = None, ddof: Any = 0, *, keepdims: bool = False) -> Expr:
    """The square root of `nanvar`; where the elements are equal its derivative is 0."""
    return root_of_squares(_variance(floating(x), axis, ddof, keepdims))


@surface
def nanmax(x: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    """The greatest over `axis` of what is not NaN; NaN where all is."""
    return _extreme("max", array(x), -np.inf, axis, keepdims)


@surface
def nanmin(x: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    """The least over `axis` of what is not NaN; NaN where all is."""
    return _extreme("min", array(x), np.inf, axis, keepdims)


def _replaced(x: Expr, value: float) -> Expr:
    return scalar("where", scalar("isnan", x), value, x) if x.dtype.kind in "fc" else x


def _count(x: Expr, axis: Any, keepdims: bool) -> Expr:
    real = np.dtype(f"f{x.dtype.itemsize // (2 if x.dtype.kind == 'c' else 1)}")
    return FUNCTIONS["sum"](cast(scalar("logical_not", scalar("isnan", x)), real), axis, keepdims=keepdims)


def _mean(x: Expr, axis: Any, keepdims: bool) -> Expr:
    return scalar("divide", FUNCTIONS["sum"](_replaced(x, 0), axis, keepdims=keepdims), _count(x, axis, keepdims))


def _variance(x: Expr, axis: Any, ddof: Any, keepdims: bool) -> Expr:
    from_mean = _replaced(scalar("subtract", x, _mean(x, axis, True)), 0)
    freedom = scalar("subtract", _count(x, axis, keepdims), ddof)
    total = FUNCTIONS["sum"](squared_modulus(from_mean), axis, keepdims=keepdims)
    return scalar("where", scalar("greater", freedom, 0), scalar("divide", total, freedom), np.nan)


def _extreme(op: str, x: Expr, identity: float, axis: Any, keepdims: bool) -> Expr:
    if x.dtype.kind != "f":
        return FUNCTIONS[op](x, axis, keepdims=keepdims)
    none = FUNCTIONS["all"](scalar("isnan", x), axis, keepdims=keepdims)
    return scalar("where", none, np.nan, FUNCTIONS[op](_replaced(x, identity), axis, keepdims=keepdims))
