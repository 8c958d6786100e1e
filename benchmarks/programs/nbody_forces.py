"""Gravity between all pairs of bodies, softened."""

from __future__ import annotations

from ..program import Bar

SECTION = "pairs"
SIZES, TINY = (20_000,), 7
WRT = (0, 1)
BARS = (Bar("value: jax", least=5.0), Bar("gradient: jax", least=5.0))
BLOCK = 64               # rows that JAX takes at once: all pairs as arrays take gigabytes, and other blocks longer


def inputs(size, draw):
    return [draw.standard_normal((size, 3)), draw.uniform(0.5, 1.0, size)]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[0].shape)]


def forces(xp, at, places, masses):
    """The pull of all bodies on those `at` some places."""
    apart = places[None, :, :] - at[:, None, :]
    pull = masses * (xp.sum(apart * apart, axis=2) + 0.01) ** -1.5
    return xp.sum(pull[:, :, None] * apart, axis=1)


def program(xp, control, places, masses):
    return forces(xp, places, places, masses)


def program_jax(xp, lax, places, masses):
    import jax

    row = jax.checkpoint(lambda at: forces(xp, at[None], places, masses)[0])
    return lax.map(row, places, batch_size=BLOCK)
