"""Logistic loss of 100 weights."""

from __future__ import annotations

import numpy as np

SECTION = "arrays"
SIZES, TINY = (20_000,), 23
WRT = (0,)
PEERS = ("jax", "numpy", "numba")


def inputs(size, draw):
    return [draw.standard_normal(100), draw.standard_normal((size, 100)), draw.standard_normal(size)]


def program(xp, control, w, x, t):
    return xp.mean(xp.logaddexp(0.0, -t * (x @ w)))


def gradient_numpy(w, x, t):
    margin = t * (x @ w)
    return np.mean(np.logaddexp(0.0, -margin)), (-t * np.exp(-np.logaddexp(0.0, margin))) @ x / len(x)
