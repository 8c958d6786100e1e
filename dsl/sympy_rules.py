"""What the elements of each node are in sympy. The rules are generators that yield the elements that they need, so that
depth is no limit; `elements` is the `Elements` of to_sympy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from . import derive, ops
from .errors import PullbackError
from .node import Expr, where

Element = tuple[Expr, tuple]                                    # a node and an index of sympy integers
Rule = Callable[[Any, Expr, tuple], Generator[list[Element], list[Any], Any]]
_UNROLLED = 16                  # reductions over as many elements are written out
_DYADIC = 64                    # floats that are fractions with a denominator up to this are written as fractions
_LOGICAL = {"logical_and": "And", "logical_or": "Or", "logical_not": "Not", "logical_xor": "Xor",
            "bitwise_and": "And", "bitwise_or": "Or", "bitwise_invert": "Not", "bitwise_xor": "Xor"}


def rule_of(node: Expr) -> Rule:
    """The rule for the elements of `node`."""
    return _RULES.get(node.op) or (_row if node.op in ops.ROWS else _refused)


def number(value: Any) -> Any:
    """A number of a program: exact where it is an integer or a small fraction, else with its shortest digits."""
    import sympy

    if isinstance(value, np.bool_):
        return sympy.true if value else sympy.false
    if value.dtype.kind != "f" or not np.isfinite(value):
        return sympy.sympify(value.item())
    top, bottom = value.item().as_integer_ratio()
    return sympy.Rational(top, bottom) if bottom <= _DYADIC and abs(top) < 2**53 else sympy.Float(str(value), 17)


def _refused(elements: Any, node: Expr, index: tuple) -> Any:
    raise PullbackError(f"{node.op} has no words in sympy{where(node)}: "
                        "write the part without it, or unroll a loop of few turns in Python")
    yield []


def _var(elements: Any, node: Expr, index: tuple) -> Any:
    import sympy

    name = node.attrs[0]
    if not index:
        return elements.symbols.get(name, sympy.Symbol(name))
    base: Any = elements.symbols.get(name)
    if base is None:
        base = sympy.IndexedBase(name, shape=tuple(map(elements.size, node.shape)))
    return base[index]
    yield []


def _const(elements: Any, node: Expr, index: tuple) -> Any:
    array = node.attrs[0].array
    if not all(i.is_Integer for i in index):
        raise PullbackError(f"an array of {array.shape} numbers that is indexed by {index} has no words in sympy"
                            f"{where(node)}: declare it as a variable")
    return number(array[tuple(map(int, index))])
    yield []


def _size(elements: Any, node: Expr, index: tuple) -> Any:
    return elements.size(node.attrs[0])
    yield []


def _iota(elements: Any, node: Expr, index: tuple) -> Any:
    return index[0]
    yield []


def _row(elements: Any, node: Expr, index: tuple) -> Any:
    import sympy

    args = yield [(a, index) for a in node.args]
    if node.op in _LOGICAL and node.dtype.kind == "b":
        return getattr(sympy, _LOGICAL[node.op])(*args)
    if node.op in ("where", "mask"):
        return sympy.Piecewise((args[1], args[0]), (args[2] if node.op == "where" else 0, True))
    if node.op == "cast":
        return _cast(node, args[0])
    row = ops.ROWS[node.op]
    if not row.meaning:
        raise PullbackError(f"{node.op} has no words in sympy{where(node)}")
    symbols = [sympy.Symbol(name, real=True) for name in row.args]
    return derive.parse(row.meaning, row.args).xreplace(dict(zip(symbols, args, strict=True)))


def _cast(node: Expr, value: Any) -> Any:
    import sympy

    before, after = node.args[0].dtype.kind, node.dtype.kind
    if before == "b" and after != "b":
        return sympy.Piecewise((1, value), (0, True))
    if after == "b":
        return sympy.Ne(value, 0)
    return sympy.sign(value) * sympy.floor(sympy.Abs(value)) if before == "f" and after in "iu" else value


def _broadcast(elements: Any, node: Expr, index: tuple) -> Any:
    found = yield [(node.args[0], tuple(index[d] for d in node.attrs[0]))]
    return found[0]


def _transpose(elements: Any, node: Expr, index: tuple) -> Any:
    perm = node.attrs[0]
    found = yield [(node.args[0], tuple(index[perm.index(a)] for a in range(len(perm))))]
    return found[0]


def _reshape(elements: Any, node: Expr, index: tuple) -> Any:
    import sympy

    old, new = [[elements.size(d) for d in shape] for shape in (node.args[0].shape, node.shape)]
    moving = [i for i, extent in zip(index, new, strict=True) if extent != 1]
    if [d for d in old if d != 1] == [d for d in new if d != 1]:
        rest = iter(moving)
        place = [sympy.Integer(0) if d == 1 else next(rest) for d in old]
    else:
        flat = functools.reduce(lambda total, part: total * part[1] + part[0], zip(index, new, strict=True),
                                sympy.Integer(0))
        place = []
        for extent in reversed(old):
            place.insert(0, sympy.Mod(flat, extent))
            flat = sympy.floor(flat / extent)
    found = yield [(node.args[0], tuple(place))]
    return found[0]


def _slice(elements: Any, node: Expr, index: tuple) -> Any:
    place = [elements.size(start) + elements.size(step) * i
             for i, (start, step) in zip(index, node.attrs[0], strict=True)]
    found = yield [(node.args[0], tuple(place))]
    return found[0]


def _inside(elements: Any, ranges: tuple, shape: tuple, index: tuple) -> tuple[Any, tuple]:
    """Whether an index lies in a region, and its place there."""
    import sympy

    conditions, place = [], []
    for i, (start, step), extent in zip(index, ranges, shape, strict=True):
        offset = sympy.expand(i - elements.size(start))
        inner = offset / step
        last = elements.size(extent) - 1
        conditions += [inner >= 0, inner <= last]
        if abs(step) != 1:
            conditions.append(sympy.Eq(sympy.Mod(offset, abs(step)), 0))
        place.append(inner)
    return sympy.And(*conditions), tuple(place)


def _place(elements: Any, node: Expr, index: tuple) -> Any:
    import sympy

    x, fill = node.args
    condition, place = _inside(elements, node.attrs[0], x.shape, index)
    if condition in (sympy.true, sympy.false):
        found = yield [(x, place) if condition == sympy.true else (fill, ())]
        return found[0]
    found = yield [(x, place), (fill, ())]
    return sympy.Piecewise((found[0], condition), (found[1], True))


def _update(elements: Any, node: Expr, index: tuple) -> Any:
    import sympy

    (x, v), (op, ranges) = node.args, node.attrs[:2]
    condition, place = _inside(elements, ranges, v.shape, index)
    if condition == sympy.false:
        return (yield [(x, index)])[0]
    before, comes = yield [(x, index), (v, place)]
    after = comes if op == "set" else _COMBINE[op](before, comes)
    return sympy.Piecewise((after, condition), (before, True))


def _concat(elements: Any, node: Expr, index: tuple) -> Any:
    import sympy

    axis, start, pieces = node.attrs[0], sympy.Integer(0), []
    for part in node.args:
        stop = start + elements.size(part.shape[axis])
        inside = sympy.And(index[axis] >= start, index[axis] < stop)
        if inside != sympy.false:
            pieces.append((inside, part, tuple(i - start if a == axis else i for a, i in enumerate(index))))
        start = stop
    found = yield [(part, place) for _, part, place in pieces]
    conditions = [inside for inside, _, _ in pieces[:-1]]
    return sympy.Piecewise(*zip(found, [*conditions, True], strict=True))


def _gather(elements: Any, node: Expr, index: tuple) -> Any:
    axes, (x, *indices) = node.attrs[0], node.args
    rank = len(indices[0].shape)
    chosen = yield [(i, index[:rank]) for i in indices]
    rest = iter(index[rank:])
    place = tuple(chosen[axes.index(a)] if a in axes else next(rest) for a in range(len(x.shape)))
    return (yield [(x, place)])[0]


def _reduce(elements: Any, node: Expr, index: tuple) -> Any:
    op, axes = node.attrs
    rest = iter(index)
    free = [None if a in axes else next(rest) for a in range(len(node.args[0].shape))]
    return (yield from _folded(elements, op, [node.args[0].shape[a] for a in axes],
                               lambda places: [(node.args[0], _filled(free, places))], lambda found: found[0]))


def _contract(elements: Any, node: Expr, index: tuple) -> Any:
    labels_a, labels_b, labels_out = node.attrs
    extents = dict(zip(labels_a + labels_b, (*node.args[0].shape, *node.args[1].shape), strict=True))
    at = dict(zip(labels_out, index, strict=True))
    summed = [label for label in extents if label not in at]

    def wanted(places: tuple) -> list[Element]:
        known = {**at, **dict(zip(summed, places, strict=True))}
        return [(arg, tuple(known[label] for label in labels))
                for arg, labels in zip(node.args, (labels_a, labels_b), strict=True)]

    return (yield from _folded(elements, "add", [extents[label] for label in summed], wanted,
                               lambda found: found[0] * found[1]))


def _logsumexp(elements: Any, node: Expr, index: tuple) -> Any:
    import sympy

    axes, rest = node.attrs[0], iter(index)
    free = [None if a in axes else next(rest) for a in range(len(node.args[0].shape))]
    return sympy.log((yield from _exponentials(elements, node, free)))


def _softmax(elements: Any, node: Expr, index: tuple) -> Any:
    import sympy

    free = [None if a in node.attrs[0] else i for a, i in enumerate(index)]
    total = yield from _exponentials(elements, node, free)
    return sympy.exp((yield [(node.args[0], index)])[0]) / total


def _exponentials(elements: Any, node: Expr, free: list) -> Any:
    import sympy

    return (yield from _folded(elements, "add", [node.args[0].shape[a] for a in node.attrs[0]],
                               lambda places: [(node.args[0], _filled(free, places))],
                               lambda found: sympy.exp(found[0])))


def _filled(free: list, places: tuple) -> tuple:
    """An index with the places that a fold runs over."""
    rest = iter(places)
    return tuple(next(rest) if i is None else i for i in free)


def _folded(elements: Any, op: str, shape: list, wanted: Callable[[tuple], list[Element]],
            term: Callable[[list], Any]) -> Any:
    """The fold by `op` of `term(elements)` over a region of `shape`."""
    import sympy

    extents = [elements.size(d) for d in shape]
    if all(e.is_Integer for e in extents) and np.prod(list(map(int, extents))) <= _UNROLLED:
        terms = []
        for place in np.ndindex(*map(int, extents)):
            terms.append(term((yield wanted(tuple(map(sympy.Integer, place))))))
        return functools.reduce(_COMBINE[op], terms) if terms else sympy.Integer(int(op == "multiply"))
    if op not in ("add", "multiply"):
        raise PullbackError(f"{op} over {' x '.join(map(str, extents))} elements has no words in sympy")
    places = tuple(elements.fresh() for _ in extents)
    body = term((yield wanted(places)))
    limits = [(i, 0, extent - 1) for i, extent in zip(places, extents, strict=True)]
    return (sympy.Sum if op == "add" else sympy.Product)(body, *limits)


def _named(name: str) -> Callable[..., Any]:
    def combine(*args: Any) -> Any:
        import sympy

        return getattr(sympy, name)(*args)

    return combine


_COMBINE: dict[str, Callable[..., Any]] = {op: _named(name) for op, name in (
    ("add", "Add"), ("multiply", "Mul"), ("minimum", "Min"), ("maximum", "Max"), ("logical_and", "And"),
    ("logical_or", "Or"))}
_RULES: dict[str, Rule] = {
    "var": _var, "const": _const, "size": _size, "iota": _iota, "broadcast": _broadcast, "transpose": _transpose,
    "reshape": _reshape, "slice": _slice, "place": _place, "update": _update, "concat": _concat, "gather": _gather,
    "reduce": _reduce, "contract": _contract, "logsumexp": _logsumexp, "softmax": _softmax,
}
