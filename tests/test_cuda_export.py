"""A program exported as CUDA C++ runs without Python: nvcc compiles it, and the emulator runs the whole file on a CPU.

The emulator's `host` folder stands in for CUDA's runtime and cuBLAS, so that the launches, sizes, loops and branches of
the C function are what is checked, against NumPy."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import runtime  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.cuda_export_parts import GRID, SIZES  # noqa: E402
from pullback.codegen.cuda_plan import combine_grid, grid_of  # noqa: E402
from pullback.codegen.program import Combine, Kernel  # noqa: E402

HOST = Path(__file__).parent / "emulator" / "host"
needs_gcc = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
WORKSPACE = 1 << 20


def softmax(x):
    e = pb.exp(x - pb.max(x, axis=1, keepdims=True))
    return e / pb.sum(e, axis=1, keepdims=True), pb.sum(x), x + np.arange(3.0), x


def newton(a, x, i):
    y = pb.while_loop(lambda s: pb.sum(s * s) > 1, lambda s: pb.tanh(a @ s) * 0.9, x)
    return pb.cond(y[0] > 0, lambda v: v * 2, lambda v: pb.cumsum(v), y), y[i]


def products(a, b):
    return a @ b, pb.swapaxes(a, 1, 2) @ (a + 1.0), b @ b.T


def diffusion(u, k):
    def step(_, v):
        return v + 0.1 * (pb.shift(v, 1, 0, boundary="wrap") - 2 * v + pb.shift(v, -1, 0, boundary="wrap"))

    return pb.fori_loop(0, k, step, u)


def wave(u):
    return pb.grad(lambda v: pb.sum(pb.fori_loop(0, 6, lambda _, w: pb.sin(w) @ (pb.outer(w, w) + 0.1), v)))(u)


def compiled(unit, target, *flags):
    """A CUDA file as a library or program of the CPU, on the emulator."""
    subprocess.run(["g++", "-O1", "-std=c++17", "-w", "-fPIC", "-ffp-contract=off", "-fno-strict-aliasing", *flags,
                    f"-I{HOST}", "-x", "c++", str(unit), "-x", "none", *map(str, runtime()), "-o", str(target)],
                   check=True)


def shared(tmp_path, f, *args):
    """The exported function as a library on the CPU."""
    f.lower(*args)
    f.export(tmp_path / f"{f.__name__}.cu")
    library = tmp_path / f"{f.__name__}.so"
    compiled(tmp_path / f"{f.__name__}.cu", library, "-shared")
    return ctypes.CDLL(str(library))


class Exported:
    """Calls NAME_run on NumPy arrays."""

    def __init__(self, tmp_path, f, *args):
        library, name = shared(tmp_path, f, *args), f.__name__
        self.run, self.failure = getattr(library, f"{name}_run"), getattr(library, f"{name}_failure")
        self.space = getattr(library, f"{name}_workspace")
        self.space.restype, self.failure.restype = ctypes.c_size_t, ctypes.c_char_p

    def __call__(self, inputs, results, sizes, status=0):
        sizes = [ctypes.c_longlong(n) for n in sizes]
        space = self.space(*sizes)
        assert space <= WORKSPACE
        self.memory = np.full(space + 64, 0xFF, np.uint8)
        start = ctypes.c_void_p(self.memory.ctypes.data + -self.memory.ctypes.data % 64)
        arrays = [np.ascontiguousarray(a) for a in (*inputs, *results)]
        places = [ctypes.c_void_p(a.ctypes.data) for a in arrays]
        assert self.run(*places, *sizes, start, None) == status
        self.failed = self.failure(start, None)
        return arrays[len(inputs) :]


@needs_gcc
@pytest.mark.parametrize("rows", [1, 5, 700])
def test_results_that_share_and_a_captured_array(tmp_path, rows):
    x = np.random.default_rng(rows).normal(size=(rows, 3))
    call = Exported(tmp_path, pb.compile(softmax), np.ones((5, 3)) if rows > 1 else x)
    empty = [np.empty_like(x), np.empty(()), np.empty_like(x), np.empty_like(x)]
    soft, total, moved, same = call([x], empty, [rows] if rows > 1 else [])
    e = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(soft, e / e.sum(1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(total, x.sum(), rtol=1e-12)
    np.testing.assert_array_equal(moved, x + np.arange(3.0))
    np.testing.assert_array_equal(same, x)


@needs_gcc
@pytest.mark.parametrize("sign", [1, -1])
def test_a_while_loop_a_branch_and_a_check(tmp_path, sign):
    r = np.random.default_rng(3)
    a, x, i = r.normal(size=(30, 30)) / 30, sign * np.ones(30), np.array([0, 29, 7])
    call = Exported(tmp_path, pb.compile(newton), a, x, i)
    y = x
    while (y * y).sum() > 1:
        y = np.tanh(a @ y) * 0.9
    sizes = [30] * 1 + [3]
    one, two = call([a, x, i], [np.empty(30), np.empty(3)], sizes)
    np.testing.assert_allclose(one, y * 2 if y[0] > 0 else np.cumsum(y), rtol=1e-12)
    np.testing.assert_allclose(two, y[i], rtol=1e-12)
    assert call.failed is None
    call([a, x, np.array([0, 30, 7])], [np.empty(30), np.empty(3)], sizes)
    assert b"outside its axis" in call.failed


@needs_gcc
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matrix_products(tmp_path, dtype):
    r = np.random.default_rng(4)
    a, b = r.normal(size=(3, 9, 12)).astype(dtype), r.normal(size=(12, 10)).astype(dtype)
    call = Exported(tmp_path, pb.compile(products), a, b)
    results = call([a, b], [np.empty(s, dtype) for s in ((3, 9, 10), (3, 12, 12), (12, 12))], [3, 9, 12, 10])
    expected = a @ b, a.swapaxes(1, 2) @ (a + 1), b @ b.T
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-5)


@needs_gcc
@pytest.mark.parametrize("turns", [0, 1, 2, 5])
def test_a_loop_whose_buffers_trade_places(tmp_path, turns):
    u = np.random.default_rng(5).normal(size=41)
    call = Exported(tmp_path, pb.compile(diffusion), u, 3)
    (got,) = call([u, np.array(turns)], [np.empty(41)], [41])
    for _ in range(turns):
        u = u + 0.1 * (np.roll(u, 1) - 2 * u + np.roll(u, -1))
    np.testing.assert_allclose(got, u, rtol=1e-12)


@needs_gcc
def test_a_gradient_through_a_loop(tmp_path):
    u = np.random.default_rng(6).normal(size=12) / 4
    f = pb.compile(wave)
    (got,) = Exported(tmp_path, f, u)([u], [np.empty(12)], [12])
    np.testing.assert_allclose(got, f(u), rtol=1e-10)


@needs_gcc
def test_other_sizes_are_refused(tmp_path):
    def halves(x):
        return x[: x.shape[0] // 2] + (1.0 if x.shape[0] > 8 else 2.0)

    call = Exported(tmp_path, pb.compile(halves), np.ones(12))
    (got,) = call([np.arange(20.0)], [np.empty(10)], [20])
    np.testing.assert_array_equal(got, np.arange(10.0) + 1)
    call([np.arange(6.0)], [np.empty(3)], [6], status=1)


def test_a_step_that_only_a_library_computes_is_refused(tmp_path):
    f = pb.compile(lambda a, b: pb.linalg.eigh(a)[0])
    f.lower(np.eye(40), np.ones(40))
    with pytest.raises(pb.CompileError, match="library routine 'syevd'.*source"):
        f.export(tmp_path / "f.cu")


@needs_gcc
def test_the_program_reads_and_writes_files(tmp_path):
    f, x = pb.compile(softmax), np.random.default_rng(7).normal(size=(50, 3))
    f.lower(x)
    f.export(tmp_path / "softmax.cu")
    compiled(tmp_path / "softmax.cu", tmp_path / "softmax", "-DPULLBACK_MAIN")
    x.tofile(tmp_path / "x.bin")
    words = [str(tmp_path / "softmax"), "n0=50", f"x={tmp_path}/x.bin", f"out={tmp_path}/out.bin", "repeat=2"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "out: float64, 150 elements" in done.stdout and "2 calls of" in done.stdout
    np.testing.assert_allclose(np.fromfile(tmp_path / "out.bin").reshape(50, 3).sum(1), 1, rtol=1e-12)
    assert "cannot be read" in subprocess.run([*words[:2], "x=absent"], capture_output=True, text=True).stderr


@needs_nvcc
@pytest.mark.parametrize("index", ["int", "long long"])
def test_nvcc_compiles_what_is_exported(tmp_path, index):
    cases = [(softmax, np.ones((5, 3))), (newton, np.ones((30, 30)), np.ones(30), np.array([1])),
             (diffusion, np.ones(9), 3)]
    for number, (target, *args) in enumerate(cases):
        f = pb.compile(target)
        f.lower(*args)
        f.export(tmp_path / f"unit_{number}.cu")
    done = subprocess.run(
        ["nvcc", "-arch=sm_90", "-c", "-DPULLBACK_MAIN", f"-DPULLBACK_INDEX={index}",
         *(f"unit_{k}.cu" for k in range(len(cases)))], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@needs_nvcc
@pytest.mark.gpu
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no GPU")
def test_the_program_runs_on_a_device(tmp_path):
    f, x = pb.compile(softmax), np.random.default_rng(8).normal(size=(5000, 3))
    f.lower(x)
    f.export(tmp_path / "softmax.cu")
    subprocess.run(["nvcc", "-O3", "-arch=native", "-DPULLBACK_MAIN", "-o", "softmax", "softmax.cu"], cwd=tmp_path,
                   check=True)
    x.tofile(tmp_path / "x.bin")
    subprocess.run(["./softmax", "n0=5000", "x=x.bin", "out=out.bin"], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.fromfile(tmp_path / "out.bin").reshape(5000, 3), f(x)[0], rtol=1e-12)


@needs_gcc
def test_grids_are_those_of_a_call_from_python(tmp_path):
    """The C form of `grid_of` and `combine_grid`, on every kind of kernel and on sizes around their thresholds."""
    source = "namespace {" + SIZES + GRID + """}
extern "C" void grids(const long long* q, long long* out) {
    const long long chunks = host_chunks(q[0], q[1], q[2], q[3], q[4]);
    const host_grid g = host_cut(q[0], q[1], chunks, q[3], false);
    out[0] = g.blocks, out[1] = g.threads, out[2] = g.rows, out[3] = host_max(1, host_combine_blocks(q[0]));
}"""
    (tmp_path / "grids.cpp").write_text(source)
    subprocess.run(["g++", "-std=c++17", "-shared", "-fPIC", "-o", str(tmp_path / "grids.so"),
                    str(tmp_path / "grids.cpp")], check=True)
    grids = ctypes.CDLL(str(tmp_path / "grids.so")).grids
    counts = [0, 1, 2, 31, 32, 33, 255, 256, 257, 511, 512, 513, 1025, 2048, 2049, 16384, 16385, 131072, 10**6 + 1]
    literal = pb.codegen.program.Literal.of(0.0, "float64")
    for serial, vector, folds in np.ndindex(2, 2, 2):
        for rows in counts:
            for work in (0, 1, 2, 64, 65, 128, 129, 256, 257, 1024, 5000):
                combine = (Combine("add", "p", "t", rows, literal),) if folds else ()
                store = pb.codegen.program.Store("y", pb.codegen.program.Offset(), literal)
                loop = pb.codegen.program.For((pb.codegen.program.Axis("j", 3),), (store,), vector=not vector)
                kernel = Kernel("k", ("y",), pb.codegen.program.Axis("i", rows), work, (store, loop), bool(vector),
                                combine=combine, serial=bool(serial))
                want = grid_of(kernel, {})
                out, q = np.zeros(4, np.int64), np.array([rows, work, serial, vector, folds], np.int64)
                grids(q.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p))
                expected = [want.blocks, want.threads, want.rows]
                assert out[:3].tolist() == expected, (rows, work, serial, vector, folds)
                if folds:
                    assert out[3] == combine_grid(kernel, {}).blocks
