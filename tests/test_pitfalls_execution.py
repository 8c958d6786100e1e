"""What goes wrong elsewhere when programs run: names, constants, depth, width, signed zeros, forks, errors."""

import copy
import os
import pickle
import struct
import subprocess
import sys
import warnings

import numpy as np
import pytest

import pullback as pb
from pullback.kernels.nvrtc import compile_text, nvrtc_version

X = pb.Var("x")
NAMES = [
    "lambda_", "π", "int", "chunk", "i", "np", "sizes", "n0", "double", "float", "out", "main", "program", "char",
    "exp", "__builtins__", "self", "threadIdx", "struct", "template", "NULL", "INFINITY", "blockIdx", "max", "kernel_0",
    "void", "constant", "__global__", "ﬁ", "Ⅳ", "x" * 300, "_", "__", "range", "math", "numba", "r0", "t0", "long", "N",
    "M_PI", "asm", "restrict", "out_1", "size_t", "__restrict__", "__shared__", "é", "变量",
]


def test_names_that_other_languages_keep_for_themselves():
    """One program for all: each text must compile, with every name in it at once."""
    variables = [pb.Var(name) for name in NAMES]
    assert len({v.attrs[0] for v in variables}) == len(NAMES)
    total = sum((pb.exp(v).sum() * (k + 1) for k, v in enumerate(variables)), start=X)
    f = pb.compile({"total": total, "each": [v * 2 for v in variables[:7]]})
    values = {name: np.full(3, 0.01 * k) for k, name in enumerate(NAMES)}
    result = f(x=1.0, **values)
    expected = 1 + sum(3 * np.exp(0.01 * k) * (k + 1) for k in range(len(NAMES)))
    np.testing.assert_allclose(result["total"], expected)
    compile(f.source("cpu"), "generated", "exec")
    if nvrtc_version() is not None:
        assert compile_text(f.source("cuda"), "sm_90").data


@pytest.mark.parametrize("name", ["lambda", "int", "π", "i", "chunk", "for", "n0", "__global__"])
def test_names_of_dimensions(name):
    x = pb.Var("x", (name, None))
    f = pb.compile(x.sum(1) * x.shape[0] + x.shape[1])
    assert f(x=np.ones((3, 2))).tolist() == [8.0] * 3
    compile(f.source("cpu"), "generated", "exec")


@pytest.mark.parametrize("value", [-0.0, 0.0, float("nan"), float("inf"), -float("inf"), 1e-320, 5e-324, 0.1, 1e23,
                                   1.7976931348623157e308, 2.2250738585072014e-308, 9007199254740993.0])
def test_literals_to_the_last_bit(value):
    x = np.zeros(5)
    for literal in (value, np.float64(value), np.array([value])):
        f = pb.compile(pb.where(X > 5, X, literal))
        assert f(x=x).tobytes() == np.full(5, value).tobytes()
    assert pb.compile(lambda: value)().tobytes() == struct.pack("d", value)
    assert pb.compile(lambda s: s)(value).tobytes() == struct.pack("d", value)


@pytest.mark.parametrize("value, dtype", [(2**63 - 1, "int64"), (-(2**63), "int64"), (2**53 + 1, "int64"),
                                          (2**64 - 1, "uint64"), (-128, "int8"), (True, "bool")])
def test_integer_literals_to_the_last_bit(value, dtype):
    literal = np.dtype(dtype).type(value)
    for written in (literal, np.array([literal])):
        f = pb.compile(pb.where(X > 5 if dtype != "bool" else ~X, X, written))
        x = np.zeros(5, dtype) if dtype != "bool" else np.ones(5, dtype)
        assert f(x=x).tobytes() == np.full(5, value, dtype).tobytes()


def test_float32_literals_are_rounded_once():
    for value in (0.1, 1e-45, 1e-50, 16777217.0, 3.4028235e38, 1e39):
        f = pb.compile(pb.where(X > 5, X, value))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = np.full(3, value, np.float64).astype(np.float32)
        assert f(x=np.zeros(3, np.float32)).tobytes() == expected.tobytes()


ALGEBRA = [
    lambda x: x - x, lambda x: 0 * x, lambda x: x * 0.0, lambda x: x / x, lambda x: x + 0.0, lambda x: x - 0.0,
    lambda x: x * 1, lambda x: 0.0 - x, lambda x: -x, lambda x: x + x * 0, lambda x: 1.0 / (1.0 / x),
    lambda x: x * -1.0, lambda x: (x + 1e300) - 1e300, lambda x: x * 2 / 2, lambda x: abs(x) - x,
    lambda x: x**2 - x * x,
]


@pytest.mark.parametrize("number", range(len(ALGEBRA)))
def test_no_algebra_that_loses_nan_inf_or_signed_zeros(number):
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, -3.5, 1e-320, 1e308])
    with np.errstate(all="ignore"):
        expected = ALGEBRA[number](x)
    result = pb.compile(ALGEBRA[number])(x)
    np.testing.assert_array_equal(result, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result[numbers]), np.signbit(expected[numbers]))


def test_constants_tell_zeros_integers_and_booleans_apart():
    f = pb.compile([X * 0.0, X * -0.0, X * 0, X * False])
    results = f(x=np.ones(2))
    assert [np.signbit(r[0]) for r in results] == [False, True, False, False]
    assert [r.dtype for r in pb.compile([X + 1, X + 1.0, X + True])(x=np.ones(2, np.int32))] == [
        np.int32, np.float64, np.int32]


def test_ten_thousand_operations_in_a_chain():
    expression, expected = X, np.linspace(0, 1, 5)
    for _ in range(3334):
        expression, expected = pb.sin(expression) * 0.5 + 0.25, np.sin(expected) * 0.5 + 0.25
    assert len(repr(expression)) < 10_000
    f = pb.compile(expression)
    np.testing.assert_allclose(f(x=np.linspace(0, 1, 5)), expected, rtol=1e-12)
    assert f.explain().count("\n") < 20 and "1 kernel, 0 library calls" in f.explain()


def test_a_gradient_through_a_thousand_operations():
    expression = X
    for _ in range(500):
        expression = pb.sin(expression) * 1.01
    f = pb.compile(pb.grad(expression.sum(), X))
    x, slope = np.linspace(0.1, 1, 4), np.ones(4)
    value = x.copy()
    for _ in range(500):
        slope, value = slope * np.cos(value) * 1.01, np.sin(value) * 1.01
    np.testing.assert_allclose(f(x=x), slope, rtol=1e-9)


def test_five_hundred_inputs_and_results():
    variables = [pb.Var(f"a{k}") for k in range(500)]
    total = variables[0]
    for variable in variables[1:]:
        total = total + variable
    f = pb.compile({"total": total, "each": [v * 2 for v in variables[:50]]})
    values = {f"a{k}": np.full(3, float(k)) for k in range(500)}
    for _ in range(2):
        result = f(**values)
        assert result["total"].tolist() == [124750.0] * 3
        assert [r[0] for r in result["each"]] == [2.0 * k for k in range(50)]
    gradient = pb.compile(pb.grad(total.sum(), variables))
    assert all(g.tolist() == [1.0] * 3 for g in gradient(**values))


def test_outputs_of_different_shapes_are_not_broadcast_to_one():
    f = pb.compile(lambda x, y: (x + 1, y * 2, x.sum(), x[:, None] + y))
    a, b, c, d = f(np.ones(3), np.ones(5))
    assert [r.shape for r in (a, b, c, d)] == [(3,), (5,), (), (3, 5)]


def test_zero_sizes_everywhere():
    f = pb.compile(lambda x, y: (x @ y, x.sum(0), x * 2, pb.exp(x).sum(), x.T.reshape(-1)))
    for n, k, m in ((0, 3, 2), (3, 0, 2), (3, 2, 0), (0, 0, 0)):
        x, y = np.ones((n, k)), np.ones((k, m))
        for result, expected in zip(f(x, y), (x @ y, x.sum(0), x * 2, np.exp(x).sum(), x.T.reshape(-1)), strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-14)
            assert result.shape == expected.shape
    with pytest.raises((pb.ShapeError, ValueError), match="zero|empty|no elements"):
        pb.compile(lambda x: x.max())(np.ones(0))


def test_an_error_leaves_the_program_usable():
    f = pb.compile(lambda x, i: x[i] * 2)
    x, inside, outside = np.arange(4.0), np.array([0, 3]), np.array([0, 4])
    for _ in range(3):
        with pytest.raises(IndexError, match="axis of 4 elements"):
            f(x, outside)
        assert f(x, inside).tolist() == [0.0, 6.0]


def test_no_traceback_of_generated_code():
    """What a user sees has no frame in a file that does not exist."""
    import traceback

    for run in (lambda: pb.compile(lambda x, i: x[i])(np.ones(3), np.array([7])),
                lambda: pb.compile(lambda x, y: x @ y)(np.ones((2, 3)), np.ones((2, 3))),
                lambda: pb.compile(lambda x: x.reshape(7))(np.ones(3))):
        with pytest.raises((IndexError, pb.ShapeError)) as caught:
            run()
        files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert all(os.path.exists(name) for name in files)
        assert not any("numba" in name or "llvmlite" in name for name in files)
        assert caught.value.__cause__ is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_calls_and_compiles():
    f = pb.compile(lambda x: pb.exp(x).sum())
    x = np.ones(1_000_000)
    expected = f(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            good = f(x) == expected and pb.compile(lambda x: x * 3.25 - 1)(x)[0] == 2.25
            os._exit(0 if good else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert f(x) == expected


def test_inputs_are_never_written():
    arrays = [np.ones((3, 3)), np.ones(3)]
    for array in arrays:
        array.flags.writeable = False

    def update(a, b):
        a = a.at[0].set(b)
        a = a.at[1].add(2.0)
        b += 1
        return a, b, pb.cumsum(a, 0)

    f = pb.compile(update)
    for _ in range(2):
        a, b, c = f(*arrays)
        assert a.tolist() == [[1.0] * 3, [3.0] * 3, [1.0] * 3] and b.tolist() == [2.0] * 3
        assert c[-1].tolist() == [5.0] * 3
    assert (arrays[0] == 1).all() and (arrays[1] == 1).all()


def test_copies_and_pickles_are_the_same_expression():
    """Equal expressions are one object, whatever way they come."""
    declared = pb.Var("v", ("n", 3), "float32")
    expression = pb.sin(X) @ np.arange(3.0) + declared.sum(1) * declared.shape[0] - 2
    for value in (X, declared, expression, expression + 1):
        assert copy.copy(value) is value and copy.deepcopy({"a": [value]})["a"][0] is value
        assert pickle.loads(pickle.dumps(value)) is value
    long = X
    for _ in range(5000):
        long = long + 1
    assert pickle.loads(pickle.dumps(long)) is long


def test_pickles_are_read_in_another_process(tmp_path):
    declared = pb.Var("v", ("n",))
    f = pb.compile([X * np.arange(3.0), declared * declared.shape[0]], args=["v", "x"])
    (tmp_path / "pickle").write_bytes(pickle.dumps(f))
    code = ("import pickle, numpy as np, pullback as pb\n"
            "f = pickle.load(open('pickle', 'rb'))\n"
            "assert f.target[0] is pb.Var('x') * np.arange(3.0)\n"
            "print([r.tolist() for r in f(np.ones(2), 2.0)])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.strip() == "[[0.0, 2.0, 4.0], [2.0, 2.0]]", done.stderr


def test_the_same_bits_at_every_call():
    f = pb.compile(lambda x: (pb.exp(x).sum(), (x * x).sum(0), pb.cumsum(x, 1)))
    x = np.random.default_rng(0).normal(size=(700, 900))
    first = [r.tobytes() for r in f(x)]
    for _ in range(5):
        assert [r.tobytes() for r in f(x)] == first
