"""`f.debug(nan=True)`: the first non-finite value with its operation, line, index, operands, phase and turn."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import pullback as pb


def line_with(mark: str) -> str:
    """file:line of the line of this file that has the comment `mark`."""
    lines = inspect.getsource(inspect.getmodule(line_with)).splitlines()
    (number,) = [i for i, text in enumerate(lines, 1) if text.endswith(f"# {mark}")]
    return f"{__file__}:{number}"


def distance(x, y):
    shifted = pb.exp(x) - y                     # mark: shifted
    return pb.sum(pb.sqrt(shifted))             # mark: sqrt


def test_the_operation_the_line_the_index_and_the_operands():
    x, y = np.array([1.0, 2.0]), np.array([1.0, 9.0])
    report = pb.compile(distance).debug(x, y)
    assert report and np.isnan(report.value)
    assert (report.op, report.index, report.phase, report.line) == ("sqrt", (1,), "forward", line_with("mark: sqrt"))
    assert report.operands[0].value == np.exp(2.0) - 9.0 and report.operands[0].line == line_with("mark: shifted")
    assert "sqrt(exp(x) - y)" in str(report) and line_with("mark: sqrt") in str(report)


def test_both_orders_of_thought():
    x, y = np.array([1.0, 2.0]), np.array([1.0, 9.0])
    f = pb.compile(distance)
    assert str(f.debug(nan=True)(x, y)) == str(f.debug(x, y, nan=True)) == str(f.debug(x, y=y))
    v = pb.Var("v")
    assert pb.compile(pb.sum(1 / v)).debug(nan=True)(v=np.zeros(3)).op in ("divide", "reciprocal")
    with pytest.raises(pb.PullbackError, match="nan=True"):
        f.debug(x, y, nan=False)


def test_finite_results_are_false_even_over_values_that_are_not():
    assert not pb.compile(distance).debug(np.zeros(2), np.zeros(2))
    assert not pb.compile(lambda x: pb.where(x > 0, pb.sqrt(x), x)).debug(np.array([-1.0, 4.0]))
    assert not pb.compile(lambda x: pb.logsumexp(pb.where(x > 1, x, -pb.inf))).debug(np.array([1.0, 2.0]))
    assert str(pb.compile(lambda x: x).debug(1.0)) == "every result is finite"


def test_an_input_that_was_not_finite_is_named():
    report = pb.compile(distance).debug(np.array([1.0, np.nan]), np.ones(2))
    assert (report.input, report.index, report.count) == ("x", (1,), 1) and "input x[1] is nan" in str(report)
    report = pb.compile(lambda p: p["w"][0] * 2).debug({"w": (np.array([np.inf]), 1.0)})
    assert report.input == "p_w_0"


def test_the_reverse_and_the_tangent_phase():
    x, y = np.array([0.0, 2.0]), np.array([1.0, 2.0])
    report = pb.compile(pb.grad(distance)).debug(x, y)
    assert report.phase == "reverse" and report.value == np.inf and report.index == (0,)
    assert any(o.value == 0.0 and o.line == line_with("mark: sqrt") for o in report.operands)
    report = pb.compile(lambda x: pb.jvp(pb.sqrt, (x,), (1.0,))[1]).debug(0.0)
    assert report.phase == "tangent"
    v = pb.Var("v")
    report = pb.compile(pb.grad(pb.sum(pb.sqrt(v)), v)).debug(v=np.zeros(2))
    assert report.phase == "reverse"


def test_the_turn_of_a_loop():
    def run(x):
        def turn(i, s):
            return s * s - x / (i - 3.0)        # mark: turn
        return pb.fori_loop(0, 6, turn, x)

    report = pb.compile(run).debug(1.0)
    assert (report.turns, report.phase, report.line) == ((3,), "forward", line_with("mark: turn"))
    assert 0.0 in [o.value for o in report.operands]


def test_a_carry_that_went_wrong_in_an_earlier_turn():
    def run(x):
        def step(carry, _):
            a, b = carry
            return (b * 1e200, a * b), a        # mark: overflow
        return pb.sum(pb.scan(step, (x, x), None, length=10)[1])

    a, b, expected = 2.0, 2.0, 0
    while np.isfinite(b * 1e200) and np.isfinite(a * b):
        a, b, expected = b * 1e200, a * b, expected + 1
    for f in (run, pb.grad(run)):
        report = pb.compile(f).debug(2.0)
        assert report.turns == (expected,) and report.line == line_with("mark: overflow")


def test_nested_loops_and_branches():
    def run(x):
        def outer(i, s):
            def inner(j, t):
                return t + pb.cond(i + j > 3, lambda v: pb.log(v - 5.0), lambda v: v, x)
            return pb.fori_loop(0, 3, inner, s)
        return pb.fori_loop(0, 4, outer, 0.0)

    report = pb.compile(run).debug(2.0)
    assert (report.op, report.turns, report.operands[0].value) == ("log", (2, 2), -3.0)


def test_the_reverse_sweep_of_a_loop():
    def run(x):
        return pb.fori_loop(0, 3, lambda i, s: pb.sqrt(s), x)

    report = pb.compile(pb.grad(run)).debug(0.0)
    assert report.phase == "reverse" and report.turns


@pytest.mark.filterwarnings("ignore:.*singular")
def test_functions_that_derive_or_have_several_results():
    marked = pb.differentiable(lambda x: pb.sum(pb.sqrt(x)))
    assert marked.debug(np.array([-1.0])).op == "sqrt" and marked.grad.debug(np.zeros(2)).phase == "reverse"
    assert pb.grad(distance).debug(nan=True)(np.array([0.0]), np.array([1.0])).phase == "reverse"
    report = pb.compile(lambda a: pb.linalg.inv(a)).debug(np.zeros((2, 2)))
    assert report and not np.isfinite(report.value) and report.operands


def test_complex_numbers():
    report = pb.compile(lambda z: pb.log(z) * 2).debug(np.array([1j, 0j]))
    assert (report.op, report.index) == ("log", (1,)) and report.operands[0].value == 0j


def test_a_literal_infinity_is_meant_but_not_what_is_made_of_it():
    def run(x):
        masked = pb.where(x > 1, x, -pb.inf)
        return pb.sum(masked - masked)          # mark: difference

    report = pb.compile(run).debug(np.array([1.0, 2.0]))
    assert report.op == "subtract" and report.line == line_with("mark: difference")


def test_a_where_is_followed_only_on_the_side_that_was_chosen():
    def run(x):
        return pb.where(x > 0, pb.log(x), 1 / (x + 1))

    report = pb.compile(run).debug(np.array([0.0, -1.0, 2.0]))
    assert report.value == np.inf and report.index == (1,) and report.op != "log"


def test_lines_are_of_this_program_not_of_another_that_shares_its_nodes():
    def first(x):
        return pb.log(x)

    def second(x):
        return pb.log(x)                        # mark: second

    f, g = pb.compile(first), pb.compile(second)
    f(np.ones(2)), g(np.ones(2))
    assert g.debug(np.zeros(2)).line == line_with("mark: second")


def test_errors_of_expressions_name_the_line_where_they_were_written():
    x = pb.Var("heights")
    total = pb.sum(pb.floor(x) * 2.0)           # mark: floor
    with pytest.raises(pb.NotDifferentiable) as caught:
        pb.compile(pb.grad(total, x))(heights=np.ones(3))
    assert line_with("mark: floor") in str(caught.value)
