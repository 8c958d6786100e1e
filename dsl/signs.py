"""What can be said of the sign of an expression by its form alone, for any finite values of its variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .node import Expr, toposort

ANY, NONNEGATIVE, POSITIVE = 0, 1, 2

_POSITIVE_ROWS = {"exp", "exp2", "cosh", "sigmoid", "softplus", "sech", "erfc"}
_SAME = {"broadcast", "reshape", "transpose", "slice", "cast", "positive", "stop_gradient", "concat", "gather"}
_KEEPS = {"multiply", "divide", "sqrt", "cbrt", "rsqrt", "reciprocal", "minimum", "expm1", "log1p", "asinh", "atan",
          "tanh", "sinh", "abs"}          # as positive as the least positive argument


def signs(roots: Sequence[Expr]) -> dict[Expr, int]:
    """ANY, NONNEGATIVE or POSITIVE for every node under `roots`."""
    found: dict[Expr, int] = {}
    for node in toposort(roots):
        found[node] = _sign(node, [found[a] for a in node.args])
    return found


def _sign(node: Expr, parts: list[int]) -> int:
    if node.op == "const":
        array = node.attrs[0].array
        if array.dtype.kind not in "buif" or not array.size:
            return ANY
        return POSITIVE if (array > 0).all() else NONNEGATIVE if (array >= 0).all() else ANY
    if node.op == "size":
        return NONNEGATIVE
    if node.op in _POSITIVE_ROWS:
        return POSITIVE
    if node.op in _SAME or node.op in _KEEPS:
        return max(min(parts[:1] if node.op == "gather" else parts), _squared(node))
    rule = _RULES.get(node.op)
    return ANY if rule is None else rule(node, parts)


def _squared(node: Expr) -> int:
    return NONNEGATIVE if node.op == "abs" or node.op == "multiply" and node.args[0] is node.args[1] else ANY


def _square(node: Expr, parts: list[int]) -> int:
    return max(parts[0], NONNEGATIVE)


def _power(node: Expr, parts: list[int]) -> int:
    y = node.args[1].args[0] if node.args[1].op == "broadcast" else node.args[1]
    even = y.op == "const" and not y.shape and float(y.attrs[0].array) % 2 == 0
    return max(parts[0], NONNEGATIVE if even else ANY)


def _add(node: Expr, parts: list[int]) -> int:
    return max(parts) if min(parts) >= NONNEGATIVE else ANY


def _largest(node: Expr, parts: list[int]) -> int:
    return max(parts)


def _reduce(node: Expr, parts: list[int]) -> int:
    if node.attrs[0] in ("minimum", "maximum", "multiply"):
        return parts[0]
    return min(parts[0], NONNEGATIVE) if node.attrs[0] == "add" else ANY


def _contract(node: Expr, parts: list[int]) -> int:
    same = node.args[0] is node.args[1] and node.attrs[0] == node.attrs[1]
    return NONNEGATIVE if same or min(parts) >= NONNEGATIVE else ANY


def _where(node: Expr, parts: list[int]) -> int:
    """where(x > 0, x, 1) is positive, and both branches may say so themselves."""
    condition, x, _ = node.args
    first = parts[1]
    if condition.op in ("greater", "greater_equal", "less", "less_equal"):
        above, below = condition.args if condition.op[0] == "g" else condition.args[::-1]
        if above is x and _at_least_zero(below):
            first = max(first, NONNEGATIVE if condition.op.endswith("equal") else POSITIVE)
    return min(first, parts[2])


def _at_least_zero(x: Expr) -> bool:
    x = x.args[0] if x.op == "broadcast" else x
    return x.op == "const" and bool(np.all(x.attrs[0].array >= 0))


_RULES: dict[str, Callable[[Expr, list[int]], int]] = {
    "square": _square, "power": _power, "add": _add, "maximum": _largest, "hypot": _square, "reduce": _reduce,
    "contract": _contract, "where": _where,
}
