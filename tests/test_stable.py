"""Naive formulas keep their digits: every rule against mpmath, at special values, in loops, and switched off.

The table of errors in docs/numerics.md is written anew by

    python tests/test_stable.py
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import mpmath
import numpy as np
import pytest
from stable_cases import CASES, Case

import pullback as pb
from pullback.dsl.stable_rules import RULES

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "numerics.md"
BY_NAME = {rule.before: rule for rule in RULES}
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -2.0, 3.0])


# ---- accuracy ---------------------------------------------------------------------------------------------------
def arrays_of(case: Case, dtype: str) -> list[np.ndarray]:
    arrays = [p.astype(dtype) for p in case.points]
    return [a.reshape(-1, 8) for a in arrays] if case.rows else arrays


@cache
def measured(dtype: str, stable: bool) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """The value and the derivative in the first argument of every case, by one program."""
    cases = [c for c in CASES if dtype in c.dtypes]

    def program(groups):
        values = [c.naive(*group) for c, group in zip(cases, groups, strict=True)]
        slopes = [pb.grad(lambda x, rest=tuple(group[1:]), c=c: pb.sum(c.naive(x, *rest)))(group[0])
                  for c, group in zip(cases, groups, strict=True) if c.slope]
        return values, slopes

    values, slopes = pb.compile(program, stable=stable)([arrays_of(c, dtype) for c in cases])
    rest = iter(slopes)
    return [(value, next(rest) if case.slope else None) for case, value in zip(cases, values, strict=True)]


@cache
def exactly(number: int, dtype: str) -> list[tuple]:
    case = CASES[number]
    with mpmath.workdps(60):
        found = []
        for point in zip(*(a.tolist() for a in arrays_of(case, dtype)), strict=True):
            point = [list(map(mpmath.mpf, p)) if case.rows else mpmath.mpf(p) for p in point]
            found.append((case.exact(*point), case.slope(*point) if case.slope else None))
        return found


def worst(found: np.ndarray, exact: list, floor: float, dtype: str) -> float:
    """The largest relative error; infinite for an overflow or a NaN that should be a number."""
    floor = max(floor, float(np.finfo(dtype).tiny))
    errors = [abs(mpmath.mpf(v) - e) / max(abs(e), floor) if np.isfinite(v) else mpmath.inf
              for v, e in zip(found.tolist(), exact, strict=True) if e is not None]
    return float(max(errors))


def errors(number: int, dtype: str) -> list[float | None]:
    """Of the value before and after, and of the derivative; None where it is not measured."""
    case = CASES[number]
    if dtype not in case.dtypes:
        return [None] * 4
    place = [c for c in CASES if dtype in c.dtypes].index(case)
    values, slopes = zip(*exactly(number, dtype), strict=True)
    with mpmath.workdps(60):
        pairs = [measured(dtype, stable)[place] for stable in (False, True)]
        return [*(worst(v, values, case.floor, dtype) for v, _ in pairs),
                *(worst(s, slopes, case.floor, dtype) if s is not None else None for _, s in pairs)]


def test_every_rule_is_measured():
    assert {c.rule for c in CASES} == set(BY_NAME)
    assert all(not c.slope or BY_NAME[c.rule].differentiated for c in CASES)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: CASES[n].rule)
def test_the_rule_is_better(number, dtype):
    case, found = CASES[number], errors(number, dtype)
    if found[0] is None:
        return
    eps = float(np.finfo(dtype).eps)
    gain = found[0] / found[1] if found[1] else np.inf
    slope_gain = found[2] / found[3] if found[2] is not None and found[3] else 1.0
    assert max(gain, slope_gain) > 1, found
    assert found[1] <= max(found[0], 2 * eps) and found[1] < 8 * eps, found
    assert found[3] is None or found[3] <= max(found[2], 8 * eps) and found[3] < case.bound * eps, found


def text_of(value: float | None) -> str:
    return "" if value is None else "∞" if not np.isfinite(value) else f"{value:.0e}"


def table() -> str:
    """The table of the document."""
    head = ["| written | computed as | where | float64 | | derivative | | float32 | | derivative | |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            "| | | | before | after | before | after | before | after | before | after |"]
    rows = []
    for number, case in enumerate(CASES):
        cells = [*errors(number, "float64"), *errors(number, "float32")]
        after = BY_NAME[case.rule].after
        rows.append(f"| `{case.written}` | `{after}` | {case.domain.replace('|', chr(92) + '|')} | "
                    + " | ".join(map(text_of, cells)) + " |")
    return "\n".join([*head, *rows]) + "\n"


def with_table(text: str) -> str:
    start, end = (f"<!-- {word} of the table -->\n" for word in ("start", "end"))
    before, rest = text.split(start)
    return before + start + table() + end + rest.split(end)[1]


def test_the_document_is_current():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == with_table(text), f"see the head of {Path(__file__).name}"


# ---- what must not change ---------------------------------------------------------------------------------------
LIMITS = {"x*log(x)": lambda x: x == 0, "exp(x)/(1 + exp(x))": lambda x: x == np.inf}


def same_bits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.isnan(a) & np.isnan(b) | (a == b) & (np.signbit(a) == np.signbit(b))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: CASES[n].rule)
def test_nan_infinity_and_signed_zeros_of_the_inputs_stay(number, dtype):
    case = CASES[number]
    grid = np.array(np.meshgrid(*[SPECIAL] * len(case.points))).reshape(len(case.points), -1).astype(dtype)
    if case.rows:
        pairs = np.array(np.meshgrid(SPECIAL, SPECIAL)).reshape(2, -1).T.astype(dtype)
        grid = [np.repeat(pairs, 4, axis=1)]
    kept, written = (pb.compile(case.naive, stable=s)(*grid) for s in (True, False))
    finite = np.isfinite(written) & (written != 0)
    same = same_bits(kept, written) | finite & np.isclose(kept, written, rtol=1e-2)
    if case.rows and case.rule.startswith("mean"):      # rounding of equal elements' means is what the rule removes
        same |= np.isclose(kept, written, atol=1e-5)
    limit = LIMITS[case.rule](grid[0]) if case.rule in LIMITS else np.zeros(len(same), bool)
    assert (same | limit).all(), [(*[g[i] for g in grid], kept[i], written[i]) for i in np.flatnonzero(~same & ~limit)]
    if limit.any():
        assert BY_NAME[case.rule].limit
        assert np.isnan(written[limit]).all() and np.isfinite(kept[limit]).all()


X = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, -2.5, 1e-310, 1e200, 3.0])
AS_WRITTEN = [
    lambda x, y: x / x, lambda x, y: pb.sqrt(x) ** 2, lambda x, y: x**-3.5 * x**5.5, lambda x, y: x**0.5 * x**1.5,
    lambda x, y: x * pb.log(y), lambda x, y: x * x - x * x, lambda x, y: (x**2.5) ** 2, lambda x, y: x**5.0 * x**1.5,
    lambda x, y: pb.log(2 + x), lambda x, y: pb.exp(x) - 2, lambda x, y: pb.sqrt(x * x + 1),
]


@pytest.mark.parametrize("number", range(len(AS_WRITTEN)))
def test_what_no_rule_may_touch(number):
    f = AS_WRITTEN[number]
    compiled = pb.compile(f)
    a, b = compiled(X, X[::-1].copy()), pb.compile(f, stable=False)(X, X[::-1].copy())
    assert same_bits(a, b).all()
    assert "kept stable" not in compiled.explain()


def test_a_sum_over_nothing_keeps_its_value():
    f = pb.compile(lambda x: pb.log(pb.sum(pb.exp(x))))
    assert f(np.zeros(0)) == -np.inf and f(np.zeros(2)) == np.log(2) and f(np.full(3, 900.0)) == 900 + np.log(3)
    assert pb.compile(lambda x: pb.mean(x * x) - pb.mean(x) ** 2)(np.ones(1)) == 0


def test_softmax_by_hand_is_not_shifted_twice():
    f = pb.compile(lambda x: pb.log(pb.sum(pb.exp(x - pb.max(x, axis=1, keepdims=True)), axis=1)))
    f(np.ones((3, 4)))
    assert "kept stable" not in f.explain()


# ---- derivatives, loops, the switch -----------------------------------------------------------------------------
def test_binary_cross_entropy_of_a_naive_sigmoid():
    """log(p) and log(1 - p) of a saturated p: value and both derivatives at logits that overflow exp."""
    z, t = np.array([-2000.0, -30.0, 0.3, 40.0, 900.0]), np.array([1.0, 0.0, 1.0, 1.0, 0.0])

    def loss(z):
        p = 1 / (1 + pb.exp(-z))
        return -pb.sum(t * pb.log(p) + (1 - t) * pb.log(1 - p))

    value, slope = pb.value_and_grad(loss)(z)
    with mpmath.workdps(40):
        terms = [mpmath.log1p(mpmath.exp(-v if u else v)) for v, u in zip(z.tolist(), t.tolist(), strict=True)]
        slopes = [float(1 / (1 + mpmath.exp(-v)) - u) for v, u in zip(map(mpmath.mpf, z.tolist()), t, strict=True)]
    np.testing.assert_allclose(value, float(mpmath.fsum(terms)), rtol=1e-15)
    np.testing.assert_allclose(slope, slopes, rtol=1e-14)
    np.testing.assert_allclose(np.diag(pb.hessian(loss)(z))[1:4], [9.357622968839299e-14, 0.24445831169074586,
                                                                    4.248354255291589e-18], rtol=1e-12)


def test_the_derivative_keeps_digits_of_its_own():
    """That of a**2 - b**2 is 2a, whatever b: it is not taken of the product of differences."""
    slope = pb.grad(lambda a, b: a**2 - b**2)
    assert slope(1e-20, 3.0) == 2e-20
    assert pb.grad(lambda x: 1 - pb.cos(x))(1e-30) == 1e-30


def test_naive_softplus_in_a_loop_and_its_derivative():
    def f(x):
        return pb.fori_loop(0, 3, lambda i, c: pb.log(1 + pb.exp(c + x)), x)

    def exact(x):
        with mpmath.workdps(50):
            c, slope = mpmath.mpf(x), mpmath.mpf(1)
            for _ in range(3):
                slope = (slope + 1) / (1 + mpmath.exp(-c - x))
                c = mpmath.log1p(mpmath.exp(c + x))
            return float(c), float(slope)

    for x in (-200.0, -3.0, 2.0, 500.0, 1e5):
        np.testing.assert_allclose(pb.value_and_grad(f)(x), exact(x), rtol=1e-13)


def test_in_a_branch_and_under_while_and_vmap():
    f = pb.compile(lambda x: pb.cond(x > 0, lambda: pb.log(1 + pb.exp(x)), lambda: pb.exp(x) - 1))
    assert f(1000.0) == 1000.0 and f(-1e-20) == -1e-20
    g = pb.compile(lambda x: pb.while_loop(lambda c: c < 5000, lambda c: c + pb.log(1 + pb.exp(c)), x))
    assert g(800.0) == 6400.0
    h = pb.compile(pb.vmap(lambda x: pb.log(pb.sum(pb.exp(x)))))
    np.testing.assert_allclose(h(np.full((2, 3), 1000.0)), 1000 + np.log(3))


def test_the_switch_and_the_list():
    def f(x):
        return pb.log(1 + pb.exp(x)) - pb.sqrt(x * x)

    kept, written = pb.compile(f), pb.compile(f, stable=False)
    assert kept(1000.0) == 0.0 and written(1000.0) == np.inf
    assert kept.stable and not written.stable
    line = f"{__file__}:{f.__code__.co_firstlineno + 1}"
    assert f"log(1 + exp(x)) as softplus(x) ({line})" in kept.explain()
    assert f"sqrt(x**2) as abs(x) ({line})" in kept.explain()
    assert "kept stable" not in written.explain()
    x = pb.Var("x")
    assert pb.compile(pb.log(1 + pb.exp(x)), stable=False)(x=1000.0) == np.inf
    assert np.isnan(pb.compile(lambda x: pb.grad(lambda x: 1 / (1 + pb.exp(-x)))(x), stable=False)(-1e5))


def test_expressions_of_numbers_and_printed_derivatives():
    assert float(pb.log(1 + pb.exp(pb.asarray(1000.0)))) == 1000.0
    x = pb.Var("x", (), "float64")
    assert pb.compile(pb.grad(pb.log(1 + pb.exp(x)), x))(x=-750.0) == 0.0
    assert pb.compile(pb.grad(pb.log(1 + pb.exp(x)), x))(x=750.0) == 1.0


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
