"""Loops as nodes: a body graph that is repeated.

`loop(count?, *inits, *operands; body, count)` has several results, taken by `item`: the carries after the last turn,
values stacked over the turns, for each carry the trajectory of its states before each turn, and the number of turns.
Only what is asked for is computed. Bound variables are fresh in every trace; what the body uses from outside becomes
an operand.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .bounds import most, never_negative
from .node import Expr, make, rebuild, rewrite, toposort
from .primitives import cast, elementwise, gather, reshape, slice_
from .size import Dim, maximum, minimum, where_positive
from .surface import size_value

_serial = itertools.count()
AGAIN = "again"          # a loop over segments, which are run again rather than kept
VIEWS = {"broadcast", "transpose", "slice", "reshape"}


@dataclass(frozen=True)
class About:
    """What a loop is, in words for reports; `why` its reverse keeps what it keeps; whether it is a reverse itself;
    whether its turns are shown while it runs.
    """

    said: str = "loop"
    why: str = ""
    backwards: bool = False
    progress: bool = False

    def back(self) -> About:
        return About(f"{self.said}, backwards", self.why, True, self.progress)

    def part(self) -> About:
        return replace(self, said=f"segment of {self.said}", progress=False)


@dataclass(frozen=True, eq=False)
class Body:
    """One turn of a loop, in bound variables: `index`, `carries` and `operands` in; `results` (the next carries) and
    `stacked` out.

    `test`: whether to take another turn, for a loop without count, of at most `limit` turns; `what` it is called when
    it takes more. `undone`: the carries that go back, turn by turn, to the states of another loop, known by its index.
    """

    index: Expr
    carries: tuple[Expr, ...]
    operands: tuple[Expr, ...]
    results: tuple[Expr, ...]
    stacked: tuple[Expr, ...] = ()
    test: Expr | None = None
    limit: Dim | None = None
    checkpoint: str = "all"
    what: str = "a while loop"
    about: About = About()
    undone: tuple[tuple[int, Expr], ...] = ()

    def roots(self) -> list[Expr]:
        return [*self.results, *self.stacked, *([] if self.test is None else [self.test])]

    def with_roots(self, roots: Sequence[Expr], **changes: object) -> Body:
        count, stacked = len(self.results), len(self.stacked)
        test = roots[count + stacked] if self.test is not None else None
        return replace(
            self, results=tuple(roots[:count]), stacked=tuple(roots[count : count + stacked]), test=test, **changes
        )  # type: ignore[arg-type]

    def rewritten(self, rule: Callable[[Expr, tuple[Expr, ...]], Expr], change: Callable[[object], object]) -> Body:
        """The body with `rule` applied to every node and `change` to its limit."""
        variables = [self.index, *self.carries, *self.operands]
        parts = rewrite([*variables, *self.roots()], rule)
        count, carries = len(variables), len(self.carries)
        return self.with_roots(
            parts[count:],
            index=parts[0],
            carries=tuple(parts[1 : 1 + carries]),
            operands=tuple(parts[1 + carries : count]),
            limit=change(self.limit),
        )


class Loop:
    """A view of a loop node: its parts by name."""

    def __init__(self, node: Expr) -> None:
        self.node = node
        self.body: Body = node.attrs[0]
        self.count: Dim | Expr | None = node.attrs[1]
        args = list(node.args)
        if self.count == "argument":
            self.count = args.pop(0)
        carries = len(self.body.carries)
        self.inits, self.operands = tuple(args[:carries]), tuple(args[carries:])

    @property
    def turns(self) -> Dim | None:
        """The length of stacked results: the count, or its bound."""
        return self.body.limit if self.count is None or isinstance(self.count, Expr) else self.count

    def item(self, kind: str, k: int = 0) -> Expr:
        """A result: `kind` is carry, stacked, trajectory or trips."""
        body, carries, stacked = self.body, len(self.body.carries), len(self.body.stacked)
        if kind == "trips":
            return make("item", (self.node,), (2 * carries + stacked,), np.int64, ())
        like = body.carries[k] if kind != "stacked" else body.stacked[k]
        place = {"carry": k, "stacked": carries + k, "trajectory": carries + stacked + k}[kind]
        if kind != "carry" and self.turns is None:
            raise ValueError("a loop without a bound on its turns has no stacked results: give max_steps")
        shape = like.shape if kind == "carry" else (self.turns, *like.shape)
        return make("item", (self.node,), (place,), like.dtype, shape)

    def part(
        self, start: Expr, turns: Dim | Expr, states: Sequence[Expr], checkpoint: str = "all", limit: Dim | None = None
    ) -> Loop:
        """`turns` turns of the body from turn `start` on, in `states`."""
        body = self.body

        def turn(index: Expr, carries: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
            known = {
                body.index: elementwise("add", start, index),
                **dict(zip(body.carries, carries, strict=True)),
                **dict(zip(body.operands, self.operands, strict=True)),
            }
            found = rewrite([*body.results, *body.stacked], rebuild, known)
            return found[: len(body.results)], found[len(body.results) :]

        return repeat(turns, states, turn, limit=limit, checkpoint=checkpoint, about=body.about.part())

    def kind_of(self, place: int) -> tuple[str, int]:
        """The kind and number of the result at `place`."""
        carries, stacked = len(self.body.carries), len(self.body.stacked)
        if place < carries:
            return "carry", place
        if place < carries + stacked:
            return "stacked", place - carries
        return ("trajectory", place - carries - stacked) if place < 2 * carries + stacked else ("trips", 0)


def bound(dtype: object, shape: tuple = (), below: Dim | None = None) -> Expr:
    """A fresh variable of a body; an index that counts from 0 is known to stay `below` a size."""
    return make("bound", (), (next(_serial),) if below is None else (next(_serial), below), dtype, shape)


def repeat(
    count: Dim | Expr | None,
    inits: Sequence[Expr],
    turn: Callable[[Expr, list[Expr]], tuple[Sequence[Expr], Sequence[Expr]]],
    test: Callable[[list[Expr]], Expr] | None = None,
    limit: Dim | None = None,
    checkpoint: str = "all",
    what: str = "a while loop",
    about: About = About(),
) -> Loop:
    """A loop over `turn(index, carries) -> (next carries, values to stack)`: `count` turns, or while `test(carries)`
    holds.
    """
    turns = limit if count is None or isinstance(count, Expr) else where_positive(count)
    index, carries = bound(np.int64, (), turns), [bound(x.dtype, x.shape) for x in inits]
    results, stacked = turn(index, carries)
    body = Body(
        index,
        tuple(carries),
        (),
        tuple(results),
        tuple(stacked),
        None if test is None else test(carries),
        limit,
        checkpoint,
        what,
        about,
    )
    return close(body, count, inits)


def backwards(
    count: Dim | Expr,
    inits: Sequence[Expr],
    turn: Callable[[Expr, list[Expr]], Sequence[Expr]],
    limit: Dim | None,
    checkpoint: str = "all",
    about: About = About(),
    undone: Sequence[tuple[int, Expr]] = (),
) -> Loop:
    """A loop over `turn(index, carries) -> next carries` for `index` from `count` - 1 down to 0."""
    last = count if isinstance(count, Expr) else size_value(where_positive(count))

    def back(number: Expr, carries: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        return turn(elementwise("subtract", elementwise("subtract", last, number), size_value(1)), carries), ()

    limit = limit if isinstance(count, Expr) else None
    loop = repeat(count, inits, back, limit=limit, checkpoint=checkpoint, about=about)
    return Loop(make("loop", loop.node.args, (replace(loop.body, undone=tuple(undone)), loop.node.attrs[1])))


def close(body: Body, count: Dim | Expr | None, inits: Sequence[Expr]) -> Loop:
    """The loop node of `body`, with what it uses from outside as operands."""
    own = {body.index, *body.carries, *body.operands}
    outside = outside_of(body.roots(), own)
    roots = rewrite(body.roots(), rebuild, {**outside, **{b: b for b in own}})
    closed = body.with_roots(roots, operands=(*body.operands, *outside.values()))
    dynamic = isinstance(count, Expr)
    args = (*((count,) if dynamic else ()), *inits, *outside)
    return Loop(make("loop", args, (closed, "argument" if dynamic else count)))  # type: ignore[arg-type]


def outside_of(roots: Sequence[Expr], own: set[Expr]) -> dict[Expr, Expr]:
    """What `roots` use that does not depend on the variables `own`, with a variable for each."""
    depends = set(own)
    order = toposort(roots)
    for node in order:
        if any(a in depends for a in node.args):
            depends.add(node)
    outside: dict[Expr, Expr] = {}

    def visit(node: Expr) -> None:
        stack = [node]
        while stack:
            top = stack.pop()
            if top in depends or top in outside or inline(top):
                stack.extend(top.args if top not in depends and top not in outside else ())
            elif top.op in VIEWS:
                stack.extend(top.args)
            else:
                outside[top] = bound(top.dtype, top.shape, _below(top))

    for node in order:
        if node in depends:
            for arg in node.args:
                visit(arg)
    for root in roots:
        visit(root)
    return outside


def _below(x: Expr) -> Dim | None:
    """A size that an index never reaches, to be known of it inside as well."""
    high = None if x.shape or x.dtype.kind != "i" or not never_negative(x) else most(x)
    return None if high is None else high + 1


def inline(node: Expr) -> bool:
    """Constants and sizes are as cheap inside."""
    return node.op in ("size", "iota") or node.op == "const" and not node.shape


def at(x: Expr, index: Expr) -> Expr:
    """x[index] for a scalar index."""
    return gather(x, [cast(index, np.int64)], (0,))


def tiled(loop: Loop, every: Dim | Sequence[Dim]) -> Loop:
    """The same loop as segments of `every` turns: its reverse keeps the states at the segments' starts and repeats a
    segment. Of several lengths the first is that of the outermost segments, which are cut again.
    """
    lengths = list(every) if isinstance(every, Sequence) else [every]
    if not lengths:
        return loop
    assert loop.body.test is None and loop.turns is not None
    length, bound_on_turns = lengths[0], maximum(loop.turns, 0)
    count = loop.count if isinstance(loop.count, Expr) else size_value(loop.count)  # type: ignore[arg-type]
    carries, most = range(len(loop.inits)), minimum(length, bound_on_turns)

    def segment(number: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        start = elementwise("multiply", number, size_value(length))
        rest = elementwise("minimum", size_value(length), elementwise("subtract", count, start))
        inside = tiled(loop.part(start, rest, states, "all", most), lengths[1:])
        stacked = [inside.item("stacked", s) for s in range(len(loop.body.stacked))]
        return [inside.item("carry", k) for k in carries], [_first(x, most) for x in stacked]

    segments: Dim = (bound_on_turns + (length - 1)) // length
    about = replace(loop.body.about, said=f"{loop.body.about.said} in segments of {length} turns")
    if not isinstance(loop.count, Expr):
        return Tiles(repeat(segments, loop.inits, segment, checkpoint=AGAIN, about=about).node, bound_on_turns)
    over = elementwise("add", count, size_value(length - 1))
    counted = elementwise("floor_divide", over, size_value(length))
    cut = repeat(counted, loop.inits, segment, limit=segments, checkpoint=AGAIN, about=about)
    return Tiles(cut.node, bound_on_turns)


class Tiles(Loop):
    """A loop over segments, seen as the loop that was cut: what it stacks has the turns of that loop."""

    def __init__(self, node: Expr, length: Dim) -> None:
        super().__init__(node)
        self.length = length

    def item(self, kind: str, k: int = 0) -> Expr:
        found = super().item(kind, k)
        if kind != "stacked":
            return found
        rows, each, *rest = found.shape
        return _first(reshape(found, (rows * each, *rest)), self.length)


def _first(x: Expr, count: Dim) -> Expr:
    """The first `count` elements along the first axis."""
    return slice_(x, ((0, 1),) * len(x.shape), (count, *x.shape[1:]))
