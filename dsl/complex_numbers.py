"""Complex numbers: rows that are written in the parts of their arguments, or in other rows, and the public functions.

Rows with a complex derivative (exp, log, sin, products, ...) stay as they are: their partials hold for complex
arguments too. What has none (the absolute value, the parts, the conjugate) is a function of real and imaginary parts.

Derivatives follow JAX's convention. A cotangent g of a complex value z stands for the real-linear map dz -> Re(g dz),
so the gradient of a real f is df/dx - i df/dy, and of a holomorphic f it is f'(z). Linear operations transpose without
conjugation. For steepest descent step along the conjugate: z - rate * conj(grad).
"""

from __future__ import annotations

from math import log
from typing import Any

from . import primitives
from .arguments import array
from .node import Expr
from .primitives import COMPOSITES, scalar
from .surface import surface

_REPEATED = 64           # the largest integer power that is written as products


@surface
def real(x: Any) -> Expr:
    """The real part; of a real array itself.

    >>> import pullback as pb
    >>> pb.real(pb.asarray([1 + 2j])).eval()
    array([1.])
    """
    return primitives.real(array(x))


@surface
def imag(x: Any) -> Expr:
    """The imaginary part; of a real array zeros."""
    return primitives.imag(array(x))


@surface
def conj(x: Any) -> Expr:
    """The complex conjugate; of a real array itself."""
    return primitives.conj(array(x))


@surface
def angle(z: Any, deg: bool = False) -> Expr:
    """The angle of complex numbers in -pi .. pi (`deg`: in degrees); its derivative is 0 at 0."""
    z = array(z)
    turned = scalar("atan2", primitives.imag(z), primitives.real(z))
    return scalar("degrees", turned) if deg else turned


# ---- rows in other rows -----------------------------------------------------------------------------------------
def _abs(z: Expr) -> Expr:
    return scalar("hypot", primitives.real(z), primitives.imag(z))


def _equal(z: Expr, w: Expr) -> Expr:
    return scalar("logical_and", *(scalar("equal", part(z), part(w)) for part in (primitives.real, primitives.imag)))


def _not_equal(z: Expr, w: Expr) -> Expr:
    return scalar("logical_not", _equal(z, w))


def _either(name: str) -> Any:
    return lambda z: scalar("logical_or", scalar(name, primitives.real(z)), scalar(name, primitives.imag(z)))


def _isfinite(z: Expr) -> Expr:
    return scalar("logical_and", scalar("isfinite", primitives.real(z)), scalar("isfinite", primitives.imag(z)))


def _power(z: Expr, w: Expr) -> Expr:
    """exp(w log z), where z is 0 as NumPy has it: 0 for a positive real part of w, 1 for w = 0, else NaN."""
    exponent = literal(w)
    if exponent is not None and exponent.imag == 0 and exponent.real.is_integer() and abs(exponent) <= _REPEATED:
        return integer_power(z, int(exponent.real))
    nothing, one, undefined = (primitives.full(z.shape, v, z.dtype) for v in (0, 1, complex("nan+nanj")))
    zero = scalar("equal", z, 0)
    at_zero = scalar("where", scalar("greater", primitives.real(w), 0), nothing,
                     scalar("where", scalar("equal", w, 0), one, undefined))
    general = scalar("exp", scalar("multiply", w, scalar("log", scalar("where", zero, one, z))))
    return scalar("where", zero, at_zero, general)


def literal(x: Expr) -> complex | None:
    """The number that every element of `x` is by form."""
    x = x.args[0] if x.op == "broadcast" else x
    return complex(x.attrs[0].array.item()) if x.op == "const" and not x.shape else None


def integer_power(z: Expr, count: int) -> Expr:
    """z**count by repeated squares."""
    if count < 0:
        return scalar("reciprocal", integer_power(z, -count))
    result: Expr | None = None
    while count:
        if count & 1:
            result = z if result is None else scalar("multiply", result, z)
        count >>= 1
        z = scalar("square", z) if count else z
    return primitives.full(z.shape, 1, z.dtype) if result is None else result


def _sech(z: Expr) -> Expr:
    """1/cosh without its overflow."""
    away = scalar("where", scalar("less", primitives.real(z), 0), scalar("negative", z), z)
    e = scalar("exp", scalar("negative", away))
    return scalar("divide", scalar("multiply", 2, e), scalar("add", 1, scalar("square", e)))


def _logarithm(base: float) -> Any:
    return lambda z: scalar("multiply", scalar("log", z), 1 / log(base))


COMPOSITES.update({
    "abs": _abs, "equal": _equal, "not_equal": _not_equal, "isnan": _either("isnan"), "isinf": _either("isinf"),
    "isfinite": _isfinite, "power": _power, "sech": _sech,
    "rsqrt": lambda z: scalar("reciprocal", scalar("sqrt", z)),
    "exp2": lambda z: scalar("exp", scalar("multiply", z, log(2))),
    "log2": _logarithm(2), "log10": _logarithm(10),
})
