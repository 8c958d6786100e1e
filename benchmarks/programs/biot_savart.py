"""Velocity that vortex elements induce at each other's places, by the law of Biot and Savart."""

from __future__ import annotations

import numpy as np

from ..program import Bar

SECTION = "pairs"
SIZES, TINY = (20_000,), 7
WRT = (0, 1, 2)
BARS = (Bar("value: jax", least=5.0), Bar("gradient: jax", least=5.0))
BLOCK = 64               # see nbody_forces


def inputs(size, draw):
    return [draw.standard_normal((size, 3)), draw.standard_normal((size, 3)), draw.standard_normal((size, 3))]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[0].shape)]


def program(xp, control, at, places, strengths):
    """The sum over elements of strength x distance / |distance|^3, softened."""
    x, y, z = (at[:, None, k] - places[None, :, k] for k in range(3))
    u, v, w = (strengths[None, :, k] for k in range(3))
    share = (x * x + y * y + z * z + 0.01) ** -1.5 / (4 * np.pi)
    parts = v * z - w * y, w * x - u * z, u * y - v * x
    return xp.stack([xp.sum(share * part, axis=1) for part in parts], axis=1)


def program_jax(xp, lax, at, places, strengths):
    import jax

    row = jax.checkpoint(lambda x: program(xp, lax, x[None], places, strengths)[0])
    return lax.map(row, at, batch_size=BLOCK)
