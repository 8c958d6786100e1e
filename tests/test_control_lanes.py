"""Loops in lanes: blocks of rows that take all turns, with the numbers of the same program turn by turn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import llvm
from pullback.codegen.lanes import lanes_of
from pullback.codegen.program import Loop

rng = np.random.default_rng(4)


def forms(f: Any, *args: Any) -> list[str]:
    program = f.lower(*args).program
    found = (lanes_of(program, s) for s in program.steps if isinstance(s, Loop))
    return [form if isinstance(form, str) else "lanes" for form in found]


def ensemble(keep: Any) -> Any:
    def f(x: Any, y: Any, rates: Any) -> Any:
        a, b = rates[0], rates[1]

        def step(i: Any, state: Any) -> Any:
            u, v = state
            return u + 0.05 * (a * u - b * u * v), v + 0.05 * (b * u * v - 0.5 * v) * pb.cos(0.1 * i)

        u, v = pb.fori_loop(0, 23, step, (x, y), checkpoint=keep)
        return pb.sum(u * u) + pb.sum(v)

    return pb.value_and_grad(f, argnums=(0, 1, 2))


@pytest.mark.parametrize("keep", ["all", "sqrt", 7])
@pytest.mark.parametrize("members", [1, 5, 255, 257, 3000])
def test_lanes_have_the_bits_of_native_loops(keep: Any, members: int, monkeypatch: pytest.MonkeyPatch,
                                             tmp_path: Any) -> None:
    args = rng.uniform(0.5, 1.5, members), rng.uniform(0.5, 1.5, members), rng.uniform(0.5, 1.5, (2, members))
    f = pb.compile(ensemble(keep))
    if members > 1:
        assert "lanes" in forms(f, *args)
    lanes = f(*args)
    monkeypatch.setattr(llvm, "lanes_of", lambda program, loop: "turned off")
    monkeypatch.setenv("PULLBACK_CACHE_DIR", str(tmp_path))
    native = pb.compile(ensemble(keep))(*args)
    for got, want in zip((lanes[0], *lanes[1]), (native[0], *native[1]), strict=True):
        np.testing.assert_array_equal(got, want)


def test_threads_do_not_change_the_bits() -> None:
    args = rng.uniform(0.5, 1.5, 40_000), rng.uniform(0.5, 1.5, 40_000), rng.uniform(0.5, 1.5, (2, 40_000))
    f, before = pb.compile(ensemble("sqrt")), pb.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            pb.set_num_threads(threads)
            found.append(f(*args))
    finally:
        pb.set_num_threads(before)
    for value, slopes in found[1:]:
        assert value == found[0][0]
        for got, want in zip(slopes, found[0][1], strict=True):
            np.testing.assert_array_equal(got, want)


OTHERS = {
    "a turn folds over the rows": lambda x: pb.fori_loop(0, 5, lambda i, c: c + pb.sum(c), x),
    "states trade places": lambda x: pb.fori_loop(0, 5, lambda i, c: c + pb.roll(c, 1), x),
    "its turns are tested one by one": lambda x: pb.while_loop(lambda c: c[0] < 3.0, lambda c: c * 1.5, x),
    "a turn branches": lambda x: pb.fori_loop(
        0, 5, lambda i, c: c * pb.cond(i > 2, lambda: pb.sin(1.0 * i), lambda: 0.5), x),
    "its turns are shown": lambda x: pb.fori_loop(0, 5, lambda i, c: pb.sin(c), x, progress=True),
}


@pytest.mark.parametrize("why", OTHERS)
def test_other_loops_are_native_and_the_report_says_why(why: str) -> None:
    f = pb.compile(OTHERS[why])
    x = rng.random(40)
    f(x)
    assert why in forms(f, x)
    assert "native" in f.explain()


def test_stacked_rows_and_elements_are_in_lanes() -> None:
    def f(x: Any, ts: Any) -> Any:
        c, ys = pb.scan(lambda c, t: (pb.sin(c) * t, c * c), x, ts)
        return c, ys

    x, ts = rng.random(700), rng.random(9)
    compiled = pb.compile(f)
    assert forms(compiled, x, ts) == ["lanes"]
    c, ys = compiled(x, ts)
    for t, row in zip(ts, ys, strict=True):
        np.testing.assert_allclose(row, x * x, rtol=1e-14)
        x = np.sin(x) * t
    np.testing.assert_allclose(c, x, rtol=1e-13)
    text = compiled.explain()
    assert "lanes" in text and "block of rows" in text
