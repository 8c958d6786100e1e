"""Functions whose derivative is the user's choice: `custom_vjp`, `custom_jvp` (JAX's protocol) and `checkpoint`.

    custom   *results, *arguments, *closed; rule    the results, which a derivative reaches through `rule` alone

`closed` are the variables that the function uses without taking them as arguments. No target knows the operation:
`undone` puts the results in its place when a program is complete.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import nest
from .adjoint import filled
from .batch import BATCH_RULES, Lane, Lanes, batched
from .choice import switch
from .errors import NotDifferentiable, PullbackError
from .functional import check_callable, in_trace
from .grad import conform, vjp_of
from .loop import Body, bound
from .node import FUNCTIONS, Expr, make, rebuild, rewrite, toposort, where
from .primitives import reduce, zeros_like
from .rules import RULES, Rule
from .subprogram import expressions, on_arrays
from .surface import as_expr, several, surface

Shares = list[Expr | None]


# ---- public functions -------------------------------------------------------------------------------------------
def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, whose intermediate values are not kept for the reverse derivative but computed again there.

    >>> import pullback as pb
    >>> pb.grad(pb.checkpoint(lambda x: pb.sin(pb.sin(x))))(0.0)
    array(1.)
    """
    check_callable(f, "checkpoint")

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        def body(args: tuple, kwargs: dict[str, Any]) -> Any:
            return f(*args, **kwargs)

        return on_arrays(lambda args, kwargs: switch(as_expr(0), [body], args, kwargs),
                         args, kwargs)

    return call


class _Custom:
    """A function with a derivative of its own."""

    def __init__(self, function: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        check_callable(function, type(self).__name__)
        functools.update_wrapper(self, function, updated=())
        self.function, self.held = function, tuple(nondiff_argnums)
        self._compiled: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            given = inspect.signature(self.function).bind(*args, **kwargs)
            given.apply_defaults()
            args = given.args
        self._check_defined()
        if not in_trace(args):
            if self._compiled is None:
                self._compiled = FUNCTIONS["_compile"](self._plain)
            return self._compiled(*args)
        call = _Call(self, args)
        results = None
        if all(x.typed for x in call.leaves):
            results = call.typed(call.leaves)
        if results is None:
            count = len(nest.leaves(self.function(*args)))
            results = _custom(call, count, *call.leaves)
        return nest.unflatten(call.structure, results)

    def _plain(self, *args: Any) -> Any:
        return self(*args)

    def _check_defined(self) -> None:
        raise NotImplementedError

    def forward(self, call: _Call, arguments: Sequence[Expr], tangents: Shares) -> Shares:
        """The tangents of the results."""
        raise NotImplementedError

    def reverse(self, call: _Call, arguments: Sequence[Expr], cotangents: Shares) -> Shares:
        """The cotangents of the arguments."""
        raise NotImplementedError


class custom_vjp(_Custom):
    """A function whose reverse derivative is given by `f.defvjp(fwd, bwd)`.

    `fwd(*args)` returns (result, residuals), `bwd(residuals, cotangent)` a tuple with a cotangent, a nest like it or
    None for zero, for each argument. Arguments of `nondiff_argnums` are not differentiated and come first in `bwd`.
    The forward derivative is the transpose of `bwd`. What the function closes over is constant.

    >>> import pullback as pb
    >>> @pb.custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, g: (pb.clip(g, -1.0, 1.0),))
    >>> pb.grad(lambda x: 5.0 * clipped(x))(2.0)
    array(1.)
    """

    fwd: Callable[..., Any] | None = None
    bwd: Callable[..., Any]

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Set the derivative."""
        check_callable(fwd, "defvjp")
        check_callable(bwd, "defvjp")
        self.fwd, self.bwd = fwd, bwd

    def _check_defined(self) -> None:
        if self.fwd is None:
            raise PullbackError(f"{self.function.__name__} has no derivative yet: call its defvjp(fwd, bwd) first")

    def reverse(self, call: _Call, arguments: Sequence[Expr], cotangents: Shares) -> Shares:
        assert self.fwd is not None
        _, residuals = self.fwd(*call.arguments(arguments))
        seeds = nest.unflatten(call.structure, filled(cotangents, call.results_like))
        found = self.bwd(*call.held, residuals, seeds)
        if not isinstance(found, tuple) or len(found) != len(call.parts):
            raise PullbackError(f"the bwd of {self.function.__name__} returns a tuple with a cotangent for each of its "
                                f"{len(call.parts)} arguments, not {found!r}")
        shares: Shares = []
        for part, given in zip(call.parts, found, strict=True):
            if given is None:
                shares += [None] * len(part)
                continue
            values = nest.leaves(given)
            if len(values) != len(part):
                raise PullbackError(f"the bwd of {self.function.__name__} returns {len(values)} arrays for an argument "
                                    f"of {len(part)}: give a nest like the argument")
            shares += values
        role = f"cotangent by the bwd of {self.function.__name__}"
        return [None if s is None or a.dtype.kind not in "fc" else conform(s, a, role)
                for s, a in zip(shares, arguments, strict=True)]

    def forward(self, call: _Call, arguments: Sequence[Expr], tangents: Shares) -> Shares:
        seeds = [bound(r.dtype, r.shape) for r in call.results_like]
        shares = self.reverse(call, arguments, list(seeds))
        pairs = [(s, t) for s, t in zip(shares, tangents, strict=True) if s is not None and t is not None]
        return _without(seeds, vjp_of([s for s, _ in pairs], [t for _, t in pairs], seeds))


class custom_jvp(_Custom):
    """A function whose forward derivative is given by `f.defjvp(rule)`.

    `rule(primals, tangents)`, both tuples, returns (result, its tangent), which is linear in the tangents; arguments of
    `nondiff_argnums` come before. The reverse derivative is its transpose. `f.defjvps(*rules)` takes one for each
    argument instead: `rule(tangent, result, *args)`, or None for zero.

    >>> import pullback as pb
    >>> @pb.custom_jvp
    ... def f(x):
    ...     return x * x
    >>> f.defjvps(lambda t, result, x: 10.0 * x * t)
    >>> pb.grad(f)(2.0)
    array(20.)
    """

    rule: Callable[..., Any] | None = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the derivative."""
        check_callable(rule, "defjvp")
        self.rule = rule
        return rule

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """Set the derivative, by argument."""
        def rule(primals: tuple, tangents: tuple) -> tuple:
            result = self(*primals)
            parts = [r(t, result, *primals) for r, t in zip(rules, tangents, strict=True) if r is not None]
            total = parts[0] if parts else zeros_like(as_expr(result))
            for part in parts[1:]:
                total = nest.unflatten(nest.flatten(total)[1], [
                    a + b for a, b in zip(nest.leaves(total), nest.leaves(part), strict=True)])
            return result, total

        self.rule = rule

    def _check_defined(self) -> None:
        if self.rule is None:
            raise PullbackError(f"{self.function.__name__} has no derivative yet: call its defjvp(rule) first")

    def forward(self, call: _Call, arguments: Sequence[Expr], tangents: Shares) -> Shares:
        assert self.rule is not None
        primals, moved = call.nests(arguments), call.nests(filled(tangents, arguments))
        found = self.rule(*call.held, primals, moved)
        if not isinstance(found, tuple) or len(found) != 2:
            raise PullbackError(f"the rule of {self.function.__name__} returns a pair (result, tangent), not {found!r}")
        given = nest.leaves(found[1])
        if len(given) != len(call.results_like):
            raise PullbackError(f"the rule of {self.function.__name__} returns {len(given)} tangents for "
                                f"{len(call.results_like)} results: give a nest like the result")
        role = f"tangent by the rule of {self.function.__name__}"
        return [conform(t, r, role) if r.dtype.kind in "fc" else None
                for t, r in zip(given, call.results_like, strict=True)]

    def reverse(self, call: _Call, arguments: Sequence[Expr], cotangents: Shares) -> Shares:
        seeds = [bound(a.dtype, a.shape) for a in arguments]
        along = self.forward(call, arguments, list(seeds))
        pairs = [(t, g) for t, g in zip(along, cotangents, strict=True) if t is not None and g is not None]
        return _without(seeds, vjp_of([t for t, _ in pairs], [g for _, g in pairs], seeds))


def _without(seeds: Sequence[Expr], found: Shares) -> Shares:
    """What is linear in `seeds` does not depend on their values."""
    there = iter(rewrite([f for f in found if f is not None], rebuild, {s: zeros_like(s) for s in seeds}))
    return [None if f is None else next(there) for f in found]


# ---- from calls to nodes ----------------------------------------------------------------------------------------
class _Call:
    """One call of a custom function: its arguments taken apart, and how they are put together again."""

    def __init__(self, custom: _Custom, args: tuple) -> None:
        self.custom, self.args = custom, args
        positions = [i for i in range(len(args)) if i not in custom.held]
        self.held = [args[i] for i in custom.held]
        self.parts = [nest.leaves(args[i]) for i in positions]
        self.leaves, self.built = expressions(tuple(args[i] for i in positions))
        self.positions = positions
        self.structure: Any = nest.flatten(0.0)[1]
        self.results_like: list[Expr] = []

    def nests(self, leaves: Sequence[Expr]) -> tuple:
        """The arguments that are differentiated."""
        return nest.unflatten(self.built, leaves)

    def arguments(self, leaves: Sequence[Expr]) -> list[Any]:
        """All arguments."""
        given = dict(zip(self.positions, self.nests(leaves), strict=True))
        return [given.get(i, a) for i, a in enumerate(self.args)]

    def typed(self, leaves: Sequence[Expr]) -> list[Expr] | None:
        """The results for typed arguments; None where the function contains an untyped variable."""
        fresh = [bound(x.dtype, x.shape) for x in leaves]
        outputs, self.structure = expressions(self.custom.function(*self.arguments(fresh)))
        if not all(o.typed for o in outputs):
            return None
        self.results_like = outputs
        own = set(fresh)
        closed = [n for n in toposort(outputs) if n.op in ("var", "bound") and n not in own]
        results = rewrite(outputs, rebuild, dict(zip(fresh, leaves, strict=True)))
        return custom_items(CustomRule(self.custom, self, len(results), len(leaves)), [*results, *leaves, *closed])


@surface
@several(lambda call, count, *leaves: count)
def custom_(call: _Call, count: int, *leaves: Expr) -> tuple:
    """A call whose arguments were not typed before."""
    results = call.typed(list(map(as_expr, leaves)))
    if results is None:
        raise PullbackError(f"{call.custom.function.__name__} contains a variable that has no value: "
                            "pass it as an argument")
    return tuple(results)


_custom = custom_
_made: list[bool] = []           # filled by the first custom node: programs without one need no pass


def custom_items(rule: Any, args: Sequence[Expr]) -> list[Expr]:
    _made[:] = [True]
    node = make("custom", args, (rule,))
    return [make("item", (node,), (k,), r.dtype, r.shape) for k, r in enumerate(args[: rule.results])]


@dataclass(frozen=True, eq=False)
class CustomRule:
    """The derivative of a custom node with `results` results of `count` arguments."""

    custom: _Custom
    call: _Call
    results: int
    count: int

    def forward(self, arguments: Sequence[Expr], tangents: Shares) -> Shares:
        return self.custom.forward(self.call, arguments, tangents)

    def reverse(self, arguments: Sequence[Expr], cotangents: Shares) -> Shares:
        return self.custom.reverse(self.call, arguments, cotangents)


def _arguments(node: Expr) -> tuple[Expr, ...]:
    rule = node.attrs[0]
    return node.args[rule.results : rule.results + rule.count]


def _check_closed(node: Expr, index: int) -> None:
    rule = node.attrs[0]
    if index >= rule.results + rule.count:
        raise NotDifferentiable(f"a function with a derivative of its own closes over {node.args[index]}"
                                f"{where(node)}, and a derivative with respect to it is asked for: "
                                "pass it as an argument")


def _forward(node: Expr, tangents: Sequence[Expr | None]) -> Shares:
    rule = node.attrs[0]
    for i, t in enumerate(tangents):
        if t is not None:
            _check_closed(node, i)
    return rule.forward(_arguments(node), list(tangents[rule.results : rule.results + rule.count]))


@functools.lru_cache(maxsize=256)
def _all_shares(node: Expr, cotangents: tuple[Expr | None, ...]) -> Shares:
    rule = node.attrs[0]
    given = [*cotangents, *[None] * (rule.results - len(cotangents))]
    return rule.reverse(_arguments(node), given)


def _reverse(node: Expr, parts: Sequence[Expr | None], index: int) -> Expr | None:
    _check_closed(node, index)
    return _all_shares(node, tuple(parts))[index - node.attrs[0].results]


RULES["custom"] = Rule(_forward, _reverse)  # type: ignore[arg-type]


# ---- for several lanes ------------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class BatchedRule:
    """A rule for all lanes: `flags` says which arguments have lanes; all results do."""

    rule: Any
    flags: tuple[bool, ...]
    lanes: Lanes
    results: int
    count: int

    def forward(self, arguments: Sequence[Expr], tangents: Shares) -> Shares:
        known, inner = self._items(arguments, self.flags)
        moved, along = self._items(tangents, self.flags)
        return self._spread(self.rule.forward(inner, along), {**known, **moved})

    def reverse(self, arguments: Sequence[Expr], cotangents: Shares) -> Shares:
        known, inner = self._items(arguments, self.flags)
        given, back = self._items(cotangents, (True,) * self.results)
        shares = self._spread(self.rule.reverse(inner, back), {**known, **given})
        return [s if s is None or flag else reduce(s, "add", (0,)) for s, flag in zip(shares, self.flags, strict=True)]

    def _items(self, values: Sequence[Expr | None], flags: Sequence[bool]) -> tuple[dict[Expr, Lane], list[Any]]:
        """Variables for one item of `values`, and what they are in all lanes."""
        items = [bound(v.dtype, v.shape[1:]) if v is not None and flag else v
                 for v, flag in zip(values, flags, strict=True)]
        known = {i: Lane(v, True) for i, v, flag in zip(items, values, flags, strict=True)
                 if flag and i is not None and v is not None}
        return known, items

    def _spread(self, found: Shares, known: dict[Expr, Lane]) -> Shares:
        there = iter(batched([f for f in found if f is not None], known, self.lanes))
        return [None if f is None else self.lanes.spread(next(there)) for f in found]


def _batch(node: Expr, parts: list[Lane], lanes: Lanes) -> list[Lane]:
    rule = node.attrs[0]
    results = [lanes.spread(p) for p in parts[: rule.results]]
    flags = tuple(p.batched for p in parts[rule.results : rule.results + rule.count])
    again = BatchedRule(rule, flags, Lanes(lanes.size), rule.results, rule.count)
    return [Lane(x, True) for x in custom_items(again, [*results, *(p.value for p in parts[rule.results :])])]


BATCH_RULES["custom"] = _batch


# ---- when a program is complete ---------------------------------------------------------------------------------
def undone(outputs: list[Expr]) -> list[Expr]:
    """`outputs` with the results of custom functions in place of their nodes."""
    if not _made:
        return outputs
    shared = functools.lru_cache(maxsize=None)(lambda body: body.rewritten(rule, lambda limit: limit))

    def rule(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if node.op == "item" and args[0].op == "custom":
            return args[0].args[node.attrs[0]]
        if node.op in ("loop", "branch") and any(isinstance(a, Body) and _contains(a) for a in node.attrs):
            attrs = tuple(shared(a) if isinstance(a, Body) else a for a in node.attrs)
            return make(node.op, args, attrs, node.dtype, node.shape, node.shadow)
        return rebuild(node, args)

    return rewrite(outputs, rule)


def _contains(body: Body) -> bool:
    return any(n.op == "custom" or any(isinstance(a, Body) and _contains(a) for a in n.attrs)
               for n in toposort(body.roots()))
