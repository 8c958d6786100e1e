"""Which nodes are stored, and which of them one kernel computes.

A *root* is a node that gets a buffer. A map root is computed over its own shape; a reduce root over the shape of its
operand. Roots of one domain share a kernel when what they need of each other is known row by row: the outer axes of a
kernel are its rows, and a reduction over all inner axes is known within the row (softmax, layer norm, a matrix-vector
product that feeds its own adjoint). A reduction whose result nobody needs inside the kernel (a loss, the gradient of
a bias) is folded over the rows as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..dsl.node import Expr, toposort
from ..dsl.size import Dim, same, same_shape
from .emit import Emitter, Index
from .emit_rules import unrolls
from .names import Names
from .program import Axis, Offset

LEAVES = {"var", "bound"}
BARRIERS = {"contract", "scatter", "recurrence", "loop", "branch", "library"}
SEVERAL = {"loop", "branch", "library"}          # have no value of their own but several results
WHOLE = SEVERAL | {"contract"}                   # read whole buffers
MOVING = {"slice", "place", "concat", "gather", "update"}
CHEAP = {
    "add",
    "subtract",
    "multiply",
    "negative",
    "where",
    "mask",
    "cast",
    "abs",
    "minimum",
    "maximum",
    "less",
    "greater",
    "less_equal",
    "greater_equal",
    "equal",
    "not_equal",
    "logical_and",
    "logical_or",
    "logical_not",
    "stop_gradient",
    "fma",
    "square",
}
STRUCTURAL = {
    "const",
    "size",
    "iota",
    "broadcast",
    "transpose",
    "slice",
    "reshape",
    "place",
    "update",
    "concat",
    "gather",
    "reduce",
}
RECOMPUTE = 8            # operations that are cheaper to repeat than to store and load again


@dataclass(eq=False)
class Root:
    """A stored node: its domain, the axes folded away, and the stored nodes it reads with the indices in terms of the
    domain.

    `items`: the results of a loop that are stored; the loop itself has no value. `kind`: see Cluster.
    """

    node: Expr
    operand: Expr
    domain: tuple[Dim, ...]
    reduced: tuple[int, ...] = ()
    op: str = ""
    demands: dict[Expr, set[Index]] = field(default_factory=dict)
    items: tuple[Expr, ...] = ()
    kind: str = "nest"

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(a for a in range(len(self.domain)) if a not in self.reduced)


@dataclass(eq=False)
class Cluster:
    """Roots computed by one kernel over `domain`, rows along the axes `outer`; `rowwise` roots have the domain of the
    rows alone.

    `kind` other than nest: one root that is a step of its own (contract, scatter, recurrence, loop, lanes). `after`:
    clusters that must come before although their results are not read, because this one overwrites what they read.
    """

    domain: tuple[Dim, ...]
    outer: tuple[int, ...]
    roots: list[Root]
    rowwise: list[Root] = field(default_factory=list)
    kind: str = "nest"
    after: list[Cluster] = field(default_factory=list)

    def members(self) -> list[Root]:
        return self.roots + self.rowwise


def weight(node: Expr) -> int:
    if node.op in STRUCTURAL or node.op in LEAVES:
        return 0
    return 1 if node.op in CHEAP else 4 if node.op in ("divide", "sqrt", "reciprocal", "rsqrt") else 15


def stored_nodes(outputs: list[Expr]) -> list[Expr]:
    """The nodes that get a buffer, arguments before users. Streams a reduction whose result has more elements than
    all it reads: `sum_d (q[i, d] - x[j, d])**2` is computed again where it is used rather than written as an M x N
    array.
    """
    order = toposort(outputs)
    users: dict[Expr, set[Expr]] = {}
    for node in order:
        for arg in node.args:
            users.setdefault(arg, set()).add(node)
    stored: dict[Expr, None] = {}
    cost: dict[Expr, int] = {}
    wanted = set(outputs)
    for node in order:
        if node.op in BARRIERS:
            wanted.add(node)
            if node.op in WHOLE:
                wanted.update(node.args)
        elif node.op == "item":
            wanted.add(node)
    for node in order:
        cost[node] = min(weight(node) + sum(cost[a] for a in set(node.args)), 10**6)
        if node.op in LEAVES or node.op == "const" and node.shape:
            cost[node] = 0
            continue
        if node in wanted or _worth_storing(node, users.get(node, set()), cost[node], stored):
            stored[node] = None
            cost[node] = 0
    return list(stored)


def _worth_storing(node: Expr, users: set[Expr], cost: int, stored: dict[Expr, None]) -> bool:
    if node.op == "reduce":
        return not streams(node, stored)
    if any(u.op == "gather" and u.args[0] is node for u in users):
        return cost >= RECOMPUTE
    moving = sum(u.op in MOVING for u in users)
    return moving + (moving < len(users)) > 1 and moving > 0 and cost >= RECOMPUTE and len(node.shape) > 0


def streams(node: Expr, stored: Iterable[Expr]) -> bool:
    """Whether the result of a reduction is larger than every array that it reads: none has all its axes, nor their
    sizes.
    """
    if len(node.shape) < 2:
        return False
    root = root_of(node, stored)
    kept = {f"f{a}" for a in root.kept if not same(root.domain[a], 1)}
    return len(kept) > 1 and not any(kept <= mentioned(index) or holds_sizes(source.shape, node.shape)
                                     for source, indices in root.demands.items() for index in indices)


def holds_sizes(shape: tuple[Dim, ...], wanted: tuple[Dim, ...]) -> bool:
    """Whether every size of `wanted` occurs in `shape`, as often."""
    rest = list(shape)
    for dim in wanted:
        at = next((i for i, d in enumerate(rest) if same(d, dim)), None)
        if at is None:
            return same(dim, 1)
        rest.pop(at)
    return True


def mentioned(index: Index) -> set[str]:
    return {name for offset in index for name, _ in offset.terms}


def root_of(node: Expr, stored: Iterable[Expr]) -> Root:
    """`node` as a root, with what it reads: found by emitting it once over its domain."""
    if node.op == "reduce":
        root = Root(node, node.args[0], node.args[0].shape, node.attrs[1], node.attrs[0])
        root.demands = demands_of(root.operand, root.domain, stored, node)
        return root
    if node.op in BARRIERS:
        return _barrier(node, stored)
    return _map_root(node, stored)


def _map_root(node: Expr, stored: Iterable[Expr]) -> Root:
    return Root(node, node, node.shape, demands=demands_of(node, node.shape, stored, node))


def _barrier(node: Expr, stored: Iterable[Expr]) -> Root:
    root = Root(node, node, node.shape or ())
    for arg in node.args:
        found = {arg: {()}} if node.op in WHOLE else demands_of(arg, arg.shape, stored, node)
        for source, indices in found.items():
            root.demands.setdefault(source, set()).update(indices)
    return root


def fitted(root: Root, stored: Iterable[Expr]) -> Root:
    """`root`, or the same as a map over its result with the reduction inside, where no rows suit it or no array
    covers its domain.
    """
    if not root.reduced:
        return root
    covered = any(
        {f"f{a}" for a, d in enumerate(root.domain) if not same(d, 1)} <= mentioned(index)
        for found in root.demands.values()
        for index in found
    )
    alone = Cluster(root.domain, (), [])
    if choose_outer(alone, [root]) is not None and (covered or not _leading(root)):
        return root
    inside = _map_root(root.node, stored)
    if len(root.kept) > 1 and root.kept[-1] == len(root.domain) - 1 and _folds_inside(root.operand, stored):
        inside.kind = "lanes"
    return inside


def _folds_inside(operand: Expr, stored: Iterable[Expr]) -> bool:
    """Whether computing `operand` takes a fold of its own, such as the distance of two points."""
    seen, stack, kept = {operand}, [operand], set(stored)
    while stack:
        node = stack.pop()
        if node.op == "reduce":
            return True
        fresh = [a for a in node.args if a not in seen and a not in kept]
        seen.update(fresh)
        stack += fresh
    return False


def demands_of(operand: Expr, domain: tuple[Dim, ...], stored: Iterable[Expr], node: Expr) -> dict[Expr, set[Index]]:
    leaves = {n: "b" for n in toposort([operand]) if n.op in LEAVES or n.op == "const" and n.shape}
    buffers = {**leaves, **{n: "b" for n in stored if n is not node}}
    emitter = Emitter(buffers, Names(), [])
    emitter.open(tuple(Axis(f"f{a}", d) for a, d in enumerate(domain)), vector=True)
    emitter.value(operand, identity(range(len(domain))))
    return emitter.loads


def identity(axes: Iterable[int]) -> Index:
    return tuple(Offset(0, ((f"f{a}", 1),)) for a in axes)


# ---- clusters ---------------------------------------------------------------------------------------------------
def clusters_of(roots: list[Root]) -> list[Cluster]:
    """Greedy fusion of roots in topological order."""
    clusters: list[Cluster] = []
    home: dict[Expr, Cluster] = {}
    for root in roots:
        kind = root.node.op if root.node.op in BARRIERS else root.kind
        needs = _ancestors({id(home[n]): home[n] for n in root.demands if n in home}.values(), home)
        for cluster in reversed(clusters):
            if "nest" == cluster.kind == kind and not _blocked(cluster, root, home, needs) and _join(cluster, root):
                home[root.node] = cluster
                break
        else:
            cluster = Cluster(root.domain, (), [root], kind=kind)
            cluster.outer = choose_outer(cluster, [root]) or ()
            clusters.append(cluster)
            home.update(dict.fromkeys((root.node, *root.items), cluster))
    return clusters


def homes(clusters: list[Cluster]) -> dict[Expr, Cluster]:
    """The cluster that computes each stored node."""
    return {n: c for c in clusters for r in c.members() for n in (r.node, *r.items)}


def _ancestors(start: Iterable[Cluster], home: dict[Expr, Cluster]) -> dict[int, Cluster]:
    found: dict[int, Cluster] = {}
    stack = list(start)
    while stack:
        cluster = stack.pop()
        if id(cluster) in found:
            continue
        found[id(cluster)] = cluster
        stack += [home[n] for r in cluster.members() for n in r.demands if n in home and home[n] is not cluster]
    return found


def _blocked(cluster: Cluster, root: Root, home: dict[Expr, Cluster], needs: dict[int, Cluster]) -> bool:
    """Whether another cluster stands between `cluster` and what `root` needs."""
    for other in needs.values():
        if other is not cluster and any(home[n] is cluster for r in other.members() for n in r.demands if n in home):
            return True
        if other is not cluster and id(cluster) in _ancestors([other], home):
            return True
    return False


def _join(cluster: Cluster, root: Root) -> bool:
    members = {r.node: r for r in cluster.members()}
    inside = [members[n] for n in root.demands if n in members]
    if same_shape(root.domain, cluster.domain) and _related(cluster, root):
        outer = choose_outer(cluster, [*cluster.roots, root])
        if outer is not None and (not cluster.rowwise or outer == cluster.outer):
            cluster.roots.append(root)
            cluster.outer = outer
            return True
    return _join_rowwise(cluster, root, inside)


def _related(cluster: Cluster, root: Root) -> bool:
    """Sharing an input or a result is what makes one sweep cheaper than two."""
    return any(n in root.demands for r in cluster.members() for n in (r.node, *r.demands))


def _join_rowwise(cluster: Cluster, root: Root, inside: list[Root]) -> bool:
    """Join a root whose domain is the rows: it reads results of rows at the row, and maps or folds over all rows."""
    rows = [r for r in inside if r in cluster.rowwise or r.reduced]
    if not rows or len(rows) != len(inside):
        return False
    outer = (
        cluster.outer
        if len(cluster.outer) < len(cluster.domain)
        else next((r.kept for r in rows if r.reduced and r in cluster.roots), ())
    )
    if (
        not outer
        or not same_shape(root.domain, tuple(cluster.domain[a] for a in outer))
        or root.reduced not in ((), tuple(range(len(outer))))
    ):
        return False
    here = {identity(range(len(outer)))}
    if any(root.demands[r.node] != here or (r.reduced if r in cluster.rowwise else r.kept != outer) for r in rows):
        return False
    if outer != cluster.outer and not all(_fits(r, outer, len(cluster.domain)) for r in cluster.roots if r.reduced):
        return False
    cluster.outer = outer
    cluster.rowwise.append(root)
    return True


def choose_outer(cluster: Cluster, roots: list[Root]) -> tuple[int, ...] | None:
    """The row axes under which every root can be computed in one sweep; None if there are none."""
    rank = len(cluster.domain)
    members, rowwise = {r.node: r for r in roots}, {r.node: r for r in cluster.rowwise}
    forced = {cluster.outer} if cluster.rowwise else set()
    for root in roots:
        for node, indices in root.demands.items():
            member = members.get(node) or rowwise.get(node)
            if member is None:
                continue
            axes = cluster.outer if node in rowwise else member.kept
            if indices != {identity(axes)} or node in rowwise and member.reduced:
                return None
            if node in rowwise or member.reduced:
                forced.add(axes)
    if len(forced) > 1 or () in forced:
        return None
    folds = [r for r in roots if r.reduced]
    candidates = list(forced) or [r.kept for r in folds if rank - 1 in r.reduced and r.kept] + [
        _leading(r) for r in folds if _leading(r)
    ] + [tuple(range(rank))]
    return next((outer for outer in candidates if all(_fits(r, outer, rank) for r in folds)), None)


def _leading(root: Root) -> tuple[int, ...]:
    """The reduced axes when they are the first ones and others remain; else ()."""
    return root.reduced if root.kept and root.reduced == tuple(range(len(root.reduced))) else ()


def _fits(root: Root, outer: tuple[int, ...], rank: int) -> bool:
    inner = tuple(a for a in range(rank) if a not in outer)
    if root.reduced in (inner, tuple(range(rank))):
        return True
    if not inner or root.reduced != outer:
        return False
    # rows in lanes cannot fold over the rows into an array, only into a few accumulators
    return rank - 1 not in outer or unrolls([root.domain[a] for a in inner])


def ordered(clusters: list[Cluster]) -> list[Cluster] | None:
    """Clusters so that each comes after those that it reads or must follow; None where that is a circle."""
    home = homes(clusters)
    done: dict[int, Cluster] = {}
    open_: set[int] = set()
    for cluster in clusters:
        stack = [cluster]
        while stack:
            top = stack[-1]
            open_.add(id(top))
            read = [home[n] for r in top.members() for n in r.demands if n in home and home[n] is not top]
            before = [c for c in [*read, *top.after] if id(c) not in done]
            if any(id(c) in open_ for c in before):
                return None
            if before:
                stack.append(before[0])
            else:
                done[id(top)] = stack.pop()
                open_.discard(id(top))
    return list(done.values())
