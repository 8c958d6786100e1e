"""Users' functions inside loops and branches, traced on variables: now, or when types are known.

A `Run` is `run(variables) -> outputs`, both flat. Where an untyped variable of the user's takes part, the
function is traced once on stand-ins, and what it returned waits in a `Waiting` until a call gives every variable its
type.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from . import nest
from .node import FUNCTIONS, Expr, make, toposort
from .size import Dim, Size, active_guards, symbol
from .surface import as_expr, specialize

Run = Callable[[Sequence[Expr]], list[Expr]]
_serial = itertools.count()


def stand_in(name: str, like: Expr | None) -> Expr:
    """A variable without a type; what is known of `like` serves to look up shapes in what is traced."""
    number = next(_serial)
    known = None if like is None else like if like.typed else like.shadow
    shadow = None if known is None else make("var", (), (name, ("stand-in", number)), known.dtype, known.shape)
    return make("var", (), (name, None, None, ("stand-in", number)), None, None, shadow)


@dataclass(frozen=True, eq=False)
class Waiting:
    """What a function returned for untyped `variables`; `free` are the user's variables in it, `sizes` the sizes."""

    name: str
    variables: tuple[Expr, ...]
    outputs: tuple[Expr, ...]
    free: tuple[Expr, ...]
    sizes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def run(self, actual: Sequence[Expr], sizes: Sequence[Dim]) -> Run:
        """The function, now that `free` are `actual` and its sizes are `sizes`."""
        names = make("var", (), ("sizes",), float, tuple(map(symbol, self.sizes)))
        declared = {
            make("var", (), ("sizes", None, None), None, None, names): make(
                "var", (), ("sizes", "given"), float, tuple(sizes)
            )
        }

        def run(variables: Sequence[Expr]) -> list[Expr]:
            known = dict(zip((*self.variables, *self.free), (*variables, *actual), strict=True))
            return specialize(list(self.outputs), {**declared, **known} if sizes else known)

        return run


def waiting(name: str, run: Run, variables: Sequence[Expr]) -> Waiting:
    """`run` traced on stand-ins."""
    outputs = tuple(run(variables))
    own = set(variables)
    order = toposort(outputs)
    free = tuple(n for n in order if n.op == "var" and not n.typed and n not in own)
    found = dict.fromkeys(
        s
        for n in order
        for dim in (*(n.shape or ()), *(n.attrs if n.op == "size" else ()))
        if isinstance(dim, Size)
        for s in sorted(dim.symbols())
    )
    return Waiting(name, tuple(variables), outputs, free, tuple(found))


# ---- functions of nests -----------------------------------------------------------------------------------------
def expressions(value: Any) -> tuple[list[Expr], Any]:
    """The leaves of a nest as expressions, and its structure."""
    leaves, structure = nest.flatten(value)
    return [as_expr(leaf) for leaf in leaves], structure


def check_function(function: Any, role: str, caller: str) -> None:
    if not callable(function):
        raise TypeError(f"{caller} takes a function as its {role}, not {type(function).__name__}")


def captured(functions: Iterable[Any]) -> set[Expr]:
    """The expressions that Python functions hold: in their closures, defaults, partial arguments and instances."""
    found: set[Expr] = set()
    seen: set[int] = set()
    todo: list[Any] = list(functions)
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Expr):
            found.add(value)
        elif isinstance(value, functools.partial):
            todo += [value.func, *value.args, *value.keywords.values()]
        elif callable(value) and hasattr(value, "__code__"):
            todo += _held(value)
        elif callable(value) and hasattr(value, "__func__"):
            todo += [value.__func__, value.__self__]
        elif isinstance(value, (list, tuple)):
            todo += value
        elif isinstance(value, dict):
            todo += value.values()
    return found


def _held(function: Any) -> list[Any]:
    cells = [c.cell_contents for c in function.__closure__ or () if not _empty(c)]
    names = [function.__globals__[n] for n in function.__code__.co_names if n in function.__globals__]
    return [
        *cells,
        *(n for n in names if isinstance(n, (Expr, list, tuple, dict))),
        *(function.__defaults__ or ()),
        *(function.__kwdefaults__ or {}).values(),
    ]


def _empty(cell: Any) -> bool:
    try:
        return cell.cell_contents is None
    except ValueError:
        return True


# ---- at once on arrays ------------------------------------------------------------------------------------------
def in_trace(*nests: Any) -> bool:
    """Whether expressions are built: one takes part, or a function is traced."""
    return active_guards() is not None or any(isinstance(leaf, Expr) for leaf in nest.leaves(nests))


def on_arrays(function: Callable[..., Any], *nests: Any) -> Any:
    """`function` of nests: expressions where one takes part or a function is traced, else computed."""
    if in_trace(*nests):
        return function(*nests)
    result = function(*nests)
    if any(isinstance(leaf, Expr) and not _closed(leaf) for leaf in nest.leaves(result)):
        return result
    return FUNCTIONS["_compile"](function)(*nests)


def _closed(x: Expr) -> bool:
    return x.typed and not any(n.op == "var" for n in toposort([x]))
