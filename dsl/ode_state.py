"""States of differential equations: nests of arrays, and what integrators do with them leaf by leaf."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import nest, primitives, random
from . import size as sizes
from .arguments import array, at_most, floating, integer
from .errors import PullbackError, ShapeError
from .node import FUNCTIONS, Expr
from .primitives import cast, scalar, show_shape
from .surface import size_value, surface

Field = Callable[[Any, Any], Any]      # (t, y) -> dy/dt, a nest like y


def field_of(f: Callable[..., Any], args: tuple, what: str) -> Field:
    """`f` with its arguments bound, and its result held against the state."""
    swapped = takes_state_first(f)

    def field(t: Any, y: Any) -> Any:
        slope = f(y, t, *args) if swapped else f(t, y, *args)
        if nest.flatten(slope)[1] != nest.flatten(y)[1]:
            raise PullbackError(f"{what} returns a nest built as {nest.flatten(slope)[1]}, and the state is built as "
                                f"{nest.flatten(y)[1]}: return one derivative for each part of y0")
        return slope

    return field


def takes_state_first(f: Callable[..., Any]) -> bool:
    """Whether the parameters of `f` say (y, t): only the second is called t or time. Integrators of both orders are
    in use, and a number taken for the state would give a wrong result without a word."""
    try:
        names = [name.lstrip("_") for name in inspect.signature(f).parameters][:2]
    except (TypeError, ValueError):
        return False
    return len(names) == 2 and names[1] in ("t", "time") and names[0] not in ("t", "time")


def combined(function: Callable[..., Any], *nests: Any) -> Any:
    """`function` of the corresponding leaves of nests that are built alike."""
    columns = zip(*map(nest.leaves, nests), strict=True)
    return nest.unflatten(nest.flatten(nests[0])[1], [function(*column) for column in columns])


def moved(y: Any, h: Any, weights: Sequence[float], slopes: Sequence[Any]) -> Any:
    """y + h * sum(weights * slopes); `h` is one number or one for each trajectory."""
    used = [(w, k) for w, k in zip(weights, slopes, strict=False) if w]

    def leaf(x: Any, *parts: Any) -> Any:
        total = parts[0] * used[0][0]
        for (w, _), part in zip(used[1:], parts[1:], strict=True):
            total = total + part * w
        return x + _lifted(h, x) * total

    return combined(leaf, y, *(k for _, k in used))


def selected(c: Any, y: Any, z: Any) -> Any:
    """y where `c`, one bool or one for each trajectory, else z."""
    return combined(lambda a, b: FUNCTIONS["where"](_lifted(c, a), a, b), y, z)


# ---- what needs types -------------------------------------------------------------------------------------------
@surface
def ode_state(x: Any) -> Expr:
    """A part of the initial state: integers become float64."""
    return floating(x)


@surface
def ode_times(t: Any, leaves: Any) -> Expr:
    """The times, in the dtype of the state."""
    found = array(t)
    if len(found.shape) != 1 or not at_most(1, found.shape[0]):
        raise ShapeError(f"t is a vector of times whose first one is that of y0, not of shape "
                         f"{show_shape(found.shape)}: write t=[0.0, 1.0] for the state at the start and at 1")
    return cast(found, primitives.part_dtype(np.result_type(*[x.dtype for x in leaves])) if leaves else np.float64)


@surface
def ode_spread(t: Any, leaf: Any, trajectories: Any) -> Expr:
    """`t` for each trajectory, which the first axes of `leaf` count."""
    axes = integer(trajectories, "trajectories")
    if axes > len(leaf.shape):
        raise ShapeError(f"trajectories={axes} are the first axes of every part of y0, and one has the shape "
                         f"{show_shape(leaf.shape)}")
    return primitives.broadcast_to(array(t), leaf.shape[:axes])


@surface
def ode_lifted(h: Any, x: Any) -> Expr:
    """`h`, one for each trajectory, with axes of size 1 beside those of `x`."""
    return primitives.reshape(h, (*h.shape, *(1,) * (len(x.shape) - len(h.shape))))


def _lifted(h: Any, x: Any) -> Any:
    return ode_lifted(h, x) if isinstance(h, Expr) and h.shape != () else h


@surface
def ode_norm(xs: Any, scales: Any, trajectories: Any) -> Expr:
    """The root of the mean square of x / scale over everything that belongs to one trajectory."""
    total: Any = None
    count: Any = 0
    for x, scale in zip(xs, scales, strict=True):
        axes = tuple(range(integer(trajectories), len(x.shape)))
        size = scalar("abs", x) if x.dtype.kind == "c" else x
        squares = primitives.reduce(scalar("square", scalar("divide", size, scale)), "add", axes)
        total = squares if total is None else scalar("add", total, squares)
        count = count + sizes.product(x.shape[a] for a in axes)
    return scalar("sqrt", scalar("divide", total, cast(size_value(sizes.maximum(count, 1)), total.dtype)))


@surface
def ode_noise(key: Any, step: Any, part: Any, like: Any) -> Expr:
    """Standard normal numbers of a step, in the shape and dtype of a part of the state."""
    return random.normal(random.fold_in(random.fold_in(key, step), part), like.shape, like.dtype)
