"""Loops over expressions, with JAX's argument order: scan, fori_loop, while_loop, associative_scan.

A body is traced once. What it uses from outside is closed over; carries that it returns unchanged and counters are no
part of the state. On expressions a loop is a node (see `loop`); on arrays outside a trace it is compiled and run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import nest
from .checkpoints import strategy
from .control_loop import bound_of, common_length, form_of, next_carries, repeated
from .errors import PullbackError, ShapeError
from .node import FUNCTIONS, Expr
from .size import Size
from .subprogram import check_function, expressions, on_arrays
from .surface import as_expr


# ---- public functions -------------------------------------------------------------------------------------------
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: Any = None,
    reverse: bool = False,
    checkpoint: Any = "auto",
    budget: Any = None,
    progress: bool = False,
) -> tuple[Any, Any]:
    """`carry, y = f(carry, x)` for each x along the first axis of `xs`: (last carry, the ys stacked).

    `init`, `xs` and y are nests; the first axes of `xs` agree, or `xs` is None and `length` is given. `reverse` runs
    from the end, and stacks in the order of `xs`. `checkpoint` says what the reverse derivative keeps of the carries:
    'all', 'none' (it starts again), an int (every k-th), 'sqrt', 'revolve' (in as many levels as fit), or 'auto' (all
    that fits `budget`, such as '64MB'; default 128 MB).

    `progress` shows a bar of turns done (tqdm, on the standard error stream) while the compiled loop runs, and another
    while its derivative runs backwards.

    Raises ShapeError and DTypeError where f returns a carry of another shape or dtype, naming it. All derivatives, of
    any order.

    >>> import numpy as np, pullback as pb
    >>> pb.scan(lambda total, x: (total + x, total * x), 0.0, np.array([1.0, 2.0, 3.0]))
    (array(6.), array([0., 2., 9.]))
    """
    check_function(f, "body", "scan")
    kept = strategy(checkpoint, budget)

    def build(init: Any, xs: Any) -> tuple[Any, Any]:
        carries, structure = expressions(init)
        elements, built = expressions(xs)
        count = common_length(elements, nest.leaf_names(xs, "xs"), length)
        ys: list[Any] = []

        def run(variables: Sequence[Expr]) -> list[Expr]:
            result = f(
                nest.unflatten(structure, variables[1 : 1 + len(carries)]),
                nest.unflatten(built, variables[1 + len(carries) :]),
            )
            if not isinstance(result, tuple) or len(result) != 2:
                raise PullbackError(
                    "the body of scan returns a pair (carry, y): write `return carry, None` where nothing is stacked"
                )
            stacked, ys_structure = expressions(result[1])
            ys[:] = [ys_structure]
            return [*next_carries(result[0], structure, "scan"), *stacked]

        form = form_of("scan", init, "init", backward=bool(reverse), checkpoint=kept, progress=bool(progress))
        results = repeated(form, run, carries, elements, 0, count)
        return nest.unflatten(structure, results[: len(carries)]), nest.unflatten(ys[0], results[len(carries) :])

    return on_arrays(build, init, xs)


def fori_loop(
    lower: Any,
    upper: Any,
    body: Callable[[Any, Any], Any],
    init: Any,
    checkpoint: Any = "auto",
    budget: Any = None,
    progress: bool = False,
) -> Any:
    """The last of `carry = body(i, carry)` for i from `lower` to `upper` - 1; `init` where there is none.

    The bounds are integers, sizes or integer expressions; `checkpoint`, `budget` and `progress` as for `scan`.

    >>> import pullback as pb
    >>> pb.fori_loop(0, 5, lambda i, x: x + i, 0)
    array(10)
    """
    check_function(body, "third argument", "fori_loop")
    kept = strategy(checkpoint, budget)

    def build(lower: Any, upper: Any, init: Any) -> Any:
        carries, structure = expressions(init)

        def run(variables: Sequence[Expr]) -> list[Expr]:
            return next_carries(body(variables[0], nest.unflatten(structure, variables[1:])), structure, "fori_loop")

        first, last = bound_of(lower, "lower"), bound_of(upper, "upper")
        count = last if isinstance(first, int) and first == 0 else last - first
        form = form_of("fori_loop", init, "init", checkpoint=kept, progress=bool(progress))
        results = repeated(form, run, carries, [], first, count)
        return nest.unflatten(structure, results)

    static = [isinstance(b, (int, np.integer, Size)) for b in (lower, upper)]
    if all(static):
        return on_arrays(lambda init: build(lower, upper, init), init)
    return on_arrays(build, lower, upper, init)


def while_loop(
    cond: Callable[[Any], Any],
    body: Callable[[Any], Any],
    init: Any,
    max_steps: Any = None,
    checkpoint: Any = "auto",
    budget: Any = None,
    progress: bool = False,
) -> Any:
    """The first carry of init, body(init), body(body(init)), ... for which `cond(carry)` is false.

    `cond` returns one bool. Beyond `max_steps` turns an IndexError is raised; with it the reverse derivative keeps up
    to that many states, without it a fixed number of them, from which the others are computed again. `checkpoint`,
    `budget` and `progress` as for `scan`.

    >>> import pullback as pb
    >>> pb.while_loop(lambda x: x < 100.0, lambda x: x * 3.0, 2.0)
    array(162.)
    """
    check_function(cond, "condition", "while_loop")
    check_function(body, "body", "while_loop")
    kept = strategy(checkpoint, budget)

    def build(init: Any) -> Any:
        carries, structure = expressions(init)

        def run(variables: Sequence[Expr]) -> list[Expr]:
            state = nest.unflatten(structure, variables[1:])
            return [*next_carries(body(state), structure, "while_loop"), as_expr(cond(state))]

        limit = None if max_steps is None else bound_of(max_steps, "max_steps")
        if isinstance(limit, Expr):
            raise ShapeError("max_steps is an integer or a size, known before the program runs")
        shown = bool(progress)
        form = form_of("while_loop", init, "init", tested=True, limit=limit, checkpoint=kept, progress=shown)
        return nest.unflatten(structure, repeated(form, run, carries, [], 0, None))

    return on_arrays(build, init)


def associative_scan(fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """The results of combining the first 1, 2, 3, ... elements along `axis` by the associative `fn(a, b)`, stacked
    along it.

    `fn` takes and returns nests like `elems` whose arrays have one element or more along `axis`. `reverse` combines
    from the end.

    >>> import numpy as np, pullback as pb
    >>> pb.associative_scan(lambda a, b: a * b, np.array([1.0, 2.0, 3.0]))
    array([1., 2., 6.])
    """
    check_function(fn, "first argument", "associative_scan")

    def build(elems: Any) -> Any:
        swap = FUNCTIONS["moveaxis"]
        parts = nest.map_leaves(lambda x: swap(as_expr(x), axis, 0), elems)
        first, rest = (
            (nest.map_leaves(lambda x, part=part: x[part], parts))
            for part in ((slice(-1, None), slice(0, -1)) if reverse else (slice(0, 1), slice(1, None)))
        )

        def turned(x: Any) -> Any:
            return nest.map_leaves(lambda leaf: swap(leaf, 0, axis), x)

        def turn(total: Any, x: Any) -> tuple[Any, Any]:
            one = turned(nest.map_leaves(lambda leaf: leaf[None], x))
            combined = fn(one, turned(total)) if reverse else fn(turned(total), one)
            combined = nest.map_leaves(lambda leaf: swap(leaf, axis, 0), combined)
            return combined, nest.map_leaves(lambda leaf: leaf[0], combined)

        _, totals = scan(turn, first, rest, reverse=reverse)
        (ends, structure), (inner, _) = nest.flatten(first), nest.flatten(totals)
        join = FUNCTIONS["concatenate"]
        return turned(
            nest.unflatten(structure, [join([t, e] if reverse else [e, t]) for e, t in zip(ends, inner, strict=True)])
        )

    return on_arrays(build, elems)
