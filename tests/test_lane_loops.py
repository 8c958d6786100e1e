"""Loops over lanes as one CUDA kernel each: every thread takes its lanes through all turns."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from target_contract import assert_agree, expected, job_of
from test_components import CASES as STATES
from test_components import MEMBERS, POINTS, runge_kutta

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch  # noqa: E402
from expressions import fn, gradient, inputs_of  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.cuda import write_cuda  # noqa: E402
from pullback.codegen.cuda_plan import Repeat  # noqa: E402
from pullback.codegen.serial import serialised  # noqa: E402

R = np.random.default_rng(4)
X, COUNT = R.uniform(0.5, 1, 37), np.int64(5)


def recurrence(x):
    return pb.fori_loop(0, 6, lambda i, y: y + 0.1 * fn.sin(y) * (1 + i), x)


def pairs(x):
    """Two states, one read by the other, and what is stacked."""
    def turn(state, _):
        a, b = state
        return (a + 0.1 * b, b - 0.1 * a), a * b

    (a, b), products = pb.scan(turn, (x, x * x), None, length=5)
    return a + b, products


def counted(x, n):
    return pb.fori_loop(0, n, lambda i, y: y + fn.cos(y) / (1 + i), x)


def driven(x, forces):
    return pb.scan(lambda y, force: (y + 0.1 * (force - y), y), x, forces)[0]


def inner_loops(x):
    return pb.fori_loop(0, 3, lambda i, y: pb.fori_loop(0, 2, lambda j, z: z + 0.1 * fn.sin(z), y) * 0.9, x)


def rows_of_two(x):
    """The whole state, lanes of one element each."""
    return pb.fori_loop(0, 4, lambda i, y: y + fn.sin(y), x)


LANES = {
    "recurrence": (recurrence, [X]),
    "pairs": (pairs, [X]),
    "counted": (counted, [X, COUNT]),
    "driven": (driven, [X, R.normal(size=(4, 37))]),
    "inner loops": (inner_loops, [X]),
    "rows": (rows_of_two, [MEMBERS]),
    "ensemble": STATES["ensemble"],
    "gradient of an ensemble": (gradient(STATES["ensemble"][0], 2), STATES["ensemble"][1]),
    "gradient of a recurrence": (gradient(recurrence), [X]),
}
TOGETHER = {
    "gradient of inner loops": (gradient(inner_loops), [X]),
    "neighbours": (lambda x: pb.fori_loop(0, 4, lambda i, y: y + 0.1 * pb.shift(y, 1, 0, boundary="wrap"), x), [X]),
    "a mean": (lambda x: pb.fori_loop(0, 4, lambda i, y: y - 0.1 * fn.mean(y), x), [X]),
    "a shared rate": (gradient(lambda y, p: runge_kutta(fn.stack([y[:, 0], y[:, 1]], axis=1), fn.exp(p)[None, :]), 2),
                      [POINTS, R.normal(size=4)]),
}


@pytest.fixture(scope="module")
def emulated():
    batch = EmulatedBatch()
    jobs = {name: job_of(*case) for name, case in {**LANES, **TOGETHER}.items()}
    return batch, jobs, {name: batch.add(job[1]) for name, job in jobs.items()}


@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
@pytest.mark.parametrize("name", [*LANES, *TOGETHER])
def test_the_numbers_are_those_of_the_reference(emulated, name):
    batch, jobs, handles = emulated
    graph, _, arrays = jobs[name]
    assert_agree(batch.run(handles[name], *inputs_of(graph, arrays)), expected(jobs[name]))


def repeats(name: str, cases) -> int:
    launches = write_cuda(job_of(*cases[name])[1]).launches
    return sum(isinstance(action, Repeat) for action in launches)


@pytest.mark.parametrize("name", LANES)
def test_no_turn_is_launched(name):
    assert repeats(name, LANES) == 0


@pytest.mark.parametrize("name", ["neighbours", "a mean"])
def test_lanes_that_read_each_other_are_launched_turn_by_turn(name):
    assert repeats(name, TOGETHER) == 1


def test_a_state_is_in_registers():
    """It is read before the turns and written after them."""
    text = write_cuda(job_of(*LANES["recurrence"])[1]).text
    body = text[text.index("_turn < 6"):]
    inside = body[: body.index("}")]
    assert "sin" in inside and "[" not in inside


def test_a_loop_that_the_cpu_runs_turn_by_turn_stays_one():
    program = job_of(*LANES["recurrence"])[1]
    assert serialised(program) == program
