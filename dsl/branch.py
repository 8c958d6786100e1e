"""Branches as nodes: `branch(index, *operands; bodies)` runs one of several bodies, chosen when the program runs.

A body is a `loop.Body` without carries. All bodies share their operands' variables and agree on the types of their
results, which are taken by `item`. The derivative of a branch is a branch again, which runs the taken body once more:
nothing is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from .adjoint import filled
from .grad import jvp_of, vjp_of
from .loop import VIEWS, Body, bound, inline
from .node import Expr, make, rebuild, rewrite, toposort
from .primitives import zeros_like
from .rules import RULES, Rule, Tangents

_LEAVES = ("var", "bound", "const")


class Branch:
    """A view of a branch node: its parts by name."""

    def __init__(self, node: Expr) -> None:
        self.node = node
        self.bodies: tuple[Body, ...] = node.attrs
        self.index, *operands = node.args
        self.operands = tuple(operands)

    def item(self, k: int) -> Expr:
        like = self.bodies[0].results[k]
        return make("item", (self.node,), (k,), like.dtype, like.shape)

    @property
    def variables(self) -> tuple[Expr, ...]:
        """What the operands are called in every body."""
        return self.bodies[0].operands


def branch(index: Expr, variables: Sequence[Expr], actual: Sequence[Expr], results: Sequence[Sequence[Expr]]) -> Branch:
    """The branch node whose bodies give `results` in `variables`, which are `actual`. Operands that no body reads are
    left out.
    """
    read = set(toposort([r for body in results for r in body]))
    kept = [(v, a) for v, a in zip(variables, actual, strict=True) if v in read]
    shared = tuple(v for v, _ in kept)
    bodies = tuple(Body(bound(np.int64), (), shared, tuple(body)) for body in results)
    return Branch(make("branch", (index, *(a for _, a in kept)), bodies))


def closed(
    index: Expr, variables: Sequence[Expr], actual: Sequence[Expr], results: Sequence[Sequence[Expr]], given: set[Expr]
) -> Branch:
    """The branch of `results` that also use things from outside: what is in `given` is computed before, all else in
    the branch.
    """
    own = set(variables)
    outside: dict[Expr, Expr] = {}
    stack = [r for body in results for r in reversed(body)][::-1]
    seen: set[Expr] = set()
    while stack:
        node = stack.pop()
        if node in seen or node in own or inline(node):
            continue
        seen.add(node)
        if node.op in _LEAVES or node in given and node.op not in VIEWS:
            outside[node] = bound(node.dtype, node.shape)
            continue
        if node in given:
            given = given | set(node.args)
        stack.extend(reversed(node.args))
    inside = [rewrite(body, rebuild, {**outside, **{v: v for v in own}}) for body in results]
    return branch(index, [*variables, *outside.values()], [*actual, *outside], inside)


# ---- derivatives ------------------------------------------------------------------------------------------------
def forward_branch(node: Expr, tangents: Tangents) -> list[Expr | None]:
    """The tangents of the results: a branch of the bodies' tangents."""
    view = Branch(node)
    moving = {
        v: (bound(t.dtype, t.shape), t) for v, t in zip(view.variables, tangents[1:], strict=True) if t is not None
    }
    floats = [k for k, r in enumerate(view.bodies[0].results) if r.dtype.kind in "fc"]
    bodies = []
    for body in view.bodies:
        outputs = [body.results[k] for k in floats]
        bodies.append(filled(jvp_of(outputs, {v: t for v, (t, _) in moving.items()}), outputs))
    along = branch(
        view.index,
        [*view.variables, *(v for v, _ in moving.values())],
        [*view.operands, *(t for _, t in moving.values())],
        bodies,
    )
    found: list[Expr | None] = [None] * len(view.bodies[0].results)
    for n, k in enumerate(floats):
        found[k] = along.item(n)
    return found


@lru_cache(maxsize=256)
def reverse_branch(node: Expr, parts: tuple[Expr | None, ...]) -> list[Expr | None]:
    """The cotangents of the arguments: a branch of the bodies' cotangents."""
    view = Branch(node)
    given = {k: (bound(g.dtype, g.shape), g) for k, g in enumerate(parts) if g is not None}
    floats = [j for j, v in enumerate(view.variables) if v.dtype.kind in "fc"]
    wrt = [view.variables[j] for j in floats]
    shares = [vjp_of([body.results[k] for k in given], [v for v, _ in given.values()], wrt) for body in view.bodies]
    used = [n for n in range(len(wrt)) if any(s[n] is not None for s in shares)]
    bodies = [[zeros_like(wrt[n]) if s[n] is None else s[n] for n in used] for s in shares]
    cotangents: list[Expr | None] = [None] * len(node.args)
    if used:
        variables, actual = (
            [*view.variables, *(v for v, _ in given.values())],
            [*view.operands, *(g for _, g in given.values())],
        )
        back = branch(view.index, variables, actual, bodies)  # type: ignore[arg-type]
        for place, n in enumerate(used):
            cotangents[1 + floats[n]] = back.item(place)
    return cotangents


def _reverse(node: Expr, parts: Sequence[Expr | None], index: int) -> Expr | None:
    return reverse_branch(node, tuple(parts))[index]


RULES["branch"] = Rule(forward_branch, _reverse)  # type: ignore[arg-type]
