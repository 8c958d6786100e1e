"""x/2 (1 + erf(x/sqrt 2))."""

from __future__ import annotations

import math

from ..program import Bar

SECTION = "elementwise"
SIZES, TINY = (10_000_000,), 1003
DTYPES = ("float64", "float32")
WRT = (0,)
PEERS = ("jax", "numpy", "numba", "c", "copy")
BARS = (Bar("value: jax", least=2.5), Bar("floor", most=1.3), Bar("gradient / value", most=4.0))


def inputs(size, draw):
    return [draw.standard_normal(size)]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[0].shape)]


def program(xp, control, x):
    return 0.5 * x * (1.0 + xp.erf(x * math.sqrt(0.5)))


def program_jax(xp, control, x):
    from jax.scipy.special import erf

    return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))


def value_numpy(x):
    from scipy.special import erf

    return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))
