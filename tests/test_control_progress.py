"""Bars of long loops: native code counts, a thread of the host shows; values are those without a bar."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.kernels import progress

rng = np.random.default_rng(2)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_is_shown_and_gives_the_same(reverse: bool, capfd: pytest.CaptureFixture) -> None:
    def f(c: Any, x: Any) -> Any:
        return c * 0.9 + x, {"c": c, "x": x * x}

    xs = rng.random(257)
    seen, plain = (pb.scan(f, 0.0, xs, reverse=reverse, progress=p) for p in (True, False))
    shown = capfd.readouterr().err
    assert "scan: 100%" in shown and "257/257" in shown
    np.testing.assert_array_equal(seen[0], plain[0])
    np.testing.assert_array_equal(seen[1]["c"], plain[1]["c"])
    np.testing.assert_array_equal(seen[1]["x"], plain[1]["x"])


LOOPS = {
    "scan": lambda x: pb.scan(lambda c, _: (pb.sin(c), None), x, None, length=40, progress=True)[0],
    "scan in segments": lambda x: pb.scan(
        lambda c, _: (pb.sin(c), None), x, None, length=40, checkpoint=10, progress=True)[0],
    "fori_loop": lambda x: pb.fori_loop(0, 40, lambda i, c: pb.sin(c), x, progress=True),
    "while_loop": lambda x: pb.while_loop(
        lambda s: s[1] < 40, lambda s: (pb.sin(s[0]), s[1] + 1), (x, 0), max_steps=50, progress=True)[0],
    "while_loop without end": lambda x: pb.while_loop(
        lambda s: s[0] > 0.2, lambda s: (pb.sin(s[0]), s[1] + 1), (x, 0), progress=True)[0],
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_and_its_reverse_have_a_bar_each(name: str, capfd: pytest.CaptureFixture) -> None:
    f = LOOPS[name]
    word = name.split()[0]
    value, slope = pb.value_and_grad(f)(0.7)
    shown = capfd.readouterr().err
    assert f"{word}:" in shown or f"{word} in segments" in shown
    assert "backwards: 100%" in shown
    h = 1e-6
    np.testing.assert_allclose(slope, (f(0.7 + h) - f(0.7 - h)) / (2 * h), rtol=1e-6)


def test_without_progress_nothing_is_shown(capfd: pytest.CaptureFixture) -> None:
    pb.value_and_grad(lambda x: pb.fori_loop(0, 40, lambda i, c: pb.sin(c), x))(0.7)
    assert capfd.readouterr().err == ""


def test_the_loop_stays_in_native_code() -> None:
    """One call of the entry for all turns: the counters are read from beside it."""
    f = pb.compile(lambda x: pb.fori_loop(0, 100, lambda i, c: pb.sin(c), x, progress=True))
    program = f.lower(0.5).program
    loop, = [s for s in program.steps if getattr(s, "progress", False)]
    assert loop.count == 100
    f(0.5)
    native = f.last[1].native
    assert native.facts["progress"] == ["fori_loop"]


def test_a_bar_follows_its_counters_and_begins_again(capfd: pytest.CaptureFixture) -> None:
    counters = np.zeros(3, np.int64)
    bar = progress.Bar("outer", counters)
    bar.refresh()
    assert bar.bar is None                          # a loop that has not begun has no bar
    counters[:] = 3, 10, 1
    bar.refresh()
    assert (bar.bar.n, bar.bar.total) == (3, 10)
    counters[:] = 1, 20, 2
    bar.refresh()
    assert (bar.bar.n, bar.bar.total) == (1, 20)
    bar.close()
    assert "outer" in capfd.readouterr().err
