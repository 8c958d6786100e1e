"""Operators, methods and properties of expressions, each the public function of that name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import complex_numbers, diagonals, elementwise, indexing, linear, reductions, shapes  # noqa: F401  (they register the functions)
from .node import FUNCTIONS, Expr

# operator -> public function; each but the comparisons also has its reflected form.
_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}
_COMPARISONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}
_UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert", "round": "round"}

_METHODS = (
    "sum", "prod", "mean", "var", "std", "min", "max", "ptp", "any", "all", "argmin", "argmax", "cumsum", "cumprod",
    "dot", "astype", "ravel", "squeeze", "swapaxes", "repeat", "take", "clip", "round", "conj", "trace", "diagonal",
)


def _binary(name: str) -> Callable[[Any, Any], Any]:
    function = FUNCTIONS[name]

    def operate(self: Expr, other: Any) -> Any:
        return function(self, other) if _operand(other) else NotImplemented

    return operate


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    function = FUNCTIONS[name]

    def operate(self: Expr, other: Any) -> Any:
        return function(other, self) if _operand(other) else NotImplemented

    return operate


def _operand(other: Any) -> bool:
    """Whether an operator takes `other`; None, strings, dicts and functions are left to Python's own TypeError."""
    return not (other is None or isinstance(other, (str, bytes, dict, set, slice)) or callable(other))


def _method(name: str) -> Callable[..., Any]:
    function = FUNCTIONS[name]

    def method(self: Expr, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = function.__doc__
    return method


def _reshape(self: Expr, *shape: Any, order: str = "C") -> Any:
    """`x.reshape(2, 3)` or `x.reshape((2, 3))`: see `reshape`."""
    return FUNCTIONS["reshape"](self, shape[0] if len(shape) == 1 else shape, order=order)


def _transpose(self: Expr, *axes: Any) -> Any:
    """`x.transpose()`, `x.transpose(1, 0)` or `x.transpose((1, 0))`: see `transpose`."""
    return FUNCTIONS["transpose"](self, axes[0] if len(axes) == 1 else axes or None)


def _eval(self: Expr, device: str = "cpu") -> Any:
    """The value of an expression without free variables, computed on `device`; with free variables it raises."""
    return FUNCTIONS["_evaluate"](self, device)


def _item(self: Expr, *index: int) -> Any:
    """The one element of an expression without free variables, as a Python number; with free variables it raises."""
    return FUNCTIONS["_evaluate"](self).item(*index)


def _tolist(self: Expr) -> Any:
    """The value of an expression without free variables as nested lists; with free variables it raises."""
    return FUNCTIONS["_evaluate"](self).tolist()


def _divmod(self: Expr, other: Any) -> Any:
    return elementwise.divmod_(self, other)


def _rdivmod(self: Expr, other: Any) -> Any:
    return elementwise.divmod_(other, self)


def _array_namespace(self: Expr, api_version: str | None = None) -> Any:
    import importlib

    return importlib.import_module(__name__.rpartition(".dsl")[0])


def install() -> None:
    """Give `Expr` its operators, methods and properties."""
    for operator, name in _BINARY.items():
        setattr(Expr, f"__{operator}__", _binary(name))
        setattr(Expr, f"__r{operator}__", _reflected(name))
    for operator, name in _COMPARISONS.items():
        setattr(Expr, f"__{operator}__", _binary(name))
    for operator, name in _UNARY.items():
        setattr(Expr, f"__{operator}__", _method(name))
    for name in _METHODS:
        setattr(Expr, name, _method(name))
    own: dict[str, Any] = {
        "__divmod__": _divmod, "__rdivmod__": _rdivmod, "__getitem__": _method("getitem"), "reshape": _reshape,
        "transpose": _transpose, "flatten": _method("ravel"), "copy": lambda self: self, "eval": _eval,
        "item": _item, "tolist": _tolist,
        "__array_namespace__": _array_namespace,
        "T": property(lambda self: FUNCTIONS["transpose"](self), doc="The axes in reverse order."),
        "mT": property(lambda self: FUNCTIONS["matrix_transpose"](self), doc="The last two axes swapped."),
        "at": property(indexing.At, doc="`x.at[index].set(v)` and its kin: `x` with a region changed."),
        "real": property(lambda self: FUNCTIONS["real"](self)),
        "imag": property(lambda self: FUNCTIONS["imag"](self)),
    }
    for name, member in own.items():
        setattr(Expr, name, member)


install()
