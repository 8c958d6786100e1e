"""CUDA text on the CPU: hand-built programs give NumPy's numbers, and the emulator finds defects planted in a text."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch, EmulationError, run_program  # noqa: E402
from programs import column_sum, examples, gather, plane_sum, pointwise, scatter, softmax, uniform_store  # noqa: E402

from pullback.codegen.cuda import write_cuda  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
EXAMPLES = examples()


@pytest.fixture(scope="module")
def batch():
    """Every example in one translation unit, with both types of index."""
    found = EmulatedBatch()
    for program, *_ in EXAMPLES.values():
        for index in ("int", "long long"):
            found.add(program, index=index)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("index", ["int", "long long"])
def test_example(batch, name, index):
    program, inputs, expected, *sizes = EXAMPLES[name]
    handle = 2 * list(EXAMPLES).index(name) + (index != "int")
    outputs = batch.run(handle, inputs, *sizes)
    for got, want in zip(outputs, expected, strict=True):
        assert got.shape == np.shape(want)
        np.testing.assert_allclose(got, want, rtol=2e-5 if got.dtype == np.float32 else 1e-12)


def test_index_out_of_range_is_an_index_error():
    with pytest.raises(IndexError, match="out of range for axis 0"):
        run_program(gather(), [np.arange(5.0), np.array([0, 5])])


def planted(program, old, new, count=1):
    """A batch whose text has `old` replaced by `new`."""
    text = write_cuda(program)
    assert old in text.text, text.text
    batch = EmulatedBatch()
    batch.add(program, replace(text, text=text.text.replace(old, new, count)))
    return batch


X = np.random.default_rng(0).normal(size=(6, 300))
NINE = [np.arange(9.0), np.array(1.0)]
PLACES = [np.arange(200.0), np.arange(200) % 9]
SHUFFLE = "top = __shfl_xor_sync(0xffffffffu, top, 2);\n"


# name: program, text to replace, what with, inputs, sizes, what is said of it
PLANTED = {
    "no barrier between the warps' sums and their fold": (
        softmax, "__syncthreads();\n        v = warps[0]", "v = warps[0]", [X], None,
        r"shared warps\[\d\]: thread \d+ reads what nothing wrote"),
    "no barrier before the warps' sums are written again": (
        plane_sum, "        __syncthreads();\n    }\n    return v;", "    }\n    return v;",
        [np.ones((3, 40, 7))], None,
        r"race: shared warps\[\d\]: thread \d+ writes what thread \d+ and others read, without a barrier"),
    "no barrier on a buffer": (
        uniform_store, "= t;\n        __syncthreads();", "= t;", [X], None,
        r"race: s\[\d\]: thread 0 writes what thread \d+ and others read, without a barrier"),
    "no barrier before a tile of places is read": (
        scatter, "__syncthreads();\n        pb_ordered", "pb_ordered", PLACES, {"m": 9},
        r"shared (places|updates)\[\d+\]: thread \d+ reads what nothing wrote|race: shared (places|updates)"),
    "no barrier before the next tile of places": (
        scatter, "y, places, updates);\n        __syncthreads();", "y, places, updates);",
        [np.arange(600.0), np.arange(600) % 9], {"m": 9}, "race: shared (places|updates)"),
    "blocks that share their partial results": (
        column_sum, "part[(index_t)chunk * m + j]", "part[j]", [np.ones((300, 7))], None,
        r"race: part\[\d\]: block \d+ writes what block \d+ (wrote|read) in the same launch"),
    "a barrier that some threads pass by": (
        uniform_store, "= t;\n        __syncthreads();",
        "= t;\n        __syncthreads(); if (thread < 7) __syncthreads();", [X], None, "barrier divergence"),
    "a shuffle that half of a warp passes by": (
        softmax, "top = pb_fold", f"if (thread & 16) {SHUFFLE} top = pb_fold", [X], None, "divergent shuffle"),
    "two shuffles for the two halves of a warp": (
        softmax, "top = pb_fold", f"if (thread & 1) {SHUFFLE} else {SHUFFLE} top = pb_fold", [X], None,
        "divergent shuffle"),
    "a shuffle that the other threads have left": (
        softmax, "const index_t first =",
        f"if (threadIdx.x & 1) return; double top = 0; {SHUFFLE} const index_t first =", [X], None,
        "shuffle: the mask names a thread that is not there"),
    "a shuffle outside of its mask": (softmax, "0xffffffffu", "0x0000ffffu", [X], None, "not in its own mask"),
    "a write behind shared memory": (
        softmax, "warps[thread >> 5] = v", "warps[(thread >> 5) + 32] = v", [X], None,
        r"shared warps: written outside of its bounds, at element 3\d of 32"),
    "a read behind shared memory": (
        softmax, "other = warps[w]", "other = warps[w + 31]", [X], None,
        r"shared warps: read outside of its bounds, at element 32 of 32"),
    "a read before shared memory, by a pointer": (
        scatter, "first = places[s] != place", "first = places[s - 1] != place", PLACES, {"m": 9},
        r"shared places: read outside of its bounds, at element -1 of 256"),
    "shared memory that some threads leave unwritten": (
        scatter, "places[thread] = -1;", "", PLACES, {"m": 9}, r"shared places\[\d+\]: thread \d+ reads what nothing"),
    "a read behind an input": (
        pointwise, "= x[i]", "= x[i + 1]", NINE, None, "x: read outside of its bounds, at element 9 of 9"),
    "a write behind an output": (
        pointwise, "y[i] = q", "y[i + 1] = q", NINE, None, "y: written outside of its bounds, at element 9 of 9"),
    "an element of an output that is skipped": (
        pointwise, "y[i] = q", "if (i != 8) y[i] = q", NINE, None, r"y: nothing wrote 1 of 9 elements, first \[8\]"),
    "a partial result that does not begin": (
        column_sum, "= 0.0;", ";", [X], None, "s: depends on the order of threads or on memory that nothing wrote"),
    "a barrier in a kernel that is said to have none": (
        pointwise, "index_t head = lo;", "index_t head = lo; __syncthreads();", NINE, None, "said to have none"),
    "wide loads of what is not aligned": (
        pointwise, "if (aligned) {", "if (true) {", NINE, None, "undefined behaviour: an address that is null or not"),
    "an index that overflows": (
        pointwise, "index_t head = lo;", "index_t head = lo + 2147483647 - 9 + rows_per_chunk;", NINE, None,
        "undefined behaviour: a sum overflows"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_finds(name):
    make, old, new, inputs, sizes, said = PLANTED[name]
    batch = planted(make(), old, new, 9)
    with pytest.raises(EmulationError, match=said):
        batch.run(0, inputs, sizes)


def test_shared_memory_of_another_form_is_refused():
    with pytest.raises(EmulationError, match="another form"):
        planted(softmax(), "__shared__ double warps[32];", "extern __shared__ double warps[];").run(0, [X])
