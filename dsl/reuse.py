"""Programs of functions that are given again: compiled once for as long as nothing that they use has changed.

A function is known by its code and by what it holds: closures, defaults, and the globals that its code names, arrays by
their contents. What may change unseen, such as an instance of a user's class, makes a program that is not kept.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from .node import FUNCTIONS, Expr

_MOST = 256
_OWN = __name__.split(".")[0]
_programs: OrderedDict[Any, Any] = OrderedDict()
_ATOMS = (int, float, complex, str, bytes, bool, type(None), type(...), np.generic, np.dtype, types.ModuleType, type,
          types.BuiltinFunctionType, np.ufunc)


_CONSTANT = {_OWN, "numpy", "scipy", *sys.stdlib_module_names}


class _Unknown(Exception):
    """Something whose changes cannot be seen."""


def compiled_once(kind: tuple, function: Callable[..., Any], program: Callable[..., Any]) -> Any:
    """`program`, made of `function` in the way that `kind` says, compiled: the one from before where there is one."""
    try:
        key = (kind, _key(function, set()))
        found = _programs.get(key)
    except (_Unknown, TypeError, ValueError):
        return FUNCTIONS["_compile"](program)
    if found is None:
        found = _programs[key] = FUNCTIONS["_compile"](program)
        if len(_programs) > _MOST:
            _programs.popitem(last=False)
    return found


def _key(value: Any, seen: set[int]) -> Any:
    """What `value` is, as a key."""
    if isinstance(value, _ATOMS):
        return type(value), repr(value) if isinstance(value, (float, complex, np.generic)) else value
    if isinstance(value, Expr):
        return _Same(value)
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise _Unknown
        return "array", value.dtype.str, value.shape, hashlib.blake2b(np.ascontiguousarray(value).data).digest()
    if id(value) in seen:
        return "again"
    seen = seen | {id(value)}
    if isinstance(value, (list, tuple)):
        return type(value), tuple(_key(v, seen) for v in value)
    if type(value) is dict:
        return "dict", tuple((_key(k, seen), _key(v, seen)) for k, v in value.items())
    if isinstance(value, functools.partial):
        return "partial", _key((value.func, value.args, value.keywords), seen)
    if isinstance(value, types.FunctionType):
        return _of_function(value, seen)
    if _is_own(type(value)) and hasattr(value, "function"):
        fields = {k: v for k, v in vars(value).items() if k[0] != "_" and not isinstance(v, inspect.Signature)}
        return type(value), _key(fields, seen)
    raise _Unknown


def _of_function(function: types.FunctionType, seen: set[int]) -> Any:
    held = [] if _is_own(function) else _globals(function)
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError as error:
            raise _Unknown from error
    return (function.__code__, _key([*held, *cells], seen), _key(function.__defaults__, seen),
            _key(function.__kwdefaults__, seen))


def _is_own(value: Any) -> bool:
    """Whether something is defined in this package, where globals stay as they are."""
    return str(value.__module__).split(".")[0] == _OWN


def _globals(function: types.FunctionType) -> list[Any]:
    """The globals that the code of a function names, and what it names in modules of the user's."""
    names = _names(function.__code__)
    held = [function.__globals__[n] for n in names if n in function.__globals__]
    modules = [m for m in held if isinstance(m, types.ModuleType) and m.__name__.split(".")[0] not in _CONSTANT]
    return [*held, *(getattr(m, n) for m in modules for n in names if hasattr(m, n))]


def _names(code: types.CodeType) -> list[str]:
    """The names that code and the code inside it look up."""
    inner = [n for c in code.co_consts if isinstance(c, types.CodeType) for n in _names(c)]
    return sorted({*code.co_names, *inner})


class _Same:
    """An object as a key by identity, kept alive."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value
