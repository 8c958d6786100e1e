"""Functions of the order of elements: sorting and searching.

The order itself, `argsort` and `searchsorted`, comes from a library routine and has no derivative; sorted values are a
gather at it, whose adjoint brings every cotangent back to where its element came from. NaN sorts last, as in NumPy.
Raises DTypeError for complex numbers, which have no order, and ShapeError for an axis that does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import Any

import numpy as np

from . import size as sizes
from .arguments import along, array, integer
from .errors import DTypeError, PullbackError, ShapeError
from .library import ROUTINES, Parts, Routine, Type, routine
from .node import FUNCTIONS, Expr, where
from .primitives import cast, reshape, scalar, show_shape
from .shapes import flip
from .size import Dim
from .surface import several, surface

_DOUBLINGS = 16          # logarithm to base 2 that a size not known before the call is taken to have


# ---- routines ---------------------------------------------------------------------------------------------------
def _places(x: Expr, *rest: Expr, **static: Any) -> list[Type]:
    return [(np.dtype(np.int64), (*rest, x)[0].shape[-1:])]


def _without_derivative(node: Expr, parts: Sequence[Expr | None]) -> Parts:
    """Places are integers: they do not move with the values until two of these meet."""
    return [None] * len(node.args)


def _comparisons(x: Expr, *rest: Expr, **static: Any) -> Dim:
    n, count = x.shape[-1], (*rest, x)[0].shape[-1]
    return count * (round(log2(max(n, 2))) if isinstance(n, int) else _DOUBLINGS)


def _tangents(node: Expr, parts: Sequence[Expr | None]) -> Parts:
    return [None]


ROUTINES["argsort"] = Routine((1,), _places, _tangents, _without_derivative, _comparisons)
ROUTINES["searchsorted"] = Routine((1, 1), _places, _tangents, _without_derivative, _comparisons)


# ---- sorting ----------------------------------------------------------------------------------------------------
@surface
def argsort(x: Any, axis: Any = -1, descending: bool = False, stable: bool = True, kind: Any = None) -> Expr:
    """The places (int64) of the elements of `x` along `axis` (None: flattened) from the least to the greatest.

    Equal elements keep their order, rising and falling; `stable` and `kind` are taken for NumPy's sake.

    >>> import numpy as np, pullback as pb
    >>> pb.compile(pb.argsort)(np.array([0.3, 0.1, 0.2]))
    array([1, 2, 0])
    """
    x, at = along(array(x), axis)
    _ordered("argsort", x)
    if descending:                                # of the reversed array, so that equal ones keep their order
        rising = argsort(flip(x, at), at)
        return scalar("subtract", x.shape[at] - 1, flip(rising, at))
    last = _swapped(x, at)
    return _swapped(routine("argsort", last)[0], at)


@surface
def sort(x: Any, axis: Any = -1, descending: bool = False, stable: bool = True, kind: Any = None) -> Expr:
    """The elements of `x` along `axis` (None: flattened) from the least to the greatest.

    >>> import numpy as np, pullback as pb
    >>> pb.compile(pb.sort)(np.array([0.3, 0.1, 0.2]))
    array([0.1, 0.2, 0.3])
    """
    x, at = along(array(x), axis)
    return FUNCTIONS["take_along_axis"](x, argsort(x, at, descending), at)


@surface
def partition(x: Any, kth: Any, axis: Any = -1) -> Expr:
    """`x` with its element of rank `kth` in place along `axis`, lesser ones before it: all of it sorted."""
    return sort(x, axis)


@surface
def argpartition(x: Any, kth: Any, axis: Any = -1) -> Expr:
    """The places of the elements of `partition`."""
    return argsort(x, axis)


@several(lambda *_, **__: 2)
@surface
def top_k(x: Any, k: Any) -> Any:
    """The `k` greatest elements along the last axis, falling, and their places: (values, places).

    Raises ShapeError where the axis is shorter.
    """
    x, k = array(x), integer(k, "k")
    if not x.shape or x.shape[-1] < k:
        raise ShapeError(f"top_k takes an array with a last axis of at least k={k} elements, not one of shape "
                         f"{show_shape(x.shape)}{where(x)}")
    order = FUNCTIONS["getitem"](argsort(x, -1, True), (..., slice(0, k)))
    return FUNCTIONS["take_along_axis"](x, order, -1), order


@surface
def lexsort(keys: Any, axis: Any = -1) -> Expr:
    """The places that sort by the last of `keys`, equal ones by the one before it, and so on."""
    parts = [array(k) for k in keys] if isinstance(keys, (tuple, list)) else [array(keys)[i] for i in range(len(keys))]
    take = FUNCTIONS["take_along_axis"]
    order = argsort(parts[0], axis)
    for part in parts[1:]:
        order = take(order, argsort(take(part, order, axis), axis), axis)
    return order


# ---- searching --------------------------------------------------------------------------------------------------
@surface
def searchsorted(x: Any, v: Any, side: str = "left", sorter: Any = None) -> Expr:
    """Where each of `v` belongs in `x`, a rising vector, so that it stays so: before equal elements, with `side`
    'right' after them. int64, of the shape of `v`. `sorter` are the places that sort `x`.

    >>> import numpy as np, pullback as pb
    >>> pb.compile(pb.searchsorted)(np.array([1.0, 2.0, 4.0]), np.array([2.0, 5.0]))
    array([1, 3])
    """
    x, v = array(x), array(v)
    if len(x.shape) != 1:
        raise ShapeError(f"searchsorted takes a vector to search in, not an array of shape {show_shape(x.shape)}"
                         f"{where(x)}")
    if side not in ("left", "right"):
        raise PullbackError(f"searchsorted has the sides 'left' and 'right', not {side!r}")
    x = x if sorter is None else FUNCTIONS["take"](x, sorter)
    common = np.result_type(_ordered("searchsorted", x).dtype, _ordered("searchsorted", v).dtype)
    flat = reshape(cast(v, common), (sizes.product(v.shape),))
    return reshape(routine("searchsorted", cast(x, common), flat, right=side == "right")[0], v.shape)


@surface
def digitize(x: Any, bins: Any, right: bool = False) -> Expr:
    """The number (int64) of the bin of each of `x`: i with bins[i-1] <= x < bins[i], for falling `bins` with
    bins[i-1] > x >= bins[i]; `right` puts the equal sign on the other side. `bins` is a monotonic vector."""
    x, bins = array(x), array(bins)
    rises = scalar("greater_equal", bins[-1], bins[0])
    places = searchsorted(scalar("where", rises, bins, flip(bins, 0)), x, "left" if right else "right")
    return scalar("where", rises, places, scalar("subtract", bins.shape[0], places))


@surface
def isin(x: Any, test: Any, *, assume_unique: bool = False, invert: bool = False) -> Expr:
    """Whether each of `x` is one of `test`: every pair is compared, and none is stored."""
    x, test = array(x), array(test)
    pairs = scalar("equal", reshape(x, (*x.shape, 1)), reshape(test, (sizes.product(test.shape),)))
    found = FUNCTIONS["any"](pairs, axis=-1)
    return scalar("logical_not", found) if invert else found


# ---- parts ------------------------------------------------------------------------------------------------------
def _swapped(x: Expr, axis: int) -> Expr:
    """`x` with `axis` and the last one exchanged."""
    return FUNCTIONS["swapaxes"](x, axis, -1)


def _ordered(name: str, x: Expr) -> Expr:
    if x.dtype.kind == "c":
        raise DTypeError(f"{name} takes real numbers, not {x.dtype}{where(x)}: complex numbers have no order; sort by "
                         "pb.abs(x) or pb.real(x)")
    return x
