"""Sizes of inputs in traced functions: symbolic until their value is asked for, which is recorded."""

import math

import numpy as np
import pytest

import pullback as pb


def outcomes(function, *shapes):
    """Results for arrays of ones of each shape, how often `function` was compiled, and what was assumed."""
    f = pb.compile(function)
    results = [f(*[np.ones(s) for s in (shape if isinstance(shape, list) else [shape])]) for shape in shapes]
    return results, len(f.log), f


ONCE = {
    "division": lambda x: x.sum() / x.shape[0],
    "inverse": lambda x: 1 / x.shape[0] + x,
    "root": lambda x: x / np.sqrt(x.shape[0]),
    "power": lambda x: x.shape[0] ** 2 + 2.0 ** x.shape[0] + x,
    "product with an array": lambda x: np.ones(3) * x.shape[0] + x.shape[0] * np.arange(3),
    "NumPy's functions": lambda x: np.log(x.shape[0]) * x + np.maximum(x.shape[0], 4) + np.exp(-x.shape[0]),
    "integers": lambda x: x * (x.shape[0] // 2) + divmod(x.shape[0], 3)[0] * (x.shape[0] % 3) - (-x.shape[0]),
    "rounding": lambda x: x * round(x.shape[0]) + math.floor(x.shape[0]) + abs(x.shape[0]),
    "size and ndim": lambda x: x * x.size + x.ndim + np.size(x) + np.shape(x)[0],
    "slices": lambda x: x[x.shape[0] // 2:].sum() + x[: x.shape[0] - 1] .sum() + x[-3:].sum() + x[3:].sum(),
    "reshape": lambda x: x.reshape(1, -1, x.shape[0]).sum(0),
    "creation": lambda x: pb.zeros(x.shape[0]) + pb.arange(x.shape[0]) + pb.ones((x.shape[0], 2)).sum(1),
    "identity": lambda x: pb.eye(x.shape[0]) @ x + pb.linspace(0, 1, x.shape[0]),
    "equal by form": lambda x: x if x.shape[0] + 1 > x.shape[0] and x.shape[0] == x.T.shape[0] else -x,
    "comparison with zero": lambda x: x * 2 if x.shape[0] >= 0 else x,
    "formatting": lambda x: x * len(f"{x.shape[0]}" and "ab"),
}


@pytest.mark.parametrize("name", ONCE)
def test_arithmetic_of_sizes_serves_every_size(name):
    function = ONCE[name]
    f = pb.compile(function)
    as_numpy = {"slices", "reshape", "creation", "identity"}
    for n in (4, 5, 7, 12):
        x = np.linspace(1, 2, n)
        if name in as_numpy:
            expected = {
                "slices": lambda x: x[len(x) // 2:].sum() + x[:-1].sum() + x[-3:].sum() + x[3:].sum(),
                "reshape": lambda x: x[None],
                "creation": lambda x: np.arange(len(x)) + 2.0,
                "identity": lambda x: x + np.linspace(0, 1, len(x)),
            }[name](x)
        else:
            expected = function(x)
        np.testing.assert_allclose(f(x), expected, rtol=1e-14)
    assert len(f.log) == 1, f.explain_compile()


def test_range_takes_the_value_and_says_so():
    def total(x):
        result = x[0]
        for i in range(1, x.shape[0]):
            result = result + x[i]
        return result

    f = pb.compile(total)
    for n in (3, 4, 3, 5, 4, 3):
        assert f(np.arange(float(n))) == n * (n - 1) / 2
    assert len(f.log) == 3
    table = f.explain_compile()
    assert table.count("sizes that answer a comparison differently") == 2
    for n in (3, 4, 5):
        assert f"n0 == {n}" in table


@pytest.mark.parametrize("function, guard", [
    (lambda x: x * int(x.shape[0]), "n0 == 3"), (lambda x: x * float(x.shape[0]), "n0 == 3"),
    (lambda x: x + np.zeros((x.shape[0],)), "n0 == 3"), (lambda x: x * len(x), "n0 == 3"),
    (lambda x: x + np.arange(x.shape[0]), "n0 == 3"), (lambda x: x @ np.eye(x.shape[0]), "n0 == 3"),
    (lambda x: x * len([0] * x.shape[0]), "n0 == 3"), (lambda x: x * math.sqrt(x.shape[0]), "n0 == 3"),
    (lambda x: sum(row for row in x), "n0 == 3"),
    (lambda x: x if x.shape[0] > 2 else -x, "2 < n0"), (lambda x: -x if x.shape[0] == 4 else x, "not == 4"),
    (lambda x: x if x.shape[0] else -x, "not == 0"),
])
def test_what_needs_the_value_is_guarded(function, guard):
    f = pb.compile(function)
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(f(x), function(x))
    assert guard in f.explain_compile()


def test_sizes_that_are_compared():
    def choose(x, y):
        return x.sum() + y.sum() if x.shape[0] == y.shape[0] else x.sum() - y.sum()

    results, compilations, f = outcomes(choose, [2, 2], [2, 3], [5, 5], [7, 3], [3, 7])
    assert results == [4.0, -1.0, 10.0, 4.0, -4.0] and compilations == 2
    assert "n0 == n1" in f.explain_compile() and "n0 not == n1" in f.explain_compile()


@pytest.mark.parametrize("function", [lambda x: x[3:], lambda x: x[: max(x.shape[0] - 3, 0)],
                                      lambda x: pb.ones(max(x.shape[0] - 3, 0))])
def test_clamped_sizes(function):
    f = pb.compile(function)
    for n in (2, 3, 4, 5, 6, 2):
        assert f(np.ones(n)).shape == (max(n - 3, 0),)
    assert len(f.log) <= 2


def test_a_derived_size_of_one_broadcasts():
    f = pb.compile(lambda x, y: x[1:] + y)
    for n, m in ((2, 4), (5, 4), (2, 7), (8, 7)):
        np.testing.assert_array_equal(f(np.arange(float(n)), np.ones(m)), np.arange(float(n))[1:] + np.ones(m))
    assert len(f.log) == 2 and "max(n0 - 1, 0) == 1" in f.explain_compile()
    with pytest.raises(pb.ShapeError, match=r"shapes \(2,\) and \(4,\) do not broadcast"):
        f(np.ones(3), np.ones(4))


def test_a_size_of_one_is_another_kind():
    f = pb.compile(lambda x, y: x * y)
    assert f(np.ones((1, 3)), np.ones((4, 1))).shape == (4, 3)
    assert f(np.ones((4, 3)), np.ones((4, 3))).shape == (4, 3)
    assert f(np.ones((1, 5)), np.ones((6, 1))).shape == (6, 5)
    assert len(f.log) == 2


def test_shapes_unpack_compare_and_permute():
    def swap(x, y):
        rows, columns = x.shape
        assert x.shape == y.shape
        return x.T.reshape(columns, rows) * y.T

    results, compilations, _ = outcomes(swap, [(2, 3), (2, 3)], [(4, 5), (4, 5)])
    assert [r.shape for r in results] == [(3, 2), (5, 4)] and compilations == 1


def test_a_number_beside_a_size_keeps_float32():
    x = np.ones(4, np.float32)
    for function in (lambda x: x / x.shape[0], lambda x: x / np.sqrt(x.shape[0]), lambda x: x * (x.shape[0] / 2),
                     lambda x: x + 1 / x.shape[0], lambda x: x.mean() * x.shape[0]):
        assert pb.compile(function)(x).dtype == np.float32


def test_a_declared_size_beside_float32_keeps_it():
    v = pb.Var("v", ("n",))
    assert pb.compile(v / v.shape[0] + np.sqrt(v.shape[0]) / 2)(v=np.ones(4, np.float32)).dtype == np.float32


# ---- declared sizes -------------------------------------------------------------------------------------------------
def test_declared_sizes_hold_in_a_call():
    a, v = pb.Var("a", ("n", "m")), pb.Var("v", ("m",))
    f = pb.compile(a @ v)
    assert f(a=np.ones((2, 3)), v=np.ones(3)).tolist() == [3.0, 3.0]
    assert f(a=np.ones((4, 5)), v=np.ones(5)).tolist() == [5.0] * 4
    assert len(f.log) == 1
    for wrong, words in [
        ({"a": np.ones((2, 3)), "v": np.ones(4)}, r"axis 0 of 'v' was declared 'm' \(.*test_sizes.py:\d+\) and has 4 "
                                                 "elements, expected 3 as in 'a'"),
        ({"a": np.ones(3), "v": np.ones(3)}, r"'a' was declared with shape \('n', 'm'\) \(.*test_sizes.py:\d+\), "
                                            "got an array of 1 axes"),
        ({"a": np.ones((2, 1)), "v": np.ones(3)}, "axis 0 of 'v' was declared 'm'"),
    ]:
        with pytest.raises(pb.ShapeError, match=words):
            f(**wrong)


def test_declared_twice_fixed_and_free():
    square, rows = pb.Var("q", ("n", "n")), pb.Var("q", (None, 3))
    with pytest.raises(pb.ShapeError, match="axis 1 of 'q' was declared 'n' .* has 3 elements, expected 2 as in 'q'"):
        pb.compile(square + 1)(q=np.ones((2, 3)))
    f = pb.compile(rows + 1)
    assert f(q=np.ones((2, 3))).shape == (2, 3) and f(q=np.ones((7, 3))).shape == (7, 3)
    with pytest.raises(pb.ShapeError, match="axis 1 of 'q' was declared 3 .* has 4 elements, expected 3"):
        f(q=np.ones((2, 4)))


def test_declared_names_that_look_like_our_own():
    q = pb.Var("q", ("n1", "n0"))
    f = pb.compile(q.sum() * q.shape[0] + 100 * q.shape[1])
    assert f(q=np.ones((2, 3))) == 6 * 2 + 300
    chunk = pb.Var("chunk", ("chunk", "i"))
    assert pb.compile(chunk.sum(0) * chunk.shape[0])(chunk=np.ones((4, 5))).tolist() == [16.0] * 5


def test_declared_dtype():
    words = r"'q' was declared float32 \(.*test_sizes.py:\d+\), got an array of float64: convert it with np.asarray"
    with pytest.raises(pb.DTypeError, match=words):
        pb.compile(pb.Var("q", ("n",), "float32") * 2)(q=np.ones(3))
    assert pb.compile(pb.Var("q", (), "float32") * 2)(q=3.5).dtype == np.float32
    assert pb.compile(pb.Var("q", (), "float64") * 2)(q=3).dtype == np.float64
    with pytest.raises(pb.DTypeError, match="'q' was declared int32 .* a Python number of float64"):
        pb.compile(pb.Var("q", (), "int32") * 2)(q=3.5)


def test_a_size_outside_a_call_has_no_value():
    n = pb.Var("x", ("n",)).shape[0]
    for use in (lambda: range(n), lambda: int(n), lambda: float(n), lambda: n == 3, lambda: n > 3):
        with pytest.raises(pb.ShapeError, match="not known before|no value before"):
            use()
    assert repr(n * 2 + 1) == "2*n + 1"


def averaged(a, b):
    """A core of one array from the neighbours in another: their sizes meet only as differences."""
    return b.at[1:-1].set(a[:-2] + a[2:])


def test_sizes_that_meet_as_differences_are_found_equal():
    f = pb.compile(lambda a, b: pb.sum(averaged(a, b) ** 2))
    text = f.lower(np.ones(7), np.ones(7)).as_text("program")
    assert "remainder" not in text and "floor_divide" not in text and "n1" not in text.replace("n10", "")
    f = pb.compile(pb.grad(lambda a, b: pb.sum(averaged(averaged(a, b), a) ** 2)))
    assert "remainder" not in f.lower(np.ones(7), np.ones(7)).as_text("program")


def test_a_core_that_is_empty_says_nothing_about_the_sizes():
    f = pb.compile(averaged)
    for a, b in ((2, 1), (1, 2), (7, 7), (2, 2), (0, 2), (3, 3), (9, 9)):
        x, y = np.arange(1.0, a + 1), np.arange(2.0, b + 2)
        expected = y.copy()
        expected[1:-1] = x[:-2] + x[2:]
        np.testing.assert_array_equal(f(x, y), expected)


@pytest.mark.parametrize("extra", [1, -1])
def test_staggered_sizes_are_found_related(extra):
    """A grid of faces has one more element than that of cells."""

    def divergence(face, cell):
        return pb.diff(face) * cell if extra > 0 else face * pb.diff(cell)

    f = pb.compile(divergence)
    for n in (5, 1, 8):
        face, cell = np.cumsum(np.ones(n + max(extra, 0)) * 2.0), np.cumsum(np.ones(n + max(-extra, 0)))
        expected = np.diff(face) * cell if extra > 0 else face * np.diff(cell)
        np.testing.assert_array_equal(f(face, cell), expected)
    text = f.lower(np.ones(5 + max(extra, 0)), np.ones(5 + max(-extra, 0))).as_text("program")
    assert "remainder" not in text and "max" not in text
