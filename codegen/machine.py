"""The operations that every target performs itself, and the routines built from them.

A row of the table of operations reaches a target in one of three ways: as a machine operation (`MACHINE`), as a call of
a `Routine` written once in machine operations (codegen/mathematics), or, where neither exists, as a call of the C
library (`LIBM`). CUDA may prefer its own library (`codegen/cuda.py`).

Floating arithmetic is exact IEEE: nothing is contracted or reassociated by a compiler. A fused multiply-add is written
`fma`, so a program has the same bits on every machine, at every vector width and in its Python text.
"""

from __future__ import annotations

from dataclasses import dataclass

from .program import Let

# op -> number of arguments. Arguments and result share one dtype, except comparisons and logic (bool result),
# `where` (bool first), `cast` and `bitcast` (result dtype is that of the Let).
MACHINE: dict[str, int] = {
    "add": 2, "subtract": 2, "multiply": 2, "divide": 2, "negative": 1, "abs": 1, "sqrt": 1, "fma": 3,
    "floor": 1, "ceil": 1, "trunc": 1, "round": 1, "copysign": 2,
    "minimum": 2, "maximum": 2,                                  # floats: NaN wins, as in NumPy; -0 < +0
    "equal": 2, "not_equal": 2, "less": 2, "less_equal": 2, "greater": 2, "greater_equal": 2,
    "logical_and": 2, "logical_or": 2, "logical_xor": 2, "logical_not": 1,
    "where": 3, "mask": 2,                                       # mask(c, g) = g where c else 0
    "bitwise_and": 2, "bitwise_or": 2, "bitwise_xor": 2, "bitwise_invert": 1,
    "bitwise_left_shift": 2, "bitwise_right_shift": 2,           # arithmetic if signed; count >= width: 0 (or the sign)
    "floor_divide": 2, "remainder": 2,                           # integers: Python's signs, 0 when the divisor is 0
    "cast": 1, "bitcast": 1, "stop_gradient": 1,
}


@dataclass(frozen=True, slots=True)
class Routine:
    """A straight-line function of `params`, all of the floating `dtype`; `result` is one of them or assigned by `body`.

    `body` holds machine operations only; it may use other dtypes inside (integers, float64 in a float32 routine).
    `domain`, if given, is a bool name in `body`: where it is false `result` is worthless, and the C function `LIBM[op]`
    gives the value. Targets test it for all lanes at once, and leave the straight line only for those (sin of 2^50).
    """

    name: str
    dtype: str
    params: tuple[str, ...]
    body: tuple[Let, ...]
    result: str
    domain: str | None = None


# row -> C99 function on doubles; the one on floats has the suffix f.
LIBM: dict[str, str] = {
    "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log", "log2": "log2", "log10": "log10", "log1p": "log1p",
    "sin": "sin", "cos": "cos", "tan": "tan", "asin": "asin", "acos": "acos", "atan": "atan", "atan2": "atan2",
    "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "asinh": "asinh", "acosh": "acosh", "atanh": "atanh",
    "power": "pow", "cbrt": "cbrt", "hypot": "hypot", "fmod": "fmod", "nextafter": "nextafter",
    "erf": "erf", "erfc": "erfc", "gamma": "tgamma", "gammaln": "lgamma",
}
