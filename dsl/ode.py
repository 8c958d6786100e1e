"""Differential equations, integrated inside the program: the state is any nest of arrays, all derivatives exist.

    solve            y' = f(t, y): Runge-Kutta of fixed and of chosen steps, leapfrog
    euler_maruyama   dy = drift dt + diffusion dW, in the sense of Ito, with independent noise in every element
    steady_state     f(t, y) = 0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import nest
from .arguments import integer
from .control import fori_loop, scan
from .errors import PullbackError
from .implicit import root
from .node import FUNCTIONS, Expr
from .ode_adaptive import Control, advance, start
from .ode_state import Field, combined, field_of, moved, ode_noise, ode_state, ode_times, takes_state_first
from .ode_tableaus import TABLEAUS
from .subprogram import check_function, on_arrays
from .surface import as_expr

METHODS = ("dopri5", "tsit5", "euler", "midpoint", "heun", "rk4", "leapfrog")
_NAMES_ELSEWHERE = {"rk45": "dopri5", "verlet": "leapfrog"}


def solve(
    f: Callable[..., Any],
    y0: Any,
    t: Any,
    method: str = "dopri5",
    args: Any = (),
    *,
    rtol: Any = 1e-6,
    atol: Any = 1e-9,
    steps: Any = 1,
    first_step: Any = None,
    max_steps: int = 4096,
    trajectories: int = 0,
    checkpoint: Any = "auto",
    budget: Any = None,
) -> Any:
    """The states at the times `t` of `y' = f(t, y, *args)` with y(t[0]) = y0, stacked along a new first axis.

    `y0` is a nest of arrays and f returns one like it; an f whose second parameter is called t is taken as f(y, t,
    *args). `t` is a vector of times, rising or falling. Methods:

    'dopri5', 'tsit5'   steps chosen so that the estimated error of each stays below atol + rtol*|y| (root mean square),
                        at most `max_steps` of them from one time to the next, else IndexError. `trajectories=k`: the
                        first k axes of every array count independent trajectories; each has its own steps, and f takes
                        t of the shape of these axes. `first_step`: the size of the first step, else estimated.
                        'RK45' is another name of 'dopri5'.
    'rk4'               the classical method of order 4, `steps` equal steps from one time to the next; 'euler' of
                        order 1, 'midpoint' and 'heun' of order 2 likewise
    'leapfrog'          of order 2, symplectic, likewise; y0 is (q, p), and q' depends on p only, p' on t and q

    Derivatives in both modes, with respect to y0, t, args and what f closes over; those of chosen steps are of the
    method with these steps held. `checkpoint` and `budget` as for `scan`. With arrays it computes at once.

    Raises PullbackError for an unknown method or a derivative of another structure, ShapeError where t is no vector.

    >>> import numpy as np, pullback as pb
    >>> np.round(pb.ode.solve(lambda t, y: -y, 1.0, [0.0, 1.0, 2.0], rtol=1e-9), 6)
    array([1.      , 0.367879, 0.135335])
    """
    check_function(f, "first argument", "ode.solve")
    method = _method(method)
    keep = {"checkpoint": checkpoint, "budget": budget}
    control = Control(rtol, atol, integer(trajectories, "trajectories"), max_steps, keep)

    def build(y0: Any, t: Any, args: Any) -> Any:
        y0, t, args = _prepared(y0, t, args)
        field = field_of(f, args, "f")
        if method in TABLEAUS:
            tableau = TABLEAUS[method]
            state = start(field, t, y0, control, first_step)
            return _collected(lambda s, _, end: advance(field, tableau, control, s, end), state, 1, t, keep)
        begin, step = _FIXED[method]
        state = y0, begin(field, t[0], y0)
        return _collected(_equal_steps(lambda _, *a: step(field, *a), steps, keep), state, 0, t, keep)

    return on_arrays(build, y0, t, args)


def euler_maruyama(
    drift: Callable[..., Any],
    diffusion: Callable[..., Any],
    y0: Any,
    t: Any,
    key: Any,
    args: Any = (),
    *,
    steps: Any = 1,
    checkpoint: Any = "auto",
    budget: Any = None,
) -> Any:
    """The states at the times `t` of one path of `dy = drift(t, y, *args) dt + diffusion(t, y, *args) dW` (Ito).

    dW is independent in every element; `steps` equal steps from one time to the next; `key` as for `pb.random`. The
    noise is made inside the step, and again by the derivative. Strong order 1/2, weak order 1.

    >>> import numpy as np, pullback as pb
    >>> path = pb.ode.euler_maruyama(lambda t, y: -y, lambda t, y: 0.3, 1.0, np.linspace(0, 1, 5), pb.random.key(0))
    >>> path.shape
    (5,)
    """
    check_function(drift, "drift", "ode.euler_maruyama")
    check_function(diffusion, "diffusion", "ode.euler_maruyama")
    keep = {"checkpoint": checkpoint, "budget": budget}

    def build(y0: Any, t: Any, key: Any, args: Any) -> Any:
        y0, t, args = _prepared(y0, t, args)
        field, swapped = field_of(drift, args, "drift"), takes_state_first(diffusion)

        def step(number: Any, time: Any, y: Any, aux: Any, h: Any) -> tuple[Any, Any]:
            mean = moved(y, h, (1.0,), [field(time, y)])
            spread = diffusion(y, time, *args) if swapped else diffusion(time, y, *args)
            spread = [spread] if isinstance(y, Expr) else nest.leaves(spread)
            root = FUNCTIONS["sqrt"](h)
            parts = [m + s * root * ode_noise(key, number, j, m)
                     for j, (m, s) in enumerate(zip(nest.leaves(mean), spread, strict=True))]
            return nest.unflatten(nest.flatten(y)[1], parts), aux

        return _collected(_equal_steps(step, steps, keep), (y0, None), 0, t, keep)

    return on_arrays(build, y0, t, key, args)


def steady_state(
    f: Callable[..., Any],
    y0: Any,
    args: Any = (),
    *,
    t: Any = 0.0,
    tol: Any = None,
    max_steps: int = 100,
    linear_solver: str = "auto",
) -> Any:
    """y with `f(t, y, *args) = 0` near `y0`: where `y' = f(t, y, *args)` rests.

    Found by Newton's method, which may lead to a state that is not stable. Derivatives, `tol`, `max_steps` and
    `linear_solver` as for `root`: they do not depend on y0.

    >>> import pullback as pb
    >>> pb.ode.steady_state(lambda t, y, r: r * y * (1 - y / 5.0), 4.0, (2.0,))
    array(5.)
    """
    check_function(f, "first argument", "ode.steady_state")

    def build(y0: Any, t: Any, args: tuple) -> Any:
        t, args = as_expr(t), nest.map_leaves(as_expr, args)
        settings = {"tol": tol, "max_steps": max_steps, "linear_solver": linear_solver}
        return root(lambda y: field_of(f, args, "f")(t, y), y0, **settings)

    return on_arrays(build, y0, t, tuple(args) if isinstance(args, (tuple, list)) else (args,))


def _method(name: Any) -> str:
    lower = name.lower() if isinstance(name, str) else name
    found = _NAMES_ELSEWHERE.get(lower, lower)
    if found not in METHODS:
        raise PullbackError(f"ode.solve has the methods {', '.join(map(repr, METHODS))}, not {name!r}")
    return found


# ---- from time to time ------------------------------------------------------------------------------------------
def _prepared(y0: Any, t: Any, args: Any) -> tuple[Any, Any, tuple]:
    """State, times and arguments as expressions."""
    y0 = nest.map_leaves(ode_state, y0)
    args = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    return y0, ode_times(t, tuple(nest.leaves(y0))), nest.map_leaves(as_expr, args)


def _collected(interval: Callable[..., Any], state: tuple, place: int, t: Any, keep: dict) -> Any:
    """state[place] at all times, where `interval(state, (number, start), end)` leads from one time to the next."""

    def turn(carry: tuple, ends: tuple) -> tuple:
        number, state = carry
        state = interval(state, (number, ends[0]), ends[1])
        return (number + 1, state), state[place]

    if isinstance(t, Expr) and t.shape is not None and t.shape[0] == 2:
        path = nest.map_leaves(lambda x: x[None], interval(state, (0, t[0]), t[1])[place])
    else:
        path = scan(turn, (0, state), (t[:-1], t[1:]), **keep)[1]
    return combined(lambda first, rest: FUNCTIONS["concatenate"]([first[None], rest]), state[place], path)


def _equal_steps(step: Callable[..., Any], steps: Any, keep: dict) -> Callable[..., Any]:
    """The interval of `steps` equal steps; `step(number, t, y, aux, h)` returns (y, aux)."""

    def interval(state: tuple, begin: tuple, end: Any) -> tuple:
        number, first = begin
        h = (end - first) / steps
        if isinstance(steps, int) and steps == 1:
            return step(number, first, *state, h)
        return fori_loop(0, steps, lambda i, s: step(number * steps + i, first + i * h, *s, h), state, **keep)

    return interval


# ---- methods of equal steps -------------------------------------------------------------------------------------
def _no_start(field: Field, t: Any, y: Any) -> None:
    return None


def _explicit(nodes: Sequence[float], stages: Sequence[Sequence[float]]) -> Callable[..., Any]:
    """The step whose slope i is taken at t + nodes[i]*h from y + h*sum(stages[i][j]*k[j]); the last stage is the
    next state."""

    def step(field: Field, t: Any, y: Any, aux: Any, h: Any) -> tuple[Any, Any]:
        slopes = [field(t, y)]
        for node, weights in zip(nodes, stages[:-1], strict=True):
            slopes.append(field(t + (h if node == 1 else node * h), moved(y, h, weights, slopes)))
        return moved(y, h, stages[-1], slopes), aux

    return step


def _force(field: Field, t: Any, y: Any) -> Any:
    if not isinstance(y, (tuple, list)) or len(y) != 2:
        raise PullbackError("leapfrog needs a state (q, p) of positions and momenta, and f returning (dq/dt, dp/dt)")
    return field(t, y)[1]


def _leapfrog(field: Field, t: Any, y: Any, force: Any, h: Any) -> tuple[Any, Any]:
    """Half a kick, a drift, half a kick; the force at the end is that of the next beginning."""
    q, p = y
    half = moved(p, h, (0.5,), [force])
    q = moved(q, h, (1.0,), [field(t + 0.5 * h, type(y)((q, half)))[0]])
    force = _force(field, t + h, type(y)((q, half)))
    return type(y)((q, moved(half, h, (0.5,), [force]))), force


_FIXED: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "euler": (_no_start, _explicit((), [(1.0,)])),
    "midpoint": (_no_start, _explicit((0.5,), [(0.5,), (0.0, 1.0)])),
    "heun": (_no_start, _explicit((1.0,), [(1.0,), (0.5, 0.5)])),
    "rk4": (_no_start, _explicit((0.5, 0.5, 1.0), [(0.5,), (0.0, 0.5), (0.0, 0.0, 1.0), (1 / 6, 1 / 3, 1 / 3, 1 / 6)])),
    "leapfrog": (_force, _leapfrog),
}
