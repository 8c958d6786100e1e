"""Loops and branches for several lanes: each lane takes its own number of turns, and its own branch.

A loop whose length differs between lanes runs while any of them goes on, and keeps the states of those that are done;
of a branch that differs all bodies run, and each lane keeps its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .batch import BATCH_RULES, Lane, Lanes, batched
from .branch import Branch, closed
from .loop import Loop, bound, close
from .node import Expr, toposort
from .primitives import cast, elementwise, full, place, reduce, transpose, zeros_like


class _BatchedLoop:
    """A loop in all lanes; indexing gives the lanes of a result."""

    def __init__(self, node: Expr, parts: list[Lane], lanes: Lanes) -> None:
        self.loop, self.lanes = Loop(node), lanes
        body, shift = self.loop.body, len(node.args) - len(self.loop.inits) - len(self.loop.operands)
        self.inits, self.operands = parts[shift : shift + len(body.carries)], parts[shift + len(body.carries) :]
        self.count = parts[0] if shift else Lane(self.loop.count, False)
        if self.count.batched:
            self.count = Lane(self._own_count(), True)
        self.flags, self.tested = self._moving()
        self.masked = self.tested or self.count.batched
        self.stacks: list[bool] = []
        self.result = self._repeat()

    def _own_count(self) -> Expr:
        """The turns of each lane: none in lanes that are not active."""
        count = elementwise("maximum", self.count.value, zeros_like(self.count.value))
        return self.lanes.safe(count)

    def _moving(self) -> tuple[list[bool], bool]:
        """Which carries differ between lanes, and whether the test does."""
        body = self.loop.body
        order = toposort(body.roots())
        flags = [p.batched or self.count.batched for p in self.inits]
        while True:
            differs = {v for v, p in zip(body.operands, self.operands, strict=True) if p.batched}
            differs |= {c for c, flag in zip(body.carries, flags, strict=True) if flag}
            for node in order:
                if any(a in differs for a in node.args):
                    differs.add(node)
            tested = body.test is not None and body.test in differs
            grown = [tested or flag or result in differs for flag, result in zip(flags, body.results, strict=True)]
            if grown == flags:
                return flags, tested
            flags = grown

    def _repeat(self) -> Loop:
        body, lanes = self.loop.body, self.lanes
        starts = [lanes.spread(p) if f else p.value for p, f in zip(self.inits, self.flags, strict=True)]
        if self.tested:
            starts.append(full((lanes.size,), 0, np.int64))
        count = self.count.value
        if self.count.batched:
            count = reduce(place(count, ((0, 1),), (lanes.size + 1,)), "maximum", (0,))
        index, states = bound(np.int64), [bound(x.dtype, x.shape) for x in starts]
        results, stacked = self._turn(index, states)
        test = None if body.test is None else self._goes_on(index, states)
        changed = {"carries": tuple(states), "operands": (), "results": tuple(results), "stacked": tuple(stacked)}
        return close(replace(body, index=index, test=test, **changed), count, starts)

    def _turn(self, index: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        body, lanes = self.loop.body, self.lanes
        active = self._active(index, states) if self.masked else None
        inner = Lanes(lanes.size, active) if self.masked else lanes
        found = batched([*body.results, *body.stacked], self._known(index, states), inner)
        results = []
        for lane, state, flag in zip(found, states, self.flags, strict=False):
            new = lanes.spread(lane) if flag else lane.value
            results.append(new if active is None else elementwise("where", lanes.along(active, new), new, state))
        stacked = found[len(body.results) :]
        if active is not None:
            stacked = [Lane(self._taken(active, lanes.spread(lane)), True) for lane in stacked]
        self.stacks = [lane.batched for lane in stacked]
        if self.tested and active is not None:
            results.append(elementwise("add", states[-1], cast(active, np.int64)))
        return results, [lane.value for lane in stacked]

    def _taken(self, active: Expr, value: Expr) -> Expr:
        return elementwise("where", self.lanes.along(active, value), value, zeros_like(value))

    def _known(self, index: Expr, states: Sequence[Expr]) -> dict[Expr, Lane]:
        body = self.loop.body
        return {
            body.index: Lane(index, False),
            **{c: Lane(s, f) for c, s, f in zip(body.carries, states, self.flags, strict=False)},
            **dict(zip(body.operands, self.operands, strict=True)),
        }

    def _active(self, index: Expr, states: Sequence[Expr]) -> Expr:
        """The lanes that take this turn."""
        if self.count.batched:
            return elementwise("less", self.lanes.spread(Lane(index, False)), self.count.value)
        test = batched([self.loop.body.test], self._known(index, states), self.lanes)[0]  # type: ignore[list-item]
        own = self.lanes.spread(test)
        return own if self.lanes.active is None else elementwise("logical_and", own, self.lanes.active)

    def _goes_on(self, index: Expr, states: list[Expr]) -> Expr:
        if self.tested:
            return reduce(self._active(index, states), "logical_or", (0,))
        return batched([self.loop.body.test], self._known(index, states), self.lanes)[0].value  # type: ignore[list-item]

    def __getitem__(self, place_of_result: int) -> Lane:
        kind, k = self.loop.kind_of(place_of_result)
        if kind == "trips":
            if self.count.batched:
                return self.count
            if self.tested:
                return Lane(self.result.item("carry", len(self.flags)), True)
            return Lane(self.result.item("trips"), False)
        flag = self.stacks[k] if kind == "stacked" else self.flags[k]
        value = self.result.item(kind, k)
        return Lane(_lanes_first(value) if flag and kind != "carry" else value, flag)


def _lanes_first(x: Expr) -> Expr:
    """What was stacked over turns, with the lanes in front of them."""
    return transpose(x, (1, 0, *range(2, x.ndim)))


def _branch(node: Expr, parts: list[Lane], lanes: Lanes) -> list[Lane]:
    view = Branch(node)
    if parts[0].batched:
        return _all_branches(view, parts, lanes)
    flags = [p.batched for p in parts[1:]]
    variables = [bound(p.value.dtype, p.value.shape) for p in parts[1:]]
    known = {v: Lane(w, f) for v, w, f in zip(view.variables, variables, flags, strict=True)}
    bodies = [batched(body.results, known, lanes) for body in view.bodies]
    differs = [any(lane.batched for lane in column) for column in zip(*bodies, strict=True)]
    results = [[lanes.spread(lane) if d else lane.value for lane, d in zip(body, differs, strict=True)]
               for body in bodies]
    given = set() if lanes.active is None else {lanes.active}
    chosen = closed(parts[0].value, variables, [p.value for p in parts[1:]], results, given)
    return [Lane(chosen.item(k), d) for k, d in enumerate(differs)]


def _all_branches(view: Branch, parts: list[Lane], lanes: Lanes) -> list[Lane]:
    """Every body in every lane; each lane keeps the results of its own."""
    index, last = parts[0].value, len(view.bodies) - 1
    known = dict(zip(view.variables, parts[1:], strict=True))
    results: list[Expr] = []
    for b, body in enumerate(view.bodies):
        relation = "less_equal" if b == 0 else "greater_equal" if b == last else "equal"
        own = elementwise(relation, index, full(index.shape, b, index.dtype))
        active = own if lanes.active is None else elementwise("logical_and", own, lanes.active)
        found = [lanes.spread(lane) for lane in batched(body.results, known, Lanes(lanes.size, active))]
        results = found if b == 0 else [elementwise("where", lanes.along(own, new), new, old)
                                        for new, old in zip(found, results, strict=True)]
    return [Lane(x, True) for x in results]


BATCH_RULES["loop"] = _BatchedLoop
BATCH_RULES["branch"] = _branch
