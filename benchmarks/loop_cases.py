"""Programs that step in time, a row each; one text serves pullback and JAX, which share the names of control flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .stencil_cases import STENCIL_CASES


class LoopCase(NamedTuple):
    """`program(xp, control, *arrays)` gives a scalar; its gradient is taken in all `arrays`, which `make(rng)` draws.

    `steps`: turns of its loop, for a time per turn.
    """

    name: str
    title: str
    steps: int
    make: Callable[[np.random.Generator], list[np.ndarray]]
    program: Callable


def runge_kutta(field: Callable, y: tuple, h: float) -> tuple:
    """One classical step of order 4 of a tuple of arrays."""

    def moved(slopes: tuple, by: float) -> tuple:
        return tuple(a + by * s for a, s in zip(y, slopes, strict=True))

    k1 = field(y)
    k2 = field(moved(k1, h / 2))
    k3 = field(moved(k2, h / 2))
    k4 = field(moved(k3, h))
    return tuple(a + h / 6 * (p + 2 * q + 2 * r + s) for a, p, q, r, s in zip(y, k1, k2, k3, k4, strict=True))


def lotka_volterra(xp, control, y, rates):
    """An ensemble: a column of state and rates for each member."""
    a, b, c, d = (rates[k] for k in range(4))

    def field(state):
        u, v = state
        return a * u - b * u * v, d * u * v - c * v

    u, v = control.fori_loop(0, 1000, lambda i, s: runge_kutta(field, s, 0.05), (y[0], y[1]))
    return xp.sum(u * u) + xp.sum(v)


def recursion(xp, control, x, r):
    """The logistic map, a million turns of a few operations on one number."""
    last, _ = control.scan(lambda c, _: (r * c * (1.0 - c), None), x, None, length=1_000_000)
    return last


def ensemble(rng: np.random.Generator) -> list[np.ndarray]:
    members = 10_000
    low, high = np.array([1.0, 0.3, 0.6, 0.2]), np.array([1.6, 0.6, 1.0, 0.4])
    return [rng.uniform(0.5, 2, (2, members)), rng.uniform(low, high, (members, 4)).T.copy()]


LOOP_CASES = (
    LoopCase("lotka_volterra", "Lotka-Volterra, 10,000 members, 1,000 Runge-Kutta steps", 1000, ensemble,
             lotka_volterra),
    LoopCase("recursion", "logistic map, one number, 1,000,000 steps", 1_000_000,
             lambda rng: [np.array(0.3), np.array(2.9)], recursion),
    *(LoopCase(*row) for row in STENCIL_CASES),
)
