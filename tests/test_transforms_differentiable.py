"""Functions marked as differentiable: called, differentiated, read."""

import dataclasses
from typing import Any

import numpy as np
import pytest

import pullback as pb

R = np.random.default_rng(2)
X, W, B = R.normal(size=(5, 3)), R.normal(size=(3, 2)), R.normal(size=2)


@dataclasses.dataclass
class Linear:
    weight: Any
    bias: Any = None
    name: str = dataclasses.field(default="linear", metadata={"static": True})

    def __call__(self, x):
        y = x @ self.weight
        return y if self.bias is None else y + self.bias


def test_value_and_gradient_by_name():
    @pb.differentiable(wrt="w")
    def loss(x, w, b):
        return pb.sum((x @ w + b) ** 2)
    assert loss(X, W, B) == pytest.approx(np.sum((X @ W + B) ** 2))
    np.testing.assert_allclose(loss.grad(X, W, b=B), 2 * X.T @ (X @ W + B))
    value, slope = loss.value_and_grad(X, W, B)
    assert value == pytest.approx(np.sum((X @ W + B) ** 2))
    np.testing.assert_allclose(slope, loss.grad(X, W, B))


def test_default_is_every_float_parameter():
    @pb.differentiable
    def f(x, k, scale=2.0):
        return pb.sum(x[k]) * scale
    found = f.grad(X[0], np.array([0, 0]))
    np.testing.assert_allclose(found["x"], [4, 0, 0])
    found = f.grad(X[0], np.array([0, 0]), scale=3.0)
    assert sorted(found) == ["scale", "x"] and found["scale"] == pytest.approx(2 * X[0, 0])


def test_adjoint_of_declared_shapes_reads_as_mathematics():
    @pb.differentiable(shapes={"b": ("k",)})
    def layer(x: ("n", "m"), w: ("m", "k"), b):  # noqa: F821
        return x @ w + b
    assert str(layer.adjoint) == "{'x': ȳ @ w.T, 'w': x.T @ ȳ, 'b': sum(ȳ, axis=0)}"
    assert str(layer.expression) == "x @ w + b"
    found = pb.compile(layer.adjoint)(x=X, w=W, b=B, ȳ=np.ones((5, 2)))
    np.testing.assert_allclose(found["w"], X.T @ np.ones((5, 2)))
    np.testing.assert_allclose(found["b"], [5, 5])


def test_adjoint_takes_the_shapes_of_the_last_call():
    @pb.differentiable(wrt="w")
    def layer(x, w):
        return x @ w
    assert str(layer.adjoint) == "vjp(x @ w, ȳ, w)"
    layer(X, W)
    assert str(layer.adjoint) == "x.T @ ȳ"
    layer(X[0], W)
    assert "outer" in str(layer.adjoint) or "x[:, None]" in str(layer.adjoint)


def test_gradient_prints():
    @pb.differentiable(wrt="x")
    def f(x: ("n",)):  # noqa: F821
        return pb.sum(pb.sin(x))
    assert repr(f.grad) == "cos(x)"
    assert "cos" in f.grad._repr_latex_()
    np.testing.assert_allclose(f.grad(X[0]), np.cos(X[0]))


def test_a_dataclass_of_parameters():
    @pb.differentiable(wrt="layer")
    def loss(layer, x):
        return pb.sum(layer(x) ** 2)
    full = Linear(W, B, "first")
    slope = loss.grad(full, X)
    assert isinstance(slope, Linear) and slope.name == "first"
    np.testing.assert_allclose(slope.weight, 2 * X.T @ (X @ W + B))
    np.testing.assert_allclose(slope.bias, 2 * (X @ W + B).sum(0))
    assert loss.grad(Linear(W), X).bias is None

    @pb.differentiable(wrt="layer")
    def forward(layer, x):
        return layer(x)
    forward(full, X)
    assert isinstance(forward.adjoint, Linear)
    assert str(forward.adjoint.weight) == "x.T @ ȳ" and str(forward.adjoint.bias) == "sum(ȳ, axis=0)"
    forward(Linear(W), X)
    assert forward.adjoint.bias is None


def test_source_traces_and_nesting():
    @pb.differentiable
    def f(x):
        return pb.sum(pb.exp(x))
    f(X[0])
    assert "exp" in f.source("cpu")
    np.testing.assert_allclose(pb.grad(lambda x: f(2 * x))(X[0]), 2 * np.exp(2 * X[0]))
    np.testing.assert_allclose(pb.jacfwd(f.grad)(X[0])["x"], np.diag(np.exp(X[0])))


def test_several_results():
    @pb.differentiable(shapes={"x": ("n",)})
    def f(x):
        return {"a": pb.sin(x), "b": pb.sum(x)}
    found = pb.compile(f.adjoint)(x=X[0], ȳ_0=np.ones(3), ȳ_1=2.0)
    np.testing.assert_allclose(found["x"], np.cos(X[0]) + 2)


def test_words():
    with pytest.raises(TypeError, match="no parameter 'z': its parameters are x"):
        pb.differentiable(lambda x: x, wrt="z")
