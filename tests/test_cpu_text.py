"""The Numba text of a Program runs by itself and has the same bits as the IR that runs."""

import inspect
import subprocess
import sys
from dataclasses import replace

import numpy as np
import optree
import pytest
from hand_built import (
    column_sums,
    countdown,
    cumulative_sum,
    float32_mixture,
    full_sum,
    nested_sum,
    pad_and_flip,
    pointwise,
    products,
    row_softmax,
    scatter_add,
    smoothing_loop,
    take,
)
from test_llvm_ops import build, ops_of, samples

import pullback as pb
from pullback.codegen.numba_text import write_numba
from pullback.codegen.program import DTYPES
from pullback.dsl.size import evaluate
from pullback.kernels.cpu import CpuProgram

CASES = {
    "pointwise": (pointwise(), {"n": 100_003}),
    "row_softmax": (row_softmax(), {"n": 21, "m": 19}),
    "full_sum": (full_sum(), {"n": 100_003}),
    "column_sums": (column_sums(), {"n": 9_000, "m": 19}),
    "cumulative_sum_of_rows": (cumulative_sum(False), {"n": 30, "m": 21}),
    "cumulative_sum_in_lanes": (cumulative_sum(True), {"n": 30, "m": 21}),
    "take": (take(), {"n": 1003, "m": 50}),
    "scatter_add": (scatter_add(), {"n": 1003, "m": 5}),
    "smoothing_loop": (smoothing_loop(), {"n": 101, "t": 7}),
    "countdown": (countdown(), {}),
    "float32_mixture": (float32_mixture(), {"n": 77}),
    "nested_sum": (nested_sum(), {"n": 3, "m": 4}),
    "pad_and_flip": (pad_and_flip(), {"n": 37}),
}


def random_array(dtype, shape, rng):
    if dtype[0] == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 5, shape).astype(dtype)


def run_both(p, sizes):
    """The outputs of the IR and of the Numba text, on the same random inputs."""
    rng = np.random.default_rng(0)
    arrays = {
        name: random_array(b.dtype, tuple(evaluate(d, sizes) for d in b.shape), rng)
        for name, b in p.buffers.items()
        if b.kind != "temp"
    }
    inputs = [arrays[name].copy() for name in p.inputs]
    assert (
        CpuProgram.build(p).run(
            [a.ctypes.data for a in arrays.values()], tuple(v for k, v in sizes.items() if k in p.sizes)
        )
        == -1
    )
    names = {}
    exec(compile(write_numba(p), "generated", "exec"), names)
    parameters = inspect.signature(names["program"]).parameters.values()
    keywords = {p.name: sizes[p.name] for p in parameters if p.kind is p.KEYWORD_ONLY}
    results = names["program"](*inputs, **keywords)
    return [arrays[name] for name in p.outputs], list(results if isinstance(results, tuple) else [results])


@pytest.mark.parametrize("name", list(CASES))
def test_both_texts_give_the_same_bits(name):
    p, sizes = CASES[name]
    ours, theirs = run_both(p, sizes)
    assert len(ours) == len(theirs) > 0
    for output, a, b in zip(p.outputs, ours, theirs, strict=True):
        if output == "S" and name == "pad_and_flip":
            a, b = a[::3], b[::3]  # the elements between are never written
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes(), output


def test_matrix_products_go_through_numpy():
    for trans_a in (False, True):
        ours, theirs = run_both(products("float64", trans_a, not trans_a), {})
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-14)


def test_the_text_needs_no_pullback(tmp_path):
    """An exported module runs in a process that cannot import pullback, and raises what a check found."""
    (tmp_path / "exported.py").write_text(write_numba(take()))
    script = (
        "import sys; sys.modules['pullback'] = None\n"
        "import numpy as np, exported\n"
        "assert exported.program(np.arange(4.0), np.array([3, 0])).tolist() == [3.0, 0.0]\n"
        "try: exported.program(np.arange(4.0), np.array([3, 4]))\n"
        "except IndexError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "index out of range"


def test_the_text_reads_as_mathematics():
    text = write_numba(pointwise())
    assert "# y = x*x + 2" in text
    assert "        x = X[i]\n        a = x * x\n        b = a + 2.0\n        Y[i] = b\n" in text


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_operation_has_the_same_bits(dtype):
    """All machine operations and casts; casts of floats only where they fit, since elsewhere C says nothing."""
    cases = list(ops_of(dtype)) + [("cast", (dtype,), d) for d in DTYPES if dtype[0] != "f" or d[0] == "f"]
    same_bits(cases)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_routines_and_library_calls_have_the_same_bits(dtype):
    ops = ["exp", "log", "sin", "power", "erf", "gammaln"]
    same_bits([(op, (dtype,) * (2 if op == "power" else 1), dtype) for op in ops])


def same_bits(cases):
    p = build(cases, True)
    inputs = [name for name, b in p.buffers.items() if b.kind == "input"]
    p = replace(p, inputs=tuple(inputs), outputs=tuple(name for name in p.buffers if name not in inputs))
    rng = np.random.default_rng(2)
    arrays = {
        name: samples(b.dtype, rng, 203) if b.kind == "input" else np.zeros(203, b.dtype)
        for name, b in p.buffers.items()
    }
    assert CpuProgram.build(p).run([a.ctypes.data for a in arrays.values()], (203,)) == -1
    names = {}
    exec(compile(write_numba(p), "generated", "exec"), names)
    for (op, kinds, _), ours, theirs in zip(
        cases, (arrays[n] for n in p.outputs), names["program"](*(arrays[n] for n in inputs)), strict=True
    ):
        number = ours == ours
        np.testing.assert_array_equal(number, theirs == theirs, err_msg=f"{op} on {kinds}")
        assert ours[number].tobytes() == theirs[number].tobytes(), f"{op} on {kinds}"


X, Y, K = pb.Var("x"), pb.Var("y"), pb.Var("range")
EXPRESSIONS = {
    "value_and_gradient": (
        pb.value_and_grad(pb.sum(pb.exp(-X * X) * pb.sin(Y) + pb.log(1 + Y * Y) * pb.tanh(X)), [X, Y]),
        ["x", "y"],
    ),
    "softmax": (pb.exp(X - pb.max(X, axis=1, keepdims=True)) / pb.sum(pb.exp(X), axis=0), ["x"]),
    "columns": (pb.sum(X * Y, axis=0) + pb.mean(X), ["x", "y"]),
    "sizes_of_one": (X + Y[:1] * pb.sqrt(pb.abs(X[:, :1])), ["x", "y"]),
    "slices": (pb.concatenate([X[::-1, 1:], Y[:, :-1] * 2]), ["x", "y"]),
    "hostile_name": (K * 3 + K.sum(axis=-1, keepdims=True), ["range"]),
    "comparison": (pb.where(X > Y, X, -Y).astype("float32").max(axis=1), ["x", "y"]),
}


@pytest.mark.parametrize("name", list(EXPRESSIONS))
def test_compiled_expressions_are_their_text(name):
    target, arguments = EXPRESSIONS[name]
    rng = np.random.default_rng(0)
    given = {a: rng.normal(size=(37, 29)) for a in arguments}
    f = pb.compile(target)
    ours = [np.asarray(a) for a in optree.tree_leaves(f(**given))]
    names = {}
    exec(compile(f.source("cpu"), "generated", "exec"), names)
    results = names["program"](*given.values())
    for a, b in zip(ours, results if isinstance(results, tuple) else (results,), strict=True):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
