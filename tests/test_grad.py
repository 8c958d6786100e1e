"""Derivatives of expressions: values, NaN-safety, order, nests, deferral, and what is refused."""

import numpy as np
import pytest

from pullback.dsl import creation, elementwise, indexing, linear, operators, reductions, shapes, text  # noqa: F401
from pullback.dsl.errors import NotDifferentiable, PullbackError, ShapeError
from pullback.dsl.functional import grad, hvp, jvp, stop_gradient, value_and_grad, vjp
from pullback.dsl.grad import vjp_of
from pullback.dsl.node import FUNCTIONS as pb
from pullback.dsl.node import make, toposort
from pullback.dsl.size import Guards, tracing
from pullback.dsl.surface import Var, specialize
from pullback.dsl.trace import variables_of
from pullback.kernels.reference import evaluate

INF, NAN = np.inf, np.nan
x, y, w, b = Var("x"), Var("y"), Var("w"), Var("b")


def run(results, dtype="float64", **values):
    """The values of untyped expressions."""
    several = isinstance(results, (list, tuple))
    roots = list(results) if several else [results]
    arrays = {n: np.asarray(v, None if np.asarray(v).dtype.kind in "biu" else dtype) for n, v in values.items()}
    known, given = {}, {}
    for v in variables_of(roots):
        array = arrays[v.attrs[0]]
        known[v] = make("var", (), (v.attrs[0],), array.dtype, array.shape)
        given[known[v]] = array
    with tracing(Guards()):
        found = evaluate(specialize(roots, known), given)
    return found if several else found[0]


def total(e):
    return pb["sum"](e)


# ---- values -------------------------------------------------------------------------------------------------------
def test_linear_layer():
    loss = total(pb["tanh"](w @ x + b) ** 2)
    rng = np.random.default_rng(0)
    W, X, B = rng.normal(size=(3, 4)), rng.normal(size=(4, 5)), rng.normal(size=5)
    T = np.tanh(W @ X + B)
    D = 2 * T * (1 - T * T)
    for found, expected in zip(run(grad(loss, (w, x, b)), w=W, x=X, b=B), (D @ X.T, W.T @ D, D.sum(0)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_gradient_has_the_dtype_and_shape_of_the_variable():
    found = run(grad(total(w * x.astype("float64")), w), dtype="float32", w=np.ones((1, 3)), x=np.ones((2, 1)))
    assert found.dtype == np.float32 and found.shape == (1, 3)
    np.testing.assert_array_equal(found, [[2, 2, 2]])


def test_higher_orders():
    e = total(pb["sin"](x) * x)
    values = [lambda v: np.sin(v) * v, lambda v: np.cos(v) * v + np.sin(v), lambda v: 2 * np.cos(v) - v * np.sin(v),
              lambda v: -3 * np.sin(v) - v * np.cos(v)]
    at = np.array([0.3, -1.2])
    for expected in values[1:]:
        e = total(grad(e, x))
        assert run(e, x=at) == pytest.approx(expected(at).sum(), rel=1e-12)


def test_mixed_derivative_is_symmetric():
    e = total(pb["exp"](x * y) + x / y)
    xy = grad(total(grad(e, x)), y)
    yx = grad(total(grad(e, y)), x)
    assert run(xy, x=0.7, y=1.3) == pytest.approx(run(yx, x=0.7, y=1.3), rel=1e-13)


def test_forward_of_reverse_is_reverse_of_forward():
    e, v = total(pb["tanh"](w @ x)), np.array([1.0, -2.0, 0.5])
    W, X = np.arange(6.0).reshape(2, 3) / 5, np.array([0.3, 0.1, -0.2])
    over = run(hvp(e, {x: v}), w=W, x=X)
    under = run(grad(jvp(e, {x: v}), x), w=W, x=X)
    np.testing.assert_allclose(over, under, rtol=1e-12)


def test_jvp_and_vjp_agree():
    e = pb["cumsum"](pb["sin"](w * x)) / (1 + x[::-1] ** 2)
    X, W = np.array([0.1, 0.5, 2.0]), np.array([1.0, -1.0, 3.0])
    v, c = np.array([0.3, -0.7, 1.1]), np.array([2.0, 0.1, -0.4])
    forward = run(jvp(e, {x: v}), x=X, w=W)
    backward = run(vjp(e, c, x), x=X, w=W)
    assert forward @ c == pytest.approx(backward @ v, rel=1e-12)


def test_several_outputs_and_tangents_by_name():
    tangents = jvp({"a": x * y, "b": (x,)}, {"x": 1.0, y: 2.0})
    assert run([tangents["a"], tangents["b"][0]], x=3.0, y=5.0) == [11.0, 1.0]
    found = vjp((x * y, x), (1.0, 10.0), {"x": x, "y": "y"})
    assert run([found["x"], found["y"]], x=3.0, y=5.0) == [15.0, 3.0]


def test_value_and_gradient_share_their_nodes():
    value, slope = value_and_grad(total(pb["exp"](x)), x)
    typed = make("var", (), ("x",), "float64", (3,))
    nodes = toposort(specialize([value, slope], {x: typed}))
    assert [n.op for n in nodes].count("exp") == 1


# ---- which variables ----------------------------------------------------------------------------------------------
def test_wrt_is_a_variable_a_name_or_a_nest():
    e = total(x * y * y)
    assert run(grad(e, x), x=2.0, y=3.0) == run(grad(e, "x"), x=2.0, y=3.0) == 9.0
    nested = grad(e, {"a": [x], "b": ("y",)})
    assert run([nested["a"][0], nested["b"][0]], x=2.0, y=3.0) == [9.0, 12.0]


def test_default_is_every_variable_not_declared_integer():
    labels = Var("labels", dtype="int64")
    found = grad(total(x * y * labels))
    assert list(found) == ["x", "y"]
    assert run(list(found.values()), x=2.0, y=3.0, labels=4) == [12.0, 8.0]
    assert run(grad(total(x * labels)), x=2.0, labels=4) == 4.0


def test_arrays_in_fortran_order_enter_transposed():
    typed = make("var", (), ("x",), "float64", (3, 2))
    known = {x: make("transpose", (typed,), ((1, 0),), "float64", (2, 3))}
    e = x * np.arange(6.0).reshape(2, 3)
    roots = [grad(total(e * e), x), jvp(e, {x: np.ones((2, 3))}), grad(total(x.T[0] ** 2), x)]
    at = np.arange(6.0).reshape(2, 3) + 1
    found = evaluate(specialize(roots, known), {typed: at.T})
    np.testing.assert_array_equal(found[0], 2 * at * np.arange(6.0).reshape(2, 3) ** 2)
    np.testing.assert_array_equal(found[1], np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(found[2], 2 * at * [[1, 0, 0], [1, 0, 0]])


# ---- NaN where a number exists ------------------------------------------------------------------------------------
def where(c, a, b):
    return pb["where"](c, a, b)


def norm(v):
    return pb["sqrt"](total(v * v))


CASES = [
    (lambda v: where(v > 0, pb["sqrt"](v), v), [-1.0, 0.0, 4.0], [1.0, 1.0, 0.25]),
    (lambda v: where(v == 0, 1.0, pb["sin"](v) / v), [0.0, 1.0], [0.0, np.cos(1) - np.sin(1)]),
    (lambda v: where(v > 0, where(v > 1, pb["log"](v), 0.0), 0.0), [-1.0, 0.0, 0.5, 2.0], [0.0, 0.0, 0.0, 0.5]),
    (lambda v: where(v > 0, pb["sqrt"](v), 0.0) + where(v > 1, pb["log"](v), 0.0), [0.0, -3.0, 4.0], [0.0, 0.0, 0.5]),
    (lambda v: where(v > 0, v ** 0.5, 0.0) * 3, [0.0, 4.0], [0.0, 0.75]),
    (lambda v: v ** 0, [0.0, -2.0], [0.0, 0.0]),
    (lambda v: v ** 2, [0.0, -2.0], [0.0, -4.0]),
    (lambda v: v ** v.astype("float64"), [1.0], [1.0]),
    (lambda v: pb["maximum"](v, 0.0), [-1.0, 0.0, 2.0], [0.0, 0.5, 1.0]),
    (lambda v: pb["abs"](v), [-2.0, 0.0, 3.0], [-1.0, 0.0, 1.0]),
    (lambda v: 1 / (1 + pb["exp"](-v)), [-30.0, 0.0], [np.exp(-30) / (1 + np.exp(-30)) ** 2, 0.25]),
    (lambda v: pb["sigmoid"](v), [-1e5, 1e5, 0.0], [0.0, 0.0, 0.25]),
    (lambda v: pb["softplus"](v), [-1e4, 1e4], [0.0, 1.0]),
    (lambda v: pb["max"](v), [1.0, 3.0, 3.0, 2.0], [0.0, 0.5, 0.5, 0.0]),
    (lambda v: pb["prod"](v), [2.0, 0.0, 3.0], [0.0, 6.0, 0.0]),
    (lambda v: pb["prod"](v), [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    (lambda v: pb["cumprod"](v), [2.0, 0.0, 3.0], [1.0, 8.0, 0.0]),
    (lambda v: norm(v), [0.0, 0.0], [0.0, 0.0]),
    (lambda v: norm(v) ** 2, [0.0, 0.0], [0.0, 0.0]),
    (lambda v: norm(v - v[::-1]) * 2, [3.0, 3.0], [0.0, 0.0]),
    (lambda v: pb["sqrt"](v * v), [0.0, -2.0], [0.0, -1.0]),
    (lambda v: pb["sqrt"](pb["mean"](v ** 2)), [0.0, 0.0], [0.0, 0.0]),
    (lambda v: pb["sqrt"](v @ v), [0.0, 0.0], [0.0, 0.0]),
    (lambda v: pb["std"](v), [2.0, 2.0], [0.0, 0.0]),
    (lambda v: pb["logsumexp"](v), [0.0, 0.0], [0.5, 0.5]),
    (lambda v: pb["logsumexp"](v), [-INF, 0.0], [0.0, 1.0]),
    (lambda v: pb["logsumexp"](v), [1000.0, 1000.0], [0.5, 0.5]),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_derivatives_at_hard_points(case):
    function, at, expected = CASES[case]
    e = total(function(x))
    np.testing.assert_allclose(run(grad(e, x), x=at), expected, rtol=1e-12, atol=1e-300)
    ones = [run(jvp(e, {x: np.eye(len(at))[i]}), x=at) for i in range(len(at))]
    np.testing.assert_allclose(ones, expected, rtol=1e-12, atol=1e-300)


def test_a_root_that_is_no_norm_keeps_its_infinite_slope():
    np.testing.assert_array_equal(run(grad(total(pb["sqrt"](x)), x), x=[0.0, 1.0]), [INF, 0.5])


def test_second_derivative_beside_a_branch_that_is_not_taken():
    e = total(where(x > 0, pb["sqrt"](x), x * x))
    np.testing.assert_allclose(run(grad(total(grad(e, x)), x), x=[-1.0, 0.0, 4.0]), [2.0, 2.0, -1 / 32])


def test_branch_on_a_scalar_that_is_broadcast():
    e = total(where(y > 0, pb["sqrt"](y), x))
    assert run(grad(e, y), x=np.ones(3), y=0.0) == 0.0
    assert run(grad(e, y), x=np.ones(3), y=4.0) == 0.75


def test_branch_by_element_of_a_scalar():
    e = total(where(x > 0, pb["sqrt"](y), x))
    assert run(grad(e, y), x=-np.ones(3), y=0.0) == 0.0
    assert run(grad(e, y), x=np.array([1.0, -1.0]), y=4.0) == 0.25


def test_what_the_user_wrote_keeps_its_nan():
    assert np.isnan(run(grad(total(where(x > 0, x, 0.0) * y), x), x=1.0, y=NAN))
    assert np.isnan(run(grad(total(x * y), x), x=0.0, y=NAN))


# ---- no silent zeros ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("build", "name"), [
    (lambda: total(pb["floor"](x)), "floor"),
    (lambda: total(where(x > 0, 1.0, 0.0)), "greater"),
    (lambda: total(pb["sign"](x) * y), "sign"),
    (lambda: total(x.astype("int64").astype("float64")), "cast from float64 to int64"),
])
def test_a_path_without_derivative_is_refused(build, name):
    with pytest.raises(NotDifferentiable, match=name) as error:
        run(grad(build(), x), x=np.ones(3), y=np.ones(3))
    assert "test_grad.py" in str(error.value) and "variable x" in str(error.value)
    with pytest.raises(NotDifferentiable, match=name):
        run(jvp(build(), {x: 1.0}), x=np.ones(3), y=np.ones(3))


def test_another_path_is_enough():
    assert run(grad(total(x - pb["floor"](x)), x), x=1.5) == 1.0
    np.testing.assert_array_equal(run(grad(total(x[x.astype("int64")]), x), x=[1.0, 0.0, 1.0]), [1.0, 2.0, 0.0])


def test_what_another_program_derived_opens_no_path():
    """sign(x) is a derivative in the first program and the user's own in the second; they share the node."""
    t = make("var", (), ("x",), "float64", (3,))
    with tracing(Guards()):
        first = grad(total(abs(t)), t)
        assert grad(total(first), t).typed
    with tracing(Guards()), pytest.raises(NotDifferentiable, match="sign"):
        grad(total(pb["sign"](t)), t)


def test_a_path_that_the_user_blocked_stays_blocked():
    with pytest.raises(NotDifferentiable, match="floor"):
        run(grad(total(grad(total(y * pb["floor"](x)), y)), x), x=np.ones(2), y=np.ones(2))
    again = grad(total(grad(total(x * pb["floor"](x)), x)), x)
    np.testing.assert_array_equal(run(again, x=np.array([1.5, 2.5])), [0.0, 0.0])


def test_stop_gradient_is_zero_by_choice():
    assert run(grad(total(stop_gradient(x) * y), x), x=2.0, y=3.0) == 0.0
    assert run(grad(total(stop_gradient(x) * x), x), x=2.0) == 2.0
    assert run(grad(total(pb["floor"](stop_gradient(x)) * y), x), x=2.0, y=3.0) == 0.0


def test_integer_results_and_variables_are_refused():
    with pytest.raises(NotDifferentiable, match="int64"):
        run(grad(total(x.astype("int64")), x), x=1.0)
    with pytest.raises(NotDifferentiable, match="variable x is int64"):
        run(grad(total(x * y), x), x=1, y=2.0)
    with pytest.raises(NotDifferentiable, match="declared int32"):
        n = Var("n", dtype="int32")
        grad(total(n * y), n)


def test_a_variable_that_the_expression_never_had_is_refused():
    for wrong in (w, "w"):
        with pytest.raises(NotDifferentiable, match="w.*its variables: x, y"):
            grad(total(x * y), wrong)
    with pytest.raises(NotDifferentiable, match="no variable"):
        grad(total(x * 0).__class__ and pb["asarray"](1.0))
    with pytest.raises(NotDifferentiable, match="a Var or its name"):
        grad(total(x * y), x * 2)


def test_a_variable_that_dropped_out_on_the_way_gives_zeros():
    second = grad(total(grad(total(3 * x), x)), x)
    np.testing.assert_array_equal(run(second, x=np.ones(4)), np.zeros(4))
    np.testing.assert_array_equal(run(hvp(total(x * y), {x: 1.0}), x=np.ones(2), y=np.ones(2)), np.zeros(2))
    relu = total(pb["maximum"](x, 0.0))
    np.testing.assert_array_equal(run(grad(total(grad(relu, x)), x), x=np.array([1.0, -1.0])), np.zeros(2))
    np.testing.assert_array_equal(run(grad(total(grad(total(abs(x)), x)), x), x=np.array([1.0, -1.0])), np.zeros(2))


def test_the_same_holds_for_typed_variables():
    t = make("var", (), ("t",), "float64", (2,))
    first = grad(total(3 * t), t)
    assert evaluate([grad(total(first), t)], {t: np.ones(2)})[0].tolist() == [0.0, 0.0]
    with pytest.raises(NotDifferentiable, match="does not contain"):
        grad(total(pb["asarray"](np.ones(3)) * make("var", (), ("u",), "float64", (3,))), t)


def test_a_result_that_is_no_scalar_is_refused():
    with pytest.raises(ShapeError, match="vjp.*jacobian"):
        run(grad(x * 2, x), x=np.ones(3))
    with pytest.raises(ShapeError, match="scalar"):
        declared = Var("d", (3,))
        grad(declared * 2, declared)


def test_tangents_and_cotangents_of_other_shapes_are_refused():
    with pytest.raises(ShapeError, match="tangent has shape"):
        run(jvp(x * 2, {x: np.ones(2)}), x=np.ones(3))
    with pytest.raises(ShapeError, match="cotangent has shape"):
        run(vjp(x * 2, np.ones((3, 1)), x), x=np.ones(3))
    with pytest.raises(PullbackError, match="variable: tangent"):
        jvp(x * 2, np.ones(3))


# ---- form ---------------------------------------------------------------------------------------------------------
def test_an_unexpanded_gradient_prints_as_the_derivative_it_stands_for():
    assert repr(grad(total(x * x), x)) == "∂(sum(x*x))/∂x"


def test_simplifications_leave_no_trivial_factors():
    typed = make("var", (), ("x",), "float64", (3,))
    g, = vjp_of([total(typed - pb["exp"](-typed))], [pb["asarray"](1.0)], [typed])
    assert "multiply" not in [n.op for n in toposort([g])]
    assert run_typed(g, typed, np.zeros(3)) == [2.0, 2.0, 2.0]


def run_typed(root, variable, value):
    return evaluate([root], {variable: value})[0].tolist()


def test_five_hundred_variables_in_one_walk():
    variables = [Var(f"v{i}") for i in range(500)]
    e = variables[0]
    for v in variables[1:]:
        e = pb["sin"](e) + v * v
    found = run(grad(e, variables), **{f"v{i}": 0.001 * i for i in range(500)})
    assert len(found) == 500 and found[-1] == pytest.approx(2 * 0.499)
