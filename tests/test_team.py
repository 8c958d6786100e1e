"""Threads: the same bits whatever their number, also with several callers, after a fork and at exit."""

import ctypes
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hand_built import column_sums, full_sum, pointwise, row_softmax, smoothing_loop
from test_cpu_text import random_array

from pullback.dsl.size import evaluate
from pullback.kernels import team
from pullback.kernels.cpu import CpuProgram


@pytest.fixture
def threads():
    before = team.get_num_threads()
    yield team.set_num_threads
    team.set_num_threads(before)


CASES = [
    (pointwise(), {"n": 300_001}),
    (full_sum(), {"n": 700_003}),
    (row_softmax(), {"n": 1000, "m": 301}),
    (column_sums(), {"n": 30_000, "m": 19}),
    (smoothing_loop(), {"n": 200_001, "t": 5}),
]


def outputs(p, built, sizes):
    rng = np.random.default_rng(0)
    arrays = {
        n: random_array(b.dtype, tuple(evaluate(d, sizes) for d in b.shape), rng)
        for n, b in p.buffers.items()
        if b.kind != "temp"
    }
    assert built.run([a.ctypes.data for a in arrays.values()], tuple(v for k, v in sizes.items() if k in p.sizes)) == -1
    return [arrays[name].tobytes() for name in p.outputs]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_the_number_of_threads_never_shows(case, threads):
    p, sizes = CASES[case]
    built = CpuProgram.build(p)
    bound = built.bind(tuple(v for k, v in sizes.items() if k in p.sizes))
    assert bound.cost > team.THRESHOLD and bound.most > 4
    threads(1)
    alone = outputs(p, built, sizes)
    for count in (2, 5):
        threads(count)
        for _ in range(20 if count == 2 else 3):
            assert outputs(p, built, sizes) == alone


def test_small_work_wakes_nobody(threads):
    threads(2)
    built = CpuProgram.build(full_sum())
    assert built.bind((100_000,)).alone and not built.bind((1_000_000,)).alone
    assert team.acquire(1) is None
    shared = team.acquire(8)
    assert shared is not None and shared[1] == 2
    assert team.acquire(8) is None, "the team is in use"
    team.release()


def test_workers_take_part(threads):
    """Threads enter the program, each with its own number; one that wakes after the job has ended stays out."""
    threads(3)
    seen = []

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
    def entry(args, number):
        seen.append((number, threading.get_ident()))
        while number == 0 and len(seen) < 3:
            time.sleep(0.001)

    shared = team.acquire(8)
    assert shared is not None
    shared[0].run(ctypes.cast(entry, ctypes.c_void_p).value, 0, 3)
    team.release()
    assert {number for number, _ in seen} == {0, 1, 2}
    assert len({name for _, name in seen}) == 3


def test_two_python_threads_may_call_at_once(threads):
    threads(2)
    p, sizes = CASES[1]
    built = CpuProgram.build(p)
    expected = outputs(p, built, sizes)
    wrong = []

    def call():
        for _ in range(20):
            if outputs(p, built, sizes) != expected:
                wrong.append(1)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
        assert not caller.is_alive()
    assert not wrong


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_the_number_of_threads_is_a_positive_int(count):
    with pytest.raises(ValueError, match="positive int"):
        team.set_num_threads(count)


SCRIPT = """
import os, sys
import numpy as np
sys.path.insert(0, {tests!r})
from hand_built import full_sum
from pullback.kernels import team
from pullback.kernels.cpu import CpuProgram
team.set_num_threads(2)
built, x = CpuProgram.build(full_sum()), np.ones(700_000)
def total():
    s = np.zeros(())
    assert built.run([x.ctypes.data, s.ctypes.data], (x.size,)) == -1
    return float(s)
assert total() == 700_000
{then}
"""


def run_script(then):
    text = SCRIPT.format(tests=os.path.dirname(__file__), then=then)
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)


def test_exit_with_a_parked_team():
    done = run_script("print('end')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_makes_its_own_team():
    then = """
child = os.fork()
if child == 0:
    os._exit(0 if total() == 700_000 else 1)
assert os.waitpid(child, 0)[1] == 0
assert total() == 700_000
print('both')
"""
    done = run_script(then)
    assert (done.returncode, done.stdout) == (0, "both\n"), done.stderr
