"""How CUDA C++ spells the operations, literals and types of a Program.

One table from operation to expression. Where C++ and NumPy differ (NaN in `maximum`, Python's signs of `//`, shifts
by the width or more, wrapping integers) the expression calls a helper of `HELPERS`, whose text goes in front of the
kernels that use it. What is not in the table is a call of a `Routine` of `codegen.machine`, if there is one. Products
and sums are contracted to fused multiply-adds as the compiler likes (its default), so the last bit of a float may
differ from the CPU's.
"""

from __future__ import annotations

import math
import re

import numpy as np

from ..dsl.errors import CompileError
from .program import Literal, bits_of

C_TYPE: dict[str, str] = {
    "bool": "bool", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long",
    "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned", "uint64": "unsigned long long",
    "float32": "float", "float64": "double",
}

# {0} {1} {2}: arguments; {t}: C type of the result; {f}: suffix of the C library's float functions.
ANY: dict[str, str] = {
    "equal": "{0} == {1}", "not_equal": "{0} != {1}", "less": "{0} < {1}", "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}", "greater_equal": "{0} >= {1}",
    "logical_and": "{0} && {1}", "logical_or": "{0} || {1}", "logical_not": "!{0}",
    "logical_xor": "({0} != 0) != ({1} != 0)",
    "where": "{0} ? {1} : {2}", "mask": "{0} ? {1} : ({t})0",
    "cast": "({t}){0}", "stop_gradient": "{0}", "positive": "{0}",
}
FLOAT: dict[str, str] = {
    "add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}", "negative": "-{0}",
    "fma": "fma{f}({0}, {1}, {2})", "square": "{0} * {0}", "reciprocal": "({t})1 / {0}",
    "abs": "fabs{f}({0})", "sign": "{0} > 0 ? ({t})1 : {0} < 0 ? ({t})-1 : {0} == 0 ? ({t})0 : {0}",
    "copysign": "copysign{f}({0}, {1})", "heaviside": "{0} < 0 ? ({t})0 : {0} > 0 ? ({t})1 : {0} == 0 ? {1} : {0}",
    "floor": "floor{f}({0})", "ceil": "ceil{f}({0})", "trunc": "trunc{f}({0})", "round": "rint{f}({0})",
    "minimum": "pb_minimum({0}, {1})", "maximum": "pb_maximum({0}, {1})",
    "clip": "pb_minimum(pb_maximum({0}, {1}), {2})",
    "floor_divide": "pb_floor_divide_real({0}, {1})", "remainder": "pb_remainder_real({0}, {1})",
    "fmod": "fmod{f}({0}, {1})",
    "sqrt": "sqrt{f}({0})", "rsqrt": "rsqrt{f}({0})", "cbrt": "cbrt{f}({0})", "power": "pow{f}({0}, {1})",
    "hypot": "hypot{f}({0}, {1})",
    "exp": "exp{f}({0})", "exp2": "exp2{f}({0})", "expm1": "expm1{f}({0})",
    "log": "log{f}({0})", "log2": "log2{f}({0})", "log10": "log10{f}({0})", "log1p": "log1p{f}({0})",
    "sin": "sin{f}({0})", "cos": "cos{f}({0})", "tan": "tan{f}({0})",
    "asin": "asin{f}({0})", "acos": "acos{f}({0})", "atan": "atan{f}({0})", "atan2": "atan2{f}({0}, {1})",
    "sinh": "sinh{f}({0})", "cosh": "cosh{f}({0})", "tanh": "tanh{f}({0})",
    "asinh": "asinh{f}({0})", "acosh": "acosh{f}({0})", "atanh": "atanh{f}({0})",
    "erf": "erf{f}({0})", "erfc": "erfc{f}({0})", "erfinv": "erfinv{f}({0})", "gammaln": "lgamma{f}({0})",
    "gamma": "tgamma{f}({0})",
}
INTEGER: dict[str, str] = {
    "add": "pb_wrap_add({0}, {1})", "subtract": "pb_wrap_subtract({0}, {1})", "multiply": "pb_wrap_multiply({0}, {1})",
    "fma": "pb_wrap_add(pb_wrap_multiply({0}, {1}), {2})",
    "negative": "pb_wrap_subtract(({t})0, {0})", "square": "pb_wrap_multiply({0}, {0})",
    "abs": "{0} < 0 ? pb_wrap_subtract(({t})0, {0}) : {0}", "sign": "({t})(({0} > 0) - ({0} < 0))",
    "floor": "{0}", "ceil": "{0}", "trunc": "{0}", "round": "{0}",
    "minimum": "{1} < {0} ? {1} : {0}", "maximum": "{1} > {0} ? {1} : {0}",
    "clip": "{0} < {1} ? ({1} < {2} ? {1} : {2}) : ({0} < {2} ? {0} : {2})",
    "floor_divide": "pb_floor_divide({0}, {1})", "remainder": "pb_remainder({0}, {1})", "fmod": "pb_fmod({0}, {1})",
    "power": "pb_power({0}, {1})",
    "bitwise_and": "({t})({0} & {1})", "bitwise_or": "({t})({0} | {1})", "bitwise_xor": "({t})({0} ^ {1})",
    "bitwise_invert": "({t})~{0}",
    "bitwise_left_shift": "pb_left_shift({0}, {1})", "bitwise_right_shift": "pb_right_shift({0}, {1})",
}
BOOL: dict[str, str] = {
    "fma": "({0} & {1}) | {2}",
    "add": "{0} | {1}", "multiply": "{0} & {1}", "maximum": "{0} | {1}", "minimum": "{0} & {1}", "abs": "{0}",
    "square": "{0}",
    "bitwise_and": "{0} & {1}", "bitwise_or": "{0} | {1}", "bitwise_xor": "{0} ^ {1}", "bitwise_invert": "!{0}",
    "power": "{0} | !{1}",
}
# Tests of a float argument with a bool result; {t} and {f} follow the argument.
CLASSIFY: dict[str, str] = {
    "isnan": "{0} != {0}", "isinf": "fabs{f}({0}) == {inf}", "isfinite": "fabs{f}({0}) < {inf}",
    "signbit": "copysign{f}(({t})1, {0}) < 0",
}
_SHORT = ("fma", "abs", "copysign", "floor", "ceil", "trunc", "round", "sqrt", "rsqrt")
_INFINITY = {"float64": "__longlong_as_double(0x7ff0000000000000LL)", "float32": "__int_as_float(0x7f800000)"}

_BITCAST: dict[tuple[str, str], str] = {
    ("float64", "int64"): "__double_as_longlong({0})",
    ("float64", "uint64"): "(unsigned long long)__double_as_longlong({0})",
    ("int64", "float64"): "__longlong_as_double({0})", ("uint64", "float64"): "__longlong_as_double((long long){0})",
    ("float32", "int32"): "__float_as_int({0})", ("float32", "uint32"): "(unsigned)__float_as_int({0})",
    ("int32", "float32"): "__int_as_float({0})", ("uint32", "float32"): "__int_as_float((int){0})",
}

HELPERS: dict[str, str] = {
    "pb_maximum": """// NaN wins, as in NumPy
template <class T> __device__ T pb_maximum(T a, T b) { return a != a ? a : b != b ? b : fmax(a, b); }
""",
    "pb_minimum": """// NaN wins, as in NumPy
template <class T> __device__ T pb_minimum(T a, T b) { return a != a ? a : b != b ? b : fmin(a, b); }
""",
    "pb_wrap_add": """// integers wrap around
template <class T> __device__ T pb_wrap_add(T a, T b) { return (T)((unsigned long long)a + (unsigned long long)b); }
""",
    "pb_wrap_subtract": """// integers wrap around
template <class T> __device__ T pb_wrap_subtract(T a, T b) {
    return (T)((unsigned long long)a - (unsigned long long)b);
}
""",
    "pb_wrap_multiply": """// integers wrap around
template <class T> __device__ T pb_wrap_multiply(T a, T b) {
    return (T)((unsigned long long)a * (unsigned long long)b);
}
""",
    "pb_floor_divide": """// quotient rounded down; 0 for a divisor of 0
template <class T> __device__ T pb_floor_divide(T a, T b) {
    if (b == 0) return 0;
    if (T(-1) < T(0) && b == T(-1)) return (T)(0ULL - (unsigned long long)a);
    const T q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}
""",
    "pb_remainder": """// remainder with the sign of the divisor; 0 for a divisor of 0
template <class T> __device__ T pb_remainder(T a, T b) {
    if (b == 0 || (T(-1) < T(0) && b == T(-1))) return 0;
    const T r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
""",
    "pb_quotient": """// quotient of numbers that are not negative; 0 for a divisor of 0
template <class T> __device__ T pb_quotient(T a, T b) { return b == 0 ? 0 : a / b; }
""",
    "pb_modulo": """// remainder of numbers that are not negative; 0 for a divisor of 0
template <class T> __device__ T pb_modulo(T a, T b) { return b == 0 ? 0 : a % b; }
""",
    "pb_fmod": """// remainder with the sign of the dividend; 0 for a divisor of 0
template <class T> __device__ T pb_fmod(T a, T b) {
    return b == 0 || (T(-1) < T(0) && b == T(-1)) ? 0 : a % b;
}
""",
    "pb_power": """// integer power by squaring, wrapping around
template <class T> __device__ T pb_power(T a, T n) {
    unsigned long long result = 1, square = (unsigned long long)a;
    for (unsigned long long m = n < 0 ? 0 : (unsigned long long)n; m; m >>= 1, square *= square) {
        if (m & 1) result *= square;
    }
    return (T)result;
}
""",
    "pb_left_shift": """// 0 when the count is the width or more
template <class T> __device__ T pb_left_shift(T a, T n) {
    return (unsigned long long)n < 8 * sizeof(T) ? (T)((unsigned long long)a << (unsigned long long)n) : T(0);
}
""",
    "pb_right_shift": """// arithmetic; only the sign remains when the count is the width or more
template <class T> __device__ T pb_right_shift(T a, T n) {
    return (unsigned long long)n < 8 * sizeof(T) ? (T)(a >> n) : a < 0 ? T(-1) : T(0);
}
""",
    "pb_remainder_real": """// remainder with the sign of the divisor
template <class T> __device__ T pb_remainder_real(T a, T b) {
    const T r = fmod(a, b);
    return r != 0 ? ((b < 0) != (r < 0) ? r + b : r) : r == 0 ? copysign(T(0), b) : r;
}
""",
    "pb_floor_divide_real": """// quotient rounded down, from the exact remainder
template <class T> __device__ T pb_floor_divide_real(T a, T b) {
    if (b == 0) return a / b;
    const T r = fmod(a, b);
    const T q = (a - r) / b - (r != 0 && (b < 0) != (r < 0) ? T(1) : T(0));
    if (q == 0) return copysign(T(0), a / b);
    const T down = floor(q);
    return q - down > T(0.5) ? down + T(1) : down;
}
""",
    "pb_pack": """// N neighbours, moved by one instruction
template <class T, int N> struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) pb_pack { T v[N]; };
""",
}


def literal(constant: Literal) -> str:
    """The C++ literal of `constant`, exact to the bit."""
    value, dtype = constant.value, constant.dtype
    if dtype == "bool":
        return "true" if value else "false"
    if dtype in _INFINITY:
        return _float_literal(float(value), dtype)
    if dtype == "int64" and value == np.iinfo(np.int64).min:
        return "(-9223372036854775807LL - 1)"
    if dtype == "int32" and value == np.iinfo(np.int32).min:
        return "(-2147483647 - 1)"
    text = str(value) + {"int64": "LL", "uint64": "ULL", "uint32": "u"}.get(dtype, "")
    text = f"({C_TYPE[dtype]}){text}" if dtype in ("int8", "int16", "uint8", "uint16") else text
    return f"({text})" if value < 0 or text.startswith("(") else text


def _float_literal(value: float, dtype: str) -> str:
    if not math.isfinite(value):
        if value == math.inf:
            return _INFINITY[dtype]
        bits = bits_of(value, dtype)
        if dtype == "float64":
            return f"__longlong_as_double((long long)0x{bits:016x}ULL)"
        return f"__int_as_float((int)0x{bits:08x}u)"
    short = str(np.dtype(dtype).type(value))
    exact = short if len(short) < 10 else value.hex()
    text = exact + ("f" if dtype == "float32" else "")
    return f"({text})" if math.copysign(1.0, value) < 0 else text


def spell(op: str, dtype: str, args: list[str], arg_dtypes: list[str]) -> str | None:
    """The expression of `op` with result `dtype` on `args` (names, literals or calls); None where the table has no
    entry."""
    source = arg_dtypes[0] if arg_dtypes else dtype
    if op == "bitcast":
        return args[0] if source == dtype else _bitcast(source, dtype).format(*args)
    if op == "cast":
        return _cast(args[0], source, dtype)
    if op in CLASSIFY:
        if source not in _INFINITY:
            return {"isfinite": "true", "signbit": f"{args[0]} < 0"}.get(op, "false")
        return CLASSIFY[op].format(*args, f=_suffix(source), t=C_TYPE[source], inf=_INFINITY[source])
    table = FLOAT if dtype in _INFINITY else BOOL if dtype == "bool" else INTEGER
    template = ANY.get(op) or table.get(op)
    return template and template.format(*args, f=_suffix(dtype), t=C_TYPE[dtype])


def is_library_call(op: str, dtype: str) -> bool:
    """Whether `op` is a function of the library that takes more than a few instructions."""
    return dtype in _INFINITY and op in FLOAT and op not in _SHORT and re.match(r"\w+\{f\}\(", FLOAT[op]) is not None


def helpers_of(text: str) -> set[str]:
    """The helpers that `text` calls."""
    return set(re.findall(r"\bpb_\w+", text)) & HELPERS.keys()


def _suffix(dtype: str) -> str:
    return "f" if dtype == "float32" else ""


def _bitcast(source: str, dtype: str) -> str:
    if (source, dtype) in _BITCAST:
        return _BITCAST[source, dtype]
    if np.dtype(source).itemsize == np.dtype(dtype).itemsize and "float" not in source + dtype:
        return f"({C_TYPE[dtype]}){{0}}"
    raise CompileError(f"bitcast from {source} to {dtype} changes the width; give it a type of the same size")


def _cast(arg: str, source: str, dtype: str) -> str:
    """Floats reach narrow integers through a wide one: C++ leaves a value out of range undefined."""
    if source == dtype:
        return arg
    if dtype == "bool":
        return f"{arg} != 0"
    wide = source in _INFINITY and dtype in ("int8", "int16", "uint8", "uint16", "uint32")
    return f"({C_TYPE[dtype]})(long long){arg}" if wide else f"({C_TYPE[dtype]}){arg}"
