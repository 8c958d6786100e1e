"""A function traced on fresh variables, differentiated, and applied to its arguments again.

Fresh ones, because an argument may occur in what the function closes over, which is held constant. While types are
unknown the traced body waits as it is (`Body`) and is differentiated when `specialize` knows the arguments.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import nest
from .adjoint import filled, ones
from .basis import jacobians_of, mode_for
from .errors import NotDifferentiable, ShapeError
from .grad import conform, derivatives, jvp_of, variables_of, vjp_of
from .lines import user_line, warn_at
from .node import FUNCTIONS, Expr, make, rebuild, rewrite, where
from .paths import Key, check_paths, check_real, key, origins, remember
from .phases import differentiated
from .primitives import show_shape
from .surface import as_expr, specialize, surface

_serial = itertools.count()


class Trace:
    """One call of a function on fresh variables in place of some of its arguments."""

    def __init__(self, function: Callable[..., Any], places: list[Any], args: tuple, kwargs: dict[str, Any],
                 has_aux: bool) -> None:
        where_found = [_locate(function, p, args, kwargs) for p in places]
        chosen = tuple(value for _, _, value in where_found)
        leaves, self.structure = nest.flatten(chosen)
        self.names = [n for name, _, value in where_found for n in nest.leaf_names(value, name)]
        self.actual = [_differentiable(leaf, name) for leaf, name in zip(leaves, self.names, strict=True)]
        self.bound = [fresh(name, actual) for name, actual in zip(self.names, self.actual, strict=True)]
        positional, named = list(args), dict(kwargs)
        for (_, place, _), value in zip(where_found, nest.unflatten(self.structure, self.bound), strict=True):
            if isinstance(place, int):
                positional[place] = value
            else:
                named[place] = value
        result = function(*positional, **named)
        if has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise TypeError("with has_aux=True the function returns a pair (value, aux)")
        value, self.aux = result if has_aux else (result, None)
        self.is_single = not isinstance(value, (tuple, list, dict)) or isinstance(value, Expr)
        outputs, self.result_structure = nest.flatten(value)
        self.outputs = [as_expr(o) for o in outputs]

    def bind(self, kind: str, extras: Sequence[Expr], holomorphic: bool = False) -> list[Expr]:
        """The outputs, the expressions in aux and the derivatives, of the arguments themselves."""
        extra_outputs = [a for a in nest.leaves(self.aux) if isinstance(a, Expr)]
        body = Body(kind, (*self.outputs, *extra_outputs), len(self.outputs), tuple(self.bound), tuple(self.names),
                    holomorphic=holomorphic)
        return bind(body, self.actual, extras)

    def split(self, results: Sequence[Expr]) -> tuple[Any, Any, list[Expr]]:
        """(value, aux, derivatives) of what `bind` gave."""
        count = len(self.outputs)
        leaves, structure = nest.flatten(self.aux)
        rest = iter(results[count:])
        aux = nest.unflatten(structure, [next(rest) if isinstance(a, Expr) else a for a in leaves])
        return nest.unflatten(self.result_structure, results[:count]), aux, list(rest)


@dataclass(frozen=True, eq=False)
class Body:
    """A traced function: `outputs` of `bound` and `free` variables, of which the first `count` are differentiated."""

    kind: str                      # grad, vjp, jvp, or jacobian with its mode
    outputs: tuple[Expr, ...]
    count: int
    bound: tuple[Expr, ...]
    names: tuple[str, ...]
    free: tuple[Expr, ...] = ()
    holomorphic: bool = False      # the derivative of a complex result is the complex derivative

    def __repr__(self) -> str:
        return f"∂({', '.join(map(repr, self.outputs[:self.count]))})/∂({', '.join(self.names)})"

    def derivatives(self, extras: Sequence[Expr]) -> tuple[list[Expr], frozenset[Key]]:
        """The derivatives of typed outputs, and the variables that they came from."""
        main = self.outputs[:self.count]
        if self.kind == "grad" and main[0].shape:
            raise ShapeError("grad takes a function with a scalar result, and it has shape "
                             f"{show_shape(main[0].shape)}{where(main[0])}: sum it first, "
                             "or use vjp (with a cotangent) or jacobian")
        known = check_paths(main, self.bound)
        if self.kind == "jvp":
            seeds = {b: conform(t, b, "tangent") for b, t in zip(self.bound, extras, strict=True)}
            return filled(jvp_of(main, seeds), main), known
        if self.kind.startswith("jacobian"):
            asked = self.kind.split()[1]
            if asked != "fwd":
                self.warn_of_unused(known)
            mode = mode_for(main, self.bound, asked, self.holomorphic)
            return jacobians_of(main, self.bound, mode), known
        self.warn_of_unused(known)
        if self.kind == "grad":
            check_real("grad", "rev", main, self.bound, self.holomorphic)
        given = extras if self.kind == "vjp" else [ones(main[0].shape, main[0].dtype)]
        seeds = [conform(g, o, "cotangent") for g, o in zip(given, main, strict=True)]
        return filled(vjp_of(main, seeds, self.bound), self.bound), known

    def warn_of_unused(self, known: frozenset[Key]) -> None:
        unused = [name for b, name in zip(self.bound, self.names, strict=True) if key(b) not in known]
        if unused:
            warn_at(user_line(), f"the result does not depend on {', '.join(unused)}: the derivative there is zero")


def bind(body: Body, actual: Sequence[Expr], extras: Sequence[Expr]) -> list[Expr]:
    """The outputs of `body` and their derivatives at `actual`; deferred while a type is unknown."""
    if not all(e.typed for e in (*body.outputs, *actual, *extras)):
        return _deferred(body, actual, extras)
    derivatives, known = body.derivatives(extras)
    results = rewrite([*body.outputs, *derivatives], rebuild, dict(zip(body.bound, actual, strict=True)))
    under = {key(v) for v in variables_of(actual)}.union(*map(origins, actual))
    wrt = body.names if body.kind in ("grad", "vjp") else ()
    phase = "tangent" if body.kind in ("jvp", "jacobian fwd") else "reverse"
    differentiated(phase, results[:body.count], results[len(body.outputs):])
    remember(results[len(body.outputs):], (known - set(map(key, body.bound))) | under, wrt)
    return results


def _deferred(body: Body, actual: Sequence[Expr], extras: Sequence[Expr]) -> list[Expr]:
    free = tuple(v for v in variables_of(body.outputs) if v not in set(body.bound))
    if body.kind == "grad" and not body.holomorphic and _are_variables(actual, free):
        outputs = _put(body.outputs, body.bound, actual)
        body.warn_of_unused(frozenset(map(key, variables_of(body.outputs[:1]))))
        return [*outputs, *derivatives("grad", list(actual), outputs[0])]
    result = FUNCTIONS["derivative"](replace(body, free=free), tuple(actual), tuple(extras), free)
    if not isinstance(result, Expr):
        return list(result)
    each = {"jvp": body.count, "grad": len(body.bound), "vjp": len(body.bound)}
    count = len(body.outputs) + each.get(body.kind, body.count * len(body.bound))
    return [make("item", (result,), (i,)) for i in range(count)]


def _are_variables(actual: Sequence[Expr], free: Sequence[Expr]) -> bool:
    """Whether the arguments can stand for the bound variables, so that this is the derivative of an expression."""
    return all(a.op == "var" for a in actual) and len({*actual, *free}) == len(actual) + len(free)


@surface
def derivative_(body: Body, actual: tuple, extras: tuple, free: tuple) -> tuple:
    """A body that was traced before its types were known, now that they are."""
    bound = tuple(fresh(name, a) for name, a in zip(body.names, actual, strict=True))
    known = {**dict(zip(body.bound, bound, strict=True)), **dict(zip(body.free, free, strict=True))}
    outputs = tuple(specialize(list(body.outputs), known))
    return tuple(bind(replace(body, outputs=outputs, bound=bound, free=()), actual, extras))


def put_back(trace: Trace) -> list[Expr]:
    """The results of a trace without any derivative."""
    aux = [a for a in nest.leaves(trace.aux) if isinstance(a, Expr)]
    return _put([*trace.outputs, *aux], trace.bound, trace.actual)


def _put(nodes: Sequence[Expr], bound: Sequence[Expr], actual: Sequence[Expr]) -> list[Expr]:
    """`nodes` with arguments in place of variables, also in what untyped nodes show while their types are unknown."""
    pairs = list(zip(bound, actual, strict=True))
    shown = {b.shadow: a if a.typed else a.shadow for b, a in pairs if b.shadow is not None}
    known = {b: a for b, a in shown.items() if a is not None}

    def put(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if node.shadow is None or not known:
            return rebuild(node, args)
        shadow, = rewrite([node.shadow], rebuild, known)
        return make(node.op, args, node.attrs, node.dtype, node.shape, shadow)

    return rewrite(nodes, put, dict(pairs))


# ---- arguments ---------------------------------------------------------------------------------------------------
def _locate(function: Callable[..., Any], place: int | str, args: tuple,
            kwargs: dict[str, Any]) -> tuple[str, int | str, Any]:
    """(name, place, value) of the argument that `place`, a position or a name, means in this call."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        parameters = {}
    names = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if isinstance(place, int):
        index = place + len(args) if place < 0 else place
        if 0 <= index < len(args):
            return names[index] if index < len(names) else f"argument_{index}", index, args[index]
        if not 0 <= index < len(names):
            raise TypeError(f"there is no argument {place}: the call has {len(args)} positional arguments")
        place = names[index]
    if place in kwargs:
        return place, place, kwargs[place]
    if place in names and names.index(place) < len(args):
        return place, names.index(place), args[names.index(place)]
    if place in parameters and parameters[place].default is not inspect.Parameter.empty:
        return place, place, parameters[place].default
    raise TypeError(f"the function has no argument {place!r} in this call; its parameters: {', '.join(parameters)}")


def _differentiable(leaf: Any, name: str) -> Expr:
    value = as_expr(leaf)
    if value.typed and value.dtype.kind not in "fc":
        raise NotDifferentiable(f"{name} is {value.dtype}: a derivative is taken with respect to floats; "
                                "pass a float (2.0, or x.astype('float64')), or choose other arguments with argnums=")
    return value


def fresh(name: str, like: Expr) -> Expr:
    """A variable that nothing else can refer to, with the type of `like` as far as it is known."""
    serial = next(_serial)
    if like.typed:
        weak = ("weak",) if like.op == "var" and "weak" in like.attrs else ()
        return make("var", (), (name, serial, *weak), like.dtype, like.shape)
    shadow = None if like.shadow is None else fresh(name, like.shadow)
    return make("var", (), (name, None, None, serial), None, None, shadow)
