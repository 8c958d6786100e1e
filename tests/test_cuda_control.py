"""Loops and branches as CUDA text on the emulator: value and gradient as on the CPU."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch  # noqa: E402

import pullback as pb  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")


def scanned(x: Any) -> Any:
    c, ys = pb.scan(lambda c, t: (pb.sin(c) * t + 0.1 * pb.sum(c), c * c), x, np.linspace(0.5, 1.0, 6), checkpoint=2)
    return pb.sum(c) + pb.sum(ys)


def factored(x: Any) -> Any:
    """A factorisation by columns, in place, with dynamic rows and columns."""
    n = 5
    a = x[:n, None] * x[None, :n] * 0.1 + 4.0 * pb.eye(n)

    def column(k: Any, a: Any) -> Any:
        below = pb.where(pb.arange(n) > k, a[:, k] / a[k, k], 0.0)
        return a - below[:, None] * a[k, :]

    return pb.sum(pb.log(pb.diag(pb.fori_loop(0, n - 1, column, a))))


def relaxed(x: Any) -> Any:
    """Element by element, each from the one just written."""
    def sweep(_: Any, u: Any) -> Any:
        return pb.fori_loop(1, 9, lambda i, u: u.at[i].set(0.5 * (u[i - 1] + u[i + 1]) * pb.cos(u[i])), u)

    return pb.sum(pb.fori_loop(0, 3, sweep, x) ** 2)


def stencil(x: Any) -> Any:
    def step(_: Any, u: Any) -> Any:
        return u.at[1:-1].add(0.1 * (u[2:] - 2 * u[1:-1] * u[1:-1] + u[:-2]))

    return pb.sum(pb.fori_loop(0, 4, step, x) ** 2)


def waiting(x: Any) -> Any:
    return pb.sum(pb.while_loop(lambda c: pb.sum(c) < 40.0, lambda c: c * 1.3 + pb.sin(c), x, max_steps=30))


def branching(x: Any) -> Any:
    def turn(c: Any, k: Any) -> Any:
        c = pb.switch(k, [lambda c: pb.sin(c), lambda c: c * x, lambda c: c.at[2].multiply(c[1])], c)
        return pb.cond(pb.sum(c) > 3.0, lambda c: 0.5 * c, lambda c: c - 0.1 * x, c), None

    return pb.sum(pb.scan(turn, x, np.array([0, 1, 2, 1]))[0] ** 2)


def counted(x: Any) -> Any:
    """As many turns as the data say, and histogram-like writes."""
    turns = pb.argmax(x) + 2
    return pb.sum(pb.fori_loop(0, turns, lambda i, c: c.at[pb.asarray([1, 4, 1])].add(pb.sin(c[i % 3])), x) ** 2)


def walk(x: Any) -> Any:
    key = pb.random.key(7)

    def step(i: Any, y: Any) -> Any:
        return y + 0.1 * pb.cos(y) * pb.random.normal(pb.random.fold_in(key, i), y.shape)

    return pb.mean(pb.fori_loop(0, 5, step, x))


PROGRAMS = {f.__name__: f for f in (scanned, factored, relaxed, stencil, waiting, branching, counted, walk)}
X = 0.3 + np.random.default_rng(0).random(10)


@pytest.fixture(scope="module")
def batch() -> tuple[EmulatedBatch, dict[str, int]]:
    """All programs in one translation unit."""
    found, handles = EmulatedBatch(), {}
    for name, f in PROGRAMS.items():
        handles[name] = found.add(pb.compile(pb.value_and_grad(f)).lower(X).program)
    return found, handles


@pytest.mark.parametrize("name", PROGRAMS)
def test_value_and_gradient_on_the_emulator(batch: tuple[EmulatedBatch, dict[str, int]], name: str) -> None:
    compiled, handles = batch
    f = pb.compile(pb.value_and_grad(PROGRAMS[name]))
    value, slope = f(X)
    got = compiled.run(handles[name], [X], f.lower(X).values)
    np.testing.assert_allclose(got[0], value, rtol=1e-12)
    np.testing.assert_allclose(got[1], slope, rtol=1e-10, atol=1e-13)
    v, h = np.random.default_rng(1).normal(size=X.shape), 1e-6
    np.testing.assert_allclose(np.sum(slope * v), (f(X + h * v)[0] - f(X - h * v)[0]) / (2 * h), rtol=1e-5, atol=1e-8)
