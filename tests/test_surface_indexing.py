"""Indexing, take and .at[] against NumPy, in every form of the sizes."""

import itertools
import random

import numpy as np
import pytest
from against_numpy import check, pb, run_static, typed

from pullback.dsl import size
from pullback.dsl.errors import DTypeError, PullbackError, ShapeError
from pullback.dsl.surface import Var
from pullback.kernels.reference import evaluate

X = np.arange(4 * 5 * 6, dtype=float).reshape(4, 5, 6)

BASIC = [
    np.s_[0], np.s_[-1], np.s_[1, 2, 3], np.s_[:], np.s_[...], np.s_[1:3], np.s_[:2, 1:], np.s_[::2, ::-1],
    np.s_[-3:-1],
    np.s_[:-1, 1:-1], np.s_[3:1], np.s_[10:], np.s_[-10:2], np.s_[::-2], np.s_[4::-1, 3:0:-2], np.s_[None],
    np.s_[:, None, 1],
    np.s_[..., 0], np.s_[1, ..., None, ::3], np.s_[None, ..., -1, None], np.s_[2:2], np.s_[-2::-1], np.s_[:-9:-1],
]


@pytest.mark.parametrize("index", BASIC, ids=str)
def test_basic_indices(index):
    check(lambda xp, x: x[index], X)


ARRAYS = [
    np.s_[[0, 2]], np.s_[[0, -1], [1, 2]], np.s_[:, [3, 0, 3]], np.s_[:, [3, 0], [1, 1]], np.s_[[1, 0], :, [2, 3]],
    np.s_[0, :, [2, 3]], np.s_[:, 0, [2, 3]], np.s_[[[0], [1]], [1, 2]], np.s_[1:3, [0, 4, 2], ::2],
    np.s_[[0, 1], None, [1, 2]],
    np.s_[..., [0, 1]], np.s_[[0, 1], ..., 0], np.s_[0, ..., [0, 1]], np.s_[np.array(1)], np.s_[np.array(1), :, [0, 1]],
    np.s_[[]], np.s_[:, np.zeros((0, 2), int)], np.s_[None, [0, 1], :, None, 2], np.s_[np.int64(1), np.uint8(2)],
    np.s_[np.array([0, 3], np.int32)], np.s_[[0, 1], [0, 1], ...], np.s_[[0, 1], [0, 1], ..., [0, 1]],
]


@pytest.mark.parametrize("index", ARRAYS, ids=lambda i: str(i).replace("\n", ""))
def test_index_arrays(index):
    check(lambda xp, x: x[index], X)


def test_random_indices_against_numpy():
    draw = random.Random(3)
    choices = [0, -1, 2, slice(None), slice(1, None), slice(None, None, -1), slice(0, 3, 2), None, [0, 1], [[1], [-1]],
               np.array([2, 0])]
    for _ in range(150):
        index = tuple(draw.choice(choices) for _ in range(draw.randint(1, 4)))
        if draw.random() < 0.3:
            index = (*index, Ellipsis) if draw.random() < 0.5 else (Ellipsis, *index)
        try:
            expected = X[index]
        except IndexError:
            with pytest.raises(ShapeError):
                run_static(lambda xp, x, index=index: x[index], [X])
            continue
        found, = run_static(lambda xp, x, index=index: x[index], [X])
        np.testing.assert_array_equal(found, expected, err_msg=str(index))


def test_masks_of_constants():
    mask = X[:, :, 0] % 3 == 0
    check(lambda xp, x: x[mask], X)
    check(lambda xp, x: x[:, mask[0], 1], X)
    check(lambda xp, x: x[X > 50], X)
    check(lambda xp, x: x[[True, False, True, True]], X)
    check(lambda xp, x: x[np.zeros(4, bool)], X)


def test_a_traced_mask_is_refused_by_name():
    x = typed("x", X)
    with pytest.raises(PullbackError, match=r"pb\.where"):
        x[x > 3]
    with pytest.raises(ShapeError, match="mask has 3"):
        x[np.array([True, False, True])]


def test_traced_integer_arrays():
    i, j = np.array([[1, -1, 0]]), np.array([[2], [-3]])
    check(lambda xp, x, i, j: x[i, j], X, i, j)
    check(lambda xp, x, i, j: x[i, :, j], X, i, j)
    check(lambda xp, x, i: x[:, i], X, i)
    check(lambda xp, x, i: x[i, 1:, ::-2], X, np.array(-2))
    check(lambda xp, x, i: x[i, i], X, np.array(3, np.uint8))


def test_traced_indices_out_of_range_raise_when_run():
    x, i = typed("x", X), typed("i", np.array(1))
    for wrong in (4, -5):
        with pytest.raises(IndexError):
            evaluate([x[i]], {x: X, i: np.array(wrong)})


def test_slices_with_traced_bounds():
    def expected(xp, x, i):
        i = int(i)
        return x[i:i + 3], x[1, i:i + 2, ::-1], x[:, i:i + 2,
                                                  i:i + 4], x[:, i + 3:i:-1], x[:, i - 1:i + 4:2], x[[0, 1], i:i + 2]

    def program(xp, x, i):
        return x[i:i + 3], x[1, i:i + 2, ::-1], x[:, i:i + 2,
                                                  i:i + 4], x[:, i + 3:i:-1], x[:, i - 1:i + 4:2], x[[0, 1], i:i + 2]

    check(program, X, np.array(1), expected=expected)
    check(program, X, np.array(1, np.int32), expected=expected)


def test_traced_slices_need_a_known_length():
    x, i, j = typed("x", X), typed("i", np.array(1)), typed("j", np.array(1))
    for index in (np.s_[i:], np.s_[:i], np.s_[i:j], np.s_[i:5]):
        with pytest.raises(ShapeError, match=r"x\[i:i\+3\]"):
            x[index]
    assert x[2 * i:2 * i + 3].shape == (3, 5, 6)
    with pytest.raises(IndexError):
        evaluate([x[i:i + 3]], {x: X, i: np.array(2)})


@pytest.mark.parametrize("index",
                         [4, -5, (0, 5), (0, 0, 0, 0), [0, 4], [-5], 1.5, "a", True, (..., ...), np.array([0.5])])
def test_wrong_indices_are_refused_when_built(index):
    with pytest.raises((ShapeError, DTypeError)):
        typed("x", X)[index]


@pytest.mark.parametrize("index", [4, -5, (0, 5), (slice(None), -6), (0, 0, 0, 0)])
def test_wrong_indices_are_refused_also_where_sizes_are_symbols(index):
    with size.tracing(size.Guards({f"x{i}": n for i, n in enumerate(X.shape)})), pytest.raises(ShapeError):
        typed("x", X, symbolic=True)[index]


def test_symbolic_slices_have_short_sizes_and_add_up():
    x = typed("x", X[:, 0, 0], symbolic=True)
    assert x[1:].shape[0].same(size.maximum(x.shape[0] - 1, 0))
    assert x[1:-1].shape[0].same(x[2:].shape[0]) and x[2:].shape[0].same(x[:-2].shape[0])
    assert (x[1:-1] + x[2:] + x[:-2]).shape == x[2:].shape
    assert x[::-1].shape[0].same(x.shape[0])


@pytest.mark.parametrize("length", range(6))
def test_symbolic_slices_clamp_like_numpy(length):
    data = np.arange(10., 10 + length)
    bounds = [None, 0, 1, 3, 7, -1, -2, -7]
    for start, stop, step in itertools.product(bounds, bounds, (None, 2, -1, -3)):
        index = slice(start, stop, step)
        check(lambda xp, a, index=index: a[index], data, forms=("symbolic",))


def test_sizes_as_indices():
    check(lambda xp, x: (x[x.shape[0] - 1], x[:x.shape[0] // 2], x[x.shape[0] - 2:], x[:, :x.shape[0]]), X,
          forms=("static", "symbolic", "declared"))


def test_take():
    i = np.array([[0, 2], [1, -1]])
    for axis in (0, 1, -1, None):
        check(lambda xp, x, axis=axis: xp.take(x, [0, 2], axis=axis), X)
        check(lambda xp, x, i, axis=axis: xp.take(x, i, axis=axis), X, i)
    check(lambda xp, x: x.take(2, axis=1), X)
    check(lambda xp, x, i: xp.take(x, i, axis=1, mode="clip"), X, i * 9)
    check(lambda xp, x, i: xp.take(x, i, axis=1, mode="wrap"), X, i * 9)
    check(lambda xp, x: xp.take(x, np.zeros(0, int), axis=0), X)


def test_take_along_axis():
    order = np.argsort(X * np.sin(X), axis=1)
    check(lambda xp, x, i: xp.take_along_axis(x, i, axis=1), X, order)
    check(lambda xp, x, i: xp.take_along_axis(x, i, 1), X, order[:1, :2])
    check(lambda xp, x, i: xp.take_along_axis(x, i, -1), X[:, :, :1], np.zeros((4, 5, 1), int))


# ---- writing ----------------------------------------------------------------------------------------------------
def numpy_update(x, index, op, value):
    out = x.copy()
    if op == "set":
        out[index] = value
    else:
        {"add": np.add, "multiply": np.multiply, "min": np.minimum, "max": np.maximum,
         "subtract": np.subtract}[op].at(out, index, value)
    return out


@pytest.mark.parametrize("index", BASIC + ARRAYS, ids=lambda i: str(i).replace("\n", ""))
def test_updates(index):
    value = np.sin(np.arange(X[index].size, dtype=float)).reshape(X[index].shape)
    check(lambda xp, x, v: x.at[index].set(v), X, value, expected=lambda xp, x, v: numpy_update(x, index, "set", v))
    check(lambda xp, x: x.at[index].add(2), X, expected=lambda xp, x: numpy_update(x, index, "add", 2))


@pytest.mark.parametrize("op", ["add", "subtract", "multiply", "min", "max"])
def test_update_operations_count_duplicates(op):
    value = np.linspace(-3, 90, 5)
    for index in (np.s_[1:3, :, 0], np.s_[[1, 1, 0], :, -1], np.s_[...]):
        v = value if X[index].ndim == 2 and X[index].shape[-1] == 5 else 2.5
        check(lambda xp, x, index=index, v=v: getattr(x.at[index], op)(v), X,
              expected=lambda xp, x, index=index, v=v: numpy_update(x, index, op, v))


def test_update_at_traced_places():
    def expected(xp, x, i):
        i = int(i)
        return numpy_update(x, i, "set", 7.), numpy_update(x, np.s_[:, i:i + 2], "add", 1.), numpy_update(
            x, np.s_[1:3, i, ::-1], "set", np.arange(6.))

    check(lambda xp, x, i: (x.at[i].set(7), x.at[:, i:i + 2].add(1), x.at[1:3, i, ::-1].set(np.arange(6.))), X,
          np.array(1),
          expected=expected)


def test_static_regions_do_not_scatter():
    x = typed("x", X)
    assert x.at[1:3, ::-2].set(1.).op == "update"
    assert all(step > 0 for _, step in x.at[1:3, ::-2].set(1.).attrs[1])
    assert x.at[:].set(1.).op == "broadcast"
    assert x.at[[0, 1]].set(1.).op == "scatter"
    assert x.at[3:1].set(1.) is x


def test_update_dtypes():
    k = typed("k", np.arange(4))
    assert k.at[0].set(3).dtype == np.int64
    assert typed("h", X.astype("f4")).at[0].add(1.5).dtype == np.float32
    with pytest.raises(DTypeError, match="astype"):
        k.at[0].set(1.5)
    with pytest.raises(ShapeError, match="does not fit the selected shape"):
        typed("x", X).at[0].set(np.zeros(7))


def test_assignment_names_at():
    with pytest.raises(PullbackError, match=r"\.at\[index\]\.set"):
        typed("x", X)[0] = 1
    with pytest.raises(PullbackError, match="not known"):
        list(Var("x"))
    assert pb.take(Var("x"), [0]).op == "call"
