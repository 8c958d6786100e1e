"""Random arrays from keys: the same key gives the same numbers, on every target and in any number of threads.

A key is a uint32 array of two words. Element i of an array is a function of the key and of i alone (see `philox`), so
nothing is stored: the numbers are computed inside the kernel that uses them, and again by its derivative. Use a key
once; make more by `split` and `fold_in`. `shape` may contain symbolic sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .arguments import array, dimension, element_type, integer, one_axis, shape_of
from .errors import DTypeError, ShapeError
from .node import FUNCTIONS, Expr
from .philox import Words, joined, philox4x32, scaled, word, words_of
from .primitives import cast, scalar, show_shape
from .surface import surface

_DRAW, _SPLIT, _FOLD = 0, 1, 2        # the last word of the counter: what a key is used for


def _public(function: Callable[..., Any]) -> Callable[..., Any]:
    """Register `function` beside the array functions as random_NAME; it keeps its own name here."""
    name = function.__name__
    function.__name__ = f"random_{name}"
    call = surface(function)
    call.__name__ = call.__qualname__ = name
    return call


# ---- keys -------------------------------------------------------------------------------------------------------
@_public
def key(seed: Any) -> Expr:
    """The key of an integer seed (its low 64 bits).

    >>> import numpy as np, pullback as pb
    >>> np.asarray(pb.random.key(7))
    array([7, 0], dtype=uint32)
    """
    if isinstance(seed, int):
        seed = np.uint64(seed % 2**64)
    return _as_key(words_of(_one_integer(seed, "seed")))


@_public
def split(key: Any, n: Any = 2) -> Expr:
    """`n` new keys, as rows: independent of each other, of `key`'s numbers and of what fold_in makes of it."""
    count = dimension(n, "n")
    low, high = words_of(primitives.iota((count,), 0))
    w0, w1, _, _ = philox4x32((low, high, word(0), word(_SPLIT)), _words(key))
    return FUNCTIONS["stack"]([w0, w1], axis=1)


@_public
def fold_in(key: Any, data: Any) -> Expr:
    """A new key from `key` and an integer, such as the number of a step: `fold_in(key, i)` in a loop over i."""
    if isinstance(data, int):
        data = np.uint64(data % 2**64)
    low, high = words_of(_one_integer(data, "data"))
    w0, w1, _, _ = philox4x32((low, high, word(0), word(_FOLD)), _words(key))
    return _as_key((w0, w1))


def _as_key(words: tuple[Expr, Expr]) -> Expr:
    return primitives.concat([primitives.reshape(w, (1,)) for w in words], 0)


def _one_integer(value: Any, what: str) -> Expr:
    found = array(value)
    if found.shape or found.dtype.kind not in "iu":
        raise DTypeError(f"{what} is one integer, not {found.dtype} of shape {show_shape(found.shape)}")
    return found


def _words(key: Any) -> tuple[Expr, Expr]:
    found = array(key)
    if found.dtype != np.uint32 or len(found.shape) != 1 or not sizes.equal(found.shape[0], 2):
        raise DTypeError(f"a key is a uint32 array of 2 words, not {found.dtype} of shape {show_shape(found.shape)}: "
                         "make one with pb.random.key(seed), and take a row of what split returns")
    first, second = (primitives.reshape(primitives.slice_(found, ((k, 1),), (1,)), ()) for k in (0, 1))
    return first, second


# ---- bits -------------------------------------------------------------------------------------------------------
def _draw(key: Any, shape: tuple) -> Words:
    """Four words for every element of `shape`, whose row-major index is the counter."""
    place: Any = None
    stride: Any = 1
    for axis in reversed(range(len(shape))):
        step = primitives.iota(shape, axis)
        step = step if isinstance(stride, int) and stride == 1 else scalar("multiply", step, stride)
        place = step if place is None else scalar("add", place, step)
        stride = stride * shape[axis]
    low, high = words_of(array(0) if place is None else place)
    if isinstance(stride, int) and stride <= 2**32:
        high = word(0)
    return philox4x32((low, high, word(0), word(_DRAW)), _words(key))


def _unit(words: tuple[Expr, Expr], dtype: np.dtype) -> Expr:
    """A multiple of 2**-53 (float32: 2**-24) in [0, 1)."""
    if dtype == np.float32:
        return scalar("multiply", cast(scalar("bitwise_right_shift", words[0], word(8)), dtype), 2.0**-24)
    bits53 = scalar("bitwise_right_shift", joined(*words), primitives.full((), 11, np.uint64))
    return scalar("multiply", cast(bits53, dtype), 2.0**-53)


def _float_type(dtype: Any) -> np.dtype:
    found = element_type(dtype)
    if found.kind != "f":
        raise DTypeError(f"random numbers of dtype {found} are made by pb.random.randint or bits: give a float dtype")
    return found


@_public
def bits(key: Any, shape: Any = (), dtype: Any = np.uint32) -> Expr:
    """Random integers over the whole range of `dtype`, uint32 or uint64."""
    found = np.dtype(dtype)
    if found not in (np.uint32, np.uint64):
        raise DTypeError(f"random bits come as uint32 or uint64, not {found}: cast them afterwards")
    w0, w1, _, _ = _draw(key, shape_of(shape))
    return w0 if found == np.uint32 else joined(w0, w1)


# ---- distributions ----------------------------------------------------------------------------------------------
@_public
def uniform(key: Any, shape: Any = (), dtype: Any = np.float64, minval: Any = 0.0, maxval: Any = 1.0) -> Expr:
    """Numbers in [minval, maxval), which may be expressions that broadcast to `shape`.

    >>> import pullback as pb
    >>> pb.random.uniform(pb.random.key(0), (2, 3)).shape
    (2, 3)
    """
    kind, dims = _float_type(dtype), shape_of(shape)
    unit = _unit(_draw(key, dims)[:2], kind)
    if all(isinstance(v, (int, float)) for v in (minval, maxval)) and (minval, maxval) == (0, 1):
        return unit
    low, high = (primitives.broadcast_to(cast(array(v), kind), dims) for v in (minval, maxval))
    return scalar("add", scalar("multiply", unit, scalar("subtract", high, low)), low)


@_public
def normal(key: Any, shape: Any = (), dtype: Any = np.float64) -> Expr:
    """Numbers of the standard normal distribution, by the transform of Box and Muller."""
    kind = _float_type(dtype)
    w0, w1, w2, w3 = _draw(key, shape_of(shape))
    first, second = ((w0, w1), (w2, w3)) if kind == np.float64 else ((w0, w0), (w1, w1))
    radius = scalar("sqrt", scalar("multiply", scalar("log1p", scalar("negative", _unit(first, kind))), -2.0))
    return scalar("multiply", radius, scalar("cos", scalar("multiply", _unit(second, kind), 2 * math.pi)))


@_public
def exponential(key: Any, shape: Any = (), dtype: Any = np.float64) -> Expr:
    """Numbers of the exponential distribution of mean 1."""
    kind = _float_type(dtype)
    unit = _unit(_draw(key, shape_of(shape))[:2], kind)
    return scalar("negative", scalar("log1p", scalar("negative", unit)))


@_public
def gumbel(key: Any, shape: Any = (), dtype: Any = np.float64) -> Expr:
    """Numbers of the standard Gumbel distribution, -log(exponential); never infinite."""
    kind = _float_type(dtype)
    half = 2.0**-25 if kind == np.float32 else 2.0**-54
    unit = scalar("add", _unit(_draw(key, shape_of(shape))[:2], kind), half)
    return scalar("negative", scalar("log", scalar("negative", scalar("log", unit))))


@_public
def bernoulli(key: Any, p: Any = 0.5, shape: Any = None) -> Expr:
    """True with probability `p`, a number or an array, of p's shape unless another is given that it broadcasts to."""
    chance = array(p)
    dims = chance.shape if shape is None else shape_of(shape)
    kind = chance.dtype if chance.dtype.kind == "f" else np.dtype(np.float64)
    return scalar("less", _unit(_draw(key, dims)[:2], kind), primitives.broadcast_to(cast(chance, kind), dims))


@_public
def randint(key: Any, shape: Any, minval: Any, maxval: Any, dtype: Any = np.int64) -> Expr:
    """Integers from `minval` to `maxval` - 1, Python integers of the range of int64, as equally likely as 64 random
    bits allow.
    """
    kind = element_type(dtype)
    low, high = integer(minval, "minval"), integer(maxval, "maxval")
    count = high - low
    if kind.kind not in "iu" or not (np.iinfo(kind).min <= low < high <= np.iinfo(kind).max + 1):
        raise DTypeError(f"randint needs minval < maxval that fit {kind}, not {low} and {high}")
    w0, w1, _, _ = _draw(key, shape_of(shape))
    whole = primitives.full((), min(count, 2**64 - 1), np.uint64)
    if count <= 2**32:
        place = scaled((w0, w1), whole)
    elif count < 2**64:
        place = scalar("remainder", joined(w0, w1), whole)
    else:
        place = joined(w0, w1)
    wide = np.dtype(np.uint64 if kind == np.uint64 else np.int64)
    return cast(scalar("add", cast(place, wide), primitives.full((), low, wide)), kind)


@_public
def categorical(key: Any, logits: Any, axis: Any = -1) -> Expr:
    """Indices along `axis` with probabilities softmax(logits), by the largest of logits plus Gumbel numbers."""
    found = array(logits)
    found = found if found.dtype.kind == "f" else cast(found, np.float64)
    if not found.shape:
        raise ShapeError("categorical needs logits with at least one axis")
    noisy = scalar("add", found, gumbel(key, found.shape, found.dtype))
    return FUNCTIONS["argmax"](noisy, axis=one_axis(axis, len(found.shape)))
