"""From the bodies of loops to nodes: traced on bound variables, their carries checked, what need not be carried left
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import nest
from . import size as sizes
from .bounds import most
from .checkpoints import kept
from .errors import DTypeError, PullbackError, ShapeError
from .loop import About, Body, at, bound, close
from .loop_rules import bytes_kept
from .node import Expr, rebuild, rewrite
from .primitives import cast, elementwise, scalar, show_shape, slice_
from .size import Dim, Size
from .subprogram import Run, Waiting, expressions, stand_in, waiting
from .surface import as_expr, mark_weak, several, size_value, surface


@dataclass(frozen=True)
class Form:
    """What a loop is, beside its body: names of the carries for errors, which of them are Python numbers, how many
    results are stacked.
    """

    caller: str
    names: tuple[str, ...]
    weak: tuple[bool, ...]
    stacked: int = 0
    backward: bool = False
    tested: bool = False
    limit: Dim | None = None
    checkpoint: str = "all"
    progress: bool = False

    @property
    def results(self) -> int:
        return len(self.names) + self.stacked

    def spelled(self, waits: Waiting, inits: tuple, xs: tuple, free: tuple, bounds: tuple, *_: Any) -> tuple:
        """A waiting loop to be printed: what a turn makes of `carry`, what it starts with, and how often."""
        first, turns = bounds
        facts = {"carry": _one(inits)}
        if xs:
            facts["element"] = _one(xs)
        elif turns is not None:
            facts["turns"] = turns
        if not isinstance(first, int) or first:
            facts["first"] = first
        return self.caller, (_one(waits.outputs),), facts


def _one(values: tuple) -> Any:
    return values[0] if len(values) == 1 else values


# ---- arguments --------------------------------------------------------------------------------------------------
def form_of(caller: str, init: Any, root: str, **settings: Any) -> Form:
    weak = tuple(map(_is_weak, nest.leaves(init)))
    return Form(caller, tuple(nest.leaf_names(init, root)), weak, **settings)


def _is_weak(leaf: Any) -> bool:
    """Whether it is a Python number, or the variable that stands for one in a trace."""
    if isinstance(leaf, Expr):
        return leaf.op == "var" and "weak" in leaf.attrs
    return isinstance(leaf, (bool, int, float)) and not isinstance(leaf, np.generic)


def next_carries(result: Any, structure: Any, caller: str) -> list[Expr]:
    leaves, given = expressions(result)
    if not nest.same_structure(given, structure):
        raise PullbackError(
            f"the body of {caller} returns a carry built as {nest.shown(given)}, and init is built as "
            f"{nest.shown(structure)} (* is an array): return the same nest"
        )
    return leaves


def bound_of(value: Any, what: str) -> Any:
    """A bound of a loop: an int, a size or an integer expression."""
    if isinstance(value, Size) or (isinstance(value, (int, np.integer)) and not isinstance(value, bool)):
        return value if isinstance(value, Size) else int(value)
    found = as_expr(value)
    if found.op == "size":
        return found.attrs[0]
    if found.typed and (found.dtype.kind not in "iu" or found.shape):
        raise DTypeError(
            f"the bound {what} of a loop is one integer, not {found.dtype} of shape {show_shape(found.shape)}"
        )
    return int(found.attrs[0].array) if found.op == "const" else cast(found, np.int64) if found.typed else found


def common_length(xs: Sequence[Expr], names: Sequence[str], length: Any) -> Any:
    """The number of turns: the common first axis of `xs`, or `length`. None where it is not known yet."""
    found = None if length is None else bound_of(length, "length")
    for x, name in zip(xs, names, strict=True):
        if x.shape is None:
            return None
        if not x.shape:
            raise ShapeError(f"scan goes along the first axis, and {name} has none: give an array, or close over it")
        if found is None:
            found = x.shape[0]
        elif isinstance(found, Expr) or not sizes.equal(found, x.shape[0]):
            raise ShapeError(
                f"{name} has {x.shape[0]} elements along its first axis, expected {found}"
                + (" (length)" if length is not None else "")
            )
    if found is None and not xs:
        raise ShapeError("scan over nothing needs the number of turns: write length=")
    return found


# ---- from bodies to nodes ---------------------------------------------------------------------------------------
def repeated(form: Form, run: Run, inits: list[Expr], xs: list[Expr], first: Any, count: Any) -> list[Expr]:
    """The results of a loop, flat: carries, then what is stacked. A node where types are known, else a call that waits
    for them.
    """
    dynamic = [b for b in (first, count) if isinstance(b, Expr)]
    if all(e.typed for e in (*inits, *xs, *dynamic)):
        results = typed_loop(form, run, inits, xs, first, count)
        if results is not None:
            return results
    variables = [
        stand_in("i", bound(np.int64)),
        *(stand_in("carry", x) for x in inits),
        *(stand_in("element", _element(x)) for x in xs),
    ]
    waits = waiting(form.caller, run, variables)
    form = replace(form, stacked=len(waits.outputs) - len(inits) - form.tested)
    symbols = tuple(map(sizes.symbol, waits.sizes))
    return list(_loop(form, waits, tuple(inits), tuple(xs), waits.free, (first, count), symbols))


def _element(x: Expr) -> Expr | None:
    known = x if x.typed else x.shadow
    return bound(known.dtype, known.shape[1:]) if known is not None and known.shape else None


@surface
@several(lambda form, *_: form.results)
def loop_(form: Form, waits: Waiting, inits: tuple, xs: tuple, free: tuple, bounds: tuple, symbols: tuple) -> tuple:
    """A loop whose body was traced before types were known, now that they are."""
    first, count = (b if b is None else bound_of(b, "of the loop") for b in bounds)
    if xs:
        count = common_length(xs, [f"xs {k}" for k in range(len(xs))], count)
    results = typed_loop(form, waits.run(free, symbols), list(inits), list(xs), first, count)
    if results is None:
        raise PullbackError(f"the body of {form.caller} contains a variable that has no value")
    return tuple(results)


_loop = loop_


def typed_loop(form: Form, run: Run, inits: list[Expr], xs: list[Expr], first: Any, count: Any) -> list[Expr] | None:
    """The loop as a node; None where the body contains an untyped variable. A carry that grows from int to float
    starts as a float.
    """
    count = sizes.maximum(count, 0) if isinstance(count, (int, Size)) else count
    for _ in range(3):
        below = _limit(count) if isinstance(count, Expr) else count if count is None else sizes.where_positive(count)
        index, carries = bound(np.int64, (), below), [bound(x.dtype, x.shape) for x in inits]
        position = _plus(index, first)
        mark_weak(position)                # like the integer of a range, it never widens an array
        place = _from_end(index, count) if form.backward else index
        outputs = run([position, *carries, *(at(x, place) for x in xs)])
        if not all(o.typed for o in outputs):
            return None
        grown = [_start(form, k, x, o) for k, (x, o) in enumerate(zip(inits, outputs, strict=False))]
        if all(a is b for a, b in zip(grown, inits, strict=True)):
            break
        inits = grown
    results = [_fitted(form, k, c, o) for k, (c, o) in enumerate(zip(carries, outputs, strict=False))]
    test = _condition(outputs.pop()) if form.tested else None
    stacked = tuple(outputs[len(inits) :])
    limit = _limit(count) if isinstance(count, Expr) else form.limit
    if stacked and isinstance(count, Expr):
        raise ShapeError("scan stacks a result for every turn: its length= is a size known before the program runs")
    bounded = form.tested and form.limit is not None
    about = About(form.caller, "max_steps bounds their number" if bounded else "", progress=form.progress)
    body = Body(index, tuple(carries), (), tuple(results), stacked, test, limit, form.checkpoint, about=about)
    return _results(form, body, count, inits)


def _limit(count: Expr) -> Dim | None:
    """How many turns there can be at most, where the form of the bounds tells, as inside a loop over rows."""
    found = most(count)
    return None if found is None else sizes.maximum(found, 0)


def _from_end(index: Expr, count: Any) -> Expr:
    return elementwise("subtract", size_value(count - 1), index)


def _plus(index: Expr, first: Any) -> Expr:
    if isinstance(first, int) and first == 0:
        return index
    return elementwise("add", cast(as_expr(first), np.int64), index)


def _start(form: Form, k: int, init: Expr, result: Expr) -> Expr:
    """The initial state in the dtype that the state needs: an integer becomes a float where the body makes one of
    it.
    """
    if init.dtype == result.dtype or result.op == "const" and not result.shape:
        return init
    weak: Any = {"b": bool, "i": int, "f": float, "c": complex}.get(init.dtype.kind) if form.weak[k] else None
    common = np.result_type(weak(0) if weak else init.dtype, result.dtype)
    if common == init.dtype or not weak and init.dtype.kind in "fc":
        return init
    return cast(init, common)


def _fitted(form: Form, k: int, carry: Expr, result: Expr) -> Expr:
    """The next state, as the state is typed."""
    if len(carry.shape) != len(result.shape) or not all(map(sizes.equal, carry.shape, result.shape)):
        raise ShapeError(
            f"the body of {form.caller} takes {form.names[k]} with shape {show_shape(carry.shape)} and returns it with "
            f"{show_shape(result.shape)}: let it start with the shape that the body returns"
        )
    if carry.dtype != result.dtype and not (
        np.can_cast(result.dtype, carry.dtype, "safe")
        or result.op == "const"
        and np.can_cast(result.dtype, carry.dtype, "same_kind")
    ):
        raise DTypeError(
            f"the body of {form.caller} takes {form.names[k]} as {carry.dtype} and returns it as {result.dtype}: "
            f"convert one of them with .astype('{carry.dtype}')"
        )
    return cast(result, carry.dtype)


def _condition(test: Expr) -> Expr:
    if test.shape or test.dtype.kind != "b":
        raise DTypeError(
            f"the condition of while_loop is one bool, not {test.dtype} of shape {show_shape(test.shape)}: "
            "compare, and fold with pb.any or pb.all"
        )
    return test


def _results(form: Form, body: Body, count: Any, inits: list[Expr]) -> list[Expr]:
    """The loop's results. Carries that never change, and counters, are values of the index instead."""
    known: dict[Expr, Expr] = {}
    steps: dict[int, Expr | None] = {}  # of such carries: what a turn adds, None for nothing
    for k, (carry, result, init) in enumerate(zip(body.carries, body.results, inits, strict=True)):
        step = _step(carry, result)
        if result is carry or step is not None:
            steps[k] = step
            known[carry] = init if step is None else _counted(init, step, body.index)
    rest = [k for k in range(len(inits)) if k not in steps]
    left = replace(body, carries=tuple(body.carries[k] for k in rest), results=tuple(body.results[k] for k in rest))
    left = left.with_roots(rewrite(left.roots(), rebuild, known))
    loop = kept(close(left, count, [inits[k] for k in rest]), bytes_kept)
    turns = loop.item("trips") if count is None else count if isinstance(count, Expr) else size_value(count)
    results = []
    for k, init in enumerate(inits):
        step = steps.get(k)
        results.append(
            loop.item("carry", rest.index(k))
            if k not in steps
            else init
            if step is None
            else _counted(init, step, scalar("maximum", cast(turns, np.int64), 0))
        )
    stacked = [loop.item("stacked", s) for s in range(len(body.stacked))]
    return [*results, *(_backward(s) if form.backward else s for s in stacked)]


def _step(carry: Expr, result: Expr) -> Expr | None:
    """What every turn adds to an integer counter."""
    if result.op == "add" and carry.dtype.kind == "i" and not carry.shape:
        for a, b in (result.args, result.args[::-1]):
            if a is carry and b.op in ("const", "size"):
                return b
    return None


def _counted(init: Expr, step: Expr, turns: Expr) -> Expr:
    return elementwise("add", init, elementwise("multiply", step, cast(turns, init.dtype)))


def _backward(x: Expr) -> Expr:
    ranges = tuple((x.shape[0] - 1, -1) if i == 0 else (0, 1) for i in range(len(x.shape)))
    return slice_(x, ranges, x.shape)
