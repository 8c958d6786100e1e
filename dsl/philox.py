"""Philox4x32-10: 128 random bits for each 128-bit counter and 64-bit key.

J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011. A bijection
of counters made of multiplications and exclusive ors, so every element is computed where it is used, from its index.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .node import Expr
from .primitives import cast, scalar
from .surface import constant

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)      # golden ratio, sqrt(3) - 1
_ROUNDS = 10
Words = tuple[Expr, Expr, Expr, Expr]


def philox4x32(counter: Words, key: tuple[Expr, Expr]) -> Words:
    """Four random words; `counter` and `key` are uint32 expressions that broadcast."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for turn in range(_ROUNDS):
        if turn:
            k0, k1 = scalar("add", k0, word(_WEYL[0])), scalar("add", k1, word(_WEYL[1]))
        high0, low0 = _product(c0, _MULTIPLIERS[0])
        high1, low1 = _product(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = _mixed(high1, c1, k0), low1, _mixed(high0, c3, k1), low0
    return c0, c1, c2, c3


def word(value: int) -> Expr:
    """A constant uint32."""
    return constant(np.uint32(value))


def words_of(value: Expr) -> tuple[Expr, Expr]:
    """The low and the high 32 bits of an integer, as uint32."""
    wide = cast(value, np.uint64)
    low = scalar("bitwise_and", wide, constant(np.uint64(0xFFFFFFFF)))
    return cast(low, np.uint32), cast(_shifted(wide), np.uint32)


def joined(low: Expr, high: Expr) -> Expr:
    """The uint64 of two uint32."""
    moved = scalar("bitwise_left_shift", cast(high, np.uint64), constant(np.uint64(32)))
    return scalar("bitwise_or", moved, cast(low, np.uint64))


def scaled(bits: tuple[Expr, Expr], count: Any) -> Expr:
    """floor(b * count / 2**64) of 64 random bits b = (low, high), for a uint64 `count` of at most 2**32."""
    low, high = (scalar("multiply", cast(b, np.uint64), count) for b in bits)
    return _shifted(scalar("add", high, _shifted(low)))


def _shifted(wide: Expr) -> Expr:
    return scalar("bitwise_right_shift", wide, constant(np.uint64(32)))


def _product(x: Expr, factor: int) -> tuple[Expr, Expr]:
    """The high and the low word of x * factor."""
    wide = scalar("multiply", cast(x, np.uint64), constant(np.uint64(factor)))
    return cast(_shifted(wide), np.uint32), scalar("multiply", x, word(factor))


def _mixed(a: Expr, b: Expr, c: Expr) -> Expr:
    return scalar("bitwise_xor", scalar("bitwise_xor", a, b), c)
