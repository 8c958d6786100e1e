"""`vmap`: a function of single items as a function of arrays of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import optree

from . import batch_control, nest  # noqa: F401  (batch_control registers its rules)
from . import size as sizes
from .batch import Lane, Lanes, batched
from .bodies import fresh
from .errors import PullbackError, ShapeError
from .loop import bound
from .node import FUNCTIONS, Expr
from .paths import origins, remember
from .primitives import show_shape, transpose
from .size import active_guards
from .subprogram import Run, Waiting, check_function, expressions, stand_in, waiting
from .surface import several, surface

Axis = int | None


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """The function that applies `f` to every item of its arguments along `in_axes` and stacks the results.

    `in_axes`: an axis for all positional arguments, or a tuple with an axis, None (the argument is the same for all)
    or a nest of these like the argument, for each; keyword arguments go along axis 0. `out_axes`: the axis of the
    results along which they are stacked, or a nest; None where a result is the same for all.

    Everything that `f` computes is computed for all items at once. A loop in it takes as many turns as the item with
    the most, each item keeping its own state; a branch that differs between items becomes a choice between its
    results. Nests, derivatives of `vmap` and `vmap` of derivatives are as expected.

    Raises ShapeError where an argument lacks the axis or the numbers of items differ.

    >>> import numpy as np, pullback as pb
    >>> pb.vmap(lambda x, y: x @ y, in_axes=(0, None))(np.eye(2), np.array([3.0, 4.0]))
    array([3., 4.])
    """
    check_function(f, "first argument", "vmap")
    return Vmapped(f, in_axes, out_axes)


class Vmapped:
    """The function that `vmap` makes of a function."""

    def __init__(self, function: Callable[..., Any], in_axes: Any, out_axes: Any) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function, self.in_axes, self.out_axes = function, in_axes, out_axes
        self._compiled: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if active_guards() is not None or any(isinstance(leaf, Expr) for leaf in nest.leaves((args, kwargs))):
            return self.trace(args, kwargs)
        if self._compiled is None:
            self._compiled = FUNCTIONS["_compile"](self)
        return self._compiled(*args, **kwargs)

    def trace(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """The results as expressions."""
        leaves, structure = expressions((args, kwargs))
        names = [*(n for k, a in enumerate(args) for n in nest.leaf_names(a, f"argument {k}")),
                 *(n for k in sorted(kwargs) for n in nest.leaf_names(kwargs[k], k))]
        if isinstance(self.in_axes, list):
            raise TypeError("in_axes is an axis or a tuple with one for each argument, not a list")
        if isinstance(self.in_axes, tuple) and len(self.in_axes) != len(args):
            raise ShapeError(f"in_axes has {len(self.in_axes)} entries for {len(args)} arguments: give one for each")
        axes = [*_axes_of(self.in_axes, args, "in_axes"), *_axes_of(0, kwargs, "in_axes")]
        built: list[Any] = []

        def run(variables: Sequence[Expr]) -> list[Expr]:
            given, named = nest.unflatten(structure, variables)
            outputs, built_as = expressions(self.function(*given, **named))
            built[:] = [built_as]
            return outputs

        results = None
        if all(x.typed for x in leaves):
            results = _typed(run, names, axes, leaves, lambda: _out_axes(self.out_axes, built[0]))
        if results is None:
            waits = waiting("vmap", run, [stand_in("x", _item(x, a)) for x, a in zip(leaves, axes, strict=True)])
            symbols = tuple(map(sizes.symbol, waits.sizes))
            out = tuple(_out_axes(self.out_axes, built[0]))
            results = _vmap(waits, tuple(names), tuple(axes), out, tuple(leaves), waits.free, symbols)
        return nest.unflatten(built[0], results)


@surface
@several(lambda waits, *_: len(waits.outputs))
def vmap_(waits: Waiting, names: tuple, axes: tuple, out: tuple, leaves: tuple, free: tuple, symbols: tuple) -> tuple:
    """A function that was traced before types were known, now that they are."""
    results = _typed(waits.run(free, symbols), names, axes, leaves, lambda: out)
    if results is None:
        raise PullbackError("the function given to vmap contains a variable that has no value")
    return tuple(results)


_vmap = vmap_


def _typed(run: Run, names: Sequence[str], axes: Sequence[Axis], leaves: Sequence[Expr],
           out_axes: Callable[[], Sequence[Axis]]) -> list[Expr] | None:
    """The results for all items; None where an untyped variable takes part."""
    moved, size = _lanes_in_front(names, axes, leaves)
    variables = [x if axis is None else fresh("item", bound(x.dtype, x.shape[1:]))
                 for x, axis in zip(moved, axes, strict=True)]
    outputs = run(variables)
    if not all(o.typed for o in outputs):
        return None
    known = {v: Lane(x, True) for v, x, axis in zip(variables, moved, axes, strict=True) if axis is not None}
    results = []
    for k, (lane, axis) in enumerate(zip(batched(outputs, known, Lanes(size)), out_axes(), strict=True)):
        if axis is None and lane.batched:
            raise ShapeError(f"result {k} of the function differs between items, and out_axes says None for it: "
                             "give the axis along which to stack it")
        results.append(lane.value if axis is None else _lanes_at(axis, Lanes(size).spread(lane), k))
    for output, result in zip(outputs, results, strict=True):
        remember([result], origins(output))
    return results


def _lanes_in_front(names: Sequence[str], axes: Sequence[Axis], leaves: Sequence[Expr]) -> tuple[list[Expr], Any]:
    size, first = None, ""
    moved = []
    for name, axis, x in zip(names, axes, leaves, strict=True):
        if axis is None:
            moved.append(x)
            continue
        if not -x.ndim <= axis < x.ndim:
            raise ShapeError(f"{name} has shape {show_shape(x.shape)} and no axis {axis} to map over: "
                             "write None for it in in_axes if it is the same for all")
        axis %= x.ndim
        if size is None:
            size, first = x.shape[axis], name
        elif not sizes.equal(size, x.shape[axis]):
            raise ShapeError(f"{name} has {sizes.show(x.shape[axis])} items along axis {axis}, and {first} has "
                             f"{sizes.show(size)}: map over axes of one size")
        moved.append(transpose(x, (axis, *(i for i in range(x.ndim) if i != axis))))
    if size is None:
        raise ShapeError("vmap maps over no argument: give an axis for one of them in in_axes")
    return moved, size


def _lanes_at(axis: int, x: Expr, k: int) -> Expr:
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"out_axes says {axis} for result {k}, which has {x.ndim} axes with that of the items")
    axis %= x.ndim
    others = list(range(1, x.ndim))
    return transpose(x, (*others[:axis], 0, *others[axis:]))


def _item(x: Expr, axis: Axis) -> Expr | None:
    """What is known of one item of `x`."""
    known = x if x.typed else x.shadow
    if known is None or axis is None:
        return known
    if not -known.ndim <= axis < known.ndim:
        return None
    axis %= known.ndim
    return bound(known.dtype, tuple(d for i, d in enumerate(known.shape) if i != axis))


# ---- axes of nests ----------------------------------------------------------------------------------------------
def _axes_of(prefix: Any, value: Any, what: str) -> list[Axis]:
    """The axis for each leaf of `value`, where an entry of `prefix` stands for all below it."""
    try:
        axes = optree.broadcast_prefix(prefix, value, none_is_leaf=True, namespace="pullback")
    except ValueError:
        raise ShapeError(f"{what}={prefix!r} is not built like what it is for: "
                         "an entry is an axis, None or a nest of these like the argument or result") from None
    values = optree.tree_leaves(value, none_is_leaf=True, namespace="pullback")
    found = [a for a, v in zip(axes, values, strict=True) if v is not None]
    for axis in found:
        if axis is not None and (not isinstance(axis, int) or isinstance(axis, bool)):
            raise TypeError(f"an axis in {what} is an int or None, not {axis!r}")
    return found


def _out_axes(prefix: Any, structure: Any) -> list[Axis]:
    return _axes_of(prefix, nest.unflatten(structure, range(structure.num_leaves)), "out_axes")
