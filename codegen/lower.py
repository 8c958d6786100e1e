"""Graph to graph: what no target computes directly is written in what every target does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from ..dsl import ops, primitives
from ..dsl.adjoint import number
from ..dsl.node import Expr, make, rebuild, rewrite, toposort
from .contractions import lower_contraction
from .library import canonical
from .literal_powers import literal_power
from .machine import LIBM
from .mathematics import routine


def lowered(outputs: list[Expr], words: dict[Expr, Expr] | None = None) -> list[Expr]:
    """`outputs` with contractions as matrix products or sums, and rows without a machine operation or routine as
    simpler rows. `words` takes down, for titles, which operation of their own arguments such nodes are.
    """
    words = {} if words is None else words

    def rule(node: Expr, args: tuple[Expr, ...]) -> Expr:
        result = _rule(node, args, words)
        said = rebuild(node, args)
        if result is not said and all(result is not a for a in args) and node.op not in ("item", "library"):
            words.setdefault(result, said)
        return result

    return rewrite(_with_transposes(outputs), rule)


def _with_transposes(outputs: list[Expr]) -> list[Expr]:
    """`outputs` with the transpose of a product that nobody else reads as the product in that order."""
    order = toposort(outputs)
    uses = Counter(a for node in order for a in node.args)
    uses.update(outputs)

    def rule(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if node.op != "transpose" or args[0].op != "contract" or uses[node.args[0]] > 1:
            return rebuild(node, args)
        labels = args[0].attrs[2]
        turned = (*args[0].attrs[:2], "".join(labels[p] for p in node.attrs[0]))
        return make("contract", args[0].args, turned, node.dtype, node.shape)

    return rewrite(outputs, rule)


def _rule(node: Expr, args: tuple[Expr, ...], words: dict[Expr, Expr]) -> Expr:
    if node.op == "contract":
        return lower_contraction(node, args)
    if node.op == "library":
        ready = canonical(node, args)
        return _again(ready, args, words) if ready.op == "pack" else ready
    if node.op == "item" and args[0].op == "pack":
        return args[0].args[node.attrs[0]]
    if node.op in ("logsumexp", "softmax"):
        return _of_exponentials(node, args[0], words)
    node = rebuild(node, args)
    if node.op == "fma" and node.dtype.kind != "f":
        return primitives.elementwise("add", primitives.elementwise("multiply", *args[:2]), args[2])
    if node.op == "power" and node.dtype.kind == "f":
        exponent = number(args[1])
        written_out = None if exponent is None else literal_power(Builder(node.dtype, node.shape), args[0], exponent)
        return node if written_out is None else written_out
    if node.op in ops.ROWS:
        expansion = _expansion(node.op, args[-1].dtype.name)
        if expansion is not None:
            return _again(expansion(Builder(args[-1].dtype, node.shape), *args), args, words)
    return node


def _again(expanded: Expr, args: tuple[Expr, ...], words: dict[Expr, Expr]) -> Expr:
    """The rows of an expansion may need expansion themselves; its arguments are done."""
    return rewrite([expanded], lambda node, inner: _rule(node, inner, words), {a: a for a in args})[0]


def _of_exponentials(node: Expr, x: Expr, words: dict[Expr, Expr]) -> Expr:
    """`logsumexp` or `softmax` of x by exponentials relative to the maximum, which both share. Where the maximum is
    infinite they are relative to 0; titles say the maximum all the same.
    """
    axes = node.attrs[0]
    kept = tuple(i for i in range(len(x.shape)) if i not in axes)
    peak = primitives.reduce(x, "maximum", axes)
    top = primitives.scalar("where", primitives.scalar("less", primitives.elementwise("abs", peak), np.inf), peak, 0)
    words[top] = peak
    below = primitives.elementwise("subtract", x, primitives.broadcast(top, kept, x.shape))
    powers = primitives.elementwise("exp", below)
    total = primitives.reduce(powers, "add", axes)
    if node.op == "logsumexp":
        return primitives.elementwise("add", top, primitives.elementwise("log", total))
    share = primitives.scalar("divide", 1, primitives.scalar("where", primitives.scalar("equal", total, 0), 1, total))
    return primitives.elementwise("multiply", powers, primitives.broadcast(share, kept, x.shape))


def fused_products(results: Sequence[Expr]) -> set[Expr]:
    """Products that one addition reads and nobody else: a*b + c is rounded once, the same on every machine.

    Decided once for the whole graph. What two kernels compute must have the same bits in both, or a maximum would not
    be found again among the values that it was taken from.
    """
    order = toposort(results)
    uses = Counter(a for node in order for a in node.args)
    uses.update(results)
    sums = (n for n in order if n.op in ("add", "subtract") and n.dtype.kind == "f")
    return {next(a for a in n.args if a.op == "multiply" and uses[a] == 1) for n in sums
            if any(a.op == "multiply" and uses[a] == 1 for a in n.args)}


@cache
def _expansion(op: str, dtype: str) -> Callable[..., Any] | None:
    if dtype.startswith("float") and (routine(op, dtype) is not None or op in LIBM):
        return None
    return ops.expansion(op, np.dtype(dtype))


class Builder:
    """Operations by row name on expressions of one shape; a Python number is a constant of `dtype`."""

    def __init__(self, dtype: np.dtype, shape: tuple) -> None:
        self._dtype, self._shape = dtype, shape

    def __getattr__(self, name: str) -> Callable[..., Expr]:
        def build(*args: Any) -> Expr:
            known = [a.dtype for a in args if isinstance(a, Expr) and a.dtype.kind != "b"]
            dtype = known[0] if known else self._dtype
            full = [a if isinstance(a, Expr) else primitives.full(self._shape, a, dtype) for a in args]
            return primitives.elementwise(name, *full)

        return build
