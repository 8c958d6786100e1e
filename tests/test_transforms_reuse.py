"""A derivative that is asked for again is compiled once, for as long as what the function uses stays the same."""

import types

import numpy as np
import pytest

import pullback as pb
from pullback.dsl import reuse
from pullback.dsl.node import FUNCTIONS

X = np.array([0.3, -1.2, 0.8])
scale = 2.0
table = np.array([1.0, 2.0, 3.0])
settings = types.ModuleType("settings")
settings.power = 2


@pytest.fixture
def compiled(monkeypatch):
    """What was compiled, one entry each."""
    made = []
    compile = FUNCTIONS["_compile"]
    monkeypatch.setitem(FUNCTIONS, "_compile", lambda f: made.append(f) or compile(f))
    reuse._programs.clear()
    return made


def square(x):
    return x * x * scale


def test_the_same_function_compiles_once(compiled):
    for k in range(3):
        np.testing.assert_allclose(pb.jvp(square, (k * X,), (X,))[1], 4 * k * X * X)
    assert len(compiled) == 1
    for k in range(3):
        value, pullback = pb.vjp(square, k * X)
        np.testing.assert_allclose(pullback(X)[0], 4 * k * X * X)
    assert len(compiled) == 3
    for _ in range(3):
        pb.hvp(lambda x: pb.sum(x**3), (X,), (X,))
    assert len(compiled) == 4
    for _ in range(3):
        pb.linearize(square, X)[1](X)
    assert len(compiled) == 5


def slope(f):
    return float(pb.jvp(f, (2.0,), (1.0,))[1])


def test_what_it_uses_may_change(compiled, monkeypatch):
    assert slope(square) == 8.0
    monkeypatch.setitem(globals(), "scale", 3.0)
    assert slope(square) == 12.0
    by = {"factor": 2.0}
    assert slope(lambda x: x * by["factor"]) == 2.0
    for factor in (5.0, 6.0, -0.0):
        by["factor"] = factor
        assert slope(lambda x: x * by["factor"]) == factor
    for k in (1.0, 2.0):
        assert slope(lambda x, k=k: x * k) == k
        assert slope(lambda x: x * (lambda: k)()) == k                      # noqa: B023
    for first in (1.0, 7.0):
        table[0] = first
        assert slope(lambda x: x * pb.asarray(table)[0]) == first
    for power in (2, 3):
        settings.power = power
        assert slope(lambda x: x**settings.power) == power * 2.0 ** (power - 1)


class Model:
    def __init__(self, k):
        self.k = k

    def __call__(self, x):
        return x * self.k


def test_an_instance_is_asked_again(compiled):
    model = Model(2.0)
    assert slope(model) == 2.0
    model.k = 3.0
    assert slope(model) == 3.0
    assert slope(lambda x: model(x)) == 3.0
    model.k = 4.0
    assert slope(lambda x: model(x)) == 4.0


def test_functions_of_functions(compiled):
    inner = pb.custom_vjp(lambda x: x * x)
    for factor in (10.0, 20.0):
        inner.defvjp(lambda x: (inner(x), None), lambda _, g, factor=factor: (factor * g,))
        assert pb.vjp(inner, 2.0)[1](1.0)[0] == factor
    for axes in (0, 1):
        f = pb.vmap(pb.sum, in_axes=axes)
        assert pb.jvp(f, (np.ones((2, 3)),), (np.ones((2, 3)),))[1].shape == ((2, 3)[axes],)
