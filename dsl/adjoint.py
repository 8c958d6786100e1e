"""The algebra of cotangents: scaling, summing and masking, with simplifications that are exact, and the common factor.

What repeats along an axis is computed before it repeats; signs move outwards; g + g is 2*g; and s*u + s*v becomes
s*(u + v) for a scalar s, one rounding instead of two, so that the derivative of a mean reads (p - t)/n.

`mask(c, g)` is g where c holds and 0 elsewhere, whatever g is there. A factor is multiplied inside the mask, so the
adjoint of the branch of a `where` that was not taken never forms 0 * inf. Only masks made by differentiation move; what
a user wrote stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import ops
from .node import Expr
from .primitives import broadcast, elementwise, full, reduce, zeros_like
from .size import Dim
from .surface import constant, size_value

Tangents = Sequence[Expr | None]


class Operations:
    """What partial derivatives are written in: rows on expressions of one shape, and Python numbers as `dtype`."""

    def __init__(self, dtype: np.dtype, shape: tuple) -> None:
        self.dtype, self.shape = dtype, shape

    def __getattr__(self, name: str) -> Callable[..., Expr]:
        return lambda *args: row(name, *map(self.lift, args))

    def lift(self, value: Any) -> Expr:
        return value if isinstance(value, Expr) else full(self.shape, value, self.dtype)


def partial(node: Expr, index: int) -> Expr | None:
    """The derivative of the scalar row `node` with respect to argument `index`; None where it is 0."""
    rule = ops.partials(node.op)[index]
    if rule is None:
        return None
    operations = Operations(node.dtype, node.shape)
    value = operations.lift(rule(operations, *node.args, node))
    return None if number(value) == 0 else value


def row(name: str, *args: Expr) -> Expr:
    """Row `name` of arguments of one shape, computed before they repeat where all do. A mask stays outermost."""
    shape = args[0].shape
    dims = sorted({d for a in args for d in (a.attrs[0] if a.op == "broadcast" else range(len(shape)))})
    if name == "mask" or len(dims) == len(shape):
        return elementwise(name, *args)
    kept = tuple(shape[d] for d in dims)
    inner = [broadcast(a.args[0], tuple(map(dims.index, a.attrs[0])), kept) for a in args]
    return broadcast(elementwise(name, *inner), tuple(dims), shape)


def number(x: Expr) -> float | None:
    """The one number that every element of `x` is by form."""
    if x.op == "broadcast":
        x = x.args[0]
    return x.attrs[0].array.item() if x.op == "const" and not x.shape else None


def masked(condition: Expr, g: Expr) -> Expr:
    """g where `condition` holds, else 0."""
    if g.op != "mask":
        return elementwise("mask", condition, g)
    inner, value = g.args
    return g if inner is condition else elementwise("mask", row("logical_and", inner, condition), value)


def scale(g: Expr, factor: Expr) -> Expr:
    """g * factor."""
    return _factor(g, factor, _multiply)


def quotient(g: Expr, divisor: Expr) -> Expr:
    """g / divisor."""
    return _factor(g, divisor, lambda a, b: a if number(b) == 1 else row("divide", a, b))


def negated(g: Expr) -> Expr:
    """-g."""
    if g.op == "mask":
        return masked(g.args[0], negated(g.args[1]))
    if g.op == "negative":
        return g.args[0]
    if g.op == "broadcast":
        return broadcast(negated(g.args[0]), *g.attrs)
    value = number(g)
    return full(g.shape, -value, g.dtype) if value is not None else elementwise("negative", g)


def total(parts: list[Expr], closed: bool = True) -> Expr:
    """The sum of `parts` in order. `closed` keeps it masked where every part is, for a factor to come."""
    result = parts[0]
    for part in parts[1:]:
        result = _add(result, part, closed)
    return result


def linear(g: Expr, function: Callable[[Expr], Expr]) -> Expr:
    """`function`, which only moves or repeats elements, of g: inside the mask and on its condition alike."""
    return masked(function(g.args[0]), function(g.args[1])) if g.op == "mask" else function(g)


def summed(g: Expr, axes: tuple[int, ...]) -> Expr:
    """The sum of g over `axes`; a sign, and a mask that is the same all along them, stay outside."""
    if _is_negative(g):
        return negated(summed(negated(g), axes))
    if g.op == "mask" and g.args[0].op == "broadcast":
        condition, (dims, _) = g.args[0].args[0], g.args[0].attrs
        if not set(dims) & set(axes):
            kept = [i for i in range(len(g.shape)) if i not in axes]
            repeated = broadcast(condition, tuple(kept.index(d) for d in dims), tuple(g.shape[i] for i in kept))
            return masked(repeated, reduce(g.args[1], "add", axes))
    return reduce(g, "add", axes)


def _factor(g: Expr, factor: Expr, rule: Callable[[Expr, Expr], Expr]) -> Expr:
    if factor.op == "mask" and rule is _multiply:
        return masked(factor.args[0], _factor(g, factor.args[1], rule))
    if g.op == "mask":
        return masked(g.args[0], _factor(g.args[1], factor, rule))
    if g.op == "reduce" and g.attrs[0] == "add" and g.args[0].op == "mask":
        (_, axes), inner = g.attrs, g.args[0]
        kept = tuple(i for i in range(len(inner.shape)) if i not in axes)
        return reduce(_factor(inner, broadcast(factor, kept, inner.shape), rule), "add", axes)
    return rule(g, factor)


def _multiply(g: Expr, factor: Expr) -> Expr:
    for a, b in ((g, factor), (factor, g)):
        value = number(b)
        if value == 1:
            return a
        if value == -1:
            return negated(a)
    if _is_negative(g):
        return negated(_multiply(negated(g), factor))
    if _is_negative(factor):
        return negated(_multiply(g, negated(factor)))
    return row("multiply", g, factor)


def _is_negative(g: Expr) -> bool:
    return g.op == "negative" or g.op == "broadcast" and g.args[0].op == "negative"


def _add(a: Expr, b: Expr, closed: bool) -> Expr:
    if a.op != "mask" or b.op != "mask":
        return _sum(a, b)
    (c, x), (d, y) = a.args, b.args
    if c is d:
        return masked(c, _sum(x, y))
    if _is_not(d, c):
        return row("where", c, x, y)
    if _is_not(c, d):
        return row("where", d, y, x)
    both = elementwise("add", a, b)
    return masked(row("logical_or", c, d), both) if closed else both


def _sum(a: Expr, b: Expr) -> Expr:
    """a + b."""
    if a is b:
        return _doubled(a)
    (s, u), (t, v) = _scalar_times(a), _scalar_times(b)
    if s is t and s is not None:
        return row("multiply", s, _sum(u, v))
    return row("add", a, b)


def _scalar_times(g: Expr) -> tuple[Expr | None, Expr]:
    """s, u where g is s*u for a scalar s that repeats; None, g where it is no such product."""
    if g.op == "negative":
        s, u = _scalar_times(g.args[0])
        return s, g if s is None else negated(u)
    if g.op == "multiply" and g.args[0].op == "broadcast" and not g.args[0].args[0].shape:
        return g.args[0], g.args[1]
    return None, g


def _doubled(g: Expr) -> Expr:
    if _is_negative(g):
        return negated(_doubled(negated(g)))
    if g.op == "multiply" and number(g.args[0]) is not None:
        return row("multiply", _doubled(g.args[0]), g.args[1])
    value = number(g)
    return row("multiply", full(g.shape, 2, g.dtype), g) if value is None else full(g.shape, 2 * value, g.dtype)


def _is_not(a: Expr, b: Expr) -> bool:
    return a.op == "logical_not" and a.args[0] is b


def sizes_like(dim: Dim, shape: tuple) -> Expr:
    """A size, repeated to `shape`."""
    return broadcast(size_value(dim), (), shape)


def ones(shape: tuple, dtype: Any) -> Expr:
    return broadcast(constant(np.ones((), dtype)), (), shape)


def filled(tangents: Tangents, args: Sequence[Expr]) -> list[Expr]:
    """`tangents` with zeros, like `args`, for None."""
    return [zeros_like(a) if t is None else t for t, a in zip(tangents, args, strict=True)]
