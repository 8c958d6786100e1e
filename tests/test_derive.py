"""Partials, by sympy and by hand, against numerical differentiation in as many digits as it takes."""

from pathlib import Path

import numpy as np
import pytest
import sympy
from table_of_rows import ArrayOps, derivative, exact, points

from pullback.dsl import derive, ops, partials
from pullback.dsl.errors import NotDifferentiable

DIFFERENTIABLE = [row for row in ops.ROWS.values() if row.meaning and not row.jumps and row.kind != "cast"]
CASES = [(row, i) for row in DIFFERENTIABLE if row.name != "stop_gradient"
         for i, partial in enumerate(ops.partials(row.name)) if partial]
PAIRS = [(row, i, j) for row, i in CASES for k, j in CASES if k is row and i <= j]
SPECIAL = [(row, *point) for row in ops.ROWS.values() for point in row.special if point[2]]
identify = lambda value: value.name if hasattr(value, "name") else str(value)  # noqa: E731


def orders(row, *wrt):
    return [wrt.count(i) for i in range(len(row.args))]


@pytest.mark.parametrize(("row", "i"), CASES, ids=identify)
def test_partial_over_the_domain(row, i):
    arrays = points(row)
    assert row.close(derivative(row, [i], arrays), exact(row, arrays, orders(row, i)), 16).all()


def close(row, wrt, arrays, factor):
    """A higher derivative within `factor` tolerances, relative to itself and to the derivatives of one order less."""
    found, wanted = derivative(row, wrt, arrays), exact(row, arrays, orders(row, *wrt))
    slope = sum(np.abs(derivative(row, wrt[:k] + wrt[k + 1:], arrays)) for k in range(len(wrt)))
    slack = np.where(np.isfinite(slope), factor * np.finfo(float).eps * slope, 0) + 1e-40    # noise of the exact one
    return row.close(found, wanted, factor) | np.isclose(found, wanted, rtol=0, atol=slack)


@pytest.mark.parametrize(("row", "i", "j"), PAIRS, ids=identify)
def test_second_derivative_over_the_domain(row, i, j):
    try:
        assert close(row, [i, j], points(row, 8), 64).all()
    except NotDifferentiable as error:
        assert str(error) == "polygamma3"


@pytest.mark.parametrize(("row", "i"), CASES, ids=identify)
def test_third_derivative_inside_the_domain(row, i):
    arrays = [a[: len(a) - len(row.edges)] for a in points(row, 6)]
    try:
        assert close(row, [i, i, i], arrays, 4096).all()
    except NotDifferentiable as error:
        assert str(error) == "polygamma3"


@pytest.mark.parametrize(("row", "point", "value", "slopes"), SPECIAL, ids=identify)
def test_partials_at_special_points(row, point, value, slopes):
    arrays = [np.asarray(v) for v in point]
    for i, slope in enumerate(slopes):
        if slope is not None:
            found = derivative(row, [i], arrays)
            assert row.close(found, np.asarray(slope), 16), (i, found)


def test_every_argument_of_a_row_has_a_partial_or_a_reason():
    for row in ops.ROWS.values():
        for argument, partial in zip(row.args, ops.partials(row.name), strict=True):
            assert partial or row.jumps or row.kinks, (row.name, argument)
            assert not (partial and row.jumps), (row.name, argument)


def test_the_generated_file_is_what_the_table_gives():
    assert Path(partials.__file__).read_text() == derive.partials_text(), "run python -m pullback.dsl.derive"


def test_derivatives_reuse_the_result():
    assert "return r" in derive.partial_text(ops.ROWS["exp"], 0)
    assert "op.divide(0.5, r)" in derive.partial_text(ops.ROWS["sqrt"], 0)
    assert "op.square(r)" in derive.partial_text(ops.ROWS["tan"], 0)


def test_a_symbol_that_does_not_occur_is_refused():
    expr = derive.parse("sin(x)", ("x",))
    with pytest.raises(NotDifferentiable, match="y does not occur in sin"):
        derive.derivative(expr, sympy.Symbol("y", real=True), sympy.Symbol("r"))
    with pytest.raises(NotDifferentiable, match="x does not occur"):      # another assumption is another symbol
        derive.derivative(expr, sympy.Symbol("x"), sympy.Symbol("r"))


@pytest.mark.parametrize(("text", "words"), [
    ("floor(x)", "Derivative"), ("besselj(0, x)", "besselj"), ("Piecewise((x, x > 0))", r"\(value, True\)")])
def test_what_has_no_rows_is_refused_by_name(text, words):
    expr = derive.parse(text, ("x",))
    with pytest.raises(NotDifferentiable, match=words):
        derive.build(derive.derivative(expr, *expr.free_symbols, sympy.Symbol("r")), derive.TextOps(), {"x": "x"})


@pytest.mark.parametrize("text", [
    "x*y - 3*x/y**2", "sqrt(x)*exp(-x**2/2)", "Piecewise((x, x > y), (sin(y), True))", "Max(x, y, 1)**3",
    "x**7 - y**4", "2**x + x**y",
    "(1 - x)*(1 + x)/(3 + y)", "Abs(x - y)**Rational(3, 2)", "-x - y", "pi*x**-2", "loggamma(x)*polygamma(1, y)"])
def test_expressions_become_rows(text):
    expr = derive.parse(text, ("x", "y"))
    x, y = np.random.default_rng(1).uniform(0.1, 2.0, (2, 20))
    found = derive.build(expr, ArrayOps("float64"), {"x": x, "y": y})
    names = sorted(expr.free_symbols, key=str)
    wanted = [float(expr.subs(dict(zip(names, pair, strict=False)))) for pair in zip(x, y, strict=True)]
    assert np.allclose(found, wanted, rtol=1e-13)
