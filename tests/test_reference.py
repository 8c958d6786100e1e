"""The reference interpreter: each structural operation against a formula written out here with plain loops or NumPy."""

import weakref

import numpy as np
import pytest

from pullback.dsl import primitives as P
from pullback.dsl.errors import PullbackError, ShapeError
from pullback.dsl.node import make
from pullback.dsl.size import symbol
from pullback.dsl.surface import constant, size_value
from pullback.kernels import reference
from pullback.kernels.reference import evaluate

N, M = symbol("n"), symbol("m")


def var(name, *shape, dtype="float64"):
    return make("var", (), (name,), dtype, shape)


def run(root, values=None, **sizes):
    return evaluate([root], values, sizes)[0]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_result_has_the_dtype_and_shape_of_its_node_and_is_a_new_array():
    x = var("x", N, dtype="float32")
    array = np.arange(4, dtype="float32")
    result = run(x, {x: array})
    assert result.dtype == np.float32 and result.shape == (4,)
    assert not np.shares_memory(result, array)
    result[:] = 9  # writable
    assert array.tolist() == [0, 1, 2, 3]


def test_sizes_are_read_from_the_variables_unless_given():
    x = var("x", N, M)
    root = P.reshape(P.broadcast(size_value(N * M + 1), (), (M, N)), (N * M,))
    # x itself need not appear in the program
    assert run(root, {x: np.zeros((2, 3))}).tolist() == [7] * 6
    assert run(root, n=2, m=2).tolist() == [5] * 4


def test_a_value_of_the_wrong_dtype_or_shape_is_our_own_mistake():
    x = var("x", 3)
    with pytest.raises(AssertionError, match="float32"):
        run(x, {x: np.zeros(3, "float32")})
    with pytest.raises(AssertionError, match="shape"):
        run(x, {x: np.zeros(4)})


def test_missing_variable_and_unknown_operation_are_named():
    with pytest.raises(PullbackError, match="'lonely'"):
        run(var("lonely", 3))
    with pytest.raises(PullbackError, match="'no_such_operation'"):
        run(make("no_such_operation", (), (), "float64", ()))


def test_scalar_rows_are_elementwise(rng):
    x, y = var("x", N), var("y", N)
    a, b = rng.normal(size=(2, 5))
    assert run(P.elementwise("add", x, y), {x: a, y: b}) == pytest.approx(a + b)
    assert run(P.elementwise("less", x, y), {x: a, y: b}).tolist() == (a < b).tolist()
    smaller = P.elementwise("where", P.elementwise("less", x, y), x, y)
    assert run(smaller, {x: a, y: b}).tolist() == np.minimum(a, b).tolist()


def test_mask_discards_what_is_not_finite():
    c, g = var("c", 3, dtype="bool"), var("g", 3)
    values = {c: np.array([True, False, False]), g: np.array([2.0, np.nan, np.inf])}
    assert run(make("mask", (c, g), (), "float64", (3,)), values).tolist() == [2.0, 0.0, 0.0]


def test_leaves():
    assert run(constant(np.float32(0.1))) == np.float32(0.1)
    assert run(size_value(N + 2, "float32"), n=3) == 5.0
    assert run(P.iota((N, 2), 0), n=3).tolist() == [[0, 0], [1, 1], [2, 2]]


def test_cast():
    x = var("x", 3)
    assert run(P.cast(x, "int32"), {x: np.array([1.9, -1.9, 0.0])}).tolist() == [1, -1, 0]
    assert run(P.cast(x, "bool"), {x: np.array([0.5, 0.0, np.nan])}).tolist() == [True, False, True]


def test_renumbering(rng):
    x = var("x", N, 3)
    a = rng.normal(size=(2, 3))
    values = {x: a}
    assert (run(P.broadcast(x, (0, 2), (N, 4, 3)), values) == np.repeat(a[:, None, :], 4, axis=1)).all()
    assert (run(P.reshape(x, (3, N)), values) == a.reshape(3, 2)).all()
    assert (run(P.transpose(x, (1, 0)), values) == a.T).all()
    # row-major order of the values, whatever lies in memory
    assert (run(P.reshape(P.transpose(x, (1, 0)), (N * 3,)), values) == a.T.reshape(-1)).all()


def test_slice_and_place_are_transposes(rng):
    x = var("x", N, 4)
    a = rng.normal(size=(5, 4))
    ranges = ((N - 1, -2), (1, 1))
    part = P.slice_(x, ranges, (3, 2))
    assert (run(part, {x: a}) == a[::-2, 1:3]).all()
    back = run(P.place(part, ranges, (N, 4), -1.0), {x: a})
    expected = np.full((5, 4), -1.0)
    expected[::-2, 1:3] = a[::-2, 1:3]
    assert (back == expected).all()


def test_slices_of_nothing_and_of_a_scalar():
    x, s = var("x", 0), var("s")
    assert run(make("slice", (x,), (((0, 1),), (0,)), "float64", (0,)), {x: np.zeros(0)}).shape == (0,)
    assert run(make("place", (s, constant(0.0)), ((), ()), "float64", ()), {s: np.float64(2)}) == 2


def test_a_slice_outside_its_array_is_our_own_mistake():
    x = var("x", 3)
    with pytest.raises(AssertionError, match="leaves"):
        run(make("slice", (x,), (((-1, 1),), (2,)), "float64", (2,)), {x: np.zeros(3)})


def test_concat():
    x, y = var("x", N), var("y", M)
    assert run(P.concat([x, y, x], 0), {x: np.ones(2), y: np.zeros(1)}).tolist() == [1, 1, 0, 1, 1]


def test_update_sets_or_combines_a_region():
    x, v = var("x", 5), var("v", 2)
    values = {x: np.arange(5.0), v: np.array([10.0, 20.0])}
    for op, expected in (("set", [0, 10, 2, 20, 4]), ("add", [0, 11, 2, 23, 4]), ("maximum", [0, 10, 2, 20, 4])):
        assert run(make("update", (x, v), (op, ((1, 2),)), "float64", (5,)), values).tolist() == expected


def test_gather_puts_the_index_axes_first(rng):
    x, i, j = var("x", 3, 4, 5), var("i", 2, 6, dtype="int64"), var("j", 2, 6, dtype="int64")
    a, k, m = rng.normal(size=(3, 4, 5)), rng.integers(3, size=(2, 6)), rng.integers(5, size=(2, 6))
    result = run(P.gather(x, [i, j], (0, 2)), {x: a, i: k, j: m})
    assert result.shape == (2, 6, 4)
    assert (result[1, 3] == a[k[1, 3], :, m[1, 3]]).all()


@pytest.mark.parametrize("bad", [3, -1])
def test_an_index_outside_raises_and_never_wraps(bad):
    x, i, v = var("x", 3), var("i", 2, dtype="int64"), var("v", 2)
    values = {x: np.zeros(3), i: np.array([0, bad]), v: np.ones(2)}
    with pytest.raises(IndexError, match=f"{bad} is out of bounds for axis 0 with size 3"):
        run(P.gather(x, [i], (0,)), values)
    with pytest.raises(IndexError, match=f"{bad} is out of bounds"):
        run(P.scatter(x, [i], v, (0,), "add"), values)


@pytest.mark.parametrize("op", ["set", "add", "multiply", "minimum", "maximum"])
def test_scatter_folds_in_row_major_order(op, rng):
    x, i, v = var("x", 4, 3), var("i", 2, 5, dtype="int64"), var("v", 2, 5, 3)
    a, u = rng.normal(size=(4, 3)), rng.normal(size=(2, 5, 3))
    # Fortran order in memory must not change which duplicate is last
    k = np.asfortranarray(rng.integers(4, size=(2, 5)))
    expected = a.copy()
    for p in range(2):
        for q in range(5):
            row = expected[k[p, q]]
            row[:] = {"set": u[p, q], "add": row + u[p, q], "multiply": row * u[p, q],
                      "minimum": np.minimum(row, u[p, q]), "maximum": np.maximum(row, u[p, q])}[op]
    assert (run(P.scatter(x, [i], v, (0,), op), {x: a, i: k, v: u}) == expected).all()


def test_scatter_at_inner_axes(rng):
    x, i, v = var("x", 2, 3, 4), var("i", 5, dtype="int64"), var("v", 5, 2, 4)
    a, k, u = rng.normal(size=(2, 3, 4)), rng.integers(3, size=5), rng.normal(size=(5, 2, 4))
    expected = a.copy()
    for p in range(5):
        expected[:, k[p], :] += u[p]
    assert (run(P.scatter(x, [i], v, (1,), "add"), {x: a, i: k, v: u}) == expected).all()


def test_reductions(rng):
    x, b = var("x", N, 3, 4), var("b", N, dtype="bool")
    a = rng.normal(size=(2, 3, 4))
    for op, numpy in (("add", np.sum), ("multiply", np.prod), ("minimum", np.min), ("maximum", np.max)):
        assert run(P.reduce(x, op, (0, 2)), {x: a}) == pytest.approx(numpy(a, axis=(0, 2)))
    bits = {b: np.array([True, False])}
    assert not run(P.reduce(b, "logical_and", (0,)), bits) and run(P.reduce(b, "logical_or", (0,)), bits)


def test_a_reduction_keeps_its_dtype_and_nan_wins():
    x, k = var("x", 3, dtype="float32"), var("k", 3, dtype="int8")
    assert run(P.reduce(x, "maximum", (0,)), {x: np.array([1, np.nan, 2], "float32")}).dtype == np.float32
    assert np.isnan(run(P.reduce(x, "maximum", (0,)), {x: np.array([1, np.nan, 2], "float32")}))
    assert run(P.reduce(k, "add", (0,)), {k: np.array([100, 100, 0], "int8")}) == np.int8(-56)


def test_folding_nothing():
    x = var("x", N)
    assert run(P.reduce(x, "add", (0,)), {x: np.zeros(0)}) == 0
    assert run(P.reduce(x, "multiply", (0,)), {x: np.zeros(0)}) == 1
    with pytest.raises(ShapeError, match="zero elements"):
        run(P.reduce(x, "minimum", (0,)), {x: np.zeros(0)})


def test_contract(rng):
    x, y = var("x", N, 3, M), var("y", M, 4, N)
    a, b = rng.normal(size=(2, 3, 5)), rng.normal(size=(5, 4, 2))
    result = run(P.contract(x, y, "nik", "kjn", "jin"), {x: a, y: b})
    expected = np.zeros((4, 3, 2))
    for i in range(3):
        for j in range(4):
            expected[j, i] = (a[:, i, :] * b[:, j, :].T).sum(axis=1)
    assert result == pytest.approx(expected)


@pytest.mark.parametrize("reverse", [False, True])
def test_recurrence(reverse, rng):
    a, b = var("a", 2, 4), var("b", 2, 4)
    p, q = rng.normal(size=(2, 2, 4))
    expected = np.zeros((2, 4))
    for row in range(2):
        s = 0.0
        for k in reversed(range(4)) if reverse else range(4):
            s = p[row, k] * s + q[row, k]
            expected[row, k] = s
    assert run(P.recurrence(a, b, 1, reverse), {a: p, b: q}) == pytest.approx(expected)


def test_pack_and_item_carry_several_results():
    x, y = var("x", 2), var("y", 2, dtype="int64")
    pack = make("pack", (x, y), ("pair",))
    second = make("item", (pack,), (1,), "int64", (2,))
    assert run(second, {x: np.zeros(2), y: np.array([3, 4])}).tolist() == [3, 4]


def test_several_roots_may_repeat_and_contain_each_other():
    x = var("x", 2)
    y = P.elementwise("add", x, x)
    z = P.elementwise("multiply", y, y)
    results = evaluate([y, z, y, x], {x: np.array([1.0, 2.0])})
    assert [r.tolist() for r in results] == [[2, 4], [4, 16], [2, 4], [1, 2]]
    assert not np.shares_memory(results[0], results[2])


def test_a_long_chain_keeps_only_what_is_alive(monkeypatch):
    made, freed, most = [], [], [0]

    def step(node, sizes, x):
        array = x + 1
        weakref.finalize(array, freed.append, None)
        made.append(None)
        most[0] = max(most[0], len(made) - len(freed))
        return array

    monkeypatch.setitem(reference.RULES, "step", step)
    node = x = var("x", 2)
    for _ in range(10_000):
        node = make("step", (node,), (), "float64", (2,))
    assert run(node, {x: np.zeros(2)}).tolist() == [10_000, 10_000]
    assert len(made) == 10_000 and most[0] <= 3
