"""Graph to graph: loops and branches without what nobody reads: carries, stacked values, results and their operands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice

from .branch import Branch, branch
from .loop import Body, Loop
from .node import Expr, frozen, make, rebuild, rewrite, toposort

Item = tuple[str, int]                   # kind and number of a result of a loop
Slim = tuple[Expr, dict[int, int]]       # a node with fewer parts, in old arguments, and where its results have gone


def pruned(roots: Sequence[Expr]) -> list[Expr]:
    """`roots`, computed by loops and branches that compute no more than is read, inside and out."""
    order = toposort(roots)
    if not any(n.op in ("loop", "branch") for n in order):
        return list(roots)
    roots = merged(roots, inside=True)
    order = toposort(roots)
    live = set(roots)
    wanted: dict[Expr, set[int]] = {}
    slim: dict[Expr, Slim] = {}
    for node in reversed(order):
        if node not in live:
            continue
        if node.op == "item" and node.args[0].op in ("loop", "branch"):
            wanted.setdefault(node.args[0], set()).add(node.attrs[0])
            live.add(node.args[0])
        elif node.op in ("loop", "branch"):
            slim[node] = (_slim_loop if node.op == "loop" else _slim_branch)(node, wanted.get(node, set()))
            live.update(slim[node][0].args)
        else:
            live.update(node.args)
    return _rebuilt(roots, slim)


def _rebuilt(roots: Sequence[Expr], slim: dict[Expr, Slim]) -> list[Expr]:
    """`roots` with slim nodes in place, walking over those arguments only that they still have."""
    done: dict[Expr, Expr] = {}
    stack = list(roots)
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
            continue
        small, _ = slim.get(node, (node, {}))
        missing = [a for a in small.args if a not in done]
        if missing:
            stack += missing
            continue
        stack.pop()
        args = tuple(done[a] for a in small.args)
        if node.op == "item" and node.args[0] in slim:
            done[node] = make("item", args, (slim[node.args[0]][1][node.attrs[0]],), node.dtype, node.shape)
        else:
            done[node] = rebuild(small, args)
    return [done[r] for r in roots]


# ---- loops that are alike ---------------------------------------------------------------------------------------
def merged(roots: Sequence[Expr], inside: bool = False) -> list[Expr]:
    """`roots` with loops that differ in what they stack alone made one: the value's, and that of a derivative; with
    `inside` also those that differ in what loops inside them stack.
    """
    groups: dict[tuple, dict[Expr, Body]] = {}
    for outer in _groups([n for n in toposort(roots) if n.op == "loop"], _frame):
        for node, body in _with_merged_bodies(outer, inside).items():
            groups.setdefault((_frame(node), *map(id, body.results), id(body.test)), {})[node] = body
    bodies: dict[Expr, tuple[Body, Body]] = {}
    for group in groups.values():
        if len(group) > 1:
            stacked = dict.fromkeys(value for body in group.values() for value in body.stacked)
            one = replace(next(iter(group.values())), stacked=tuple(stacked))
            bodies.update({node: (body, one) for node, body in group.items()})

    def rule(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if node in bodies:
            return make("loop", args, (bodies[node][1], node.attrs[1]))
        if node.op == "item" and node.args[0] in bodies:
            own, one = bodies[node.args[0]]
            kind, k = Loop(node.args[0]).kind_of(node.attrs[0])
            if kind == "stacked":
                k = list(map(id, one.stacked)).index(id(own.stacked[k]))
            return Loop(args[0]).item(kind, k)
        return rebuild(node, args)

    # loops that start from what others leave are alike when those are one
    return merged(rewrite(roots, rule), inside) if bodies else list(roots)


def _frame(node: Expr) -> tuple:
    """What tells loops apart, whatever they compute."""
    body, count = node.attrs
    parts = (node.args, (body.index,), body.carries, body.operands)
    return (*(tuple(map(id, part)) for part in parts), body.test is None, frozen(count), frozen(body.limit))


def _groups(nodes: Sequence[Expr], key: Callable[[Expr], tuple]) -> list[list[Expr]]:
    found: dict[tuple, list[Expr]] = {}
    for node in nodes:
        found.setdefault(key(node), []).append(node)
    return list(found.values())


def _with_merged_bodies(nodes: Sequence[Expr], inside: bool) -> dict[Expr, Body]:
    """The bodies of loops over the same variables, with `inside` the loops that they have in common merged."""
    bodies = [node.attrs[0] for node in nodes]
    if len(nodes) == 1 or not inside:
        return dict(zip(nodes, bodies, strict=True))
    rest = iter(merged([root for body in bodies for root in body.roots()], inside))
    return {node: body.with_roots(list(islice(rest, len(body.roots()))))
            for node, body in zip(nodes, bodies, strict=True)}


# ---- loops and branches -----------------------------------------------------------------------------------------
def _slim_loop(node: Expr, places: Iterable[int]) -> Slim:
    """Carries that results, the test or carries that are read depend on, and what is stacked, where asked for."""
    loop = Loop(node)
    body, items = loop.body, {p: loop.kind_of(p) for p in places}
    kept = {k for kind, k in items.values() if kind in ("carry", "trajectory")}
    numbers = sorted({k for kind, k in items.values() if kind == "stacked"})
    others = [*(body.stacked[s] for s in numbers), *([] if body.test is None else [body.test])]
    while True:
        order = sorted(kept)
        roots = pruned([*(body.results[k] for k in order), *others])
        read = set(toposort(roots))
        more = {k for k, carry in enumerate(body.carries) if carry in read} - kept
        if not more:
            break
        kept |= more
    small = replace(body, results=tuple(roots[: len(order)]), stacked=tuple(others[: len(numbers)]), undone=())
    small = small.with_roots(roots, carries=tuple(body.carries[k] for k in order))
    return _with_operands(loop, small, order, numbers, items)


def _with_operands(loop: Loop, body: Body, kept: list[int], stacked: list[int], items: dict[int, Item]) -> Slim:
    """The node of `body`, with the operands that it reads, and the new places of `items`."""
    read = set(toposort(body.roots()))
    used = [j for j, o in enumerate(body.operands) if o in read]
    body = replace(body, operands=tuple(body.operands[j] for j in used))
    count = [loop.count] if isinstance(loop.count, Expr) else []
    args = [*count, *(loop.inits[k] for k in kept), *(loop.operands[j] for j in used)]
    node = make("loop", args, (body, loop.node.attrs[1]))
    view = Loop(node)
    number = {"carry": kept, "trajectory": kept, "stacked": stacked, "trips": [0]}
    return node, {p: view.item(kind, number[kind].index(k)).attrs[0] for p, (kind, k) in items.items()}


def _slim_branch(node: Expr, places: Iterable[int]) -> Slim:
    view, kept = Branch(node), sorted(places)
    bodies = [pruned([body.results[k] for k in kept]) for body in view.bodies]
    return branch(view.index, view.variables, view.operands, bodies).node, {k: n for n, k in enumerate(kept)}
