"""Elementwise operations in words: without the broadcasts that NumPy makes by itself, with signs and numbers in front,
and with quotients as such. What is said equals what is computed, to rounding where quotients and factors are regrouped.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import ops
from .adjoint import is_negative, negated, number
from .node import Expr
from .patterns import counts_elements
from .size import same
from .words import Phrase

_ALL = slice(None)
_LOGIC = {"logical_and": "bitwise_and", "logical_or": "bitwise_or", "logical_not": "bitwise_invert"}   # & | ~ of bools
_CHAIN = 8               # factors of a product that are looked through


def row_phrase(node: Expr) -> Phrase:
    """The words for an elementwise operation."""
    if node.op == "add":
        return _sum(*node.args)
    if node.op == "multiply":
        return _product(*node.args)
    if node.op == "negative":
        return _negated(node.args[0])
    if node.op == "exp_product":
        return Phrase("exp", (_product(*node.args),))
    mean = _mean(*node.args) if node.op == "divide" else None
    if mean is not None:
        return mean
    operands = _operands(*node.args, closed=ops.ROWS[node.op].kind == "compare")
    if node.op == "mask":
        return Phrase("where", (*operands, 0))
    return Phrase(_LOGIC.get(node.op, node.op), operands)


# ---- arithmetic -------------------------------------------------------------------------------------------------
def _sum(x: Expr, y: Expr) -> Phrase:
    """A difference where a term is negative: the same to the last bit, and how derivatives come."""
    for a, b in ((x, y), (y, x)):
        if is_negative(b) and not is_negative(a):
            return Phrase("subtract", _operands(a, negated(b)))
    return Phrase("add", _operands(x, y))


def _negated(x: Expr) -> Phrase:
    """-2*x for -(2*x)."""
    if x.op == "multiply" and number(x.args[0]) is not None:
        (factor, rest) = _operands(*x.args)
        return _times(Phrase("negative", (factor,)) if isinstance(factor, Expr) else -factor, rest)
    return Phrase("negative", _operands(x))


def _product(x: Expr, y: Expr) -> Phrase:
    """a/b for a * 1/b; a number stands before all other factors."""
    left, right = _operands(x, y)
    if number(x) is not None:
        return _times(left, right)
    for a, b in ((right, left), (left, right)):
        if isinstance(b, Expr) and b.op == "divide" and number(b.args[0]) == 1:
            return Phrase("divide", (a, _operands(*b.args)[1]))
    return Phrase("multiply", (left, right))


def _times(factor: Any, x: Any) -> Phrase:
    """factor*a*b for factor * (a*b)."""
    chain: list[tuple[str, Any]] = []
    while isinstance(x, Expr) and len(chain) < _CHAIN and x.op in ("multiply", "divide") and number(x.args[0]) is None:
        words = row_phrase(x)
        if words.name not in ("multiply", "divide"):
            break
        x, right = words.args
        chain.append((words.name, right))
    result = Phrase("multiply", (factor, x))
    for name, right in reversed(chain):
        result = Phrase(name, (result, right))
    return result


def _mean(x: Expr, y: Expr) -> Phrase | None:
    """`mean(a)` for `sum(a)/n`; None for any other quotient."""
    return folded("mean", x) if counts_elements(y, x) else None


def folded(name: str, node: Expr) -> Phrase:
    """A fold of the argument over the axes that are the last attribute, over all axes if it says nothing."""
    x, axes = node.args[0], node.attrs[-1]
    if len(axes) == len(x.shape):
        return Phrase(name, (x,))
    return Phrase(name, (x,), {"axis": axes[0] if len(axes) == 1 else axes})


# ---- operands ---------------------------------------------------------------------------------------------------
def _operands(*args: Expr, closed: bool = False) -> tuple:
    """Arguments without the broadcasts that NumPy makes by itself, and without a stop_gradient that stops nothing:
    on what is piecewise constant, or where the operation is `closed`, without a derivative.
    """
    rank = len(args[0].shape)
    args = tuple(unstopped(a, closed) for a in args)
    covered = {d for a in args for d in (a.attrs[0] if a.op == "broadcast" else range(rank))}
    if len(covered) < rank:      # nothing else has the full shape: the first must spell it out
        return (args[0], *map(_whole, map(unbroadcast, args[1:])))
    found = tuple(map(unbroadcast, args))
    return found if all(isinstance(a, Expr) and a.op == "const" for a in found) else tuple(map(_whole, found))


def _whole(x: Any) -> Any:
    """2 for 2.0, beside an array that has the dtype."""
    if isinstance(x, Expr) and x.op == "const" and not x.shape and x.dtype.kind == "f":
        value = x.attrs[0].array.item()
        if abs(value) < 1e6 and value == int(value) and not (value == 0 and np.signbit(value)):
            return int(value)
    return x


def unstopped(x: Expr, closed: bool = False) -> Expr:
    """`x` without a stop_gradient that stops nothing."""
    while x.op == "stop_gradient" and (closed or _jumps(x.args[0])):
        x = x.args[0]
    return x


def _jumps(x: Expr) -> bool:
    """Whether `x` is piecewise constant, by its form: no float, or made by an operation that jumps, up to its sign."""
    while x.op in ("negative", "broadcast"):
        x = x.args[0]
    return x.dtype.kind != "f" or x.op in ops.ROWS and ops.ROWS[x.op].jumps


def unbroadcast(x: Expr) -> Any:
    """What NumPy broadcasts to `x` by its own rule: an argument, or one with axes inserted."""
    if x.op != "broadcast":
        return x
    inner, (dims, shape) = x.args[0], x.attrs
    if inner.op == "reshape":        # (n, 1) that became (n,) to repeat along the last axis
        source = inner.args[0]
        first = len(shape) - len(source.shape)
        kept = tuple(first + i for i, d in enumerate(source.shape) if not same(d, 1))
        if first >= 0 and kept == dims and len(dims) == inner.ndim:
            return source
    index = tuple(_ALL if i in dims else None for i in range(min(dims, default=len(shape)), len(shape)))
    return Phrase("getitem", (inner, index)) if None in index else inner
