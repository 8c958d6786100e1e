"""A naive formula for each rule of `dsl.stable_rules`, what it means exactly, and where it is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

from pullback.dsl.namespace import PUBLIC

RANDOM = np.random.default_rng(7)
mp = mpmath.mp


def wide(low: float, high: float, signs: bool = True, count: int = 40) -> np.ndarray:
    """Numbers of any size between 10**low and 10**high."""
    sign = RANDOM.choice([-1.0, 1.0], count) if signs else 1.0
    return sign * 10 ** RANDOM.uniform(low, high, count)


def even(low: float, high: float, count: int = 40) -> np.ndarray:
    return RANDOM.uniform(low, high, count)


def near_each_other(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    x = even(low, high)
    return x, x * (1 + wide(-7, -1))


@dataclass(frozen=True)
class Case:
    """The formula `written` of `args`, what it means on numbers of mpmath (`exact`; of a row of them where `rows`),
    `points`, one array for each argument, which lie in `domain`, and its `slope` in the first argument where the rule
    serves derivatives, which may be wrong by `bound` epsilons. Errors are relative to the value, but to `floor` where
    it is smaller.
    """

    rule: str
    args: str
    written: str
    exact: Callable[..., Any]
    domain: str
    points: tuple[np.ndarray, ...]
    slope: Callable[..., Any] | None = None
    rows: bool = False
    floor: float = 0.0
    dtypes: tuple[str, ...] = ("float64", "float32")
    bound: float = 16

    @property
    def naive(self) -> Callable[..., Any]:
        """The formula on expressions."""
        return eval(f"lambda {self.args}: {self.written}", dict(PUBLIC))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def slope_of_sigmoid(x: Any) -> Any:
    return sigmoid(x) * sigmoid(-x)


def mean(x: Any) -> Any:
    return mpmath.fsum(x) / len(x)


CASES = (
    Case("log(1 + x)", "x", "log(1 + x)", mpmath.log1p, "1e-18 < x < 1e3", (wide(-18, 3, False),)),
    Case("log(1 - x)", "x", "log(1 - x)", lambda x: mpmath.log1p(-x), "1e-18 < x < 0.9", (wide(-18, -0.05, False),)),
    Case("log(1 + exp(x))", "x", "log(1 + exp(x))", lambda x: mpmath.log1p(mpmath.exp(x)), "|x| < 80",
         (even(-80, 80),), sigmoid),
    Case("log(exp(a) + exp(b))", "a, b", "log(exp(a) + exp(b))",
         lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)), "1 < |a|, |b| < 1e4", (wide(0, 4), wide(0, 4)),
         lambda a, b: sigmoid(a - b), bound=1000),      # of a difference that is rounded
    Case("log(1 + exp(x))", "x", "log1p(exp(x))", lambda x: mpmath.log1p(mpmath.exp(x)), "1 < x < 1e4",
         (wide(0, 4, False),), sigmoid),
    Case("log(1 - exp(x))", "x", "log(1 - exp(x))", lambda x: mpmath.log(-mpmath.expm1(x)), "1e-18 < -x < 80",
         (-wide(-18, 1.9, False),), lambda x: -1 / mpmath.expm1(-x)),
    Case("log(sum(exp(x)))", "x", "log(sum(exp(x), axis=1))",
         lambda x: mpmath.log(mpmath.fsum(map(mpmath.exp, x))), "8 elements, 1 < |x| < 1e4",
         (wide(0, 4, count=320),), rows=True),
    Case("log(sigmoid(x))", "x", "log(sigmoid(x))", lambda x: -mpmath.log1p(mpmath.exp(-x)), "|x| < 80",
         (even(-80, 80),), lambda x: sigmoid(-x)),
    Case("log(softmax(x))", "x", "sum(log(softmax(x, axis=1)), axis=1)",
         lambda x: mpmath.fsum(x) - len(x) * mpmath.log(mpmath.fsum(map(mpmath.exp, x))), "8 elements, 1 < |x| < 1e3",
         (wide(0, 3, count=320),), rows=True,
         floor=1.0),
    Case("log(cosh(x))", "x", "log(cosh(x))", lambda x: mpmath.log(mpmath.cosh(x)), "1e-9 < |x| < 1e4",
         (wide(-9, 4),), mpmath.tanh),
    Case("x*log(x)", "x", "x * log(x)", lambda x: x * mpmath.log(x) if x else mpmath.mpf(0), "0 and 1e-30 < x < 10",
         (np.append(wide(-30, 1, False), 0.0),), lambda x: mpmath.log(x) + 1 if x else None),
    Case("exp(x) - 1", "x", "exp(x) - 1", mpmath.expm1, "1e-18 < |x| < 80", (wide(-18, 1.9),)),
    Case("1 - cos(x)", "x", "1 - cos(x)", lambda x: 2 * mpmath.sin(x / 2) ** 2, "1e-9 < |x| < 10",
         (wide(-9, 1),)),
    Case("cosh(x) - 1", "x", "cosh(x) - 1", lambda x: 2 * mpmath.sinh(x / 2) ** 2, "1e-9 < |x| < 10",
         (wide(-9, 1),)),
    Case("1 - sigmoid(x)", "x", "1 - sigmoid(x)", lambda x: sigmoid(-x), "|x| < 80",
         (even(-80, 80),), lambda x: -slope_of_sigmoid(x)),
    Case("1 - erf(x)", "x", "1 - erf(x)", mpmath.erfc, "|x| < 9", (even(-9, 9),)),
    Case("1 + erf(x)", "x", "0.5 * (1 + erf(x))", lambda x: mpmath.erfc(-x) / 2, "|x| < 9", (even(-9, 9),)),
    Case("mean(x**2) - mean(x)**2", "x", "mean(x**2, axis=1) - mean(x, axis=1) ** 2",
         lambda x: mean([(v - mean(x)) ** 2 for v in x]), "8 elements of 1000 ± 1", (even(999, 1001, 320),), rows=True),
    Case("a**2 - b**2", "a, b", "a**2 - b**2", lambda a, b: a**2 - b**2, "|a/b - 1| down to 1e-7",
         near_each_other(1, 1000)),
    *(Case("sqrt(x**2)", "x", "sqrt(x * x)", abs, f"1e-{k} < |x| < 1e{k}", (wide(-k, k),), mpmath.sign, dtypes=(d,))
      for d, k in (("float64", 300), ("float32", 30))),
    *(Case("sqrt(x**2 + y**2)", "x, y", "sqrt(x**2 + y**2)", mpmath.hypot, f"1e-{k} < |x|, |y| < 1e{k}",
           (wide(-k, k), wide(-k, k)), lambda x, y: x / mpmath.hypot(x, y), dtypes=(d,))
      for d, k in (("float64", 300), ("float32", 30))),
    Case("(x**a)**b", "x", "(x**5) ** 7", lambda x: x**35, "0.5 < x < 2", (even(0.5, 2),)),
    Case("x**a * x**b", "x", "x**2.25 * x**9.5", lambda x: x ** mpmath.mpf("11.75"), "0.5 < x < 2",
         (even(0.5, 2),)),
    Case("1/(1 + exp(-x))", "x", "1 / (1 + exp(-x))", sigmoid, "1 < |x| < 1e3",
         (np.append(wide(0, 3), [-900.0, 900.0]),), slope_of_sigmoid),
    Case("exp(x)/(1 + exp(x))", "x", "exp(x) / (1 + exp(x))", sigmoid, "1 < |x| < 1e3",
         (np.append(wide(0, 3), [-900.0, 900.0]),), slope_of_sigmoid),
)
