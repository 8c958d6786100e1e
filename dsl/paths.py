"""Whether a derivative exists: the paths from the variables to the result, and what derivatives were taken of."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from .adjoint import number
from .errors import NotDifferentiable
from .node import Expr, frozen, toposort, where
from .rules import NONE, SMOOTH, STOPPED, edge
from .size import active_guards

Key = tuple  # what makes a variable that variable; holds no node alive
_LIVE, _BLOCKED, _CLOSED = 1, 2, 4


def check_paths(outputs: Sequence[Expr], wrt: Sequence[Expr]) -> frozenset[Key]:
    """The keys of the variables that typed `outputs` depend on, or that were in what they are derivatives of.

    Raises NotDifferentiable for a result or a variable that is no float, and where every path from a result to one of
    `wrt` goes through an operation without derivative, naming it. A path through stop_gradient is zero by choice, and
    so is whatever a derivative of an expression that had a path no longer depends on.
    """
    for output in outputs:
        if output.dtype.kind not in "fc":
            raise NotDifferentiable(f"the result is {output.dtype}{where(output)}, which has no derivative: expected a "
                                    "float; convert integers with .astype('float64') before computing with them")
    state = dict.fromkeys(outputs, _LIVE)
    culprit: dict[Expr, Expr] = {}
    known: set[Key] = set()
    derived: set[Key] = set()
    for node in reversed(toposort(outputs)):
        known |= origins(node)
        if number(node) is None:
            derived |= origins(node)
        if node.op == "var" and state[node] != _BLOCKED:
            known.add(key(node))
        for i, arg in enumerate(node.args):
            kind = edge(node, i)
            state[arg] = state.get(arg, 0) | _through(state[node], kind)
            if state[arg] & _BLOCKED and arg not in culprit:
                culprit[arg] = node if kind == NONE and arg.dtype.kind in "fc" else culprit.get(node, node)
    for w in wrt:
        if w.dtype.kind not in "fc":
            raise NotDifferentiable(f"the variable {w.attrs[0]} is {w.dtype}: a derivative is taken with respect to "
                                    "floats; pass it as a float array, or name in wrt= the variables that are meant")
        if state.get(w) == _BLOCKED and key(w) not in derived:
            raise NotDifferentiable(_no_path(w, culprit[w]))
    return frozenset(known)


def check_real(caller: str, mode: str, outputs: Sequence[Expr], wrt: Sequence[Expr], holomorphic: bool) -> None:
    """Whether numbers say what the derivative is: by cotangents ('rev') of real results, by tangents ('fwd') of real
    arguments, and `holomorphic` of complex results and arguments.
    """
    sides = {"rev": [("result", o) for o in outputs], "fwd": [(f"argument {w.attrs[0]}", w) for w in wrt]}
    if holomorphic:
        for what, node in (pair for side in sides.values() for pair in side):
            if node.dtype.kind != "c":
                raise NotDifferentiable(f"{caller} with holomorphic=True is of complex results with respect to complex "
                                        f"arguments, and the {what} is {node.dtype}: leave holomorphic=True out, or "
                                        "convert with .astype('complex128')")
        return
    for what, node in sides[mode]:
        if node.dtype.kind == "c":
            other = "vjp with a cotangent" if mode == "rev" else "jvp with a tangent"
            raise NotDifferentiable(
                f"{caller} needs a real {what.split()[0]}, and the {what} is {node.dtype}{where(node)}: write "
                f"holomorphic=True for a holomorphic function, else {other}, or differentiate pb.real(f) and pb.imag(f)"
                + ("" if mode == "rev" else " with jacrev"))


def _through(state: int, kind: str) -> int:
    """The state of an argument, seen through an edge from a node in `state`."""
    if kind == STOPPED:
        return _CLOSED
    return state if kind == SMOOTH else (state & ~_LIVE) | (_BLOCKED if state & _LIVE else 0)


def _no_path(w: Expr, culprit: Expr) -> str:
    kinds = f" from {culprit.args[0].dtype} to {culprit.dtype}" if culprit.op == "cast" else ""
    return (f"there is no derivative with respect to the variable {w.attrs[0]}: every path from it to the result goes "
            f"through {culprit.op}{kinds}{where(culprit)}, which has none; write pb.stop_gradient around it if zero is "
            "meant, or a smooth function in its place")


# A variable may drop out of its own derivative (the Hessian of a linear function). A derivative remembers the variables
# of the expression it came from, so that a second derivative is zero where a stray variable would be refused. It does
# so within one trace: all programs share their nodes, and what one of them derived another may have from its user.
_origins: dict[tuple[int, int], tuple[Any, Any, frozenset[Key], str]] = {}


def key(variable: Expr) -> Key:
    return frozen(variable.attrs), str(variable.dtype), frozen(variable.shape)


def origins(node: Expr) -> frozenset[Key]:
    """The variables of the expressions that `node` was found as a derivative of, in the present trace."""
    return _noted(node)[0]


def derivative_name(node: Expr) -> str:
    """`grad_w` for what was found as a derivative with respect to w in the present trace, else ""."""
    return _noted(node)[1]


def _noted(node: Expr) -> tuple[frozenset[Key], str]:
    trace = active_guards()
    _, scope, variables, name = _origins.get((id(node), id(trace)), (None, None, frozenset(), ""))
    return (variables, name) if scope is None or scope() is trace else (frozenset(), "")


def remember(derivatives: Sequence[Expr], variables: frozenset[Key], wrt: Sequence[str] = ()) -> None:
    """Note that `derivatives` came from an expression of `variables`, by those called `wrt` where they are told."""
    trace = active_guards()
    scope = None if trace is None else weakref.ref(trace)
    names = [f"grad_{name}" for name in wrt] or [""] * len(derivatives)
    for node, name in zip(derivatives, names, strict=True):
        place = id(node), id(trace)
        ref = weakref.ref(node, lambda _, place=place: _origins.pop(place, None))
        _origins[place] = ref, scope, variables | origins(node), name
