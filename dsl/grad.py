"""Derivatives as expressions: the two walks over typed graphs, and the forms of grad, jvp, vjp and hvp on expressions.

`vjp_of` carries cotangents from outputs to variables, `jvp_of` tangents from variables to outputs. What they return may
be differentiated again. Zero is None in them, so that nothing is computed with zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import nest
from .adjoint import filled, ones, together
from .errors import NotDifferentiable, PullbackError, ShapeError
from .lines import speaking
from .node import FUNCTIONS, Expr, make, toposort, where
from .paths import check_paths, check_real, key, origins, remember
from .phases import differentiated
from .primitives import broadcast_to, cast, show_shape, transpose
from .rules import RULES, SMOOTH, Onto, edge, forward, reverse
from .size import equal
from .stable import stabilised
from .surface import as_expr, surface


# ---- the walks --------------------------------------------------------------------------------------------------
def vjp_of(
    outputs: Sequence[Expr], cotangents: Sequence[Expr], wrt: Sequence[Expr], base: Mapping[Expr, Expr] | None = None
) -> list[Expr | None]:
    """The cotangent of each of `wrt`, given those of `outputs`; None where it is zero. `base`: what nodes have already,
    which their cotangents are added to.
    """
    outputs = stabilised(outputs, wrt)
    order = toposort(outputs)
    active = _active(order, wrt)
    found = Found(base)
    for output, cotangent in zip(outputs, cotangents, strict=True):
        found.add(output, cotangent)
    parts: dict[Expr, list[Expr | None]] = {}            # of nodes with several results: a cotangent each
    for node in reversed(order):
        if node not in active:
            continue
        with speaking(node):
            _pull_back(node, active, found, parts)
    return [found.total(w, closed=False) if w in found else None for w in wrt]


def _pull_back(node: Expr, active: set[Expr], found: Found, parts: dict[Expr, list[Expr | None]]) -> None:
    """Add what the cotangent of `node` is worth to those of its arguments."""
    if node in parts:
        _spread_parts(node, parts.pop(node), active, found)
    elif node in found and node.op == "item":
        _collect_part(node, found.total(node), parts)
    elif node in found and node.args:
        g = found.total(node)
        for i, arg in enumerate(node.args):
            if arg in active and edge(node, i) == SMOOTH:
                share = reverse(node, g, i)
                if share is not None:
                    assert (share.dtype, share.ndim) == (arg.dtype, arg.ndim), f"cotangent of {node.op}"
                    found.add(arg, share)


class Found:
    """The cotangents that nodes have got so far: `parts` to be added up, and a sum that they are added to."""

    def __init__(self, base: Mapping[Expr, Expr] | None) -> None:
        self.base = dict(base or {})
        self.parts: dict[Expr, list[Expr]] = {}

    def __contains__(self, node: Expr) -> bool:
        return node in self.parts or node in self.base

    def add(self, node: Expr, cotangent: Expr) -> None:
        self.parts.setdefault(node, []).append(cotangent)

    def total(self, node: Expr, closed: bool = True) -> Expr:
        return together(self.parts.get(node, []), closed, self.base.get(node))

    def restart(self, node: Expr, base: Expr) -> None:
        """From now on `node` has `base`, which holds all that it had."""
        self.parts.pop(node, None)
        self.base[node] = base


def jvp_of(outputs: Sequence[Expr], tangents: Mapping[Expr, Expr]) -> list[Expr | None]:
    """The tangent of each of `outputs`, given those of some nodes; None where it is zero."""
    outputs = stabilised(outputs, list(tangents))
    order = toposort(outputs)
    active = _active(order, tangents)
    found: dict[Expr, Any] = dict(tangents)
    for node in order:
        if node not in active or node in found:
            continue
        inner = [found.get(a) if edge(node, i) == SMOOTH else None for i, a in enumerate(node.args)]
        if node.op == "pack":
            found[node] = inner
        elif node.op == "item":
            found[node] = inner[0][node.attrs[0]] if inner[0] is not None else None
        elif any(t is not None for t in inner):
            with speaking(node):
                found[node] = forward(node, inner)
    return [found.get(o) for o in outputs]


def _active(order: Iterable[Expr], wrt: Iterable[Expr]) -> set[Expr]:
    """The nodes whose derivative with respect to some of `wrt` is not zero by form."""
    active = set(wrt)
    for node in order:
        if any(a in active and edge(node, i) == SMOOTH for i, a in enumerate(node.args)):
            active.add(node)
    return active


def _collect_part(item: Expr, g: Expr, parts: dict[Expr, list[Expr | None]]) -> None:
    several, index = item.args[0], item.attrs[0]
    known = parts.setdefault(several, [])
    known.extend([None] * (index + 1 - len(known)))
    present = known[index]
    known[index] = g if present is None else together([present, g])


def _spread_parts(node: Expr, parts: list[Expr | None], active: set[Expr], found: Found) -> None:
    """Cotangents of a node with several results; a rule takes them as one list."""
    onto = RULES[node.op].onto if node.op in RULES else None
    if onto is not None:
        _spread_onto(node, onto, parts, active, found)
        return
    for i, arg in enumerate(node.args):
        if arg not in active or edge(node, i) != SMOOTH:
            continue
        share = (parts[i] if i < len(parts) else None) if node.op == "pack" else reverse(node, parts, i)  # type: ignore[arg-type]
        if share is not None:
            found.add(arg, share)


def _spread_onto(node: Expr, onto: Onto, parts: list[Expr | None], active: set[Expr], found: Found) -> None:
    """The same by a rule that adds to what arguments have already; of one that occurs twice, in the last place."""
    places = {a: i for i, a in enumerate(node.args) if a in active and edge(node, i) == SMOOTH}
    present = [found.total(a) if places.get(a) == i and a in found else None for i, a in enumerate(node.args)]
    shares = onto(node, parts, present)
    for arg, place in places.items():
        share = shares[place]
        if present[place] is not None and share is not None:
            found.restart(arg, share)
    for i, (arg, share) in enumerate(zip(node.args, shares, strict=True)):
        if share is not None and arg in places and (i != places[arg] or present[i] is None):
            found.add(arg, share)


# ---- typed derivatives, deferred while types are unknown --------------------------------------------------------
@surface
def grad_(expr: Expr, wrt: Any) -> Any:
    """The derivative of a scalar with respect to a variable, or to each of several."""
    if expr.shape:
        raise ShapeError(f"grad takes a scalar, and the result has shape {show_shape(expr.shape)}{where(expr)}: "
                         "sum it first, or use vjp (with a cotangent) or jacobian")
    check_real("grad", "rev", [expr], several_of(wrt), False)
    return _pulled_back([expr], None, wrt)


@surface
def vjp_(expr: Any, cotangent: Any, wrt: Any) -> Any:
    """The cotangents of variables, given that of the result."""
    return _pulled_back(several_of(expr), several_of(cotangent), wrt)


@surface
def jvp_(expr: Any, wrt: Any, tangent: Any) -> Any:
    """The tangent of the result, given those of variables."""
    outputs, variables = several_of(expr), several_of(wrt)
    known = check_paths(outputs, list(map(base_of, variables)))
    seeds = {base_of(v): _turned(conform(t, v, "tangent"), v, back=True)
             for v, t in zip(variables, several_of(tangent), strict=True)}
    result = filled(jvp_of(outputs, seeds), outputs)
    remember(result, known)
    differentiated("tangent", outputs, result)
    return tuple(result) if isinstance(expr, tuple) else result[0]


def _pulled_back(outputs: list[Expr], cotangents: list[Any] | None, wrt: Any) -> Any:
    variables = several_of(wrt)
    bases = list(map(base_of, variables))
    known = check_paths(outputs, bases)
    seeds = [ones(o.shape, o.dtype) for o in outputs] if cotangents is None else [
        conform(g, o, "cotangent") for g, o in zip(cotangents, outputs, strict=True)]
    result = [_turned(d, v) for d, v in zip(filled(vjp_of(outputs, seeds, bases), bases), variables, strict=True)]
    remember(result, known, [base.attrs[0] for base in bases])
    differentiated("reverse", outputs, result)
    return tuple(result) if isinstance(wrt, tuple) else result[0]


def base_of(w: Expr) -> Expr:
    """The variable that `w` is, or is the transpose of: an array in Fortran order enters a program as one."""
    base = w.args[0] if w.op == "transpose" else w
    if base.op != "var":
        raise PullbackError(f"a derivative is taken with respect to a variable, and here it is the expression {w}: "
                            "write a function of it")
    return base


def _turned(derivative: Expr, w: Expr, back: bool = False) -> Expr:
    """A derivative with respect to `base_of(w)` as one with respect to `w`, or (`back`) the other way round."""
    if w.op != "transpose":
        return derivative
    perm = w.attrs[0]
    return transpose(derivative, tuple(perm.index(i) for i in range(len(perm))) if back else perm)


def several_of(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


def conform(value: Any, like: Expr, role: str) -> Expr:
    """A tangent or cotangent with the dtype and shape of what it belongs to; a scalar repeats."""
    given = cast(as_expr(value, None if isinstance(value, Expr) else like.dtype), like.dtype)
    if given.shape and not (given.ndim == like.ndim and all(map(equal, given.shape, like.shape))):
        raise ShapeError(f"the {role} has shape {show_shape(given.shape)}, what it belongs to has "
                         f"{show_shape(like.shape)}: give one of that shape")
    return broadcast_to(given, like.shape)


def call(name: str, count: int | None, *args: Any) -> Any:
    """`name` of `args`, as a tuple of `count` results unless that is None."""
    result = FUNCTIONS[name](*args)
    if count is not None and isinstance(result, Expr):
        return tuple(make("item", (result,), (i,)) for i in range(count))
    return result


# ---- the public forms on expressions ----------------------------------------------------------------------------
def grad_of_expression(expr: Expr, wrt: Any = None) -> Any:
    """The gradient of a scalar expression: an expression, or a nest of them like `wrt`."""
    leaves, rebuild = chosen(expr, wrt)
    return rebuild(derivatives("grad", leaves, expr))


def vjp_of_expression(expr: Any, cotangent: Any, wrt: Any = None) -> Any:
    """The cotangents of variables, as a nest like `wrt`; `expr` and `cotangent` are nests alike."""
    outputs, structure = nest.flatten(expr)
    cotangents, given = nest.flatten(cotangent)
    if not nest.same_structure(structure, given):
        raise PullbackError(f"the cotangent is built as {nest.shown(given)}, the expressions as "
                            f"{nest.shown(structure)}: give one cotangent for each")
    leaves, rebuild = chosen(expr, wrt)
    packed = (expr, cotangent) if isinstance(expr, Expr) else (tuple(outputs), tuple(cotangents))
    return rebuild(derivatives("vjp", leaves, *packed))


def jvp_of_expression(expr: Any, tangents: Mapping[Any, Any]) -> Any:
    """The tangent of `expr`, a nest like it, along `tangents` {variable or name: tangent}."""
    if not isinstance(tangents, Mapping):
        raise PullbackError("jvp of an expression takes its tangents as {variable: tangent}, "
                            "for example pb.jvp(y, {x: v})")
    outputs, structure = nest.flatten(expr)
    variables = [_variable(w, outputs) for w in tangents]
    if isinstance(expr, Expr) and len(variables) == 1:
        return call("jvp", None, expr, variables[0], next(iter(tangents.values())))
    results = call("jvp", len(outputs), tuple(outputs), tuple(variables), tuple(tangents.values()))
    return nest.unflatten(structure, results)


def hvp_of_expression(expr: Expr, vectors: Mapping[Any, Any]) -> Any:
    """The Hessian of a scalar times `vectors` {variable or name: vector}; a dict unless there is one variable."""
    variables = [_variable(w, [expr]) for w in vectors]
    gradients = derivatives("grad", variables, expr)
    products = call("jvp", len(variables), tuple(gradients), tuple(variables), tuple(vectors.values()))
    return products[0] if len(variables) == 1 else dict(zip(vectors, products, strict=True))


def derivatives(name: str, leaves: Sequence[Expr], *args: Any) -> Sequence[Expr]:
    """`grad` or `vjp` of `args` with respect to each of `leaves`."""
    if len(leaves) == 1:
        return [call(name, None, *args, leaves[0])]
    return call(name, len(leaves), *args, tuple(leaves))


def chosen(expr: Any, wrt: Any) -> tuple[list[Expr], Any]:
    """The variables that `wrt` means, and how to build the result from their derivatives."""
    outputs = nest.leaves(expr)
    if wrt is not None:
        leaves, structure = nest.flatten(wrt)
        return [_variable(w, outputs) for w in leaves], lambda results: nest.unflatten(structure, results)
    found = [v for v in variables_of(outputs) if _may_be_float(v)]
    if not found:
        raise NotDifferentiable("the expression has no variable of a float dtype to differentiate with respect to: "
                                "name one with wrt=")
    if len(found) == 1:
        return found, lambda results: results[0]
    return found, lambda results: {v.attrs[0]: r for v, r in zip(found, results, strict=True)}


def _variable(w: Any, outputs: Sequence[Expr]) -> Expr:
    """The variable of `outputs` that `w`, a Var or its name, means."""
    present = variables_of(outputs)
    names = ", ".join(sorted({v.attrs[0] for v in present})) or "none"
    if isinstance(w, str):
        found = [v for v in present if v.attrs[0] == w]
        if len(found) != 1:
            count = "more than one" if found else "no"
            raise NotDifferentiable(f"the expression has {count} variable called {w!r}; its variables: {names}")
        return found[0]
    if not isinstance(w, Expr) or (w.args[0] if w.op == "transpose" else w).op != "var":
        raise NotDifferentiable(f"a derivative of an expression is taken with respect to a Var or its name, not {w!r}; "
                                f"its variables: {names}. For an intermediate value write a function of it")
    base = base_of(w)
    if base not in set(present) and not _was_present(base, outputs):
        raise NotDifferentiable(f"the expression does not contain the variable {base.attrs[0]}; its variables: {names}")
    if not _may_be_float(base):
        raise NotDifferentiable(f"the variable {base.attrs[0]} is declared {_declared(base)}: "
                                "a derivative is taken with respect to floats; declare it float64")
    return w


def _was_present(w: Expr, outputs: Sequence[Expr]) -> bool:
    return w.typed and any(key(w) in origins(node) for node in toposort(outputs))


def _declared(v: Expr) -> np.dtype | None:
    dtype = v.dtype if v.typed else v.attrs[2]
    return None if dtype is None else np.dtype(dtype)


def _may_be_float(v: Expr) -> bool:
    dtype = _declared(v)
    return dtype is None or dtype.kind in "fc"


def variables_of(outputs: Iterable[Expr]) -> list[Expr]:
    """The variables under `outputs`, in the order of their first use."""
    return [node for node in toposort(outputs) if node.op == "var"]
