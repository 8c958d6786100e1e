"""x**y for a literal y that is a small negative integer or half of an odd number: quotients, roots and products.

Factors are multiplied one after the other and lie on one side of 1 all of them, so no product overflows or underflows
before the result does. At most 4 ulp, as for the routine, which takes about ten times as long.
"""

from __future__ import annotations

from typing import Any

Value = Any
INTEGERS = (-2.0, -3.0, -4.0)
HALVES = (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5)      # beyond them products round too often


def literal_power(op: Any, x: Value, y: float) -> Value | None:
    """x**y by the operations of `op`; None where it takes the routine."""
    if y in INTEGERS:
        return _product(op, [op.divide(1, x)] * int(-y))
    if y not in HALVES:
        return None
    # by IEEE 754 such powers of -inf and -0.0 are those of inf and 0.0
    factor = op.add(op.where(op.equal(x, -float("inf")), float("inf"), x), 0.0)
    root = op.sqrt(factor)
    if y < 0:
        root, factor = op.divide(1, root), op.divide(1, factor)
    return _product(op, [root, *[factor] * int(abs(y))])


def _product(op: Any, factors: list[Value]) -> Value:
    total, *rest = factors
    for factor in rest:
        total = op.multiply(total, factor)
    return total
