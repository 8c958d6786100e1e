"""Graph to graph: every complex node becomes a pair of real ones, so that what follows knows real numbers only.

A complex input is read as a real array with a last axis of two, which is what its memory is. Results stay pairs; both
halves are written into one buffer, side by side. Loops and branches carry pairs. Library routines read and
write complex numbers as they lie in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..dsl import primitives
from ..dsl.branch import Branch
from ..dsl.library import results_of
from ..dsl.loop import Loop, bound, repeat
from ..dsl.node import Expr, make, rebuild, toposort
from ..dsl.primitives import part_dtype
from ..dsl.surface import constant, size_value
from .complex_rows import PAIR_ROWS, Pair, multiply, row, whole
from .halves import halves, in_memory, is_complex, parts_of
from .library import canonical, viewed

Result = tuple[Expr, ...]            # one node, or two that share a buffer


def split(roots: Sequence[Expr]) -> list[Result]:
    """`roots` without complex nodes: of a complex one what it is in memory, or both halves of that."""
    if not _has_complex(roots):
        return [(r,) for r in roots]
    splitter = Splitter()
    splitter.walk(roots)
    return [splitter.stored(r) for r in roots]


def _has_complex(roots: Sequence[Expr]) -> bool:
    for node in toposort(roots):
        if is_complex(node):
            return True
        if node.op == "loop" and _has_complex(node.attrs[0].roots()):
            return True
        if node.op == "branch" and any(_has_complex(body.results) for body in node.attrs):
            return True
    return False


class Splitter:
    """Real nodes and pairs by the nodes that they stand for."""

    def __init__(self) -> None:
        self.reals: dict[Expr, Expr] = {}
        self.pairs: dict[Expr, Pair] = {}
        self.whole: dict[Expr, Expr] = {}            # complex nodes that lie in memory, both parts side by side
        self.places: dict[Expr, list[int]] = {}      # of loops and branches: where each result has gone
        self.composed: dict[Expr, Sequence[Expr]] = {}       # of routines in simpler terms: their results

    def walk(self, roots: Sequence[Expr]) -> None:
        for node in toposort(roots):
            if node in self.reals or node in self.pairs:
                continue
            if is_complex(node):
                self.pairs[node] = self._pair(node)
            else:
                self.reals[node] = self._real(node)

    def result(self, node: Expr) -> Result:
        return self.both(node) if is_complex(node) else (self.reals[node],)

    def both(self, node: Expr) -> tuple[Expr, Expr]:
        """The parts of a complex node, zeros for one that is 0 by form."""
        re, im = self.pairs[node]
        return whole(re, im), whole(im, re)

    def stored(self, node: Expr) -> Result:
        """What is to be stored for a node, in one buffer."""
        if not is_complex(node):
            return (self.reals[node],)
        return (self.whole[node],) if node in self.whole else halves(*self.both(node))

    def pair(self, node: Expr) -> Pair:
        return self.pairs[node] if is_complex(node) else (self.reals[node], None)

    def flat(self, nodes: Sequence[Expr]) -> list[Expr]:
        """Real nodes and the parts of complex ones in order."""
        return [part for node in nodes for part in self.result(node)]

    # real nodes ------------------------------------------------------------------------------------------------
    def _real(self, node: Expr) -> Expr:
        if node.op in ("real", "imag"):
            return self.both(node.args[0])[node.op == "imag"]
        if node.op == "item" and node.args[0] in self.places:
            return self._item(node)[0]
        if node.op == "item" and node.args[0] in self.composed:
            return self.reals[self.composed[node.args[0]][node.attrs[0]]]
        if node.op == "loop":
            return self._loop(node)
        if node.op == "branch":
            return self._branch(node)
        if node.op == "library":
            return self._library(node)
        return rebuild(node, tuple(self.reals[a] for a in node.args))

    # complex nodes ---------------------------------------------------------------------------------------------
    def _pair(self, node: Expr) -> Pair:
        rule = _RULES.get(node.op)
        if rule is not None:
            return rule(self, node)
        if node.op in PAIR_ROWS:
            return PAIR_ROWS[node.op](*map(self.pair, node.args))
        assert node.op in _BY_PART, f"{node.op} of complex numbers"
        return self._by_part(node)

    def _by_part(self, node: Expr) -> Pair:
        """An operation that moves, chooses or adds elements does so to each part; real arguments serve both."""
        args = [self.both(a) if is_complex(a) else (self.reals[a],) * 2 for a in node.args]
        re, im = (None if all(self.pairs[a][k] is None for a in node.args if is_complex(a))
                  else _made(node, [a[k] for a in args]) for k in (0, 1))
        return re, im

    # loops and branches ----------------------------------------------------------------------------------------
    def bound(self, variables: Sequence[Expr], given: Sequence[Expr | None]) -> list[Expr]:
        """Bound variables as they are, or a fresh one for each part; one for both where that is what is `given`."""
        found: list[Expr] = []
        for v, whole_of in zip(variables, given, strict=True):
            if not is_complex(v):
                self.reals[v] = v
                found.append(v)
            elif whole_of is not None:
                found.append(self._lies(v, bound(part_dtype(v.dtype), (*v.shape, 2))))
            else:
                re, im = (bound(part_dtype(v.dtype), v.shape) for _ in (0, 1))
                self.pairs[v] = re, im
                found += [re, im]
        return found

    def _lies(self, node: Expr, there: Expr) -> Expr:
        """Note that complex `node` is `there` in memory."""
        self.whole[node], self.pairs[node] = there, parts_of(there)
        return there

    def operands(self, nodes: Sequence[Expr]) -> tuple[list[Expr], list[Expr | None]]:
        """Operands of a body: as they lie in memory if they do, else in parts; and which do."""
        given = [self.whole.get(x) for x in nodes]
        return [p for x, w in zip(nodes, given, strict=True) for p in (self.result(x) if w is None else [w])], given

    def _loop(self, node: Expr) -> Expr:
        loop, (body, count) = Loop(node), node.attrs
        operands, given = self.operands(loop.operands)
        inner = Splitter()
        inner.reals[body.index] = body.index
        carries = inner.bound(body.carries, [None] * len(body.carries))
        variables = inner.bound(body.operands, given)
        inner.walk(body.roots())
        test = None if body.test is None else inner.reals[body.test]
        inside = replace(body, carries=tuple(carries), operands=tuple(variables), test=test,
                         results=tuple(inner.flat(body.results)), stacked=tuple(inner.flat(body.stacked)))
        widths = [1 + is_complex(x) for x in (*body.carries, *body.stacked, *body.carries)]
        self.places[node] = _starts([*widths, 1])
        turns = [self.reals[loop.count]] if isinstance(loop.count, Expr) else []
        return make("loop", [*turns, *self.flat(loop.inits), *operands], (inside, count))

    def _branch(self, node: Expr) -> Expr:
        view = Branch(node)
        operands, given = self.operands(view.operands)
        inner = Splitter()
        variables = tuple(inner.bound(view.variables, given))
        inner.walk([r for body in view.bodies for r in body.results])
        bodies = [replace(body, operands=variables, results=tuple(inner.flat(body.results))) for body in view.bodies]
        self.places[node] = _starts([1 + is_complex(r) for r in view.bodies[0].results])
        return make("branch", [self.reals[view.index], *operands], tuple(bodies))

    def _library(self, node: Expr) -> Expr:
        """Ready to be a step, with operands as they lie in memory; one that is composed of others is known as these."""
        if not any(map(is_complex, (*node.args, *results_of(node)))):
            return rebuild(node, tuple(self.reals[a] for a in node.args))
        ready = canonical(node, node.args)
        if ready.op == "pack":
            self.composed[node] = ready.args
            self.walk(ready.args)
            return ready
        return make("library", [viewed(part) for a in ready.args for part in self.stored(a)], ready.attrs)

    def _item(self, node: Expr) -> list[Expr]:
        """The parts of a result of a loop or branch."""
        source, place = self.reals[node.args[0]], self.places[node.args[0]][node.attrs[0]]
        return [make("item", (source,), (place + k,), part_dtype(node.dtype), node.shape)
                for k in range(1 + is_complex(node))]


def _starts(widths: Sequence[int]) -> list[int]:
    return [sum(widths[:k]) for k in range(len(widths))]


def _made(node: Expr, args: Sequence[Expr]) -> Expr:
    return make(node.op, args, node.attrs, part_dtype(node.dtype), node.shape)


# ---- rules ------------------------------------------------------------------------------------------------------
_BY_PART = {
    "broadcast", "transpose", "slice", "place", "concat", "gather", "where", "mask", "stop_gradient",
    "positive",
}


def _leaf(splitter: Splitter, node: Expr) -> Pair:
    splitter._lies(node, in_memory(node))
    return splitter.pairs[node]


def _const(splitter: Splitter, node: Expr) -> Pair:
    if node.shape:
        return _leaf(splitter, node)
    value, dtype = node.attrs[0].array, part_dtype(node.dtype)
    re, im = (constant(np.asarray(part, dtype)) for part in (value.real, value.imag))
    if value.imag == 0 and not np.signbit(value.imag):
        return re, None
    return (None if value.real == 0 and value.imag != 0 else re), im


def _size(splitter: Splitter, node: Expr) -> Pair:
    return size_value(node.attrs[0], part_dtype(node.dtype)), None


def _iota(splitter: Splitter, node: Expr) -> Pair:
    return _made(node, ()), None


def _cast(splitter: Splitter, node: Expr) -> Pair:
    dtype = part_dtype(node.dtype)
    re, im = (None if part is None else primitives.cast(part, dtype) for part in splitter.pair(node.args[0]))
    return re, im


def _complex(splitter: Splitter, node: Expr) -> Pair:
    re, im = (splitter.reals[a] for a in node.args)
    return re, im


def _conj(splitter: Splitter, node: Expr) -> Pair:
    re, im = splitter.pair(node.args[0])
    like = whole(re, im)
    return re, (primitives.full(like.shape, -0.0, like.dtype) if im is None else row("negative", im))


def _stored_item(splitter: Splitter, node: Expr) -> Pair:
    source = splitter.reals[node.args[0]]
    if node.args[0] in splitter.composed:
        found = splitter.composed[node.args[0]][node.attrs[0]]
        if found in splitter.whole:
            splitter.whole[node] = splitter.whole[found]
        return splitter.pairs[found]
    if source.op == "library":
        splitter._lies(node, make("item", (source,), node.attrs, part_dtype(node.dtype), (*node.shape, 2)))
        return splitter.pairs[node]
    re, im = splitter._item(node)
    return re, im


def _reshape(splitter: Splitter, node: Expr) -> Pair:
    source = splitter.whole.get(node.args[0])
    if source is None:
        return splitter._by_part(node)
    splitter._lies(node, primitives.reshape(source, (*node.shape, 2)))
    return splitter.pairs[node]


def _reduce(splitter: Splitter, node: Expr) -> Pair:
    """A sum of each part; a product one element after the other."""
    if node.attrs[0] == "add":
        return splitter._by_part(node)
    x, axes = node.args[0], node.attrs[1]
    kept = [i for i in range(len(x.shape)) if i not in axes]
    moved = [_axes_first(part, (*axes, *kept), len(axes)) for part in splitter.both(x)]
    ones = primitives.full(node.shape, 1, moved[0].dtype)

    def turn(index: Expr, state: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        here = [_at(part, index) for part in moved]
        return [whole(p, state[0]) for p in multiply((state[0], state[1]), (here[0], here[1]))], ()

    loop = repeat(moved[0].shape[0], [ones, primitives.zeros_like(ones)], turn)
    return loop.item("carry", 0), loop.item("carry", 1)


def _axes_first(x: Expr, order: tuple[int, ...], count: int) -> Expr:
    """`x` with its axes in `order`, the first `count` of them as one."""
    x = primitives.transpose(x, order)
    return primitives.reshape(x, (primitives.size.product(x.shape[:count]), *x.shape[count:]))


def _at(x: Expr, index: Expr) -> Expr:
    return primitives.gather(x, [index], (0,))


def _contract(splitter: Splitter, node: Expr) -> Pair:
    """Four real products, or two where one operand is real."""
    (a, b), (c, d) = map(splitter.pair, node.args)

    def product(x: Expr | None, y: Expr | None) -> Expr | None:
        return None if x is None or y is None else make("contract", (x, y), node.attrs, x.dtype, node.shape)

    def combined(name: str, x: Expr | None, y: Expr | None) -> Expr | None:
        if x is None or y is None:
            return x if y is None else row("negative", y) if name == "subtract" else y
        return row(name, x, y)

    return combined("subtract", product(a, c), product(b, d)), combined("add", product(a, d), product(b, c))


def _recurrence(splitter: Splitter, node: Expr) -> Pair:
    """Real factors leave the parts apart; complex ones take a loop."""
    axis, back = node.attrs
    a, b = node.args
    factor, _ = splitter.pair(a)
    if splitter.pair(a)[1] is None and factor is not None:
        re, im = (make("recurrence", (factor, x), node.attrs, x.dtype, node.shape) for x in splitter.both(b))
        return re, im
    order = (axis, *(i for i in range(len(node.shape)) if i != axis))
    moved = [_axes_first(part, order, 1) for x in (a, b) for part in splitter.both(x)]
    length = node.shape[axis]
    start = primitives.full(moved[0].shape[1:], 0, moved[0].dtype)

    def turn(index: Expr, state: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        place = _from_end(index, length) if back else index
        factor_re, factor_im, term_re, term_im = (_at(part, place) for part in moved)
        re, im = multiply((factor_re, factor_im), (state[0], state[1]))
        after = [row("add", whole(re, im), term_re), row("add", whole(im, re), term_im)]
        return after, after

    loop = repeat(length, [start, start], turn)
    perm = tuple(order.index(i) for i in range(len(order)))
    found = (loop.item("stacked", k) for k in (0, 1))
    if back:
        found = (primitives.slice_(x, ((length - 1, -1), *((0, 1),) * (len(perm) - 1)), x.shape) for x in found)
    re, im = (primitives.transpose(x, perm) for x in found)
    return re, im


def _from_end(index: Expr, length: Any) -> Expr:
    return primitives.elementwise("subtract", size_value(length - 1), index)


def _folded_in(splitter: Splitter, node: Expr) -> Pair:
    """`scatter` and `update`: elements that are set or added go to each part; a region is multiplied as it is set."""
    if node.attrs[0] != "multiply":
        return splitter._by_part(node)
    assert node.op == "update", node
    target, value = node.args
    before = [primitives.slice_(part, node.attrs[1], value.shape) for part in splitter.both(target)]
    re, im = multiply((before[0], before[1]), splitter.pair(value))
    there = splitter.both(target)
    found = (primitives.update(there[k], x, node.attrs[1], "set") for k, x in enumerate((whole(re, im), whole(im, re))))
    return next(found), next(found)


_RULES: dict[str, Callable[[Splitter, Expr], Pair]] = {
    "var": _leaf, "const": _const, "size": _size, "iota": _iota, "cast": _cast, "complex": _complex,
    "conj": _conj, "item": _stored_item, "reshape": _reshape, "reduce": _reduce, "contract": _contract,
    "recurrence": _recurrence, "scatter": _folded_in, "update": _folded_in,
}
