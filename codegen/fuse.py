"""Which roots one kernel computes.

Roots of one domain share a kernel when what they need of each other is known row by row: the outer axes of a
kernel are its rows, and a reduction over all inner axes is known within the row (softmax, layer norm, a matrix-vector
product that feeds its own adjoint). A reduction whose result nobody needs inside the kernel (a loss, the gradient of
a bias) is folded over the rows as well. Folds over pairs whose elements take the same work join too, with the axes of
their results that the kernel does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..dsl.node import Expr
from ..dsl.primitives import transpose
from ..dsl.size import Dim, same, same_shape
from .emit import Index, at_most
from .emit_rules import unrolls
from .program import Offset
from .roots import BARRIERS, RECOMPUTE, Root, costs, identity, map_root, mentioned


@dataclass(eq=False)
class Cluster:
    """Roots computed by one kernel over `domain`, rows along the axes `outer`; `rowwise` roots have the domain of the
    rows alone.

    `kind` other than nest: one root that is a step of its own (contract, scatter, recurrence, loop). `after`:
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
    inside = map_root(root.node, stored)
    inside.sweep = root
    if len(root.kept) > 1 and root.kept[-1] == len(root.domain) - 1 and _folds_inside(root.operand, stored):
        inside.kind = "pairs"
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


# ---- clusters ---------------------------------------------------------------------------------------------------
def clusters_of(roots: list[Root], overwritten: Mapping[Expr, Expr]) -> list[Cluster]:
    """Greedy fusion of roots in topological order; `overwritten` has, for what is lost in place, the node that
    overwrites it.
    """
    clusters: list[Cluster] = []
    order = _Order(overwritten)
    for root in roots:
        kind = root.node.op if root.node.op in BARRIERS else root.kind
        needs = order.ancestors(order.needs(root))
        open_ = [c for c in reversed(clusters)
                 if c.kind == "nest" and not order.blocks(c, root, needs) and not _meets(c, root)]
        cluster = _joined(open_, root, kind)
        if cluster is None:
            cluster = _around_sweep(root.sweep) if root.sweep and kind == "pairs" else Cluster(root.domain, (), [root],
                                                                                               kind=kind)
            cluster.outer = cluster.outer or choose_outer(cluster, [root]) or ()
            clusters.append(cluster)
        order.place(root, cluster)
    return clusters


class _Order:
    """What the clusters so far come after: those whose results they read, and those that read what they overwrite."""

    def __init__(self, overwritten: Mapping[Expr, Expr]) -> None:
        self.home: dict[Expr, Cluster] = {}
        self.overwritten = overwritten
        self.readers: dict[Expr, dict[int, Cluster]] = {node: {} for node in overwritten.values()}

    def place(self, root: Root, cluster: Cluster) -> None:
        self.home.update(dict.fromkeys((root.node, *root.items), cluster))
        for node in root.demands.keys() & self.overwritten.keys():
            self.readers[self.overwritten[node]][id(cluster)] = cluster

    def needs(self, root: Root) -> list[Cluster]:
        """The clusters that `root` comes after or is in."""
        read = [self.home[n] for n in root.demands if n in self.home]
        return [*read, *(c for n in (root.node, *root.items) for c in self.readers.get(n, {}).values())]

    def before(self, cluster: Cluster) -> list[Cluster]:
        return [c for root in cluster.members() for c in self.needs(root) if c is not cluster]

    def ancestors(self, start: Iterable[Cluster]) -> dict[int, Cluster]:
        found: dict[int, Cluster] = {}
        stack = list(start)
        while stack:
            cluster = stack.pop()
            if id(cluster) not in found:
                found[id(cluster)] = cluster
                stack += self.before(cluster)
        return found

    def blocks(self, cluster: Cluster, root: Root, needs: dict[int, Cluster]) -> bool:
        """Whether another cluster stands between `cluster` and what `root` needs, or what needs `root`."""
        if any(other is not cluster and id(cluster) in self.ancestors([other]) for other in needs.values()):
            return True
        after = [self.home.get(self.overwritten[n]) for n in root.demands if n in self.overwritten]
        return any(c is not None and c is not cluster and id(c) in self.ancestors([cluster]) for c in after)


def _meets(cluster: Cluster, root: Root) -> bool:
    """Whether `root` overwrites elements in place that a member of the kernel writes in place before it: rows that do
    both one after the other would do so in another order.
    """
    if not root.in_place:
        return False
    earlier: set[Expr] = set()
    node = root.node
    while node.op in ("update", "scatter"):
        node = node.args[0]
        earlier.add(node)
    return any(m.in_place and m.node in earlier and not _apart(m, root) for m in cluster.members())


def _apart(a: Root, b: Root) -> bool:
    """Whether two regions have no element in common, by form."""
    def stretches(root: Root) -> list[tuple[Dim, Dim]]:
        ranges, counts = root.node.attrs[1], root.node.args[1].shape
        return [(start, start + step * (count - 1) + 1) for (start, step), count in zip(ranges, counts, strict=True)]

    pairs = zip(stretches(a), stretches(b), strict=True)
    return any(at_most(end, start) or at_most(last, first) for (first, end), (start, last) in pairs)


def _joined(clusters: list[Cluster], root: Root, kind: str) -> Cluster | None:
    """The first of `clusters` that takes `root`, after it has; a fold over pairs goes where its work is done anyway."""
    if root.sweep is not None:
        found = next((c for c in clusters if root.sweep and _join_sweep(c, root.sweep)), None)
        if found is not None:
            return found
    if kind != "nest":
        return None
    return next((c for c in clusters if _join(c, root) or root.reduced and _join_sweep(c, root)), None)


def homes(clusters: list[Cluster]) -> dict[Expr, Cluster]:
    """The cluster that computes each stored node."""
    return {n: c for c in clusters for r in c.members() for n in (r.node, *r.items)}


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


def _join_sweep(cluster: Cluster, sweep: Root) -> bool:
    """Join a fold whose elements take work that the kernel does anyway, such as the weights of a sum over pairs."""
    rank = len(cluster.domain)
    root = _aligned(sweep, cluster) if sweep.reduced else None
    if root is None or max(root.reduced) >= rank or any(r.extra and r.node in root.demands for r in cluster.members()):
        return False
    joined = replace(root, extra=len(root.domain) - rank)
    outer = choose_outer(cluster, [*cluster.roots, joined])
    if outer is None or cluster.rowwise and outer != cluster.outer:
        return False
    inner = [cluster.domain[a] for a in range(rank) if a not in outer]
    if joined.extra and (unrolls(inner) or not inner and joined.looped):
        return False
    cluster.roots.append(joined)
    cluster.outer = outer
    return True


def _around_sweep(sweep: Root) -> Cluster:
    """A kernel for a fold that keeps the last axis: the axes kept before it are the rows, the last lies beyond."""
    *rows, last = sweep.kept
    perm = (*rows, *sweep.reduced, last)
    root = sweep if perm == tuple(range(len(perm))) else _turned(sweep, perm)
    return Cluster(root.domain[:-1], tuple(range(len(rows))), [replace(root, extra=1)])


def _aligned(root: Root, cluster: Cluster) -> Root | None:
    """`root` with its axes in the order of the kernel, by work that both do at every element of it; None without."""
    rank = len(cluster.domain)
    here = identity(range(rank))
    for member in cluster.roots:
        for node, indices in root.values.items():
            if here not in member.values.get(node, ()) or not costs(node, {*root.demands, *member.demands}, RECOMPUTE):
                continue
            for index in indices:
                perm = _axes_of(index, len(root.domain))
                if len(set(perm[:rank])) == rank == len(index) and _keeps_order(root, perm):
                    found = root if perm == tuple(range(len(perm))) else _turned(root, perm)
                    if same_shape(found.domain[:rank], cluster.domain):
                        return found
    return None


def _axes_of(index: Index, rank: int) -> tuple[int, ...]:
    """The axes that `index` runs along, one after the other, and then the rest of `rank` (else ())."""
    plain = {offset: a for a, offset in enumerate(identity(range(rank)))}
    if any(offset not in plain for offset in index):
        return ()
    found = tuple(plain[offset] for offset in index)
    return found + tuple(a for a in range(rank) if a not in found)


def _keeps_order(root: Root, perm: tuple[int, ...]) -> bool:
    kept = [a for a in perm if a not in root.reduced]
    return kept == sorted(kept)


def _turned(root: Root, perm: tuple[int, ...]) -> Root:
    """`root` with axis perm[k] of its domain as axis k."""
    names: dict[str, str] = {f"f{a}": f"f{k}" for k, a in enumerate(perm)}

    def moved(offset: Offset) -> Offset:
        return Offset(offset.const, tuple((str(names.get(t, t)), c) for t, c in offset.terms))

    def renamed(found: dict[Expr, set[Index]]) -> dict[Expr, set[Index]]:
        return {n: {tuple(map(moved, index)) for index in indices} for n, indices in found.items()}

    domain = tuple(root.domain[a] for a in perm)
    reduced = tuple(k for k, a in enumerate(perm) if a in root.reduced)
    return replace(root, operand=transpose(root.operand, perm), domain=domain, reduced=reduced,
                   demands=renamed(root.demands), values=renamed(root.values))


def _related(cluster: Cluster, root: Root) -> bool:
    """Sharing an input or a result is what makes one sweep cheaper than two."""
    return any(n in root.demands for r in cluster.members() for n in (r.node, *r.demands))


def _join_rowwise(cluster: Cluster, root: Root, inside: list[Root]) -> bool:
    """Join a root whose domain is the rows: it reads results of rows at the row, and maps or folds over all rows."""
    rows = [r for r in inside if r in cluster.rowwise or r.reduced]
    if any(r.extra for r in rows) or not rows or len(rows) != len(inside):
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
            if member.extra:
                return None
            axes = cluster.outer if node in rowwise else member.kept
            if indices != {identity(axes)} or node in rowwise and member.reduced:
                return None
            if node in rowwise or member.reduced:
                forced.add(axes)
    if len(forced) > 1 or () in forced:
        return None
    folds = [r for r in roots if r.reduced]
    kept = [tuple(a for a in r.kept if a < rank) for r in folds if rank - 1 in r.reduced]
    candidates = list(forced) or [axes for axes in kept if axes] + [
        _leading(r) for r in folds if _leading(r)
    ] + [r.rows for r in roots if r.rows] + [tuple(range(rank))]
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
