"""Branches as steps: every body writes the results that are asked for into the same buffers."""

from __future__ import annotations

from collections.abc import Callable

from ..dsl.branch import Branch
from ..dsl.node import FUNCTIONS, Expr
from .lower import lowered
from .marks import marked
from .nest import TITLE, Context
from .program import Branch as BranchStep
from .program import Step
from .roots import LEAVES

GraphSteps = Callable[..., "list[Step] | None"]


def branch_steps(node: Expr, context: Context, graph_steps: GraphSteps) -> list[Step]:
    """The one step of a branch node, with the steps of its bodies."""
    view = Branch(node)
    targets = {n.attrs[0]: name for n, name in context.stored.items() if n.op == "item" and n.args[0] is node}
    leaves = {v: context.stored[a] for v, a in zip(view.variables, view.operands, strict=True)}
    branches = []
    for body in view.bodies:
        inner = context.inside(dict(leaves))
        roots = []
        results = lowered([body.results[k] for k in targets], context.words)
        for place, (k, result) in enumerate(zip(targets, results, strict=True)):
            slot = result
            if result in inner.stored or result.op in LEAVES or result.op == "const" and result.shape:
                slot = marked(result, place)
            inner.stored[slot] = targets[k]
            roots.append(slot)
        steps = graph_steps(roots, inner)
        assert steps is not None
        branches.append(tuple(steps))
    index = view.index.args[0] if view.index.op == "cast" else view.index
    choice = FUNCTIONS["_text"](index, context.stored, TITLE, context.words)
    return [BranchStep(f"branch_{context.number()}", context.stored[view.index], tuple(branches), (choice,))]
