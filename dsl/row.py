"""What a row of the table of scalar operations holds, and the dtype rules that it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from . import ops_numpy
from .errors import DTypeError

Point = tuple[float, ...]
Special = tuple[Point, float, tuple[float | None, ...]]     # arguments, value, partials (None: not asked)
_WEAK: dict[type, Any] = {int: 0, float: 0.0, complex: 0j}        # Python numbers never widen an array (NEP 50)


@dataclass(frozen=True, eq=False)
class Row:
    """One scalar operation.

    `meaning` is sympy text over `args` ("" where sympy has no word for it, such as bit operations).
    `kind` is the dtype rule: 'float' (integers become float64), 'numeric' (the common dtype), 'compare' (common dtype,
    bool result), 'logical' (bool in and out), 'test' (own dtype in, bool out), 'integer', 'select' (a bool, then the
    common dtype), 'cast'.
    `function` computes it on NumPy arrays. `infix` and `precedence` (Python's) say how it is written, `latex` with #1,
    #2 for arguments. `domain` has an interval for each argument, inside which the operation is smooth except as `kinks`
    says; `edges` are further points where it is smooth and hard; `special` are points with their value and partials
    spelt out.
    `tolerance` counts units of epsilon, relative to the value plus `absolute`.
    `jumps`: piecewise constant, so there is no derivative and a gradient that has no other path is refused.
    `linear`: the derivative along tangents is the row itself applied to them (bool arguments kept).
    `complex`: it takes complex numbers too; where the result is complex the partials are its complex derivative.
    """

    name: str
    args: tuple[str, ...]
    meaning: str
    kind: str
    function: Callable[..., Any] = field(repr=False)
    aliases: tuple[str, ...] = ()
    infix: str = ""
    precedence: int = 18
    latex: str = ""
    domain: tuple[tuple[float, float], ...] = ()
    edges: tuple[Point, ...] = ()
    special: tuple[Special, ...] = ()
    tolerance: float = 4.0
    absolute: float = 0.0
    kinks: str = ""
    jumps: bool = False
    linear: bool = False
    complex: bool = False

    def numpy(self, *arrays: Any, dtype: Any = None) -> np.ndarray:
        """The operation on arrays or Python numbers, with the dtype of `result_dtype`; `dtype` is for the casts only.

        >>> from pullback.dsl.ops import ROWS
        >>> ROWS["divide"].numpy(np.array([1, 2]), 4)
        array([0.25, 0.5 ])
        """
        arrays = tuple(a if type(a) in _WEAK else np.asarray(a) for a in arrays)
        operands, result = self.signature(*(a if type(a) in _WEAK else a.dtype for a in arrays), dtype=dtype)
        cast = [np.asarray(a).astype(d, copy=False) for a, d in zip(arrays, operands, strict=True)]
        with np.errstate(all="ignore"):
            if self.kind == "cast":
                return self.function(*cast, result)
            return np.asarray(self.function(*cast)).astype(result, copy=False)

    def signature(self, *operands: Any, dtype: Any = None) -> tuple[tuple[np.dtype, ...], np.dtype]:
        """The dtypes that operands are cast to, and that of the result. Python numbers stand for weak operands."""
        if len(operands) != len(self.args):
            raise TypeError(f"{self.name}({', '.join(self.args)}) takes {len(self.args)} operands, got {len(operands)}")
        kinds = tuple(type(o) if type(o) in _WEAK else np.dtype(bool if isinstance(o, bool) else o) for o in operands)
        if self.kind == "cast":
            return (_supported(self, _common(kinds)),), _supported(self, np.dtype(dtype))
        return _signature(self, kinds)

    def tex(self, *args: str) -> str:
        """LaTeX of the operation on LaTeX texts."""
        places = ", ".join(f"#{i + 1}" for i in range(len(args)))
        name = self.name.replace("_", r"\_")
        text = self.latex or rf"\operatorname{{{name}}}\left({places}\right)"
        for i, arg in enumerate(args):
            text = text.replace(f"#{i + 1}", arg)
        return text

    def close(self, actual: Any, expected: Any, factor: float = 1.0) -> np.ndarray:
        """Where `actual` agrees with `expected` to `factor` times the tolerance of its precision; NaN equals NaN."""
        actual, expected = np.asarray(actual), np.asarray(expected)
        if actual.dtype.kind != "f":
            return actual == expected
        with np.errstate(all="ignore"):
            limits = np.finfo(actual.dtype)
            bound = factor * self.tolerance * limits.eps * (np.abs(expected) + self.absolute) + limits.tiny
            near = np.abs(actual.astype(np.float64) - expected) <= bound
            same = actual == expected.astype(actual.dtype)
        return (near & np.isfinite(actual)) | same | (np.isnan(actual) & np.isnan(expected))


def entry(name: str, args: str, meaning: str, kind: str, function: Callable[..., Any] | None = None,
          **fields: Any) -> Row:
    """A row whose arguments are one text; unless given, it is computed by the function of its name here or in NumPy."""
    names = tuple(args.split())
    fields.setdefault("domain", ((-3.0, 3.0),) * len(names))
    return Row(name, names, meaning, kind, function or getattr(ops_numpy, name, None) or getattr(np, name), **fields)


@cache
def _signature(row: Row, operands: tuple[Any, ...]) -> tuple[tuple[np.dtype, ...], np.dtype]:
    types, result = _RULES[row.kind](row, operands)
    for dtype in (*types, result):
        _supported(row, dtype)
    return types, result


def _common(operands: tuple[Any, ...]) -> np.dtype:
    return np.result_type(*(_WEAK.get(o, o) for o in operands))


def _supported(row: Row, dtype: np.dtype) -> np.dtype:
    if dtype.kind == "c" and dtype.itemsize <= 16:
        if not row.complex:
            raise DTypeError(f"{row.name} takes floats, integers and bools, got {dtype}: take pb.real(z), pb.imag(z) "
                             "or abs(z)")
    elif dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise DTypeError(f"{row.name} takes floats, integers and bools of at most 8 bytes, got {dtype}; "
                         "convert the array with .astype('float64') first")
    return dtype


def _float(row: Row, operands: tuple[Any, ...]) -> tuple[tuple[np.dtype, ...], np.dtype]:
    result = _common(operands)
    if result.kind in "biu":
        result = np.dtype(np.float64)
    return (result,) * len(operands), result


def _numeric(row: Row, operands: tuple[Any, ...]) -> tuple[tuple[np.dtype, ...], np.dtype]:
    result = _common(operands)
    if isinstance(row.function, np.ufunc):
        try:
            result = row.function.resolve_dtypes((*operands, None))[-1]
        except TypeError:
            _supported(row, result)
            wanted = "integers or bools" if row.kind == "integer" else "numbers"
            hint = "use pb.logical_not or pb.logical_xor" if result.kind == "b" else "convert them with .astype"
            found = ", ".join(o.__name__ if isinstance(o, type) else str(o) for o in operands)
            raise DTypeError(f"{row.name} takes {wanted}, got {found}; {hint}") from None
    common = _common(operands) if row.name == "abs" else result         # of complex numbers it is a float
    return (common,) * len(operands), result


def _compare(row: Row, operands: tuple[Any, ...]) -> tuple[tuple[np.dtype, ...], np.dtype]:
    return (_common(operands),) * len(operands), np.dtype(bool)


def _logical(row: Row, operands: tuple[Any, ...]) -> tuple[tuple[np.dtype, ...], np.dtype]:
    return (np.dtype(bool),) * len(operands), np.dtype(bool)


def _test(row: Row, operands: tuple[Any, ...]) -> tuple[tuple[np.dtype, ...], np.dtype]:
    return (_common(operands),), np.dtype(bool)


def _select(row: Row, operands: tuple[Any, ...]) -> tuple[tuple[np.dtype, ...], np.dtype]:
    result = _common(operands[1:])
    return (np.dtype(bool), *(result,) * (len(operands) - 1)), result


_RULES: dict[str, Callable[[Row, tuple[Any, ...]], tuple[tuple[np.dtype, ...], np.dtype]]] = {
    "float": _float, "numeric": _numeric, "integer": _numeric, "compare": _compare, "logical": _logical, "test": _test,
    "select": _select,
}
