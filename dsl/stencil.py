"""Neighbours at an offset, with the five boundaries of scipy.ndimage, and weighted sums of them.

A shifted array is a slice beside a border, so it is read where it is used and nothing is stored; so is its adjoint.

    boundary    what lies beyond the ends of a b c d
    wrap        a b c d | a b c d | a b c d
    reflect     d c b a | a b c d | d c b a
    mirror        d c b | a b c d | c b a
    nearest     a a a a | a b c d | d d d d
    constant    v v v v | a b c d | v v v v        v: `value`
"""

from __future__ import annotations

from typing import Any

from . import primitives
from .arguments import array, at_most, entries, integer, one_axis
from .errors import ShapeError
from .joining import part
from .node import Expr
from .primitives import cast, scalar, show_shape
from .surface import surface

BOUNDARIES = ("wrap", "reflect", "mirror", "nearest", "constant")


@surface
def shift(u: Any, offset: Any, axis: Any = -1, boundary: Any = "wrap", value: Any = 0) -> Expr:
    """The neighbour of every element of `u` at `offset` along `axis`: `result[i] = u[i + offset]`, of u's shape.

    `offset` and `axis` are integers, or tuples of them, one for each axis. `boundary` says what lies beyond the ends:
    'wrap', 'reflect', 'mirror', 'nearest' or 'constant' (with `value`, in u's dtype); a tuple has one for each axis,
    and each may be a pair (before the first element, after the last). With a single `axis`, a tuple is that pair.

    Raises ShapeError for an unknown boundary or a tuple of another length.

    >>> import numpy as np, pullback as pb
    >>> pb.compile(lambda u: pb.shift(u, 1, 0, 'nearest') - u)(np.array([1.0, 4.0, 9.0]))
    array([3., 5., 0.])
    """
    u = array(u)
    offsets, axes = entries(offset), [one_axis(a, len(u.shape)) for a in entries(axis)]
    if len(offsets) != len(axes):
        raise ShapeError(f"shift takes one offset for each axis, not {len(offsets)} for {len(axes)}: "
                         "write shift(u, (1, -1), axis=(0, 1))")
    ends = _ends(boundary, isinstance(axis, (tuple, list)), len(axes))
    fill = cast(array(value), u.dtype)
    if fill.shape:
        raise ShapeError(f"the value beyond a constant boundary is one number, not of shape {show_shape(fill.shape)}")
    for k, at, (before, after) in zip(offsets, axes, ends, strict=True):
        by = integer(k, "offset")
        u = _shifted(u, at, by, after if by > 0 else before, fill)
    return u


@surface
def stencil(u: Any, weights: Any, axes: Any = None, boundary: Any = "wrap", value: Any = 0) -> Expr:
    """The sum of the neighbours of every element of `u` by their weights, of u's shape.

    `weights` maps an offset, an integer or one for each of `axes` (default: the last axes of `u`), to its weight, a
    number or an array that broadcasts against `u`; `boundary` and `value` as for `shift`, one entry for each axis.

    >>> import numpy as np, pullback as pb
    >>> laplacian = {-1: 1.0, 0: -2.0, 1: 1.0}
    >>> pb.compile(lambda u: pb.stencil(u, laplacian, boundary='mirror'))(np.array([1.0, 4.0, 9.0]))
    array([  6.,   2., -10.])
    """
    u = array(u)
    if not isinstance(weights, dict) or not weights:
        raise ShapeError("the weights of a stencil are a dict from offsets, such as -1 or (0, 1), to numbers")
    offsets = [entries(k) for k in weights]
    rank = len(offsets[0])
    along = list(range(-rank, 0)) if axes is None else entries(axes)
    if any(len(k) != len(along) for k in offsets):
        raise ShapeError(f"every offset of a stencil over {len(along)} axes has {len(along)} integers: "
                         f"{', '.join(map(str, weights))}")
    ends = tuple(_ends(boundary, rank > 1 or isinstance(axes, (tuple, list)), rank))
    terms = [scalar("multiply", shift(u, tuple(k), tuple(along), ends, value), w)
             for k, w in zip(offsets, weights.values(), strict=True)]
    total = terms[0]
    for term in terms[1:]:
        total = scalar("add", total, term)
    return total


def _ends(boundary: Any, several: bool, rank: int) -> list[tuple[str, str]]:
    """The names of the boundaries before and after each axis."""
    given = [boundary] * rank if isinstance(boundary, str) or not several else list(boundary)
    pairs = [(b, b) if isinstance(b, str) else tuple(b) for b in given]
    if len(pairs) != rank or any(len(p) != 2 for p in pairs):
        raise ShapeError(f"boundary is a name, or for each of {rank} axes a name or a pair of names, not {boundary!r}")
    for name in (name for pair in pairs for name in pair):
        if name not in BOUNDARIES:
            raise ShapeError(f"there is no boundary {name!r}: write {', '.join(map(repr, BOUNDARIES))}")
    return pairs


def _shifted(u: Expr, axis: int, by: int, boundary: str, fill: Expr) -> Expr:
    n, reach = u.shape[axis], abs(by)
    if by == 0 or isinstance(n, int) and n == 0:
        return u
    if not at_most(reach, n - 1 if boundary == "mirror" else n):
        return _far(u, axis, by, boundary, fill)
    inside = part(u, axis, max(by, 0), n - reach)
    shape = tuple(reach if i == axis else d for i, d in enumerate(u.shape))
    if boundary == "constant":
        border = primitives.broadcast_to(fill, shape)
    elif boundary == "nearest":
        border = primitives.broadcast_to(part(u, axis, n - 1 if by > 0 else 0, 1), shape)
    elif boundary == "wrap":
        border = part(u, axis, 0 if by > 0 else n - reach, reach)
    else:
        skip = 1 if boundary == "mirror" else 0
        border = part(u, axis, n - 1 - skip if by > 0 else reach - 1 + skip, reach, -1)
    return primitives.concat([inside, border] if by > 0 else [border, inside], axis)


def _far(u: Expr, axis: int, by: int, boundary: str, fill: Expr) -> Expr:
    """An offset beyond the array: indices run through the continuation."""
    n = u.shape[axis]
    if boundary == "constant":
        return primitives.broadcast_to(fill, u.shape)
    places = scalar("add", primitives.iota((n,), 0), by)
    if boundary == "nearest" or at_most(n, 1):
        places = scalar("clip", places, 0, n - 1)
    elif boundary == "wrap":
        places = scalar("remainder", places, n)
    else:
        period = 2 * n if boundary == "reflect" else 2 * n - 2
        places = scalar("remainder", places, period)
        mirrored = period - (1 if boundary == "reflect" else 0)
        places = scalar("minimum", places, scalar("subtract", mirrored, places))
    found = primitives.gather(u, [places], (axis,))
    return primitives.transpose(found, (*range(1, axis + 1), 0, *range(axis + 1, len(u.shape))))
