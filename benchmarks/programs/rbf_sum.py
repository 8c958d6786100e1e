"""Sum of Gaussian bells around points."""

from __future__ import annotations

import numpy as np

from ..program import Bar

SECTION = "pairs"
SIZES, TINY = (20_000,), 7
WRT = (0, 1, 2, 3)
BARS = (Bar("value: jax", least=5.0), Bar("gradient: jax", least=5.0))
BLOCK = 64               # see nbody_forces


def inputs(size, draw):
    return [draw.standard_normal((size, 3)), draw.standard_normal((size, 3)), draw.standard_normal(size), np.array(0.5)]


def weights(arrays, draw):
    return [draw.standard_normal(len(arrays[0]))]


def program(xp, control, at, points, heights, width):
    apart = at[:, None, :] - points[None, :, :]
    return xp.sum(heights * xp.exp(-xp.sum(apart * apart, axis=2) / (2.0 * width * width)), axis=1)


def program_jax(xp, lax, at, points, heights, width):
    import jax

    row = jax.checkpoint(lambda x: program(xp, lax, x[None], points, heights, width)[0])
    return lax.map(row, at, batch_size=BLOCK)
