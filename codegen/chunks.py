"""How the rows of a kernel are cut into chunks, from sizes alone: the same results whatever the number of threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..dsl.size import Dim, Size, evaluate, maximum, product, symbol
from .chunk_count import count_chunks
from .interior import extents_of, interior_of
from .machine import MACHINE
from .program import Axis, Carry, Combine, For, Kernel, Let, Load, Offset, Program, Stmt, Store, walk_stmts

# What a call of a mathematical function counts beside a machine operation.
CALL = 20
LEAST = 8
# Elements of partial results from which on a kernel counts as writing whole arrays of them.
LONG_PARTIAL = 512
MOST = 64
# A kernel whose chunks each write a whole array of partial results has fewer of them.
MOST_PARTIALS = 16
# Rows of a chunk are a multiple of this where rows run in lanes, so that a row keeps its lane.
QUANTUM = 16
# Elements of a combine step that one thread takes at a time.
COMBINE_ROWS = 4096


@dataclass(frozen=True)
class Chunked:
    """What decides the number of chunks of one kernel; `work` is in statements for each row."""

    chunks: str
    rows: Dim
    work: Dim
    quantum: int
    most: int


def quantum(kernel: Kernel) -> int:
    return QUANTUM if kernel.vector else 1


def is_cut(kernel: Kernel, program: Program) -> bool:
    """Whether the rows of `kernel` run in several chunks."""
    return not kernel.serial and kernel.chunks in program.sizes


def chunked_kernels(program: Program) -> list[Chunked]:
    found = []
    for kernel in program.kernels():
        if is_cut(kernel, program):
            wide = any(not isinstance(c.count, int) or c.count > LONG_PARTIAL for c in kernel.combine)
            found.append(
                Chunked(
                    kernel.chunks,
                    kernel.rows.extent,
                    work_per_row(kernel),
                    quantum(kernel),
                    MOST_PARTIALS if wide else MOST,
                )
            )
    return found


def work_per_row(kernel: Kernel) -> Dim:
    """Statements for each row, a call of a function counted as CALL; a short body, bound by memory, counts as LEAST.
    Borders are as good as free: what counts is the interior.
    """
    lets = {s.name: s for s in walk_stmts(kernel.body) if isinstance(s, Let)}
    extents = extents_of(kernel)

    def inside(loop: For) -> tuple[Stmt, ...]:
        near = interior_of(loop, lets, extents) if loop.vector else None
        return near.loop.body if near is not None else loop.body

    return _work(inside(For((kernel.rows,), kernel.body, vector=kernel.vector)), inside)


def _work(body: tuple[Stmt, ...], inside: Callable[[For], tuple[Stmt, ...]]) -> Dim:
    total: Dim = 0
    inner: Dim = 0
    for stmt in body:
        if isinstance(stmt, For):
            inner = inner + product(axis.extent for axis in stmt.axes) * _work(inside(stmt), inside)
        else:
            total = total + (CALL if isinstance(stmt, Let) and stmt.op not in MACHINE else 1)
    return inner + (total if isinstance(inner, Size) or inner else maximum(total, LEAST))


def chunking(program: Program, sizes: Mapping[str, int]) -> dict[str, int]:
    """The number of chunks for every chunk symbol of `program`, where its inputs have `sizes`."""
    counts = {kernel.chunks: 1 for kernel in program.kernels() if kernel.chunks in program.sizes}
    for c in chunked_kernels(program):
        rows, work = evaluate(c.rows, sizes), evaluate(c.work, sizes)
        counts[c.chunks] = max(counts[c.chunks], count_chunks(rows, work, c.quantum, c.most))
    return counts


def stride_of(combine: Combine, program: Program) -> Dim:
    """How far the partial results of two neighbouring chunks are apart."""
    return product(program.buffers[combine.partial].shape[1:])


def combine_kernel(program: Program, kernel: Kernel, number: int) -> Kernel:
    """The fold of one kernel's partial results, as a kernel of its own: a row per element, chunks in order."""
    combine = kernel.combine[number]
    chunks = symbol(kernel.chunks) if kernel.chunks in program.sizes else 1
    dtype = program.buffers[combine.target].dtype
    words = ("j", "c", "first", "partial", "state", "following", "folded")
    j, c, first, partial, state, following, folded = (_unused(word, program) for word in words)
    stride = stride_of(combine, program)
    load = Load(first, dtype, combine.partial, Offset(0, ((j, 1),)))
    other = Load(partial, dtype, combine.partial, Offset(stride, ((c, stride), (j, 1))))
    fold = For(
        (Axis(c, chunks - 1),),
        (other, Let(following, dtype, combine.op, (state, partial))),
        carries=(Carry(state, folded, dtype, first, following),),
    )
    store = Store(combine.target, Offset(0, ((j, 1),)), folded)
    title = (f"{combine.target} = {combine.op} of {combine.partial} over the chunks of {kernel.name}",)
    single = isinstance(combine.count, int) and combine.count == 1
    return Kernel(
        f"{kernel.name}_combine{number}",
        title,
        Axis(j, combine.count),
        chunks,
        (load, fold, store),
        vector=not single,
        chunk="part",
        chunks="",
        fuses=(),
    )


def _unused(name: str, program: Program) -> str:
    while name in program.buffers or name in program.sizes:
        name += "_"
    return name
