"""Iterations that find solutions, as loops over typed vectors: fixed points, and roots by Newton's method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .adjoint import filled
from .grad import jvp_of
from .linear_map import Layout, Linear, solved
from .loop import bound, repeat
from .node import FUNCTIONS, Expr, rebuild, rewrite
from .primitives import full
from .subprogram import Run

METHODS = ("newton", "chord")
_SMALLEST = 2.0**-16                    # the shortest part of a step that is tried


def fixed_point(run: Run, starts: Sequence[Expr], tol: Expr, max_steps: int) -> list[Expr]:
    """x with run(x) = x."""
    layout = Layout(starts)

    def turn(index: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        return [states[1], layout.joined(run(layout.parts(states[1])))], ()

    def apart(states: list[Expr]) -> Expr:
        return ~FUNCTIONS["all"](FUNCTIONS["abs"](states[1] - states[0]) <= _bound(states[0], tol))

    x = layout.joined(starts)
    what = "fixed_point has not converged: it"
    found = repeat(None, [x, layout.joined(run(layout.parts(x)))], turn, apart, max_steps, "none", what)
    return layout.parts(found.item("carry", 1))


def newton(run: Run, starts: Sequence[Expr], tol: Expr, max_steps: int, how: Linear, method: str) -> list[Expr]:
    """x with run(x) = 0."""
    layout = Layout(starts)

    def residual(x: Expr) -> Expr:
        return layout.joined(run(layout.parts(x)))

    x0 = layout.joined(starts)

    def turn(index: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        x, value, _ = states
        step = _step(run, layout, x if method == "newton" else x0, value, how)
        step = FUNCTIONS["where"](FUNCTIONS["all"](value == 0), 0.0, step)         # the matrix may be singular there
        near = FUNCTIONS["all"](FUNCTIONS["abs"](step) <= _bound(x, tol))
        x = _damped(residual, x, step, value, near)
        return [x, residual(x), near], ()

    what = f"root has not converged: {method}"
    start = [x0, residual(x0), full((), False, bool)]
    return layout.parts(repeat(None, start, turn, lambda s: ~s[2], max_steps, "none", what).item("carry", 0))


def _step(run: Run, layout: Layout, x: Expr, value: Expr, how: Linear) -> Expr:
    """-A^-1 value, with A the derivative at x."""
    points = layout.parts(x)
    variables, along = ([bound(p.dtype, p.shape) for p in points] for _ in range(2))
    outputs = run(variables)
    moved = filled(jvp_of(outputs, dict(zip(variables, along, strict=True))), outputs)
    moved = rewrite(moved, rebuild, dict(zip(variables, points, strict=True)))
    return layout.joined(solved(along, moved, layout.parts(-value), how))


def _damped(residual: Callable[[Expr], Expr], x: Expr, step: Expr, value: Expr, near: Expr) -> Expr:
    """x and the longest of step, step/2, step/4, ... that makes the residual smaller."""
    before = _square(value)

    def turn(index: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        part = states[0] * 0.5
        return [part, _square(residual(x + part * step))], ()

    def worse(states: list[Expr]) -> Expr:
        part, after = states
        return ~(near | (after < before * (1.0 - 1e-4 * part)) | (part <= _SMALLEST))

    start = [full((), 1, x.dtype), _square(residual(x + step))]
    return x + repeat(None, start, turn, worse, checkpoint="none").item("carry", 0) * step


def _square(x: Expr) -> Expr:
    return FUNCTIONS["vdot"](x, x)


def _bound(x: Expr, tol: Any) -> Expr:
    return tol * (1.0 + FUNCTIONS["abs"](x))
