"""Calling compiled programs: names, positions, nests, numbers, and how often they are compiled."""

import dataclasses
import enum
import functools
import inspect
import sys
import threading
import time
from typing import Any, NamedTuple

import numpy as np
import pytest

import pullback as pb
from pullback.kernels import compiled as compiled_module


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass
class Layer:
    w: Any
    b: Any


class Mode(enum.Enum):
    PLUS = 1
    MINUS = 2


def linear():
    return pb.Var("w") @ pb.Var("x") + pb.Var("b")


@pytest.mark.parametrize("shapes", [
    ((3, 4), (4,), (3,)), ((3, 4), (4, 5), (3, 1)), ((7, 3, 4), (7, 4, 5), (5,)), ((3, 4), (7, 4, 5), ()),
    ((4,), (4, 2), (2,)), ((4,), (4,), ()), ((1, 1), (1, 1), (1,)),
])
def test_the_three_lines_of_the_readme(shapes):
    y = linear()
    f = pb.compile(y)
    w, x, b = (np.random.default_rng(k).normal(size=s) for k, s in enumerate(shapes))
    result = f(w=w, x=x, b=b)
    np.testing.assert_allclose(result, w @ x + b, rtol=1e-14)
    assert result.shape == (w @ x + b).shape and type(result) is np.ndarray


def test_twenty_sizes_make_one_compilation_per_rank_and_pattern_of_ones():
    f = pb.compile(linear())
    patterns = [
        lambda n: ((n, n + 1), (n + 1,), (n,)),
        lambda n: ((n, n + 1), (n + 1, n + 2), (n, n + 2)),
        lambda n: ((n, n + 1), (n + 1, n + 2), (n, 1)),
        lambda n: ((1, n + 1), (n + 1, n + 2), ()),
        lambda n: ((2, n, n + 1), (2, n + 1, 3), (3,)),
    ]
    for count, shapes in enumerate(patterns, 1):
        for n in range(2, 22):
            w, x, b = (np.ones(s) for s in shapes(n))
            np.testing.assert_array_equal(f(w=w, x=x, b=b), w @ x + b)
        assert len(f.log) == count
    assert f.explain_compile().count("\n") == len(patterns) + 2


def test_args_fixes_the_order_of_positions():
    w, x, b = pb.Var("w"), pb.Var("x"), pb.Var("b")
    f = pb.compile(w @ x + b, args=[b, "x", w])
    expected = np.array([3.0, 4.0])
    for _ in range(2):
        np.testing.assert_array_equal(f(2.0, np.array([1.0, 2.0]), np.eye(2)), expected)
        np.testing.assert_array_equal(f(2.0, w=np.eye(2), x=np.array([1.0, 2.0])), expected)
    for wrong in ([w, x], [w, x, b, b], ["w", "x", "c"]):
        with pytest.raises(TypeError, match="args lists"):
            pb.compile(w @ x + b, args=wrong)


def test_keywords_in_another_order_are_not_mixed_up_after_the_first_call():
    """The same object in two places must not make the places look alike."""
    f = pb.compile(pb.Var("x") - pb.Var("y"))
    g = pb.compile(lambda x, y: x - y)
    a, b = np.full(3, 5.0), np.full(3, 2.0)
    for h in (f, g):
        for _ in range(3):
            np.testing.assert_array_equal(h(y=a, x=a), np.zeros(3))
            np.testing.assert_array_equal(h(y=b, x=a), np.full(3, 3.0))
            np.testing.assert_array_equal(h(x=b, y=a), np.full(3, -3.0))
    p = pb.compile(pb.Var("x") - pb.Var("y"), args=["y", "x"])
    for _ in range(3):
        np.testing.assert_array_equal(p(a, a), np.zeros(3))
        np.testing.assert_array_equal(p(b, a), np.full(3, 3.0))


@pytest.mark.parametrize("call, words", [
    (lambda f: f(w=np.eye(2), x=np.ones(2)), r"needs b: call it as f\(w=\.\.\., x=\.\.\., b=\.\.\.\)"),
    (lambda f: f(w=np.eye(2), x=np.ones(2), b=1, c=2), r"no variable 'c': its variables are w, x, b"),
    (lambda f: f(w=np.eye(2), x=np.ones(2), B=1), r"no variable 'B'"),
    (lambda f: f(np.eye(2), np.ones(2), 1.0), r"takes 0 arguments by position, got 3; give compile\(\.\.\., args="),
])
def test_wrong_names_of_a_program(call, words):
    with pytest.raises(TypeError, match=words):
        call(pb.compile(linear()))


@pytest.mark.parametrize("call, words", [
    (lambda f: f(1.0), r"missing a required argument: 'y'"),
    (lambda f: f(1.0, 2.0, z=3.0), r"unexpected keyword argument 'z'"),
    (lambda f: f(1.0, 2.0, 3.0), r"too many positional"),
    (lambda f: f(1.0, 2.0, x=3.0), r"multiple values for argument 'x'"),
])
def test_wrong_names_of_a_function(call, words):
    def model(x, y):
        return x + y

    with pytest.raises(TypeError, match=rf"model\(x, y\): .*{words}"):
        call(pb.compile(model))


def test_functions_without_a_signature_say_what_to_write():
    with pytest.raises(TypeError, match=r"wrap it, for example pb.compile\(lambda x: max\(x\)\)"):
        pb.compile(max)


@pytest.mark.parametrize("target", ["abc", [pb.Var("x"), "abc"]])
def test_targets_that_are_none(target):
    with pytest.raises(TypeError, match="not 'abc'"):
        pb.compile(target)


def test_expression_nests_come_back_in_the_same_nest():
    x = pb.Var("x")
    f = pb.compile({"a": (x, [x * 2]), "b": Pair(x + 1, Layer(x - 1, None)), "c": 2.5, "d": ()})
    for _ in range(2):
        result = f(x=np.array([1.0, 2.0]))
        assert list(result) == ["a", "b", "c", "d"] and type(result["a"]) is tuple and type(result["a"][1]) is list
        assert type(result["b"]) is Pair and type(result["b"].second) is Layer and result["b"].second.b is None
        assert result["c"] == 2.5 and result["d"] == ()
        np.testing.assert_array_equal(result["a"][1][0], [2.0, 4.0])
        np.testing.assert_array_equal(result["b"].second.w, [0.0, 1.0])


def test_functions_take_and_give_nests():
    def forward(layers, x, *, scale=2.0):
        for layer in layers:
            x = layer.w @ x + layer.b["bias"]
        return Pair(x * scale, {"first": layers[0].w, "none": None, "number": 3})

    layers = [Layer(np.eye(2), {"bias": 1.0}), Layer(2 * np.eye(2), {"bias": np.ones(2)})]
    f = pb.compile(forward)
    for _ in range(2):
        result = f(layers, np.array([1.0, 2.0]))
        np.testing.assert_array_equal(result.first, [10.0, 14.0])
        np.testing.assert_array_equal(result.second["first"], np.eye(2))
        assert result.second["none"] is None and result.second["number"] == 3
        assert not np.shares_memory(result.second["first"], layers[0].w)
    assert len(f.log) == 1


def test_numbers_neither_widen_nor_recompile():
    f = pb.compile(lambda x, s: x * (2 * s + 1.0))
    for number in (2.5, 3.5, -0.0, float("inf")):
        result = f(np.ones(2, np.float32), number)
        assert result.dtype == np.float32 and result[0] == np.float32(2 * number + 1)
    assert len(f.log) == 1
    assert f(np.ones(2, np.float32), 3).dtype == np.float32
    assert f(np.ones(2, np.float32), np.float64(3)).dtype == np.float64
    assert f(np.ones(2, np.int32), 2.5).dtype == np.float64
    assert pb.compile(lambda x, s: x * s)(np.ones(2, np.int16), 3).dtype == np.int16
    assert pb.compile(lambda x, s: x + s)(np.array([250], np.uint8), True).dtype == np.uint8


def test_numbers_alone_are_numbers_of_python():
    assert pb.compile(lambda a, b: a * b)(2, 3).dtype == np.int64
    assert pb.compile(lambda a, b: a * b)(2, 3.0).dtype == np.float64
    assert pb.compile(lambda a, b: a + b)(True, True) == np.True_


def test_gradient_keeps_the_dtype_of_arrays_beside_numbers():
    f = pb.compile(pb.grad(lambda x, s: (pb.sin(x * s) / np.sqrt(x.shape[0])).sum()))
    result = f(np.ones(4, np.float32), 0.5)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.full(4, np.cos(0.5) * 0.25), rtol=1e-6)


def test_large_integers_after_small_ones():
    f = pb.compile(lambda s: s + 1)
    assert f(3) == 4 and f(4) == 5
    assert f(2**63) == np.uint64(2**63 + 1)
    for _ in range(2):
        with pytest.raises(pb.DTypeError, match="which no integer type holds: pass a float"):
            f(2**70)
    assert f(3) == 4


def test_strings_functions_dtypes_and_enumerations_choose_the_program():
    def apply(x, name, function, dtype, mode, where):
        y = function(x[where]) * (2 if name == "twice" else 1)
        return (y if mode is Mode.PLUS else -y).astype(dtype)

    f = pb.compile(apply)
    x = np.array([1.0, 4.0, 9.0])
    assert f(x, "twice", pb.sqrt, np.float32, Mode.PLUS, slice(0, 2)).tolist() == [2.0, 4.0]
    assert f(x, "once", pb.sqrt, np.float32, Mode.PLUS, slice(0, 2)).tolist() == [1.0, 2.0]
    assert f(x, "once", pb.sqrt, np.dtype("int32"), Mode.MINUS, slice(1, None)).dtype == np.int32
    assert f(x, "once", pb.square, np.float32, Mode.MINUS, slice(1, None)).tolist() == [-16.0, -81.0]
    assert len(f.log) == 4
    f(x, "twice", pb.sqrt, np.float32, Mode.PLUS, slice(0, 2))
    assert len(f.log) == 4


def test_defaults_varargs_partials_methods_and_objects():
    class Scale:
        def __init__(self, k):
            self.k = k

        def __call__(self, x):
            return x * self.k

        def method(self, x, *more, **named):
            return x * self.k + sum(more) + named.get("z", 0)

    x = np.ones(2)
    assert pb.compile(lambda x, k=3.0: x * k)(x).tolist() == [3.0, 3.0]
    assert pb.compile(lambda x, k=3.0: x * k)(x, k=4.0).tolist() == [4.0, 4.0]
    assert pb.compile(functools.partial(lambda a, x: a * x, 3.0))(x).tolist() == [3.0, 3.0]
    assert pb.compile(Scale(4.0))(x).tolist() == [4.0, 4.0]
    assert pb.compile(Scale(4.0).method)(x, 1.0, x, z=2).tolist() == [8.0, 8.0]
    assert pb.compile(np.sin)(x).tolist() == np.sin(x).tolist()


def test_results_that_are_no_expressions():
    f = pb.compile(lambda x: (3, 2.5, True, None, np.arange(3), x.shape, x.shape[0] * 2, x.shape[0] / 2))
    three, half, true, none, array, shape, twice, quotient = f(np.ones((4, 5)))
    assert (three, half, true, none, twice, quotient) == (3, 2.5, True, None, 8, 2.0) and shape == (4, 5)
    assert array.tolist() == [0, 1, 2] and three.dtype == np.int64 and true.dtype == np.bool_
    assert pb.compile(lambda: 3.0)() == 3.0
    assert pb.compile(lambda x: None)(np.ones(3)) is None
    assert pb.compile(lambda x: ())(np.ones(3)) == ()


def test_variables_called_out_and_self_are_the_program_s():
    f = pb.compile(pb.Var("out") * 2 + pb.Var("self"))
    assert f(out=np.ones(2), self=1.0).tolist() == [3.0, 3.0]
    assert pb.compile(lambda x, out: x + out)(np.ones(2), out=2.0).tolist() == [3.0, 3.0]


def test_compile_is_idempotent_and_calls_inside_a_trace_build_expressions():
    inner = pb.compile(lambda x: pb.sin(x) * 2)
    assert pb.compile(inner) is inner
    outer = pb.compile(lambda x: inner(x) + 1)
    np.testing.assert_allclose(outer(np.ones(3)), np.sin(1) * 2 + 1)
    assert not inner.log
    assert repr(inner(pb.Var("t"))) == "sin(t)*2"


def test_a_compiled_function_looks_like_the_function():
    @pb.compile
    def model(w, x=2.0):
        """The documentation."""
        return w * x

    assert model.__name__ == "model" and model.__doc__ == "The documentation."
    assert str(inspect.signature(model)) == "(w, x=2.0)" and "model" in repr(model)


def test_transposed_arrays_are_read_where_they_lie():
    """Also on the short way of a second call, where results that repeat an input must not lose the order."""
    x, y = np.arange(6.0).reshape(2, 3).T, np.arange(12.0).reshape(4, 3).T
    for function in (lambda x: x * 2, lambda x: x, lambda x: x.T, lambda x: (x.reshape(-1), x[0], x.sum(1))):
        f = pb.compile(function)
        for array in (x, y, x, y, np.ascontiguousarray(x), x):
            result, expected = f(array), function(array)
            for a, b in zip(result, expected, strict=True):
                np.testing.assert_array_equal(a, b)
        assert len(f.log) == 2 and not f.copies


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(compiled_module, "_MOST_FAST", 4)
    f = pb.compile(lambda x: x + 1)
    for n in range(2, 40):
        assert f(np.zeros(n)).shape == (n,)
    assert len(f._fast) <= 4 and len(f.log) == 1


def python_calls(function, *args, **kwargs):
    """How many Python functions one call enters."""
    entered = []

    def profile(frame, event, argument):
        if event == "call":
            entered.append(frame.f_code.co_name)

    sys.setprofile(profile)
    try:
        function(*args, **kwargs)
    finally:
        sys.setprofile(None)
    return entered


def test_a_call_enters_few_functions():
    x = np.float64(2.0)
    scalar = pb.compile(lambda x: x * x + 1.0)
    keywords = pb.compile(pb.Var("a") + pb.Var("b"))
    array = np.ones(3)
    for f, args, kwargs in ((scalar, (2.0,), {}), (scalar, (x,), {}), (keywords, (), {"a": array, "b": array})):
        f(*args, **kwargs)
        f(*args, **kwargs)
        assert len(python_calls(f, *args, **kwargs)) <= 20
    best = min(_microseconds(scalar, 2.0) for _ in range(5))
    print(f"a call of a scalar function takes {best:.1f} microseconds")


def _microseconds(function, argument):
    start = time.perf_counter()
    for _ in range(2000):
        function(argument)
    return (time.perf_counter() - start) / 2000 * 1e6


def test_threads_call_and_compile_at_the_same_time():
    f = pb.compile(lambda x: pb.exp(x).sum() + x)
    failures = []

    def work(number):
        try:
            for turn in range(40):
                x = np.arange(float(3 + turn % 7))
                np.testing.assert_allclose(f(x), np.exp(x).sum() + x, rtol=1e-13)
                if turn % 20 == 0:
                    g = pb.compile(lambda x, k=number, j=turn: x * k + j)
                    np.testing.assert_array_equal(g(x), x * number + turn)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(f.log) == 1          # nobody compiled what another thread was compiling


def test_the_index_of_a_loop_is_like_a_python_number():
    x = np.ones(2, np.float32)
    f = pb.compile(lambda x, s: pb.fori_loop(0, 3, lambda i, c: c * s + i, x))
    assert f(x, 2.0).dtype == np.float32 and f(x, 2.0).tolist() == [12.0, 12.0]
    g = pb.compile(lambda x: pb.fori_loop(1, 4, lambda i, c: c + x * i, x))
    assert g(x).dtype == np.float32 and g(x).tolist() == [7.0, 7.0]
    assert pb.compile(lambda n: pb.fori_loop(0, n, lambda i, c: c + i, 0))(5) == 10
