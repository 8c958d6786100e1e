"""What every target must do. A test class inherits the contract of its target and gives `cases`: a table, or a part."""

from __future__ import annotations

import functools
import inspect
import shutil
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
from target_cases import CASES, Cases

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch  # noqa: E402
from expressions import inputs_of, planned, traced  # noqa: E402

from pullback.codegen.check import check  # noqa: E402
from pullback.codegen.numba_text import write_numba  # noqa: E402
from pullback.codegen.program import Program  # noqa: E402
from pullback.dsl.trace import Traced  # noqa: E402
from pullback.kernels import reference  # noqa: E402
from pullback.kernels.execute_cpu import build  # noqa: E402

Job = tuple[Traced, Program, list[np.ndarray]]


def job_of(function, arrays) -> Job:
    """The graph, the plan (held against the grammar) and the inputs of one case."""
    graph = traced(function, arrays)
    program = planned(graph)
    check(program)
    return graph, program, arrays


def expected(job: Job) -> list[np.ndarray]:
    graph, _, arrays = job
    found, sizes = inputs_of(graph, arrays)
    return reference.evaluate(graph.outputs, dict(zip(graph.inputs, found, strict=True)), sizes)


def assert_agree(got: list[np.ndarray], want: list[np.ndarray], looseness: float = 1) -> None:
    """Same dtypes and shapes; the same numbers but for rounding, the same integers and bools."""
    for k, (a, b) in enumerate(zip(got, want, strict=True)):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), f"result {k}: {a.dtype}{a.shape}, expected {b.dtype}{b.shape}"
        if a.dtype.kind not in "fc":
            np.testing.assert_array_equal(a, b, err_msg=f"result {k}")
            continue
        single = a.dtype in (np.float32, np.complex64)
        size = np.max(np.abs(b[np.isfinite(b)]), initial=0)
        relative, absolute = (1e-4, 1e-6) if single else (1e-10, 1e-13)
        np.testing.assert_allclose(a, b, rtol=looseness * relative, atol=looseness * absolute * float(size),
                                   err_msg=f"result {k}")


class TargetContract:
    """Every case of the table, held against the reference. `cases` may be a part of the table."""

    cases: Cases = CASES

    def pytest_generate_tests(self, metafunc):
        if "name" in metafunc.fixturenames:
            metafunc.parametrize("name", self.cases)

    @classmethod
    def compute(cls, jobs: list[Job]) -> list[list[np.ndarray] | str]:
        """The results of each job, or the text of what went wrong."""
        raise NotImplementedError

    @classmethod
    @functools.cache
    def jobs(cls) -> dict[str, Job | str]:
        return {name: attempt(job_of, *case) for name, case in cls.cases.items()}

    @classmethod
    @functools.cache
    def results(cls) -> dict[str, list[np.ndarray] | str]:
        """All at once, since some targets compile many programs faster together."""
        good = {name: job for name, job in cls.jobs().items() if not isinstance(job, str)}
        return dict(zip(good, cls.compute(list(good.values())), strict=True))

    def test_case(self, name):
        job = self.jobs()[name]
        assert not isinstance(job, str), job
        found = self.results()[name]
        assert not isinstance(found, str), found
        assert_agree(found, expected(job))


def attempt(function, *args):
    """function(*args), or the text of its error."""
    try:
        return function(*args)
    except Exception:
        return traceback.format_exc()


def run_on_cpu(job: Job) -> list[np.ndarray]:
    """The results of the machine code."""
    graph, _, arrays = job
    found, _ = inputs_of(graph, arrays)
    return build(graph).call_for([a.shape for a in found]).run(found)


def run_numba_text(job: Job) -> list[np.ndarray]:
    """The results of the CPU text under plain Numba."""
    graph, program, arrays = job
    found, sizes = inputs_of(graph, arrays)
    names: dict = {}
    exec(compile(write_numba(program), "generated", "exec"), names)
    parameters = inspect.signature(names["program"]).parameters.values()
    keywords = {p.name: sizes[p.name] for p in parameters if p.kind is p.KEYWORD_ONLY}
    results = names["program"](*found, *program.consts.values(), **keywords)
    return [np.asarray(a) for a in (results if isinstance(results, tuple) else (results,))]


class CpuContract(TargetContract):
    """Machine code."""

    @classmethod
    def compute(cls, jobs):
        return [attempt(run_on_cpu, job) for job in jobs]


class CpuTextContract(TargetContract):
    """The text for Numba, which takes seconds where LLVM takes milliseconds: a part of a table will do."""

    @classmethod
    def compute(cls, jobs):
        return [attempt(run_numba_text, job) for job in jobs]


@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
class CudaTextContract(TargetContract):
    """CUDA text on the emulator."""

    @classmethod
    def compute(cls, jobs):
        batch = EmulatedBatch()
        handles = [attempt(batch.add, program) for _, program, _ in jobs]
        return [handle if isinstance(handle, str) else attempt(batch.run, handle, *inputs_of(graph, arrays))
                for handle, (graph, _, arrays) in zip(handles, jobs, strict=True)]
