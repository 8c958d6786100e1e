"""What several kernels would compute again, at more cost than writing it once and reading it: stored, topmost first.

Without this a chain such as x = sin(x) + sum(x) is computed from its start in every kernel, which grows with the square
of its length.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..dsl.node import Expr, toposort
from ..dsl.size import same
from .emit import Index
from .fuse import Cluster
from .roots import BARRIERS, RECOMPUTE, Root, costs, holds_sizes, identity, is_stack, mentioned, tangents_in, weight

SHARED = 24              # operations on an element that two kernels may both repeat
MANY = 10**6             # more than what is not a fold takes
SCALAR = 96              # the same where there is one element, which would be a kernel of its own


def stages(results: Sequence[Expr], stored: Collection[Expr]) -> dict[Expr, int]:
    """How many kernels finish before each stored node at least: those that fold everything, and library steps."""
    level: dict[Expr, int] = {}
    for node in toposort(results):
        level[node] = max((level[a] + _ends_kernel(a) for a in node.args), default=0)
    return {node: level[node] for node in stored if node in level}


def _ends_kernel(node: Expr) -> bool:
    return node.op in BARRIERS or node.op == "reduce" and not node.shape


def shared_nodes(results: Sequence[Expr], stored: Collection[Expr], home: Mapping[Expr, int]) -> list[Expr]:
    """Nodes to store besides `stored`, arguments before users; `home` numbers the kernel of each stored node."""
    order = toposort(results)
    kernels = _kernels(order, home, stored)
    covered: set[Expr] = set()                     # a node above will do, computed by the same kernels
    users: dict[Expr, list[Expr]] = {}
    for node in order:
        for arg in node.args:
            users.setdefault(arg, []).append(node)
    backed = _backed(order, stored) - tangents_in(order)
    top: list[Expr] = []
    for node in reversed(order):
        if node in stored or kernels[node].bit_count() < 2:
            continue
        above = [u for u in users.get(node, ()) if u not in stored and kernels[u] == kernels[node]]
        if any(u in covered for u in above):
            covered.add(node)
        elif (weight(node) or is_stack(node)) and node in backed:
            covered.add(node)
            top.append(node)
    found: list[Expr] = []
    done = set(stored)
    for node in reversed(top):
        if costs(node, done, SHARED if node.shape else SCALAR):
            found.append(node)
            done.add(node)
    return found


def repeated_nodes(results: Sequence[Expr], stored: Collection[Expr], clusters: Sequence[Cluster]) -> list[Expr]:
    """Nodes to store besides `stored` because their kernel would compute them again in every row: they follow an inner
    axis, but not the rows.
    """
    repeated = {
        node
        for cluster in clusters
        for root in cluster.roots
        for node, indices in root.values.items()
        if node not in stored and any(_repeats(index, cluster) for index in indices)
    }
    if not repeated:
        return []
    order = toposort(results)
    backed = _backed(order, stored) - tangents_in(order)
    found: list[Expr] = []
    done, covered = set(stored), set()
    for node in reversed(order):
        if node in covered:
            covered.update(node.args)
        elif node in repeated and node in backed and weight(node):
            covered.update(node.args)
            if costs(node, done, RECOMPUTE):
                found.append(node)
    return found[::-1]


def _repeats(index: Index, cluster: Cluster) -> bool:
    """Whether what has this index is the same in many rows, yet not known outside of the loop over them."""
    order = [*cluster.outer, *(a for a in range(len(cluster.domain)) if a not in cluster.outer)]
    names = mentioned(index)
    axes = [k for k, a in enumerate(order) if f"f{a}" in names]
    missing = [k for k, a in enumerate(order) if k not in axes and not same(cluster.domain[a], 1)]
    return bool(axes and missing) and min(missing) < max(axes)


def kept_in_rows(stages: Sequence[Sequence[Root]], rank: int, stored: Collection[Expr]) -> dict[int, list[Expr]]:
    """What several passes over a row of a kernel would compute again at the same element: by the first such pass, to
    be kept for the others.
    """
    here = identity(range(rank))
    within = {n for stage in stages for root in stage for n, indices in root.values.items() if here in indices}
    order = toposort([root.operand for stage in stages for root in stage])
    passes = dict.fromkeys(order, 0)
    for k, stage in enumerate(stages):
        for root in stage:
            passes[root.operand] |= 1 << k
    top: list[Expr] = []
    for node in reversed(order):
        if node in stored:
            continue
        if node in within and passes[node].bit_count() > 1 and _is_worth_keeping(node, set(stored)):
            top.append(node)
            passes[node] &= -passes[node]
        for arg in node.args:
            passes[arg] |= passes[node]
    kept: dict[int, list[Expr]] = {}
    done = set(stored)
    for node in reversed(top):
        first = passes[node].bit_length() - 1
        if not stages[first][0].looped and _is_worth_keeping(node, done):
            kept.setdefault(first, []).append(node)
            done.add(node)
    return kept


def repeated_in_rows(cluster: Cluster, stored: Collection[Expr]) -> list[tuple[Expr, tuple[int, ...]]]:
    """Folds that a kernel would compute again for each turn of an inner axis that they do not follow, as the mean of a
    path for every day of it: topmost only, each with the axes of its index.
    """
    rank = len(cluster.domain)
    plain = {offset: a for a, offset in enumerate(identity(range(rank)))}
    found: dict[tuple[Expr, tuple[int, ...]], None] = {}
    for root in cluster.roots:
        stack, seen = [root.operand], set(stored)
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            places = [tuple(plain.get(o, rank) for o in index) for index in root.values.get(node, ())]
            repeated = [axes for axes in places if _is_repeated(axes, cluster)]
            if repeated and (weight(node) > 0 or node.op == "reduce") and costs(node, stored, MANY):
                found.update(dict.fromkeys((node, axes) for axes in repeated))
            else:
                stack += node.args
    return list(found)


def _is_repeated(axes: tuple[int, ...], cluster: Cluster) -> bool:
    """Whether an index along these axes of a kernel follows an inner axis, but not one around it."""
    rank = len(cluster.domain)
    inner = [a for a in range(rank) if a not in cluster.outer]
    own = [a for a in inner if a in axes]
    around = [a for a in inner if a not in axes and not same(cluster.domain[a], 1)]
    return rank not in axes and len(set(axes)) == len(axes) and bool(own and around) and min(around) < max(own)


def worth_keeping(roots: Sequence[Root], rank: int, stored: Collection[Expr]) -> list[tuple[Expr, tuple[int, ...]]]:
    """What `roots`, which have axes beyond the first `rank`, compute along just these: topmost only, each with the axes
    of its index.
    """
    plain = {offset: a for a, offset in enumerate(identity(range(rank)))}
    within: dict[Expr, list[tuple[int, ...]]] = {}
    for node, index in ((n, i) for root in roots for n, indices in root.values.items() for i in indices):
        axes = tuple(plain.get(offset, rank) for offset in index)
        if sorted(axes) == list(range(rank)):
            within.setdefault(node, []).append(axes)
    found: list[tuple[Expr, tuple[int, ...]]] = []
    stack, seen = [root.operand for root in roots], set(stored)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in within and _is_worth_keeping(node, set(stored)):
            found += [(node, axes) for axes in within[node]]
        else:
            stack += node.args
    return found


def _is_worth_keeping(node: Expr, done: set[Expr]) -> bool:
    return (weight(node) > 0 or node.op == "reduce") and costs(node, done, RECOMPUTE)


def _kernels(order: list[Expr], home: Mapping[Expr, int], stored: Collection[Expr]) -> dict[Expr, int]:
    """The kernels that compute each node, as bits."""
    kernels = dict.fromkeys(order, 0)
    for node in reversed(order):
        mine = 1 << home[node] if node in home else 0 if node in stored else kernels[node]
        for arg in node.args:
            kernels[arg] |= mine
    return kernels


def _backed(order: list[Expr], stored: Collection[Expr]) -> set[Expr]:
    """Nodes with no more elements than an array that they are computed from; a grid of pairs is never written."""
    found: set[Expr] = set()
    for node in order:
        if node in stored or not node.args and node.shape == ():
            found.add(node)
        elif node.op == "broadcast":
            if node.args[0] in found and holds_sizes(node.args[0].shape, node.shape):
                found.add(node)
        elif any(a in found for a in node.args):
            found.add(node)
    return found
