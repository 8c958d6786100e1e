"""Elements of short axes, taken as far inside an expression as they can be: `take` of a stack is one of its parts.

`Taker.take(node, at)` is `node` at the places `at`, (axis, place) pairs, without those axes. Where nothing is taken it
is `node` with everything taken that a slice of one element inside asks for, and with folds over short axes written
out. What cannot be taken inside is sliced outside.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Sequence
from typing import Any

from ..dsl import ops, primitives
from ..dsl.node import Expr, make, rebuild, toposort
from ..dsl.size import Dim, product, same, same_shape
from ..dsl.surface import size_value
from .contractions import spread

At = tuple[tuple[int, int], ...]
Request = tuple[Expr, At]
Rule = Generator[Request, Any, Expr]
MOST = 9                 # elements of the short axes of an array that becomes as many


class Taker:
    """`mixed`: whether something made of `stacks` was taken apart or put together, so that places of one array are not
    all treated alike.
    """

    def __init__(self, stacks: set[Expr] | None = None, roots: Sequence[Expr] = ()) -> None:
        self.known: dict[Request, Expr] = {}
        self.stacks = stacks or set()
        self.made = set(self.stacks)
        self.mixed = False
        for node in toposort(roots):
            if any(a in self.made for a in node.args):
                self.made.add(node)

    def meet(self, node: Expr) -> None:
        self.mixed |= node in self.made and node not in self.stacks

    def take(self, node: Expr, at: At = ()) -> Expr:
        """Generators instead of calls: graphs may be deeper than Python's stack."""
        stack: list[tuple[Request, Rule]] = []
        request: Request | None = (node, at)
        result: Any = None
        while request is not None or stack:
            if request is not None:
                result = self.known.get(request)
                if result is None:
                    stack.append((request, self._rule(*request)))
                if not stack:
                    break
            key, rule = stack[-1]
            try:
                request = rule.send(result)
            except StopIteration as stop:
                stack.pop()
                result, request = stop.value, None
                self.known[key] = stop.value
        assert isinstance(result, Expr)
        return result

    def _rule(self, node: Expr, at: At) -> Rule:
        rule = _RULES.get(node.op)
        if rule is not None:
            return rule(self, node, at)
        if at and (node.op not in ops.ROWS or not all(same_shape(a.shape, node.shape) for a in node.args)):
            return _sliced(self, node, at)
        return _same_places(self, node, at)


def rest(parts: Sequence, at: At) -> tuple:
    """What belongs to the axes that are not taken."""
    taken = {a for a, _ in at}
    return tuple(p for a, p in enumerate(parts) if a not in taken)


def places(shape: Sequence[Dim], axes: Sequence[int]) -> list[At]:
    """Every place on `axes`, the last fastest."""
    counts = [range(int(shape[a])) for a in axes]
    return [tuple(zip(axes, place, strict=True)) for place in itertools.product(*counts)]


def is_short(dims: Sequence[Dim]) -> bool:
    total = product(dims)
    return isinstance(total, int) and 1 < total <= MOST


def one_element(x: Expr, at: At) -> Expr:
    """`x` at places, by a slice."""
    ranges = [(0, 1)] * len(x.shape)
    shape = list(x.shape)
    for axis, place in at:
        ranges[axis], shape[axis] = (place, 1), 1
    return primitives.reshape(primitives.slice_(x, tuple(ranges), tuple(shape)), rest(x.shape, at))


# ---- rules ------------------------------------------------------------------------------------------------------
def _sliced(taker: Taker, node: Expr, at: At) -> Rule:
    whole = yield node, ()
    return one_element(whole, at)


def _same_places(taker: Taker, node: Expr, at: At) -> Rule:
    args = []
    for arg in node.args:
        args.append((yield arg, at))
    return make(node.op, args, node.attrs, node.dtype, rest(node.shape, at)) if at else rebuild(node, tuple(args))


def _leaf(taker: Taker, node: Expr, at: At) -> Rule:
    if at and node.op == "iota":
        return size_value(at[0][1], node.dtype)
    return one_element(node, at) if at else node
    yield


def _broadcast(taker: Taker, node: Expr, at: At) -> Rule:
    dims = node.attrs[0]
    source = yield node.args[0], tuple((dims.index(a), k) for a, k in at if a in dims)
    left = [a for a in range(len(node.shape)) if a not in {a for a, _ in at}]
    return primitives.broadcast(source, tuple(left.index(d) for d in dims if d in left), rest(node.shape, at))


def _transpose(taker: Taker, node: Expr, at: At) -> Rule:
    perm = node.attrs[0]
    source = yield node.args[0], tuple(sorted((perm[a], k) for a, k in at))
    left = rest(perm, at)
    order = sorted(left)
    return primitives.transpose(source, tuple(order.index(p) for p in left))


def _reshape(taker: Taker, node: Expr, at: At) -> Rule:
    """Axes of one element that come or go; other renumbering is left alone."""
    source = node.args[0]
    mine, its = ([a for a, d in enumerate(x.shape) if not same(d, 1)] for x in (node, source))
    alike = same_shape([node.shape[a] for a in mine], [source.shape[a] for a in its])
    if not alike:
        return (yield from (_sliced(taker, node, at) if at else _same_places(taker, node, at)))
    inner = yield source, tuple((its[mine.index(a)], k) for a, k in at if a in mine)
    return primitives.reshape(inner, rest(node.shape, at))


def _slice(taker: Taker, node: Expr, at: At) -> Rule:
    """A place of a slice is a place of its source; so is the one place of a slice of one element of a short axis."""
    source, ranges = node.args[0], node.attrs[0]
    single = [a for a, (start, _) in enumerate(ranges)
              if same(node.shape[a], 1) and isinstance(start, int) and is_short([source.shape[a]])]
    wanted = {**dict.fromkeys(single, 0), **dict(at)}
    if any(not isinstance(ranges[a][0], int) for a in wanted):
        return (yield from (_sliced(taker, node, at) if at else _same_places(taker, node, at)))
    if single and source in taker.made:
        taker.mixed = True
    there = tuple(sorted((a, int(ranges[a][0]) + ranges[a][1] * k) for a, k in wanted.items()))
    inner = yield source, there
    cut = primitives.slice_(inner, rest(ranges, there), rest(node.shape, there))
    return primitives.reshape(cut, rest(node.shape, at))


def _concat(taker: Taker, node: Expr, at: At) -> Rule:
    axis = node.attrs[0]
    place = dict(at).get(axis)
    if place is None:
        parts = []
        for part in node.args:
            parts.append((yield part, at))
        return primitives.concat(parts, axis - sum(a < axis for a, _ in at)) if at else rebuild(node, tuple(parts))
    if any(not isinstance(p.shape[axis], int) for p in node.args):
        return (yield from _sliced(taker, node, at))
    taker.meet(node)
    for part in node.args:
        if place < part.shape[axis]:
            return (yield part, tuple((a, place if a == axis else k) for a, k in at))
        place -= part.shape[axis]
    raise AssertionError("a place beyond the end of an axis")


def _inside(at: At, ranges: Sequence[tuple[Dim, int]], counts: Sequence[Dim]) -> At | None | bool:
    """Where in a region the places are; None where they are outside, False where that is not known."""
    found = []
    for axis, place in at:
        (start, step), count = ranges[axis], counts[axis]
        if not isinstance(start, int) or not isinstance(count, int):
            return False
        turn, off = divmod(place - start, step)
        if off or not 0 <= turn < count:
            return None
        found.append((axis, turn))
    return tuple(found)


def _place(taker: Taker, node: Expr, at: At) -> Rule:
    source, fill = node.args
    there = _inside(at, node.attrs[0], source.shape)
    if not at or there is False:
        return (yield from (_sliced(taker, node, at) if at else _same_places(taker, node, at)))
    taker.meet(node)
    if there is None:
        return primitives.broadcast(fill, (), rest(node.shape, at))
    inner = yield source, there  # type: ignore[misc]
    return primitives.place(inner, rest(node.attrs[0], at), rest(node.shape, at), fill)


def _update(taker: Taker, node: Expr, at: At) -> Rule:
    op, ranges = node.attrs
    target, value = node.args
    there = _inside(at, ranges, value.shape)
    if not at or there is False:
        return (yield from (_sliced(taker, node, at) if at else _same_places(taker, node, at)))
    taker.mixed = True
    before = yield target, at
    if there is None:
        return before
    inner, left = (yield value, there), rest(ranges, at)  # type: ignore[misc]
    if same_shape(inner.shape, before.shape) and all(same(s, 0) and k == 1 for s, k in left):
        return inner if op == "set" else primitives.elementwise(op, before, inner)
    return primitives.update(before, inner, left, op)


def _gather(taker: Taker, node: Expr, at: At) -> Rule:
    source, *arrays = node.args
    axes, rank = node.attrs[0], len(arrays[0].shape)
    if any(a < rank for a, _ in at):
        return (yield from _sliced(taker, node, at))
    others = [a for a in range(len(source.shape)) if a not in axes]
    there = tuple((others[a - rank], k) for a, k in at)
    inner = yield source, there
    found = []
    for array in arrays:
        found.append((yield array, ()))
    return primitives.gather(inner, found, tuple(a - sum(b < a for b, _ in there) for a in axes))


def _reduce(taker: Taker, node: Expr, at: At) -> Rule:
    op, axes = node.attrs
    source = node.args[0]
    kept = [a for a in range(len(source.shape)) if a not in axes]
    there = tuple((kept[a], k) for a, k in at)
    if not is_short([source.shape[a] for a in axes]):
        inner = yield source, there
        moved = tuple(a - sum(b < a for b, _ in there) for a in axes)
        return primitives.reduce(inner, op, moved) if at else rebuild(node, (inner,))
    taker.meet(node)
    total: Expr | None = None
    for turn in places(source.shape, axes):
        value = yield source, tuple(sorted((*there, *turn)))
        total = value if total is None else primitives.elementwise(op, total, value)
    assert total is not None
    return total


def _contract(taker: Taker, node: Expr, at: At) -> Rule:
    """A product of matrices, over short axes as a sum of products of elements."""
    (a, b), (la, lb, out) = node.args, node.attrs
    dims = {**dict(zip(lb, b.shape, strict=True)), **dict(zip(la, a.shape, strict=True))}
    summed = "".join(c for c in dims if c not in out and c in la and c in lb)
    alone = any(c not in out and (c in la) != (c in lb) for c in dims)
    short = is_short([dims[c] for c in summed]) and not alone and len(summed) > 0
    if not at and not short:
        return (yield from _same_places(taker, node, at))
    fixed = {out[axis]: k for axis, k in at}
    left = "".join(c for c in out if c not in fixed)
    shape = tuple(dims[c] for c in left)
    terms = places([dims[c] for c in summed], range(len(summed))) if short else [()]
    if short:
        taker.meet(node)
    total: Expr | None = None
    for turn in terms:
        here = {**fixed, **{summed[i]: k for i, k in turn}}
        x = yield a, tuple((i, here[c]) for i, c in enumerate(la) if c in here)
        y = yield b, tuple((i, here[c]) for i, c in enumerate(lb) if c in here)
        lx, ly = ("".join(c for c in labels if c not in here) for labels in (la, lb))
        if short:
            term = primitives.elementwise("multiply", spread(x, lx, left, shape), spread(y, ly, left, shape))
        else:
            term = make("contract", (x, y), (lx, ly, left), node.dtype, shape)
        total = term if total is None else primitives.elementwise("add", total, term)
    assert total is not None
    return total


_RULES: dict[str, Callable[[Taker, Expr, At], Rule]] = {
    "var": _leaf, "bound": _leaf, "const": _leaf, "iota": _leaf, "size": _leaf, "broadcast": _broadcast,
    "transpose": _transpose, "reshape": _reshape, "slice": _slice, "concat": _concat, "place": _place,
    "update": _update, "gather": _gather, "reduce": _reduce, "contract": _contract,
}
