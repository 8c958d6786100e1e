"""Loops over elements: values against NumPy's loops, gradients against finite differences and forward mode, and no
action on a whole array inside the innermost loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from element_programs import (
    PROGRAMS,
    Written,
    cholesky_all_in_the_array,
    cholesky_by_columns,
    cholesky_by_elements,
    cholesky_left_looking,
    definite,
    dominant,
    lu_by_elements,
    lu_by_outer_products,
    recurrence,
    seidel,
    soft_time_warping,
    tridiagonal,
)

import pullback as pb
from pullback.codegen.program import For, Kernel, Library, Loop, Program, Step
from pullback.dsl import size

each_program = pytest.mark.parametrize("written", PROGRAMS, ids=lambda w: w.program.__name__)


def loss_of(written: Written, n: int) -> Callable[[Any], Any]:
    weights = np.random.default_rng(4).random(written.numpy(written.matrix(n)).shape)
    return lambda a: pb.sum(written.program(a) * weights)


# ---- numbers ----------------------------------------------------------------------------------------------------
@each_program
def test_values_and_derivatives(written: Written) -> None:
    a = written.matrix(7)
    np.testing.assert_allclose(pb.compile(written.program)(a), written.numpy(a), rtol=1e-10, atol=1e-13)
    weights = np.random.default_rng(4).random(written.numpy(a).shape)
    loss = loss_of(written, 7)
    value, gradient = pb.compile(pb.value_and_grad(loss))(a)
    np.testing.assert_allclose(value, np.sum(written.numpy(a) * weights), rtol=1e-10)
    v, h = np.random.default_rng(5).normal(size=a.shape), 1e-6
    if written.numpy is np.linalg.cholesky:
        v = v + v.T                          # NumPy reads one triangle, the loops either
    numeric = np.sum((written.numpy(a + h * v) - written.numpy(a - h * v)) * weights) / (2 * h)
    np.testing.assert_allclose(np.sum(gradient * v), numeric, rtol=1e-6, atol=1e-8)
    _, along = pb.compile(lambda a, v: pb.jvp(loss, (a,), (v,)))(a, v)
    np.testing.assert_allclose(np.sum(gradient * v), along, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("written", [w for w in PROGRAMS if w.program in
                                     (cholesky_by_elements, seidel, recurrence, tridiagonal, soft_time_warping)],
                         ids=lambda w: w.program.__name__)
def test_second_derivatives(written: Written) -> None:
    a, loss = written.matrix(5), loss_of(written, 5)
    v, h = np.random.default_rng(5).normal(size=a.shape), 1e-5
    gradient = pb.compile(pb.grad(loss))
    twice = pb.compile(lambda a, v: pb.grad(lambda a: pb.sum(pb.grad(loss)(a) * v))(a))(a, v)
    np.testing.assert_allclose(twice, (gradient(a + h * v) - gradient(a - h * v)) / (2 * h), rtol=1e-5, atol=1e-6)
    forward = pb.compile(lambda a, v: pb.hvp(loss, (a,), (v,)))(a, v)
    np.testing.assert_allclose(forward, twice, rtol=1e-9, atol=1e-11)


# ---- counts -----------------------------------------------------------------------------------------------------
def innermost(steps: tuple[Step, ...]) -> Iterator[Loop]:
    """The loops without a loop inside."""
    for step in steps:
        if isinstance(step, Loop):
            inside = list(innermost(step.steps))
            yield from inside or [step]


def elements_written(step: Step, program: Program, side: int) -> int:
    values = {s: 1 if "chunks" in s else side for s in program.sizes}
    if isinstance(step, Library):
        return size.evaluate(step.attr("count"), values) if step.routine == "copy" else 0      # type: ignore[arg-type]
    assert isinstance(step, Kernel)
    inner = max((size.evaluate(size.product(x.extent for x in s.axes), values) for s in step.body
                 if isinstance(s, For)), default=1)
    return size.evaluate(step.rows.extent, values) * inner


@pytest.mark.parametrize("written", [w for w in PROGRAMS if w.in_place], ids=lambda w: w.program.__name__)
def test_no_action_on_a_whole_array_in_an_innermost_loop(written: Written) -> None:
    a = written.matrix(7)
    weights = np.ones(written.numpy(a).shape)
    f = pb.compile(pb.value_and_grad(lambda a: pb.sum(written.program(a) * weights)))
    program = f.lower(a).program
    for loop in innermost(program.steps):
        for step in loop.steps:
            assert elements_written(step, program, 1000) == 1, loop.name


@pytest.mark.parametrize("program", [lu_by_outer_products, cholesky_by_columns, cholesky_left_looking],
                         ids=lambda p: p.__name__)
def test_cotangents_of_updated_columns_stay_in_their_array(program: Callable[[Any], Any]) -> None:
    """What is read of the array before a column is overwritten is taken out in a kernel of its own, which waits for
    nothing that comes after.
    """
    f = pb.compile(pb.value_and_grad(lambda a: pb.sum(program(a) * np.arange(49.0).reshape(7, 7))))
    back = [s for s in f.lower(definite(7)).program.steps if isinstance(s, Loop) and s.backwards]
    assert back and not any(loop.swaps for loop in back)


def residuals(program: Callable[[Any], Any], n: int) -> int:
    f = pb.compile(pb.value_and_grad(lambda a: pb.sum(program(a) * np.arange(1.0 * n * n).reshape(n, n))))
    return f.lower(definite(n)).memory()["residuals"]


def test_of_a_state_that_is_read_in_few_places_these_are_kept() -> None:
    """An LU reads a row, a column and the element that they share, in every turn; a Cholesky only the column."""
    n = 20
    assert residuals(lu_by_outer_products, n) == n * (2 * n + 1) * 8
    assert residuals(cholesky_by_columns, n) == n * (n + 1) * 8


def test_what_a_long_sum_gives_is_kept_where_that_is_little() -> None:
    """Left-looking, the product of the matrix and its row, beside the column that is overwritten."""
    assert residuals(cholesky_left_looking, 20) == 2 * 20 * 20 * 8


def test_a_loop_at_any_depth_is_known_as_that_of_the_derivative() -> None:
    """The innermost loop of the derivative stacks what the value's does not; both are one all the same, and what it
    overwrites is kept once.
    """
    n = 20
    assert residuals(cholesky_all_in_the_array, n) <= 1.05 * n**3 * 8


def test_a_budget_asks_for_what_the_reverse_reads_not_for_all_states() -> None:
    """All states of this LU pass the budget, its rows and columns do not: nothing is run again."""
    n = 40

    def loss(a: Any, budget: str) -> Any:
        def step(k: Any, x: Any) -> Any:
            factor = pb.where(pb.arange(n) > k, x[:, k] / x[k, k], 0.0)
            rest = x - factor[:, None] * pb.where(pb.arange(n) > k, x[k], 0.0)[None, :]
            return rest.at[:, k].set(pb.where(pb.arange(n) > k, factor, x[:, k]))

        every, last = pb.scan(lambda x, k: (step(k, x), pb.sum(x[k])), a, pb.arange(n), budget=budget)
        return pb.sum(every * np.arange(n)) + pb.sum(last ** 2)

    a = dominant(n)
    found = {budget: pb.compile(pb.grad(lambda a, b=budget: loss(a, b))) for budget in ("100KB", "40KB", "1GB")}
    kept = {budget: f.lower(a).memory()["residuals"] for budget, f in found.items()}
    assert kept["100KB"] == kept["1GB"] < 64 * n * n < 8 * n**3
    for f in found.values():
        np.testing.assert_allclose(f(a), found["1GB"](a), rtol=1e-12)
    assert "what the reverse reads of all states fits" in str(found["100KB"].explain())


def test_loops_one_after_the_other_run_once_for_value_and_derivative() -> None:
    """The second starts from what the first leaves, and is known as the value's when that is."""
    def count(steps: tuple[Step, ...]) -> int:
        return sum(1 + count(s.steps) for s in steps if isinstance(s, Loop))

    f = pb.compile(pb.value_and_grad(lambda a: pb.sum(lu_by_elements(a) ** 2)))
    assert count(f.lower(dominant(6)).program.steps) == 2 * 5
