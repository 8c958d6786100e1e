"""What closed under both modes to third order means, through loops too: whichever modes are nested, the third
derivative is the same to rounding, and that of a polynomial through the values.
"""

from __future__ import annotations

import numpy as np

import pullback as pb
from pullback.dsl.custom import undone
from pullback.dsl.node import make
from pullback.kernels import reference

MODES = [("fwd", "fwd", "fwd"), ("rev", "rev", "rev"), ("rev", "fwd", "rev"), ("fwd", "rev", "fwd")]
NODES, RADIUS = 32, 0.1


def derivative(function, mode, direction):
    """The derivative of a number along `direction`."""
    if mode == "fwd":
        return lambda x: pb.jvp(function, (x,), (direction,))[1]
    return lambda x: pb.sum(pb.grad(function)(x) * direction)


def third(function, modes, direction):
    for mode in modes:
        function = derivative(function, mode, direction)
    return function


def evaluated(results, v, x):
    """Results of the variable `v` by the reference, where implicit functions and rules of one's own are in terms of
    what they are computed by.
    """
    return reference.evaluate(undone(results), {v: x})


def assert_closed(function, x, tolerance=1e-10):
    direction = np.random.default_rng(3).normal(size=x.shape)
    v = make("var", (), ("x",), "float64", x.shape)
    found = evaluated([third(function, modes, direction)(v) for modes in MODES], v, x)
    places = RADIUS * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
    values = [evaluated([function(v)], v, x + t * direction)[0] for t in places]
    fitted = np.polynomial.Chebyshev.fit(places, values, 12, domain=[-RADIUS, RADIUS]).deriv(3)(0.0)
    size = np.max(np.abs(values))
    np.testing.assert_allclose(found, fitted, rtol=1e-4, atol=1e-5 * size)
    np.testing.assert_allclose(found, found[0], rtol=tolerance, atol=tolerance * size)


def weighted(x, seed=0):
    return pb.sum(np.random.default_rng(seed).normal(size=x.shape) * x)


def through_fori(op):
    return lambda x: weighted(pb.fori_loop(0, 2, lambda i, c: op(0.4 * pb.tanh(c) + 0.1 * x + 0.3), x))


def through_scan(op):
    def function(x):
        last, seen = pb.scan(lambda c, y: (op(0.4 * pb.tanh(c) + 0.2 * y + 0.3), c), x, pb.stack([x, x * x]))
        return weighted(last) + weighted(seen * seen, 1)

    return function
