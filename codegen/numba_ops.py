"""The machine operations as Python expressions for Numba: the same bits as the instructions of codegen/llvm_ops.py.

Numba widens small integers and mixes signed with unsigned ones into floats; so every literal carries its dtype and
every result that Numba would widen is narrowed again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..dsl.errors import CompileError
from .machine import LIBM
from .mathematics import routine
from .program import Literal

# Definitions that a text needs beside its kernels, by name; a text holds those that it uses.
HELPERS: dict[str, str] = {
    "fma": '''
@intrinsic
def fma(typing, a, b, c):
    """a*b + c, rounded once."""
    return a(a, b, c), lambda context, builder, signature, arguments: builder.fma(*arguments)
''',
    "maximum": '''
def extreme(name):
    """NaN wins, and -0 < +0."""
    @intrinsic
    def function(typing, a, b):
        def build(context, builder, signature, arguments):
            kind = arguments[0].type
            called = builder.module.declare_intrinsic(name, [kind], ir.FunctionType(kind, [kind, kind]))
            return builder.call(called, arguments)
        return a(a, b), build
    return function


maximum, minimum = extreme("llvm.maximum"), extreme("llvm.minimum")
''',
    "bitcast": '''
def bitcast(to):
    """The bits of a value, read as another type of the same width."""
    @intrinsic
    def function(typing, a):
        def build(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], context.get_value_type(to))
        return to(a), build
    return function


as_int32, as_uint32, as_float32 = bitcast(types.int32), bitcast(types.uint32), bitcast(types.float32)
as_int64, as_uint64, as_float64 = bitcast(types.int64), bitcast(types.uint64), bitcast(types.float64)
''',
    "quotient": '''
@njit(error_model="numpy")
def quotient(a, b):
    """a // b with Python's sign, 0 where b is 0; the lowest integer over -1 wraps."""
    if b == 0:
        return b - b
    return -a if b == -1 else a // b


@njit(error_model="numpy")
def remainder(a, b):
    """a % b with the sign of b, 0 where b is 0."""
    return b - b if b == 0 or b == -1 else a % b
''',
    "quotient_unsigned": '''
@njit(error_model="numpy")
def quotient_unsigned(a, b):
    """a // b, 0 where b is 0."""
    return b - b if b == 0 else a // b


@njit(error_model="numpy")
def remainder_unsigned(a, b):
    """a % b, 0 where b is 0."""
    return b - b if b == 0 else a % b
''',
}  # fmt: skip

_FLOAT_DIVISION = '''
@njit(error_model="numpy")
def remainder_DTYPE(a, b):
    """a % b with the sign of b."""
    rest = np.fmod(a, b)
    if rest == 0:
        return math.copysign(rest, b)
    return rest + b if (b < 0) != (rest < 0) else rest


@njit(error_model="numpy")
def quotient_DTYPE(a, b):
    """a // b, rounded to a whole number."""
    if b == 0:
        return a / b
    rest = np.fmod(a, b)
    whole = (a - rest) / b
    if rest != 0 and (b < 0) != (rest < 0):
        whole = whole - np.DTYPE(1)
    if whole == 0:
        return math.copysign(whole, a / b)
    floor = np.floor(whole)
    return floor + np.DTYPE(1) if whole - floor > np.DTYPE(0.5) else floor
'''
HELPERS |= {f"quotient_{d}": _FLOAT_DIVISION.replace("DTYPE", d) for d in ("float32", "float64")}

NARROW = ("int8", "int16", "int32", "uint8", "uint16", "uint32")
COMPARE = {"equal": "==", "not_equal": "!=", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">="}
INFIX = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "^",
}
BOOLEAN = {"add": "or", "multiply": "and", "maximum": "or", "minimum": "and", "bitwise_and": "and",
           "bitwise_or": "or", "bitwise_xor": "!=", "logical_and": "and", "logical_or": "or", "logical_xor": "!=",
           "subtract": "!="}  # fmt: skip
UNARY = {"negative": "-{}", "abs": "abs({})", "sqrt": "math.sqrt({})", "floor": "np.floor({})", "ceil": "np.ceil({})",
         "trunc": "np.trunc({})", "round": "np.rint({})", "stop_gradient": "{}"}  # fmt: skip


def literal_text(literal: Literal) -> str:
    """A literal that has its dtype under Numba."""
    value = literal.value
    if literal.dtype == "bool":
        return str(bool(value))
    if literal.dtype.startswith("float"):
        text = (
            repr(value)
            if math.isfinite(value)
            else "np.nan"
            if value != value
            else "np.inf"
            if value > 0
            else "-np.inf"
        )
        return text if literal.dtype == "float64" else f"np.float32({text})"
    return str(value) if literal.dtype == "int64" else f"np.{literal.dtype}({value})"


class Expressions:
    """Prints operations; `helpers` and `library` collect what they need."""

    def __init__(self) -> None:
        self.helpers: set[str] = set()
        self.library: dict[str, tuple[str, int]] = {}
        self.routines: dict[str, tuple[str, str]] = {}

    def operation(self, op: str, dtype: str, args: Sequence[str], kinds: Sequence[str]) -> str:
        """The expression of `op` with result `dtype` on argument texts of dtypes `kinds`."""
        text = self._operation(op, dtype, args, kinds)
        return f"np.{dtype}({text})" if dtype in NARROW and op not in ("cast", "bitcast", "stop_gradient") else text

    def _operation(self, op: str, dtype: str, args: Sequence[str], kinds: Sequence[str]) -> str:
        kind = kinds[-1]
        if op in COMPARE:
            return f"{args[0]} {COMPARE[op]} {args[1]}"
        if kind == "bool" and op in BOOLEAN:
            return f"{args[0]} {BOOLEAN[op]} {args[1]}"
        if op in ("logical_and", "logical_or", "logical_xor"):
            return f"({_truth(args[0], kind)}) {BOOLEAN[op]} ({_truth(args[1], kind)})"
        if op == "logical_not" or (op == "bitwise_invert" and kind == "bool"):
            return f"not {args[0]}" if kind == "bool" else f"{args[0]} == 0"
        if op in INFIX:
            return f"{args[0]} {INFIX[op]} {args[1]}"
        if op in ("floor", "ceil", "trunc", "round") and not kind.startswith("float"):
            return args[0]
        if op == "abs" and not kind.startswith(("float", "int")):
            return args[0]
        if op in UNARY:
            return UNARY[op].format(args[0])
        special = _SPECIAL.get(op)
        if special:
            return special(self, dtype, args, kinds)
        return self._function(op, kind, args)

    def _function(self, op: str, kind: str, args: Sequence[str]) -> str:
        name = f"{op}_{kind}"
        if routine(op, kind) is not None:
            self.routines[name] = (op, kind)
        elif op in LIBM and kind.startswith("float"):
            name = self.library_name(op, kind, len(args))
        else:
            raise CompileError(f"the CPU target knows no operation {op!r} on {kind}")
        return f"{name}({', '.join(args)})"

    def library_name(self, op: str, kind: str, count: int) -> str:
        symbol = LIBM[op] + ("f" if kind == "float32" else "")
        self.library[f"c_{symbol}"] = (kind, count)
        return f"c_{symbol}"


def _truth(text: str, dtype: str) -> str:
    return text if dtype == "bool" else f"{text} != 0"


def _where(o: Expressions, dtype: str, args: Sequence[str], kinds: Sequence[str]) -> str:
    return f"{args[1]} if {_truth(args[0], kinds[0])} else {args[2]}"


def _mask(o: Expressions, dtype: str, args: Sequence[str], kinds: Sequence[str]) -> str:
    return f"{args[1]} if {_truth(args[0], kinds[0])} else {literal_text(Literal.of(0, dtype))}"


def _fma(o: Expressions, dtype: str, args: Sequence[str], kinds: Sequence[str]) -> str:
    o.helpers.add("fma")
    return f"fma({', '.join(args)})"


def _copysign(o: Expressions, dtype: str, args: Sequence[str], kinds: Sequence[str]) -> str:
    return f"math.copysign({', '.join(args)})"


def _extreme(name: str) -> Callable:
    def text(o: Expressions, dtype: str, args: Sequence[str], kinds: Sequence[str]) -> str:
        if not dtype.startswith("float"):
            return f"{name[:3]}({', '.join(args)})"
        o.helpers.add("maximum")
        return f"{name}({', '.join(args)})"

    return text


def _division(name: str) -> Callable:
    def text(o: Expressions, dtype: str, args: Sequence[str], kinds: Sequence[str]) -> str:
        suffix = "_" + dtype if dtype.startswith("float") else "_unsigned" if dtype.startswith("uint") else ""
        o.helpers.add("quotient" + suffix)
        return f"{name}{suffix}({', '.join(args)})"

    return text


def _shift(o: Expressions, dtype: str, args: Sequence[str], kinds: Sequence[str], left: bool) -> str:
    bits, zero, minus = dtype.lstrip("uint"), literal_text(Literal.of(0, dtype)), literal_text(Literal.of(-1, "int64"))
    inside = f"0 <= {args[1]} < {bits}"
    if left:
        return f"{args[0]} << {args[1]} if {inside} else {zero}"
    beyond = zero if dtype.startswith("u") else f"({minus} if {args[0]} < 0 else 0)"
    return f"{args[0]} >> {args[1]} if {inside} else {beyond}"


def _cast(o: Expressions, dtype: str, args: Sequence[str], kinds: Sequence[str]) -> str:
    have, text = kinds[0], args[0]
    if have == dtype:
        return text
    if dtype == "bool":
        return _truth(text, have)
    if have.startswith("float") and dtype in ("int8", "int16", "uint8", "uint16"):
        return f"np.{dtype}(np.int32({text}))"
    if have.startswith("float") and dtype == "uint32":
        return f"np.uint32(np.int64({text}))"
    return f"np.{dtype}({text})"


def _bitcast(o: Expressions, dtype: str, args: Sequence[str], kinds: Sequence[str]) -> str:
    if kinds[0].startswith("float") == dtype.startswith("float"):
        return _cast(o, dtype, args, kinds)
    o.helpers.add("bitcast")
    return f"as_{dtype}({args[0]})"


_SPECIAL: dict[str, Callable] = {
    "where": _where, "mask": _mask, "fma": _fma, "copysign": _copysign, "cast": _cast, "bitcast": _bitcast,
    "maximum": _extreme("maximum"), "minimum": _extreme("minimum"),
    "floor_divide": _division("quotient"), "remainder": _division("remainder"),
    "bitwise_left_shift": lambda o, d, a, k: _shift(o, d, a, k, True),
    "bitwise_right_shift": lambda o, d, a, k: _shift(o, d, a, k, False),
    "bitwise_invert": lambda o, d, a, k: f"~{a[0]}",
}  # fmt: skip
