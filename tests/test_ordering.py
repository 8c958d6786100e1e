"""Sorting, searching, quantiles, bins and tables: NumPy's values, derivatives of both modes, words."""

import numpy as np
import pytest

import pullback as pb


def data():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(4, 7))
    x[2, 5] = x[2, 1]                             # equal elements keep their order
    return x, rng.normal(size=9)


def same(ours, numpys, *arrays):
    """`ours`, compiled, gives what `numpys` does: values and dtypes."""
    found, expected = pb.compile(ours)(*arrays), numpys(*arrays)
    parts = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    for ours_, theirs in parts:
        np.testing.assert_allclose(ours_, theirs, rtol=1e-13, atol=1e-15)
        assert ours_.dtype == np.asarray(theirs).dtype


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_along_every_axis_as_numpy(axis):
    x, _ = data()
    with_nan = x.copy()
    with_nan[1, 2] = np.nan
    q = [0.0, 0.3, 1.0]
    for a in (x, with_nan):
        same(lambda a: pb.sort(a, axis=axis), lambda a: np.sort(a, axis=axis), a)
        same(lambda a: pb.argsort(a, axis=axis), lambda a: np.argsort(a, axis=axis, kind="stable"), a)
        same(lambda a: pb.median(a, axis=axis), lambda a: np.median(a, axis=axis), a)
        same(lambda a: pb.quantile(a, q, axis=axis), lambda a: np.quantile(a, q, axis=axis), a)


@pytest.mark.parametrize("x", [np.array([3, 1, 2], np.int32), np.array([True, False, True]),
                               np.array([2.0, -0.5], np.float32), np.empty(0), np.array([5.0])])
def test_dtypes_and_small_arrays(x):
    same(pb.sort, np.sort, x)
    same(pb.argsort, lambda x: np.argsort(x, kind="stable"), x)


def test_falling_order_keeps_equal_elements_in_theirs():
    x = np.array([1.0, 2.0, 1.0, 2.0, 0.0])
    same(lambda x: pb.argsort(x, descending=True), lambda x: np.argsort(-x, kind="stable"), x)
    same(lambda x: pb.top_k(x, 2), lambda x: (np.array([2.0, 2.0]), np.array([1, 3])), x)
    a, b = np.array([3, 1, 2, 0]), np.array([1, 0, 1, 0])
    same(lambda a, b: pb.lexsort((a, b)), lambda a, b: np.lexsort((a, b)), a, b)


def test_numpys_names_reach_expressions():
    x, y = data()
    same(lambda x: np.sort(x, axis=0) + np.median(x), lambda x: np.sort(x, axis=0) + np.median(x), x)
    same(lambda y: np.percentile(y, 30) + np.partition(y, 3)[3], lambda y: np.percentile(y, 30) + np.sort(y)[3], y)
    assert repr(pb.sort(pb.Var("x"))) == "sort(x)"


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_methods_of_quantiles(method):
    x, y = data()
    q = [0.1, 0.25, 0.5, 0.77]
    same(lambda y: pb.quantile(y, q, method=method), lambda y: np.quantile(y, q, method=method), y)
    same(lambda x: pb.quantile(x, 0.4, axis=(0, 1), method=method, keepdims=True),
         lambda x: np.quantile(x, 0.4, axis=(0, 1), method=method, keepdims=True), x)


def test_searching_and_bins():
    x, y = data()
    for side in ("left", "right"):
        same(lambda a, v, side=side: pb.searchsorted(pb.sort(a), v, side=side),
             lambda a, v, side=side: np.searchsorted(np.sort(a), v, side=side), y, x)
    for bins in (np.array([-1.0, 0.0, 1.0]), np.array([1.0, 0.0, -1.0])):
        same(pb.digitize, np.digitize, x[0], bins)
        same(lambda x, b: pb.digitize(x, b, right=True), lambda x, b: np.digitize(x, b, right=True), bins, bins)
    same(pb.isin, np.isin, np.arange(6).reshape(2, 3), np.array([1, 5]))
    same(lambda y: pb.histogram(y, 5), lambda y: np.histogram(y, 5), y)
    same(lambda y: pb.histogram(y, 4, range=(-1, 1)), lambda y: np.histogram(y, 4, range=(-1, 1)), y)
    edges = np.array([-1.0, 0.0, 2.0])
    same(lambda y: pb.histogram(y, edges, density=True), lambda y: np.histogram(y, edges, density=True), y)
    places, weights = np.array([0, 1, 1, 4]), np.array([0.1, 0.2, 0.3, 0.4])
    same(lambda p, w: pb.bincount(p, w, length=6), lambda p, w: np.bincount(p, w, minlength=6), places, weights)
    same(lambda p: pb.bincount(p, length=5), np.bincount, places)


def test_tables():
    x, xp, fp = np.linspace(-1.0, 4.0, 23), np.array([0.0, 1.0, 2.5]), np.array([1.0, 3.0, -1.0])
    same(pb.interp, np.interp, x, xp, fp)
    same(lambda *a: pb.interp(*a, left=9.0, right=7.0), lambda *a: np.interp(*a, left=9.0, right=7.0), x, xp, fp)
    same(lambda *a: pb.interp(*a, period=3.0), lambda *a: np.interp(*a, period=3.0), x, xp[::-1].copy(), fp)


def test_derivatives_of_both_modes_to_second_order():
    apart = np.random.default_rng(11).permutation(37) / 9 - 2       # no step of a difference changes the order
    x, y = apart[:28].reshape(4, 7), apart[28:]
    xp, fp = np.array([0.0, 1.0, 2.5]), np.array([1.0, 3.0, -1.0])
    weights = np.cos(np.arange(28.0)).reshape(4, 7)
    for f, args in (
        (lambda x: pb.sum(pb.sort(x, axis=0) ** 2 * weights), (x,)), (pb.median, (y,)), (pb.quantile, (y, 0.37)),
        (pb.interp, (0.3, xp, fp)), (lambda y: pb.sum(pb.top_k(y, 3)[0] ** 3), (y,)),
        (lambda w: pb.sum(pb.histogram(y, 4, weights=w)[0] ** 2), (y,)),
        (lambda y: pb.sum(pb.fori_loop(0, 3, lambda i, c: pb.sort(c * 1.5 - y), y) ** 2), (y,)),
    ):
        pb.check_grads(f, args, order=2)


def test_lanes():
    x, y = data()
    same(pb.vmap(pb.sort), np.sort, x)
    same(pb.vmap(pb.searchsorted, in_axes=(None, 0)), lambda a, v: np.searchsorted(a, v), np.sort(y), x)
    found = pb.vmap(pb.grad(pb.median))(x)
    np.testing.assert_array_equal(found, (np.argsort(np.argsort(x)) == 3) * 1.0)


def test_what_depends_on_data_is_refused_with_words():
    _, y = data()
    for call, error, words in (
        (lambda y: pb.nonzero(y), pb.PullbackError, r"test_ordering.*pb\.where\(mask, x, 0\)"),
        (lambda y: np.unique(y), pb.PullbackError, r"pb\.sort\(x\)"),
        (lambda y: pb.bincount(y > 0), pb.PullbackError, r"pb\.bincount\(x, length=n\)"),
        (lambda y: pb.sort(y * 1j), pb.DTypeError, "no order"),
        (lambda y: pb.top_k(y, 10), pb.ShapeError, "at least k=10"),
        (lambda y: pb.quantile(y, 0.5, method="hazen"), pb.PullbackError, "'linear', 'lower'"),
        (lambda y: pb.searchsorted(y[None], y), pb.ShapeError, "vector to search in"),
        (lambda y: pb.interp(y, y, y[1:]), pb.ShapeError, "of one length"),
        (lambda y: pb.grad(lambda y: pb.sum(pb.argsort(y) * 1.0))(y), pb.NotDifferentiable, "stop_gradient"),
    ):
        with pytest.raises(error, match=words):
            pb.compile(call)(y)
    with pytest.raises(pb.ShapeError, match="zero elements"):
        pb.compile(pb.median)(np.empty(0))
