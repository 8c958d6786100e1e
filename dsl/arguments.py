"""Static arguments of the public functions: axes, shapes and integers, as the user may write them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from . import size as sizes
from .errors import DTypeError, PullbackError, ShapeError
from .node import Expr, Shape, where
from .primitives import cast, reshape
from .size import Dim, Size
from .surface import as_expr, available


def array(x: Any) -> Expr:
    """`x` as an expression of known type."""
    return as_expr(x)


def floating(x: Any) -> Expr:
    """`x` as an expression of a floating or complex dtype: integers and bools become float64."""
    x = array(x)
    return x if x.dtype.kind in "fc" else cast(x, np.float64)


def one_axis(axis: Any, rank: int, what: str = "axis") -> int:
    """A nonnegative axis of an array of `rank` axes."""
    given = integer(axis, what)
    if not -rank <= given < rank:
        raise ShapeError(f"{what} {given} does not exist: an array of {rank} axes has axes {-rank} to {rank - 1}"
                         if rank else f"{what} {given} does not exist: the array has no axes")
    return given % rank


def along(x: Expr, axis: Any) -> tuple[Expr, int]:
    """`x` and a nonnegative axis of it; None is the only axis of `x` flattened."""
    if axis is None:
        return reshape(x, (sizes.product(x.shape),)), 0
    return x, one_axis(axis, len(x.shape))


def all_axes(axis: Any, rank: int) -> tuple[int, ...]:
    """`axis` as a sorted tuple; None is every axis."""
    if axis is None:
        return tuple(range(rank))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    found = [one_axis(a, rank) for a in given]
    if len(set(found)) < len(found):
        raise ShapeError(f"axis {tuple(given)} names an axis twice")
    return tuple(sorted(found))


def integer(value: Any, what: str = "argument") -> int:
    """A Python int."""
    if isinstance(value, (int, Size)) and not isinstance(value, bool):
        return int(value)
    try:
        return operator.index(value)
    except (TypeError, PullbackError) as error:
        if isinstance(value, Expr):
            raise ShapeError(f"{what} must be known when the program is built, not the expression {value}"
                             f"{where(value)}: pass a Python int") from None
        raise ShapeError(f"{what} must be an integer, not {value!r}") from error


def dimension(value: Any, what: str = "a dimension") -> Dim:
    """A size: a nonnegative int, or symbolic."""
    if isinstance(value, Expr) and value.op == "size":
        value = value.attrs[0]
    dim = value if isinstance(value, Size) else integer(value, what)
    if isinstance(dim, int) and dim < 0:
        raise ShapeError(f"{what} cannot be negative: {dim}")
    return dim


def shape_of(shape: Any) -> tuple[Dim, ...]:
    """A shape: an int, a sequence, or a constant array of ints."""
    return tuple(dimension(d) for d in entries(shape))


def entries(value: Any) -> list[Any]:
    """The entries of a tuple, list or constant array of ints; a single one alone."""
    if isinstance(value, Expr) and value.op == "const" and value.shape:
        value = value.attrs[0].array.tolist()
    return list(value) if isinstance(value, (tuple, list)) else [value]


def element_type(dtype: Any, default: Any = np.float64) -> np.dtype:
    """`dtype` as one that kernels take."""
    found = np.dtype(default if dtype is None else dtype)
    if not available(found):
        raise DTypeError(f"dtype {found} is not available: bool, integers, float32, float64, complex64 and complex128 "
                         "are")
    return found.newbyteorder("=")


def is_one(dim: Dim) -> bool:
    """Whether `dim` is 1 in the present call."""
    return sizes.equal(dim, 1)


def repeats_to(old: Shape, wanted: Shape) -> bool:
    """Whether an array of shape `old` broadcasts to exactly the shape `wanted`."""
    pairs = zip(old[::-1], wanted[::-1], strict=False)
    return len(old) <= len(wanted) and all(sizes.equal(a, b) or sizes.equal(a, 1) for a, b in pairs)


def at_most(a: Dim, b: Dim) -> bool:
    """Whether a <= b in the present call (guarded); taken on trust where sizes have no values yet."""
    difference = b - a
    if isinstance(difference, int):
        return difference >= 0
    return a <= b if sizes.active_guards() is not None else True


def nonnegative(dim: Dim) -> bool:
    """Whether dim >= 0: known by form, guarded in a call, and taken on trust where sizes have no values yet."""
    return sizes.surely_nonnegative(dim) or at_most(0, dim)

