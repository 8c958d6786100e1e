"""Carries that a turn overwrites in a few places: the reverse keeps what was overwritten, and undoes the turns one by
one.

A link is one indexed write, `update` or `scatter`, or a loop inside whose carry is written so; the next state of such a
carry is a chain of links on the carry. Going back, the chain is walked from its end: each link gets back what it
overwrote. So a turn costs the slice, where a stored past would cost the whole array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from . import size
from .loop import Body, Loop, at, backwards
from .node import Expr, make, rebuild, rewrite, toposort
from .primitives import gather, slice_
from .size import Dim, Size, active_guards

Known = Mapping[Expr, Expr]


@dataclass(frozen=True)
class Chain:
    """The links of a carry, first to last, and how many elements they write."""

    links: tuple[Expr, ...]
    written: Dim


def chain_of(body: Body, k: int) -> Chain | None:
    """The writes that make carry `k` into its next state; None where that is more than writing at few places."""
    chain = _chain(body, k)
    if chain is None:
        return None
    looped = chain.links and any(link.op == "item" for link in chain.links)
    whole = size.product(body.carries[k].shape)
    return chain if is_small(chain.written, 2 * whole) and (looped or is_small(chain.written * 2, whole)) else None


def _chain(body: Body, k: int) -> Chain | None:
    links, node = [], body.results[k]
    written: Dim = 0
    while node.op in ("update", "scatter", "item"):
        links.append(node)
        if node.op != "item":
            written = written + size.product(node.args[-1].shape)
            node = node.args[0]
            continue
        inner = _inner(node)
        if inner is None:
            return None
        loop, place, chain = inner
        assert loop.turns is not None
        written = written + loop.turns * chain.written
        node = loop.inits[place]
    return Chain(tuple(links[::-1]), written) if links and node is body.carries[k] else None


def _inner(link: Expr) -> tuple[Loop, int, Chain] | None:
    """The loop that gives `link`, the number of the carry, and its chain; None where it has none."""
    if link.args[0].op != "loop":
        return None
    loop = Loop(link.args[0])
    kind, place = loop.kind_of(link.attrs[0])
    if kind != "carry" or loop.count is None or loop.turns is None or loop.body.checkpoint == "none":
        return None
    chain = _chain(loop.body, place)
    return None if chain is None else (loop, place, chain)


def is_small(part: Dim, whole: Dim) -> bool:
    """Whether `part` is less than `whole` in the present call; either answer is right, so no guard is recorded."""
    difference = whole - part
    if isinstance(difference, Size):
        guards = active_guards()
        known = guards is not None and difference.symbols() <= guards.values.keys()
        return size.evaluate(difference, guards.values) > 0 if known and guards is not None else False
    return difference > 0


# ---- what is kept ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Undo:
    """How the state before `link` is found again: `kept` has to be stacked, what was overwritten first. For a loop
    inside: that `loop` with what it stacks, and how its own links are undone, which read `outside` operands.
    """

    link: Expr
    kept: tuple[Expr, ...]
    loop: Loop | None = None
    inner: tuple[Undo, ...] = ()
    outside: tuple[Expr, ...] = ()


def undo_of(link: Expr, moving: set[Expr]) -> Undo:
    """The way back over `link` where the variables `moving` of the body are not known yet."""
    found = _inner(link) if link.op == "item" else None
    if found is None:
        return Undo(link, (_overwritten(link), *(i for i in _indices(link) if _depends(i, moving))))
    loop, _, chain = found
    body = loop.body
    far = {o for o, x in zip(body.operands, loop.operands, strict=True) if _depends(x, moving)}
    inner = tuple(undo_of(each, {*body.carries, *far}) for each in chain.links)
    own = dict.fromkeys(node for each in inner for node in each.kept)
    more = replace(body, stacked=tuple(dict.fromkeys([*body.stacked, *own])))
    keeping = Loop(make("loop", loop.node.args, (more, loop.node.attrs[1])))
    numbers = {node: place for place, node in enumerate(more.stacked)}
    count = [loop.count] if isinstance(loop.count, Expr) and _depends(loop.count, moving) else []
    kept = (*(keeping.item("stacked", numbers[node]) for node in own), *count)
    return Undo(link, kept, keeping, inner, tuple(o for o in body.operands if o not in far))


def _depends(x: Expr, variables: set[Expr]) -> bool:
    return not variables.isdisjoint(toposort([x]))


def _indices(link: Expr) -> tuple[Expr, ...]:
    return link.args[1:-1] if link.op == "scatter" else ()


def _overwritten(link: Expr) -> Expr:
    before, value = link.args[0], link.args[-1]
    if link.op == "update":
        return slice_(before, link.attrs[1], value.shape)
    return gather(before, list(_indices(link)), link.attrs[1])


# ---- the way back ---------------------------------------------------------------------------------------------------
def before(undo: Undo, state: Expr, known: Known) -> Expr:
    """The state before a link from the `state` after it; `known` holds what was kept."""
    link = undo.link
    if undo.loop is not None:
        return _before_loop(undo, undo.loop, state, known)
    if link.op == "update":
        return make("update", (state, known[undo.kept[0]]), ("set", link.attrs[1]), link.dtype, link.shape)
    indices = rewrite(_indices(link), rebuild, known)
    return make("scatter", (state, *indices, known[undo.kept[0]]), ("set", link.attrs[1]), link.dtype, link.shape)


def _before_loop(undo: Undo, loop: Loop, state: Expr, known: Known) -> Expr:
    values = dict(zip(loop.body.operands, loop.operands, strict=True))
    outside = dict(zip(undo.outside, rewrite([values[o] for o in undo.outside], rebuild, known), strict=True))
    own = dict.fromkeys(node for each in undo.inner for node in each.kept)
    past = {node: known[stacked] for node, stacked in zip(own, undo.kept, strict=False)}
    count = rewrite([loop.count], rebuild, known)[0] if isinstance(loop.count, Expr) else loop.count
    assert count is not None

    def turn(index: Expr, states: list[Expr]) -> Sequence[Expr]:
        here = {loop.body.index: index, **outside, **{node: at(x, index) for node, x in past.items()}}
        found = states[0]
        for each in reversed(undo.inner):
            found = before(each, found, here)
        return [found]

    return backwards(count, [state], turn, loop.turns, about=loop.body.about.back()).item("carry", 0)
