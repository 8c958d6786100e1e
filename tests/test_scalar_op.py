"""Operations that a user adds from sympy expressions."""

import numpy as np
import pytest
import sympy
from table_of_rows import ArrayOps, derivative, exact

from pullback.dsl import ops, reductions  # noqa: F401 - registers pb.sum
from pullback.dsl.errors import NotDifferentiable
from pullback.dsl.node import FUNCTIONS
from pullback.dsl.scalar_op import scalar_op
from pullback.dsl.surface import Var

x, y = sympy.symbols("x y")


@pytest.fixture(autouse=True)
def forget():
    """Rows defined by one test are not there in the next."""
    tables = (ops.ROWS, ops.by_alias, ops._DEFINED, FUNCTIONS)
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


@pytest.mark.parametrize("expr", [
    sympy.exp(-y * x**2) * sympy.sin(x), sympy.log(1 + x * x) / y, sympy.Max(x, y) ** 3, sympy.Abs(x) * y], ids=str)
def test_value_expansion_and_derivatives_to_second_order(expr):
    scalar_op("mine", expr)
    row = ops.ROWS["mine"]
    arrays = list(np.random.default_rng(0).uniform(0.2, 2.0, (2, 12)))
    assert row.close(row.numpy(*arrays), exact(row, arrays)).all()
    assert row.close(ArrayOps("float64", expand=True).apply("mine", *arrays), exact(row, arrays)).all()
    for i, j in [(0, 0), (0, 1), (1, 1)]:
        orders = [[i, j].count(k) for k in (0, 1)]
        assert np.allclose(derivative(row, [i, j], arrays), exact(row, arrays, orders), rtol=1e-12, atol=1e-13)


def test_the_order_of_arguments_can_be_given():
    scalar_op("quotient_of_mine", x / y, args=(y, x))
    assert ops.ROWS["quotient_of_mine"].args == ("y", "x")
    assert ops.ROWS["quotient_of_mine"].numpy(np.float32(2.0), 6.0) == 3.0
    assert ops.result_dtype("quotient_of_mine", "float32", 6.0) == np.float32


def test_it_is_a_function_on_expressions():
    hill = scalar_op("hill", sympy.exp(-x * x))
    assert hill.__name__ == "hill"
    assert repr(hill(Var("u") + 1)) == "hill(u + 1)"
    with pytest.raises(TypeError, match=r"hill\(x\) takes 1 arguments, not 2"):
        hill(np.float64(1.0), np.float64(2.0))


def test_the_same_definition_again_is_the_same_row():
    scalar_op("again", x + 1)
    row = ops.ROWS["again"]
    scalar_op("again", sympy.Symbol("x") + 1)
    assert ops.ROWS["again"] is row
    with pytest.raises(ValueError, match="'again' exists and means"):
        scalar_op("again", x + 2)


@pytest.mark.parametrize(("name", "expr", "args", "words"), [
    ("sin", x, None, "'sin' exists"), ("arcsin", x, None, "'arcsin' exists"),
    ("sum", x, None, "'sum' exists"),
    ("a b", x, None, "Python identifier"), ("lambda", x, None, "no keyword"),
    ("mine", sympy.Integer(1), None, r"symbols \(none\)"), ("mine", x * y, (x,), "args names x"),
    ("mine", sympy.Symbol("import os") + 1, None, "'import os'")])
def test_bad_definitions_are_refused(name, expr, args, words):
    with pytest.raises(ValueError, match=words):
        scalar_op(name, expr, args)


def test_a_function_without_a_row_is_refused_at_once():
    with pytest.raises(NotDifferentiable, match="besselj"):
        scalar_op("mine", sympy.besselj(0, x))


def test_what_jumps_computes_but_has_no_derivative():
    scalar_op("steps", sympy.floor(x) * x)
    row = ops.ROWS["steps"]
    assert row.numpy(2.5) == 5.0
    with pytest.raises(NotDifferentiable, match="floor"):
        derivative(row, [0], [np.array([2.5])])
