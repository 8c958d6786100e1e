"""Arithmetic with known elements of unit vectors: what is left of a tangent is a partial derivative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dsl import ops
from .program import Literal, Operand

Call = tuple[str, tuple[Operand, ...]]


@dataclass(frozen=True, slots=True)
class Seed(Literal):
    """A number that follows from elements of a unit vector alone. Tangents are linear in these: 0 is nothing there,
    whatever it is multiplied by.
    """


def seed(value: float | np.ndarray, dtype: str) -> Seed:
    return Seed(dtype, np.asarray(value).astype(dtype).tobytes())


def folded(op: str, dtype: str, args: tuple[Operand, ...]) -> Operand | Call | None:
    """What `op` is of arguments of which some are seeds: an operand, or a simpler row; None where it is no simpler."""
    if all(isinstance(a, Literal) for a in args):
        values = [np.asarray(a.value, a.dtype) for a in args if isinstance(a, Literal)]
        return seed(ops.ROWS[op].numpy(*values, dtype=np.dtype(dtype)), dtype)
    nothing = [isinstance(a, Seed) and a.value == 0 for a in args]
    if op in ("multiply", "divide", "mask"):
        if any(nothing[:1] if op == "divide" else nothing):
            return seed(0, dtype)
        rest = tuple(a for a in args if not (isinstance(a, Seed) and a.value == 1))
        return rest[0] if op == "multiply" and len(rest) == 1 else None
    if op in ("add", "subtract") and any(nothing):
        return args[0] if nothing[1] else args[1] if op == "add" else ("negative", args[1:])
    if op == "fma" and any(nothing):
        return args[2] if nothing[0] or nothing[1] else ("multiply", args[:2])
    if op == "fma" and any(isinstance(a, Seed) and a.value == 1 for a in args[:2]):
        return "add", (args[0] if isinstance(args[1], Seed) and args[1].value == 1 else args[1], args[2])
    if op == "where" and all(isinstance(a, Literal) and a.value == args[1].value for a in args[1:]):  # type: ignore[union-attr]
        return next(a for a in args[1:] if isinstance(a, Seed))
    return None
