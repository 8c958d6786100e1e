"""Routines: their form, and the special values of C99."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from routine_evaluator import evaluate

from pullback.codegen.machine import LIBM, MACHINE
from pullback.codegen.mathematics import DOMAINS, FUNCTIONS, routine
from pullback.codegen.program import Literal
from pullback.dsl import ops

inf, nan = math.inf, math.nan
DTYPES = ("float64", "float32")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", FUNCTIONS)
def test_a_routine_is_a_straight_line_of_machine_operations(op, dtype):
    made = routine(op, dtype)
    assert made is not None
    known = dict.fromkeys(made.params, dtype)
    used = {made.result, made.domain}
    for let in made.body:
        assert len(let.args) == MACHINE[let.op]
        assert let.name not in known
        kinds = [a.dtype if isinstance(a, Literal) else known[a] for a in let.args]
        if let.op not in ("cast", "bitcast", "where"):
            assert len(set(kinds)) == 1, f"{op}: {let} mixes {kinds}"
        if let.op == "where":
            assert kinds == ["bool", let.dtype, let.dtype]
        if let.op == "bitcast":
            assert np.dtype(kinds[0]).itemsize == np.dtype(let.dtype).itemsize
        known[let.name] = let.dtype
        used.update(a for a in let.args if isinstance(a, str))
    assert known[made.result] == dtype
    assert {let.name for let in made.body} <= used, "an unused statement is left"
    assert (made.domain is not None) == (op in DOMAINS)


def test_a_row_without_a_routine_has_none():
    assert routine("add", "float64") is None
    assert routine("no_such_row", "float64") is None
    assert routine("exp", "int64") is None


def test_every_row_on_floats_can_be_computed():
    for name in ops.ROWS:
        if name.startswith("bitwise"):
            continue
        written = name in MACHINE or name in LIBM or routine(name, "float64") is not None
        assert written or ops.expansion(name, "float64"), f"no target can compute {name!r} on float64"


def test_what_leaves_its_domain_has_a_library_function():
    assert set(DOMAINS) <= set(LIBM)


SPECIAL = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (inf, inf), (-inf, 0.0), (1e4, inf), (-1e4, 0.0)],
    "exp2": [(0.0, 1.0), (3.0, 8.0), (-3.0, 0.125), (inf, inf), (-inf, 0.0), (1e4, inf), (-1e4, 0.0)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -1.0), (1e4, inf), (-1e4, -1.0)],
    "log": [(1.0, 0.0), (0.0, -inf), (-0.0, -inf), (inf, inf), (-1.0, nan), (-inf, nan)],
    "log2": [(1.0, 0.0), (8.0, 3.0), (0.125, -3.0), (0.0, -inf), (inf, inf), (-1.0, nan)],
    "log10": [(1.0, 0.0), (1000.0, 3.0), (0.0, -inf), (inf, inf), (-1.0, nan)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -inf), (inf, inf), (-2.0, nan), (-inf, nan)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0), (50.0, 1.0)],
    "sinh": [(0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -inf), (-1e4, -inf)],
    "cosh": [(0.0, 1.0), (inf, inf), (-inf, inf), (-1e4, inf)],
    "sech": [(0.0, 1.0), (-0.0, 1.0), (inf, 0.0), (-inf, 0.0), (1e4, 0.0)],
    "asinh": [(0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -inf)],
    "acosh": [(1.0, 0.0), (inf, inf), (0.5, nan), (-1.0, nan), (-inf, nan), (-3.0, nan)],
    "atanh": [(0.0, 0.0), (-0.0, -0.0), (1.0, inf), (-1.0, -inf), (1.5, nan), (-inf, nan)],
    "sigmoid": [(0.0, 0.5), (inf, 1.0), (-inf, 0.0), (-1e5, 0.0), (1e5, 1.0)],
    "softplus": [(inf, inf), (-inf, 0.0), (1e5, 1e5), (-1e5, 0.0)],
    "sin": [(0.0, 0.0), (-0.0, -0.0)],
    "cos": [(0.0, 1.0), (-0.0, 1.0)],
    "tan": [(0.0, 0.0), (-0.0, -0.0)],
    "sinc": [(0.0, 1.0), (-0.0, 1.0), (inf, 0.0), (0.5, 2 / math.pi)],
    "asin": [(0.0, 0.0), (-0.0, -0.0), (1.0, math.pi / 2), (-1.0, -math.pi / 2), (1.5, nan), (-inf, nan)],
    "acos": [(1.0, 0.0), (-1.0, math.pi), (0.0, math.pi / 2), (1.5, nan), (inf, nan)],
    "atan": [(0.0, 0.0), (-0.0, -0.0), (inf, math.pi / 2), (-inf, -math.pi / 2), (1.0, math.pi / 4)],
    "atan2": [(0.0, 0.0, 0.0), (-0.0, 0.0, -0.0), (0.0, -0.0, math.pi), (-0.0, -1.0, -math.pi),
              (1.0, 0.0, math.pi / 2),
              (-1.0, -0.0, -math.pi / 2), (inf, inf, math.pi / 4), (-inf, -inf, -3 * math.pi / 4), (1.0, inf, 0.0),
              (-1.0, -inf, -math.pi), (inf, 1.0, math.pi / 2), (nan, inf, nan), (0.0, nan, nan)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0)],
    "erfc": [(0.0, 1.0), (inf, 0.0), (-inf, 2.0), (30.0, 0.0)],
    "erfinv": [(0.0, 0.0), (-0.0, -0.0), (1.0, inf), (-1.0, -inf), (1.5, nan)],
    "erfcinv": [(0.0, inf), (1.0, 0.0), (2.0, -inf), (-1.0, nan), (3.0, nan)],
    "erfcx": [(0.0, 1.0), (inf, 0.0), (-inf, inf), (-30.0, inf)],
    "ndtr": [(0.0, 0.5), (inf, 1.0), (-inf, 0.0), (-50.0, 0.0)],
    "log_ndtr": [(inf, -0.0), (-inf, -inf), (60.0, -0.0)],
    "exp_product": [(0.0, inf, nan), (2.0, inf, inf), (-2.0, inf, 0.0), (-0.0, 3.0, 1.0), (1e200, 1e200, inf)],
    "gamma": [(0.0, inf), (-0.0, -inf), (-1.0, nan), (-2.0, nan), (inf, inf), (-inf, nan), (5.0, 24.0), (180.0, inf)],
    "i0": [(0.0, 1.0), (inf, inf), (-inf, inf), (800.0, inf)],
    "i0e": [(0.0, 1.0), (inf, 0.0), (-inf, 0.0)],
    "i1": [(0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -inf), (-800.0, -inf)],
    "i1e": [(0.0, 0.0), (-0.0, -0.0), (inf, 0.0), (-inf, -0.0)],
    "cbrt": [(0.0, 0.0), (-0.0, -0.0), (8.0, 2.0), (-27.0, -3.0), (inf, inf), (-inf, -inf)],
    "hypot": [(0.0, -0.0, 0.0), (3.0, -4.0, 5.0), (inf, nan, inf), (nan, -inf, inf), (nan, 1.0, nan)],
    "fmod": [(5.0, 3.0, 2.0), (-5.0, 3.0, -2.0), (5.0, -3.0, 2.0), (6.0, 3.0, 0.0), (-6.0, 3.0, -0.0),
             (-0.0, 1.0, -0.0),
             (1.0, 0.0, nan), (inf, 1.0, nan), (1.0, inf, 1.0), (-1.0, -inf, -1.0), (nan, 1.0, nan)],
    "logaddexp": [(-inf, -inf, -inf), (inf, inf, inf), (-inf, 1.0, 1.0), (1.0, inf, inf), (inf, -inf, inf),
                  (nan, 1.0, nan), (1.0, nan, nan)],
    "gammaln": [(1.0, 0.0), (2.0, 0.0), (0.0, inf), (-1.0, inf), (inf, inf)],
    "digamma": [(0.0, -inf), (-0.0, inf), (-1.0, nan), (inf, inf), (-inf, nan)],
    "polygamma1": [(0.0, inf), (inf, 0.0)],
    "polygamma2": [(0.0, -inf), (inf, -0.0)],
    "polygamma3": [(0.0, inf), (inf, 0.0)],
    "power": [(x, 0.0, 1.0) for x in (0.0, -1.0, inf, nan, -2.5)] + [(1.0, y, 1.0) for y in (inf, -inf, nan, 3.5)] + [
        (0.0, 3.0, 0.0), (-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0), (0.0, -1.0, inf), (-0.0, -3.0, -inf),
        (-0.0, -2.0, inf), (-0.0, 0.5, 0.0),
        (0.0, inf, 0.0), (0.0, -inf, inf), (-1.0, inf, 1.0), (-1.0, -inf, 1.0), (-1.0, nan, nan),
        (nan, 1.0, nan), (-2.0, 0.5, nan),
        (-2.0, 3.0, -8.0), (-2.0, 2.0, 4.0), (-2.0, -1.0, -0.5), (2.0, inf, inf), (0.5, inf, 0.0),
        (2.0, -inf, 0.0), (0.5, -inf, inf),
        (inf, 2.0, inf), (inf, -2.0, 0.0), (-inf, 3.0, -inf), (-inf, 2.0, inf), (-inf, -3.0, -0.0),
        (-inf, 0.5, inf), (-inf, -0.5, 0.0),
        (10.0, 400.0, inf), (-10.0, 401.0, -inf), (10.0, -400.0, 0.0), (-10.0, -401.0, -0.0)],
}


def test_special_values_are_listed_for_every_routine():
    assert set(SPECIAL) == set(FUNCTIONS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", FUNCTIONS)
def test_special_values(op, dtype):
    made = routine(op, dtype)
    columns = [np.array(c, dtype) for c in zip(*SPECIAL[op], strict=True)]
    got, want = evaluate(made, *columns[:-1]), columns[-1]
    unordinary = (want == 0) | ~np.isfinite(want)
    np.testing.assert_array_equal(got[unordinary], want[unordinary])
    np.testing.assert_array_equal(np.signbit(got[want == 0]), np.signbit(want[want == 0]))
    np.testing.assert_array_max_ulp(got[~unordinary], want[~unordinary], 2, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", [op for op in FUNCTIONS if op not in ("power", "hypot")])
def test_nan_in_nan_out(op, dtype):
    made = routine(op, dtype)
    for position in range(len(made.params)):
        columns = [np.array([nan if k == position else 0.5], dtype) for k in range(len(made.params))]
        assert np.isnan(evaluate(made, *columns)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", DOMAINS)
def test_the_domain_leaves_out_only_what_is_far(op, dtype):
    made = routine(op, dtype)
    holds = replace(made, result=made.domain)
    near = [np.array([0.0, 1.0, -100.0, nan], dtype), np.array([0.1, 0.0, 7.0, nan], dtype)][:len(made.params)]
    assert evaluate(holds, *near).all()
    far = [np.array([1e30, -1e30], dtype), np.array([1.0, -3.0], dtype)][:len(made.params)]
    assert not evaluate(holds, *far).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_integer_powers_are_exact(dtype):
    base, exponent = (a.ravel().astype(dtype) for a in np.meshgrid(np.arange(-30, 31), np.arange(0, 20)))
    want = base.astype("float64") ** exponent
    exact = np.abs(want) < 2.0 ** (53 if dtype == "float64" else 24)
    np.testing.assert_array_equal(evaluate(routine("power", dtype), base, exponent)[exact], want[exact])


@pytest.mark.parametrize("dtype", DTYPES)
def test_fmod_is_exact(dtype):
    random = np.random.default_rng(3)
    x, y = (10 ** random.uniform(-6, 6, 4000) * random.choice([-1, 1], 4000) for _ in range(2))
    x, y = x.astype(dtype), y.astype(dtype)
    made = routine("fmod", dtype)
    holds = evaluate(replace(made, result=made.domain), x, y)
    assert holds.mean() > 0.9
    np.testing.assert_array_equal(evaluate(made, x, y)[holds], np.fmod(x, y)[holds])


def test_the_generator_reproduces_the_tables():
    pytest.importorskip("mpmath")
    from pullback.codegen.mathematics import coefficients, tables

    made = coefficients.tables()
    assert made
    for name, formats in made.items():
        assert getattr(tables, name) == {dtype: tuple(numbers) for dtype, numbers in formats.items()}


def test_the_generator_rewrites_the_checked_in_file(tmp_path):
    pytest.importorskip("mpmath")
    from pullback.codegen.mathematics import coefficients, tables

    coefficients.write(tmp_path / "tables.py")
    with open(tables.__file__) as file:
        assert (tmp_path / "tables.py").read_text() == file.read()
