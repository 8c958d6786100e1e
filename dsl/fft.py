"""`pb.fft`: discrete Fourier transforms with NumPy's names and arguments, in single and double precision.

Integers are computed as float64; float32 and complex64 stay single. `norm` is 'backward' (the default: the inverse is
divided by n), 'ortho' or 'forward'. The axes that are not transformed are a batch. Transforms are linear and have
derivatives of every order in both modes; lengths `n` and `s` crop an axis or fill it up with zeros first. Raises
ShapeError for an axis without elements, a length below 1, an axis that does not exist or is named twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import fft_rules, primitives
from . import size as sizes
from .arguments import all_axes, array, at_most, dimension, entries, one_axis
from .errors import DTypeError, ShapeError
from .library import routine
from .neighbours import roll
from .node import Expr
from .primitives import cast, reshape, scalar, show_shape
from .size import Dim
from .surface import surface

_NORMS = ("backward", "ortho", "forward")


# ---- one axis ---------------------------------------------------------------------------------------------------
@surface
def fft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Expr:
    """X[k] = sum_j a[j] exp(-2 pi i j k / n) along `axis`, complex.

    >>> import numpy as np, pullback as pb
    >>> pb.compile(pb.fft.fft)(np.array([1.0, 0.0, -1.0, 0.0]))
    array([0.+0.j, 2.+0.j, 0.+0.j, 2.+0.j])
    """
    return _transformed(_complex(a), [n], [axis], norm, inverse=False)


@surface
def ifft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Expr:
    """The inverse of `fft`: (1/n) sum_k a[k] exp(2 pi i j k / n) along `axis`."""
    return _transformed(_complex(a), [n], [axis], norm, inverse=True)


@surface
def rfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Expr:
    """The n//2 + 1 frequencies of `fft` that are not negative, of a real array.

    Raises DTypeError for a complex array.
    """
    return _transformed_real(_real(a, "rfft"), [n], [axis], norm)


@surface
def irfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Expr:
    """The inverse of `rfft`, real, of `n` elements (default 2*(m - 1) for m along `axis`; name an odd `n`)."""
    return _transformed_back(_complex(a), [n], [axis], norm)


# ---- several axes -----------------------------------------------------------------------------------------------
@surface
def fftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Expr:
    """`fft` along each of `axes` (default all), with lengths `s`."""
    x = _complex(a)
    return _transformed(x, *_lengths(x, s, axes), norm, inverse=False)


@surface
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Expr:
    """The inverse of `fftn`."""
    x = _complex(a)
    return _transformed(x, *_lengths(x, s, axes), norm, inverse=True)


@surface
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Expr:
    """`rfft` along the last of `axes` (default all) and `fft` along the others, of a real array."""
    x = _real(a, "rfftn")
    return _transformed_real(x, *_lengths(x, s, axes), norm)


@surface
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Expr:
    """The inverse of `rfftn`, real; the last length of `s` is that of the result (default 2*(m - 1))."""
    x = _complex(a)
    return _transformed_back(x, *_lengths(x, s, axes), norm)


@surface
def fft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Expr:
    """`fftn` along two axes, the last ones by default."""
    x = _complex(a)
    return _transformed(x, *_lengths(x, s, axes), norm, inverse=False)


@surface
def ifft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Expr:
    """The inverse of `fft2`."""
    x = _complex(a)
    return _transformed(x, *_lengths(x, s, axes), norm, inverse=True)


@surface
def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Expr:
    """`rfftn` along two axes, the last ones by default."""
    x = _real(a, "rfft2")
    return _transformed_real(x, *_lengths(x, s, axes), norm)


@surface
def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Expr:
    """The inverse of `rfft2`, real."""
    x = _complex(a)
    return _transformed_back(x, *_lengths(x, s, axes), norm)


# ---- frequencies ------------------------------------------------------------------------------------------------
@surface
def fftfreq(n: Any, d: Any = 1.0) -> Expr:
    """The frequencies of `fft` of n samples at distance `d`: 0, 1, ..., -2, -1 over n*d.

    >>> import pullback as pb
    >>> pb.fft.fftfreq(4, 0.5).eval()
    array([ 0. ,  0.5, -1. , -0.5])
    """
    count = _count(n, "n")
    place = primitives.iota((count,), 0)
    signed = scalar("where", scalar("less", place, (count - 1) // 2 + 1), place, scalar("subtract", place, count))
    return scalar("multiply", signed, scalar("divide", 1.0, scalar("multiply", count, d)))


@surface
def rfftfreq(n: Any, d: Any = 1.0) -> Expr:
    """The frequencies of `rfft` of n samples at distance `d`: 0, 1, ..., n//2 over n*d."""
    count = _count(n, "n")
    place = primitives.iota((fft_rules.frequencies(count),), 0)
    return scalar("multiply", place, scalar("divide", 1.0, scalar("multiply", count, d)))


@surface
def fftshift(x: Any, axes: Any = None) -> Expr:
    """`x` with frequency 0 moved to the middle of each of `axes` (default all)."""
    x = array(x)
    for axis in all_axes(axes, len(x.shape)):
        x = roll(x, x.shape[axis] // 2, axis)
    return x


@surface
def ifftshift(x: Any, axes: Any = None) -> Expr:
    """The inverse of `fftshift`."""
    x = array(x)
    for axis in all_axes(axes, len(x.shape)):
        x = roll(x, -(x.shape[axis] // 2), axis)
    return x


# ---- how they are computed --------------------------------------------------------------------------------------
def _complex(a: Any) -> Expr:
    x = array(a)
    return x if x.dtype.kind == "c" else cast(x, np.complex64 if x.dtype == np.float32 else np.complex128)


def _real(a: Any, name: str) -> Expr:
    x = array(a)
    if x.dtype.kind == "c":
        raise DTypeError(f"{name} takes real arrays, not {x.dtype}: use {name[1:]}, or take pb.real(z)")
    return x if x.dtype.kind == "f" else cast(x, np.float64)


def _lengths(x: Expr, s: Any, axes: Any) -> tuple[list[Any], list[Any]]:
    """A length, or None, for each axis."""
    given = None if s is None else entries(s)
    if axes is None:
        count = len(x.shape) if given is None else len(given)
        axes = range(-count, 0)
    chosen = entries(tuple(axes)) if isinstance(axes, range) else entries(axes)
    if given is None:
        return [None] * len(chosen), chosen
    if len(given) != len(chosen):
        raise ShapeError(f"s has {len(given)} lengths for {len(chosen)} axes: give one length for each axis")
    return [None if isinstance(n, int) and n == -1 else n for n in given], chosen


def _count(n: Any, what: str) -> Dim:
    length = dimension(n, what)
    if not at_most(1, length):
        raise ShapeError(f"{what} is {sizes.show(length)}: a Fourier transform takes at least 1 element")
    return length


def _checked(x: Expr, axes: Sequence[Any], norm: Any) -> tuple[list[int], str]:
    """Axes from the front, and the norm."""
    norm = "backward" if norm is None else norm
    if norm not in _NORMS:
        raise ShapeError(f"norm is {', '.join(map(repr, _NORMS))} or None, not {norm!r}")
    found = [one_axis(axis, len(x.shape)) for axis in axes]
    if len(set(found)) < len(found):
        raise ShapeError(f"axes {tuple(axes)} name an axis twice: transform one after the other")
    return found, norm


def _resized(x: Expr, axis: int, length: Any) -> Expr:
    """`x` cropped along `axis`, or filled up with zeros."""
    _count(x.shape[axis], f"the size of axis {axis} of {show_shape(x.shape)}")
    if length is None:
        return x
    wanted = _count(length, "a length")
    if sizes.equal(wanted, x.shape[axis]):
        return x
    shape = tuple(wanted if i == axis else d for i, d in enumerate(x.shape))
    start = ((0, 1),) * len(shape)
    return primitives.slice_(x, start, shape) if at_most(wanted, x.shape[axis]) else primitives.place(x, start, shape)


def _transformed(x: Expr, lengths: Sequence[Any], axes: Sequence[Any], norm: Any, inverse: bool) -> Expr:
    places, norm = _checked(x, axes, norm)
    for axis, length in zip(places, lengths, strict=True):
        x = _resized(x, axis, length)
    for run in _runs(places, len(x.shape)):
        x = _run("fft", x, run, x.shape, inverse=inverse, norm=norm)
    return x


def _transformed_real(x: Expr, lengths: Sequence[Any], axes: Sequence[Any], norm: Any) -> Expr:
    places, norm = _checked(x, axes, norm)
    if not places:
        raise ShapeError("a transform of real numbers needs an axis: name one in axes=")
    for axis, length in zip(places, lengths, strict=True):
        x = _resized(x, axis, length)
    last = places[-1]
    shape = tuple(fft_rules.frequencies(d) if i == last else d for i, d in enumerate(x.shape))
    if len(_runs(places, len(x.shape))) == 1:
        return _run("rfft", x, places, shape, norm=norm)
    x = _run("rfft", x, [last], shape, norm=norm)
    return _transformed(x, [None] * (len(places) - 1), places[:-1], norm, inverse=False)


def _transformed_back(x: Expr, lengths: Sequence[Any], axes: Sequence[Any], norm: Any) -> Expr:
    places, norm = _checked(x, axes, norm)
    if not places:
        raise ShapeError("a transform to real numbers needs an axis: name one in axes=")
    last, n = places[-1], lengths[-1]
    n = _count((x.shape[last] - 1) * 2 if n is None else n, "the length of the result")
    x = _resized(x, last, fft_rules.frequencies(n))
    for axis, length in zip(places[:-1], lengths[:-1], strict=True):
        x = _resized(x, axis, length)
    run = places
    if len(_runs(places, len(x.shape))) > 1:
        x = _transformed(x, [None] * (len(places) - 1), places[:-1], norm, inverse=True)
        run = [last]
    return _run("irfft", x, run, tuple(n if i == last else d for i, d in enumerate(x.shape)), n=n, norm=norm)


def _runs(places: list[int], rank: int) -> list[list[int]]:
    """`places` as axes that are transformed together: all, where they are neighbours in order, else one by one."""
    together = places == list(range(places[0], places[0] + len(places))) if places else True
    most = 3 if places and places[-1] == rank - 1 else 2
    return [places] if places and together and len(places) <= most else [[p] for p in places]


def _run(name: str, x: Expr, run: list[int], shape: tuple[Dim, ...], **static: Any) -> Expr:
    """The routine along neighbouring axes. It sees three axes: those, and what is behind them as one."""
    first, last = run[0], run[-1]
    behind = () if len(run) == 3 else (sizes.product(x.shape[last + 1:]),)
    ones = (1,) * (3 - len(run) - len(behind))
    core = (*x.shape[:first], *ones, *x.shape[first: last + 1], *behind)
    axes = tuple(range(-len(run) - len(behind), -len(behind))) if behind else (-3, -2, -1)
    found, = routine(name, reshape(x, core), axes=axes, **static)
    return reshape(found, shape)
