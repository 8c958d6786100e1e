"""Carries that a turn overwrites in a few places: the reverse keeps what was overwritten, and undoes the turns one by
one.

A link is one indexed write, `update` or `scatter`; the next state of such a carry is a chain of links on the carry.
Going back, the chain is walked from its end: each link gets back the slice that it overwrote. So a turn costs the
slice, where a stored past would cost the whole array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from . import size
from .loop import Body, Loop
from .node import Expr, make, rebuild, rewrite, toposort
from .primitives import gather, slice_
from .size import Dim, Size, active_guards

Known = dict[Expr, Expr]


@dataclass(frozen=True)
class Kept:
    """A stacked value of the loop: number `place`, of a node of the body."""

    node: Expr
    place: int


@dataclass(frozen=True)
class Chain:
    """The links of carry `carry`, first to last, what each overwrote, and the indices that have to be kept as well."""

    carry: int
    links: tuple[Expr, ...]
    old: tuple[Kept, ...]
    indices: tuple[Kept, ...]


def keeping(loop: Loop, needed: Sequence[int]) -> tuple[Loop, list[Chain]]:
    """`loop`, which also stacks what is overwritten, and the chains of those of the carries `needed` that can be
    undone.
    """
    body = loop.body
    extra: list[Expr] = []
    chains = []

    def kept(node: Expr) -> Kept:
        extra.append(node)
        return Kept(node, len(body.stacked) + len(extra) - 1)

    for k in needed:
        chain = links(body, k)
        if chain:
            moving = [i for link in chain for i in _indices(link) if not set(body.carries).isdisjoint(toposort([i]))]
            chains.append(Chain(k, chain, tuple(kept(_overwritten(link)) for link in chain),
                                tuple(kept(i) for i in dict.fromkeys(moving))))
    if not chains:
        return loop, []
    more = replace(body, stacked=(*body.stacked, *extra))
    return Loop(make("loop", loop.node.args, (more, loop.node.attrs[1]))), chains


def undone(chain: Chain, state: Expr, known: Known, past: Callable[[int], Expr]) -> Expr:
    """The state before a turn from the state after it; `past(place)` is what was stacked in that turn."""
    known = {**known, **{i.node: past(i.place) for i in chain.indices}}
    for link, old in zip(reversed(chain.links), reversed(chain.old), strict=True):
        value = past(old.place)
        if link.op == "update":
            state = make("update", (state, value), ("set", link.attrs[1]), link.dtype, link.shape)
        else:
            indices = rewrite(_indices(link), rebuild, known)
            state = make("scatter", (state, *indices, value), ("set", link.attrs[1]), link.dtype, link.shape)
    return state


def links(body: Body, k: int) -> tuple[Expr, ...]:
    """The writes that make carry `k` into its next state; none where that is more than writing at few places."""
    chain, node = [], body.results[k]
    while node.op in ("update", "scatter"):
        chain.append(node)
        node = node.args[0]
    written: Dim = 0
    for link in chain:
        written = written + size.product(link.args[-1].shape)
    return tuple(chain[::-1]) if node is body.carries[k] and is_small(written * 2, size.product(node.shape)) else ()


def is_small(part: Dim, whole: Dim) -> bool:
    """Whether `part` is less than `whole` in the present call; either answer is right, so no guard is recorded."""
    difference = whole - part
    if isinstance(difference, Size):
        guards = active_guards()
        known = guards is not None and difference.symbols() <= guards.values.keys()
        return size.evaluate(difference, guards.values) > 0 if known and guards is not None else False
    return difference > 0


def _indices(link: Expr) -> tuple[Expr, ...]:
    return link.args[1:-1] if link.op == "scatter" else ()


def _overwritten(link: Expr) -> Expr:
    before, value = link.args[0], link.args[-1]
    if link.op == "update":
        return slice_(before, link.attrs[1], value.shape)
    return gather(before, list(_indices(link)), link.attrs[1])
