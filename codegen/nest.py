"""A cluster of roots as a Kernel: its loops, what it stores, and the partial results of its chunks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..dsl import size
from ..dsl.node import Expr
from ..dsl.primitives import identity_of
from ..dsl.size import Dim
from .emit import LETTERS, Emitter, Index, Scope, close_loop, dtype_name, flat
from .emit_rules import checked, turns_of, unrolls
from .fuse import Cluster, Root
from .loops import collapsed, split_rows
from .names import Names
from .program import Acc, Axis, Buffer, Carry, Combine, For, Kernel, Let, Literal, Offset, Operand, Stmt, Store, Update

TITLE = 150              # characters of a line of mathematics


@dataclass
class Context:
    """What the steps of a program share while it is planned. `needed`: roots that somebody outside their own kernel
    reads.

    `turns`: results that a loop stacks, with the buffer of the turn's number. `regions`: updates in place, with the
    (start, step) of the axes they write. `words`: how titles show nodes that stand for a simpler operation.
    """

    names: Names
    buffers: dict[str, Buffer]
    stored: dict[Expr, str]
    needed: set[Expr]
    errors: list[str] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)
    turns: dict[Expr, str] = field(default_factory=dict)
    regions: dict[Expr, tuple[tuple[Dim, int], ...]] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=lambda: [0])
    words: dict[Expr, Expr] = field(default_factory=dict)
    products: set[Expr] = field(default_factory=set)

    def inside(self, stored: dict[Expr, str]) -> Context:
        """The context of a loop's body: the same program, other nodes."""
        return Context(
            self.names, self.buffers, stored, set(), self.errors, self.sizes, numbers=self.numbers, words=self.words
        )

    def number(self) -> int:
        """Numbers the steps."""
        self.numbers[0] += 1
        return self.numbers[0] - 1

    def store(self, node: Expr, wish: str, kind: str = "temp") -> str:
        """Give `node` a buffer of its own."""
        name = self.names.new(wish)
        self.stored[node] = name
        self.buffers[name] = Buffer(name, node.dtype.name, node.shape, kind)
        return name

    def temporary(self, wish: str, dtype: str, shape: tuple[Dim, ...]) -> str:
        name = self.names.new(wish)
        self.buffers[name] = Buffer(name, dtype, shape, "temp")
        return name

    def chunk_count(self, kernel: str) -> str:
        """The symbol of a kernel's number of chunks."""
        name = self.names.new(f"{kernel}_chunks")
        self.sizes.append(name)
        return name


class Nest:
    """Builds the kernel of one cluster."""

    def __init__(self, cluster: Cluster, context: Context, name: str, title: tuple[str, ...]) -> None:
        self.cluster, self.context, self.name, self.title = cluster, context, name, title
        members = {r.node for r in cluster.members()}
        self.emitter = Emitter(
            {n: b for n, b in context.stored.items() if n not in members}, context.names, context.errors
        )
        self.emitter.own, self.emitter.products = members, context.products
        self.chunks = context.chunk_count(name)
        self.begin: list[Stmt] = []
        self.end: list[Stmt] = []
        self.combine: list[Combine] = []
        self.folds: list[Operand] = []
        self.fold_roots: list[Root] = []
        rank = len(cluster.domain)
        self.axes = [Axis(context.names.index(LETTERS[a % 8]), d) for a, d in enumerate(cluster.domain)]
        self.index: Index = tuple(Offset(0, ((a.name, 1),)) for a in self.axes)
        self.inner = tuple(a for a in range(rank) if a not in cluster.outer)
        self.short = bool(self.inner) and unrolls([cluster.domain[a] for a in self.inner])
        self.elements: list[tuple[Root, int, Operand]] = []

    def build(self) -> Kernel:
        rows = tuple(self.axes[a] for a in self.cluster.outer)
        vector = self.short or not self.inner or len(self.axes) - 1 in self.cluster.outer
        scope = self.emitter.open(rows, vector)
        for stage in self.stages():
            self.sweep([r for r in stage if r not in self.cluster.rowwise], vector)
            for root in stage:
                if root in self.cluster.rowwise:
                    self.row_result(root, self.emitter.value(root.operand, self.row_index()))
        accs = self.fold_rows()
        self.emitter.close()
        return self.kernel(rows, scope, accs, vector)

    def row_index(self) -> Index:
        return tuple(self.index[a] for a in self.cluster.outer)

    def stages(self) -> list[list[Root]]:
        """Roots grouped so that a reduction is finished before the stage that reads it."""
        level: dict[Expr, int] = {}
        stages: list[list[Root]] = []
        for root in self.in_order():
            below = [(level[n], n) for n in root.demands if n in level]
            reduced = {r.node for r in self.cluster.roots if r.reduced}
            level[root.node] = max((k + (n in reduced) for k, n in below), default=0)
            while len(stages) <= level[root.node]:
                stages.append([])
            stages[level[root.node]].append(root)
        return stages

    def in_order(self) -> list[Root]:
        members = {r.node: r for r in self.cluster.members()}
        done: dict[Expr, Root] = {}
        stack = list(reversed(list(members.values())))
        while stack:
            top = stack[-1]
            before = [members[n] for n in top.demands if n in members and n not in done and n is not top.node]
            if before:
                stack += before
            else:
                done[top.node] = stack.pop()
        return list(done.values())

    # one stage -------------------------------------------------------------------------------------------------
    def sweep(self, roots: list[Root], vector_rows: bool) -> None:
        """One pass over the inner axes that computes `roots`."""
        if not roots:
            return
        if not self.inner:
            for root, value in self.computed(roots, self.index):
                self.row_result(root, value)
            return
        if self.short:
            self.short_sweep(roots)
            return
        scopes = [self.emitter.open((self.axes[a],), not vector_rows and a == self.inner[-1]) for a in self.inner]
        folds = []
        for root, value in self.computed(roots, self.index):
            if not root.reduced:
                self.store(root, self.index, value)
            elif root.reduced == self.cluster.outer:
                self.update(root, value)
            else:
                folds.append((root, value))
        values: list[Operand] = [v for _, v in folds]
        for scope in reversed(scopes):
            values = list(
                close_loop(
                    self.emitter,
                    scope,
                    tuple((r.op, dtype_name(r.node), v) for (r, _), v in zip(folds, values, strict=True)),
                )
            )
        for (root, _), value in zip(folds, values, strict=True):
            self.folded(root, value)

    def computed(self, roots: list[Root], index: Index) -> list[tuple[Root, Operand]]:
        """`roots` with their values at `index`, all of them before any is stored: a carry that one of them overwrites
        in place may be read by another.
        """
        return [(root, self.emitter.value(root.operand, index)) for root in roots]

    def short_sweep(self, roots: list[Root]) -> None:
        """The same over inner axes of a few fixed elements: written out, so that rows can run in lanes."""
        totals: dict[Root, Operand] = {}
        for turn in turns_of([self.cluster.domain[a] for a in self.inner]):
            place = dict(zip(self.inner, turn, strict=True))
            index = tuple(place.get(a, here) for a, here in enumerate(self.index))
            for root, value in self.computed(roots, index):
                if not root.reduced:
                    self.store(root, index, value)
                elif root.reduced == self.cluster.outer:
                    element = flat(tuple(index[a] for a in root.kept), root.node.shape).const
                    self.elements.append((root, int(element), value))
                else:
                    total, dtype = totals.get(root), dtype_name(root.node)
                    totals[root] = value if total is None else self.emitter.let(root.op, dtype, total, value)
        for root, value in totals.items():
            self.folded(root, value)

    def folded(self, root: Root, value: Operand) -> None:
        """What a fold over the inner axes gave: known in the row, or folded over the rows too."""
        if root.reduced != self.inner:
            self.row_result(root, value)
            return
        depth = self.emitter.operand_depth((value,))
        self.emitter.remember(root.node, self.row_index(), value, depth)
        self.store(root, self.row_index(), value)

    def row_result(self, root: Root, value: Operand) -> None:
        """A value known in the row: stored there, or folded over the rows."""
        if root.reduced:
            self.folds.append(value)
            self.fold_roots.append(root)
        else:
            self.store(root, self.row_index(), value)

    def store(self, root: Root, index: Index, value: Operand) -> None:
        node, context = root.node, self.context
        if node not in context.needed:
            return
        if node in context.regions:
            index = tuple(
                i.scaled(step) + Offset(start) for i, (start, step) in zip(index, context.regions[node], strict=True)
            )
        offset = flat(index, node.shape)
        if node in context.turns:
            turn = self.emitter.scalar(context.turns[node], "int64")
            offset = offset + Offset(0, ((turn, size.product(node.shape)),))
        self.emitter.scopes[-1].stmts.append(Store(context.stored[node], offset, value))

    def update(self, root: Root, value: Operand) -> None:
        """A fold over the rows that keeps the inner axes: every chunk has its own array of partial results."""
        partial, identity = self.partial(root, root.node.shape)
        shape, count = root.node.shape, size.product(root.node.shape)
        axis = Axis(self.context.names.index("j"), count)
        base = Offset(0, (("chunk", count),))
        self.begin.append(For((axis,), (Store(partial, base + Offset(0, ((axis.name, 1),)), identity),), vector=True))
        kept = tuple(self.index[a] for a in root.kept)
        self.emitter.scopes[-1].stmts.append(Update(root.op, partial, base + flat(kept, shape), value))

    def partial(self, root: Root, shape: tuple[Dim, ...]) -> tuple[str, Literal]:
        """A buffer for the results of every chunk, which are combined at the end, and the fold's identity."""
        target, dtype = self.context.stored[root.node], dtype_name(root.node)
        identity = Literal.of(identity_of(root.op, np.dtype(dtype)), dtype)
        name = self.context.temporary(f"{target}_partial", dtype, (size.symbol(self.chunks), *shape))
        self.combine.append(Combine(root.op, name, target, size.product(shape), identity))
        return name, identity

    # the rows --------------------------------------------------------------------------------------------------
    def fold_rows(self) -> list[Acc]:
        """Accumulators over the rows of a chunk, and where the chunk leaves what they gave."""
        accs = []
        partials = {root: self.partial(root, ()) for root in self.fold_roots}
        for root in dict.fromkeys(r for r, _, _ in self.elements):
            partials[root] = self.partial(root, root.node.shape)
        whole = [(root, 0, value) for root, value in zip(self.fold_roots, self.folds, strict=True)]
        for root, element, value in [*whole, *self.elements]:
            name, (buffer, identity) = self.context.names.new("acc"), partials[root]
            accs.append(Acc(name, dtype_name(root.node), root.op, value, identity))
            count = size.product(root.node.shape)
            self.end.append(Store(buffer, Offset(element, (("chunk", count),)), name))
        return accs

    def kernel(self, rows: tuple[Axis, ...], scope: Scope, accs: list[Acc], vector: bool) -> Kernel:
        begin = (*self.emitter.scopes[0].stmts, *self.begin)
        rows, body, row_accs = collapsed(rows, tuple(scope.stmts), tuple(accs))
        row, body, row_accs, vector = split_rows(rows, body, row_accs, vector, self.context.names)
        work = size.product([self.axes[a].extent for a in self.inner])
        return Kernel(
            self.name,
            self.title,
            row,
            work,
            body,
            vector,
            row_accs,
            "chunk",
            self.chunks,
            begin,
            tuple(self.end),
            tuple(self.combine),
            False,
            tuple(dict.fromkeys(self.emitter.fused)),
        )


# ---- kernels of single nodes ------------------------------------------------------------------------------------
def scatter_kernel(root: Root, context: Context, name: str, title: tuple[str, ...]) -> Kernel:
    """The updates of a scatter, in order; its buffer holds the base already."""
    node = root.node
    op, axes = node.attrs
    base, *arrays, updates = node.args
    rank = len(arrays[0].shape)
    emitter = Emitter({n: b for n, b in context.stored.items() if n is not node}, context.names, context.errors)
    emitter.products = context.products
    chunks = context.chunk_count(name)
    every = [Axis(context.names.index(LETTERS[a % 8]), d) for a, d in enumerate(updates.shape)]
    index = tuple(Offset(0, ((a.name, 1),)) for a in every)
    scope = emitter.open(tuple(every[:rank]))
    places = {
        axis: checked(emitter, emitter.value(array, index[:rank]), array, base.shape[axis], None)
        for axis, array in zip(axes, arrays, strict=True)
    }
    inner = [emitter.open((axis,), axis is every[-1]) for axis in every[rank:]]
    rest = iter(index[rank:])
    target = flat(tuple(places[a] if a in places else next(rest) for a in range(len(base.shape))), base.shape)
    value = emitter.value(updates, index)
    buffer = context.stored[node]
    ok = masks_of(emitter, places)
    emitter.scopes[-1].stmts.append(
        Store(buffer, target, value, ok) if op == "set" else Update(op, buffer, target, value, ok)
    )
    for opened in reversed(inner):
        close_loop(emitter, opened, ())
    emitter.close()
    rows, body, _ = collapsed(tuple(every[:rank]), tuple(scope.stmts), ())
    row, body, _, _ = split_rows(rows, body, (), False, context.names)
    work = size.product([a.extent for a in every[rank:]])
    return Kernel(
        name,
        title,
        row,
        work,
        body,
        False,
        (),
        "chunk",
        chunks,
        tuple(emitter.scopes[0].stmts),
        (),
        (),
        True,
        (f"scatter {op}",),
    )


def masks_of(emitter: Emitter, places: dict[int, Offset]) -> str | None:
    """Where every index was in range: an update elsewhere is reported and left out."""
    known = {s.name: s for scope in emitter.scopes for s in scope.stmts if isinstance(s, Let)}
    ok: str | None = None
    for place in places.values():
        for name, _ in place.terms:
            condition = known[name].args[0] if name in known and known[name].op == "where" else None
            ok = emitter.both(ok, condition) if isinstance(condition, str) else ok
    return ok


def recurrence_kernel(root: Root, context: Context, name: str, title: tuple[str, ...]) -> Kernel:
    """s[k] = a[k]*s[k-1] + b[k] along one axis, the others are rows."""
    node = root.node
    axis, reverse = node.attrs
    dtype = dtype_name(node)
    emitter = Emitter({n: b for n, b in context.stored.items() if n is not node}, context.names, context.errors)
    emitter.products = context.products
    chunks = context.chunk_count(name)
    every = [Axis(context.names.index(LETTERS[a % 8]), d) for a, d in enumerate(node.shape)]
    others = tuple(a for i, a in enumerate(every) if i != axis)
    vector = axis != len(every) - 1
    scope = emitter.open(others, vector)
    loop = emitter.open((every[axis],))
    position = Offset(0, ((every[axis].name, 1),))
    position = position.scaled(-1) + Offset(node.shape[axis] + -1) if reverse else position
    index = tuple(position if i == axis else Offset(0, ((a.name, 1),)) for i, a in enumerate(every))
    before, after = context.names.new("state"), context.names.new("state")
    emitter.depth_of[before] = len(emitter.scopes) - 1
    a, b = emitter.value(node.args[0], index), emitter.value(node.args[1], index)
    if dtype.startswith("float"):
        new = emitter.let("fma", dtype, a, before, b)
    else:
        new = emitter.let("add", dtype, emitter.let("multiply", dtype, a, before), b)
    loop.stmts.append(Store(context.stored[node], flat(index, node.shape), new))
    emitter.close()
    carry = Carry(before, after, dtype, Literal.of(0, dtype), new)
    scope.stmts.append(For((every[axis],), tuple(loop.stmts), (), (carry,)))
    emitter.close()
    rows, body, _ = collapsed(others, tuple(scope.stmts), ())
    row, body, _, vector = split_rows(rows, body, (), vector, context.names)
    return Kernel(
        name,
        title,
        row,
        node.shape[axis],
        body,
        vector,
        (),
        "chunk",
        chunks,
        tuple(emitter.scopes[0].stmts),
        (),
        (),
        False,
        ("recurrence",),
    )
