"""CUDA text of planned programs: run on the emulator against the reference, compiled to sm_90, and read."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch, joined  # noqa: E402
from expressions import CASES, A, expected, fn, gradient, inputs_of, planned, traced  # noqa: E402
from programs import at, examples, lit, pointwise, program, softmax  # noqa: E402

from pullback.codegen.cuda import write_cuda  # noqa: E402
from pullback.codegen.cuda_ops import literal  # noqa: E402
from pullback.codegen.cuda_plan import chunk_counts, grid_of, index_type, walk_launches  # noqa: E402
from pullback.codegen.program import Axis, Kernel, Let, Literal, Load, Store  # noqa: E402
from pullback.dsl.errors import CompileError  # noqa: E402
from pullback.dsl.size import symbol  # noqa: E402
from pullback.kernels import nvrtc  # noqa: E402

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")


@pytest.fixture(scope="module")
def batch():
    """Every case in one translation unit."""
    found = EmulatedBatch()
    graphs = {}
    for name, (function, arrays) in CASES.items():
        graphs[name] = traced(function, arrays)
        found.add(planned(graphs[name]))
    return found, graphs


@needs_compiler
@pytest.mark.parametrize("name", CASES)
def test_text_computes_what_the_reference_does(batch, name):
    emulated, graphs = batch
    arrays = CASES[name][1]
    outputs = emulated.run(list(CASES).index(name), *inputs_of(graphs[name], arrays))
    for got, want in zip(outputs, expected(graphs[name], arrays), strict=True):
        assert got.dtype == want.dtype and got.size == want.size
        got = got.reshape(want.shape)      # a reshaped result is planned as what it reshapes
        np.testing.assert_allclose(
            got, want, rtol=1e-4 if got.dtype == np.float32 else 1e-9, atol=1e-6 if got.dtype == np.float32 else 1e-12
        )


@pytest.mark.skipif(nvrtc.nvrtc_version() is None, reason="NVRTC is not installed")
def test_every_text_compiles_for_sm_90_without_spills(batch):
    texts = [text.text for _, text in batch[0].programs]
    footprints = nvrtc.compile_text(joined(texts)).footprints
    assert len(footprints) == sum(text.count("__global__") for text in texts)
    assert not {name: f for name, f in footprints.items() if f.spill_stores or f.spill_loads}


def kernels_of(function, *arrays):
    return list(walk_launches(write_cuda(planned(traced(function, arrays))).launches))


def test_value_and_gradient_of_an_elementwise_loss_is_one_sweep_and_one_fold():
    loss = gradient(lambda x, y: fn.exp(-x * x) * fn.sin(y) + fn.log(1 + y * y) * fn.tanh(x), 2)
    assert [launch.role for launch in kernels_of(loss, A, A)] == ["rows", "combine"]


def test_every_kernel_is_headed_by_its_mathematics():
    text = write_cuda(softmax()).text
    assert re.search(r'// y = softmax\(x, axis=1\)\nextern "C" __global__ void __launch_bounds__\(256, 1\) k0\(', text)


def test_a_pointwise_kernel_moves_16_bytes_at_a_time():
    for dtype, width in (("float64", 2), ("float32", 4)):
        text = write_cuda(pointwise(dtype)).text
        kind = {"float64": "double", "float32": "float"}[dtype]
        assert f"*(const pb_pack<{kind}, {width}>*)(x + start)" in text
        assert f"*(pb_pack<{kind}, {width}>*)(y + start) = y_pack;" in text


@pytest.mark.skipif(nvrtc.nvrtc_version() is None, reason="NVRTC is not installed")
def test_no_text_includes_anything():
    for found, *_ in examples().values():
        assert "#include" not in write_cuda(found).text


def renamed(x: str, y: str):
    """y = exp(x) with buffers of these names."""
    body = (Load("a", "float64", x, at(("i", 1))), Let("b", "float64", "exp", ("a",)), Store(y, at(("i", 1)), "b"))
    kernel = Kernel("k0", (f"{y} = exp({x})",), Axis("i", symbol("n")), 1, body, vector=True)
    return program({x: ("float64", (symbol("n"),))}, {y: ("float64", (symbol("n"),))}, [kernel])


NAMES = [
    "exp",
    "int_",
    "threadIdx",
    "index_t",
    "pb_fold",
    "thread",
    "lo",
    "error",
    "fmax",
    "EOF",
    "NULL",
    "size_0",
    "x_pack",
    "linux",
    "y0",
    "aligned",
    "rows_per_chunk",
    "std",
]


@needs_compiler
def test_hostile_names_are_harmless():
    batch = EmulatedBatch()
    for name in NAMES:
        batch.add(renamed(name, f"{name}_"))
    for handle, _ in enumerate(NAMES):
        np.testing.assert_allclose(batch.run(handle, [A[0]])[0], np.exp(A[0]), rtol=1e-15)
    if nvrtc.nvrtc_version() is not None:
        assert len(nvrtc.compile_text(joined([t.text for _, t in batch.programs])).footprints) == len(NAMES)


def test_a_name_that_is_no_identifier_is_refused():
    with pytest.raises(CompileError, match="no C\\+\\+ identifier"):
        write_cuda(renamed("x; int y", "z"))


def test_a_title_cannot_leave_its_comment():
    body = (Store("y", at(("i", 1)), lit(0)),)
    kernel = Kernel("k0", ("y = 0 \\", "line\nbreak(); \\"), Axis("i", symbol("n")), 1, body, vector=True)
    text = write_cuda(program({}, {"y": ("float64", (symbol("n"),))}, [kernel])).text
    head = text[: text.index("extern")].splitlines()
    assert head[-2:] == ["// y = 0", "// line break();"]


def test_an_operation_without_a_spelling_is_named():
    body = (Load("a", "float64", "x", at()), Let("b", "float64", "frobnicate", ("a",)), Store("y", at(), "b"))
    kernel = Kernel("k0", ("y = ?",), Axis("i", 1), 1, body, vector=True)
    with pytest.raises(CompileError, match="no spelling for frobnicate on float64"):
        write_cuda(program({"x": ("float64", ())}, {"y": ("float64", ())}, [kernel]))


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (0.1, "float64", "0.1"),
        (0.1, "float32", "0.1f"),
        (1 / 3, "float64", (1 / 3).hex()),
        (-0.0, "float64", "(-0.0)"),
        (2.0, "float64", "2.0"),
        (np.inf, "float64", "__longlong_as_double(0x7ff0000000000000LL)"),
        (-np.inf, "float32", "__int_as_float((int)0xff800000u)"),
        (True, "bool", "true"),
        (-3, "int32", "(-3)"),
        (2**63, "uint64", "9223372036854775808ULL"),
        (-(2**63), "int64", "(-9223372036854775807LL - 1)"),
    ],
)
def test_literals_are_exact(value, dtype, text):
    assert literal(Literal.of(value, dtype)) == text


def test_index_type_follows_the_largest_span():
    found = pointwise()
    assert index_type(found, {"n": 2**31 - 2**23, "chunks": 1}) == "int"
    assert index_type(found, {"n": 2**31, "chunks": 1}) == "long long"
    assert write_cuda(found, "long long").text.startswith("typedef long long index_t;")


@pytest.mark.parametrize("rows", [0, 1, 31, 1000, 10**6, 10**8])
def test_chunks_cover_all_rows_and_depend_on_sizes_alone(rows):
    for name in ("pointwise", "full_sum", "softmax", "column_sum"):
        found = examples()[name][0]
        sizes = chunk_counts(found, {"n": rows, "m": 64})
        (kernel,) = found.kernels()
        grid = grid_of(kernel, sizes)
        assert grid.blocks == sizes["chunks"] >= 1 and grid.blocks * grid.rows >= rows
        assert grid.threads in (32, 64, 128, 256) and grid.blocks < 2**31
        if kernel.combine:
            assert grid.blocks <= 512
