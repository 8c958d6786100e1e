"""Routines against mpmath: random points over the whole range, subnormals, and where rounding is hardest."""

from __future__ import annotations

import numpy as np
import pytest
from routine_evaluator import evaluate

from pullback.codegen.mathematics import FUNCTIONS, routine

mpmath = pytest.importorskip("mpmath")
mp, mpf = mpmath.mp, mpmath.mpf


def even(lo, hi, n=300):
    return np.random.default_rng(1).uniform(lo, hi, n)


def wide(lo, hi, n=300, signed=True):
    """Points with uniform decimal exponents."""
    random = np.random.default_rng(2)
    return 10 ** random.uniform(lo, hi, n) * (random.choice([-1, 1], n) if signed else 1)


def multiples():
    """The floats next to multiples of pi/2, where the remainder is smallest."""
    return np.array([float(mp.pi / 2 * int(k)) for k in 10 ** np.random.default_rng(3).uniform(0, 12, 300)])


def pairs(*columns):
    return np.stack([np.concatenate(c) for c in columns])


REALS = np.concatenate([even(-3, 3), wide(-320, 308), wide(-45, 38), wide(-5, 2)])
POSITIVE = np.concatenate([even(0, 3), wide(-320, 308, signed=False), wide(-45, 38, signed=False), even(0.99, 1.01)])
EXPONENTS = np.concatenate([even(-745, 710), even(-103, 89), even(-1, 1), even(-40, 40), wide(-320, 3)])
ANGLES = np.concatenate([even(-10, 10), even(-1000, 1000), wide(-300, 5), multiples()])
UNIT = np.concatenate([even(-1, 1), wide(-320, 0), 1 - wide(-16, 0, signed=False)])
GAMMA = np.concatenate([even(0, 10, 150), even(0.5, 3, 150), wide(-6, 6, 100, signed=False)])
RANDOM = np.random.default_rng(4)


def softplus(x):
    return mpmath.log1p(mpmath.exp(x))


def erfc(x):
    return mpmath.erfc(x) if abs(x) < 100 else mpf(0 if x > 0 else 2)


def erfcx(x):
    if x > 1e6:
        return mpmath.hyp2f0(1, 0.5, -(x**-2)) / (x * mpmath.sqrt(mpmath.pi))
    return mpmath.exp(x * x) * mpmath.erfc(x)


def log_ndtr(x):
    if x > -30:
        return mpmath.log1p(-mpmath.ncdf(-x)) if x > 0 else mpmath.log(mpmath.ncdf(x))
    return mpmath.log(erfcx(-x / mpmath.sqrt(2)) / 2) - x * x / 2


def erfcinv(x):
    """By Newton's method on log erfc in the tail."""
    if x > 0.1:
        return mpmath.erfinv(1 - x)
    start = mpmath.sqrt(-mpmath.log(x)) - mpmath.log(1 - mpmath.log(x)) / (4 * mpmath.sqrt(-mpmath.log(x)))
    return mpmath.findroot(lambda y: mpmath.log(mpmath.erfc(y) / x), start)


def scaled_bessel(order, x):
    return mpmath.besseli(order, x) * mpmath.exp(-abs(x))


# op -> (points, mpmath's function, ulps allowed)
CASES = {
    "exp": (EXPONENTS, mpmath.exp, 1.1),
    "exp2": (np.concatenate([EXPONENTS, even(-1074, 1023)]), lambda x: mpf(2) ** x, 1.1),
    "expm1": (EXPONENTS, mpmath.expm1, 1.5),
    "log": (POSITIVE, mpmath.log, 1.0),
    "log2": (POSITIVE, lambda x: mpmath.log(x, 2), 1.0),
    "log10": (POSITIVE, mpmath.log10, 1.0),
    "log1p": (np.concatenate([POSITIVE, even(-1, 0), wide(-320, -1)]), mpmath.log1p, 1.5),
    "tanh": (REALS, mpmath.tanh, 1.6),
    "sigmoid": (EXPONENTS, lambda x: 1 / (1 + mpmath.exp(-x)), 1.6),
    "sinh": (EXPONENTS, mpmath.sinh, 1.7),
    "cosh": (EXPONENTS, mpmath.cosh, 1.7),
    "sech": (EXPONENTS, mpmath.sech, 2.0),
    "softplus": (EXPONENTS, softplus, 1.9),
    "asinh": (REALS, mpmath.asinh, 1.7),
    "acosh": (np.concatenate([1 + wide(-16, 0, signed=False), wide(0, 308, signed=False)]), mpmath.acosh, 2.1),
    "atanh": (UNIT, mpmath.atanh, 1.7),
    "logaddexp": (pairs([even(0, 50), wide(-3, 2)], [RANDOM.uniform(0, 50, 300), even(0, 9)]),
                  lambda x, y: x + softplus(y - x), 1.9),
    "sin": (ANGLES, mpmath.sin, 1.0),
    "cos": (ANGLES, mpmath.cos, 1.0),
    "tan": (ANGLES, mpmath.tan, 1.2),
    "sinc": (np.concatenate([even(-5, 5), even(-100, 100), wide(-300, 0)]), mpmath.sincpi, 2.3),
    "asin": (UNIT, mpmath.asin, 1.2),
    "acos": (UNIT, mpmath.acos, 1.2),
    "atan": (REALS, mpmath.atan, 1.0),
    "atan2": (pairs([even(-3, 3), wide(-300, 300), wide(-44, 38)],
                    [RANDOM.uniform(-3, 3, 300), wide(-300, 300)[::-1], even(-1, 1)]),
              mpmath.atan2, 1.3),
    "erf": (np.concatenate([even(-6, 6), even(-1, 1), wide(-320, 1)]), mpmath.erf, 1.5),
    "erfc": (np.concatenate([even(-6, 28), even(-1, 11), wide(-320, 1)]), erfc, 3.5),
    "erfinv": (UNIT, mpmath.erfinv, 4.0),
    "erfcinv": (np.concatenate([even(0, 2), wide(-307, 0, signed=False)]), lambda x: erfcinv(x), 4.0),
    "erfcx": (np.concatenate([even(-26, 30), wide(-320, 300), even(-2, 12)]), erfcx, 3.5),
    "ndtr": (np.concatenate([even(-38, 9), even(-2, 2), wide(-320, 1)]), lambda x: mpmath.ncdf(x), 3.5),
    "log_ndtr": (np.concatenate([even(-50, 38), even(-2, 2), -wide(0, 150, signed=False)]), log_ndtr, 3.5),
    "exp_product": (pairs([even(-26, 26), wide(-3, 3)], [RANDOM.uniform(-26, 26, 300), RANDOM.uniform(-0.7, 0.7, 300)]),
                    lambda x, y: mpmath.exp(x * y), 1.0),
    "gamma": (np.concatenate([even(0, 20), even(-20, 172), wide(-300, 0)]), mpmath.gamma, 6.0),
    "i0": (np.concatenate([even(-12, 12), wide(-300, 2.85)]), lambda x: mpmath.besseli(0, x), 4.0),
    "i0e": (np.concatenate([even(-12, 12), wide(-300, 12)]), lambda x: scaled_bessel(0, x), 4.0),
    "i1": (np.concatenate([even(-12, 12), wide(-300, 2.85)]), lambda x: mpmath.besseli(1, x), 4.0),
    "i1e": (np.concatenate([even(-12, 12), wide(-300, 12)]), lambda x: scaled_bessel(1, x), 4.0),
    "cbrt": (REALS, lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), 0.6),
    "hypot": (pairs([REALS], [RANDOM.permutation(REALS)]), mpmath.hypot, 1.1),
    "power": (pairs([even(0, 3), wide(-300, 300, signed=False), 1 + wide(-15, -1) / 2, wide(-44, 38, signed=False)],
                    [RANDOM.uniform(-300, 300, 300), wide(-5, 1)[::-1], wide(-2, 12), RANDOM.uniform(-9, 9, 300)]),
              mpmath.power, 0.8),
    "gammaln": (GAMMA, mpmath.loggamma, 3.0),
    "digamma": (np.concatenate([GAMMA, -even(0, 0.4, 50), -even(0.6, 1.4, 50)]), mpmath.digamma, 6.0),
    "polygamma1": (np.concatenate([GAMMA, -even(0, 9, 50)]), lambda x: mpmath.polygamma(1, x), 5.0),
    "polygamma2": (GAMMA, lambda x: mpmath.polygamma(2, x), 6.0),
    "polygamma3": (np.concatenate([GAMMA, -even(0, 9, 50)]), lambda x: mpmath.polygamma(3, x), 16.0),
}


def ulps(got, exact, dtype):
    """The distance of `got` from the exact number in units of its last place; 0 where an overflow is due."""
    nearest = np.array(float(exact)).astype(dtype)[()]
    if np.isinf(nearest) or np.isinf(got):
        return 0.0 if got == nearest else np.inf
    return float(abs(mpf(float(got)) - exact) / mpf(float(np.spacing(abs(nearest)))))


def test_every_routine_is_measured():
    assert set(CASES) | {"fmod"} == set(FUNCTIONS)


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("op", CASES)
def test_accuracy(op, dtype):
    points, exactly, allowed = CASES[op]
    with np.errstate(over="ignore", under="ignore"):
        columns = np.atleast_2d(points).astype(dtype)
    columns = columns[:, np.isfinite(columns).all(axis=0)]
    if op in ("sin", "cos", "tan") and dtype == "float32":
        columns = columns[:, abs(columns[0]) < 2.0**18]
    got = evaluate(routine(op, dtype), *columns)
    worst = (0.0, None, None)
    with mp.workprec(200):
        for arguments, value in zip(columns.T.tolist(), got, strict=True):
            if len(arguments) == 2 and 0 in arguments:       # mpmath has no signed zeros
                continue
            try:
                exact = exactly(*map(mpf, arguments))
            except (ValueError, ZeroDivisionError):      # a pole
                continue
            if mpmath.isfinite(exact) and not isinstance(exact, mpmath.mpc):
                worst = max(worst, (ulps(value, exact, dtype), arguments, value), key=lambda found: found[0])
    assert worst[0] <= allowed, f"{op} {dtype}: {worst[0]:.3f} ulp at {worst[1]}: {worst[2]!r}"


def test_negative_arguments_of_gammaln_are_near_in_absolute_terms():
    points = -even(0, 20)
    exact = np.array([float(mpmath.log(abs(mpmath.gamma(mpf(x))))) for x in points.tolist()])
    np.testing.assert_allclose(evaluate(routine("gammaln", "float64"), points), exact, rtol=1e-14, atol=1e-14)
