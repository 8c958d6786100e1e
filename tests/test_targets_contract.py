"""The table of programs on every target: machine code, its Numba text, CUDA text on the emulator."""

import sys
from pathlib import Path

import numpy as np
import pytest
from target_cases import CASES
from target_contract import CpuContract, CpuTextContract, CudaTextContract, job_of, run_on_cpu

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import joined  # noqa: E402

from pullback.codegen.cuda import write_cuda  # noqa: E402
from pullback.kernels import nvrtc  # noqa: E402


class TestCpu(CpuContract):
    """All of the table."""


class TestCpuText(CpuTextContract):
    """A part of the table: Numba takes seconds where LLVM takes milliseconds."""

    cases = {name: CASES[name] for name in (
        "rows: softmax", "reduction: of bools", "structure: pads", "structure: casts", "indexing: gather",
        "indexing: the last of duplicates", "structure: constants",
        "contraction: matrix products", "gradient: cumulative", "complex: captured", "complex: structure")}

    def test_it_has_the_bits_of_the_machine_code(self, name):
        for a, b in zip(run_on_cpu(self.jobs()[name]), self.results()[name], strict=True):
            assert a.tobytes() == b.tobytes()


class TestCudaText(CudaTextContract):
    """All of the table."""


@pytest.mark.skipif(nvrtc.nvrtc_version() is None, reason="NVRTC is not installed")
def test_every_cuda_text_compiles_for_sm_90_without_spills():
    texts = [write_cuda(job[1]).text for job in TestCudaText.jobs().values() if not isinstance(job, str)]
    footprints = nvrtc.compile_text(joined(texts)).footprints
    assert len(footprints) == sum(text.count("__global__") for text in texts)
    assert not {name: f for name, f in footprints.items() if f.spill_stores or f.spill_loads}


def test_equal_programs_have_equal_plans():
    """Nothing in a plan depends on the order of a set or on an address."""
    for case in list(CASES.values())[::7]:
        assert job_of(*case)[1].steps == job_of(*case)[1].steps


def test_results_are_new_arrays():
    job = job_of(lambda x: (x, x.T, x), [np.eye(3)])
    first = run_on_cpu(job)
    assert not any(np.shares_memory(a, job[2][0]) for a in first)
    assert not np.shares_memory(first[0], first[2])
