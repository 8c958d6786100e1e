"""What a call takes and what it gives: every layout of an array, and memory that nobody shares."""

import itertools

import numpy as np
import pytest

import pullback as pb
from pullback.kernels import cuda


def misaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    result = raw[1:].view(array.dtype).reshape(array.shape)
    result[...] = array
    assert not result.flags.aligned
    return result


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


class Exported:
    """An array of another library: nothing but DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Described:
    def __init__(self, array):
        self.array, self.__array_interface__ = array, array.__array_interface__


GRID = np.arange(24.0).reshape(4, 6) - 7
LAYOUTS = {
    "contiguous": GRID, "strided": GRID[::2, 1::3], "negative": GRID[::-1, ::-1], "transposed": GRID.T,
    "fortran": np.asfortranarray(GRID), "read-only": read_only(GRID),
    "zero-size": GRID[:0], "zero columns": GRID[:, :0].T,
    "0-d": np.array(3.0), "NumPy scalar": np.float32(2), "big-endian": GRID.astype(">f8"),
    "big-endian fortran": np.asfortranarray(GRID.astype(">f4")), "broadcast": np.broadcast_to(np.arange(3.0), (4, 3)),
    "misaligned": misaligned(GRID), "misaligned fortran": misaligned(GRID).T, "part of a record":
    np.zeros(5, [("a", "i1"), ("b", "f8")])["b"], "int8": GRID.astype(np.int8), "bool": GRID > 0,
    "subclass": GRID.view(type("Own", (np.ndarray,), {})),
    "one element": GRID[:1, :1], "permuted": np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0),
}
FOREIGN = {"memoryview": memoryview(GRID), "DLPack": Exported(GRID), "array interface": Described(GRID)}


@pytest.mark.parametrize("name", [*LAYOUTS, *FOREIGN])
def test_layouts(name):
    value = LAYOUTS.get(name, FOREIGN.get(name))
    array = np.array(LAYOUTS.get(name, GRID))
    f = pb.compile({"y": pb.Var("x") * 3 + 1, "sum": pb.Var("x").sum(), "flat": pb.Var("x").reshape(-1)})
    g = pb.compile(lambda x: x * 3 + 1)
    before = array.copy()
    for _ in range(2):
        result = f(x=value)
        native = (array * 3 + 1).dtype.newbyteorder("=")
        assert result["y"].dtype == native and result["y"].shape == array.shape and result["y"].flags.writeable
        np.testing.assert_array_equal(result["y"], array * 3 + 1)
        np.testing.assert_allclose(result["sum"], array.astype(float).sum())
        np.testing.assert_array_equal(result["flat"], array.reshape(-1))
        np.testing.assert_array_equal(g(value), array * 3 + 1)
    np.testing.assert_array_equal(np.array(LAYOUTS.get(name, GRID)), before)


def test_layouts_after_each_other_through_one_program():
    """What one layout left behind must not be read for the next."""
    f = pb.compile(lambda x, y: x - 2 * y)
    arrays = [a for a in LAYOUTS.values() if np.shape(a) in ((4, 6), (6, 4))]
    for _ in range(2):
        for a, b in itertools.product(arrays, arrays):
            if np.shape(a) == np.shape(b) and np.asarray(b).dtype != bool:
                np.testing.assert_array_equal(f(a, b), np.asarray(a) - 2 * np.asarray(b))


@pytest.mark.parametrize("value, words", [
    (np.array([1, "a"], object), "dtype object"), (np.array(["a"]), "dtype <U1"),
    (np.array([b"a"]), r"dtype \|S1"),
    (np.ones(2, np.float16), "dtype float16"), (np.ones(2, np.clongdouble), "dtype c(omplex256|longdouble)"),
    (np.array(["2020-01-01"], "M8[D]"), "dtype datetime64"), (np.ones(2, np.longdouble), "dtype (float128|longdouble)"),
    (np.zeros(2, [("a", "f8")]), "dtype"), ([1, 2], "is a list"), (None, "is a NoneType"),
    ("abc", "is a str"), (np.ma.array([1.0, 2.0], mask=[0, 1]), "masked array.*filled"),
    (2**70, "no integer type holds"), ({1, 2}, "is a set"),
])
def test_refused_with_words(value, words):
    with pytest.raises(pb.DTypeError, match=rf"(?s)argument 'x'.*({words})"):
        pb.compile(pb.Var("x") * 2)(x=value)


class OnDevice:
    """What an array on a GPU looks like from outside."""

    def __init__(self, described):
        if described == "dlpack":
            self.__dlpack_device__ = lambda: (2, 0)
            self.__dlpack__ = None
        else:
            self.__cuda_array_interface__ = {"shape": (3,), "typestr": "<f8", "data": (0, True), "version": 3}


@pytest.mark.parametrize("described", ["dlpack", "interface"])
def test_arrays_on_a_device(described):
    value = OnDevice(described)
    with pytest.raises(pb.DTypeError, match="'x' lies on a CUDA device and the program was compiled for the CPU"):
        pb.compile(lambda x: x + 1, device="cpu")(value)
    if cuda.available() is not None:
        with pytest.raises(pb.DeviceError, match="device='cuda' needs a GPU: "):
            pb.compile(lambda x: x + 1)(value)


def test_refused_in_a_nest_by_its_place():
    f = pb.compile(lambda params: params["w"][0] * 2)
    with pytest.raises(pb.DTypeError, match="argument 'params_w_0' has dtype object: expected bool, an integer type"):
        f({"w": [np.array([None])]})


def arrays_of(nest):
    return [a for a in nest if isinstance(a, np.ndarray)]


def test_results_own_their_memory():
    constant = np.arange(3.0)

    def many(x):
        return (x, x, x.T, x.reshape(-1), x + 0, x * 2, x * 2, (x * 2).T, (x * 2).reshape(-1), x[:1], x.sum(), x.sum(),
                constant, constant, 3.0, x.copy(), pb.asarray(x))

    f = pb.compile(many)
    for x in (np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(3, 2).T, np.ones((1, 1)), np.array(2.0)[None, None]):
        results = [*f(x), *f(x), *f(x)]
        for a, b in itertools.combinations([*results, x, constant], 2):
            assert not np.shares_memory(a, b)
        for a in results:
            a[...] = -9                 # what is done to a result never comes back
        np.testing.assert_array_equal(f(x)[0], x)
        np.testing.assert_array_equal(f(x)[3], x.reshape(-1))
        np.testing.assert_array_equal(f(x)[12], [0.0, 1.0, 2.0])
        assert f(x)[14] == 3.0


def test_captured_arrays_are_taken_as_they_are():
    x, a = pb.Var("x"), np.ones(3)
    expression = x + a
    a[0] = 5
    f, g = pb.compile(expression), pb.compile({"a": x, "b": a})
    a[1] = 7
    assert f(x=np.zeros(3)).tolist() == [1.0, 1.0, 1.0]
    assert g(x=np.zeros(3))["b"].tolist() == [5.0, 1.0, 1.0]
    a[2] = 8
    assert f(x=np.zeros(3)).tolist() == [1.0, 1.0, 1.0] and g(x=np.zeros(3))["b"].tolist() == [5.0, 1.0, 1.0]


# ---- out= -----------------------------------------------------------------------------------------------------------
def test_out_is_written_and_returned():
    f = pb.compile(lambda x, y: {"a": x + y, "b": [x * y]})
    x, y = np.arange(5.0), np.full(5, 2.0)
    out = {"a": np.full(5, np.nan), "b": [np.full(5, np.nan)]}
    result = f(x, y, out=out)
    assert result["a"] is out["a"] and result["b"][0] is out["b"][0]
    np.testing.assert_array_equal(out["a"], x + y)
    np.testing.assert_array_equal(out["b"][0], x * y)


@pytest.mark.parametrize("case", ["same", "shifted", "reversed", "strided", "fortran", "misaligned", "result is input"])
def test_out_that_overlaps_or_is_laid_out_differently(case):
    memory = np.arange(24.0)
    x = memory[:16].reshape(4, 4)
    function = (lambda x: x) if case == "result is input" else (lambda x: x[::-1, ::-1] * 2 + x.T)
    expected = function(x.copy())
    out = {"same": x, "shifted": memory[3:19].reshape(4, 4), "reversed": x[::-1],
           "strided": np.zeros((8, 8))[::2, 1::2], "fortran": np.zeros((4, 4)).T,
           "misaligned": misaligned(np.zeros((4, 4))), "result is input": memory[1:17].reshape(4, 4)}[case]
    assert pb.compile(function)(x, out=out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("out, error, words", [
    (np.zeros(4), pb.ShapeError, r"out has shape \(4,\), the result \(3,\)"),
    (np.zeros(3, np.float32), pb.DTypeError, "out has dtype float32, the result float64"),
    ([0.0, 0.0, 0.0], pb.ShapeError, "out has the structure"),
    ((np.zeros(3),), pb.ShapeError, "out has the structure"),
    (read_only(np.zeros(3)), pb.DTypeError, "writable NumPy arrays"),
    (3.0, pb.DTypeError, "writable NumPy arrays"),
])
def test_out_that_does_not_fit(out, error, words):
    with pytest.raises(error, match=words):
        pb.compile(lambda x: x * 2)(np.ones(3), out=out)


def test_out_with_one_array_for_two_results_is_refused():
    memory = np.zeros(5)
    f = pb.compile(lambda x: (x * 2, x * 3))
    for out in ((memory[:3], memory[:3]), (memory[:3], memory[2:])):
        with pytest.raises(pb.PullbackError, match="share memory"):
            f(np.ones(3), out=out)
    assert not memory.any()


def test_memory_of_donated_inputs_is_used_again():
    f = pb.compile(lambda state, k: {"u": state["u"] * k, "v": state["v"] + 1.0}, donate=(0,))
    state = {"u": np.ones(50), "v": np.zeros(50)}
    seen = set()
    for turn in range(6):
        given, state = state, f(state, 2.0)
        seen |= {x.ctypes.data for x in state.values()}
        assert not any(np.shares_memory(a, b) for a in given.values() for b in state.values())
        np.testing.assert_array_equal(state["u"], np.full(50, 2.0**(turn + 1)))
        np.testing.assert_array_equal(state["v"], np.full(50, turn + 1.0))
    assert len(seen) <= 4
    x = np.arange(3.0)
    x.flags.writeable = False
    g = pb.compile(pb.Var("x") * 2, donate=["x"])
    for _ in range(3):
        np.testing.assert_array_equal(g(x=x), [0.0, 2.0, 4.0])
    np.testing.assert_array_equal(x, np.arange(3.0))
    with pytest.raises(TypeError, match="donate names 'z'"):
        pb.compile(lambda x: x, donate=("z",))


def test_precision_is_that_of_floats_on_entry():
    f = pb.compile(lambda x, p, n: pb.exp(x) * p["a"] + n, precision="float32")
    found = f(np.arange(3.0), {"a": np.float64(2)}, 1)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, f(np.arange(3, dtype=np.float32), {"a": np.float32(2)}, 1))
    assert pb.compile(lambda x: x * 2, precision="float64")(np.ones(2, np.float32)).dtype == np.float64
    assert pb.compile(lambda x: x * 2, precision="float32")(np.arange(2)).dtype == np.int64
    with pytest.raises(pb.PullbackError, match="precision is None, 'float32'"):
        pb.compile(lambda x: x, precision="tf32")


def test_warmup_compiles_for_shapes_without_running():
    class Shape:
        shape, dtype = (3, 4), np.dtype(np.float32)

    f = pb.compile(lambda p, k: {"y": pb.sin(p["x"]) * k})
    assert f.warmup({"x": Shape()}, 2.0) is f and len(f.log) == 1
    f({"x": np.ones((5, 6), np.float32)}, 3.0)
    assert len(f.log) == 1
    x = pb.Var("x")
    g = pb.compile(x * 2).warmup(x=np.ones(3))
    assert g(x=np.ones(4)).sum() == 8 and len(g.log) == 1
