"""`to_sympy`: programs as expressions of sympy, element by element.

The element of a node at an index is asked for, and asks for elements of the node's arguments.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import derive, nest
from .from_sympy import SympyFunction
from .grad import variables_of
from .node import Expr, make
from .surface import Var, as_expr, specialize
from .sympy_rules import Element, rule_of


def to_sympy(expr: Any, symbols: Mapping[str, Any] | None = None) -> Any:
    """The mathematics of an expression, a nest of them, or a function of scalars, as sympy.

    A variable becomes the Symbol of its name, one declared with a shape an IndexedBase; `symbols` {name: symbol} gives
    others. Reductions become sums, written out where they are short, else a Sum over an index; `where` a Piecewise. The
    result is an expression for a scalar, a Matrix for two axes, an Array for more or fewer, where sizes are numbers,
    and a Lambda of indices where a size is a name. Numbers that are small fractions are exact.

    sympy simplifies as it builds: the result is what the program means on the real numbers, not how it rounds.

    Raises PullbackError for what has no words there: loops, branches, scatters, bit operations.

    >>> import pullback as pb
    >>> x, v = pb.Var('x'), pb.Var('v', shape=('n',))
    >>> pb.to_sympy(pb.grad(pb.sin(x)**2 / 2, x))
    sin(x)*cos(x)
    >>> pb.to_sympy(pb.sum(v * v))
    Sum(v[i]**2, (i, 0, n - 1))
    """
    if isinstance(expr, SympyFunction):
        expr = expr.expression
    elif callable(expr) and not isinstance(expr, Expr):
        expr = expr(*map(Var, inspect.signature(expr).parameters))
    leaves, structure = nest.flatten(expr)
    outputs = [as_expr(leaf) for leaf in leaves]
    variables = variables_of(outputs)
    known = {v: _typed(v) for v in variables if not v.typed}
    typed = specialize(outputs, known) if known else outputs
    elements = Elements({v.attrs[0] for v in variables}, dict(symbols or {}))
    return nest.unflatten(structure, [elements.of(node) for node in typed])


def _typed(variable: Expr) -> Expr:
    name, _, dtype = variable.attrs[:3]
    return make("var", (), (name,), dtype or np.float64, ()) if variable.shadow is None else variable.shadow


class Elements:
    """What is known while a program is written: the symbols, and elements that were asked for before."""

    def __init__(self, names: set[str], symbols: dict[str, Any]) -> None:
        self.symbols, self.done = symbols, {}
        fresh = itertools.chain("ijklm", (f"i_{k}" for k in itertools.count(1)))
        self._fresh = (n for n in fresh if n not in names and n not in symbols)
        self._indices: list[Any] = []

    def of(self, node: Expr) -> Any:
        """`node` as an expression, a Matrix, an Array or a Lambda."""
        import sympy

        extents = [self.size(d) for d in node.shape]
        if not extents:
            return self.element(node, ())
        if not all(e.is_Integer for e in extents):
            places = tuple(self.index(k) for k in range(len(extents)))
            return sympy.Lambda(places, self.element(node, places))
        found = [self.element(node, tuple(map(sympy.Integer, place))) for place in np.ndindex(*map(int, extents))]
        if len(extents) == 2:
            return sympy.ImmutableDenseMatrix(*extents, found)
        return sympy.ImmutableDenseNDimArray(found, tuple(map(int, extents)))

    def element(self, node: Expr, index: tuple) -> Any:
        """Element `index` of a node."""
        stack: list[tuple[Any, Any, list[Element]]] = []
        self._enter((node, index), stack)
        while stack:
            key, rule, wanted = stack[-1]
            missing = [w for w in wanted if _key(w) not in self.done]
            if missing:
                for w in missing:
                    self._enter(w, stack)
                continue
            stack.pop()
            try:
                stack.append((key, rule, rule.send([self.done[_key(w)] for w in wanted])))
            except StopIteration as result:
                self.done[key] = result.value
        return self.done[_key((node, index))]

    def _enter(self, wanted: Element, stack: list[Any]) -> None:
        node, index = wanted
        key = _key(wanted)
        started = rule_of(node)(self, node, index)
        try:
            stack.append((key, started, next(started)))
        except StopIteration as result:
            self.done[key] = result.value

    def size(self, dim: Any) -> Any:
        """A size of an array."""
        import sympy

        if isinstance(dim, int):
            return sympy.Integer(dim)
        names = {n: self.symbols.get(n, sympy.Symbol(n, integer=True)) for n in dim.symbols()}
        return derive.read(str(dim), {"max": sympy.Max, **names})

    def index(self, k: int) -> Any:
        """The k-th name for an index."""
        import sympy

        while len(self._indices) <= k:
            self._indices.append(sympy.Symbol(next(self._fresh), integer=True))
        return self._indices[k]

    def fresh(self) -> Any:
        return self.index(len(self._indices))


def _key(element: Element) -> tuple[int, tuple]:
    """By id: expressions compare elementwise, so they make no dictionary keys."""
    return id(element[0]), element[1]
