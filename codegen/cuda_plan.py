"""What is launched: kernels with their grids and arguments, in order, for the host to carry out.

The number of chunks of a kernel is its grid, and a function of the sizes alone, so a result never depends on the
device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..dsl.size import Dim, Size, evaluate, product
from .cuda_form import ordered_write, suited
from .program import Branch, For, Kernel, Library, Loop, Program, walk_stmts

BLOCK = 256  # threads of a block where rows are spread over them, and the most of any block
ROWS_PER_CHUNK = 8 * BLOCK  # rows of a chunk that threads stride over: two wide loads or more for each thread
WORK_PER_CHUNK = 1024  # elements of a chunk whose rows run in order
PARTIALS = 512  # most chunks of a kernel that leaves partial results: about four blocks for each multiprocessor
INT_SPAN = 2**31 - 2**22  # largest count that `int` indices reach with room for a stride


@dataclass(frozen=True, slots=True)
class Aligned:
    """A buffer position whose address decides whether wide loads and stores may be used."""

    buffer: str
    offset: Dim
    bytes: int


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch of the global function `name` for `kernel`.

    Arguments in order: the addresses of `buffers`; `sizes`, each evaluated and passed as an index; for a row kernel
    the rows per chunk; the flag "every position in `aligned` is aligned" where there are any; the address of the
    error word if `checks`. `meets`: threads of a block wait for each other in it. `role` is 'rows' or 'combine'.
    """

    name: str
    kernel: Kernel
    role: str
    buffers: tuple[str, ...]
    sizes: tuple[Dim, ...]
    aligned: tuple[Aligned, ...] = ()
    checks: bool = False
    meets: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """A `Loop` of the program with its plan."""

    loop: Loop
    test: tuple[Action, ...]
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Choose:
    """A `Branch` of the program with its plans."""

    branch: Branch
    choices: tuple[tuple[Action, ...], ...]


Action = Launch | Library | Repeat | Choose


@dataclass(frozen=True, slots=True)
class Grid:
    """Blocks, threads of each, and rows of each chunk."""

    blocks: int
    threads: int
    rows: int


def grid_of(kernel: Kernel, sizes: Mapping[str, int]) -> Grid:
    """How `kernel` is cut when its sizes are `sizes`; they need not hold the number of chunks."""
    kernel = suited(kernel)
    rows, work = evaluate(kernel.rows.extent, sizes), max(1, evaluate(kernel.work, sizes))
    if kernel.chunks in sizes:
        return _cut(kernel, rows, work, sizes[kernel.chunks])
    if kernel.serial or rows == 0:
        return _cut(kernel, rows, work, 1)
    if kernel.vector:
        per = ROWS_PER_CHUNK if work == 1 or kernel.combine else BLOCK
        chunks = _ceil(rows, min(per, max(32, _ceil(rows, PARTIALS))))
    else:
        chunks = _ceil(rows, max(1, WORK_PER_CHUNK // work))
    return _cut(kernel, rows, work, min(chunks, PARTIALS) if kernel.combine else chunks)


def _cut(kernel: Kernel, rows: int, work: int, chunks: int) -> Grid:
    per = _ceil(rows, chunks)
    if ordered_write(kernel):
        return Grid(1, BLOCK, max(1, rows))
    if not kernel.vector:
        threads = next((t for t in (32, 64, 128) if work <= 2 * t), BLOCK)
        return Grid(chunks, threads, max(1, per))
    unit = next((t for t in (32, 64, 128) if per <= t), BLOCK)  # whole strides, so that every chunk starts aligned
    return Grid(chunks, unit, max(1, _ceil(per, unit)) * unit)


def combine_grid(kernel: Kernel, sizes: Mapping[str, int]) -> Grid:
    """A block for each element of short results, a thread for each element of long ones (the kernel decides alike)."""
    counts = [evaluate(c.count, sizes) for c in kernel.combine]
    return Grid(max(1, *(c if c <= PARTIALS else _ceil(c, BLOCK) for c in counts)), BLOCK, 0)


def chunk_counts(program: Program, sizes: Mapping[str, int]) -> dict[str, int]:
    """`sizes` of the inputs, completed by the number of chunks of every kernel."""
    complete = dict(sizes)
    for kernel in program.kernels():
        if kernel.chunks not in complete:
            complete[kernel.chunks] = grid_of(kernel, complete).blocks
    return complete


def index_type(program: Program, sizes: Mapping[str, int]) -> str:
    """The narrowest index that reaches everything: 'int' or 'long long'. `sizes` is complete."""
    spans = [evaluate(product(b.shape), sizes) for b in program.buffers.values()]
    for kernel in program.kernels():
        spans.append(evaluate(kernel.rows.extent, sizes))
        loops = (s for s in walk_stmts(kernel.begin + kernel.body + kernel.end) if isinstance(s, For))
        spans += [evaluate(axis.extent, sizes) for loop in loops for axis in loop.axes]
    return "int" if max(spans, default=0) < INT_SPAN else "long long"


def itemsize(dtype: str) -> int:
    return np.dtype(dtype).itemsize


def is_symbol(dim: Dim) -> str | None:
    """The name of `dim` where it is a bare size symbol."""
    if isinstance(dim, Size) and len(dim.terms) == 1 and dim.terms[0][1] == 1 and len(dim.terms[0][0]) == 1:
        atom, power = dim.terms[0][0][0]
        return atom if power == 1 and isinstance(atom, str) else None
    return None


def temporaries_shared(program: Program) -> dict[str, str]:
    """For each temporary the first one that has the same place: what may be the same memory within a kernel."""
    first: dict[str, str] = {}
    return {
        b.name: first.setdefault(repr(b.place), b.name)
        for b in program.buffers.values()
        if b.kind == "temp" and b.place is not None
    }


def walk_launches(actions: tuple[Action, ...]) -> Iterator[Launch]:
    """Every launch, also those of loops and branches."""
    for action in actions:
        if isinstance(action, Launch):
            yield action
        elif isinstance(action, Repeat):
            yield from walk_launches(action.test + action.actions)
        elif isinstance(action, Choose):
            for choice in action.choices:
                yield from walk_launches(choice)


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
