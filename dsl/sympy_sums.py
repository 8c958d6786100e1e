"""Sums and products of sympy over an index, and elements of indexed arrays.

Where the bounds are sizes, an index stands for all its values along a new first axis: `x[i + 1]` is a slice, and the
sum one reduction. Where they are inputs, the sum is a loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import size as sizes
from .arguments import at_most, nonnegative
from .control import fori_loop
from .control_loop import bound_of
from .errors import PullbackError, ShapeError
from .loop import bound
from .node import FUNCTIONS, Expr
from .primitives import full, iota, reshape, slice_, transpose
from .size import Dim, Size
from .surface import surface
from .sympy_nodes import NodeConverter


@dataclass(frozen=True)
class Run:
    """The values first, first + 1, ... of an index, `count` of them, along the axis that `depth` axes follow."""

    first: Dim
    count: Dim
    depth: int


@dataclass(frozen=True)
class Fold:
    """A Sum or Product, and the symbols that it takes the values of."""

    node: Any
    symbols: tuple

    def spelled(self, values: tuple) -> tuple[str, tuple]:
        """How a call that waits for types is printed."""
        return "name", (str(self.node),)


class Converter(NodeConverter):
    """The converter of all of sympy."""

    def element(self, base: Any, indices: Sequence[Any], node: Any) -> Any:
        return element(base, indices, node, self.known, self.runs)

    def folded(self, node: Any) -> Any:
        return folded(node, self.known, self.runs)


def folded(node: Any, known: Mapping[Any, Any], runs: Mapping[Any, Run]) -> Any:
    """A Sum or Product over symbols with the values in `known`; it waits while a type is unknown."""
    if any(isinstance(v, Expr) and not v.typed for v in known.values()):
        return FUNCTIONS["sympy_fold"](Fold(node, tuple(known)), tuple(known.values()))
    check_sizes(known)
    *inner, (index, low, high) = [_limits(node, limit) for limit in node.limits]
    body = node.func(node.function, *inner) if inner else node.function
    first, last = (_bound(node, Converter(known, runs).value(b)) for b in (low, high))
    looped = isinstance(first, Expr) or isinstance(last, Expr) or _bounds_depend_on(index, body)
    return (_repeated if looped else _reduced)(node, body, index, (first, last), known, runs)


@surface
def sympy_fold_(fold: Fold, values: tuple) -> Any:
    return folded(fold.node, dict(zip(fold.symbols, values, strict=True)), {})


def check_sizes(known: Mapping[Any, Any]) -> None:
    """Raise ShapeError where arrays do not have the shapes that their symbols say."""
    first: dict[Any, tuple[Any, Dim]] = {}
    for symbol, value in known.items():
        declared = getattr(symbol, "shape", None)
        if not declared or not isinstance(value, Expr) or not value.typed:
            continue
        if len(declared) != value.ndim:
            raise ShapeError(f"{symbol} has {len(declared)} axes in sympy, and its array has {value.ndim}")
        for dim, extent in zip(declared, value.shape, strict=True):
            other, expected = (symbol, int(dim)) if dim.is_Integer else first.setdefault(dim, (symbol, extent))
            if not sizes.equal(expected, extent) and dim not in known:
                raise ShapeError(f"{symbol} has {sizes.show(extent)} elements along an axis of size {dim}, "
                                 f"expected {sizes.show(expected)}" + (f" as in {other}" if other != symbol else ""))


def _reduced(node: Any, body: Any, index: Any, bounds: tuple, known: Mapping[Any, Any],
             runs: Mapping[Any, Run]) -> Any:
    """The terms for all values of the index at once, and their sum or product."""
    first, last = bounds
    count = sizes.maximum(last - first + 1, 0)
    depth = max((v.ndim for s, v in known.items() if isinstance(v, Expr) and not is_indexed(s)), default=0)
    values = reshape(iota((count,), 0), (count, *(1,) * depth)) + first
    terms = Converter({**known, index: values}, {**runs, index: Run(first, count, depth)}).value(body)
    if not isinstance(terms, Expr) or terms.ndim <= depth:
        terms = terms + FUNCTIONS["zeros_like"](values)             # each value of the index gives the same term
    return FUNCTIONS[_name(node)](terms, axis=0)


def _repeated(node: Any, body: Any, index: Any, bounds: tuple, known: Mapping[Any, Any],
              runs: Mapping[Any, Run]) -> Any:
    """A loop over the values of the index, one term a turn."""
    first, last = bounds
    product = _name(node) == "prod"

    def term(i: Any) -> Expr:
        return FUNCTIONS["asarray"](Converter({**known, index: i}, runs).value(body))

    like = term(bound("int64"))

    def turn(i: Any, total: Any) -> Any:
        return total * term(i) if product else total + term(i)

    return fori_loop(first, last + 1, turn, full(like.shape, int(product), like.dtype))


def _name(node: Any) -> str:
    return "prod" if type(node).__name__ == "Product" else "sum"


def _limits(node: Any, limit: Any) -> tuple[Any, Any, Any]:
    index = limit[0]
    low, high = limit[1:] if len(limit) == 3 else (getattr(index, "lower", None), getattr(index, "upper", None))
    if low is None or high is None:
        raise PullbackError(f"{node} says no bounds for its index {index}: write ({index}, first, last)")
    if low.is_infinite or high.is_infinite:
        raise PullbackError(f"{node} has no last term: call .doit(), or end it where the terms are small")
    return index, low, high


def _bound(node: Any, value: Any) -> Any:
    if isinstance(value, float):
        raise PullbackError(f"a bound of {node} is {value}, expected an integer: use floor or ceiling")
    return bound_of(value, f"of {node}")


def _bounds_depend_on(index: Any, body: Any) -> bool:
    """Whether a Sum or Product inside runs to where this index says."""
    import sympy

    return any(index in bound_.free_symbols for inner in body.atoms(sympy.Sum, sympy.Product)
               for limit in inner.limits for bound_ in limit[1:])


# ---- elements ---------------------------------------------------------------------------------------------------
def is_indexed(symbol: Any) -> bool:
    """Whether a symbol stands for an array that is indexed, not for a value at each place."""
    return type(symbol).__name__ in ("IndexedBase", "MatrixSymbol")


def element(base: Expr, indices: Sequence[Any], node: Any, known: Mapping[Any, Any], runs: Mapping[Any, Run]) -> Any:
    """base[indices] for the values `indices`; what they are in sympy is in `node`."""
    if base.shape is not None and base.ndim != len(indices):
        raise ShapeError(f"{node} has {len(indices)} indices, and its array has {base.ndim} axes")
    for index in indices:
        if isinstance(index, int) and index < 0:
            raise ShapeError(f"{node} lies before the first element of its array: indices count from 0")
    written = list(node.indices) if hasattr(node, "indices") else list(node.args[1:])
    found = [_affine(w, runs, known) or index for w, index in zip(written, indices, strict=True)]
    moving = [f[0] for f in found if isinstance(f, tuple)]
    if moving and len(set(moving)) == len(moving) and not any(isinstance(f, Expr) for f in found):
        return _sliced(base, found, runs, node)
    checked = [_from_start(i, base, axis) if isinstance(i, Expr) else i for axis, i in enumerate(indices)]
    return base[tuple(checked)]


def _affine(index: Any, runs: Mapping[Any, Run], known: Mapping[Any, Any]) -> tuple[Any, int, Dim] | None:
    """(i, a, b) where `index` is a*i + b for one of the running indices, an integer a and a size b."""
    inside = [i for i in runs if index.has(i)]
    if len(inside) != 1:
        return None
    slope = index.expand().coeff(inside[0])
    rest = (index - slope * inside[0]).expand()
    if not slope.is_Integer or slope == 0 or rest.has(inside[0]):
        return None
    start = Converter(known, runs).value(rest)
    start = start.attrs[0] if isinstance(start, Expr) and start.op == "size" else start
    return (inside[0], int(slope), start) if isinstance(start, (int, Size)) else None


def _sliced(base: Expr, found: Sequence[Any], runs: Mapping[Any, Run], node: Any) -> Expr:
    """A region of `base`, each running index along its own axis."""
    ranges, lengths, depths = [], [], []
    for axis, place in enumerate(found):
        if isinstance(place, tuple):
            i, slope, start = place
            run = runs[i]
            first, count = slope * run.first + start, run.count
            ends = (first, first + slope * (count - 1))
            depths.append((run.depth, axis))
        else:
            slope, first, count, ends = 1, place, 1, (place, place)
        low, high = ends if slope > 0 else ends[::-1]
        if not nonnegative(low) or not at_most(high, base.shape[axis] - 1):
            raise ShapeError(f"{node} goes from {sizes.show(low)} to {sizes.show(high)} along axis {axis} of its "
                             f"array, which has {sizes.show(base.shape[axis])} elements counted from 0")
        ranges.append((first, slope))
        lengths.append(count)
    order = [axis for _, axis in sorted(depths, reverse=True)]
    rest = [axis for axis in range(len(found)) if axis not in order]
    turned = transpose(slice_(base, tuple(ranges), tuple(lengths)), (*order, *rest))
    count_at = {depth: lengths[axis] for depth, axis in depths}
    return reshape(turned, tuple(count_at.get(d, 1) for d in range(max(count_at), -1, -1)))


def _from_start(index: Expr, base: Expr, axis: int) -> Expr:
    """An index that NumPy would count from the end is out of range."""
    length = base._known("shape")[axis]
    return FUNCTIONS["where"](index < 0, length, index)
