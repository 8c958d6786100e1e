"""Fourier transforms as library routines: types, derivatives in both modes, flops.

    fft(z; axes, inverse, norm)     complex to complex
    rfft(x; axes, norm)             real to the nonnegative frequencies of the last of `axes`
    irfft(z; n, axes, norm)         back to n real numbers along the last of `axes`

Operands have three core axes, of which `axes`, counted from the end, are transformed; `norm` is NumPy's.

A cotangent g of a complex value z stands for dz -> Re(g dz). The matrix of a transform is symmetric, so that of `fft`
is its own transpose. `rfft` leaves out frequencies that are conjugates of others: all but 0 and, for an even length,
the middle one count twice in `irfft`, and its transpose halves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .library import ROUTINES, Parts, Routine, Type, routine, static_of
from .node import Expr
from .primitives import conj, elementwise, full, iota, part_dtype
from .size import Dim
from .surface import size_value

_OTHER = {"backward": "forward", "forward": "backward", "ortho": "ortho"}     # the same factor the other way round
_DOUBLINGS = 16          # logarithm to base 2 that a size not known before the call is taken to have

Axes = tuple[int, ...]


def frequencies(n: Dim) -> Dim:
    """How many of n are not negative."""
    return n // 2 + 1


# ---- types ------------------------------------------------------------------------------------------------------
def _with_length(x: Expr, axis: int, length: Dim) -> tuple[Dim, ...]:
    core = list(x.shape[-3:])
    core[axis] = length
    return tuple(core)


def _fft_type(z: Expr, axes: Axes, inverse: bool, norm: str) -> list[Type]:
    return [(z.dtype, z.shape[-3:])]


def _rfft_type(x: Expr, axes: Axes, norm: str) -> list[Type]:
    return [(np.result_type(x.dtype, np.complex64), _with_length(x, axes[-1], frequencies(x.shape[axes[-1]])))]


def _irfft_type(z: Expr, n: Dim, axes: Axes, norm: str) -> list[Type]:
    return [(part_dtype(z.dtype), _with_length(z, axes[-1], n))]


def _flops(x: Expr, axes: Axes, **static: Any) -> Dim:
    """5 n log2(n), as is usual."""
    count = sizes.product(x.shape[-3:])
    doublings = sum(round(log2(max(n, 1))) if isinstance(n := x.shape[a], int) else _DOUBLINGS for a in axes)
    return 5 * doublings * count


# ---- derivatives ------------------------------------------------------------------------------------------------
def _forward(node: Expr, tangents: Sequence[Expr | None]) -> Parts:
    tangent, = tangents
    return [None] if tangent is None else list(routine(node.attrs[0], tangent, **static_of(node)))


def _fft_reverse(node: Expr, cotangents: Sequence[Expr | None]) -> Parts:
    return _forward(node, cotangents)


def _rfft_reverse(node: Expr, cotangents: Sequence[Expr | None]) -> Parts:
    g, = cotangents
    if g is None:
        return [None]
    axes, norm = static_of(node)["axes"], static_of(node)["norm"]
    n = node.args[0].shape[axes[-1]]
    halved = elementwise("multiply", conj(g), _repeats(g, axes[-1], n, 0.5))
    return list(routine("irfft", halved, n=n, axes=axes, norm=_OTHER[norm]))


def _irfft_reverse(node: Expr, cotangents: Sequence[Expr | None]) -> Parts:
    g, = cotangents
    if g is None:
        return [None]
    axes, norm, n = (static_of(node)[key] for key in ("axes", "norm", "n"))
    found, = routine("rfft", g, axes=axes, norm=_OTHER[norm])
    return [elementwise("multiply", conj(found), _repeats(found, axes[-1], n, 2.0))]


def _repeats(like: Expr, axis: int, n: Dim, factor: float) -> Expr:
    """`factor`, but 1 at the frequencies along `axis` that have no conjugate among n: 0 and the middle of an even n."""
    dims = len(like.shape) + axis
    place = iota((like.shape[axis],), 0)
    double = elementwise("add", place, place)
    single = elementwise("logical_or", elementwise("equal", place, full(place.shape, 0, np.int64)),
                         elementwise("equal", double, primitives.broadcast(size_value(n), (), place.shape)))
    dtype = part_dtype(like.dtype)
    factors = elementwise("where", single, full(place.shape, 1, dtype), full(place.shape, factor, dtype))
    return primitives.cast(primitives.broadcast(factors, (dims,), like.shape), like.dtype)


ROUTINES.update({
    "fft": Routine((3,), _fft_type, _forward, _fft_reverse, _flops),
    "rfft": Routine((3,), _rfft_type, _forward, _rfft_reverse, _flops, analytic=False),
    "irfft": Routine((3,), _irfft_type, _forward, _irfft_reverse, _flops, analytic=False),
})
