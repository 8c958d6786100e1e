"""From what the user wrote and the kinds of its inputs to a typed graph, with the guards under which it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import nest, size
from .custom import undone
from .errors import DTypeError, PullbackError, ShapeError
from .lines import is_own
from .loop import Body
from .node import Expr, make, rewrite, toposort, where
from .paths import derivative_name
from .primitives import cast, transpose
from .size import Dim, Guards, Size, tracing
from .stable import Change, stabilised, switched
from .surface import as_expr, size_value, specialize
from .unrolled import watching_unrolled


@dataclass(frozen=True)
class Kind:
    """What one compilation knows of an input: dtype, which axes have size 1, memory order ('C' or 'F'), and whether
    it is a Python number, which never widens an array.
    """

    dtype: str
    ones: tuple[bool, ...]
    order: str = "C"
    weak: bool = False


@dataclass
class Traced:
    """A typed graph. `inputs` are the variables as they lie in memory (an F-ordered array by its transpose),
    `symbols` the size symbols of each input's axes in memory order, `structure` the nest of the results, `names` what
    they may be called, `changes` what the rules of `stable` replaced.
    """

    inputs: list[Expr]
    outputs: list[Expr]
    symbols: list[tuple[Dim, ...]]
    structure: Any
    guards: Guards
    names: list[str] = field(default_factory=list)
    changes: tuple[Change, ...] = ()

    def sizes_of(self, shapes: Sequence[tuple[int, ...]]) -> dict[str, int]:
        """The value of every size symbol for inputs of these shapes in memory order."""
        return {
            str(d): n
            for dims, shape in zip(self.symbols, shapes, strict=True)
            for d, n in zip(dims, shape, strict=True)
            if isinstance(d, Size)
        }


def trace(
    build: Callable[[list[Expr]], Any], names: Sequence[str], kinds: Sequence[Kind], shapes: Sequence[tuple[int, ...]],
    stable: bool = True,
) -> Traced:
    """Run `build` on typed variables of the given kinds; `shapes` (in memory order) are those of the present call.
    `stable`: whether naive formulas are replaced (see `stable`).
    """
    guards = Guards()
    leaves, inputs, symbols = [], [], []
    count = 0
    for name, kind, shape in zip(names, kinds, shapes, strict=True):
        dims: list[Dim] = []
        for one, extent in zip(kind.ones, shape, strict=True):
            dims.append(1 if one else size.symbol(f"n{count}"))
            if not one:
                guards.values[f"n{count}"] = extent
                count += 1
        variable = make("var", (), (name, "weak") if kind.weak else (name,), kind.dtype, tuple(dims))
        inputs.append(variable)
        symbols.append(tuple(dims))
        leaves.append(transpose(variable, tuple(reversed(range(len(dims))))) if kind.order == "F" else variable)
    try:
        with tracing(guards), watching_unrolled(), switched(stable) as changes:
            built = build(leaves)
            found, structure = nest.flatten(built)
            paths = nest.leaf_names(built, "")
            outputs = [as_expr(x) for x in found]
            called = [derivative_name(x) or _key(path) for x, path in zip(outputs, paths, strict=True)]
            untyped = next((x for x in outputs if x.dtype is None), None)
            if untyped is not None:
                free = next(n for n in toposort([untyped]) if n.op == "var" and n.dtype is None)
                raise PullbackError(f"the result {untyped} contains the variable {free.attrs[0]!r}, which is no "
                                    f"argument{where(untyped)}: pass it as an argument")
            outputs = stabilised(undone(with_sizes([*outputs, *inputs], guards)))
    except PullbackError as error:
        _locate(error)
        raise
    return Traced(outputs[len(found):], outputs[: len(found)], symbols, structure, guards, called,
                  tuple(changes))


def _key(path: str) -> str:
    """The keys and fields on the way to a result as a name."""
    return "_".join(re.findall(r"[^\W\d]\w*", path)) or "out"


def _locate(error: PullbackError) -> None:
    """Add to an error's text the line of the user's code that it came through, unless it names one."""
    text, walk, line = str(error), error.__traceback__, ""
    while walk is not None:
        if not is_own(walk.tb_frame):
            line = f"{walk.tb_frame.f_code.co_filename}:{walk.tb_lineno}"
        walk = walk.tb_next
    if line and not re.search(r"\.py:\d+|>:\d+", text):
        error.args = (f"{text}\n  at {line}",)


def with_sizes(roots: Sequence[Expr], guards: Guards) -> list[Expr]:
    """`roots` with sizes that were found equal written alike."""
    if not guards.equal:
        return list(roots)

    bodies: dict[Body, Body] = {}            # a body that several loops share stays one

    def change(value: Any) -> Any:
        if isinstance(value, Size):
            return guards.canonical(value)
        if isinstance(value, Body):
            if value not in bodies:
                bodies[value] = value.rewritten(rule, change)
            return bodies[value]
        return tuple(map(change, value)) if type(value) is tuple else value

    def rule(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if node.op == "size":
            return size_value(guards.canonical(node.attrs[0]), node.dtype)
        shape = change(node.shape)
        if node.op == "reshape" and size.same_shape(args[0].shape, shape):
            return args[0]
        return make(node.op, args, change(node.attrs), node.dtype, shape, node.shadow)

    return rewrite(roots, rule)


def expression_builder(results: Any, variables: Sequence[Expr]) -> Callable[[list[Expr]], Any]:
    """A `build` for `trace` that gives untyped `variables` of the nest `results` their types."""
    leaves, structure = nest.flatten(results)

    def build(typed: list[Expr]) -> Any:
        typed = check_declared(variables, typed)
        known = dict(zip(variables, typed, strict=True))
        return nest.unflatten(structure, specialize([as_expr(x) for x in leaves], known))

    return build


def variables_of(results: Any) -> list[Expr]:
    """The variables of a nest of expressions in order of appearance; one name must have one declaration."""
    found: dict[str, Expr] = {}
    for node in toposort([x for x in nest.leaves(results) if isinstance(x, Expr)]):
        if node.op == "var":
            other = found.setdefault(node.attrs[0], node)
            if other is not node:
                raise PullbackError(
                    f"two variables are called {node.attrs[0]!r} with different declarations{where(node)}: "
                    "create the variable once, or give one of them another name"
                )
    return list(found.values())


def check_declared(variables: Sequence[Expr], typed: Sequence[Expr]) -> list[Expr]:
    """`typed` as declared; refuses what contradicts the declarations: dtype, rank, sizes, equal names of sizes."""
    sizes: dict[str, tuple[str, Dim]] = {}
    result = []
    for variable, given in zip(variables, typed, strict=True):
        name, shape, dtype = variable.attrs
        result.append(given if dtype is None else _of_declared_dtype(variable, given, np.dtype(dtype)))
        if shape is None:
            continue
        if len(shape) != len(given.shape):
            raise ShapeError(f"the variable {name!r} was declared with shape {shape}{where(variable)}, "
                             f"got an array of {len(given.shape)} axes")
        for axis, (declared, dim) in enumerate(zip(shape, given.shape, strict=True)):
            named = isinstance(declared, str)
            first = sizes.setdefault(declared, (name, dim)) if named else (name, declared)
            if declared is not None and not size.equal(first[1], dim):
                raise ShapeError(f"axis {axis} of {name!r} was declared {declared!r}{where(variable)} and has "
                                 f"{size.show(dim)} elements, expected {size.show(first[1])}"
                                 + (f" as in {first[0]!r}" if named else ""))
    return result


def _of_declared_dtype(variable: Expr, given: Expr, dtype: np.dtype) -> Expr:
    """A Python number takes the declared dtype where its kind allows it; an array has it already."""
    if given.dtype == dtype:
        return given
    if "weak" in given.attrs and "biufc".index(dtype.kind) >= "biufc".index(given.dtype.kind):
        return cast(given, dtype)
    what = "a Python number" if "weak" in given.attrs else "an array"
    raise DTypeError(f"the variable {variable.attrs[0]!r} was declared {dtype}{where(variable)}, got {what} of "
                     f"{given.dtype}: convert it with np.asarray(value, {dtype.name!r})")
