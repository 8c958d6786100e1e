"""Branches over expressions, with JAX's argument order: cond and switch. Only the branch that is taken runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import nest
from . import size as sizes
from .branch import closed
from .errors import DTypeError, PullbackError, ShapeError
from .loop import bound
from .node import Expr
from .primitives import cast, elementwise, show_shape, zeros_like
from .subprogram import Run, Waiting, captured, check_function, expressions, on_arrays, stand_in, waiting
from .surface import as_expr, several, surface


def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any) -> Any:
    """`true_fn(*operands)` where the scalar `pred` holds, else `false_fn(*operands)`: results are nests alike.

    Only the branch that is taken runs. What the functions compute is computed there; operands, and expressions that the
    functions close over, are computed before. Raises ShapeError or DTypeError where the results of the two differ.

    >>> import pullback as pb
    >>> pb.cond(2.0 > 1.0, lambda x: x + 1.0, lambda x: x - 1.0, 5.0)
    array(6.)
    """
    check_function(true_fn, "second argument", "cond")
    check_function(false_fn, "third argument", "cond")
    if isinstance(pred, (bool, np.bool_)):
        return on_arrays(true_fn if pred else false_fn, *operands)

    def build(pred: Any, *operands: Any) -> Any:
        return _chosen("cond", as_expr(pred), [false_fn, true_fn], operands)

    return on_arrays(build, pred, *operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`branches[index](*operands)`, the scalar integer `index` clamped to the branches there are. See `cond`.

    >>> import pullback as pb
    >>> pb.switch(1, [lambda x: x, lambda x: x * x, lambda x: -x], 3.0)
    array(9.)
    """
    functions = list(branches)
    if not functions:
        raise PullbackError("switch takes at least one branch")
    for function in functions:
        check_function(function, "branch", "switch")

    def build(index: Any, *operands: Any) -> Any:
        return _chosen("switch", as_expr(index), functions, operands)

    return on_arrays(build, index, *operands)


@dataclass(frozen=True)
class Choice:
    """What a waiting branch is: cond or switch, and of how many bodies."""

    caller: str
    count: int

    def spelled(self, waits: Waiting, which: Expr, *_: Any) -> tuple:
        """A waiting branch to be printed: by what it chooses, and the results of its bodies."""
        each = len(waits.outputs) // self.count
        bodies = [waits.outputs[b * each : (b + 1) * each] for b in range(self.count)]
        shown = [body[0] if each == 1 else body for body in bodies]
        return self.caller, (which, *(shown[::-1] if self.caller == "cond" else shown)), {}


def _chosen(caller: str, which: Expr, functions: list[Callable[..., Any]], operands: tuple) -> Any:
    actual, structure = expressions(operands)
    structures: list[Any] = []

    def run(variables: Sequence[Expr]) -> list[Expr]:
        """The results of all branches, one after another."""
        structures.clear()
        outputs = []
        for function in functions:
            leaves, built = expressions(function(*nest.unflatten(structure, variables)))
            if structures and not nest.same_structure(built, structures[0]):
                raise PullbackError(
                    f"the branches of {caller} return nests built as {nest.shown(structures[0])} and "
                    f"as {nest.shown(built)} (* is an array): "
                    "return the same nest from each"
                )
            structures.append(built)
            outputs.append(leaves)
        return [x for leaves in outputs for x in leaves]

    results = None
    if which.typed and all(a.typed for a in actual):
        results = typed_branch(caller, len(functions), run, which, actual, captured(functions))
    if results is None:
        waits = waiting(caller, run, [stand_in("x", a) for a in actual])
        symbols = tuple(map(sizes.symbol, waits.sizes))
        results = _branch(Choice(caller, len(functions)), waits, which, tuple(actual), waits.free, symbols)
    return nest.unflatten(structures[0], results)


@surface
@several(lambda choice, waits, *_: len(waits.outputs) // choice.count)
def branch_(choice: Choice, waits: Waiting, which: Expr, operands: tuple, free: tuple, symbols: tuple) -> tuple:
    """A branch whose bodies were traced before types were known, now that they are."""
    actual = list(map(as_expr, operands))
    results = typed_branch(choice.caller, choice.count, waits.run(free, symbols), as_expr(which), actual, set(free))
    if results is None:
        raise PullbackError(f"a branch of {choice.caller} contains a variable that has no value")
    return tuple(results)


_branch = branch_


def typed_branch(
    caller: str, count: int, run: Run, which: Expr, actual: list[Expr], given: set[Expr]
) -> list[Expr] | None:
    """The branch as a node; None where a body contains an untyped variable."""
    variables = [bound(a.dtype, a.shape) for a in actual]
    outputs = run(variables)
    if not all(o.typed for o in outputs):
        return None
    each = len(outputs) // count
    bodies = _alike(caller, [outputs[b * each : (b + 1) * each] for b in range(count)])
    node = closed(_index(caller, which), variables, actual, bodies, given)
    return [node.item(k) for k in range(each)]


def _index(caller: str, which: Expr) -> Expr:
    if which.shape or which.dtype.kind not in ("bui" if caller == "cond" else "ui"):
        what = "one bool" if caller == "cond" else "one integer"
        raise DTypeError(
            f"{caller} chooses by {what}, not {which.dtype} of shape {show_shape(which.shape)}: "
            "use pb.where to choose elementwise"
        )
    if caller == "cond" and which.dtype.kind != "b":
        which = elementwise("not_equal", which, zeros_like(which))
    return cast(which, np.int64)


def _alike(caller: str, bodies: list[list[Expr]]) -> list[list[Expr]]:
    """The results of all bodies in common dtypes; a number that one returns takes the dtype of the others."""
    columns = []
    for k, column in enumerate(zip(*bodies, strict=True)):
        for other in column[1:]:
            if len(other.shape) != len(column[0].shape) or not all(map(sizes.equal, other.shape, column[0].shape)):
                raise ShapeError(
                    f"the branches of {caller} return result {k} with shapes {show_shape(column[0].shape)} and "
                    f"{show_shape(other.shape)}: return one shape, for example by pb.broadcast_to"
                )
        strong = [x.dtype for x in column if not (x.op == "const" and not x.shape)]
        common = np.result_type(*(strong or [x.dtype for x in column]))
        if any(not np.can_cast(x.dtype, common, "same_kind") for x in column):
            raise DTypeError(
                f"the branches of {caller} return result {k} as {' and '.join(str(x.dtype) for x in column)}: "
                f"convert with .astype({str(common)!r})"
            )
        columns.append([cast(x, common) for x in column])
    return [list(body) for body in zip(*columns, strict=True)] if columns else [[] for _ in bodies]
