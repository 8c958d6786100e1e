"""Elementary and special functions, each written once in machine operations, without a branch or a table lookup.

`routine(op, dtype)` gives the `Routine` of a row, or None. Results are within about 2 ulp (the error functions, the
normal distribution, Bessel functions, `gammaln` and `digamma`: 4; `gamma`: 6; `polygamma`: 16; `gammaln` and `digamma`
of negative arguments: near in absolute terms) and have the special values of C99. They have the same bits on every
target whose fma is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from ..machine import Routine
from . import bessel, circular, errorfunction, exponential, gamma, logarithm, powers
from .scalar import Code, Value

# name of the row -> (parameters, function of a Code and the parameters)
FUNCTIONS: dict[str, tuple[str, Callable[..., Value]]] = {
    "exp": ("x", exponential.exp),
    "exp_product": ("xy", exponential.exp_product),
    "exp2": ("x", exponential.exp2),
    "expm1": ("x", exponential.expm1),
    "tanh": ("x", exponential.tanh),
    "sigmoid": ("x", exponential.sigmoid),
    "sinh": ("x", exponential.sinh),
    "cosh": ("x", exponential.cosh),
    "sech": ("x", exponential.sech),
    "log": ("x", logarithm.log),
    "log2": ("x", logarithm.log2),
    "log10": ("x", logarithm.log10),
    "log1p": ("x", logarithm.log1p),
    "softplus": ("x", logarithm.softplus),
    "asinh": ("x", logarithm.asinh),
    "acosh": ("x", logarithm.acosh),
    "atanh": ("x", logarithm.atanh),
    "sin": ("x", circular.sin),
    "cos": ("x", circular.cos),
    "tan": ("x", circular.tan),
    "sinc": ("x", circular.sinc),
    "asin": ("x", circular.asin),
    "acos": ("x", circular.acos),
    "atan": ("x", circular.atan),
    "atan2": ("yx", circular.atan2),
    "power": ("xy", powers.power),
    "cbrt": ("x", powers.cbrt),
    "hypot": ("xy", powers.hypot),
    "fmod": ("xy", powers.fmod),
    "erf": ("x", errorfunction.erf),
    "erfc": ("x", errorfunction.erfc),
    "erfinv": ("x", errorfunction.erfinv),
    "erfcinv": ("x", errorfunction.erfcinv),
    "erfcx": ("x", errorfunction.erfcx),
    "ndtr": ("x", errorfunction.ndtr),
    "log_ndtr": ("x", errorfunction.log_ndtr),
    "gamma": ("x", gamma.gamma),
    "gammaln": ("x", gamma.gammaln),
    "digamma": ("x", gamma.digamma),
    "polygamma1": ("x", gamma.polygamma1),
    "polygamma2": ("x", gamma.polygamma2),
    "polygamma3": ("x", gamma.polygamma3),
    "i0": ("x", bessel.i0),
    "i0e": ("x", bessel.i0e),
    "i1": ("x", bessel.i1),
    "i1e": ("x", bessel.i1e),
    "logaddexp": ("xy", logarithm.logaddexp),
}


# Where the straight line holds; the C library does the rest.
DOMAINS: dict[str, Callable[..., Value]] = {
    "sin": circular.within_reach,
    "cos": circular.within_reach,
    "tan": circular.within_reach,
    "fmod": powers.quotient_is_exact,
}

# Computed in float64 whatever their dtype.
IN_DOUBLE = {"erfcinv", "i0", "i0e", "i1", "i1e", "gamma", "gammaln", "digamma", "polygamma1", "polygamma2",
             "polygamma3"}


@cache
def routine(op: str, dtype: str) -> Routine | None:
    """The routine of row `op` for "float64" or "float32"; None where there is none."""
    if op not in FUNCTIONS or dtype not in ("float64", "float32"):
        return None
    params, function = FUNCTIONS[op]
    code = Code(dtype)
    values = tuple(map(code.param, params))
    domain = DOMAINS[op](*values) if op in DOMAINS else None
    result = code.in_double(function, *values) if op in IN_DOUBLE else function(code, *values)
    return code.routine(f"{op}_{dtype}", result, domain)
