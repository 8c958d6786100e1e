"""`memory()` before a call against the growth of the process's peak in that call, and what a reverse keeps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.codegen.check import check
from pullback.codegen.memory import touched
from pullback.codegen.program import Loop
from pullback.dsl.size import evaluate

# Compiled first and run at a size where nothing is large, then measured at the large one.
MEASURE = '''
import json, sys
import numpy as np
import pullback as pb

def peak(word):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(word)) * 1024

def elementwise(x):
    return pb.sum(pb.exp(-x * x) * pb.sin(x))

def scan_all(x):
    def step(c, t):
        return pb.sin(c) * t, None
    return pb.sum(pb.scan(step, x, np.linspace(0.9, 1.1, 64), checkpoint="all")[0])

def scan_sqrt(x):
    def step(c, t):
        return pb.sin(c) * t, None
    return pb.sum(pb.scan(step, x, np.linspace(0.9, 1.1, 400), checkpoint="sqrt")[0])

def stencil(x):
    def step(i, u):
        v = u * u
        return u + 0.1 * (pb.shift(v, 1, 0, "wrap") - 2 * v + pb.shift(v, -1, 0, "wrap"))
    return pb.sum(pb.fori_loop(0, 50, step, x, checkpoint="all") ** 2)

def nested(x):
    def step(i, u):
        return pb.fori_loop(0, 12, lambda j, w: pb.sin(w) + 0.01 * u, u, checkpoint="all")
    return pb.sum(pb.fori_loop(0, 20, step, x, checkpoint="all"))

def waiting(x):
    def step(state):
        i, u = state
        return i + 1, pb.sin(u) + 0.1
    return pb.sum(pb.while_loop(lambda s: s[0] < 60, step, (0, x), max_steps=60)[1])

def million(x):
    return pb.sum(pb.fori_loop(0, 1_000_000, lambda i, c: 2.9 * c * (1.0 - c), x, budget="64MB"))

f = pb.compile(pb.value_and_grad(globals()[sys.argv[1]]))
f(np.linspace(0.1, 1.0, 64))
x = np.linspace(0.1, 1.0, int(sys.argv[2]))
told = f.lower(x).memory()
f.lower(x).compile()
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")
before = peak("VmRSS")
result = f(x)
print(json.dumps({"told": told, "grown": peak("VmHWM") - before}))
'''


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures with Linux's /proc")
@pytest.mark.parametrize(("program", "size"), [
    ("elementwise", 6_000_000), ("scan_all", 120_000), ("scan_sqrt", 200_000), ("stencil", 150_000),
    ("nested", 200_000), ("waiting", 120_000),
])
def test_memory_is_the_growth_of_the_peak(program: str, size: int) -> None:
    run = subprocess.run([sys.executable, "-c", MEASURE, program, str(size)], capture_output=True, text=True)
    assert not run.returncode, run.stderr
    found = json.loads(run.stdout)
    told = found["told"]
    assert told["peak"] == sum(n for kind, n in told.items() if kind != "peak")
    np.testing.assert_allclose(found["grown"], told["peak"] - told["arguments"], rtol=0.05)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures with Linux's /proc")
def test_a_million_steps_within_a_budget() -> None:
    run = subprocess.run([sys.executable, "-c", MEASURE, "million", "70"], capture_output=True, text=True)
    assert not run.returncode, run.stderr
    found = json.loads(run.stdout)
    assert found["told"]["residuals"] <= 64 << 20
    assert found["grown"] < 100e6


def test_a_gradient_within_a_budget_is_that_of_all_states() -> None:
    def f(x: Any, **words: Any) -> Any:
        return pb.fori_loop(0, 30_000, lambda i, c: 2.9 * c * (1.0 - c) + 1e-3 * x, x, **words)

    everything = pb.compile(pb.grad(lambda x: f(x, checkpoint="all")))
    little = pb.compile(pb.grad(lambda x: f(x, budget="64KB")))
    assert little.lower(0.3).memory()["residuals"] <= 64 << 10 < everything.lower(0.3).memory()["residuals"]
    np.testing.assert_allclose(little(0.3), everything(0.3), rtol=1e-14)


def kept(f: Any, *args: Any) -> int:
    return pb.compile(pb.value_and_grad(f)).lower(*args).memory()["residuals"]


def test_light_turns_are_run_again_where_their_states_pass_the_cache() -> None:
    x = np.linspace(-1.0, 1.0, 40_000)

    def f(x: Any, turn: Any) -> Any:
        return pb.sum(pb.fori_loop(0, 100, turn, x) ** 2)

    def light(_: Any, u: Any) -> Any:
        return u + 0.1 * (pb.roll(u, 1) - u) * u

    def heavy(_: Any, u: Any) -> Any:
        return pb.sin(pb.exp(-u * u)) + 0.1 * pb.roll(u, 1)

    assert kept(lambda x: f(x, light), x) == 20 * x.nbytes       # ten starts, ten states of a segment
    assert kept(lambda x: f(x, heavy), x) == 100 * x.nbytes
    assert kept(lambda x: f(x, light), x[:4000]) == 100 * x[:4000].nbytes
    g = pb.compile(pb.grad(lambda x: f(x, light)))
    found = g(x)
    assert "run again sooner than all states come from memory" in g.explain()
    direction = np.random.default_rng(0).normal(size=x.shape)
    value = pb.compile(lambda x: f(x, light))
    slope = (value(x + 1e-6 * direction) - value(x - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(np.sum(found * direction), slope, rtol=1e-6)


def test_residuals_are_the_states_that_the_reverse_reads() -> None:
    x = np.ones(1000)

    def f(x: Any, keep: Any, step: Any = lambda i, c: pb.sin(c)) -> Any:
        return pb.sum(pb.fori_loop(0, 100, step, x, checkpoint=keep))

    assert kept(lambda x: f(x, "all"), x) == 100 * 8000
    assert kept(lambda x: f(x, "sqrt"), x) == 20 * 8000          # ten starts, ten states of a segment
    assert kept(lambda x: f(x, "none"), x) == 0
    assert kept(lambda x: f(x, "all", lambda i, c: c * 0.5), x) == 0
    assert kept(lambda x: f(x, "all", lambda i, c: c.at[i].set(pb.sin(c[i]))), x) == 100 * 8     # what was overwritten
    assert pb.compile(lambda x: f(x, "all")).lower(x).memory()["residuals"] == 0


def test_stacked_values_of_a_program_without_derivatives_are_temporaries() -> None:
    def f(x: Any) -> Any:
        return pb.sum(pb.scan(lambda c, t: (c * t, pb.sum(c)), x, np.ones(50))[1] ** 2)

    memory = pb.compile(f).lower(np.ones(10)).memory()
    assert memory["residuals"] == 0 and memory["temporaries"] >= 50 * 8


def test_turns_that_are_counted_when_they_run_are_told_by_a_formula() -> None:
    def f(x: Any) -> Any:
        return pb.sum(pb.while_loop(lambda c: pb.sum(c) < 50.0, lambda c: c * 1.1 + pb.sin(c), x, max_steps=40))

    memory = pb.compile(pb.grad(f)).lower(np.ones(3)).memory()
    assert memory["residuals"] == 40 * 3 * 8
    assert memory.formulas["residuals"].startswith("8*n0*turns(loop_")
    assert "at most" in str(memory) and str(40 * 3 * 8) in str(memory)
    known = pb.compile(pb.grad(lambda x: pb.sum(pb.fori_loop(0, 9, lambda i, c: pb.sin(c), x))))
    known = known.lower(np.ones(3)).memory()
    assert known["residuals"] == 9 * 3 * 8 and not known.formulas


def test_the_report_of_a_loop_says_what_is_kept_and_why() -> None:
    def f(x: Any, keep: Any) -> Any:
        return pb.sum(pb.fori_loop(0, 100, lambda i, c: pb.sin(c), x, checkpoint=keep))

    g = pb.compile(pb.value_and_grad(lambda x: f(x, "sqrt")))
    g(np.ones(7))
    text = g.explain()
    for words in ("fori_loop in segments of 10 turns: 10 turns", "lanes", "because checkpoint='sqrt'", "keeps states",
                  "fori_loop in segments of 10 turns, backwards", "runs turns again: loop_", "segment of fori_loop"):
        assert words in text, words
    g = pb.compile(pb.value_and_grad(lambda x: f(x, "auto")))
    g(np.ones(7))
    assert "because all states fit the budget of 128 MB" in g.explain()
    g = pb.compile(pb.grad(lambda x: pb.sum(pb.fori_loop(0, 5, lambda i, c: 0.5 * c, x))))
    g(np.ones(7))
    assert "reads no past state" in g.explain()


def test_the_report_of_a_while_loop_and_of_a_branch() -> None:
    def f(x: Any) -> Any:
        y = pb.while_loop(lambda c: pb.sum(c) < 9.0, lambda c: c * 1.5, x, max_steps=40)
        return pb.cond(pb.sum(x) > 0, lambda: pb.sum(y * y), lambda: pb.sum(pb.sin(y)))

    g = pb.compile(pb.value_and_grad(f))
    g(np.ones(3))
    text = g.explain()
    for words in ("while_loop: at most 40 turns", " a turn", "one of 2, by ", "case 0", "while_loop, backwards"):
        assert words in text, words
    assert "None" not in text and "stop_gradient" not in text


def test_segments_run_forwards_once_where_sizes_were_found_equal() -> None:
    def f(x: Any, y: Any) -> Any:
        return pb.sum(pb.fori_loop(0, 9, lambda i, c: pb.sin(c) * y, x, checkpoint=3))

    program = pb.compile(pb.value_and_grad(f, argnums=(0, 1))).lower(np.ones(5), np.ones(5)).program
    assert [s.backwards for s in program.steps if isinstance(s, Loop)] == [False, True]


def _stages(x: Any) -> Any:
    """Neighbours along both axes of values of values that take some work, in stages: many arrays in every turn."""
    def turn(_: Any, states: Any) -> Any:
        u, v = states
        p = u * pb.roll(v, 1, 0) / (1 + v * v)
        for _ in range(3):
            p = p / (1 + pb.roll(p, -1, 1) ** 2) + pb.roll(p, 1, 0) / (2 + u * u)
        q = p / (1 + pb.roll(p, -1, 1) ** 2) + u
        return u + 0.1 * (pb.roll(q, 1, 1) - q), v + 0.1 * (p - pb.roll(q, -1, 0))
    u, v = pb.fori_loop(0, 6, turn, (x, 0.3 * x))
    return pb.sum(u * v)


def _turn_arrays(x: np.ndarray) -> tuple[Any, list[int]]:
    """The program of the gradient, and where the matrices lie that one turn back writes and reads."""
    program = pb.compile(pb.grad(_stages)).lower(x).program
    back = next(s for s in program.steps if isinstance(s, Loop) and s.backwards)
    traded = {name for pair in back.swaps for name in pair}
    inside = set().union(*(touched(s) for s in back.steps)) - traded
    outside = set().union(*(touched(s) for s in program.steps if s is not back))
    found = [program.buffers[n] for n in sorted(inside - outside)]
    return program, [evaluate(b.place, dict.fromkeys(program.sizes, len(x))) for b in found if len(b.shape) == 2]


def test_arrays_of_one_turn_share_places() -> None:
    x = np.random.default_rng(3).normal(size=(64, 64))
    program, places = _turn_arrays(x)
    check(program)
    assert len(set(places)) < len(places)
    found = pb.compile(pb.grad(_stages))(x)
    direction = np.random.default_rng(4).normal(size=x.shape)
    value = pb.compile(_stages)
    slope = (value(x + 1e-6 * direction) - value(x - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(np.sum(found * direction), slope, rtol=1e-6)


def test_arrays_of_one_size_do_not_lie_a_multiple_of_a_page_apart() -> None:
    _, places = _turn_arrays(np.ones((64, 64)))
    assert len({place % 4096 for place in places}) == len(set(places)) > 1
