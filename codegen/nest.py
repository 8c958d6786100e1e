"""A cluster of roots as a Kernel: its loops, what it stores, and the partial results of its chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..dsl import size
from ..dsl.node import Expr
from ..dsl.primitives import identity_of
from ..dsl.size import Dim
from .beyond import sweep_beyond
from .emit import LETTERS, Emitter, Index, Scope, close_loop, dtype_name, flat
from .emit_entries import band_stores
from .emit_rules import turns_of, unrolls
from .fuse import Cluster
from .halves import partner
from .interior import live
from .loops import collapsed, split_rows
from .memory import aligned
from .names import Names
from .program import CHUNK, Acc, Axis, Buffer, Combine, For, Kernel, Literal, Offset, Operand, Stmt, Store, Update
from .roots import Root
from .share import kept_in_rows, repeated_in_rows

TITLE = 150              # characters of a line of mathematics


@dataclass
class Context:
    """What the steps of a program share while it is planned. `needed`: roots that somebody outside their own kernel
    reads.

    `turns`: results that a loop stacks, with the buffer of the turn's number. `regions`: updates in place, with the
    (start, step) of the axes they write; `overwritten`: what is lost by one, with the one. `words`: how titles show
    nodes that stand for a simpler operation.
    """

    names: Names
    buffers: dict[str, Buffer]
    stored: dict[Expr, str]
    needed: set[Expr]
    errors: list[str] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)
    turns: dict[Expr, str] = field(default_factory=dict)
    regions: dict[Expr, tuple[tuple[Dim, int], ...]] = field(default_factory=dict)
    overwritten: dict[Expr, Expr] = field(default_factory=dict)
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
        """Give `node` a buffer of its own, or a half that of both."""
        if node.op == "half" and partner(node) in self.stored:
            self.stored[node] = self.stored[partner(node)]
            return self.stored[node]
        name = self.names.new(wish)
        self.stored[node] = name
        half = node.op == "half"
        self.buffers[name] = Buffer(name, node.dtype.name, (*node.shape, 2) if half else node.shape, kind, pairs=half)
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
        stacked = any(r.rows == cluster.outer for r in cluster.roots)
        self.short = bool(self.inner) and (stacked or unrolls([cluster.domain[a] for a in self.inner]))
        self.elements: list[tuple[Root, int, Operand]] = []
        self.arrays: dict[Root, str] = {}

    def build(self) -> Kernel:
        rows = tuple(self.axes[a] for a in self.cluster.outer)
        vector = self.short or not self.inner or len(self.axes) - 1 in self.cluster.outer
        scope = self.emitter.open(rows, vector)
        stages = self.stages()
        kept = {} if vector or not self.inner else kept_in_rows(stages, len(self.axes), self.context.stored)
        if not vector and self.inner:
            self.keep_repeated()
        for number, stage in enumerate(stages):
            self.sweep([r for r in stage if r not in self.cluster.rowwise], vector, kept.get(number, ()))
            for root in stage:
                if root in self.cluster.rowwise:
                    self.row_result(root, (), self.emitter.value(root.operand, self.row_index()))
        accs = self.fold_rows()
        self.emitter.close()
        return self.kernel(rows, scope, accs, vector)

    def row_index(self) -> Index:
        return tuple(self.index[a] for a in self.cluster.outer)

    def stages(self) -> list[list[Root]]:
        """Roots grouped so that a reduction is finished before the stage that reads it; with loops of their own after
        those of the same stage that need none.
        """
        level: dict[Expr, int] = {}
        stages: dict[tuple[int, bool], list[Root]] = {}
        for root in self.in_order():
            below = [(level[n], n) for n in root.demands if n in level]
            reduced = {r.node for r in self.cluster.roots if r.reduced}
            level[root.node] = max((k + (n in reduced) for k, n in below), default=0)
            stages.setdefault((level[root.node], root.looped), []).append(root)
        return [stages[key] for key in sorted(stages)]

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
    def sweep(self, roots: list[Root], vector_rows: bool, kept: Sequence[Expr]) -> None:
        """One pass over the inner axes that computes `roots`, and `kept` for the passes after it."""
        if not roots:
            return
        if roots[0].looped:
            sweep_beyond(self, roots)
            return
        if not self.inner:
            for root, cell, value in self.computed(roots, self.index):
                self.row_result(root, cell, value)
            return
        if self.short:
            self.short_sweep(roots)
            return
        scopes = self.open_inner(vector_rows)
        folds = []
        for root, cell, value in self.computed(roots, self.index):
            if not root.reduced:
                self.store(root, self.index, value)
            elif root.reduced == self.cluster.outer:
                self.update(root, (*self.index, *cell), value)
            else:
                folds.append((root, cell, value))
        for node in kept:
            self.keep(node, self.index, self.inner)
        values = self.close_inner(scopes, [(root, value) for root, _, value in folds])
        for (root, cell, _), value in zip(folds, values, strict=True):
            self.folded(root, cell, value)

    def open_inner(self, vector_rows: bool) -> list[Scope]:
        """Open the loops over the inner axes; the last one runs in lanes unless the rows do."""
        return [self.emitter.open((self.axes[a],), not vector_rows and a == self.inner[-1]) for a in self.inner]

    def close_inner(self, scopes: list[Scope], folds: list[tuple[Root, Operand]]) -> Sequence[Operand]:
        """Close them; what each root's values gave."""
        values: Sequence[Operand] = [value for _, value in folds]
        for scope in reversed(scopes):
            folded = tuple((r.op, dtype_name(r.node), v) for (r, _), v in zip(folds, values, strict=True))
            values = close_loop(self.emitter, scope, folded)
        return values

    def close_scope(self, scope: Scope) -> None:
        """Close a loop that folds nothing."""
        close_loop(self.emitter, scope, ())

    def keep_repeated(self) -> None:
        """Keep folds that the inner loops would repeat, by a pass of their own over the axes that they follow."""
        for node, axes in repeated_in_rows(self.cluster, self.context.stored):
            own = tuple(a for a in self.inner if a in axes)
            scopes = [self.emitter.open((self.axes[a],), a == own[-1]) for a in own]
            self.keep(node, tuple(self.index[a] for a in axes), own)
            self.close_inner(scopes, [])

    def keep(self, node: Expr, index: Index, axes: Sequence[int]) -> None:
        """Store node[index], which follows these inner axes, in the memory of a row, which every chunk has once, and
        load it from there from now on.
        """
        value = self.emitter.value(node, index)
        shape = tuple(self.cluster.domain[a] for a in axes)
        stride = aligned(size.product(shape), node.dtype.itemsize)
        buffer = self.context.temporary("in_row", dtype_name(node), (size.symbol(self.chunks), stride))
        offset = Offset(0, ((CHUNK, stride),)) + flat(tuple(self.index[a] for a in axes), shape)
        self.emitter.scopes[-1].stmts.append(Store(buffer, offset, value))
        self.emitter.in_row[node, index] = (buffer, offset)

    def computed(self, roots: list[Root], index: Index) -> list[tuple[Root, Index, Operand]]:
        """`roots` with their values at `index`, one for each place on the short axes beyond, all of them before any is
        stored: a carry that one of them overwrites in place may be read by another.
        """
        return [
            (root, cell, self.emitter.value(root.operand, (*index, *cell)))
            for root in roots
            for cell in turns_of(root.beyond)
        ]

    def short_sweep(self, roots: list[Root]) -> None:
        """The same over inner axes of a few fixed elements: written out, so that rows can run in lanes."""
        totals: dict[Root, Operand] = {}
        for turn in turns_of([self.cluster.domain[a] for a in self.inner]):
            place = dict(zip(self.inner, turn, strict=True))
            index = tuple(place.get(a, here) for a, here in enumerate(self.index))
            for root, _, value in self.computed(roots, index):
                if not root.reduced:
                    self.store(root, index, value)
                elif root.reduced == self.cluster.outer:
                    self.element(root, tuple(index[a] for a in root.kept), value)
                else:
                    total, dtype = totals.get(root), dtype_name(root.node)
                    totals[root] = value if total is None else self.emitter.let(root.op, dtype, total, value)
        for root, value in totals.items():
            self.folded(root, (), value)

    def folded(self, root: Root, cell: Index, value: Operand) -> None:
        """What a fold over the inner axes gave: known in the row, or folded over the rows too."""
        if root.reduced != self.inner:
            self.row_result(root, cell, value)
            return
        depth, place = self.emitter.operand_depth((value,)), (*self.row_index(), *cell)
        self.emitter.remember(root.node, place, value, depth)
        self.store(root, place, value)

    def element(self, root: Root, place: Index, value: Operand) -> None:
        """One element of a result that is folded over the rows."""
        self.elements.append((root, int(flat(place, root.node.shape).const), value))

    def row_result(self, root: Root, cell: Index, value: Operand) -> None:
        """A value known in the row: stored there, or folded over the rows."""
        if cell:
            self.element(root, cell, value)
        elif root.reduced:
            self.folds.append(value)
            self.fold_roots.append(root)
        else:
            self.store(root, self.row_index(), value)

    def store(self, root: Root, index: Index, value: Operand) -> None:
        node, context = root.node, self.context
        if node not in context.needed:
            return
        if node.op == "bands":
            stores = [Store(context.stored[node], *place) for place in band_stores(self.emitter, node, index)]
            self.emitter.scopes[-1].stmts += stores
            return
        if node in context.regions:
            index = tuple(
                i.scaled(step) + Offset(start) for i, (start, step) in zip(index, context.regions[node], strict=True)
            )
        offset = flat(index, node.shape)
        if node.op == "half":
            offset = offset.scaled(2) + Offset(node.attrs[0])
        if node in context.turns:
            turn = self.emitter.scalar(context.turns[node], "int64")
            offset = offset + Offset(0, ((turn, size.product(node.shape)),))
        self.emitter.scopes[-1].stmts.append(Store(context.stored[node], offset, value))

    def update(self, root: Root, index: Index, value: Operand) -> None:
        """A fold in place: over the inner axes in the row of its result, over the rows in an array that every chunk
        has of its own.
        """
        place = flat(tuple(index[a] for a in root.kept), root.node.shape)
        if root.reduced == self.inner:
            self.emitter.scopes[-1].stmts.append(Update(root.op, self.context.stored[root.node], place, value))
            return
        count = size.product(root.node.shape)
        stride = aligned(count, root.node.dtype.itemsize)      # else threads would share lines of the cache
        base = Offset(0, ((CHUNK, stride),))
        if root not in self.arrays:
            self.arrays[root], identity = self.partial(root, (stride,))
            axis = Axis(self.context.names.index("j"), count)
            start = Store(self.arrays[root], base + Offset(0, ((axis.name, 1),)), identity)
            self.begin.append(For((axis,), (start,), vector=True))
        self.emitter.scopes[-1].stmts.append(Update(root.op, self.arrays[root], base + place, value))

    def partial(self, root: Root, shape: tuple[Dim, ...]) -> tuple[str, Literal]:
        """A buffer for the results of every chunk, which are combined at the end, and the fold's identity."""
        target, dtype = self.context.stored[root.node], dtype_name(root.node)
        identity = Literal.of(identity_of(root.op, np.dtype(dtype)), dtype)
        name = self.context.temporary(f"{target}_partial", dtype, (size.symbol(self.chunks), *shape))
        self.combine.append(Combine(root.op, name, target, size.product(root.node.shape), identity))
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
            self.end.append(Store(buffer, Offset(element, ((CHUNK, count),)), name))
        return accs

    def kernel(self, rows: tuple[Axis, ...], scope: Scope, accs: list[Acc], vector: bool) -> Kernel:
        begin = (*self.emitter.scopes[0].stmts, *self.begin)
        rows, body, row_accs = collapsed(rows, tuple(scope.stmts), tuple(accs))
        row, body, row_accs, vector = split_rows(rows, body, row_accs, vector, self.context.names)
        if any(r.node.op == "bands" for r in self.cluster.members()):
            body = live(For((row,), body, row_accs)).body
        work = size.product([self.axes[a].extent for a in self.inner])
        return Kernel(
            self.name,
            self.title,
            row,
            work,
            body,
            vector,
            row_accs,
            CHUNK,
            self.chunks,
            begin,
            tuple(self.end),
            tuple(self.combine),
            False,
            tuple(dict.fromkeys(self.emitter.fused)),
        )
