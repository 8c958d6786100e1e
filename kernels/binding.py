"""From the arguments of a call to named leaves: what varies, what is fixed, how the graph is built from expressions."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dsl import nest
from ..dsl.node import Expr
from ..dsl.trace import expression_builder

Builder = Callable[[list[Expr]], Any]
_INT64 = 1 << 63


@dataclass(frozen=True)
class Binding:
    """The inputs of one call. `builder` gives the nest of results for expressions in place of `values`; `static` is
    what else belongs to the key: the structure of the arguments and the values of strings and functions among them.
    """

    names: list[str]
    values: list[Any]
    builder: Builder
    static: Any


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:
        name = getattr(function, "__name__", repr(function))
        raise TypeError(f"the arguments of {name} cannot be read: "
                        f"wrap it, for example pb.compile(lambda x: {name}(x))") from None


def bind_function(function: Callable[..., Any], name: str, signature: inspect.Signature, args: tuple,
                  kwargs: dict[str, Any]) -> Binding:
    """Arguments by the function's own signature; TypeError as Python's where they do not fit."""
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}{signature}: {error}") from None
    leaves, structure = nest.flatten((bound.args, bound.kwargs))
    names = _leaf_names(signature, bound)
    dynamic = [i for i, x in enumerate(leaves) if not is_static(x)]
    fixed = {i: x for i, x in enumerate(leaves) if is_static(x)}

    def builder(typed: list[Expr]) -> Any:
        values: dict[int, Any] = {**fixed, **dict(zip(dynamic, typed, strict=True))}
        positional, named = nest.unflatten(structure, [values[i] for i in range(len(leaves))])
        return function(*positional, **named)

    return Binding([names[i] for i in dynamic], [leaves[i] for i in dynamic], builder,
                   (structure, tuple((i, _hashable(x)) for i, x in fixed.items())))


def bind_variables(target: Any, variables: Sequence[Expr], order: Sequence[str], args: tuple,
                   kwargs: dict[str, Any]) -> Binding:
    """Arguments by the names of the program's variables, the first of them by position in `order`."""
    names = [v.attrs[0] for v in variables]
    if len(args) > len(order):
        hint = f"; give compile(..., args={names}) an order to call by position" if not order else ""
        raise TypeError(f"the program takes {len(order)} arguments by position, got {len(args)}{hint}")
    values = dict(zip(order, args, strict=False))
    for name, value in kwargs.items():
        if name not in names:
            raise TypeError(f"the program has no variable {name!r}: its variables are {', '.join(names) or 'none'}")
        if name in values:
            raise TypeError(f"the variable {name!r} is given twice")
        values[name] = value
    missing = [n for n in names if n not in values]
    if missing:
        raise TypeError(f"the program needs {', '.join(missing)}: call it as f({', '.join(f'{n}=...' for n in names)})")
    return Binding(names, [values[n] for n in names], expression_builder(target, variables), None)


def is_static(value: Any) -> bool:
    """Whether an argument is part of the program, not an input: strings, dtypes, slices, enumerations, functions."""
    if isinstance(value, (str, bytes, np.dtype, slice, enum.Enum)):
        return True
    if isinstance(value, type):
        return True
    return callable(value) and not isinstance(value, Expr) and not hasattr(value, "__array__")


def _hashable(value: Any) -> Any:
    return ("slice", value.start, value.stop, value.step) if isinstance(value, slice) else value


# Numbers whose type says all that a program wants to know.
_SCALARS = {float, bool, complex, np.float64, np.float32, np.complex128, np.complex64, np.int64, np.int32, np.bool_}


def fast_key(args: tuple, kwargs: dict[str, Any]) -> tuple[Any, Sequence[Any]] | None:
    """A key for arguments that need nothing but their address, and the inputs in order; None for any other."""
    values = (*args, *kwargs.values()) if kwargs else args
    key = _leaf_keys(values)
    if key is not None:
        return (*kwargs, *key), values
    if kwargs:
        return None
    leaves, structure = nest.flatten_known(args)
    key = _leaf_keys(leaves)
    return None if key is None else ((structure, *key), leaves)


def _leaf_keys(values: Sequence[Any]) -> list[Any] | None:
    key: list[Any] = []
    for value in values:
        kind = type(value)
        if kind is np.ndarray:
            if not value.flags.aligned:
                return None
            key.append((value.dtype, value.shape, value.strides))
        elif kind in _SCALARS or kind is int and -_INT64 <= value < _INT64:
            key.append(kind)
        else:
            return None
    return key


def _leaf_names(signature: inspect.Signature, bound: inspect.BoundArguments) -> list[str]:
    """How the user reaches each leaf, as a name: parameter, then keys."""
    names: list[str] = []
    parameters = list(signature.parameters.values())
    for k, value in enumerate(bound.args):
        parameter = parameters[min(k, len(parameters) - 1)]
        root = parameter.name if parameter.kind is not parameter.VAR_POSITIONAL else f"{parameter.name}_{k}"
        names += nest.leaf_names(value, root)
    for name in sorted(bound.kwargs):
        names += nest.leaf_names(bound.kwargs[name], name)
    return [_readable(n) for n in names]


def _readable(path: str) -> str:
    """params['w'][0] as params_w_0."""
    short = path.replace("']", "").replace("['", "_").replace("]", "").replace("[", "_")
    text = "".join(c if c.isalnum() or c == "_" else "_" for c in short)
    return text.strip("_") or "x"
