"""What several kernels would compute again, at more cost than writing it once and reading it: stored, topmost first.

Without this a chain such as x = sin(x) + sum(x) is computed from its start in every kernel, which grows with the square
of its length.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..dsl.node import Expr, toposort
from .fuse import BARRIERS, holds_sizes, weight

SHARED = 24              # operations on an element that two kernels may both repeat
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
    backed = _backed(order, stored)
    top: list[Expr] = []
    for node in reversed(order):
        if node in stored or kernels[node].bit_count() < 2:
            continue
        above = [u for u in users.get(node, ()) if u not in stored and kernels[u] == kernels[node]]
        if any(u in covered for u in above):
            covered.add(node)
        elif weight(node) and node in backed:
            covered.add(node)
            top.append(node)
    found: list[Expr] = []
    done = set(stored)
    for node in reversed(top):
        if _costs(node, done, SHARED if node.shape else SCALAR):
            found.append(node)
            done.add(node)
    return found


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


def _costs(node: Expr, done: set[Expr], limit: int) -> bool:
    """Whether computing `node` from what is stored takes `limit` operations."""
    total, seen, stack = 0, {node}, [node]
    while stack and total < limit:
        top = stack.pop()
        total += weight(top)
        for arg in top.args:
            if arg not in seen and arg not in done:
                seen.add(arg)
                stack.append(arg)
    return total >= limit
