"""Loops over elements as kernels: one for the whole loop, scalars in registers, the same bits in the CPU text, and the
same numbers from the CUDA text.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from element_programs import PROGRAMS, Written
from target_contract import Job, assert_agree, expected, job_of, run_numba_text, run_on_cpu

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch, joined  # noqa: E402
from expressions import inputs_of  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.check import check  # noqa: E402
from pullback.codegen.cuda import write_cuda  # noqa: E402
from pullback.codegen.program import For, Kernel, Load, Loop, Store, Update, walk_stmts  # noqa: E402
from pullback.codegen.serial import serialised  # noqa: E402
from pullback.kernels import nvrtc  # noqa: E402

NAMES = [w.program.__name__ for w in PROGRAMS]
SCALAR = [w for w in PROGRAMS if w.in_place]


def job_of_gradient(written: Written, n: int = 5) -> Job:
    a = written.matrix(n)
    weights = np.random.default_rng(4).random(written.numpy(a).shape)

    def loss(a: Any) -> Any:
        return pb.sum(written.program(a) * weights)

    return job_of(pb.value_and_grad(loss), [a])


JOBS = {w.program.__name__: job_of_gradient(w) for w in PROGRAMS}


@pytest.mark.parametrize("name", NAMES)
def test_serialised_programs_keep_the_grammar_and_the_numbers(name: str) -> None:
    check(serialised(JOBS[name][1]))
    assert_agree(run_on_cpu(JOBS[name]), expected(JOBS[name]))


@pytest.mark.parametrize("name", ["cholesky_by_elements", "seidel"])
def test_the_cpu_text_has_the_same_bits(name: str) -> None:
    for a, b in zip(run_numba_text(JOBS[name]), run_on_cpu(JOBS[name]), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.fixture(scope="module")
def emulated() -> dict[str, list[np.ndarray]]:
    batch = EmulatedBatch()
    handles = {name: batch.add(program) for name, (_, program, _) in JOBS.items()}
    return {name: batch.run(handle, *inputs_of(JOBS[name][0], JOBS[name][2])) for name, handle in handles.items()}


@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
@pytest.mark.parametrize("name", NAMES)
def test_the_cuda_text_has_the_same_numbers(emulated: dict[str, list[np.ndarray]], name: str) -> None:
    assert_agree(emulated[name], expected(JOBS[name]))


@pytest.mark.skipif(nvrtc.nvrtc_version() is None, reason="NVRTC is not installed")
def test_the_cuda_text_compiles() -> None:
    nvrtc.compile_text(joined([write_cuda(JOBS[w.program.__name__][1]).text for w in SCALAR[:3]]))


@pytest.mark.parametrize("written", SCALAR, ids=lambda w: w.program.__name__)
def test_a_loop_over_elements_is_one_kernel(written: Written) -> None:
    program = serialised(JOBS[written.program.__name__][1])
    assert not any(isinstance(s, Loop) for s in program.steps)
    for kernel in (s for s in program.steps if isinstance(s, Kernel) and s.serial):
        for loop in innermost(kernel.body):
            touched = [s for s in loop.body if isinstance(s, (Load, Store, Update))]
            kept = [s.buffer for s in touched if not program.buffers[s.buffer].shape]
            assert not kept, f"{kernel.name} keeps scalars in memory: {kept}"


def innermost(stmts: tuple) -> list[For]:
    loops = [s for s in walk_stmts(stmts) if isinstance(s, For) and not s.vector]
    return [loop for loop in loops if not any(isinstance(s, For) for s in loop.body)]


def test_an_index_that_leaves_the_array_raises_in_a_loop_of_one_kernel() -> None:
    def shifted(x: Any) -> Any:
        return pb.fori_loop(0, x.shape[0], lambda i, y: y.at[i].set(x[i + 1]), pb.zeros_like(x))

    with pytest.raises(IndexError):
        pb.compile(shifted)(np.ones(4))


def test_what_is_read_after_a_loop_is_what_its_last_turn_left() -> None:
    """Scalars of a loop that other steps read: a carry, a counter that the loop returns, and a loop of no turn."""
    def both(x: Any, n: Any) -> Any:
        def turn(i: Any, state: Any) -> Any:
            total, last, row = state
            return total * 0.5 + x[i], x[i] - total, row.at[i].add(total * last)

        return pb.fori_loop(0, n, turn, (1.0, 2.0, x))

    x = np.random.default_rng(0).random(6)
    f = pb.compile(both)
    for n in (0, 1, 6):
        total, last, row = 1.0, 2.0, x.copy()
        for i in range(n):
            row[i] += total * last
            total, last = total * 0.5 + x[i], x[i] - total
        for got, want in zip(f(x, n), (total, last, row), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-15)


def of_lengths(f: Callable[[Any, Any], Any]) -> None:
    g = pb.compile(pb.value_and_grad(f))
    x, h = np.random.default_rng(1).random(7), 1e-6
    for n in (0, 1, 4, 7):
        value, gradient = g(x, n)
        for i in range(7):
            e = h * (np.arange(7) == i)
            np.testing.assert_allclose(gradient[i], (g(x + e, n)[0] - g(x - e, n)[0]) / (2 * h), rtol=1e-6, atol=1e-8)


def test_loops_of_run_time_length_in_loops() -> None:
    """A triangle of pairs, an element overwritten in the inner loop and one in the outer."""
    def triangle(x: Any, n: Any) -> Any:
        def row(i: Any, y: Any) -> Any:
            y = pb.fori_loop(0, i, lambda j, y: y.at[j].set(pb.sin(y[j]) * y[i]), y)
            return y.at[i].multiply(y[0])

        return pb.sum(pb.fori_loop(0, n, row, x) ** 2)

    of_lengths(triangle)


def test_two_carries_that_are_walked_back_through_each_other() -> None:
    """Each inner loop reads the other array: neither state before can be had from the cotangents' loops first."""
    def crossed(x: Any, n: Any) -> Any:
        def turn(i: Any, state: Any) -> Any:
            a, b = state
            c = pb.fori_loop(0, 3, lambda j, a: a.at[j].set(a[j] * b[i] + a[j + 1]), a)
            d = pb.fori_loop(0, 3, lambda j, b: b.at[j + 1].set(b[j] * a[i] - b[j + 1]), b)
            return c, d

        a, b = pb.fori_loop(0, n, turn, (x, pb.cos(x)))
        return pb.sum(a * a) + pb.sum(a * b)

    of_lengths(crossed)


def test_indices_that_are_in_range_by_form_are_not_checked() -> None:
    def recurrence(x: Any) -> Any:
        return pb.fori_loop(1, x.shape[0], lambda i, x: x.at[i].add(pb.sin(x[i - 1])), x)

    x = np.random.default_rng(0).random(9)
    for f in (recurrence, pb.grad(lambda x: pb.sum(recurrence(x)))):
        job = job_of(f, [x])
        assert_agree(run_on_cpu(job), expected(job))
        assert not job[1].errors
    for n in (0, 1, 2):
        np.testing.assert_array_equal(pb.compile(recurrence)(x[:n]), x[:n] + np.sin(np.r_[0, x[:1]])[:n])
