"""NumPy's dispatch: np.sin(x), np.sum(x), ndarray @ x and the like on expressions call the public functions."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .aliases import ALIASES, find
from .errors import PullbackError
from .node import FUNCTIONS, Expr


class NoSuchFunction(PullbackError, TypeError):
    """A NumPy function, or a form of one, that has no meaning on expressions here."""


_METHODS = {
    ("add", "reduce"): "pb.sum(x, axis)", ("multiply", "reduce"): "pb.prod(x, axis)",
    ("maximum", "reduce"): "pb.max(x, axis)", ("minimum", "reduce"): "pb.min(x, axis)",
    ("logical_and", "reduce"): "pb.all(x, axis)",
    ("logical_or", "reduce"): "pb.any(x, axis)", ("add", "accumulate"): "pb.cumsum(x, axis)",
    ("multiply", "accumulate"): "pb.cumprod(x, axis)", ("add", "at"): "x.at[index].add(v)",
    ("multiply", "at"): "x.at[index].multiply(v)", ("maximum", "at"): "x.at[index].max(v)",
    ("minimum", "at"): "x.at[index].min(v)",
}


def array_ufunc(ufunc: np.ufunc, method: str, inputs: tuple, kwargs: dict[str, Any]) -> Any:
    """A NumPy ufunc with an expression among its arguments. NoSuchFunction for `out=`, methods and unknown names."""
    name = ufunc.__name__
    if method != "__call__":
        otherwise = f"pb.{name}(a[:, None], b)" if method == "outer" else "a function of the array"
        hint = _METHODS.get((name, method), otherwise)
        raise NoSuchFunction(f"np.{name}.{method} does not take expressions: write {hint}")
    if kwargs.get("out") is not None:
        raise NoSuchFunction(f"np.{name} cannot write an expression into out=; an ndarray is not changed in place by "
                             "one: write a = a + x instead of a += x")
    given = [k for k, v in kwargs.items() if v is not None]
    if given:
        raise NoSuchFunction(f"np.{name} on expressions takes no {', '.join(given)}=: "
                             "write pb.where or .astype instead")
    return _found(name, f"np.{name}")(*inputs)


def array_function(function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    """Another NumPy function with an expression among its arguments."""
    name = function.__name__
    label = f"{function.__module__.replace('numpy', 'np', 1)}.{name}"
    if kwargs.get("out") is not None:
        raise NoSuchFunction(f"{label} cannot write an expression into out=: expressions are immutable")
    kwargs = {k: v for k, v in kwargs.items() if k != "out"}
    if name in _ABOUT_TYPES:
        return _ABOUT_TYPES[name](*args, **kwargs)
    for part in ("fft", "linalg"):
        if label.startswith(f"np.{part}."):
            importlib.import_module(f".{part}", __package__)
    target = _found(name, label)
    if not args:                                   # np.sum(a=x): here the first argument has no public name
        first = next(iter(kwargs))
        args = (kwargs.pop(first),)
    return target(*args, **kwargs)


def _found(name: str, label: str) -> Callable[..., Any]:
    function = find(name)
    if function is None or name.startswith("_"):
        known = [n for n in (*FUNCTIONS, *ALIASES) if not n.startswith("_")]
        near = difflib.get_close_matches(name, known, 3)
        hint = f"near it: {', '.join('pb.' + n for n in near)}" if near else "see the names in pullback's namespace"
        raise NoSuchFunction(f"{label} does not take expressions; {hint}; build it from these, "
                             "or compute it with NumPy before the expression")
    return function


def _result_type(*values: Any) -> np.dtype:
    """np.result_type; an expression counts as its dtype."""
    return np.result_type(*[v.dtype if isinstance(v, Expr) else v for v in values])


_ABOUT_TYPES: dict[str, Callable[..., Any]] = {
    "result_type": _result_type,
    "iscomplexobj": lambda x: x.dtype is not None and x.dtype.kind == "c",
    "isrealobj": lambda x: x.dtype is None or x.dtype.kind != "c",
    "copy": lambda x, *_, **__: x,
    "may_share_memory": lambda *_: False,
    "shares_memory": lambda *_: False,
}

FUNCTIONS["_array_ufunc"] = array_ufunc
FUNCTIONS["_array_function"] = array_function
