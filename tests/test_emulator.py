"""CUDA text on the CPU: hand-built programs give NumPy's numbers, and the emulator finds defects planted in a text."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch, EmulationError, run_program  # noqa: E402
from programs import column_sum, examples, gather, pointwise, softmax, uniform_store  # noqa: E402

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


def test_finds_a_missing_barrier_in_shared_memory():
    """Without the barrier a thread reads what other warps have not written: poison."""
    with pytest.raises((EmulationError, AssertionError)):
        got = planted(softmax(), "__syncthreads();\n        v = warps[0]", "v = warps[0]").run(0, [X])[0]
        np.testing.assert_allclose(got.sum(1), 1)


def test_finds_a_missing_barrier_on_a_buffer():
    with pytest.raises(EmulationError, match="order of threads"):
        planted(uniform_store(), "= t;\n        __syncthreads();", "= t;").run(0, [X])


def test_finds_barrier_divergence():
    with pytest.raises(EmulationError, match="barrier divergence"):
        planted(
            uniform_store(), "= t;\n        __syncthreads();", "= t;\n        if (thread < 7) __syncthreads();"
        ).run(0, [X])


def test_finds_a_deadlock():
    """Half of a warp waits in one shuffle for the other half, which waits in another one."""
    shuffle = "top = __shfl_xor_sync(0xffffffffu, top, 2);\n"
    with pytest.raises(EmulationError, match="deadlock"):
        planted(softmax(), "top = pb_fold", f"if (thread & 1) {shuffle} else {shuffle} top = pb_fold").run(0, [X])


def test_finds_a_shuffle_outside_of_its_mask():
    with pytest.raises(EmulationError, match="shuffle"):
        planted(softmax(), "0xffffffffu", "0x0000ffffu").run(0, [X])


def test_finds_a_write_out_of_bounds():
    with pytest.raises(EmulationError, match="y: written outside"):
        planted(pointwise(), "y[i] = q", "y[i + 1] = q", 9).run(0, [np.arange(9.0), np.array(1.0)])


def test_finds_an_unwritten_output():
    with pytest.raises(EmulationError, match="y: depends on"):
        planted(pointwise(), "y[i] = q", "if (i != 4) y[i] = q").run(0, [np.arange(9.0), np.array(1.0)])


def test_finds_an_uninitialised_partial_result():
    with pytest.raises(EmulationError, match="s: depends"):
        planted(column_sum(), "= 0.0;", ";").run(0, [X])


def test_finds_a_barrier_in_a_kernel_that_is_said_to_have_none():
    with pytest.raises(EmulationError, match="said to have none"):
        planted(pointwise(), "index_t head = lo;", "index_t head = lo; __syncthreads();").run(
            0, [np.arange(9.0), np.array(1.0)]
        )
