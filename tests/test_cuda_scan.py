"""Running sums on CUDA: a block computes a row of neighbours together, whatever their number; others stay in order."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch, joined  # noqa: E402
from expressions import inputs_of, planned, traced  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.cuda import write_cuda  # noqa: E402
from pullback.kernels import nvrtc  # noqa: E402

needs_gcc = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")


def along_rows(x):
    return pb.cumsum(x, axis=1)


def of_sines_backwards(x):
    return pb.flip(pb.cumsum(pb.flip(x * x, axis=1), axis=1), axis=1), pb.sum(x)


def gradient(x):
    return pb.grad(lambda y: pb.sum(pb.sin(pb.cumsum(y, axis=1))))(x)


def down_columns(x):
    return pb.cumsum(x, axis=0)


def by_hand(x):
    c = np.cos(np.cumsum(x, axis=1))
    return np.flip(np.cumsum(np.flip(c, axis=1), axis=1), axis=1)


TRUTH = {
    along_rows: lambda x: (np.cumsum(x, axis=1),),
    of_sines_backwards: lambda x: (np.flip(np.cumsum(np.flip(x * x, 1), axis=1), 1), x.sum()),
    gradient: lambda x: (by_hand(x),),
    down_columns: lambda x: (np.cumsum(x, axis=0),),
}
SHAPES = [(1, 1), (1, 31), (3, 32), (2, 33), (5, 64), (1, 257), (4, 300), (2, 1000), (40, 70)]


@pytest.fixture(scope="module")
def batch():
    """A text for each function and dtype, for any shape."""
    emulated, handles = EmulatedBatch(), {}
    for function in TRUTH:
        for dtype in ("float32", "float64", "int32", "int64"):
            if function is gradient and dtype[0] == "i":
                continue
            for one in ((5, 7), (1, 7), (5, 1), (1, 1)):
                graph = traced(function, [np.ones(one, dtype)])
                handles[function, dtype, *(n == 1 for n in one)] = graph, emulated.add(planned(graph))
    return emulated, handles


@needs_gcc
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
@pytest.mark.parametrize("function", TRUTH)
def test_values(batch, function, dtype, shape):
    if (function, dtype, *(n == 1 for n in shape)) not in batch[1]:
        pytest.skip("no derivative of integers")
    graph, handle = batch[1][function, dtype, *(n == 1 for n in shape)]
    r = np.random.default_rng(shape[1])
    x = (r.normal(size=shape) * (10 if dtype[0] == "i" else 1)).astype(dtype)
    results = batch[0].run(handle, *inputs_of(graph, [x]))
    wide = x.astype("float64") if dtype == "float32" else x
    for got, want in zip(results, TRUTH[function](wide), strict=True):
        got = got.reshape(want.shape)
        if dtype[0] == "i":
            np.testing.assert_array_equal(got, want)
        else:
            scale = max(1.0, float(np.abs(want).max()))
            np.testing.assert_allclose(got, want, atol=(2e-4 if dtype == "float32" else 1e-11) * scale, rtol=0)


@needs_gcc
def test_what_is_not_finite_stays_where_it_is(batch):
    x = np.ones((2, 300))
    x[0, 290], x[1, 3] = np.nan, np.inf
    graph, handle = batch[1][along_rows, "float64", False, False]
    (got,) = batch[0].run(handle, *inputs_of(graph, [x]))
    np.testing.assert_array_equal(got, np.cumsum(x, axis=1))


def test_neighbours_are_scanned_by_a_block_and_columns_by_a_thread_each():
    def text(function, shape):
        return write_cuda(planned(traced(function, [np.ones(shape)]))).text

    assert "pb_warps_state[" in text(along_rows, (5, 70)) and "pb_weights_" not in text(along_rows, (5, 70))
    assert "pb_warps" not in text(down_columns, (50, 70))
    assert "pb_weights_state" in text(gradient, (5, 70))
    # partial products could overflow where those of the loop do not
    assert "pb_warps" not in text(lambda x: pb.cumprod(x, axis=1), (5, 70))


@pytest.mark.skipif(nvrtc.nvrtc_version() is None, reason="NVRTC is not installed")
def test_scans_compile_without_spills(batch):
    texts = [text.text for _, text in batch[0].programs]
    footprints = nvrtc.compile_text(joined(texts[::4])).footprints
    assert footprints and not any(f.spill_stores or f.spill_loads for f in footprints.values())
