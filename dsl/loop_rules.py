"""Derivatives of loops, as loops again.

Reverse mode runs a loop backwards over the trajectories of the carries that its rules read (none for a linear body).
With `checkpoint='none'` a past state is computed again from the start. All of it may be differentiated again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from .adjoint import Tangents, filled, together
from .checkpoints import segmented
from .errors import PullbackError
from .grad import jvp_of, vjp_of
from .loop import About, Body, Loop, at, backwards, bound, repeat
from .node import Expr, make, rebuild, rewrite, toposort
from .past import Past
from .primitives import elementwise, zeros_like
from .prune import pruned
from .rules import RULES, SMOOTH, Rule, edge
from .size import Dim
from .slices import read_parts, slices_outside
from .surface import as_expr
from .undo import Chain


def reverse_loop(node: Expr, parts: Tangents, present: Tangents) -> list[Expr | None]:
    """The cotangents of the arguments of `node`, from those of its results: one loop, run backwards.

    What the arguments have already, `present`, is where the cotangents of operands start.
    """
    loop = Loop(node)
    body, given = loop.body, {loop.kind_of(i): g for i, g in enumerate(parts) if g is not None}
    floats, inputs = _with_cotangents(loop, given)
    count = loop.item("trips") if loop.count is None else loop.count
    adjoint = _Adjoint(loop, given, floats, inputs)
    shift, whole = len(node.args) - len(loop.inits) - len(loop.operands), set(adjoint.sources)
    already = {o: g for o, g in zip(body.operands, present[shift + len(loop.inits) :], strict=True) if o in whole}
    if loop.turns is None and body.checkpoint != "none" and adjoint.needed:
        return _with_present(_reverse_of_segments(loop, as_expr(count), given), present)
    past = Again(loop, adjoint.needed) if body.checkpoint == "none" else adjoint.past()
    outside = dict(zip(body.operands, loop.operands, strict=True))
    sources = rewrite(adjoint.sources, rebuild, outside)
    starts = [given.get(("carry", k), zeros_like(loop.inits[k])) for k in floats]
    starts += filled([already.get(s) for s in adjoint.sources], sources)
    starts += [past.loop.item("carry", k) for k in past.chains]
    own = len(floats) + len(sources)

    def turn(index: Expr, states: list[Expr]) -> Sequence[Expr]:
        known = adjoint.given_in_turn(states[:own], index)
        known = past.known({body.index: index, **outside, **known}, states[own:], index)
        return [*adjoint.moved(states[:own], known, index), *(known[body.carries[k]] for k in past.chains)]

    walked = [(k, body.index) for k in range(own, len(starts))]
    back = backwards(count, starts, turn, loop.turns, body.checkpoint, body.about.back(), walked)
    cotangents: list[Expr | None] = [None] * len(node.args)
    for n, k in enumerate(floats):
        cotangents[shift + k] = back.item("carry", n)
    shares = [back.item("carry", len(floats) + n) for n in range(len(sources))]
    rest = list(present)
    for j, share in zip(inputs, vjp_of(adjoint.sources, shares, [body.operands[j] for j in inputs]), strict=True):
        cotangents[shift + len(loop.inits) + j] = share
        if body.operands[j] in already:
            rest[shift + len(loop.inits) + j] = None
    return _with_present(cotangents, rest)


def _with_present(cotangents: Sequence[Expr | None], present: Tangents) -> list[Expr | None]:
    pairs = ([g for g in pair if g is not None] for pair in zip(present, cotangents, strict=True))
    return [together(pair) if pair else None for pair in pairs]


class _Adjoint:
    """One turn backwards: the cotangents of the body's variables from those of its results, as expressions of both."""

    def __init__(
        self, loop: Loop, given: Mapping[tuple[str, int], Expr], floats: Sequence[int], inputs: Sequence[int]
    ) -> None:
        self.loop, body, self.given, self.floats = loop, loop.body, given, floats
        self.incoming = [bound(body.carries[k].dtype, body.carries[k].shape) for k in floats]
        stacked = {k: body.stacked[k] for kind, k in given if kind == "stacked"}
        self.stacked = {k: bound(v.dtype, v.shape) for k, v in stacked.items()}
        outputs = [*(body.results[k] for k in floats), *stacked.values()]
        operands = [body.operands[j] for j in inputs]
        outputs = slices_outside(outputs, operands)
        self.sources = list(read_parts(outputs, operands))
        apart = {s: bound(s.dtype, s.shape) for s in self.sources}
        self.sums = [bound(s.dtype, s.shape) for s in self.sources]
        wrt = [*(body.carries[k] for k in floats), *apart.values()]
        base = dict(zip(apart.values(), self.sums, strict=True))
        shares = vjp_of(rewrite(outputs, rebuild, apart), [*self.incoming, *self.stacked.values()], wrt, base)
        back = iter(rewrite([s for s in shares if s is not None], rebuild, {b: s for s, b in apart.items()}))
        self.shares = [None if s is None else next(back) for s in shares]
        read = set(toposort([s for s in self.shares if s is not None]))
        self.needed = [k for k, c in enumerate(body.carries) if c in read]

    def past(self) -> Past:
        past = Past(self.loop, self.shares, [*self.incoming, *self.sums, *self.stacked.values()])
        self.shares = past.shares
        return past

    def given_in_turn(self, adjoints: Sequence[Expr], index: Expr) -> dict[Expr, Expr]:
        """The cotangents that the shares are in terms of, in turn `index`."""
        known = dict(zip([*self.incoming, *self.sums], adjoints, strict=True))
        known.update({v: at(self.given["stacked", k], index) for k, v in self.stacked.items()})
        return known

    def moved(self, adjoints: Sequence[Expr], known: Mapping[Expr, Expr], index: Expr) -> list[Expr]:
        """The cotangents before turn `index`, from those after it."""
        found = iter(rewrite([s for s in self.shares if s is not None], rebuild, known))
        shares = [None if s is None else next(found) for s in self.shares]
        new = []
        for k, share, adjoint in zip(self.floats, shares, adjoints, strict=False):
            extra = self.given.get(("trajectory", k))
            share = zeros_like(adjoint) if share is None else share
            new.append(share if extra is None else elementwise("add", share, at(extra, index)))
        count = len(self.floats)
        return [*new, *(a if s is None else s for s, a in zip(shares[count:], adjoints[count:], strict=True))]


def _with_cotangents(loop: Loop, given: Mapping[tuple[str, int], Expr]) -> tuple[list[int], list[int]]:
    """The numbers of the carries and of the operands that get a cotangent: for the others it is zero by form, and no
    zero is multiplied by what may be infinite there.
    """
    body = loop.body
    live = {k for kind, k in given if kind in ("carry", "trajectory")}
    stacked = [body.stacked[k] for kind, k in given if kind == "stacked"]
    while True:
        reached = _sources(pruned([*(body.results[k] for k in sorted(live)), *stacked]))
        more = {k for k, c in enumerate(body.carries) if c.dtype.kind in "fc" and c in reached} - live
        if not more:
            break
        live |= more
    return sorted(live), [j for j, o in enumerate(body.operands) if o.dtype.kind in "fc" and o in reached]


def _sources(outputs: Sequence[Expr]) -> set[Expr]:
    """What `outputs` depend on by operations that have a derivative."""
    reached = set(outputs)
    for node in reversed(toposort(outputs)):
        if node in reached:
            reached.update(a for i, a in enumerate(node.args) if edge(node, i) == SMOOTH)
    return reached


def _reverse_of_segments(loop: Loop, count: Expr, given: dict[tuple[str, int], Expr]) -> list[Expr | None]:
    """The cotangents of the arguments of a loop of unknown length: those of the same loop in segments."""
    args = [*loop.inits, *loop.operands]
    fresh = [bound(a.dtype, a.shape) for a in args]
    inits, operands = fresh[: len(loop.inits)], fresh[len(loop.inits) :]
    turns, shift = bound(np.int64), len(loop.node.args) - len(args)
    parts = Loop(make("loop", (turns, *inits, *operands), (replace(loop.body, test=None, limit=None), "argument")))
    again = segmented(parts, turns)
    outputs = [again.item(kind, k) for kind, k in given]
    found = vjp_of(outputs, list(given.values()), fresh)
    known = {turns: count, **dict(zip(fresh, args, strict=True))}
    there = iter(rewrite([f for f in found if f is not None], rebuild, known))
    return [None] * shift + [None if f is None else next(there) for f in found]


def bytes_kept(loop: Loop) -> Dim | None:
    """The bytes of a turn that the reverse derivative of all float results keeps; None where there is no such."""
    body = loop.body
    results = [*(("carry", k) for k in range(len(body.carries))), *(("stacked", s) for s in range(len(body.stacked)))]
    outputs = {key: x for key in results if (x := loop.item(*key)).dtype.kind in "fc"}
    try:
        given = {key: bound(x.dtype, x.shape) for key, x in outputs.items()}
        return _Adjoint(loop, given, *_with_cotangents(loop, given)).past().bytes
    except PullbackError:
        return None


class Again:
    """The past of a loop that keeps nothing: the states before a turn are computed from the start."""

    chains: Mapping[int, Chain] = {}

    def __init__(self, loop: Loop, needed: Sequence[int]) -> None:
        self.loop, self.needed = loop, needed

    def known(self, given: Mapping[Expr, Expr], after: Sequence[Expr], index: Expr) -> dict[Expr, Expr]:
        body = self.loop.body
        about = About(f"{body.about.said}, again from the start", body.about.why)
        again = replace(body, stacked=(), test=None, limit=self.loop.turns, about=about)
        view = Loop(make("loop", (index, *self.loop.inits, *self.loop.operands), (again, "argument")))
        return {**given, **{body.carries[k]: view.item("carry", k) for k in self.needed}}


def forward_loop(node: Expr, tangents: Sequence[Expr | None]) -> list[Expr | None]:
    """The tangents of the results of `node`: a loop that carries states and their tangents."""
    loop = Loop(node)
    body, shift = loop.body, len(node.args) - len(loop.inits) - len(loop.operands)
    moving = {body.operands[j]: t for j, t in enumerate(tangents[shift + len(loop.inits) :]) if t is not None}
    given = {k: t for k, t in enumerate(tangents[shift : shift + len(loop.inits)]) if t is not None}
    floats, moving_stacked = _with_tangents(body, set(given), set(moving))
    starts = [given.get(k, zeros_like(loop.inits[k])) for k in floats]
    carries = len(body.carries)

    def turn(index: Expr, states: list[Expr]) -> tuple[Sequence[Expr], Sequence[Expr]]:
        known = {
            body.index: index,
            **dict(zip(body.carries, states[:carries], strict=True)),
            **dict(zip(body.operands, loop.operands, strict=True)),
        }
        outputs = rewrite([*body.results, *(body.stacked[s] for s in moving_stacked)], rebuild, known)
        moved = {states[k]: states[carries + n] for n, k in enumerate(floats)}
        moved.update({known[o]: t for o, t in moving.items()})
        targets = [*(outputs[k] for k in floats), *outputs[carries:]]
        found = filled(jvp_of(targets, moved), targets)
        return [*outputs[:carries], *found[: len(floats)]], found[len(floats) :]

    count = loop.item("trips") if loop.count is None else loop.count
    about = replace(body.about, said=f"{body.about.said} with tangents")
    along = repeat(count, [*loop.inits, *starts], turn, limit=body.limit, checkpoint=body.checkpoint, about=about)
    results: list[Expr | None] = [None] * (2 * carries + len(body.stacked) + 1)
    for n, k in enumerate(floats):
        results[k] = along.item("carry", carries + n)
        if along.turns is not None:
            results[carries + len(body.stacked) + k] = along.item("trajectory", carries + n)
    for n, s in enumerate(moving_stacked):
        results[carries + s] = along.item("stacked", n)
    return results


def _with_tangents(body: Body, carries: set[int], moving: set[Expr]) -> tuple[list[int], list[int]]:
    """The numbers of the carries and stacked values that have a tangent; that of the others is zero by form."""
    values = [pruned([v])[0] for v in (*body.results, *body.stacked)]
    order, count = toposort(values), len(body.results)
    while True:
        active = moving | {body.carries[k] for k in carries}
        for node in order:
            if any(a in active and edge(node, i) == SMOOTH for i, a in enumerate(node.args)):
                active.add(node)
        found = [k for k, v in enumerate(values) if v.dtype.kind in "fc" and v in active]
        if carries.issuperset(k for k in found if k < count):
            return sorted(carries), [k - count for k in found if k >= count]
        carries = carries | {k for k in found if k < count}


def _loop_forward(node: Expr, tangents: Tangents) -> list[Expr | None]:
    return forward_loop(node, tangents)


def _loop_reverse(node: Expr, parts: Sequence[Expr | None], index: int) -> Expr | None:
    return reverse_loop(node, parts, [None] * len(node.args))[index]


RULES["loop"] = Rule(_loop_forward, _loop_reverse, reverse_loop)  # type: ignore[arg-type]
