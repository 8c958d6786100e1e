"""The rules of `stable`: naive formulas and the operations that keep their digits, one row each.

A rule never changes what IEEE arithmetic gives at a NaN, an infinity or a signed zero of the *inputs*; where an
intermediate result overflows, underflows or cancels it gives the number that the formula means. A sum or difference is
+0 where it vanishes, so a replacement that might be -0 there has 0 added. The exceptions, where the formula gives NaN
and a limit exists, are named by their rule: `x*log(x)` at 0 and the quotients of exponentials at infinity.

Exactness forbids: `x/x`, `sqrt(x)**2` and `x**a * x**b` with exponents of different signs (they lose a NaN), `exp(a)*
exp(b)` as `exp(a + b)` (it loses digits for large a and b), `log(1 + x)/log(2)` as log2, powers of `1 + x` (negative
bases), and hypot for more than two terms (it costs more than it gives).

`differentiated`: whether the derivative is taken of the replacement. It is not where the derivative of what the user
wrote has more digits: that of `a**2 - b**2` is exactly 2a.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from . import softmax as softmax_of
from .adjoint import Operations, negated, number, row
from .arguments import at_most
from .node import Expr
from .patterns import (
    argument_of,
    arguments_of,
    counts_elements,
    is_never_minus_zero,
    is_shifted_by_its_maximum,
    root_of_square,
)
from .primitives import broadcast, reduce, reshape, scalar

_TERMS = 8               # of a sum of exponentials that become nested logaddexp


class Rules(Operations):
    """What replacements are written in: rows on expressions and numbers, to which the rules apply in their turn."""

    def __init__(self, node: Expr, rule: Callable[[Expr, tuple[Expr, ...]], Expr]) -> None:
        super().__init__(node.dtype, node.shape)
        self._lines, self._rule = node.lines, rule

    def __getattr__(self, name: str) -> Callable[..., Expr]:
        def build(*args: Any) -> Expr:
            made = row(name, *map(self.lift, args))
            made.lines = tuple(dict.fromkeys((*self._lines, *made.lines)))[:3]
            return self._rule(made, made.args)

        return build


Replacement = Callable[[Rules, Expr], Expr | None]


@dataclass(frozen=True)
class Rule:
    """`before` and `after` are the texts for people; `replacement(op, node)` is None where the rule does not apply."""

    before: str
    after: str
    operations: tuple[str, ...]
    replacement: Replacement
    differentiated: bool = True
    limit: str = ""


RULES: list[Rule] = []


def _rule(before: str, after: str, operations: str, differentiated: bool = True,
          limit: str = "") -> Callable[[Replacement], Replacement]:
    def enter(replacement: Replacement) -> Replacement:
        RULES.append(Rule(before, after, tuple(operations.split()), replacement, differentiated, limit))
        return replacement

    return enter


def _orders(node: Expr) -> tuple[tuple[Expr, Expr], tuple[Expr, Expr]]:
    a, b = node.args
    return (a, b), (b, a)


def _plus_zero(op: Rules, x: Expr, like: Expr) -> Expr:
    """`x`, a function that vanishes where its argument `like` does and has its sign there, but +0 for -0."""
    return x if is_never_minus_zero(like) else op.add(x, 0.0)


def _exponent(x: Expr) -> Expr | None:
    return argument_of(x, "exp")


def _one_plus(x: Expr) -> Expr | None:
    """u where `x` is 1 + u."""
    if x.op == "broadcast":
        inner = _one_plus(x.args[0])
        return None if inner is None else broadcast(inner, *x.attrs)
    return next((b for a, b in _orders(x) if number(a) == 1), None) if x.op == "add" else None


def _one_minus(x: Expr) -> Expr | None:
    return x.args[1] if x.op == "subtract" and number(x.args[0]) == 1 else None


def _minus_one(x: Expr) -> Expr | None:
    """u where `x` is u - 1."""
    if x.op == "subtract" and number(x.args[1]) == 1:
        return x.args[0]
    return next((b for a, b in _orders(x) if number(a) == -1), None) if x.op == "add" else None


# ---- logarithms -------------------------------------------------------------------------------------------------
@_rule("log(1 + exp(x))", "softplus(x)", "log log1p")
def _softplus(op: Rules, node: Expr) -> Expr | None:
    """Also `log1p(exp(x))`."""
    x = node.args[0] if node.op == "log1p" else _one_plus(node.args[0])
    exponent = None if x is None else _exponent(x)
    return None if exponent is None else op.softplus(exponent)


@_rule("log(exp(a) + exp(b))", "logaddexp(a, b)", "log")
def _logaddexp(op: Rules, node: Expr) -> Expr | None:
    """Of up to eight exponentials, one of which may be written 1."""
    terms, todo = [], [node.args[0]]
    while todo:
        term = todo.pop()
        if term.op == "add":
            todo += term.args
            continue
        exponent = op.lift(0.0) if number(term) == 1 else _exponent(term)
        if exponent is None or len(terms) == _TERMS:
            return None
        terms.append(exponent)
    if len(terms) < 2 or sum(number(t) == 0 for t in terms) > 1:
        return None
    total = terms.pop()
    while terms:
        total = op.logaddexp(total, terms.pop())
    return total


@_rule("log(1 - exp(x))", "log1mexp(x)", "log log1p")
def _log1mexp(op: Rules, node: Expr) -> Expr | None:
    x = node.args[0]
    if node.op == "log1p":
        inner = argument_of(x, "negative")
        exponent = None if inner is None else _exponent(inner)
    else:
        rest = _one_minus(x)
        exponent = None if rest is None else _exponent(rest)
        if exponent is None and x.op == "subtract" and number(x.args[0]) == 0:      # 0 - expm1(x), by the rule below
            exponent = argument_of(x.args[1], "expm1")
        if exponent is None and x.op == "negative":
            exponent = argument_of(x.args[0], "expm1")
    return None if exponent is None else op.log1mexp(exponent)


@_rule("log(1 + x)", "log1p(x)", "log", differentiated=False)
def _log1p(op: Rules, node: Expr) -> Expr | None:
    x = _one_plus(node.args[0])
    return None if x is None else _plus_zero(op, op.log1p(x), x)


@_rule("log(1 - x)", "log1p(-x)", "log", differentiated=False)
def _log1p_of_negative(op: Rules, node: Expr) -> Expr | None:
    rest = _one_minus(node.args[0])
    return None if rest is None else op.add(op.log1p(negated(rest)), 0.0)


@_rule("log(sum(exp(x)))", "logsumexp(x)", "log")
def _logsumexp(op: Rules, node: Expr) -> Expr | None:
    """Where there is an element, and the user has not taken the maximum away already."""
    total = node.args[0]
    inner = total.args[0] if total.op == "reshape" else total
    if inner.op != "reduce" or inner.attrs[0] != "add":
        return None
    x, axes = _exponent(inner.args[0]), inner.attrs[1]
    if x is None or is_shifted_by_its_maximum(x) or not all(at_most(1, x.shape[a]) for a in axes):
        return None
    found = softmax_of.logsumexp(x, axes)
    return reshape(found, node.shape) if total.op == "reshape" else found


@_rule("log(sigmoid(x))", "-softplus(-x)", "log")
def _log_sigmoid(op: Rules, node: Expr) -> Expr | None:
    x = argument_of(node.args[0], "sigmoid")
    return None if x is None else op.subtract(0.0, op.softplus(negated(x)))


@_rule("log(softmax(x))", "x - logsumexp(x)", "log")
def _log_softmax(op: Rules, node: Expr) -> Expr | None:
    share = node.args[0]
    return softmax_of.log_softmax(share.args[0], share.attrs[0]) if share.op == "softmax" else None


@_rule("log(cosh(x))", "log_cosh(x)", "log")
def _log_cosh(op: Rules, node: Expr) -> Expr | None:
    x = argument_of(node.args[0], "cosh")
    return None if x is None else op.log_cosh(x)


@_rule("x*log(x)", "xlogy(x, x)", "multiply", limit="0 at x = 0")
def _xlogy(op: Rules, node: Expr) -> Expr | None:
    """For one and the same x: `x*log(y)` has no limit at (0, 0), and keeps its NaN there."""
    for x, logarithm in _orders(node):
        if argument_of(logarithm, "log") is x:
            return op.xlogy(x, x)
    return None


# ---- differences ------------------------------------------------------------------------------------------------
@_rule("exp(x) - 1", "expm1(x)", "subtract add", differentiated=False)
def _expm1(op: Rules, node: Expr) -> Expr | None:
    """Also `1 - exp(x)`, which is +0 where x is 0 of either sign."""
    above, below = _minus_one(node), _one_minus(node)
    x = None if above is None else _exponent(above)
    if x is not None:
        return _plus_zero(op, op.expm1(x), x)
    x = None if below is None else _exponent(below)
    return None if x is None else op.subtract(0.0, op.expm1(x))


@_rule("1 - cos(x)", "2*sin(x/2)**2", "subtract add", differentiated=False)
def _one_minus_cosine(op: Rules, node: Expr) -> Expr | None:
    """Also `cos(x) - 1`."""
    return _from_one(op, node, "cos", "sin", _one_minus)


@_rule("cosh(x) - 1", "2*sinh(x/2)**2", "subtract add", differentiated=False)
def _cosh_minus_one(op: Rules, node: Expr) -> Expr | None:
    """Also `1 - cosh(x)`."""
    return _from_one(op, node, "cosh", "sinh", _minus_one)


def _from_one(op: Rules, node: Expr, name: str, half: str, positive: Callable[[Expr], Expr | None]) -> Expr | None:
    """The distance of the function `name` from 1, by that called `half`; `positive` finds where it is not negated."""
    for find in (_one_minus, _minus_one):
        inner = find(node)
        x = None if inner is None else argument_of(inner, name)
        if x is not None:
            distance = op.multiply(2.0, op.square(getattr(op, half)(op.multiply(0.5, x))))
            return distance if find is positive else op.subtract(0.0, distance)
    return None


@_rule("1 - sigmoid(x)", "sigmoid(-x)", "subtract")
def _complement_of_sigmoid(op: Rules, node: Expr) -> Expr | None:
    rest = _one_minus(node)
    x = None if rest is None else argument_of(rest, "sigmoid")
    return None if x is None else op.sigmoid(negated(x))


@_rule("1 - erf(x)", "erfc(x)", "subtract", differentiated=False)
def _erfc(op: Rules, node: Expr) -> Expr | None:
    rest = _one_minus(node)
    x = None if rest is None else argument_of(rest, "erf")
    return None if x is None else op.erfc(x)


@_rule("1 + erf(x)", "erfc(-x)", "add", differentiated=False)
def _erfc_of_negative(op: Rules, node: Expr) -> Expr | None:
    """As in the normal distribution."""
    rest = _one_plus(node)
    x = None if rest is None else argument_of(rest, "erf")
    return None if x is None else op.erfc(negated(x))


@_rule("mean(x**2) - mean(x)**2", "mean((x - mean(x))**2)", "subtract")
def _variance(op: Rules, node: Expr) -> Expr | None:
    """Also the covariance `mean(x*y) - mean(x)*mean(y)`."""
    product, squared = _mean_of(node.args[0]), _factors(node.args[1])
    if product is None or squared is None:
        return None
    first, second = map(_mean_of, squared)
    pair = _factors(product.args[0].args[0])
    if first is None or second is None or pair is None:
        return None
    (total, count), means = product.args, (first, second)
    axes = total.attrs[1]
    if any(m.args[0].attrs[1] != axes or m.args[1] is not count for m in means):
        return None
    sources = [m.args[0].args[0] for m in means]
    if not (pair[0] is sources[0] and pair[1] is sources[1] or pair[0] is sources[1] and pair[1] is sources[0]):
        return None
    kept = tuple(i for i in range(len(pair[0].shape)) if i not in axes)
    centred = [scalar("subtract", x, broadcast(m, kept, x.shape)) for x, m in zip(sources, means, strict=True)]
    spread = scalar("divide", reduce(scalar("multiply", *centred), "add", axes), count)
    return reshape(spread, node.shape)


def _factors(x: Expr) -> tuple[Expr, Expr] | None:
    root = root_of_square(x)
    return (root, root) if root is not None else (x.args[0], x.args[1]) if x.op == "multiply" else None


def _mean_of(x: Expr) -> Expr | None:
    """The quotient of a sum and its number of terms that `x` is, apart from axes of size 1."""
    x = x.args[0] if x.op == "reshape" else x
    return x if x.op == "divide" and counts_elements(x.args[1], x.args[0]) else None


@_rule("a**2 - b**2", "(a - b)*(a + b)", "subtract", differentiated=False)
def _difference_of_squares(op: Rules, node: Expr) -> Expr | None:
    """Not with a number: `1 - x**2` is one fused multiply-add, rounded once."""
    a, b = map(root_of_square, node.args)
    if a is None or b is None or a is b or number(a) is not None or number(b) is not None:
        return None
    return op.add(op.multiply(op.subtract(a, b), op.add(a, b)), 0.0)


# ---- roots and powers -------------------------------------------------------------------------------------------
@_rule("sqrt(x**2)", "abs(x)", "sqrt")
def _absolute(op: Rules, node: Expr) -> Expr | None:
    x = root_of_square(node.args[0])
    return None if x is None else op.abs(x)


@_rule("sqrt(x**2 + y**2)", "hypot(x, y)", "sqrt")
def _hypot(op: Rules, node: Expr) -> Expr | None:
    """NaN where either is, also beside an infinity."""
    squares = node.args[0]
    roots = list(map(root_of_square, squares.args)) if squares.op == "add" else [None]
    if any(r is None or number(r) is not None for r in roots):
        return None
    x, y = roots
    return op.where(op.logical_or(op.isnan(x), op.isnan(y)), math.nan, op.hypot(x, y))


@_rule("x**a * x**b", "x**(a + b)", "multiply", differentiated=False)
def _product_of_powers(op: Rules, node: Expr) -> Expr | None:
    """For literal exponents of one sign, both integers, or neither and not their sum; the sum must be exact."""
    first, second = map(_literal_power, node.args)
    if first is None or second is None or first[0] is not second[0] or first[1] * second[1] <= 0:
        return None
    x, a, b = *first, second[1]
    whole = {v.is_integer() for v in (a, b)}
    if len(whole) > 1 or False in whole and (a + b).is_integer() or Fraction(a) + Fraction(b) != Fraction(a + b):
        return None
    return op.power(x, a + b)


@_rule("(x**a)**b", "x**(a*b)", "power square", differentiated=False)
def _power_of_power(op: Rules, node: Expr) -> Expr | None:
    """For literal integers."""
    outer = 2.0 if node.op == "square" else number(node.args[1])
    inner = _literal_power(node.args[0])
    if inner is None or outer is None or not (outer.is_integer() and inner[1].is_integer() and outer):
        return None
    return op.power(inner[0], inner[1] * outer) if abs(inner[1] * outer) < 2**53 else None


def _literal_power(x: Expr) -> tuple[Expr, float] | None:
    found = arguments_of(x, "power")
    exponent = None if found is None else number(found[1])
    return None if found is None or exponent is None or not math.isfinite(exponent) else (found[0], exponent)


# ---- quotients --------------------------------------------------------------------------------------------------
@_rule("1/(1 + exp(-x))", "sigmoid(x)", "divide reciprocal")
def _sigmoid(op: Rules, node: Expr) -> Expr | None:
    """Also with another numerator, as in the logistic curve."""
    exponent = _logistic(node.args[-1])
    if exponent is None or node.op == "divide" and _exponent(node.args[0]) is exponent:
        return None
    share = op.sigmoid(negated(exponent))
    return share if node.op == "reciprocal" or number(node.args[0]) == 1 else op.multiply(node.args[0], share)


@_rule("exp(x)/(1 + exp(x))", "sigmoid(x)", "divide", limit="1 at x = inf")
def _quotient_sigmoid(op: Rules, node: Expr) -> Expr | None:
    exponent = _logistic(node.args[1])
    return op.sigmoid(exponent) if exponent is not None and _exponent(node.args[0]) is exponent else None


def _logistic(x: Expr) -> Expr | None:
    """z where `x` is 1 + exp(z)."""
    rest = _one_plus(x)
    return None if rest is None else _exponent(rest)


BY_OPERATION: dict[str, list[Rule]] = {}
for _each in RULES:
    for _operation in _each.operations:
        BY_OPERATION.setdefault(_operation, []).append(_each)
