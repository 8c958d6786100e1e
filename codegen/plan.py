"""From a typed graph to a Program: the passes, in order, are the lines of `plan`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..dsl.loop import Loop
from ..dsl.node import FUNCTIONS, Expr, toposort
from ..dsl.primitives import elementwise, slice_
from ..dsl.prune import pruned
from ..dsl.size import Size
from .complex_pairs import Result, split
from .components import separated
from .contractions import gemm_attrs
from .fuse import Cluster, clusters_of, fitted, ordered
from .halves import in_memory, is_complex
from .library import library_step, result_word
from .lower import fused_products, lowered
from .marks import is_marked
from .memory import planned
from .names import Names
from .nest import TITLE, Context, Nest
from .plan_branch import branch_steps
from .plan_loop import loop_steps
from .program import Library, Program, Step
from .roots import LEAVES, SEVERAL, Root, root_of, stored_nodes, survey, surveyed
from .share import repeated_nodes, shared_nodes, stages
from .single import recurrence_kernel, scatter_kernel
from .turned import with_turned

SHARING = 3              # times that clusters are formed again because nodes that several would compute are stored


def plan(outputs: Sequence[Expr], inputs: Sequence[Expr], names: Sequence[str] | None = None) -> Program:
    """The Program that computes typed `outputs` from the variables `inputs`; `names` are wishes for the names of the
    results.
    """
    words: dict[Expr, Expr] = {}
    context = Context(Names(), {}, {}, set())
    parts = split(pruned(outputs))
    simple = map(_flat, lowered(separated([part for found in parts for part in found]), words))
    results: list[Result] = [tuple(next(simple) for _ in found) for found in parts]
    _store_in_call_order(outputs, results, inputs, names, context)
    context.words.update(words)
    steps = graph_steps([part for parts in results for part in parts], context)
    assert steps is not None
    program = Program(
        tuple(context.stored[in_memory(x)] for x in inputs),
        tuple(context.stored[parts[0]] for parts in results),
        context.buffers,
        tuple(with_turned(steps, context)),
        (*_size_symbols(inputs, context), *context.sizes),
        0,
        tuple(context.errors),
        _constants(context),
    )
    survey.cache_clear()
    return planned(program)


def _flat(node: Expr) -> Expr:
    """A result that only renumbers what is computed is that in memory; its shape is the caller's."""
    while node.op == "reshape" and not _leaf(node.args[0]) and node.args[0].shape:
        node = node.args[0]
    return node


def graph_steps(
    results: Sequence[Expr], context: Context, settle: Callable[[list[Cluster]], bool] | None = None
) -> list[Step] | None:
    """The steps that compute `results` into their buffers, from the nodes that have one already.

    `settle` may add order between clusters, or refuse them (then the answer is None).
    """
    given = {n for n in context.stored if _leaf(n)}
    context.products = fused_products(results)
    _store(stored_nodes(list(results)), context)
    _store(shared_nodes(results, context.stored, stages(results, context.stored)), context)
    _share_starts(results, context, given)
    clusters = clusters_of(_roots(results, context, given), context.overwritten)
    for _ in range(SHARING):
        home = {root.node: k for k, cluster in enumerate(clusters) for root in cluster.members()}
        more = shared_nodes(results, context.stored, home)
        more += repeated_nodes(results, {*context.stored, *more}, clusters)
        if not more:
            break
        _store(more, context)
        clusters = clusters_of(_roots(results, context, given), context.overwritten)
    if settle is not None and not settle(clusters):
        return None
    order = ordered(clusters)
    if order is None:
        return None
    context.needed |= _needed(clusters, results)
    steps: list[Step] = []
    for cluster in order:
        steps += _steps(cluster, context)
    return steps


def _store(nodes: Sequence[Expr], context: Context) -> None:
    for node in nodes:
        if node not in context.stored and node.op not in SEVERAL:
            context.store(node, _wish(node, context))


def _share_starts(results: Sequence[Expr], context: Context, given: set[Expr]) -> None:
    """An initial state that only its loop reads is computed in the buffer of the carry."""
    order = toposort(results)
    uses = Counter(a for node in order for a in node.args)
    uses.update(results)
    for node in order:
        if node.op != "loop":
            continue
        items = {n.attrs[0]: name for n, name in context.stored.items() if n.op == "item" and n.args[0] is node}
        for k, init in enumerate(Loop(node).inits):
            if (
                uses[init] == 1
                and init not in given
                and init.op != "item"
                and k in items
                and context.buffers[context.stored[init]].kind == "temp"
            ):
                context.stored[init] = items[k]


def _roots(results: Sequence[Expr], context: Context, given: set[Expr]) -> list[Root]:
    """A root for every stored node that is to be computed, arguments before users."""
    roots = []
    for node in toposort(results):
        if node.op in SEVERAL:
            root = root_of(node, context.stored)
            root.items = tuple(n for n in context.stored if n.op == "item" and n.args[0] is node)
            roots.append(root)
        elif node.op == "update" and node in context.regions:
            roots.append(update_root(node, context))
        elif node in context.stored and node not in given and node.op != "item":
            roots.append(fitted(root_of(node, context.stored), context.stored))
    return roots


def update_root(node: Expr, context: Context) -> Root:
    """An update in place: only the region is written, over the domain of what is put there."""
    op, ranges = node.attrs
    target, value = node.args
    if op != "set":
        value = elementwise(op, slice_(target, ranges, value.shape), value)
    return surveyed(Root(node, value, value.shape), context.stored)


def _leaf(node: Expr) -> bool:
    return node.op in LEAVES or node.op == "const" and node.shape != ()


def _store_in_call_order(outputs: Sequence[Expr], results: Sequence[Result], inputs: Sequence[Expr],
                         wishes: Sequence[str] | None, context: Context) -> None:
    """Buffers of inputs, of constants in the order of the graph as it was traced, and of results in the order of the
    call.
    """
    context.names.taken.update(
        s for node in inputs for dim in node.shape if isinstance(dim, Size) for s in dim.symbols()
    )
    for node in inputs:
        _store_given(node, str(node.attrs[0]), "input", context)
    for node in toposort(outputs):
        if node.op == "const" and node.shape != ():
            _store_given(node, "constant", "const", context)
    for output, parts, wish in zip(outputs, results, wishes or ["out"] * len(results), strict=True):
        if parts[0] not in context.stored:
            name = [context.store(part, wish, "output") for part in parts][0]
            shape = (*output.shape, 2) if is_complex(output) else output.shape
            context.buffers[name] = replace(context.buffers[name], shape=shape, pairs=is_complex(output))


def _store_given(node: Expr, wish: str, kind: str, context: Context) -> None:
    """A buffer for an input or captured array as it lies in memory."""
    name = context.store(in_memory(node), wish, kind)
    context.buffers[name] = replace(context.buffers[name], pairs=is_complex(node))


def _wish(node: Expr, context: Context) -> str:
    """A name for the buffer of `node`: after its operands for a product, after its axes for a fold."""
    said = context.words.get(node, node)
    if said.op == "contract":
        names = [_name_of(x, context) for x in said.args]
        return "_".join(names) if all(names) and len("".join(names)) < 24 else "matmul"
    if node.op == "item" and node.args[0].op == "library":
        return result_word(node)
    if node.op == "item":
        return _item_wish(node)
    if node.op != "reduce":
        return {"multiply": "scaled", "add": "summed"}.get(node.op, node.op)
    op, axes = node.attrs
    if len(axes) == len(node.args[0].shape):
        return {"add": "total", "multiply": "product", "maximum": "largest", "minimum": "smallest"}.get(op, str(op))
    along = "row" if len(node.args[0].shape) - 1 in axes else "column"
    return f"{along}_{_FOLDS.get(op, op)}"


def _item_wish(node: Expr) -> str:
    if node.args[0].op != "loop":
        return "chosen"
    kind, _ = Loop(node.args[0]).kind_of(node.attrs[0])
    return {"carry": "state", "trajectory": "states", "stacked": "stacked"}.get(kind, kind)


_FOLDS = {"add": "sum", "multiply": "product", "maximum": "max", "minimum": "min", "logical_and": "all",
          "logical_or": "any"}


def _name_of(x: Expr, context: Context) -> str:
    while x.op == "transpose" and x not in context.stored:
        x = x.args[0]
    return context.stored.get(x, "")


def _needed(clusters: list[Cluster], results: Sequence[Expr]) -> set[Expr]:
    """Roots read by another kernel or by the caller, and all that is written in place."""
    needed = set(results)
    for cluster in clusters:
        own = {r.node for r in cluster.members()}
        needed.update(r.node for r in cluster.members() if r.in_place)
        needed.update(n for r in cluster.members() for n in r.demands if n not in own)
    return needed


def _steps(cluster: Cluster, context: Context) -> list[Step]:
    root, node = cluster.roots[0], cluster.roots[0].node
    if cluster.kind == "branch":
        return branch_steps(node, context, graph_steps)
    if cluster.kind == "loop":
        return loop_steps(node, context, graph_steps)
    if cluster.kind == "library":
        return [library_step(node, context)]
    title = tuple(titles(cluster, context))
    name = f"kernel_{context.number()}"
    if cluster.kind == "contract":
        return [
            Library(
                name.replace("kernel", "gemm"),
                "gemm",
                title,
                tuple((context.stored[a], 0) for a in node.args),
                (context.stored[node], 0),
                gemm_attrs(node),
            )
        ]
    if cluster.kind == "scatter":
        updates = scatter_kernel(root, context, name, title)
        return [updates] if node in context.regions else [_scatter_base(root, context), updates]
    if cluster.kind == "recurrence":
        return [recurrence_kernel(root, context, name, title)]
    return [Nest(cluster, context, name, title).build()]


def _scatter_base(root: Root, context: Context) -> Step:
    """What is scattered into, written to the result's buffer."""
    node = root.node
    base = Cluster(root.domain, tuple(range(len(root.domain))), [Root(node, node.args[0], root.domain)])
    context.needed.add(node)
    return Nest(
        base, context, f"kernel_{context.number()}", (f"{context.stored[node]} = {_text(node.args[0], context, node)}",)
    ).build()


def titles(cluster: Cluster, context: Context) -> list[str]:
    """One line of mathematics per result, other stored nodes by the names of their buffers."""
    return [_title(r.node, context) for r in cluster.members()]


def _title(node: Expr, context: Context) -> str:
    target, turn = context.stored[node], context.turns.get(node)
    place, value = f"[{turn}]" if turn else "", node.args[0] if is_marked(node) else node
    if node.op == "half":
        part = node.attrs[0]
        place, value = (".real", ".imag")[part], node.args[part]
    return f"{target}{place} = {_text(value, context, node)}"


def _text(node: Expr, context: Context, root: Expr) -> str:
    """At most `TITLE` characters."""
    if node is not root and node in context.stored:
        return context.stored[node]
    return FUNCTIONS["_text"](node, context.stored, TITLE, context.words)


def _size_symbols(inputs: Sequence[Expr], context: Context) -> list[str]:
    found: dict[str, None] = {}
    for node in inputs:
        for dim in node.shape:
            if isinstance(dim, Size):
                found.update(dict.fromkeys(sorted(dim.symbols())))
    return list(found)


def _constants(context: Context) -> dict:
    found = {}
    for node, name in context.stored.items():
        if node.op == "const" and node.shape != ():
            buffer, array = context.buffers[name], node.attrs[0].array
            found[name] = array.view(buffer.element).reshape(array.shape[:-1]) if buffer.pairs else array
    return found
