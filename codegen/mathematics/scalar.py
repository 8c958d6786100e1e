"""Writing a straight-line function as ordinary Python: operators on a `Value` append statements to its `Code`.

    code = Code("float64")
    x = code.param("x")
    y = code.fma(x, x, 1.0)                      # Let("t0", "float64", "fma", ("x", "x", 1.0))
    code.routine("square_plus_one", y)

Equal statements are written once and unused ones are dropped, so that helpers may compute more than a caller needs.
"""

from __future__ import annotations

from collections.abc import Callable

from ..machine import Routine
from ..program import Let, Literal, Operand

UINT = {"float64": "uint64", "float32": "uint32"}
MANTISSA = {"float64": 52, "float32": 23}       # stored bits of the significand
BIAS = {"float64": 1023, "float32": 127}
COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}

Number = float | int


class Value:
    """A scalar of `dtype` inside a `Code`: a constant, a parameter or the result of a statement."""

    __slots__ = ("code", "dtype", "operand")

    def __init__(self, code: Code, operand: str | Literal, dtype: str) -> None:
        self.code, self.operand, self.dtype = code, operand, dtype

    def _apply(self, op: str, *args: Value | Number) -> Value:
        return self.code.apply(op, *args)

    def __add__(self, other: Value | Number) -> Value:
        return self._apply("add", self, other)

    def __radd__(self, other: Number) -> Value:
        return self._apply("add", other, self)

    def __sub__(self, other: Value | Number) -> Value:
        return self._apply("subtract", self, other)

    def __rsub__(self, other: Number) -> Value:
        return self._apply("subtract", other, self)

    def __mul__(self, other: Value | Number) -> Value:
        return self._apply("multiply", self, other)

    def __rmul__(self, other: Number) -> Value:
        return self._apply("multiply", other, self)

    def __truediv__(self, other: Value | Number) -> Value:
        return self._apply("divide", self, other)

    def __rtruediv__(self, other: Number) -> Value:
        return self._apply("divide", other, self)

    def __neg__(self) -> Value:
        return self._apply("negative", self)

    def __abs__(self) -> Value:
        return self._apply("abs", self)

    def __lt__(self, other: Value | Number) -> Value:
        return self._apply("less", self, other)

    def __le__(self, other: Value | Number) -> Value:
        return self._apply("less_equal", self, other)

    def __gt__(self, other: Value | Number) -> Value:
        return self._apply("greater", self, other)

    def __ge__(self, other: Value | Number) -> Value:
        return self._apply("greater_equal", self, other)

    def equals(self, other: Value | Number) -> Value:
        return self._apply("equal", self, other)

    def differs(self, other: Value | Number) -> Value:
        return self._apply("not_equal", self, other)

    def __and__(self, other: Value | Number) -> Value:
        return self._apply("logical_and" if self.dtype == "bool" else "bitwise_and", self, other)

    def __or__(self, other: Value | Number) -> Value:
        return self._apply("logical_or" if self.dtype == "bool" else "bitwise_or", self, other)

    def __xor__(self, other: Value | Number) -> Value:
        return self._apply("logical_xor" if self.dtype == "bool" else "bitwise_xor", self, other)

    def __invert__(self) -> Value:
        return self._apply("logical_not" if self.dtype == "bool" else "bitwise_invert", self)

    def __lshift__(self, count: Value | int) -> Value:
        return self._apply("bitwise_left_shift", self, count)

    def __rshift__(self, count: Value | int) -> Value:
        return self._apply("bitwise_right_shift", self, count)


class Code:
    """A function in the making; `dtype` ("float64" or "float32") is that of its parameters and of plain arithmetic."""

    def __init__(self, dtype: str) -> None:
        self.dtype = self._outer = dtype
        self._params: list[str] = []
        self._lets: list[Let] = []
        self._known: dict[tuple[str, str, tuple[Operand, ...]], Value] = {}

    @property
    def double(self) -> bool:
        return self.dtype == "float64"

    def param(self, name: str) -> Value:
        self._params.append(name)
        return Value(self, name, self.dtype)

    def apply(self, op: str, *args: Value | Number, dtype: str | None = None) -> Value:
        """The statement `op(args)`; numbers take the dtype of the last argument that is a Value."""
        common = next((a.dtype for a in reversed(args) if isinstance(a, Value)), self.dtype)
        operands = tuple(a.operand if isinstance(a, Value) else Literal.of(a, common) for a in args)
        dtype = dtype or ("bool" if op in COMPARISONS else common)
        key = (op, dtype, operands)
        if key not in self._known:
            name = f"t{len(self._lets)}"
            self._lets.append(Let(name, dtype, op, operands))
            self._known[key] = Value(self, name, dtype)
        return self._known[key]

    def fma(self, a: Value | Number, b: Value | Number, c: Value | Number) -> Value:
        return self.apply("fma", a, b, c)

    def sqrt(self, x: Value) -> Value:
        return self.apply("sqrt", x)

    def copysign(self, magnitude: Value | Number, sign: Value) -> Value:
        return self.apply("copysign", magnitude, sign)

    def where(self, condition: Value, a: Value | Number, b: Value | Number) -> Value:
        dtype = next((v.dtype for v in (a, b) if isinstance(v, Value)), self.dtype)
        a, b = (v if isinstance(v, Value) else self.constant(v, dtype) for v in (a, b))
        return self.apply("where", condition, a, b, dtype=dtype)

    def constant(self, value: Number, dtype: str | None = None) -> Value:
        dtype = dtype or self.dtype
        return Value(self, Literal.of(value, dtype), dtype)

    def bits(self, x: Value) -> Value:
        """The bit pattern of a float, as an unsigned integer."""
        return self.apply("bitcast", x, dtype=UINT[x.dtype])

    def from_bits(self, u: Value) -> Value:
        return self.apply("bitcast", u, dtype={v: k for k, v in UINT.items()}[u.dtype])

    def cast(self, x: Value, dtype: str) -> Value:
        return x if x.dtype == dtype else self.apply("cast", x, dtype=dtype)

    def in_double(self, function: Callable[..., Value], *args: Value) -> Value:
        """`function` of the arguments, computed in float64 and rounded to their dtype."""
        outer, self.dtype = self.dtype, "float64"
        result = function(self, *(self.cast(a, "float64") for a in args))
        self.dtype = outer
        return self.cast(result, outer)

    def horner(self, coefficients: tuple[float, ...], x: Value) -> Value:
        """The polynomial with `coefficients` of x**0, x**1, ... at `x`."""
        result: Value | float = coefficients[-1]
        for c in reversed(coefficients[:-1]):
            result = self.fma(result, x, c)
        assert isinstance(result, Value)
        return result

    def routine(self, name: str, result: Value, domain: Value | None = None) -> Routine:
        """The finished function, with what `result` and `domain` do not need left out."""
        needed = {v.operand for v in (result, domain) if v is not None}
        kept = []
        for let in reversed(self._lets):
            if let.name in needed:
                kept.append(let)
                needed.update(a for a in let.args if isinstance(a, str))
        assert isinstance(result.operand, str)
        return Routine(name, self._outer, tuple(self._params), tuple(reversed(kept)), result.operand,
                       domain.operand if domain is not None and isinstance(domain.operand, str) else None)
