"""Random programs of loops and branches: vmap against one item at a time, and with gradients inside and outside."""

import numpy as np
import pytest
from test_control_random import RandomProgram

import pullback as pb

R = np.random.default_rng(0)
A, X, TURNS = R.normal(size=4), R.normal(size=(4, 3)), np.array([0, 3, 1, 5])


@pytest.mark.parametrize("seed", [1, 4, 7, 9, 11, 14, 20, 23])
def test_vmap_and_gradients_commute(seed):
    program = RandomProgram(seed)

    def f(a, x, n):
        return program(a, x, n)
    value = pb.compile(f)
    np.testing.assert_allclose(pb.vmap(f)(A, X, TURNS), [value(*t) for t in zip(A, X, TURNS, strict=True)],
                               rtol=1e-9, atol=1e-9)
    slope = pb.grad(f, argnums=(0, 1))
    inside = pb.vmap(slope)(A, X, TURNS)
    outside = pb.grad(lambda a, x, n: pb.sum(pb.vmap(f)(a, x, n)), argnums=(0, 1))(A, X, TURNS)
    one_by_one = [slope(*t) for t in zip(A, X, TURNS, strict=True)]
    for k in range(2):
        np.testing.assert_allclose(inside[k], np.stack([s[k] for s in one_by_one]), rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(outside[k], inside[k], rtol=1e-8, atol=1e-8)
