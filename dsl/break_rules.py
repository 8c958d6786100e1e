"""Breaks of what is no row of its own, or depends on more than one: choices, folds, indices, loops, routines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from . import breaks, ops
from .adjoint import Operations, number
from .branch import Branch
from .breaks import Break
from .implicit import ImplicitRule
from .loop import Loop
from .node import Expr, toposort
from .rules import is_sum_of_squares
from .signs import NONNEGATIVE, POSITIVE

_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
Found = Iterator[tuple[Break, dict[str, Any]]]           # a break, and what its words stand for


# ---- rows that the sign of an argument, or its value, excludes --------------------------------------------------
def _is_positive(which: int) -> Callable[[Expr, list[int]], bool]:
    return lambda node, signs: signs[which] == POSITIVE


def _is_nonnegative(node: Expr, signs: list[int]) -> bool:
    return signs[0] >= NONNEGATIVE


def _divides(node: Expr, signs: list[int]) -> bool:
    return signs[1] == POSITIVE or _is_nonzero(node.args[1])


def _smooth_power(node: Expr, signs: list[int]) -> bool:
    """Powers of positive numbers, by integers from 0 on, and by numbers from 1 on, which have one derivative."""
    exponent = number(node.args[1])
    integer = exponent is not None and exponent == int(exponent)
    return signs[0] == POSITIVE or exponent is not None and (exponent >= 1 or integer and exponent >= 0)


def _is_nonzero(x: Expr) -> bool:
    x = x.args[0] if x.op == "broadcast" else x
    return x.op == "size" or x.op == "const" and bool((x.attrs[0].array != 0).all())


EXCLUDED: dict[str, Callable[[Expr, list[int]], bool]] = {
    "divide": _divides, "power": _smooth_power, "log1p": _is_nonnegative,
    "abs": _is_nonnegative, "sqrt": _is_positive(0), "sign": _is_positive(0), "heaviside": _is_positive(0),
    "xlogy": _is_positive(1), "gammaln": _is_positive(0),
    **{name: _is_positive(0) for name in (
        "reciprocal", "rsqrt", "cbrt", "log", "log2", "log10", "i0e", "gamma", "digamma", "polygamma1", "polygamma2",
        "polygamma3", "signbit")},
}


# ---- choices ----------------------------------------------------------------------------------------------------
def compared(condition: Expr, moving: set[Expr]) -> Found:
    """The comparisons that a condition is made of, of what moves."""
    for node in toposort([condition]):
        if node.op in _COMPARISONS and any(a in moving and a.dtype.kind in "fc" for a in node.args):
            yield breaks.COMPARED, dict(zip("xy", node.args, strict=True))


def _where(node: Expr, moving: set[Expr]) -> Found:
    if node.dtype.kind in "fc" and node.args[0] in moving:
        yield from compared(node.args[0], moving)


def _cast(node: Expr, moving: set[Expr]) -> Found:
    before = node.args[0].dtype.kind
    if before == "b" and node.dtype.kind in "fc":
        yield from compared(node.args[0], moving)
    if before == "f" and node.dtype.kind in "iu":
        yield breaks.TRUNCATED, {"x": node.args[0]}


def _gather(node: Expr, moving: set[Expr]) -> Found:
    if node.dtype.kind in "fc" and any(i in moving for i in node.args[1:]):
        yield breaks.MOVED, {"x": node.args[1]}


def _reduce(node: Expr, moving: set[Expr]) -> Found:
    what = {"minimum": "least", "maximum": "greatest"}.get(node.attrs[0])
    if what and node.dtype.kind == "f":
        found = breaks.TIED if what == "greatest" else breaks.TIED_LEAST
        yield found, {"x": node.args[0]}


def _sqrt(node: Expr, moving: set[Expr]) -> Found:
    x = node.args[0]
    if node.dtype.kind == "f" and is_sum_of_squares(x):
        yield breaks.ZERO_NORM, {"x": _root_of(x)}
    else:
        yield breaks.BREAKS["sqrt"][0], {"x": x}


def _root_of(x: Expr) -> Expr:
    """What is squared, where it is one thing."""
    while x.op in ("reduce", "broadcast", "reshape", "divide"):
        x = x.args[0]
    return x.args[0] if x.op in ("square", "multiply", "contract") else x


# ---- loops, branches, routines ----------------------------------------------------------------------------------
def _loop(node: Expr, moving: set[Expr]) -> Found:
    loop = Loop(node)
    if loop.body.test is not None or isinstance(loop.count, Expr) and loop.count in moving:
        yield breaks.TURNS, {}


def _branch(node: Expr, moving: set[Expr]) -> Found:
    if node.args[0] in moving:
        yield breaks.BRANCHED, {"x": node.args[0]}


def _custom(node: Expr, moving: set[Expr]) -> Found:
    if isinstance(node.attrs[0], ImplicitRule):
        yield breaks.SOLVED, {}


_SINGULAR, _REPEATED, _ORDERED = (
    {"solve", "inv", "lu", "triangular", "cholesky", "qr", "lstsq", "slogdet", "tridiagonal"},
    {"eigh", "svd", "eigvalsh", "eig"}, {"sort", "argsort", "median", "quantile"})


def _library(node: Expr, moving: set[Expr]) -> Found:
    for names, found in ((_SINGULAR, breaks.SINGULAR), (_REPEATED, breaks.EQUAL_VALUES), (_ORDERED, breaks.UNORDERED)):
        moved = [a for a in node.args[: len(node.args) - 1 or 1] if a in moving]       # right-hand sides are last
        if node.attrs[0] in names and moved:
            yield found, {"x": moved[0]}


SPECIAL: dict[str, Callable[[Expr, set[Expr]], Found]] = {
    "where": _where, "mask": _where, "cast": _cast, "gather": _gather, "reduce": _reduce, "sqrt": _sqrt,
    "loop": _loop, "branch": _branch, "custom": _custom, "library": _library,
}


# ---- inside -----------------------------------------------------------------------------------------------------
def bodies(node: Expr, moving: set[Expr]) -> Iterator[tuple[list[Expr], set[Expr]]]:
    """What is computed inside a node, and which of its variables move."""
    if node.op == "loop":
        loop = Loop(node)
        pairs = [*zip(loop.body.operands, loop.operands, strict=True)]
        own = {v for v, a in pairs if a in moving}
        yield loop.body.roots(), own | {c for c in loop.body.carries if c.dtype.kind in "fc"}
    elif node.op == "branch":
        view = Branch(node)
        own = {v for v, a in zip(view.variables, view.operands, strict=True) if a in moving}
        for body in view.bodies:
            yield list(body.results), own
    elif is_defined(node):
        operations = Operations(node.dtype, node.shape)
        rule = ops.expansion(node.op, node.dtype)
        assert rule is not None
        yield [operations.lift(rule(operations, *node.args))], {a for a in node.args if a in moving}
    elif node.op == "custom" and isinstance(node.attrs[0], ImplicitRule):
        rule = node.attrs[0]
        operands = node.args[2 * rule.results :]
        yield list(rule.residuals), {*rule.unknowns, *(v for v, a in zip(rule.operands, operands, strict=True)
                                                      if a in moving)}


def is_defined(node: Expr) -> bool:
    """Whether a row is the user's, which is as smooth as the operations that it is made of."""
    return node.op in ops.ROWS and ops.ROWS[node.op].kinks == ops.AS_DEFINED


def arguments(node: Expr) -> tuple[Expr, ...]:
    """The arguments whose breaks are those of the node: not the steps that found a solution."""
    if node.op == "custom" and isinstance(node.attrs[0], ImplicitRule):
        return node.args[2 * node.attrs[0].results :]
    return node.args
