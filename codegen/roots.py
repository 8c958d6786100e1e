"""Which nodes are stored: a *root* is a node that gets a buffer.

A map root is computed over its own shape; a reduce root over the shape of its operand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from ..dsl import ops
from ..dsl.node import Expr, toposort
from ..dsl.size import Dim, product, same
from .emit import Emitter, Index
from .emit_rules import turns_of, unrolls
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
    "half",
}
RECOMPUTE = 8            # operations that are cheaper to repeat than to store and load again

STACKED = 64             # elements put together that are computed one by one


@dataclass(eq=False)
class Root:
    """A stored node: its domain, the axes folded away, and the stored nodes it reads with the indices in terms of the
    domain.

    `values`: what is computed on the way, likewise. `items`: the results of a loop that are stored; the loop itself
    has no value. `kind`: see Cluster. `sweep`: the same as a fold that a kernel over its leading axes may do in
    passing; `extra`: how many axes of the domain then come after those of the kernel. `rows`: see rows_of_stack.
    """

    node: Expr
    operand: Expr
    domain: tuple[Dim, ...]
    reduced: tuple[int, ...] = ()
    op: str = ""
    demands: dict[Expr, set[Index]] = field(default_factory=dict)
    values: dict[Expr, set[Index]] = field(default_factory=dict)
    items: tuple[Expr, ...] = ()
    kind: str = "nest"
    sweep: Root | None = None
    extra: int = 0
    rows: tuple[int, ...] = ()

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(a for a in range(len(self.domain)) if a not in self.reduced)

    @property
    def in_place(self) -> bool:
        """Whether only a region of the buffer is written, over the domain of what is put there."""
        return self.node.op == "update" and self.operand is not self.node

    @property
    def beyond(self) -> tuple[Dim, ...]:
        """The axes after those of the kernel."""
        return self.domain[len(self.domain) - self.extra :]

    @property
    def looped(self) -> bool:
        """Whether the axes after those of the kernel take loops of their own."""
        return self.extra > 0 and not unrolls(self.beyond)


def weight(node: Expr) -> int:
    if node.op in STRUCTURAL or node.op in LEAVES:
        return 0
    return 1 if node.op in CHEAP else 4 if node.op in ("divide", "sqrt", "reciprocal", "rsqrt") else 15


def is_stack(node: Expr) -> bool:
    """Whether `node` puts a few elements together along its last axis, each computed in its own way."""
    count = len(node.args)
    return (node.op == "concat" and node.attrs[0] == len(node.shape) - 1 > 0 and 1 < count <= STACKED
            and same(node.shape[-1], count))


def rows_of_stack(root: Root, stored: Collection[Expr]) -> tuple[int, ...]:
    """The axes but the last ones, where along these `root` runs over elements of a stack: with a loop there, all of
    them would be computed in each turn.
    """
    short = next((a for a in range(1, len(root.domain)) if is_few(root.domain[a:])), 0)
    seen, todo = set(), [root.operand] if short else []
    while todo:
        node = todo.pop()
        if is_stack(node) and costs(node, stored, RECOMPUTE):
            return tuple(range(short))
        fresh = [a for a in node.args if a not in seen and a not in stored]
        if node.op in ops.ROWS or node.op in ("reshape", "broadcast", "transpose"):
            seen.update(fresh)
            todo += fresh
    return ()


def is_few(dims: Sequence[Dim]) -> bool:
    count = product(dims)
    return isinstance(count, int) and 0 < count <= STACKED


def costs(node: Expr, done: Collection[Expr], limit: int) -> bool:
    """Whether computing `node` from what is stored takes `limit` operations."""
    total, seen, stack = 0, {node}, [node]
    while stack and total < limit:
        top = stack.pop()
        total += weight(top)
        if top.op == "reduce" and not unrolls([top.args[0].shape[a] for a in top.attrs[1]]):
            return True
        for arg in top.args:
            if arg not in seen and arg not in done:
                seen.add(arg)
                stack.append(arg)
    return total >= limit


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
    wanted, unwritten = set(outputs), tangents_in(order)
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
        if node in unwritten:
            continue
        if is_stack(node) and cost[node] >= RECOMPUTE and _goes_further(node, users):
            wanted.add(node)
        if node in wanted or _worth_storing(node, users.get(node, set()), cost[node], stored):
            stored[node] = None
            cost[node] = 0
    return list(stored)


def tangents_in(order: Iterable[Expr]) -> set[Expr]:
    """Of nodes in order, the tangents of unit vectors: of each only one element is read, so that none is written."""
    found: set[Expr] = set()
    for node in order:
        if node.op == "unit" or node.op != "entries" and not found.isdisjoint(node.args):
            found.add(node)
    return found


def _worth_storing(node: Expr, users: set[Expr], cost: int, stored: dict[Expr, None]) -> bool:
    if node.op == "reduce":
        return not streams(node, stored)
    if any(u.op == "gather" and u.args[0] is node for u in users):
        return cost >= RECOMPUTE
    moving = sum(u.op in MOVING for u in users)
    return moving + (moving < len(users)) > 1 and moving > 0 and cost >= RECOMPUTE and len(node.shape) > 0


def _goes_further(stack: Expr, users: Mapping[Expr, set[Expr]]) -> bool:
    """Whether elements of a stack are read elsewhere than at their own place: in loops along its axis, where each turn
    would compute all of them.
    """
    seen, todo = {stack}, [stack]
    while todo:
        for user in users.get(todo.pop(), set()) - seen:
            if user.op in ops.ROWS or user.op == "reshape":
                seen.add(user)
                todo.append(user)
            elif user.op != "reduce":
                return True
    return False


def streams(node: Expr, stored: Iterable[Expr]) -> bool:
    """Whether the result of a reduction is larger than every array that it reads: none has all its axes, nor their
    sizes.
    """
    if len(node.shape) < 2:
        return False
    root = root_of(node, stored)
    kept = {f"f{a}" for a in root.kept if not _short(root.domain[a])}
    return len(kept) > 1 and not any(kept <= mentioned(index) or holds_sizes(source.shape, node.shape)
                                     for source, indices in root.demands.items() for index in indices)


def _short(dim: Dim) -> bool:
    return same(dim, 1) or unrolls([dim])


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
        return surveyed(root, stored)
    if node.op in BARRIERS:
        return _barrier(node, stored)
    if node.op == "bands":
        return surveyed(Root(node, node, node.args[0].shape), stored)
    return map_root(node, stored)


def map_root(node: Expr, stored: Iterable[Expr]) -> Root:
    return surveyed(Root(node, node, node.shape), stored)


def _barrier(node: Expr, stored: Iterable[Expr]) -> Root:
    root = Root(node, node, node.shape or ())
    for arg in node.args:
        if node.op in WHOLE:
            root.demands.setdefault(arg, set()).add(())
            continue
        for source, indices in surveyed(Root(node, arg, arg.shape), stored).demands.items():
            root.demands.setdefault(source, set()).update(indices)
    return root


def surveyed(root: Root, stored: Iterable[Expr]) -> Root:
    """`root` with what it reads and computes."""
    kept = set(stored)
    kept.discard(root.node)
    root.rows = rows_of_stack(root, kept)
    loops = len(root.rows or root.domain)
    root.demands, root.values = survey(root.operand, root.domain, loops, _boundary(root.operand, kept))
    return root


def _boundary(operand: Expr, stored: set[Expr]) -> frozenset[Expr]:
    """The first stored nodes on every way down from `operand`."""
    found, seen, stack = set(), {operand}, [operand]
    while stack:
        node = stack.pop()
        if node in stored:
            found.add(node)
            continue
        fresh = [a for a in node.args if a not in seen]
        seen.update(fresh)
        stack += fresh
    return frozenset(found)


@cache
def survey(
    operand: Expr, domain: tuple[Dim, ...], loops: int, boundary: frozenset[Expr]
) -> tuple[dict[Expr, set[Index]], dict[Expr, set[Index]]]:
    """What computing `operand` from the nodes of `boundary` loads and computes, with the indices in terms of the axes
    of `domain`, of which the first `loops` are loops and the others written out: found by emitting it once. Plans are
    made several times over with most of their roots unchanged; `plan` forgets the answers when it is done.
    """
    order = toposort([operand])
    emitter = Emitter({**{n: "b" for n in order if n.op in LEAVES or n.op == "const" and n.shape},
                       **dict.fromkeys(boundary, "b")}, Names(), [])
    emitter.open(tuple(Axis(f"f{a}", d) for a, d in enumerate(domain)), vector=True)
    for place in turns_of(domain[loops:]):
        emitter.value(operand, (*identity(range(loops)), *place))
    nodes, values = {id(n): n for n in order}, {}
    for key in (key for scope in emitter.scopes for key in scope.known if key[0] in nodes):
        values.setdefault(nodes[key[0]], set()).add(key[1])
    return emitter.loads, values


def identity(axes: Iterable[int]) -> Index:
    return tuple(Offset(0, ((f"f{a}", 1),)) for a in axes)
