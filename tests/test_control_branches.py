"""Branches by their public functions: only the taken one runs, in either mode of differentiation and inside loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.codegen.program import Branch, Kernel, walk_steps

x0 = np.array([0.3, -1.2, 2.0])


def chosen(p: Any, x: Any) -> Any:
    return pb.cond(p > 0, lambda x: (pb.sum(pb.sin(x) * p), x), lambda x: (pb.sum(x**2), -x * p), x)


def in_python(p: float, x: np.ndarray) -> Any:
    return (np.sum(np.sin(x) * p), x) if p > 0 else (np.sum(x**2), -x * p)


@pytest.mark.parametrize("p", [2.0, -1.5])
def test_values_and_derivatives_are_those_of_the_taken_branch(p: float) -> None:
    def loss(p: Any, x: Any) -> Any:
        total, y = chosen(p, x)
        return total * pb.sum(y * y)

    def everything(p: Any, x: Any, v: Any) -> Any:
        gradient = pb.grad(loss, argnums=1)
        return (chosen(p, x), pb.grad(loss, argnums=(0, 1))(p, x), pb.jvp(lambda x: loss(p, x), (x,), (v,))[1],
                pb.jvp(lambda x: gradient(p, x), (x,), (v,))[1], pb.grad(lambda x: pb.sum(gradient(p, x) * v))(x))

    f, v, h = pb.compile(everything), np.array([1.0, 0.5, -0.7]), 1e-6
    (total, y), (gp, gx), along, product, twice = f(p, x0, v)
    np.testing.assert_allclose(total, in_python(p, x0)[0])
    np.testing.assert_allclose(y, in_python(p, x0)[1])

    def plain(p: float, x: np.ndarray) -> float:
        total, y = in_python(p, x)
        return total * np.sum(y * y)

    np.testing.assert_allclose(gp, (plain(p + h, x0) - plain(p - h, x0)) / (2 * h), rtol=1e-7)
    np.testing.assert_allclose(along, (plain(p, x0 + h * v) - plain(p, x0 - h * v)) / (2 * h), rtol=1e-7)
    np.testing.assert_allclose(np.sum(gx * v), along, rtol=1e-12)
    np.testing.assert_allclose(product, (f(p, x0 + h * v, v)[1][1] - f(p, x0 - h * v, v)[1][1]) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(twice, product, rtol=1e-11)


def test_switch_clamps_its_index_and_differentiates_each_branch() -> None:
    branches = [lambda x: x, lambda x: x * x, lambda x: pb.exp(x)]
    f = pb.compile(lambda i, x: (pb.switch(i, branches, x), pb.grad(lambda x: pb.switch(i, branches, x))(x)))
    for i in (-3, 0, 1, 2, 9):
        value, slope = f(i, 1.5)
        k = min(max(i, 0), 2)
        np.testing.assert_allclose(value, [1.5, 2.25, np.exp(1.5)][k])
        np.testing.assert_allclose(slope, [1.0, 3.0, np.exp(1.5)][k])
    assert pb.switch(1, branches, 3.0) == 9.0


def test_what_is_not_taken_does_not_run() -> None:
    """A loop without end, and an index out of range, in the branch that is not taken."""
    def guarded(go: Any, x: Any) -> Any:
        return pb.cond(go, lambda: pb.while_loop(lambda c: c > 0.0, lambda c: c + x[0], 1.0, max_steps=5), lambda: x[1]
        * 2.0)

    def far(i: Any, x: Any) -> Any:
        return pb.cond(i < x.shape[0], lambda: x[i], lambda: 0.0)

    f, g = pb.compile(guarded), pb.compile(far)
    assert f(False, np.array([1.0, 4.0])) == 8.0
    with pytest.raises(IndexError, match="max_steps=5"):
        f(True, np.array([1.0, 4.0]))
    assert g(1, np.array([1.0, 4.0])) == 4.0 and g(7, np.array([1.0, 4.0])) == 0.0
    np.testing.assert_array_equal(pb.grad(far, argnums=1)(7, np.array([1.0, 4.0])), [0.0, 0.0])


def test_a_singular_branch_that_is_not_taken_leaves_no_nan() -> None:
    f = pb.grad(lambda x: pb.cond(x > 0, lambda x: pb.sqrt(x), lambda x: 2.0 * x, x))
    assert f(-1.0) == 2.0 and f(0.0) == 2.0 and f(4.0) == 0.25


def test_branches_in_loops_and_loops_in_branches() -> None:
    """A one-dimensional return map: a trial stress, and a correction where it passes the yield."""
    def stress(strain: Any, modulus: Any) -> Any:
        def step(state: Any, de: Any) -> Any:
            s, hard = state
            trial = s + modulus * de
            s, hard = pb.cond(pb.abs(trial) > 1.0 + hard,
                              lambda: (pb.sign(trial) * (1.0 + hard + 0.1 * (pb.abs(trial) - 1.0 - hard)),
                                       hard + 0.1 * (pb.abs(trial) - 1.0 - hard)),
                              lambda: (trial, hard))
            return (s, hard), s

        return pb.scan(step, (0.0, 0.0), strain)[1]

    def plain(strain: np.ndarray, modulus: float) -> np.ndarray:
        s = hard = 0.0
        out = []
        for de in strain:
            trial = s + modulus * de
            over = abs(trial) - 1.0 - hard
            if over > 0:
                s, hard = np.sign(trial) * (1.0 + hard + 0.1 * over), hard + 0.1 * over
            else:
                s = trial
            out.append(s)
        return np.array(out)

    strain = 0.5 * np.sin(np.linspace(0, 12, 60))
    np.testing.assert_allclose(pb.compile(stress)(strain, 3.0), plain(strain, 3.0), rtol=1e-13)
    value, slope = pb.value_and_grad(lambda m, e: pb.sum(stress(e, m) ** 2))(3.0, strain)
    h = 1e-6
    numeric = (np.sum(plain(strain, 3.0 + h) ** 2) - np.sum(plain(strain, 3.0 - h) ** 2)) / (2 * h)
    np.testing.assert_allclose(slope, numeric, rtol=1e-6)

    def powers(flag: Any, x: Any) -> Any:
        return pb.cond(flag, lambda x: pb.fori_loop(0, 4, lambda i, c: c * x, x), lambda x: x, x)

    assert pb.compile(powers)(True, 2.0) == 32.0 and pb.compile(powers)(False, 2.0) == 2.0
    assert pb.grad(powers, argnums=1)(True, 2.0) == 80.0


def test_branches_over_variables_wait_for_their_types() -> None:
    p, x = pb.Var("p"), pb.Var("x")
    total, y = chosen(p, x)
    f = pb.compile([total, y, pb.grad(total, {"p": p, "x": x})])
    for value in (2.0, -2.0):
        got = f(p=value, x=x0)
        np.testing.assert_allclose(got[0], in_python(value, x0)[0])
        np.testing.assert_allclose(got[1], in_python(value, x0)[1])
        np.testing.assert_allclose(got[2]["x"], 2.0 * np.cos(x0) if value > 0 else 2 * x0)
        np.testing.assert_allclose(got[2]["p"], np.sum(np.sin(x0)) if value > 0 else 0.0)


def test_a_known_predicate_needs_no_branch_and_what_is_closed_over_is_computed_once() -> None:
    assert pb.cond(True, lambda x: x + 1.0, lambda x: x - 1.0, 5.0) == 6.0

    def shared(p: Any, x: Any) -> Any:
        z = pb.exp(x) @ pb.sin(x)
        return pb.cond(p > 0, lambda: z * 2.0, lambda: z - 1.0), z

    f = pb.compile(shared)
    np.testing.assert_allclose(f(1.0, x0)[0], 2 * np.exp(x0) @ np.sin(x0))
    program = f.lower(1.0, x0).program
    inside = [s for b in program.steps if isinstance(b, Branch) for s in walk_steps((b,)) if isinstance(s, Kernel)]
    assert inside and not any("exp" in line for kernel in inside for line in kernel.title)


def test_results_that_differ_are_refused() -> None:
    f: Any = pb.compile(lambda p, x: pb.cond(p, lambda x: x, lambda x: pb.sum(x), x))
    with pytest.raises(pb.ShapeError, match="result 0"):
        f(True, x0)
    with pytest.raises(pb.PullbackError, match="same nest"):
        pb.compile(lambda p, x: pb.cond(p, lambda x: x, lambda x: (x, x), x))(True, x0)
    with pytest.raises(pb.DTypeError, match="pb.where"):
        pb.compile(lambda p, x: pb.cond(p > 0, lambda x: x, lambda x: -x, x))(x0, x0)
    with pytest.raises(pb.DTypeError, match="one integer"):
        pb.compile(lambda p, x: pb.switch(p, [lambda x: x, lambda x: -x], x))(1.5, x0)
    one = pb.compile(lambda p, x: pb.cond(p, lambda x: x, lambda x: pb.zeros(3, "float32"), x))
    assert one(False, x0).dtype == np.float64
