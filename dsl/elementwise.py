"""The elementwise public functions: one for each row of the table of operations, and the few with more than one row.

`x` stands for an expression, an array or a number; arguments broadcast against each other. Python numbers never widen
an array.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from . import ops, primitives
from .arguments import array, element_type, integer
from .errors import DTypeError, ShapeError
from .node import FUNCTIONS, Expr
from .primitives import scalar
from .row import Row
from .surface import surface

# Rows that have no public function of their own shape: built by others, or below with more arguments.
_NOT_GENERATED = frozenset({"mask", "cast", "bitcast", "stop_gradient", "power", "clip", "where", "round"})


def _function_of(row: Row) -> Callable[..., Expr]:
    def call(*args: Any) -> Expr:
        if len(args) != len(row.args):
            raise TypeError(f"{row.name}({', '.join(row.args)}) takes {len(row.args)} arguments, not {len(args)}")
        return scalar(row.name, *args)

    call.__name__ = call.__qualname__ = row.name
    call.__doc__ = _docstring(row)
    parameter = inspect.Parameter
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter(a, parameter.POSITIONAL_ONLY) for a in row.args])
    return surface(call)


_DTYPES = {
    "float": "floats keep their dtype, integers become float64",
    "numeric": "the common dtype of the arguments",
    "integer": "integers or bools, their common dtype",
    "compare": "bool",
    "logical": "bool",
    "test": "bool",
}


def _docstring(row: Row) -> str:
    lines = [f"`{row.meaning}` elementwise." if row.meaning else f"Elementwise {row.name.replace('_', ' ')}.", "",
             "Shape: the broadcast of the arguments' shapes (ShapeError when they do not fit). "
             f"Dtype: {_DTYPES.get(row.kind, 'the common dtype')}."]
    if row.jumps:
        lines.append("It has no derivative.")
    if row.kinks and not row.jumps:
        lines.append(f"Not smooth: {row.kinks}.")
    names = [*([f"`{row.infix}`"] if row.infix else []), *row.aliases]
    if names:
        lines.append(f"Also: {', '.join(names)}.")
    return "\n".join(lines)


for _row in ops.ROWS.values():
    if _row.name not in _NOT_GENERATED:
        _function_of(_row)


@surface
def power(x: Any, y: Any) -> Expr:
    """`x**y` elementwise. Literal exponents 0 to 4, 0.5 and -1 become products, a root and a quotient.

    Raises DTypeError for an integer array with a negative Python exponent.

    >>> import pullback as pb
    >>> pb.power(pb.Var('x'), 2)
    x**2
    """
    if isinstance(x, Expr) and isinstance(y, (int, float)) and not isinstance(y, bool):
        dtype = ops.result_dtype("power", x.dtype, y)
        if dtype.kind in "iu" and y < 0:
            raise DTypeError(f"integers to the negative power {y} are not integers: write x.astype('float64') ** {y}")
        written_out = _literal_power(primitives.cast(x, dtype), y)
        if written_out is not None:
            return written_out
    return scalar("power", x, y)


def _literal_power(x: Expr, y: float) -> Expr | None:
    if y == 0:
        return primitives.full(x.shape, 1, x.dtype)
    if y == 1:
        return x
    if y in (2, 3, 4):
        square = scalar("square", x)
        return square if y == 2 else scalar("multiply", square, x) if y == 3 else scalar("square", square)
    if x.dtype.kind in "fc" and y in (0.5, -1):
        return scalar("sqrt" if y == 0.5 else "reciprocal", x)
    return None


@surface
def clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Expr:
    """`x` limited to a_min .. a_max; None is no limit. At a tie the derivative is shared equally.

    >>> import pullback as pb
    >>> pb.clip(pb.Var('x'), 0, 1)
    clip(x, 0, 1)
    """
    low, high = a_min if min is None else min, a_max if max is None else max
    if low is None and high is None:
        return array(x)
    if low is None:
        return scalar("minimum", x, high)
    if high is None:
        return scalar("maximum", x, low)
    return scalar("clip", x, low, high)


@surface
def where(condition: Any, x: Any = None, y: Any = None) -> Expr:
    """`x` where `condition` holds, else `y`. The derivative never evaluates the side that was not taken.

    Raises ShapeError when only the condition is given: how many elements hold depends on the data.
    """
    if x is None or y is None:
        raise ShapeError("where takes (condition, x, y): the positions where a condition holds have no size known "
                         "before the call")
    return scalar("where", condition, x, y)


@surface
def round_(x: Any, decimals: Any = 0) -> Expr:
    """`x` rounded to `decimals` places, halves to even. It has no derivative."""
    x, places = array(x), integer(decimals, "decimals")
    if x.dtype.kind == "c":
        return primitives.complex_(round_(primitives.real(x), places), round_(primitives.imag(x), places))
    if places == 0 or (x.dtype.kind in "iub" and places > 0):
        return scalar("round", x)
    if x.dtype.kind != "f":
        return primitives.cast(_round_at(primitives.cast(x, np.float64), places), x.dtype)
    return _round_at(x, places)


def _round_at(x: Expr, places: int) -> Expr:
    factor = float(10 ** abs(places))
    there, back = ("multiply", "divide") if places > 0 else ("divide", "multiply")
    return scalar(back, scalar("round", scalar(there, x, factor)), factor)


@surface
def astype(x: Any, dtype: Any, copy: bool = True) -> Expr:
    """`x` converted to `dtype` as NumPy converts; the derivative passes between floats only.

    Raises DTypeError for a dtype that kernels do not take, and for a complex array that would lose its imaginary part.
    """
    return primitives.cast(array(x), element_type(dtype))


@surface
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Expr:
    """`x` with NaN and infinities replaced (infinities by the largest finite numbers unless given)."""
    x = array(x)
    if x.dtype.kind == "c":
        return primitives.complex_(*(nan_to_num(p, copy, nan, posinf, neginf)
                                     for p in (primitives.real(x), primitives.imag(x))))
    if x.dtype.kind != "f":
        return x
    limits = np.finfo(x.dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    infinite = scalar("where", scalar("greater", x, 0), high, low)
    finite = scalar("where", scalar("isinf", x), infinite, x)
    return primitives.cast(scalar("where", scalar("isnan", x), nan, finite), x.dtype)


@surface
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Expr:
    """|a - b| <= atol + rtol * |b| elementwise; infinities are close to themselves."""
    a, b = array(a), array(b)
    gap = scalar("abs", scalar("subtract", a, b))
    near = scalar("less_equal", gap, scalar("add", atol, scalar("multiply", rtol, scalar("abs", b))))
    near = scalar("logical_and", near, scalar("isfinite", b))
    close = scalar("logical_or", near, scalar("equal", a, b))
    if equal_nan:
        close = scalar("logical_or", close, scalar("logical_and", scalar("isnan", a), scalar("isnan", b)))
    return close


def divmod_(x: Any, y: Any) -> tuple[Expr, Expr]:
    """(x // y, x % y)."""
    return FUNCTIONS["floor_divide"](x, y), FUNCTIONS["remainder"](x, y)


FUNCTIONS["divmod"] = divmod_
