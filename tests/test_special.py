"""`pb.special` by SciPy's names: values, shapes, dtypes and derivatives of what is more than a row of the table."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose

import pullback as pb

UNARY = {
    "erf": (-5, 5), "erfc": (-4, 20), "erfcx": (-5, 1e6), "erfinv": (-0.99, 0.99), "erfcinv": (1e-9, 1.9),
    "ndtr": (-6, 6), "log_ndtr": (-1e4, 8), "ndtri": (1e-6, 0.999), "gamma": (-3.9, 30), "gammaln": (0.1, 1e4),
    "digamma": (0.1, 1e4), "psi": (0.1, 9), "entr": (-1, 3), "expit": (-40, 40), "log_expit": (-900, 40),
    "logit": (0.01, 0.99), "i0": (-80, 80), "i0e": (-1e5, 1e5), "i1": (-80, 80), "i1e": (-1e5, 1e5),
    "cbrt": (-9, 9), "exp2": (-9, 9), "expm1": (-9, 9), "log1p": (-0.9, 9), "factorial": (0, 20),
}
BINARY = {
    "beta": ((0.1, 30), (0.1, 30)), "betaln": ((0.1, 300), (0.1, 300)), "xlogy": ((-3, 3), (0.1, 9)),
    "xlog1py": ((-3, 3), (-0.9, 9)), "rel_entr": ((-1, 3), (-1, 3)), "kl_div": ((-1, 3), (-1, 3)),
    "zeta": ((1.1, 20), (0.1, 50)),
}


def test_every_name_is_public_twice():
    assert set(pb.special.__all__) == set(dir(pb.special))
    for name in pb.special.__all__:
        assert getattr(pb, name) is getattr(pb.special, name)
        assert getattr(pb.special, name).__doc__
    with pytest.raises(AttributeError, match="pullback.special"):
        _ = pb.special.nothing
    folds = {"logsumexp", "softmax", "log_softmax"}
    assert {*UNARY, *BINARY, *folds, "polygamma", "softplus", "sigmoid"} <= set(dir(pb.special))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_against_scipy(dtype):
    random = np.random.default_rng(3)
    names = [*UNARY, *BINARY]
    ranges = [[r] for r in UNARY.values()] + [list(r) for r in BINARY.values()]
    given = [[random.uniform(*r, 60).astype(dtype) for r in each] for each in ranges]
    results = pb.compile(lambda groups: [getattr(pb, n)(*g) for n, g in zip(names, groups, strict=True)])(given)
    for name, group, result in zip(names, given, results, strict=True):
        assert result.dtype == dtype
        exact = getattr(scipy.special, name)(*[a.astype("float64") for a in group])
        assert_allclose(result, exact, rtol=1e-11 if dtype == "float64" else 4e-5,
                        atol=0 if dtype == "float64" else 1e-6, err_msg=name)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7, 12])
def test_polygamma_of_any_order_and_its_derivative(n):
    x = np.array([0.05, 0.7, 1.0, 3.3, 25.0, 1e3])
    exact = [[float(mpmath.polygamma(n + k, v)) for v in x] for k in range(2)]
    value, slope = pb.compile(lambda x: (pb.polygamma(n, x), pb.grad(lambda x: pb.sum(pb.polygamma(n, x)))(x)))(x)
    assert_allclose(value, exact[0], rtol=3e-14)
    assert_allclose(slope, exact[1], rtol=3e-14)


def test_polygamma_beyond_the_third_order_at_negative_arguments():
    """The derivative of the third: by reflection."""
    x = np.array([-0.3, -1.6, -7.45])
    slope = pb.grad(lambda x: pb.sum(pb.polygamma(3, x)))(x)
    assert_allclose(slope, [float(mpmath.polygamma(4, v)) for v in x], rtol=1e-12)
    with pytest.raises(pb.ShapeError, match="nonnegative"):
        pb.polygamma(-1, 2.0)


def test_entropies_at_their_edges():
    x = np.array([0.0, -0.0, 1.0, -1.0, np.nan, np.inf, 0.0, 2.0, 0.0, 1.0, np.nan, 0.0])
    y = np.array([0.0, 3.0, 0.0, 1.0, 1.0, 1.0, np.nan, -1.0, -2.0, np.inf, 0.0, np.inf])
    for name in ("rel_entr", "kl_div"):
        assert_allclose(pb.compile(getattr(pb, name))(x, y)[:5], getattr(scipy.special, name)(x, y)[:5], err_msg=name)
    assert_allclose(pb.compile(pb.entr)(x), scipy.special.entr(x))
    p = np.array([0.0, 0.25, 0.75])
    gradient = pb.grad(lambda p, q: pb.sum(pb.kl_div(p, q)), argnums=(0, 1))(p, np.array([0.5, 0.25, 0.25]))
    assert_allclose(gradient[0][1:], [0.0, np.log(3)], atol=1e-16)
    assert_allclose(gradient[1], [1.0, 0.0, -2.0])


def test_log_softmax_where_softmax_underflows():
    x = np.array([[0.0, -1000.0, 3.0], [-np.inf, -np.inf, -np.inf], [1e300, 0.0, -1e300]])
    found = pb.compile(lambda x: pb.log_softmax(x, axis=1))(x)
    assert_allclose(found[0], scipy.special.log_softmax(x[0]))
    assert (found[1] == -np.inf).all() and found[2].tolist() == [0.0, -1e300, -2e300]
    gradient = pb.grad(lambda x: pb.log_softmax(x, axis=-1)[1])(x[0])
    assert_allclose(gradient, [-scipy.special.softmax(x[0])[0], 1.0, -scipy.special.softmax(x[0])[2]])


def test_tails_of_the_normal_distribution_and_their_derivatives():
    """Where probability and density underflow, their quotient does not."""
    x = np.array([-1e8, -200.0, -40.0, -5.0, 0.0, 5.0, 30.0])
    value, slope = pb.value_and_grad(lambda x: pb.sum(pb.log_ndtr(x)))(x)
    curvature = pb.grad(lambda x: pb.sum(pb.grad(lambda x: pb.sum(pb.log_ndtr(x)))(x)))(x)

    def mills(v):
        if v < -1e3:
            return -v - 1 / v * 1
        return mpmath.npdf(v) / mpmath.ncdf(v)

    with mpmath.workdps(400):
        exact = [mills(mpmath.mpf(v)) for v in x]
        assert_allclose(slope, [float(m) for m in exact], rtol=2e-15)
        bent = [-m * (v + m) for m, v in zip(exact[1:], map(mpmath.mpf, x[1:]), strict=True)]
        assert_allclose(curvature[1:], [float(b) for b in bent], rtol=1e-12)
    assert np.isfinite(value)
    p = np.array([1e-300, 1e-20, 0.3, 0.5, 1 - 1e-10])
    slope = pb.grad(lambda p: pb.sum(pb.ndtri(p)))(p)
    with mpmath.workdps(40):
        density = [mpmath.npdf(mpmath.mpf(v)) for v in scipy.special.ndtri(p[1:])]
    assert_allclose(slope[1:], [float(1 / d) for d in density], rtol=1e-13)
    assert_allclose(slope[0] * 1e-300 * -scipy.special.ndtri(1e-300), 1.0, rtol=1e-3)


def test_derivatives_with_tails_print_as_mathematics():
    x = pb.Var("x", (), "float64")
    assert "exp(-x*x)" in repr(pb.grad(pb.erf(x), x))
    assert "exp_product" not in pb.grad(pb.ndtr(x), x)._repr_latex_()


def test_numpy_dispatch_and_integers():
    x = pb.Var("x")
    f = pb.compile([np.i0(x), pb.gamma(x), pb.special.logsumexp(x)])
    found = f(x=np.array([1, 2, 5]))
    assert_allclose(found[0], np.i0([1.0, 2.0, 5.0]))
    assert found[1].tolist() == [1.0, 1.0, 24.0]
    assert_allclose(found[2], scipy.special.logsumexp([1, 2, 5]))
