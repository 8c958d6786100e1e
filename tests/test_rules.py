"""Every structural rule: reverse against forward, forward against finite differences, to second order."""

import numpy as np
import pytest

from pullback.dsl import primitives as p
from pullback.dsl.adjoint import filled
from pullback.dsl.grad import jvp_of, vjp_of
from pullback.dsl.node import make
from pullback.dsl.surface import constant
from pullback.kernels.reference import evaluate

RNG = np.random.default_rng(7)


def var(name, value):
    return make("var", (), (name,), value.dtype, value.shape)


def const(value):
    return constant(np.asarray(value))


def numbers(*shape):
    return RNG.normal(size=shape) + 0.1


def check(build, *values, order=2, tolerance=1e-6):
    """<Jv, w> == <v, J'w>, Jv == finite differences, and the same for J'w as a function."""
    variables = [var(f"x{i}", v) for i, v in enumerate(values)]
    check_outputs([build(*variables)], variables, values, order, tolerance)


def check_outputs(outputs, variables, values, order, tolerance):
    given = dict(zip(variables, values, strict=True))
    v = [RNG.normal(size=x.shape) for x in values]
    w = [RNG.normal(size=o.shape) for o in outputs]
    tangents = filled(jvp_of(outputs, {x: const(t) for x, t in zip(variables, v, strict=True)}), outputs)
    pulled = filled(vjp_of(outputs, [const(c) for c in w], variables), variables)
    jv, jtw = evaluate(tangents, given), evaluate(pulled, given)
    assert dot(jv, w) == pytest.approx(dot(jtw, v), rel=1e-9, abs=1e-9)
    step = 1e-6
    moved = [{x: a + s * t for x, a, t in zip(variables, values, v, strict=True)} for s in (step, -step)]
    ahead, behind = (evaluate(outputs, at) for at in moved)
    for t, a, b in zip(jv, ahead, behind, strict=True):
        np.testing.assert_allclose(t, (a - b) / (2 * step), rtol=tolerance, atol=tolerance * 10)
    if order > 1:
        check_outputs(pulled, variables, values, order - 1, tolerance * 10)


def dot(a, b):
    return sum(float(np.sum(x * y)) for x, y in zip(a, b, strict=True))


def sin(x):
    return p.elementwise("sin", x)


def times(x, y):
    return p.elementwise("multiply", x, y)


@pytest.mark.parametrize("row", ["add", "subtract", "multiply", "divide", "hypot", "logaddexp", "atan2"])
def test_rows_of_two(row):
    check(lambda x, y: p.elementwise(row, x, y), numbers(4), np.abs(numbers(4)) + 0.5)


def test_row_of_three():
    check(lambda x, y, z: p.elementwise("fma", x, y, z), numbers(4), numbers(4), numbers(4))


def test_broadcast():
    check(lambda x: sin(p.broadcast(x, (1,), (2, 3, 4))), numbers(3))


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("op", ["add", "multiply", "minimum", "maximum"])
def test_reduce(op, axes):
    check(lambda x: p.reduce(sin(x), op, axes), numbers(2, 3, 4), tolerance=1e-5)


@pytest.mark.parametrize("zeros", [[1], [0, 3]])
def test_product_with_zeros(zeros):
    value = numbers(5)
    value[zeros] = 0.0
    check(lambda x: p.reduce(x, "multiply", (0,)), value, order=3, tolerance=1e-5)


def test_reshape_and_transpose():
    check(lambda x: p.reshape(p.transpose(sin(x), (2, 0, 1)), (4, 6)), numbers(2, 3, 4))


@pytest.mark.parametrize("ranges", [((1, 1), (0, 2)), ((2, -1), (3, -3)), ((0, 1), (1, 2))])
def test_slice_and_place(ranges):
    check(lambda x: sin(p.slice_(x, ranges, (2, 2))), numbers(3, 4))
    check(lambda x, fill: sin(p.place(x, ranges, (3, 4), fill)), numbers(2, 2), numbers())


def test_concat():
    check(lambda x, y: sin(p.concat([x, y, x], 1)), numbers(2, 3), numbers(2, 1))


@pytest.mark.parametrize("op", ["set", "add", "multiply", "minimum", "maximum"])
def test_update(op):
    def build(x, v):
        return make("update", (sin(x), v), (op, ((0, 2), (1, 1))), x.dtype, x.shape)
    check(build, numbers(4, 3), numbers(2, 2))


ROWS, COLUMNS = np.array([2, 0, 2, 1]), np.array([1, 1, 1, 0])


def test_gather():
    check(lambda x: sin(p.gather(x, [const(ROWS)], (0,))), numbers(3, 2))
    check(lambda x: sin(p.gather(x, [const(ROWS), const(COLUMNS)], (0, 2))), numbers(3, 2, 2))


@pytest.mark.parametrize("op", ["set", "add", "multiply", "minimum", "maximum"])
def test_scatter_with_duplicates(op):
    rows, both = [const(ROWS)], [const(ROWS), const(COLUMNS)]
    check(lambda x, u: sin(p.scatter(x, rows, u, (0,), op)), numbers(3, 2), numbers(4, 2), tolerance=1e-5)
    check(lambda x, u: sin(p.scatter(x, both, u, (0, 1), op)), numbers(3, 2), numbers(4), tolerance=1e-5)


@pytest.mark.parametrize("op", ["set", "add", "multiply", "minimum", "maximum"])
def test_scatter_of_one(op):
    check(lambda x, u: sin(p.scatter(x, [const(1)], u, (0,), op)), numbers(3, 2), numbers(2))


def test_multiply_scatter_at_zeros():
    updates = np.array([2.0, 3.0, 0.0, 0.0])
    check(lambda x, u: p.scatter(x, [const(ROWS)], u, (0,), "multiply"), numbers(3), updates, order=1)


@pytest.mark.parametrize("labels", [("ij", "jk", "ik"), ("ij", "j", "i"), ("i", "j", "ij"), ("bij", "bjk", "bik"),
                                    ("ij", "jk", "k"), ("i", "i", ""), ("ij", "ij", "j"), ("ij", "jk", "ki")])
def test_contract(labels):
    sizes = {"b": 2, "i": 3, "j": 4, "k": 2}
    shapes = [tuple(sizes[c] for c in part) for part in labels[:2]]
    check(lambda a, b: p.contract(sin(a), b, *labels), *[numbers(*s) for s in shapes])


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_recurrence(axis, back):
    check(lambda a, b: p.recurrence(sin(a), b, axis, back), numbers(3, 4), numbers(3, 4), order=3, tolerance=1e-5)


def test_casts_between_floats():
    x = var("x", numbers(3))
    y = p.cast(p.cast(x, "float32"), "float64")
    g, = vjp_of([y], [const(np.ones(3))], [x])
    t, = jvp_of([y], {x: const(np.ones(3))})
    assert g.dtype == t.dtype == np.float64
    np.testing.assert_allclose(evaluate([g, t], {x: numbers(3)}), 1.0)


def test_several_results():
    def build(x):
        packed = make("pack", (sin(x), times(x, x)), ("two",))
        first, second = (make("item", (packed,), (i,), x.dtype, x.shape) for i in (0, 1))
        return times(first, p.elementwise("add", second, first))
    check(build, numbers(3))


def test_only_the_last_of_duplicates_has_a_derivative():
    x, u = var("x", np.zeros(3)), var("u", np.zeros(4))
    y = p.scatter(x, [const(ROWS)], u, (0,), "set")
    gx, gu = vjp_of([y], [const(np.array([1.0, 2.0, 3.0]))], [x, u])
    found = evaluate([gx, gu], {x: np.ones(3), u: np.ones(4)})
    np.testing.assert_array_equal(found[0], [0, 0, 0])
    np.testing.assert_array_equal(found[1], [0, 1, 3, 2])


def test_a_node_that_is_used_often_is_visited_once():
    """Sixty doublings: a walk that followed paths instead of nodes would never end."""
    x = var("x", np.zeros(()))
    y = x
    for _ in range(60):
        y = p.elementwise("add", y, y)
    g, = vjp_of([y], [const(1.0)], [x])
    t, = jvp_of([y], {x: const(1.0)})
    assert evaluate([g, t], {x: np.array(0.0)}) == [2.0**60, 2.0**60]


def test_depth_is_no_limit():
    x = var("x", np.zeros(()))
    y = x
    for _ in range(10_000):
        y = sin(y)
    g, = vjp_of([y], [const(1.0)], [x])
    expected, value = 1.0, 0.5
    for _ in range(10_000):
        expected, value = expected * np.cos(value), np.sin(value)
    np.testing.assert_allclose(evaluate([g], {x: np.array(0.5)})[0], expected, rtol=1e-10)
