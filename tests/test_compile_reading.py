"""Reading compiled programs: texts, costs, memory, tables."""

import ast
import re

import numpy as np
import pytest

import pullback as pb
from pullback.kernels import cpu, execute_cpu
from pullback.kernels.nvrtc import compile_text, nvrtc_version


def model(w, x, b):
    z = w @ x + b
    return pb.sum(pb.exp(-z * z)), pb.sin(z)


ARGUMENTS = (np.ones((3, 4)), np.ones((4, 5)), 0.5)


def test_texts_of_a_lowered_program():
    lowered = pb.compile(model).lower(*ARGUMENTS)
    texts = {kind: lowered.as_text(kind) for kind in ("graph", "program", "cpu", "cuda")}
    assert "%0 @ %1" in texts["graph"] and "result[1]" in texts["graph"]
    assert "gemm" in texts["program"] and "exp" in texts["program"]
    assert "def program(" in texts["cpu"] and "numba" in texts["cpu"] and "pullback" not in ast.dump(
        ast.parse(texts["cpu"]).body[-1])
    assert "__global__" in texts["cuda"] and "exp(" in texts["cuda"]
    assert lowered.as_text() == texts["program"]


def test_each_kernel_is_headed_by_its_mathematics():
    f = pb.compile(model)
    f(*ARGUMENTS)
    for text in (f.source("cpu"), f.source("cuda")):
        assert "sin(" in text and re.search(r"(#|//|\"\"\").*exp\(", text)


def test_nothing_is_compiled_by_reading():
    f = pb.compile(model)
    lowered = f.lower(*ARGUMENTS)
    assert f.log == [] and lowered.cost()["flops"] > 0
    assert f.source("cpu") == lowered.as_text("cpu")
    assert lowered.compile() is f and len(f.log) == 1
    f(*ARGUMENTS)
    assert len(f.log) == 1


def test_a_program_of_declared_variables_is_read_without_arrays():
    y = pb.Var("w", ("n", "m")) @ pb.Var("x", ("m", "k")) + pb.Var("b", ("n", 1), "float64")
    f = pb.compile(y)
    assert "gemm" in f.explain() and "__global__" in f.source("cuda") and f.log == []
    assert "def program(" in pb.compile(pb.Var("x", (None, 3)) + pb.Var("y", (3,))).source("cpu")


def test_the_default_text_is_that_of_the_device():
    x = np.ones(3)
    for device, mark in (("cpu", "def program("), ("auto", "def program("), ("cuda", "__global__")):
        f = pb.compile(lambda x: x + 1, device=device)
        f.lower(x)
        assert mark in f.source()


@pytest.mark.skipif(nvrtc_version() is None, reason="NVRTC is not installed")
def test_the_cuda_text_compiles():
    assert compile_text(pb.compile(model).lower(*ARGUMENTS).as_text("cuda"), "sm_90").data


def test_cost_counts_each_array_once():
    f = pb.compile(lambda x, y: (x + y) * 2)
    cost = f.lower(np.ones(1000), np.ones(1000)).cost()
    assert cost == {"bytes": 24_000, "flops": 2_000}
    product = pb.compile(lambda a, b: a @ b).lower(np.ones((10, 20)), np.ones((20, 30)))
    assert product.cost() == {"bytes": 8 * (200 + 600 + 300), "flops": 2 * 10 * 20 * 30}


@pytest.mark.parametrize("function, arguments", [
    (lambda x: x * 2, (np.ones(1000),)),
    (lambda x: (x, x, x.sum(), (x @ x.T).sum(0), pb.exp(x @ x).sum()), (np.ones((30, 30)),)),
    (lambda x: pb.softmax(x) if hasattr(pb, "softmax") else pb.exp(x) / pb.exp(x).sum(1, keepdims=True),
     (np.ones((300, 40), np.float32),)),
    (model, ARGUMENTS),
    (lambda x: x[1:].sum(), (np.ones(1),)),
    (lambda x: x + 1, (np.ones((4, 6))[:, ::2],)),
])
def test_memory_is_what_a_call_allocates(monkeypatch, function, arguments):
    outputs, workspaces = [], []
    f = pb.compile(function)
    memory = f.lower(*arguments).memory()
    program = f.lower(*arguments).compile().last[1].native
    real_empty, real_call = execute_cpu.empty, cpu.CpuProgram._call
    monkeypatch.setattr(execute_cpu, "empty", lambda *a: outputs.append(real_empty(*a).nbytes) or real_empty(*a))
    monkeypatch.setattr(cpu.CpuProgram, "_call",
                        lambda self, bound, *rest: workspaces.append(bound.workspace) or real_call(self, bound, *rest))
    results = f(*arguments)
    leaves = results if isinstance(results, tuple) else (results,)
    copies = sum(a.nbytes for a in arguments if isinstance(a, np.ndarray) and not a.flags.c_contiguous)
    assert memory["outputs"] == sum(r.nbytes for r in leaves) >= sum(outputs)
    assert memory["temporaries"] == workspaces[0] + copies and program is not None
    assert memory["arguments"] == sum(np.asarray(a).nbytes for a in arguments)
    assert memory["peak"] == sum(v for k, v in memory.items() if k != "peak")


def test_explain_lists_kernels_launches_bytes_and_flops():
    f = pb.compile(model)
    f(*ARGUMENTS)
    table = f.explain()
    for word in ["step", "computes", "fuses", "launches", "bytes", "flops", "gemm", "exp", "sin", "kernel"]:
        assert word in table
    assert "n0 = w.shape[0]" in table


def test_explain_says_what_is_copied():
    f = pb.compile(lambda x: (x, x * 2, x * 2, np.arange(3)))
    f(np.ones(3))
    lines = [line for line in f.explain().splitlines() if "is a copy of" in line]
    assert [line.split(":")[0] for line in lines] == [
        "result 0 is a copy of x", "result 2 is a copy of out", "result 3 is a copy of constant"]


def test_value_and_gradient_of_an_elementwise_loss_are_one_sweep():
    x, y = pb.Var("x"), pb.Var("y")
    loss = pb.sum(pb.exp(-x * x) * pb.sin(y) + pb.log(1 + y * y) * pb.tanh(x))
    f = pb.compile((loss, pb.grad(loss, [x, y])))
    a, b = np.linspace(-1, 1, 5000), np.linspace(0, 2, 5000)
    value, (dx, dy) = f(x=a, y=b)
    np.testing.assert_allclose(value, np.sum(np.exp(-a * a) * np.sin(b) + np.log(1 + b * b) * np.tanh(a)))
    np.testing.assert_allclose(dy, np.exp(-a * a) * np.cos(b) + 2 * b / (1 + b * b) * np.tanh(a), rtol=1e-12)
    assert "1 kernel, 0 library calls" in f.explain()
    assert f.lower(x=a, y=b).memory()["temporaries"] < a.nbytes


def test_explain_compile_says_why():
    f = pb.compile(lambda x, y: x + y)
    one, two = np.ones(3), np.ones((3, 2))
    f(one, one)
    f(one.astype("f4"), one)
    f(two, two)
    f(np.asfortranarray(two), two)
    f(two, 1.0)
    f(two[:, :1], 1.0)
    f(two[::2], two[::2])
    table = f.explain_compile().splitlines()
    reasons = ["first call", "dtype <f8 became <f4", "rank or axes of size 1", "memory order C became F", "input 1: ",
               "rank or axes of size 1"]
    assert len(f.log) == len(reasons)
    for line, reason in zip(table[2:], reasons, strict=False):
        assert line.startswith("cpu") and reason in line
    for text in (f.explain_compile(), f.explain()):
        assert re.search(r"input x is copied: strides \(32, 8\)", text)
    assert all(entry["timing"].disk in ("hit", "miss") for entry in f.log)


def test_benchmark_reports_rates():
    result = pb.compile(lambda x: x * 2).benchmark(np.ones(1000), repeat=3)
    assert set(result) >= {"first_s", "steady_s", "GB_per_s", "GFLOP_per_s", "copy_GB_per_s"}
    assert all(v > 0 for v in result.values()) and result["steady_s"] <= result["first_s"]
    assert len(str(result).splitlines()) == len(result)


def test_sources_of_a_lambda_and_of_its_copy_are_equal():
    first, second = (pb.compile(lambda x: pb.exp(x) + 1) for _ in range(2))
    first.lower(np.ones(3))
    second.lower(np.ones(9))
    assert first.source("cpu") == second.source("cpu") and first.source("cuda") == second.source("cuda")
