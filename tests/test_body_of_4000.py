"""A body of 4,000 statements over 26 arrays: vectorised, compiled in seconds, loaded without Numba, the text's bits."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from hand_built import at, f64, floats, n, program

from pullback.codegen.llvm import write_llvm
from pullback.codegen.numba_text import write_numba
from pullback.codegen.program import Axis, Kernel, Let, Load, Store
from pullback.kernels.cpu import CpuProgram, layout
from pullback.kernels.native import assembly, compile_ir

INPUTS, OUTPUTS = 22, 4
ARITY = {"add": 2, "subtract": 2, "multiply": 2, "maximum": 2, "sqrt": 1, "abs": 1, "fma": 3}


def fused_body(statements):
    """A chain in which every statement uses the one before and up to two of the last sixty; all reaches the outputs."""
    rng = np.random.default_rng(0)
    body = [Load(f"a{k}", "float64", f"X{k}", at(i=1)) for k in range(INPUTS)]
    values = [load.name for load in body]
    while len(body) < statements - OUTPUTS:
        k, op = len(body), list(ARITY)[rng.integers(len(ARITY))]
        args = [values[-1], *(values[-1 - rng.integers(min(60, len(values)))] for _ in range(ARITY[op] - 1))]
        if op in ("multiply", "fma"):
            args[1] = f64(0.5)
        if op == "sqrt" and values[-1][0] != "p":
            op = "abs"
        body.append(Let(("p" if op == "abs" else "v") + str(k), "float64", op, tuple(args)))
        values.append(body[-1].name)
    body += [Store(f"Y{k}", at(i=1), values[-1 - 7 * k]) for k in range(OUTPUTS)]
    arrays = [(f"X{k}", (n,), "input") for k in range(INPUTS)] + [(f"Y{k}", (n,), "output") for k in range(OUTPUTS)]
    kernel = Kernel("body", (f"a body of {statements} statements",), Axis("i", n), statements, tuple(body), vector=True)
    return program([kernel], floats(*arrays))


@pytest.fixture(scope="module")
def big():
    return fused_body(4000)


@pytest.fixture(scope="module")
def compiled(big):
    start = time.perf_counter()
    text = write_llvm(big)
    written = time.perf_counter()
    data = compile_ir(text)
    seconds = time.perf_counter() - start
    print(f"4,000 statements: {seconds:.2f} s, of which {written - start:.2f} s for {len(text) / 1e3:.0f} kB of text")
    assert seconds < 4
    return data


def arrays_for(p, size):
    rng = np.random.default_rng(1)
    return {name: rng.normal(size=size) if b.kind == "input" else np.zeros(size) for name, b in p.buffers.items()}


def run(native, arrays, size):
    assert native.run([a.ctypes.data for a in arrays.values()], (size,)) == -1


def test_it_is_one_vector_loop(big):
    """Every statement once, on vectors; no more scalar arithmetic than the addresses of the loop need."""
    text = write_llvm(big)
    assert text.count("define internal void @kernel.") == 1
    body = text[text.index("@kernel.body(") :].partition("\n}\n")[0]
    kernel = big.steps[0]
    for op, instruction in (
        ("add", "fadd <8 x double>"),
        ("multiply", "fmul <8 x double>"),
        ("fma", "@llvm.fma.v8f64("),
    ):
        assert body.count(instruction) == sum(isinstance(s, Let) and s.op == op for s in kernel.body) > 300
    machine = assembly(text)
    vectors = sum("ymm" in line or "zmm" in line or ".2d" in line for line in machine.splitlines())
    scalar = sum(
        line.split()[0] in ("addsd", "vaddsd", "mulsd", "vmulsd", "sqrtsd", "vsqrtsd")
        for line in machine.splitlines()
        if line.split()
    )
    assert vectors > 3000
    assert scalar == 0


def test_it_computes_what_numpy_computes(big, compiled):
    arrays = arrays_for(big, 1003)
    run(CpuProgram(compiled, layout(big)), arrays, 1003)
    meaning = {
        "add": np.add,
        "subtract": np.subtract,
        "multiply": np.multiply,
        "maximum": np.maximum,
        "sqrt": np.sqrt,
        "abs": np.abs,
    }
    values = {}
    for stmt in big.steps[0].body:
        if isinstance(stmt, Load):
            values[stmt.name] = arrays[stmt.buffer]
        elif isinstance(stmt, Store):
            got, expected = arrays[stmt.buffer], values[stmt.value]
            assert np.isfinite(expected).mean() > 0.9
            np.testing.assert_array_equal(got, expected)
        else:
            args = [values[a] if isinstance(a, str) else a.value for a in stmt.args]
            # a product with 0.5 is exact, so rounding once or twice is the same
            values[stmt.name] = args[0] * args[1] + args[2] if stmt.op == "fma" else meaning[stmt.op](*args)


def test_the_numba_text_has_the_same_bits(big, compiled):
    arrays = arrays_for(big, 1003)
    run(CpuProgram(compiled, layout(big)), arrays, 1003)
    names = {}
    exec(compile(write_numba(big), "generated", "exec"), names)
    results = names["program"](*(arrays[name] for name in big.inputs))
    for name, result in zip(big.outputs, results, strict=True):
        assert result.tobytes() == arrays[name].tobytes()


def test_a_second_process_loads_it_without_numba(big, compiled, tmp_path):
    arrays = arrays_for(big, 100)
    run(CpuProgram(compiled, layout(big)), arrays, 100)
    (tmp_path / "object").write_bytes(compiled)
    (tmp_path / "facts").write_text(json.dumps(layout(big)))
    np.savez(tmp_path / "arrays.npz", **arrays)
    script = """
import json, sys, time
import numpy as np
import pullback
arrays = dict(np.load("arrays.npz"))
expected = {name: a.copy() for name, a in arrays.items()}
for name in arrays:
    if name[0] == "Y":
        arrays[name][:] = 0
start = time.perf_counter()
from pullback.kernels.cpu import CpuProgram
native = CpuProgram(open("object", "rb").read(), json.load(open("facts")))
print(f"loaded in {time.perf_counter() - start:.3f} s")
assert native.run([a.ctypes.data for a in arrays.values()], (100,)) == -1
assert all(arrays[name].tobytes() == expected[name].tobytes() for name in arrays)
assert not {"numba", "sympy", "scipy"} & set(sys.modules), sorted(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
