"""Graph to graph: what no target computes directly is written in what every target does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..dsl import ops, primitives
from ..dsl.node import Expr, rebuild, rewrite
from .contractions import lower_contraction
from .machine import LIBM, routine


def lowered(outputs: list[Expr]) -> list[Expr]:
    """`outputs` with contractions as matrix products or sums, and rows without a machine operation or routine as
    simpler rows.
    """
    return rewrite(outputs, _rule)


def _rule(node: Expr, args: tuple[Expr, ...]) -> Expr:
    if node.op == "contract":
        return lower_contraction(node, args)
    node = rebuild(node, args)
    if node.op in ops.ROWS:
        expansion = _expansion(node.op, args[-1].dtype.name)
        if expansion is not None:
            return _again(expansion(Builder(args[-1].dtype, node.shape), *args), args)
    return node


def _again(expanded: Expr, args: tuple[Expr, ...]) -> Expr:
    """The rows of an expansion may need expansion themselves; its arguments are done."""
    return rewrite([expanded], _rule, {a: a for a in args})[0]


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
