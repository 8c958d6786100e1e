"""Literal half-integer and small negative powers, which are written as roots, quotients and products."""

import mpmath
import numpy as np
import pytest

import pullback as pb

EXPONENTS = (-0.5, 1.5, -1.5, 2.5, -2.5, 3.5, -2, -3, -4)
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -2.0, 5e-324, 1e-310, 1e308, 1.0])


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_they_are_right_to_4_ulp(exponent, dtype):
    draw = np.random.default_rng(3)
    wide = 60 if dtype == "float64" else 8
    x = np.concatenate([draw.uniform(0.5, 2, 300), 10.0 ** draw.uniform(-wide, wide, 300)]).astype(dtype)
    got = pb.compile(lambda x: x**exponent)(x)
    with mpmath.workdps(40):
        exact = [mpmath.mpf(float(v)) ** exponent for v in x]
        error = [float(abs(mpmath.mpf(float(g)) - e)) for g, e in zip(got, exact, strict=True)]
    assert got.dtype == dtype and (np.array(error) <= 4 * np.spacing(np.abs(got))).all()


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_special_values_are_those_of_c(exponent):
    with np.errstate(all="ignore"):
        want = SPECIAL**exponent
    got = pb.compile(lambda x: x**exponent)(SPECIAL)
    np.testing.assert_array_equal(np.signbit(got[~np.isnan(want)]), np.signbit(want[~np.isnan(want)]))
    np.testing.assert_allclose(got, want, rtol=1e-15)


def test_the_slopes_are_those_of_a_power():
    x = np.linspace(0.3, 3, 17)
    slope, curvature = pb.compile(lambda x: (pb.grad(lambda x: pb.sum(x**-1.5))(x),
                                             pb.grad(lambda x: pb.sum(pb.grad(lambda x: pb.sum(x**-1.5))(x)))(x)))(x)
    np.testing.assert_allclose(slope, -1.5 * x**-2.5, rtol=1e-14)
    np.testing.assert_allclose(curvature, 3.75 * x**-3.5, rtol=1e-14)


def test_no_routine_of_powers_is_left():
    x = np.ones(8)
    text = pb.compile(lambda x: x**-1.5 + x**2.5).lower(x).as_text("cpu")
    assert "power_float64(" not in text and "sqrt(" in text
