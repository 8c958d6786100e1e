"""Public functions over expressions: run at once where types are known, kept as written where they are not.

A function decorated with `surface` sees typed expressions, Python scalars and static values only. Given an untyped
expression the call itself becomes a node, `call`, which `specialize` runs again when the arrays of a call give every
variable its type.
"""

from __future__ import annotations

import functools
import keyword
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import size as sizes
from .errors import DTypeError, PullbackError, ShapeError
from .lines import user_line
from .node import FUNCTIONS, Constant, Expr, frozen, make, rewrite, where
from .size import Dim, Size

Function = Callable[..., Any]
# By id: expressions compare elementwise, so they make no dictionary keys.
_weak_results: weakref.WeakValueDictionary[int, Expr] = weakref.WeakValueDictionary()
_counts: dict[str, Any] = {}       # of the results of functions that return several; see `several`


def surface(function: Function) -> Function:
    """Register `function` under its name and let it take arrays, sizes and untyped expressions."""
    name = function.__name__.rstrip("_")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = _converted(args), {k: _converted(v) for k, v in kwargs.items()}
        leaves: list[Expr] = []
        _collect((args, kwargs), leaves)
        if any(leaf.dtype is None for leaf in leaves):
            return _defer(name, function, args, kwargs, leaves)
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    FUNCTIONS[name] = call
    return call


def several(count: Any) -> Callable[[Function], Function]:
    """Mark a function that returns several expressions: how many `count` tells from the arguments, also of untyped;
    or it is the NamedTuple that they are returned in.
    """

    def mark(function: Function) -> Function:
        _counts[function.__name__.rstrip("_")] = count
        return function

    return mark


def is_weak(value: Any) -> bool:
    """Whether `value` stands for a Python number: one itself, a size, an input of that kind, or computed from these."""
    if not isinstance(value, Expr):
        return isinstance(value, (bool, int, float, complex, Size))
    return value.op == "size" or value.op == "var" and "weak" in value.attrs or _weak_results.get(id(value)) is value


def mark_weak(result: Expr) -> None:
    """Note that `result` was computed from Python numbers alone."""
    _weak_results[id(result)] = result


def as_expr(value: Any, dtype: Any = None) -> Expr:
    """`value` as an expression: arrays are copied as they are now, a Python number takes `dtype` (default: its own)."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, Size):
        return size_value(value, dtype or np.int64)
    if isinstance(value, (list, tuple)) and any(isinstance(v, (Expr, Size)) for v in _flat(value)):
        return FUNCTIONS["stack"]([as_expr(v) for v in value])
    foreign: Any = value if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray) else None
    array = np.asarray(value, dtype=dtype) if foreign is None else np.asarray(np.from_dlpack(foreign))
    if array.dtype == object and array.size and all(isinstance(v, (Size, int, float, complex)) for v in array.flat):
        return as_expr(array.tolist() if array.ndim else array.item(), dtype)       # np.arange(n), np.array([n, 2])
    if not available(array.dtype):
        raise DTypeError(f"an array of dtype {array.dtype} cannot enter an expression: bool, integers, float32, "
                         "float64, complex64 and complex128 can; convert it with .astype(...)")
    return constant(array)


def constant(array: Any) -> Expr:
    """A captured array or scalar of native byte order."""
    array = np.asarray(array)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return make("const", (), (Constant(array),), array.dtype, array.shape)


def size_value(size: Dim, dtype: Any = np.int64) -> Expr:
    """A size as a 0-d value."""
    if not isinstance(size, Size):
        return constant(np.asarray(size, dtype))
    return make("size", (), (size,), dtype, ())


sizes.lift = size_value


class Var:
    """`Var(name, shape=None, dtype=None)`: a named input of a program.

    `shape`: None (nothing is known) or a tuple of ints, names (equal names are equal sizes) and None (any size).
    Nothing need be declared; what is declared is checked where it is used and when the program is called.

    Raises ValueError for a name that is no Python identifier or is a keyword.

    >>> import pullback as pb
    >>> pb.Var('w') @ pb.Var('x') + 1
    w @ x + 1
    """

    def __new__(cls, name: str, shape: Any = None, dtype: Any = None) -> Expr:  # type: ignore[misc]
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f"a variable's name is a Python identifier that is no keyword, not {name!r}: "
                             "write for example Var('x')")
        if shape is not None:
            shape = (shape,) if isinstance(shape, (int, str)) else tuple(shape)
            for dim in shape:
                named = isinstance(dim, str) and dim.isidentifier()
                if not (dim is None or named or isinstance(dim, (int, np.integer)) and dim >= 0):
                    raise ShapeError(f"a shape is a tuple of sizes, names and None, not {shape!r} (dimension {dim!r})")
        dtype = None if dtype is None else input_dtype(np.dtype(dtype), name)
        shadow = None
        if shape is not None:
            dims = tuple(_declared_size(name, axis, dim) for axis, dim in enumerate(shape))
            shadow = make("var", (), (name,), dtype or np.float64, dims)
        return make("var", (), (name, shape, None if dtype is None else dtype.str), None, None, shadow)


def _declared_size(name: str, axis: int, dim: Any) -> Dim:
    if isinstance(dim, str):
        return sizes.symbol(dim)
    return sizes.symbol(f"{name}_{axis}") if dim is None else int(dim)


def available(dtype: np.dtype) -> bool:
    """Whether kernels take elements of `dtype`."""
    if dtype.kind == "c":
        return dtype.itemsize <= 16
    return dtype.kind in "biuf" and dtype.itemsize <= 8 and dtype != np.float16


def input_dtype(dtype: np.dtype, name: str) -> np.dtype:
    """`dtype` in native byte order; DTypeError for what no kernel takes."""
    if not available(dtype):
        raise DTypeError(f"argument {name!r} has dtype {dtype}: expected bool, an integer type, float32, float64, "
                         "complex64 or complex128; convert it with .astype(...)")
    return dtype.newbyteorder("=")


def specialize(roots: list[Expr], known: Mapping[Expr, Expr]) -> list[Expr]:
    """Typed `roots`: untyped variables become the typed expressions `known` gives, deferred calls run.

    Raises what the functions raise, with the line that the user wrote.
    """
    declared = declared_sizes(known)

    def rule(node: Expr, args: tuple[Expr, ...]) -> Expr:
        node = _with_sizes(node, declared) if declared else node
        if node.op == "call":
            try:
                result = run_call(node, args)
            except PullbackError as error:
                if node.lines and "written at" not in str(error):
                    raise type(error)(f"{error}\n  in {node}, written at {node.lines[0]}") from None
                raise
            return result
        if node.op == "item":
            return result_item(args[0], node.attrs[0])
        if node.op == "var" and node.dtype is None:
            raise PullbackError(f"the variable {node.attrs[0]!r} has no value{where(node)}")
        if all(a is b for a, b in zip(args, node.args, strict=True)):
            return node
        result = make(node.op, args, node.attrs, node.dtype, node.shape)
        if is_weak(node):
            mark_weak(result)
        return result

    return rewrite(roots, rule, known)


def declared_sizes(known: Mapping[Expr, Expr]) -> dict[str, Dim]:
    """What the sizes in the declarations of variables are in the typed expressions that stand for them."""
    found: dict[str, Dim] = {}
    for variable, given in known.items():
        if variable.op == "var" and variable.shadow is not None:
            for dim, actual in zip(variable.shadow.shape, given.shape, strict=False):
                if isinstance(dim, Size):
                    found.setdefault(str(dim), actual)
    return found


def _with_sizes(node: Expr, declared: Mapping[str, Dim]) -> Expr:
    """`node` with the sizes of declarations (from x.shape of a variable) replaced by those of the call."""

    def change(value: Any) -> Any:
        if isinstance(value, Size):
            return sizes.substitute(value, declared)
        if isinstance(value, slice):
            return slice(change(value.start), change(value.stop), change(value.step))
        return tuple(map(change, value)) if type(value) is tuple else value

    if node.op == "size":
        return size_value(change(node.attrs[0]), node.dtype)
    attrs, shape = change(node.attrs), node.shape if node.dtype is None else change(node.shape)
    if frozen(attrs) == frozen(node.attrs) and frozen(shape) == frozen(node.shape):
        return node
    return make(node.op, node.args, attrs, node.dtype, shape if node.dtype is not None else None, node.shadow)


def run_call(node: Expr, args: tuple[Expr, ...]) -> Expr:
    """Run the deferred call `node` on typed arguments; several results come back as one `pack`."""
    name, structure = node.attrs[:2]
    positional, named = _restore(structure, args)
    result = FUNCTIONS[name](*positional, **named)
    return result if isinstance(result, Expr) else make("pack", _flat_results(result), (name,))


def result_item(result: Expr, index: int) -> Expr:
    return result.args[index] if result.op == "pack" else make("item", (result,), (index,))


# ---- deferring --------------------------------------------------------------------------------------------------
def _defer(name: str, function: Function, args: Any, kwargs: Any, leaves: list[Expr]) -> Any:
    """The call as a node. Where every leaf has a declared shape the call also runs on the declarations, so that what
    does not fit is refused here, at the user's line, and `.shape` is known."""
    unique = tuple(dict.fromkeys(leaves))
    structure = _structure((args, tuple(sorted(kwargs.items()))), {leaf: i for i, leaf in enumerate(unique)})
    shadow = None
    shadows = [leaf if leaf.dtype is not None else leaf.shadow for leaf in unique]
    if all(s is not None for s in shadows):
        shadow = _shadow(function, structure, shadows)
    if isinstance(shadow, (tuple, list)):
        call = make("call", unique, (name, structure))
        items = [make("item", (call,), (i,), None, None, s) for i, s in enumerate(shadow)]
        return type(shadow)(*items) if hasattr(shadow, "_fields") else type(shadow)(items)
    if name in _counts:
        call, kind = make("call", unique, (name, structure)), _counts[name]
        if isinstance(kind, type):
            return kind(*(make("item", (call,), (i,)) for i in range(len(kind._fields))))  # type: ignore[attr-defined]
        return tuple(make("item", (call,), (i,)) for i in range(kind(*args, **kwargs)))
    return make("call", unique, (name, structure), None, None, shadow)


def _shadow(function: Function, structure: Any, shadows: list[Any]) -> Any:
    positional, named = _restore(structure, shadows)
    try:
        return function(*positional, **named)
    except ShapeError as error:
        if "not known before" in str(error):
            return None
        raise ShapeError(f"{error} (at {user_line()})") from None
    except PullbackError:              # the declared shape says nothing of the dtype
        return None


def _converted(value: Any) -> Any:
    """Arrays become constants; nests are walked; the rest stays."""
    if isinstance(value, np.generic):      # before float: np.float64 is one, and no weak scalar
        return as_expr(value)
    if isinstance(value, (Expr, str, bool, int, float, complex, Size, np.dtype, type)) or value is None:
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_converted, value))
    if isinstance(value, (tuple, list)):
        return type(value)(map(_converted, value))
    if isinstance(value, dict):
        return {k: _converted(v) for k, v in value.items()}
    if isinstance(value, np.ndarray) or hasattr(value, "__dlpack__"):
        return as_expr(value)
    return value


def _collect(value: Any, found: list[Expr]) -> None:
    if isinstance(value, Expr):
        found.append(value)
    elif isinstance(value, (tuple, list)):
        for v in value:
            _collect(v, found)
    elif isinstance(value, dict):
        for v in value.values():
            _collect(v, found)
    elif isinstance(value, slice):
        _collect((value.start, value.stop, value.step), found)


class _Leaf:
    """The place of an argument in the structure of a deferred call."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __hash__(self) -> int:
        return hash(("leaf", self.index))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Leaf) and self.index == other.index


def _structure(value: Any, places: dict[Expr, int]) -> Any:
    if isinstance(value, Expr):
        return _Leaf(places[value])
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return ("tuple", *(_structure(v, places) for v in value))
    if isinstance(value, (tuple, list)):
        return (type(value).__name__, *(_structure(v, places) for v in value))
    if isinstance(value, dict):
        return ("dict", *((k, _structure(v, places)) for k, v in value.items()))
    if isinstance(value, slice):
        return ("slice", *(_structure(v, places) for v in (value.start, value.stop, value.step)))
    return ("value", value)


def _restore(structure: Any, leaves: Any) -> Any:
    def restore(part: Any) -> Any:
        if isinstance(part, _Leaf):
            return leaves[part.index]
        kind, *rest = part
        if kind == "value":
            return rest[0]
        if kind == "dict":
            return {k: restore(v) for k, v in rest}
        if kind == "slice":
            return slice(*map(restore, rest))
        return (tuple if kind == "tuple" else list)(map(restore, rest))

    positional, named = restore(structure)
    return positional, dict(named)


def call_arguments(node: Expr) -> tuple[tuple, dict]:
    """The arguments of a deferred call as the user gave them, with expressions in place."""
    return _restore(node.attrs[1], node.args)


def _flat(value: Any) -> Any:
    for v in value:
        if isinstance(v, (list, tuple)):
            yield from _flat(v)
        else:
            yield v


def _flat_results(result: Any) -> tuple[Expr, ...]:
    return tuple(_flat(result if isinstance(result, (tuple, list)) else result.values()))
