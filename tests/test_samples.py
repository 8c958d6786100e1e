"""Reductions without NaN, pieces, filters, differences, polynomials, covariance: NumPy's values, derivatives, words."""

import numpy as np
import pytest
from scipy import special

import pullback as pb


def data():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(4, 7))
    x[1, 2] = x[3, 0] = np.nan
    return x, rng.normal(size=9), rng.normal(size=4)


def same(name, *args, **options):
    """pb.name, compiled, gives what np.name does, values and dtypes; np.name of an expression is pb.name."""
    arrays = [a for a in args if isinstance(a, np.ndarray)]

    def program(module, *given):
        rest = iter(given)
        return getattr(module, name)(*(next(rest) if isinstance(a, np.ndarray) else a for a in args), **options)

    expected = program(np, *arrays)
    for module in (pb, np):
        found = pb.compile(lambda *given, module=module: program(module, *given))(*arrays)
        parts = zip(found, expected, strict=True) if isinstance(expected, (tuple, list)) else [(found, expected)]
        for ours, theirs in parts:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
            assert ours.dtype == np.asarray(theirs).dtype


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_reductions_leave_nan_out(axis):
    x = data()[0]
    for name in ("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin"):
        for a in (x, x.astype(np.float32), np.arange(6).reshape(2, 3)):
            if a.dtype != np.float32 or name in ("nanmax", "nanmin"):
                same(name, a, axis=axis)
        same(name, x, axis=axis, keepdims=True)
    same("nanvar", x, axis=axis, ddof=1)
    same("nansum", x * (1 - 2j), axis=axis)
    same("nanvar", x * (1 - 2j), axis=axis)


def test_where_all_is_nan():
    x = np.array([[np.nan, np.nan], [1.0, np.nan]])
    found = pb.compile(lambda x: (pb.nansum(x, 1), pb.nanprod(x, 1), pb.nanmax(x, 1), pb.nanmean(x, 1)))(x)
    np.testing.assert_array_equal(found, [[0, 1], [1, 1], [np.nan, 1], [np.nan, 1]])


def test_the_derivative_by_a_nan_is_zero():
    x = data()[0]
    for f in (pb.nansum, pb.nanmean, pb.nanstd, pb.nanprod, pb.nanmax):
        slope = pb.grad(f)(x)
        assert np.all(slope[np.isnan(x)] == 0) and np.all(np.isfinite(slope)) and np.any(slope)
    clean = np.nan_to_num(x, nan=0.3)
    for ours, plain in ((pb.nanvar, pb.var), (pb.nanmin, pb.min), (pb.nanprod, pb.prod)):
        np.testing.assert_allclose(pb.grad(ours)(clean), pb.grad(plain)(clean), rtol=1e-12)


def test_pieces():
    _, y, _ = data()
    found = pb.compile(lambda y: (pb.select([y < 0, y < 1], [y, y ** 2], 7.0),
                                  np.piecewise(y, [y < 0, y > 0.5], [lambda v: -v, lambda v: v * v, 3.0]),
                                  pb.piecewise(y, [y < 0], [1])))(y)
    expected = (np.select([y < 0, y < 1], [y, y ** 2], 7.0),
                np.piecewise(y, [y < 0, y > 0.5], [lambda v: -v, lambda v: v * v, 3.0]), np.piecewise(y, [y < 0], [1]))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    places = np.array([2, 0, 1, 2])
    tables = np.arange(12.0).reshape(3, 4)
    for mode in ("raise", "wrap", "clip"):
        shift = 0 if mode == "raise" else 2
        np.testing.assert_array_equal(pb.compile(lambda a, t, mode=mode: pb.choose(a, [t[0], t[1], t[2]], mode))(
            places + shift, tables), np.choose(places + shift, list(tables), mode=mode))
    with pytest.raises(IndexError):
        pb.compile(lambda a: pb.choose(a, [1.0, 2.0]))(np.array([0, 2]))


def test_rectifiers():
    x = np.array([-3.0, -0.5, 0.0, 0.7, 2.0, np.nan])
    found = pb.compile(lambda x: (pb.relu(x), pb.leaky_relu(x), pb.elu(x), pb.silu(x), pb.gelu(x, False)))(x)
    with np.errstate(invalid="ignore"):
        expected = (np.maximum(x, 0), np.where(x < 0, 0.01 * x, x), np.where(x > 0, x, np.expm1(x)),
                    x * special.expit(x), x * special.ndtr(x))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)
    np.testing.assert_allclose(pb.compile(pb.gelu)(x[:-1]), (x * special.ndtr(x))[:-1], atol=1e-3)
    for f in (pb.silu, pb.gelu, pb.elu, lambda x: pb.gelu(x, approximate=False)):
        pb.check_grads(lambda x, f=f: pb.sum(f(x) ** 2), (np.array([-3.0, -0.5, 0.7, 2.0]),), order=2)
    np.testing.assert_array_equal(pb.grad(lambda x: pb.sum(pb.relu(x)))(x[:5]), [0, 0, 0, 1, 1])
    assert pb.compile(pb.relu)(np.float32([1, -1])).dtype == np.float32
    np.testing.assert_array_equal(pb.compile(lambda i: pb.one_hot(i, 3, axis=0))(np.array([2, 0, 5])), np.eye(3, 6)[
        :, [2, 0, 5]])


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_filters(mode):
    _, y, z = data()
    long = np.sin(np.arange(40.0))
    for a, v in ((y, z), (z, y), (y, y[:1]), (long, long[:23]), (long[:23], long), (long[:24], y), (y, z + 2j * z)):
        same("convolve", a, v, mode=mode)
        same("correlate", a, v, mode=mode)
    same("correlate", z * 1j, y + 0j, mode=mode)


def test_one_compilation_serves_every_length_of_a_long_filter():
    f = pb.compile(pb.convolve)
    for n, m in ((100, 30), (120, 31), (200, 40)):
        a, v = np.cos(np.arange(1.0 * n)), np.sin(np.arange(1.0 * m))
        np.testing.assert_allclose(f(a, v), np.convolve(a, v), rtol=1e-12, atol=1e-12)
    assert len(f.log) == 1, f.explain_compile()


def test_differences_along_a_grid():
    x, y, _ = data()
    x = np.nan_to_num(x)
    at = np.cumsum(np.arange(1.0, 8))
    for order in (1, 2):
        same("gradient", y, edge_order=order)
        same("gradient", x, 0.3, axis=1, edge_order=order)
        same("gradient", x, at, axis=1, edge_order=order)
        same("gradient", x, 0.5, at, edge_order=order)
    same("ediff1d", x)
    same("ediff1d", y, to_end=9.0, to_begin=np.array([1.0, 2.0]))
    assert "gradient" not in repr(pb.gradient(pb.Var("u", ("n",)), 0.1))
    with pytest.raises(pb.PullbackError, match="give axis="):
        pb.gradient(pb.Var("u"))


def test_polynomials_and_covariance():
    x, y, z = data()
    x = np.nan_to_num(x)
    same("polyval", z, y)
    same("vander", y)
    same("vander", y, 3, increasing=True)
    for options in ({}, {"rowvar": False}, {"bias": True}, {"ddof": 2}):
        same("cov", x, **options)
    same("cov", y)
    same("cov", y, y[::-1].copy())
    same("corrcoef", x)
    same("cov", x * (1 + 1j) + x[::-1] * 2j)


def test_joining_and_cutting():
    x, y, _ = data()
    x = np.nan_to_num(x)
    same("append", x, y)
    same("append", x, x[:1], axis=0)
    for k in range(-1, 4):
        same("rot90", x, k=k)
    same("array_split", y, 4)
    same("array_split", y, [2, 3])
    same("hsplit", x, [2])
    same("vsplit", x, 2)
    np.testing.assert_allclose(pb.logspace(-1, 2, 5).eval(), np.logspace(-1, 2, 5), rtol=1e-14)
    np.testing.assert_allclose(pb.geomspace(3.0, 1000, 6).eval(), np.geomspace(3.0, 1000, 6), rtol=1e-14)
    assert pb.geomspace(3.0, 1000, 6).eval()[-1] == 1000


def test_places_divided_raised_and_applied():
    x, at = np.arange(1.0, 6), np.array([0, 2, 2])
    found = pb.compile(lambda x: (x.at[at].divide(2.0), x.at[1:3].power(3), x.at[::2].apply(pb.sqrt)))(x)
    np.testing.assert_array_equal(found[0], [0.5, 2, 0.75, 4, 5])
    np.testing.assert_array_equal(found[1], [1, 8, 27, 4, 5])
    np.testing.assert_array_equal(found[2], [1, 2, np.sqrt(3), 4, np.sqrt(5)])
    pb.check_grads(lambda x, v: pb.sum(x.at[at].divide(v) ** 3), (x, np.array([2.0, 3.0, 0.7])), order=2)


def test_derivatives_of_both_modes():
    _, y, z = data()
    m = np.random.default_rng(3).normal(size=(3, 5))
    for f, args in (
        (lambda a, v: pb.sum(pb.convolve(a, v) ** 2), (y, z)),
        (lambda a, v: pb.sum(pb.correlate(a, v, "same") ** 3), (np.sin(np.arange(30.0)), np.cos(np.arange(20.0)))),
        (lambda y, h: pb.sum(pb.gradient(y, h, edge_order=2) ** 2), (y, 0.3)),
        (lambda y, at: pb.sum(pb.gradient(y, at) ** 2), (y, np.cumsum(1 + 0.1 * np.arange(9.0)))),
        (lambda p, x: pb.sum(pb.polyval(p, x) ** 2), (z, y)),
        (lambda m: pb.sum(pb.corrcoef(m) ** 3) + pb.linalg.slogdet(pb.cov(m))[1], (m,)),
        (lambda y: pb.sum(pb.vander(y, 3) ** 2), (y,)),
        (lambda m: pb.sum(pb.rot90(m) * pb.select([m.T > 0], [m.T ** 2], 1.0)[::-1]), (m,)),
    ):
        pb.check_grads(f, args, order=2)


def test_untyped_expressions_wait_for_their_arrays():
    x, y, z = data()
    a, v = pb.Var("a"), pb.Var("v")
    f = pb.compile((pb.convolve(a, v), pb.nansum(a), pb.select([a > 0], [a], 0.0), pb.cov(a), pb.hsplit(a, [3])[1],
                    pb.gradient(a, axis=0)))
    for ours, theirs in zip(f(a=y, v=z), (np.convolve(y, z), np.sum(y), np.where(y > 0, y, 0), np.cov(y), y[3:],
                                          np.gradient(y)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
