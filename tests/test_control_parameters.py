"""Arrays from outside a loop of which a turn reads slices: the way back adds to slices, and gradients are right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.codegen.memory import touched
from pullback.codegen.program import Loop

rng = np.random.default_rng(5)


def decay(p: Any, x: Any, keep: Any = "all") -> Any:
    """Ten turns that read four rows of `p`, in a loop of three."""

    def turn(i: Any, y: Any) -> Any:
        y = y + 0.1 * (p[0] * pb.sin(y) - p[1] * y * y)
        return pb.fori_loop(0, 2, lambda j, z: z * p[2] + 0.01 * p[3], y)

    return pb.sum(pb.fori_loop(0, 10, turn, x, checkpoint=keep) ** 2)


@pytest.mark.parametrize("keep", ["all", "none", "sqrt", 4])
def test_gradients_with_respect_to_rows(keep: Any) -> None:
    p, x, v = rng.random((5, 7)), rng.random(7), rng.normal(size=(5, 7))
    f = pb.compile(lambda p, x: pb.value_and_grad(lambda p: decay(p, x, keep))(p))
    slope = f(p, x)[1]
    h = 1e-6
    np.testing.assert_allclose(np.sum(slope * v), (f(p + h * v, x)[0] - f(p - h * v, x)[0]) / (2 * h), rtol=1e-7)
    assert not slope[4].any()
    twice = pb.compile(lambda p, x: pb.hvp(lambda p: decay(p, x, keep), (p,), (v,)))(p, x)
    np.testing.assert_allclose(twice, (f(p + h * v, x)[1] - f(p - h * v, x)[1]) / (2 * h), rtol=1e-5, atol=1e-7)


def test_a_turn_back_touches_no_array_of_all_parameters() -> None:
    p, x = rng.random((5, 700)), rng.random(700)
    program = pb.compile(pb.grad(decay)).lower(p, x).program
    backwards = [s for s in program.steps if isinstance(s, Loop)][-1]
    assert "grad_p" not in touched(backwards)


def test_an_array_that_is_read_by_overlapping_slices_and_as_a_whole() -> None:
    def f(p: Any) -> Any:
        def turn(i: Any, y: Any) -> Any:
            return y * p[:-1] + p[1:] * pb.sum(p)

        return pb.sum(pb.fori_loop(0, 3, turn, pb.ones(4)))

    p, v, h = rng.random(5), rng.normal(size=5), 1e-6
    value, slope = pb.value_and_grad(f)(p)
    np.testing.assert_allclose(slope @ v, (f(p + h * v) - f(p - h * v)) / (2 * h), rtol=1e-7)
