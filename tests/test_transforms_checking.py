"""check_grads finds what is wrong, names it, and passes what is right."""

import numpy as np
import pytest

import pullback as pb

X = np.array([0.3, -1.2, 0.8])


def test_passes_through_orders_modes_and_nests():
    pb.check_grads(lambda p, n: {"a": pb.sin(p["x"]) * p["y"][0] ** n, "k": n + 1}, ({"x": X, "y": [2.0]}, 3), order=2)
    pb.check_grads(lambda x: pb.sum(pb.exp(x) * x), (X,), order=3, modes=("rev",))
    pb.check_grads(lambda x: pb.tanh(x), (X.astype("float32"),), order=1)


def test_passes_through_loops():
    def f(x):
        return pb.fori_loop(0, 4, lambda i, s: pb.sin(s) * x + s, x)
    pb.check_grads(f, (X,), order=2)


def first_order_only(x):
    held = pb.stop_gradient(x)
    return held * held + 2 * held * (x - held)


def test_a_wrong_derivative_names_input_and_index():
    def f(x, y):
        return x[1] * pb.stop_gradient(y[2]) + pb.sum(y[0] * x)
    with pytest.raises(pb.PullbackError, match=r"forward derivative with respect to args\[1\]\[2\] is 0, finite") as e:
        pb.check_grads(f, (X, X), order=1)
    assert isinstance(e.value, AssertionError)
    with pytest.raises(AssertionError, match=r"reverse derivative with respect to args\[1\]\[2\]"):
        pb.check_grads(f, (X, X), order=1, modes=("rev",))
    with pytest.raises(AssertionError, match=r"forward over forward derivative with respect to args\[0\]"):
        pb.check_grads(first_order_only, (2.0,))


def test_words():
    with pytest.raises(TypeError, match=r"check_grads\(f, \(x,\)\)"):
        pb.check_grads(pb.sin, X)
    with pytest.raises(pb.PullbackError, match="'fwd' and 'rev'"):
        pb.check_grads(pb.sin, (X,), modes=("forward",))
    with pytest.raises(pb.PullbackError, match="nothing to differentiate"):
        pb.check_grads(pb.sum, (np.arange(3),))
