"""Derivatives of functions: traced on expressions, compiled on arrays, nested, over nests."""

import dataclasses
import warnings
from collections import namedtuple

import numpy as np
import pytest

from pullback.dsl import creation, elementwise, indexing, linear, operators, reductions, shapes, text  # noqa: F401
from pullback.dsl.errors import NotDifferentiable, PullbackError, ShapeError
from pullback.dsl.functional import grad, hvp, jvp, stop_gradient, value_and_grad, vjp
from pullback.dsl.nest import flatten, leaf_names, unflatten
from pullback.dsl.node import FUNCTIONS as pb
from pullback.dsl.node import make
from pullback.dsl.surface import Var, specialize
from pullback.kernels.compiled import compile
from pullback.kernels.reference import evaluate


def typed(name, *shape, dtype="float64"):
    return make("var", (), (name,), dtype, shape)


def value(nest, given):
    leaves, structure = flatten(nest)
    return unflatten(structure, evaluate(leaves, given))


def total(e):
    return pb["sum"](e)


X, Y = typed("x", 3), typed("y", 3)
AT = {X: np.array([0.5, -1.0, 2.0]), Y: np.array([1.0, 2.0, 3.0])}


# ---- traced ---------------------------------------------------------------------------------------------------------
def test_argnums_by_position_and_name():
    def f(x, y):
        return total(x * x * y)
    x, y = AT[X], AT[Y]
    np.testing.assert_allclose(value(grad(f)(X, Y), AT), 2 * x * y)
    np.testing.assert_allclose(value(grad(f, 1)(X, Y), AT), x * x)
    np.testing.assert_allclose(value(grad(f, argnums=-1)(X, Y), AT), x * x)
    np.testing.assert_allclose(value(grad(f, wrt="y")(X, y=Y), AT), x * x)
    np.testing.assert_allclose(value(grad(f, (1, 0))(X, Y), AT), [x * x, 2 * x * y])
    with pytest.raises(TypeError, match="no argument 'z'"):
        grad(f, "z")(X, Y)
    with pytest.raises(TypeError, match="no argument 2"):
        grad(f, 2)(X, Y)
    with pytest.raises(TypeError, match="position or name"):
        grad(f, 1.5)


def test_an_argument_that_is_an_expression():
    np.testing.assert_allclose(value(grad(lambda x: total(x * x * x))(pb["sin"](X)), AT), 3 * np.sin(AT[X]) ** 2)


def test_what_a_function_closes_over_is_constant():
    np.testing.assert_allclose(value(grad(lambda z: total(z * X))(X), AT), AT[X])
    inner = grad(lambda x: x * grad(lambda y: x + y)(x))
    s = typed("s")
    assert value(inner(s), {s: np.array(3.0)}) == 1.0


def test_any_order():
    def f(x):
        return pb["sin"](x) * x
    s, at = typed("s"), np.array(0.7)
    third = grad(grad(grad(f)))(s)
    assert value(third, {s: at}) == pytest.approx(-3 * np.sin(0.7) - 0.7 * np.cos(0.7), rel=1e-12)
    mixed = grad(lambda x: jvp(grad(f), (x,), (x * x,))[1])(s)
    second, fourth = 2 * np.cos(0.7) - 0.7 * np.sin(0.7), -3 * np.sin(0.7) - 0.7 * np.cos(0.7)
    assert value(mixed, {s: at}) == pytest.approx(fourth * 0.49 + second * 1.4, rel=1e-12)


def test_aux_and_value():
    def f(x, y):
        return total(x * y), {"twice": x * 2, "name": "f"}
    slope, aux = grad(f, has_aux=True)(X, Y)
    assert aux["name"] == "f"
    np.testing.assert_allclose(value([slope, aux["twice"]], AT), [AT[Y], 2 * AT[X]])
    (v, aux), slope = value_and_grad(f, has_aux=True)(X, Y)
    np.testing.assert_allclose(value(v, AT), AT[X] @ AT[Y])
    with pytest.raises(TypeError, match="pair"):
        grad(lambda x: total(x), has_aux=True)(X)


Point = namedtuple("Point", "x y")


@dataclasses.dataclass
class Layer:
    w: object
    b: object
    name: str = dataclasses.field(default="layer", metadata={"static": True})


def test_the_gradient_is_built_like_the_argument():
    def f(p):
        return total(p["layer"].w * p["point"].x) + p["layer"].b * total(p["point"].y[0])
    s = typed("s")
    params = {"layer": Layer(X, s, "first"), "point": Point(Y, [X, None])}
    found = grad(f)(params)
    assert isinstance(found["layer"], Layer) and found["layer"].name == "first" and found["point"].y[1] is None
    given = {**AT, s: np.array(2.0)}
    parts = value([found["layer"].w, found["point"].x, found["point"].y[0]], given)
    np.testing.assert_allclose(parts, [AT[Y], AT[X], [2.0] * 3])
    assert value(found["layer"].b, given) == AT[X].sum()
    assert leaf_names(params, "p")[:2] == ["p['layer'].w", "p['layer'].b"]


def test_jvp_and_vjp_of_nests():
    def f(p, z):
        return {"a": p[0] * z, "b": (p[1] ** 2,)}
    out, tangent = jvp(f, ((X, Y), 2.0), ((Y, X), 1.0))
    np.testing.assert_allclose(value([tangent["a"], tangent["b"][0]], AT), [2 * AT[Y] + AT[X], 2 * AT[Y] * AT[X]])
    out, pullback = vjp(f, (X, Y), 2.0)
    (gx, gy), gz = pullback({"a": X, "b": (Y,)})
    np.testing.assert_allclose(value([gx, gy], AT), [2 * AT[X], 2 * AT[Y] ** 2])
    assert value(gz, AT) == pytest.approx(AT[X] @ AT[X])
    with pytest.raises(PullbackError, match="built as"):
        pullback(X)
    with pytest.raises(PullbackError, match="built as"):
        jvp(f, ((X, Y), 2.0), (Y, 1.0))
    with pytest.raises(TypeError, match=r"jvp\(f, \(x,\), \(v,\)\)"):
        jvp(f, X, Y)


def test_hessian_vector_product():
    found = hvp(lambda x: total(x ** 3), (X,), (Y,))
    np.testing.assert_allclose(value(found, AT), 6 * AT[X] * AT[Y])
    a, b = hvp(lambda x, y: total(x * y), (X, Y), (Y, X))
    np.testing.assert_allclose(value([a, b], AT), [AT[X], AT[Y]])


def test_stop_gradient_of_a_nest():
    found = grad(lambda p: total(p["a"] * stop_gradient(p)["a"]))({"a": X})
    np.testing.assert_allclose(value(found["a"], AT), AT[X])


# ---- untyped --------------------------------------------------------------------------------------------------------
def given_types(roots, **values):
    arrays = {k: np.asarray(v, float) for k, v in values.items()}
    known = {Var(k): typed(k, *v.shape) for k, v in arrays.items()}
    return evaluate(specialize(roots, known), {known[Var(k)]: v for k, v in arrays.items()})


def test_arguments_of_unknown_type():
    u, v, w = Var("u"), Var("v"), Var("w")

    def f(p):
        return total(pb["sin"](p["w"] * v) * p["b"])
    found = grad(f)({"w": w, "b": v * u})
    assert isinstance(found["w"], type(w))
    (gw, gb) = given_types([found["w"], found["b"]], u=[2.0, 3.0], v=[0.5, 0.7], w=[1.0, -1.0])
    z = np.array([0.5, -0.7])
    np.testing.assert_allclose(gw, np.cos(z) * [0.5, 0.7] * [1.0, 2.1])
    np.testing.assert_allclose(gb, np.sin(z))


def test_perturbations_are_not_confused_while_types_are_unknown():
    q = Var("q")
    found = grad(lambda z: grad(lambda u: u * u * u * z)(z))(q)
    assert given_types([found], q=2.0) == [36.0]
    same = grad(lambda z: z * q)(q)
    assert given_types([same], q=3.0) == [3.0]


def test_jvp_and_vjp_of_unknown_types():
    u, v = Var("u"), Var("v")
    out, tangent = jvp(lambda x: (x * x, total(x)), (u * v,), (v,))
    found = given_types([*out, *tangent], u=[1.0, 2.0], v=[3.0, 4.0])
    np.testing.assert_allclose(found[2], [2 * 3 * 3.0, 2 * 8 * 4.0])
    assert found[1] == 11.0 and found[3] == 7.0
    out, pullback = vjp(lambda x, y: x * y, u, v)
    np.testing.assert_allclose(given_types(list(pullback(u)), u=[1.0, 2.0], v=[3.0, 4.0]), [[3.0, 8.0], [1.0, 4.0]])


def test_a_gradient_of_variables_prints_as_one_of_an_expression():
    assert repr(grad(lambda w: total(w * Var("v")))(Var("u"))) == "∂(sum(u*v))/∂u"


# ---- refused, warned ------------------------------------------------------------------------------------------------
def test_an_unused_argument_gives_zeros_and_one_warning():
    with pytest.warns(UserWarning, match=r"y, z\['b'\]") as seen:
        found = grad(lambda x, y, z: total(x * z["a"]), (0, 1, 2))(X, Y, {"a": X, "b": Y})
    assert len(seen) == 1 and seen[0].filename == __file__
    np.testing.assert_array_equal(value(found[1], AT), np.zeros(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = grad(lambda x: total(grad(lambda x: total(2 * x))(x)))(X)
    np.testing.assert_array_equal(value(second, AT), np.zeros(3))


def test_what_has_no_derivative_is_refused():
    with pytest.raises(NotDifferentiable, match="floor"):
        grad(lambda x: total(pb["floor"](x)))(X)
    with pytest.raises(NotDifferentiable, match="floor"):
        jvp(lambda x: total(pb["floor"](x)), (X,), (X,))
    with pytest.raises(NotDifferentiable, match="n is int64"):
        grad(lambda n: total(n * X))(typed("n", 3, dtype="int64"))
    with pytest.raises(NotDifferentiable, match="k is int64.*2.0"):
        grad(lambda k: total(k * X))(2)
    with pytest.raises(NotDifferentiable, match="result is int64"):
        grad(lambda x: total(x.astype("int64")))(X)
    with pytest.raises(ShapeError, match="vjp.*jacobian"):
        grad(lambda x: x * 2)(X)
    with pytest.raises(TypeError, match="has_aux"):
        grad(lambda x: (total(x), x))(X)
    with pytest.raises(TypeError, match="expression or a function"):
        grad(3.0)


# ---- on arrays --------------------------------------------------------------------------------------------------
def test_on_arrays_a_derivative_is_compiled_once():
    calls = []

    def f(w, x):
        calls.append(1)
        return total(pb["tanh"](w["a"] @ x) ** 2)
    g = value_and_grad(f)
    rng = np.random.default_rng(1)
    for n in (3, 4, 5):
        a, x = rng.normal(size=(n, 2)), rng.normal(size=2)
        v, slope = g({"a": a}, x)
        t = np.tanh(a @ x)
        np.testing.assert_allclose(v, np.sum(t * t), rtol=1e-12)
        np.testing.assert_allclose(slope["a"], np.outer(2 * t * (1 - t * t), x), rtol=1e-12)
    assert len(calls) == 1


def test_forms_on_numbers():
    assert grad(lambda x: x ** 3)(2.0) == 12.0
    assert jvp(lambda x: x * x, (3.0,), (1.0,)) == (9.0, 6.0)
    v, pullback = vjp(lambda x, y: x * y, 3.0, 4.0)
    assert v == 12.0 and pullback(2.0) == (8.0, 6.0)
    assert hvp(lambda x: x ** 3, (2.0,), (1.0,)) == 12.0
    assert hvp(lambda x: x ** 3, 2.0, 1.0) == hvp(lambda x: x ** 3)(2.0, 1.0) == 12.0
    assert grad(grad(grad(lambda x: x ** 4)))(2.0) == 48.0


def test_inside_a_compiled_function():
    def step(w, x):
        return w - 0.1 * grad(lambda w: total((w * x) ** 2))(w), grad(lambda s: total(s * w))(2.0)
    w, x = np.array([1.0, 2.0]), np.array([3.0, 0.5])
    new, slope = compile(step)(w, x)
    np.testing.assert_allclose(new, w - 0.2 * w * x * x)
    assert slope == 3.0


def test_arrays_in_fortran_order():
    a = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    scale = np.arange(6.0).reshape(2, 3) + 1
    np.testing.assert_allclose(grad(lambda a: total(a * a * scale))(a), 2 * a * scale)
    x = Var("x")
    np.testing.assert_allclose(compile(grad(total(x * x * scale), x))(x=a), 2 * a * scale)
    np.testing.assert_allclose(compile(lambda a: grad(total(a.T * a.T * scale.T), a))(a), 2 * a * scale)
