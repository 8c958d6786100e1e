"""check_grads finds what is wrong, names it, and passes what is right."""

import numpy as np
import pytest

import pullback as pb
from pullback.dsl.complex_step import ComplexStep

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
    words = r"forward derivative with respect to args\[1\]\[2\] is 0, the complex step"
    with pytest.raises(pb.PullbackError, match=words) as e:
        pb.check_grads(f, (X, X), order=1)
    assert isinstance(e.value, AssertionError)
    with pytest.raises(AssertionError, match=r"reverse derivative with respect to args\[1\]\[2\]"):
        pb.check_grads(f, (X, X), order=1, modes=("rev",))
    with pytest.raises(AssertionError, match=r"forward over forward derivative with respect to args\[0\]"):
        pb.check_grads(first_order_only, (2.0,))


def slightly_wrong(x):
    return pb.sin(x) + 1e-7 * pb.stop_gradient(x)


def test_the_complex_step_sees_what_finite_differences_do_not():
    for mode in ("fwd", "rev"):
        with pytest.raises(pb.PullbackError, match="the complex step gives"):
            pb.check_grads(slightly_wrong, (X,), order=1, modes=(mode,))
    with pytest.raises(pb.PullbackError, match="reverse over reverse derivative .* the complex step gives"):
        pb.check_grads(lambda x: pb.exp(x) + pb.stop_gradient(x) * x * 1e-6, (X,), order=2, modes=("rev",))
    pb.check_grads(slightly_wrong, (X,), order=2, eps=1e-3)


MATRIX = np.diag(X) + 3 * np.ones((3, 3))


@pytest.mark.parametrize("function, x, legal", [
    (pb.sin, X, True), (lambda x: pb.sin(x), X.astype("float32"), True),
    (lambda x: pb.fori_loop(0, 3, lambda i, s: s * x, x), X, True), (pb.linalg.det, MATRIX, True),
    (lambda x: pb.scan(lambda c, y: (c * y, c), 1.0, x)[1], X, True), (lambda a: pb.linalg.solve(a, X), MATRIX, True),
    (lambda x: pb.where(X > 0, x, x * x), X, True), (lambda x: pb.cond(X[0] > 0, pb.sin, pb.cos, x), X, True),
    (lambda x: abs(x), X, False), (lambda x: pb.where(x > 0, x, x * x), X, False), (pb.linalg.svdvals, MATRIX, False),
    (lambda x: pb.fori_loop(0, 3, lambda i, s: abs(s) * x, x), X, False), (lambda x: x + 1j, X, False),
    (lambda x: pb.real(pb.fft.fft(x)), X, False), (pb.sin, X + 1j, False), (pb.max, X, False), (pb.floor, X, False)])
def test_where_the_complex_step_is_legal(function, x, legal):
    step = ComplexStep(lambda *values: [function(*values)], [x], [pb.compile(function)(x)])
    assert step.legal == legal
    if legal:
        direction = np.random.default_rng(2).normal(size=x.shape).astype(x.dtype)
        along, = step.along(0, direction)
        exact = pb.compile(lambda x, t: pb.jvp(function, (x,), (t,))[1])(x, direction)
        np.testing.assert_allclose(along, exact, rtol=1e-5 if x.dtype == np.float32 else 1e-12)


def test_words():
    with pytest.raises(TypeError, match=r"check_grads\(f, \(x,\)\)"):
        pb.check_grads(pb.sin, X)
    with pytest.raises(pb.PullbackError, match="'fwd' and 'rev'"):
        pb.check_grads(pb.sin, (X,), modes=("forward",))
    with pytest.raises(pb.PullbackError, match="nothing to differentiate"):
        pb.check_grads(pb.sum, (np.arange(3),))
