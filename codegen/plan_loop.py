"""Loops as steps: carries live in buffers and are updated in place, or trade places with the next state; they are
never copied.

A carry is written in place where nothing that still has to be read is lost: an update of a region, a scatter, or a
map in which each element depends on the carry at that element alone. Kernels that read the old state are put before
the one that overwrites it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..dsl import size
from ..dsl.loop import Body, Loop
from ..dsl.node import Expr, make, toposort
from ..dsl.primitives import elementwise
from ..dsl.size import Dim, same
from ..dsl.surface import size_value
from .fuse import Cluster, homes
from .lower import lowered
from .marks import marked
from .nest import Context
from .program import Library, Offset, Step
from .program import Loop as LoopStep
from .roots import LEAVES, identity

GraphSteps = Callable[..., "list[Step] | None"]


@dataclass
class Carried:
    """Carry number `place` of a loop: its bound variable, next state, buffer, and the nodes that overwrite it in
    order ([] for none).
    """

    place: int
    variable: Expr
    result: Expr
    buffer: str
    chain: list[Expr]


def loop_steps(node: Expr, context: Context, graph_steps: GraphSteps) -> list[Step]:
    """The steps of a loop node: initial states into the buffers of the carries, then the loop."""
    loop = Loop(node)
    body = loop.body
    items = {
        loop.kind_of(n.attrs[0]): name for n, name in context.stored.items() if n.op == "item" and n.args[0] is node
    }
    number = context.number()
    index = items.get(("trips", 0)) or _scalar(context, f"turn_{number}", "int64")
    buffers = [
        items.get(("carry", k)) or context.temporary(f"state_{number}_{k}", c.dtype.name, c.shape)
        for k, c in enumerate(body.carries)
    ]
    leaves = {body.index: index, **dict(zip(body.carries, buffers, strict=True)),
              **{o: context.stored[a] for o, a in zip(body.operands, loop.operands, strict=True)}}
    starts = [_copy(context, a, b) for a, b in zip(loop.inits, buffers, strict=True) if context.stored[a] != b]
    stacked = [("stacked", s, v) for s, v in enumerate(body.stacked)] + [
        ("trajectory", k, c) for k, c in enumerate(body.carries)
    ]
    kept = {items[kind, k]: value for kind, k, value in stacked if (kind, k) in items}
    keeps = tuple((items[kind, k], _KEPT[kind].format(buffers[k] if kind == "trajectory" else ""))
                  for kind, k, _ in stacked if (kind, k) in items)
    steps, swaps = _turn(body, leaves, buffers, kept, index, context, graph_steps)
    count = context.stored[loop.count] if isinstance(loop.count, Expr) else loop.count
    test, condition = ([], None) if body.test is None else _test(body, leaves, index, context, graph_steps, number)
    title = (_title(loop, count), *filter(None, [body.about.why]))
    return [*starts, LoopStep(f"loop_{number}", count, index, tuple(steps), tuple(test), condition, tuple(swaps), title,
                              keeps, body.about.backwards, body.about.progress)]


_KEPT = {"stacked": "a value of every turn", "trajectory": "{} before every turn"}


def _title(loop: Loop, count: Dim | str | None) -> str:
    said, limit = loop.body.about.said, loop.body.limit
    if count is not None:
        return f"{said}: {count} turns"
    return said if limit is None else f"{said}: at most {limit} turns"


def _scalar(context: Context, wish: str, dtype: str) -> str:
    return context.temporary(wish, dtype, ())


def _copy(context: Context, source: Expr, target: str) -> Step:
    name = context.stored[source]
    return Library(
        f"start_{context.number()}",
        "copy",
        (f"{target} = {name}",),
        ((name, 0),),
        (target, 0),
        (("count", size.product(source.shape)),),
    )


def _test(
    body: Body, leaves: dict[Expr, str], index: str, context: Context, graph_steps: GraphSteps, number: int
) -> tuple[list[Step], str]:
    """Whether to take another turn; beyond the limit the program reports and the loop ends."""
    assert body.test is not None
    test = body.test
    if body.limit is not None:
        more = elementwise("less", body.index, size_value(body.limit))
        ok = elementwise("logical_or", elementwise("logical_not", test), more)
        text = f"{body.what} took more than max_steps={body.limit} turns"
        test = make("require", (elementwise("logical_and", test, more), ok), (text,), test.dtype, ())
    inner = context.inside(dict(leaves))
    result, = lowered([test], context.words)
    if result.op in LEAVES:
        result = marked(result, "test")
    condition = inner.store(result, f"go_on_{number}")
    steps = graph_steps([result], inner)
    assert steps is not None
    return steps, condition


def _turn(body: Body, leaves: dict[Expr, str], buffers: list[str], kept: dict[str, Expr], index: str, context: Context,
          graph_steps: GraphSteps) -> tuple[list[Step], list[tuple[str, str]]]:
    """The steps of one turn. Carries are overwritten in place where that loses nothing. Where something is lost, the
    parts that are read of them are taken out first; those that cannot be overwritten even so get a second buffer.
    """
    results = lowered([*body.results, *kept.values()], context.words)
    carried, stacked = results[: len(buffers)], results[len(buffers):]
    apart: set[int] = set()
    several = _read_by_several(results)
    tries = [(False, several), (True, several), (False, None), (True, None)]
    while True:
        taken_out, computed = tries[0]
        inner = context.inside(dict(leaves))
        states, swaps, roots = [], [], []
        for k, (variable, result, buffer) in enumerate(zip(body.carries, carried, buffers, strict=True)):
            if result is variable:
                continue
            kept_apart = result in inner.stored or k in apart
            chain = [] if kept_apart else overwriting(result, variable, computed)
            state = Carried(k, variable, marked(result, k) if result in inner.stored else result, buffer, chain)
            if chain:
                inner.stored.update(dict.fromkeys(chain, buffer))
                inner.overwritten.update(zip([variable, *chain], chain, strict=False))
                inner.regions.update({n: n.attrs[1] for n in chain if n.op == "update"})
                inner.regions.update({n: () for n in chain if n.op == "scatter"})
            else:
                swaps.append((buffer, inner.store(state.result, f"{buffer}_next")))
            states.append(state)
            roots.append(state.result)
        for n, (target, value) in enumerate(zip(kept, stacked, strict=True)):
            marker = marked(value, ("stacked", n))
            inner.stored[marker], inner.turns[marker] = target, index
            roots.append(marker)
        parts = _parts_read(roots, states)
        if taken_out:
            for part in parts:
                if part not in inner.stored:
                    inner.store(part, "part")
        lost: set[int] = set()
        steps = graph_steps(roots, inner, _settler(states, lost))
        if steps is not None:
            return steps, swaps
        if len(tries) == 1:
            apart |= lost or set(range(len(buffers)))
        tries = [t for t in tries[1:] if parts or not t[0]] or tries[-1:]


def _parts_read(roots: Sequence[Expr], states: Sequence[Carried]) -> list[Expr]:
    """Elements, rows and the like that a turn reads of the carries that it overwrites."""
    overwritten = {node for state in states if state.chain for node in (state.variable, *state.chain)}
    return [n for n in toposort(roots) if n.op == "gather" and n.args[0] in overwritten
            and len(n.shape) < len(n.args[0].shape)]


def _read_by_several(results: Sequence[Expr]) -> set[Expr]:
    """The nodes of a turn that more than one other reads."""
    uses = Counter(a for node in toposort(results) for a in set(node.args))
    return {node for node, count in uses.items() if count > 1}


def overwriting(result: Expr, variable: Expr, computed: set[Expr] | None) -> list[Expr]:
    """The nodes that turn the carry into its next state in its own buffer, first to last: writes of regions, or a map
    over all of it. Unless `computed` is None also scatters, a map that reads what they leave, and writes of regions,
    or a map and such writes where it is `computed` for others too.
    """
    chain = _writes(result, variable)
    if chain[0] is variable:
        return chain[1:]
    if not _is_map(chain[0]) or any(n.op == "item" for n in chain):
        return []
    if computed is None:
        return chain if len(chain) == 1 else []
    writes = (_writes(n, variable) for n in reversed(toposort(chain[:1])) if n.op == "scatter")
    earlier = next((found[1:] for found in writes if found[0] is variable), [])
    return [*earlier, *chain] if len(chain) == 1 or earlier or chain[0] in computed else []


def _writes(result: Expr, variable: Expr) -> list[Expr]:
    """The writes that end in `result`, back to `variable` or to what is no write, which comes first."""
    chain: list[Expr] = []
    node: Expr | None = result
    while node is not None and node is not variable:
        chain.append(node)
        node = node.args[0] if node.op in ("update", "scatter") else _start_of(node)
    return [*([] if node is None else [node]), *chain[::-1]]


def _is_map(node: Expr) -> bool:
    return node.op not in LEAVES and node.op not in (
        "contract", "loop", "branch", "item", "recurrence", "reduce", "library"
    )


def _start_of(item: Expr) -> Expr | None:
    """What the loop that leaves `item` in one of its carries starts it with, unless it reads that otherwise as well."""
    if item.op != "item" or item.args[0].op != "loop":
        return None
    loop = Loop(item.args[0])
    kind, k = loop.kind_of(item.attrs[0])
    if kind != "carry" or sum(a is loop.inits[k] for a in loop.node.args) > 1:
        return None
    return loop.inits[k]


def _settler(states: Sequence[Carried], lost: set[int]) -> Callable[[list[Cluster]], bool]:
    """Checks the clusters of a turn against overwriting what is still read; puts readers first, and notes in `lost`
    the carries that fail.
    """

    def settle(clusters: list[Cluster]) -> bool:
        home: dict[Expr, Cluster] = homes(clusters)
        for state in states:
            before = state.variable
            for node in state.chain:
                if not _settled(node, before, home, clusters):
                    lost.add(state.place)
                before = node
        return not lost

    return settle


def _settled(node: Expr, before: Expr, home: dict[Expr, Cluster], clusters: list[Cluster]) -> bool:
    writer = home[node]
    for cluster in clusters:
        readers = [r for r in cluster.members() if before in r.demands]
        if cluster is not writer:
            if readers:
                writer.after.append(cluster)
            continue
        if node.op == "scatter":
            if not size.same(size.product(node.args[-1].shape), 1) and _reads(node.args[1:], before, home):
                return False
            continue
        for reader in readers:
            if reader.node is not node and any(r.reduced for r in cluster.members()):
                return False
            if any(not _same_place(node, index, len(reader.domain)) for index in reader.demands[before]):
                return False
    return True


def _reads(values: Sequence[Expr], wanted: Expr, home: dict[Expr, Cluster]) -> bool:
    """Whether a kernel that computes `values` loads `wanted`; what is stored already is loaded in its place."""
    stack, seen = list(values), set()
    while stack:
        node = stack.pop()
        if node is wanted:
            return True
        if node not in seen and node not in home:
            seen.add(node)
            stack += node.args
    return False


def _same_place(node: Expr, index: Any, rank: int) -> bool:
    """Whether `index` reads the element that `node` writes."""
    own = identity(range(rank))
    if node.op == "update":
        own = tuple(i.scaled(step) + Offset(start) for i, (start, step) in zip(own, node.attrs[1], strict=True))
    return len(index) == len(own) and all(map(_same_offset, index, own))


def _same_offset(a: Offset, b: Offset) -> bool:
    """Whether two offsets are equal by form; unlike ==, which may ask for the values of sizes."""
    difference = a + b.scaled(-1)
    return not difference.terms and same(difference.const, 0)
