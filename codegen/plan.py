"""From a typed graph to a Program: the passes, in order, are the lines of `plan`."""

from __future__ import annotations

from collections.abc import Sequence

from ..dsl.node import FUNCTIONS, Expr, make, rebuild, rewrite, toposort
from ..dsl.size import Size
from .contractions import gemm_attrs
from .fuse import LEAVES, Cluster, Root, clusters_of, fitted, root_of, stored_nodes
from .lower import lowered
from .memory import planned
from .names import Names
from .nest import Context, Nest, recurrence_kernel, scatter_kernel
from .program import Buffer, Library, Program, Step


def plan(outputs: Sequence[Expr], inputs: Sequence[Expr], names: Sequence[str] | None = None) -> Program:
    """The Program that computes typed `outputs` from the variables `inputs`; `names` are wishes for the names of the results."""
    results = lowered(list(outputs))
    context = _context(results, inputs, names)
    stored = [n for n in context.stored if not _leaf(n)]
    roots = [fitted(root_of(node, context.stored), context.stored) for node in stored]
    clusters = clusters_of(roots)
    context.needed = _needed(clusters, results)
    steps: list[Step] = []
    for cluster in clusters:
        steps += _steps(cluster, context, len(steps))
    program = Program(tuple(context.stored[x] for x in inputs), tuple(context.stored[r] for r in results), context.buffers, tuple(steps),
                      (*_size_symbols(inputs, context), *context.sizes), 0, tuple(context.errors), _constants(context))
    return planned(program)


def _leaf(node: Expr) -> bool:
    return node.op in LEAVES or node.op == "const" and node.shape != ()


def _context(results: list[Expr], inputs: Sequence[Expr], wishes: Sequence[str] | None) -> Context:
    names = Names()
    stored: dict[Expr, str] = {}
    buffers: dict[str, Buffer] = {}

    def add(node: Expr, wish: str, kind: str) -> None:
        stored[node] = names.new(wish)
        buffers[stored[node]] = Buffer(stored[node], node.dtype.name, node.shape, kind)

    for node in inputs:
        add(node, str(node.attrs[0]), "input")
    for node in toposort(results):
        if node.op == "const" and node.shape != ():
            add(node, "constant", "const")
    wanted = dict(reversed([(r, w) for r, w in zip(results, wishes or ["out"] * len(results), strict=True)]))
    for node in stored_nodes(results):
        if node not in stored:
            add(node, wanted.get(node, _wish(node)), "output" if node in wanted else "temp")
    return Context(names, buffers, stored, set())


def _wish(node: Expr) -> str:
    folds = {"add": "total", "multiply": "product", "maximum": "largest", "minimum": "smallest"}
    if node.op == "reduce":
        return folds.get(node.attrs[0], node.attrs[0])
    return {"contract": "matmul", "multiply": "scaled", "add": "summed"}.get(node.op, node.op)


def _needed(clusters: list[Cluster], results: list[Expr]) -> set[Expr]:
    """Roots read by another kernel or by the caller."""
    needed = set(results)
    for cluster in clusters:
        own = {r.node for r in cluster.members()}
        needed.update(n for r in cluster.members() for n in r.demands if n not in own)
    return needed


def _steps(cluster: Cluster, context: Context, number: int) -> list[Step]:
    title = tuple(titles(cluster, context))
    root = cluster.roots[0]
    if cluster.kind == "contract":
        return [Library(f"gemm_{number}", "gemm", title, tuple((context.stored[a], 0) for a in root.node.args), (context.stored[root.node], 0), gemm_attrs(root.node))]
    if cluster.kind == "scatter":
        base = Cluster(root.domain, tuple(range(len(root.domain))), [Root(root.node, root.node.args[0], root.domain)])
        context.needed.add(root.node)
        init = Nest(base, context, f"kernel_{number}", (f"{context.stored[root.node]} = {_text(root.node.args[0], context, root.node)}",)).build()
        return [init, scatter_kernel(root, context, f"kernel_{number + 1}", title)]
    if cluster.kind == "recurrence":
        return [recurrence_kernel(root, context, f"kernel_{number}", title)]
    return [Nest(cluster, context, f"kernel_{number}", title).build()]


def titles(cluster: Cluster, context: Context) -> list[str]:
    """One line of mathematics per result, other stored nodes by the names of their buffers."""
    return [f"{context.stored[r.node]} = {_text(r.node, context, r.node)}" for r in cluster.members()]


def _text(node: Expr, context: Context, root: Expr) -> str:
    known = {n: make("var", (), (name,), n.dtype, n.shape) for n, name in context.stored.items() if n is not root}
    return FUNCTIONS["_text"](rewrite([node], rebuild, known)[0])


def _size_symbols(inputs: Sequence[Expr], context: Context) -> list[str]:
    found: dict[str, None] = {}
    for node in inputs:
        for dim in node.shape:
            if isinstance(dim, Size):
                found.update(dict.fromkeys(sorted(dim.symbols())))
    return list(found)


def _constants(context: Context) -> dict:
    return {name: node.attrs[0].array for node, name in context.stored.items() if node.op == "const"}
