"""Graph to graph: what a loop carries with a short axis, such as the two species of an ensemble or the three
coordinates of a point, becomes one array for each place of that axis.

A body that takes such a state apart and stacks the derivatives of its parts then computes every part for itself: no
stack is written in a turn, parts of many members lie side by side for vector instructions, and the body is one kernel.
A loop stays as it is where its body needs some state whole, or treats all places of the axis alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..dsl import primitives
from ..dsl.loop import Loop, bound
from ..dsl.node import Expr, make, rebuild, rewrite, toposort
from ..dsl.size import Dim, product, same
from .take import MOST, Taker, places, rest

Axes = tuple[int, ...]


def separated(outputs: Sequence[Expr]) -> list[Expr]:
    """`outputs` with such states apart in every loop, also in loops inside of loops."""
    if not any(node.op == "loop" for node in toposort(outputs)):
        return list(outputs)
    split: dict[Expr, Separated] = {}

    def rule(node: Expr, args: tuple[Expr, ...]) -> Expr:
        node = rebuild(node, args)
        if node.op == "loop":
            found = _separate(_inside(node))
            split[found.node] = found
            return found.node
        if node.op == "item" and node.args[0] in split:
            return split[node.args[0]].result(node.attrs[0])
        return node

    return rewrite(outputs, rule)


def _inside(node: Expr) -> Loop:
    """A loop whose body has been separated, and which is given columns of what it reads as arrays of their own."""
    body, count = node.attrs
    loop = Loop(make("loop", node.args, (body.with_roots(separated(body.roots())), count)))
    values = dict(zip(body.operands, loop.operands, strict=True))
    columns = {n: bound(n.dtype, n.shape) for n in toposort(loop.body.roots()) if _is_column(n, values)}
    if not columns:
        return loop
    kept = {v: v for v in (body.index, *body.carries, *body.operands)}
    roots = rewrite(loop.body.roots(), rebuild, {**kept, **columns})
    new = loop.body.with_roots(roots, operands=(*body.operands, *columns.values()))
    outside = [rebuild(n, (values[n.args[0]],)) for n in columns]
    return Loop(make("loop", (*loop.node.args, *outside), (new, count)))


def _is_column(node: Expr, operands: Mapping[Expr, Expr]) -> bool:
    """One element of every row of an operand: far apart in memory, and read again in every turn."""
    if node.op != "slice" or node.args[0] not in operands or len(node.shape) < 2:
        return False
    source = node.args[0]
    return same(node.shape[-1], 1) and not same(source.shape[-1], 1) and not same(product(node.shape), 1)


def short_axes(shape: Sequence[Dim]) -> Axes:
    """The last axes of a few fixed elements that together have no more than MOST."""
    axes: list[int] = []
    total = 1
    for axis in reversed(range(len(shape))):
        dim = shape[axis]
        if isinstance(dim, int) and dim > 1 and total * dim <= MOST:
            axes.insert(0, axis)
            total *= dim
    return tuple(axes)


def stacked(parts: Sequence[Expr], shape: Sequence[Dim], axes: Axes) -> Expr:
    """The array of `shape` whose elements at the places of `axes` are `parts`."""
    if not axes:
        return parts[0]
    axis, count = axes[0], int(shape[axes[0]])
    each = len(parts) // count
    inner = [*shape[:axis], 1, *shape[axis + 1:]]
    groups = [stacked(parts[k * each:(k + 1) * each], inner, axes[1:]) for k in range(count)]
    return primitives.concat([primitives.reshape(g, tuple(inner)) for g in groups], axis)


class Separated:
    """A loop and what its results have become. `axes`: of the carries that are apart now."""

    def __init__(self, old: Loop, loop: Loop, axes: dict[int, Axes]) -> None:
        self.node, self.old, self.loop, self.axes = loop.node, old, loop, axes
        widths = [len(places(x.shape, axes.get(k, ()))) for k, x in enumerate(old.body.carries)]
        self.starts = [sum(widths[:k]) for k in range(len(widths))]
        self.widths = widths

    def result(self, place: int) -> Expr:
        kind, k = self.old.kind_of(place)
        if kind in ("stacked", "trips"):
            return self.loop.item(kind, k)
        parts = [self.loop.item(kind, self.starts[k] + i) for i in range(self.widths[k])]
        turns = () if kind == "carry" else (self.old.turns,)
        axes = tuple(a + len(turns) for a in self.axes.get(k, ()))
        return stacked(parts, (*turns, *self.old.body.carries[k].shape), axes)  # type: ignore[arg-type]


def _separate(loop: Loop) -> Separated:
    body = loop.body
    outside = Taker()
    axes = {v: short_axes(v.shape) for v in body.carries}
    axes |= {v: short_axes(v.shape) for v, x in zip(body.operands, loop.operands, strict=True)
             if _comes_apart(outside, x, body.roots(), v)}
    axes = {v: found for v, found in axes.items() if found}
    while any(v in axes for v in body.carries):
        parts = {v: [bound(v.dtype, rest(v.shape, at)) for at in places(v.shape, found)] for v, found in axes.items()}
        attempt = _Attempt(loop, axes, parts)
        if not attempt.taker.mixed:
            break
        if not attempt.whole:
            return attempt.done(outside)
        axes = {v: found for v, found in axes.items() if v not in attempt.whole}
    return Separated(loop, loop, {})


def _comes_apart(taker: Taker, x: Expr, roots: Sequence[Expr], variable: Expr) -> bool:
    """Whether an operand is a stack anyway, or small beside the loop: read by every turn, not turn by turn."""
    axes = short_axes(x.shape)
    if not axes:
        return False
    if all(taker.take(x, at).op not in ("slice", "reshape") for at in places(x.shape, axes)):
        return True
    return not any(node.op == "gather" and node.args[0] is variable for node in toposort(roots))


class _Attempt:
    """The body with `parts` for the variables of `axes`; `whole`: those of them that it needs as they were."""

    def __init__(self, loop: Loop, axes: dict[Expr, Axes], parts: dict[Expr, list[Expr]]) -> None:
        self.loop, self.axes, self.parts = loop, axes, parts
        body = loop.body
        stacks = {v: stacked(found, v.shape, axes[v]) for v, found in parts.items()}
        roots = rewrite(body.roots(), rebuild, stacks)
        carried = [stacks[v] for v in body.carries if v in stacks]
        self.taker = Taker({n for s in carried for n in toposort([s]) if n.op in ("concat", "reshape")}, roots)
        results: list[Expr] = []
        for variable, root in zip(body.carries, roots, strict=False):
            results += [self.taker.take(root, at) for at in places(variable.shape, axes.get(variable, ()))]
        self.results = results
        self.others = [self.taker.take(root) for root in roots[len(body.results):]]
        inside = set(toposort([*self.results, *self.others[len(body.stacked):]]))
        self.whole = {v for v, s in stacks.items() if s in inside}

    def done(self, outside: Taker) -> Separated:
        loop, body = self.loop, self.loop.body

        def variables(found: Sequence[Expr]) -> tuple[Expr, ...]:
            return tuple(part for v in found for part in self.parts.get(v, [v]))

        def values(found: Sequence[Expr], given: Sequence[Expr]) -> list[Expr]:
            return [outside.take(x, at) if v in self.axes else x for v, x in zip(found, given, strict=True)
                    for at in places(v.shape, self.axes.get(v, ()))]

        new = replace(body, carries=variables(body.carries), operands=variables(body.operands), undone=(),
                      results=tuple(self.results), stacked=tuple(self.others[: len(body.stacked)]),
                      test=None if body.test is None else self.others[-1])
        dynamic = [loop.count] if isinstance(loop.count, Expr) else []
        args = [*dynamic, *values(body.carries, loop.inits), *values(body.operands, loop.operands)]
        node = make("loop", args, (new, loop.node.attrs[1]))
        axes = {k: self.axes[v] for k, v in enumerate(body.carries) if v in self.axes}
        return Separated(loop, Loop(node), axes)
