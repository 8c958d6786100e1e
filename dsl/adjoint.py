"""The algebra of cotangents: scaling, summing and masking, with simplifications that are exact, and the common factor.

What repeats along an axis is computed before it repeats; signs and powers of two move outwards; u + 2*u is 3*u; and
s*u + s*v becomes s*(u + v) for a scalar s, one rounding instead of two, so that the derivative of a mean reads
(p - t)/n.

`mask(c, g)` is g where c holds and 0 elsewhere, whatever g is there. A factor is multiplied inside the mask, so the
adjoint of the branch of a `where` that was not taken never forms 0 * inf. Only masks made by differentiation move; what
a user wrote stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import ops
from .node import Expr, make
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
    known = _folded(name, args)
    if known is not None:
        return known
    shape = args[0].shape
    dims = sorted({d for a in args for d in (a.attrs[0] if a.op == "broadcast" else range(len(shape)))})
    if name == "mask" or len(dims) == len(shape):
        return elementwise(name, *args)
    kept = tuple(shape[d] for d in dims)
    inner = [broadcast(a.args[0], tuple(map(dims.index, a.attrs[0])), kept) for a in args]
    return broadcast(elementwise(name, *inner), tuple(dims), shape)


_ARITHMETIC = {"add", "subtract", "multiply", "divide", "negative", "stop_gradient"}     # have the same bits everywhere


def _folded(name: str, args: Sequence[Expr]) -> Expr | None:
    """What a row is by form, exactly; None where it must be computed."""
    values = [number(a) for a in args]
    kind = ops.ROWS[name].kind
    if None not in values and (name in _ARITHMETIC or kind in ("compare", "test", "logical")):
        operands = [np.asarray(v, a.dtype) for v, a in zip(values, args, strict=True)]
        result = ops.ROWS[name].numpy(*operands)
        return full(args[0].shape, result, result.dtype)
    if name == "where" and values[0] is not None:
        return args[1] if values[0] else args[2]
    if name == "mask" and values[0] is True or name == "subtract" and _is_zero(values[1]):
        return args[0] if name == "subtract" else args[1]
    if name in ("logical_and", "logical_or"):
        for value, a, b in ((values[0], *args), (values[1], *args[::-1])):
            if value is not None:
                return b if value is (name == "logical_and") else a
    if name == "multiply" and args[0] is args[1]:
        return row("square", args[0])
    return None


def _is_zero(value: float | None) -> bool:
    return value == 0 and not np.signbit(value)


def number(x: Expr) -> float | None:
    """The one real number that every element of `x` is by form."""
    if x.op == "broadcast":
        x = x.args[0]
    value = x.attrs[0].array.item() if x.op == "const" and not x.shape else None
    if isinstance(value, complex):
        return value.real if value.imag == 0 else None
    return value


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
    return _factor(g, divisor, _divide)


def negated(g: Expr) -> Expr:
    """-g."""
    if g.op == "mask":
        return masked(g.args[0], negated(g.args[1]))
    if g.op == "negative":
        return g.args[0]
    if g.op == "broadcast":
        return broadcast(negated(g.args[0]), *g.attrs)
    value = number(g)
    if value is not None:
        return full(g.shape, -value, g.dtype)
    known = number(g.args[0]) if g.op == "multiply" else None
    return elementwise("negative", g) if known is None else row("multiply", negated(g.args[0]), g.args[1])


def is_negative(g: Expr) -> bool:
    """Whether g is by form the negative of something, or of a multiple."""
    g = g.args[0] if g.op == "broadcast" else g
    factor = number(g.args[0]) if g.op == "multiply" else None
    return g.op == "negative" or factor is not None and factor < 0


def total(parts: list[Expr], closed: bool = True) -> Expr:
    """The sum of `parts` in order. `closed` keeps it masked where every part is, for a factor to come."""
    result, *others = _collected(parts)
    for part in others:
        result = _add(result, part, closed)
    return result


def together(parts: list[Expr], closed: bool = True, base: Expr | None = None) -> Expr:
    """The sum of cotangents `parts` and `base`: those of indexed reads are accumulated, in place, in what the
    others and `base` add up to.
    """
    rest, indexed = [], []
    for part in parts:
        few = part.op == "scatter" and _is_empty(part) or base is not None and part.op == "place"
        (indexed if few else rest).append(part)
    if base is None and not rest:
        base = indexed.pop(0)
    if rest:
        dense = total(rest, closed and base is None)
        base = dense if base is None else elementwise("add", base, dense)
    assert base is not None
    for part in indexed:
        base = accumulated(base, part)
    return base


def accumulated(whole: Expr, share: Expr) -> Expr:
    """whole + share; what was scattered into zeros is scattered into the whole instead, and so in place."""
    if share.op == "scatter" and _is_empty(share):
        return make("scatter", (whole, *share.args[1:]), share.attrs, share.dtype, share.shape)
    if share.op == "place" and number(share.args[1]) == 0:
        return make("update", (whole, share.args[0]), ("add", share.attrs[0]), share.dtype, share.shape)
    return elementwise("add", whole, share)


def _is_empty(scattered: Expr) -> bool:
    """Whether it is added up in zeros."""
    return scattered.attrs[0] == "add" and number(scattered.args[0]) == 0


def _collected(parts: list[Expr]) -> list[Expr]:
    """`parts` with multiples of one term added up where the term comes first."""
    terms: dict[Expr, Expr] = {}
    for part in parts:
        term = part if part.op == "mask" else _coefficient(part)[1]
        terms[term] = _add(terms[term], part, True) if term in terms else part
    return list(terms.values())


def linear(g: Expr, function: Callable[[Expr], Expr]) -> Expr:
    """`function`, which only moves or repeats elements, of g: inside the mask and on its condition alike."""
    return masked(function(g.args[0]), function(g.args[1])) if g.op == "mask" else function(g)


def inside(g: Expr, function: Callable[[Expr], Expr]) -> Expr:
    """`function`, which is 0 at 0 and keeps the shape, of g: inside the mask."""
    return masked(g.args[0], function(g.args[1])) if g.op == "mask" else function(g)


def summed(g: Expr, axes: tuple[int, ...]) -> Expr:
    """The sum of g over `axes`; a sign, and a mask that is the same all along them, stay outside."""
    if is_negative(g):
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
        if value == 1 or value == -1:
            return a if value == 1 else negated(a)
        if value is not None and _is_power(value):
            c, u = _coefficient(a)
            return _times(c * value, u)
        if value is not None:
            return row("multiply", b, a)
    (c, u), (d, v) = _coefficient(g), _coefficient(factor)
    return row("multiply", g, factor) if c == d == 1 else _times(c * d, _multiply(u, v))


def _is_power(value: float) -> bool:
    """Whether `value` is a power of two or minus one such: products with it are exact."""
    return abs(np.frexp(value)[0]) == 0.5


def _divide(g: Expr, divisor: Expr) -> Expr:
    if number(divisor) == 1:
        return g
    c, u = _coefficient(g)
    return row("divide", g, divisor) if c == 1 else _times(c, row("divide", u, divisor))


def _coefficient(g: Expr) -> tuple[float, Expr]:
    """c, u where g is c*u exactly, and c a power of two or minus one such: it stands outside of products."""
    if g.op == "broadcast" and g.args[0].op != "const":
        c, u = _coefficient(g.args[0])
        return c, g if c == 1 else broadcast(u, *g.attrs)
    if g.op == "negative":
        c, u = _coefficient(g.args[0])
        return -c, u
    value = number(g.args[0]) if g.op in ("multiply", "divide") else None
    if value is None or value == 1 or not _is_power(value):
        return 1.0, g
    return value, g.args[1] if g.op == "multiply" else row("divide", full(g.shape, 1, g.dtype), g.args[1])


def _times(c: float, g: Expr) -> Expr:
    """c * g."""
    value = number(g)
    if value is not None:
        return full(g.shape, c * value, g.dtype)
    if g.op == "broadcast":
        return broadcast(_times(c, g.args[0]), *g.attrs)
    if abs(c) == 1:
        return g if c == 1 else negated(g)
    return row("multiply", full(g.shape, c, g.dtype), g)


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
    (c, u), (d, v) = _coefficient(a), _coefficient(b)
    if u is v and c + d != 0:
        scaled = c == d and u.op == "multiply" and number(u.args[0]) is not None
        return row("multiply", _times(c + d, u.args[0]), u.args[1]) if scaled else _times(c + d, u)
    if c < 0 and d < 0:
        return negated(_sum(negated(a), negated(b)))
    (s, u), (r, v) = _scalar_times(a), _scalar_times(b)
    if s is not None and r is s:
        return row("multiply", broadcast(s, (), a.shape), _sum(u, v))
    return row("add", a, b)


def _scalar_times(g: Expr) -> tuple[Expr | None, Expr]:
    """s, u where g is s*u for a 0-d s that repeats; None, g where it is no such product."""
    if g.op == "negative":
        s, u = _scalar_times(g.args[0])
        return s, g if s is None else negated(u)
    if g.op == "multiply" and g.args[0].op == "broadcast" and not g.args[0].args[0].shape:
        return g.args[0].args[0], g.args[1]
    return None, g


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
