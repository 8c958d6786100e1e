"""Reductions and running folds against NumPy: axes, keepdims, dtypes, empty arrays, NaN and ties."""

import numpy as np
import pytest
import scipy.special
from against_numpy import check, pb, typed

from pullback.dsl.errors import ShapeError
from pullback.dsl.node import toposort
from pullback.dsl.size import Guards, tracing

X = np.sin(np.arange(24.0)).reshape(2, 3, 4) * 3
NAN = np.where(X > 2.5, np.nan, X)
K = np.arange(-12, 12).reshape(2, 3, 4)
AXES = [None, 0, -1, (0, 2), (-1, 0, 1), ()]
FOLDS = ["sum", "prod", "min", "max", "mean", "var", "std", "any", "all"]


@pytest.mark.parametrize("name", FOLDS)
def test_folds(name):
    for axis in AXES:
        for keepdims in (False, True):
            if axis == () and name in ("var", "std"):
                continue
            for data in (X, NAN, K, X.astype("f4"), K.astype("i4"), K > 3, K.astype("u2"), X[:, :1], np.array(2.5)):
                if data.ndim < 3 and axis not in (None, ()):
                    continue
                if data.dtype.kind in "bu" and name in ("min", "max"):
                    continue
                check(lambda xp, x, a=axis, k=keepdims: getattr(xp, name)(x, axis=a, keepdims=k), data, rtol=1e-11)
    check(lambda xp, x: getattr(x, name)(1), X)


def test_dtype_and_ddof():
    check(lambda xp, x: (xp.sum(x, dtype="f4"), xp.mean(x, dtype=np.float64), xp.prod(x, 0, "f8")), X.astype("f4"),
          rtol=1e-6)
    check(lambda xp,
          x: (xp.var(x, ddof=1), xp.std(x, axis=0, ddof=1), xp.var(x, axis=1, ddof=5), xp.var(x, 2, correction=1)), X)
    check(lambda xp, x: xp.var(x, ddof=0.5), X)
    check(lambda xp, x: (xp.ptp(x, axis=1), xp.ptp(x)), X)
    check(lambda xp, x: (xp.count_nonzero(x), xp.count_nonzero(x, axis=1, keepdims=True)), K)
    check(lambda xp, x, w: (xp.average(x, axis=1, weights=w), xp.average(x)), X, np.array([0.5, 1.0, 3.0]))
    check(lambda xp, x, w: xp.average(x, weights=w, axis=0), X, X * X)


def test_zero_elements():
    empty = np.zeros((0, 3))
    check(lambda xp, x: (xp.sum(x, axis=0), xp.prod(x), xp.any(x), xp.all(x, axis=0), xp.mean(x, axis=0),
                         xp.var(x, axis=0)), empty)
    check(lambda xp, x: (xp.max(x, axis=1), xp.argmax(x, axis=1), xp.cumsum(x, axis=0), xp.cumprod(x)), empty)
    for name in ("min", "max", "argmin", "argmax"):
        with pytest.raises(ShapeError, match="zero elements"):
            getattr(pb, name)(typed("x", empty), axis=0)


def test_zero_elements_at_run_time():
    x = typed("x", np.zeros((0, 3)), symbolic=True)
    for name in ("min", "max", "argmin", "argmax", "ptp", "logsumexp"):
        with tracing(Guards({"x0": 0, "x1": 3})), pytest.raises(ShapeError, match="zero elements"):
            getattr(pb, name)(x, axis=0)
        with tracing(Guards({"x0": 2, "x1": 3})) as guards:
            getattr(pb, name)(x, axis=0)
        assert guards.hold({"x0": 1, "x1": 0}) and not guards.hold({"x0": 0, "x1": 3})
    check(lambda xp, x: (xp.max(x, axis=0), xp.argmin(x, axis=1)), np.zeros((0, 0)), expected=lambda xp, x: (
        np.zeros(0), np.zeros(0, int)))


def test_wrong_axes():
    x = typed("x", X)
    for axis in (3, -4, (0, 0), "a", 1.5):
        with pytest.raises(ShapeError, match=r"axis|axes"):
            x.sum(axis=axis)
    with pytest.raises(TypeError, match="out"):
        x.sum(out=X)


@pytest.mark.parametrize("name", ["argmin", "argmax"])
def test_positions(name):
    ties = np.array([[2.0, 5.0, 5.0, -1.0, -1.0], [np.nan, 1.0, np.nan, 2.0, 2.0]])
    for data in (X, ties, K, ties > 0, -ties, X.astype("f4"), K.astype("u1")):
        for axis in (None, 0, -1):
            for keepdims in (False, True):
                check(lambda xp, x, a=axis, k=keepdims: getattr(xp, name)(x, axis=a, keepdims=k), data)


def test_logsumexp():
    inf = np.inf
    rows = np.array([[1000.0, 999.0, -5.0], [-inf, -inf, -inf], [inf, 0.0, 1.0], [np.nan, 0.0, 1.0],
                     [-2e3, -2e3, -2e3]])
    for axis in (None, 0, 1, (0, 1)):
        for keepdims in (False, True):
            for data in (rows, X[0], K[0], X[0].astype("f4")):
                check(lambda xp, x, a=axis, k=keepdims: xp.logsumexp(x, axis=a, keepdims=k), data,
                      expected=lambda xp, x, a=axis, k=keepdims: np.asarray(
                          scipy.special.logsumexp(x, axis=a, keepdims=k)).astype("f4" if x.dtype == "f4" else "f8"))


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_running_folds(name):
    for data in (X, K % 5, X.astype("f4"), (K % 3).astype("i4"), K > 0, NAN, np.zeros((2, 0))):
        for axis in (None, 0, -1):
            check(lambda xp, x, a=axis: getattr(xp, name)(x, axis=a), data, rtol=1e-11)
    check(lambda xp, x: (xp.cumsum(x, dtype="f8"), x.cumprod(axis=1)), X.astype("f4"), rtol=1e-6)
    check(lambda xp, x: (xp.cumulative_sum(x, axis=1, include_initial=True), xp.cumulative_prod(x, axis=0)), X)


def test_max_of_a_shared_expression_is_one_node():
    x = typed("x", X)
    nodes = toposort([pb.logsumexp(x, axis=1), pb.max(x, axis=1, keepdims=True)])
    assert sum(n.op == "reduce" and n.attrs[0] == "maximum" for n in nodes) == 1


def test_means_divide_by_symbolic_counts():
    x = typed("x", X, symbolic=True)
    with tracing(Guards()) as guards:
        mean = x.mean(axis=(0, 1))
    assert not guards.facts
    assert [str(n.attrs[0]) for n in toposort([mean]) if n.op == "size"] == ["x0*x1"]
