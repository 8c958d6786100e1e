"""Runge-Kutta pairs that choose their steps, each trajectory its own.

The step sizes are no part of the derivative: differentiated is the method with the steps that were taken, of which the
last one ends at the asked time and depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import nest
from .control import while_loop
from .node import FUNCTIONS
from .ode_state import Field, combined, moved, ode_norm, ode_spread, selected
from .ode_tableaus import Tableau

_SAFETY, _LEAST, _MOST = 0.9, 0.2, 10.0
_EXPONENT = 1 / 5                      # of a pair of order 5(4)


@dataclass(frozen=True)
class Control:
    """Tolerances, how many first axes count trajectories, and the words for the loop."""

    rtol: Any
    atol: Any
    trajectories: int
    max_steps: int
    keep: dict[str, Any]


def start(field: Field, t: Any, y: Any, control: Control, first_step: Any) -> tuple:
    """Time, state, slope and step size to begin with."""
    time = ode_spread(t[0], nest.leaves(y)[0], control.trajectories)
    slope = field(time, y)
    if first_step is None:
        size = _minimum(_first_step(field, time, y, slope, control), FUNCTIONS["abs"](t[-1] - t[0]))
    else:
        size = time * 0.0 + first_step
    return time, y, slope, _constant(size)


def advance(field: Field, tableau: Tableau, control: Control, state: tuple, end: Any) -> tuple:
    """The state at the time `end`."""
    where, absolute = FUNCTIONS["where"], FUNCTIONS["abs"]

    def step(state: tuple) -> tuple:
        t, y, slope, size = state
        rest = end - t
        last = size >= absolute(rest)
        h = where(last, rest, FUNCTIONS["copysign"](size, _constant(rest)))
        new, slopes = _stages(field, tableau, t, y, slope, h)
        norm = _error(y, new, h, tableau.error, slopes, control)
        accepted = norm <= 1.0
        next_size = _next_size(_constant(absolute(h)), norm, accepted)
        next_size = where(last & accepted, FUNCTIONS["maximum"](size, next_size), next_size)
        time = where(accepted, where(last, end + 0.0 * t, t + h), t)
        return time, selected(accepted, new, y), selected(accepted, slopes[-1], slope), _constant(next_size)

    def unfinished(state: tuple) -> Any:
        return FUNCTIONS["any"](state[0] != end)

    return while_loop(unfinished, step, state, max_steps=control.max_steps, **control.keep)


def _stages(field: Field, tableau: Tableau, t: Any, y: Any, slope: Any, h: Any) -> tuple[Any, list[Any]]:
    """The next state, and the slopes of all stages."""
    slopes, new = [slope], y
    for node, weights in zip(tableau.nodes[1:], tableau.stages[1:], strict=True):
        new = moved(y, h, weights, slopes)
        slopes.append(field(t + node * h, new))
    return new, slopes


def _error(y: Any, new: Any, h: Any, weights: Any, slopes: list[Any], control: Control) -> Any:
    """The estimated error of a step in units of the tolerance."""
    zero = combined(lambda x: x * 0.0, y)
    errors, old, new = (_constants(nest.leaves(x)) for x in (moved(zero, h, weights, slopes), y, new))
    absolute, larger = FUNCTIONS["abs"], FUNCTIONS["maximum"]
    scales = [control.atol + control.rtol * larger(absolute(a), absolute(b)) for a, b in zip(old, new, strict=True)]
    return ode_norm(tuple(errors), tuple(scales), control.trajectories)


def _next_size(size: Any, norm: Any, accepted: Any) -> Any:
    where = FUNCTIONS["where"]
    factor = _SAFETY * FUNCTIONS["maximum"](norm, 1e-10) ** -_EXPONENT
    factor = FUNCTIONS["clip"](factor, _LEAST, _MOST)
    factor = where(accepted, factor, _minimum(factor, 1.0))
    return size * where(norm == norm, factor, _LEAST)        # of a step that gave NaN: the smallest


def _first_step(field: Field, t: Any, y: Any, slope: Any, control: Control) -> Any:
    """E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I, section II.4."""
    where, larger = FUNCTIONS["where"], FUNCTIONS["maximum"]
    values, slopes = _constants(nest.leaves(y)), _constants(nest.leaves(slope))
    scales = tuple(control.atol + control.rtol * FUNCTIONS["abs"](x) for x in values)
    size0 = ode_norm(tuple(values), scales, control.trajectories)
    size1 = ode_norm(tuple(slopes), scales, control.trajectories)
    small = (size0 < 1e-5) | (size1 < 1e-5)
    guess = where(small, 1e-6, 0.01 * size0 / where(small, 1.0, size1))
    beyond = _constants(nest.leaves(field(t + guess, moved(y, guess, (1.0,), [slope]))))
    bend = tuple(b - a for a, b in zip(slopes, beyond, strict=True))
    largest = larger(size1, ode_norm(bend, scales, control.trajectories) / guess)
    flat = largest <= 1e-15
    other = where(flat, larger(1e-6, guess * 1e-3), (0.01 / where(flat, 1.0, largest)) ** _EXPONENT)
    return _minimum(100.0 * guess, other)


def _minimum(a: Any, b: Any) -> Any:
    return FUNCTIONS["minimum"](a, b)


def _constant(x: Any) -> Any:
    return FUNCTIONS["stop_gradient"](x)


def _constants(leaves: list[Any]) -> list[Any]:
    return [_constant(x) for x in leaves]
