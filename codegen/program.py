"""The grammar of a Program: what every pass and every target speaks.

    program  := inputs outputs buffers kernels... in order                    Program
    step     := kernel | library | loop | branch                             Kernel Library Loop Branch
    kernel   := begin; rows lo..hi: body; end; combine...                    one chunk of rows at a time
    stmt     := let | load | store | update | for | check                    Let Load Store Update For Check
    for      := axes, body, accumulators, carries                            For Acc Carry

A kernel is a loop nest over one axis of *rows*, cut into chunks that may run at once. The number of chunks is a size
of its own (`Kernel.chunks`), chosen on the host from the sizes and never from the number of threads, so results do
not depend on it. `begin` runs before a chunk's rows and `end` after them; they see the chunk's number `Kernel.chunk`
as an int64 name, and `end` sees the accumulators of the row loop. `combine` runs once after all chunks: it folds the
chunks' partial results in order.

Values are scalars with names, assigned once. Where a `For` has `vector=True` its innermost axis is the one that
targets run in lanes (CPU: SIMD, CUDA: the threads of a block); everything outside such a loop is uniform. At most one
loop on a path is a vector loop.

Meaning of an accumulator: in a vector loop of innermost index j, value j goes to lane `j mod lanes(For)`, in
increasing j (and in the order of the outer axes of the same For); at the end the lanes are folded by halves: lane l
with lane l + L/2, and so on. In a loop that is not a vector loop the order is that of the iterations. CPU targets
keep this to the bit; CUDA may regroup.

Buffers are contiguous in row-major order; `Load`, `Store` and `Update` address them by one flat offset in elements.
Names of buffers, axes and values are valid in C and Python and never equal to a keyword of either; user text never
reaches them unchecked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..dsl.size import Dim, Size

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: `dtype` and its exact bits."""

    dtype: str
    bits: bytes

    @staticmethod
    def of(value: float | int | bool, dtype: str) -> Literal:
        return Literal(dtype, np.asarray(value).astype(dtype).tobytes())

    @property
    def value(self) -> float | int | bool:
        return np.frombuffer(self.bits, self.dtype)[0].item()


@dataclass(frozen=True, slots=True)
class Extent:
    """A size used as a value (int64)."""

    size: Dim


Operand = str | Literal | Extent


@dataclass(frozen=True, slots=True)
class Axis:
    """A loop index `name` that runs over 0 .. extent-1."""

    name: str
    extent: Dim


@dataclass(frozen=True, slots=True)
class Offset:
    """A flat offset: const + sum(coefficient * name). Names are axes or int64 values."""

    const: Dim = 0
    terms: tuple[tuple[str, Dim], ...] = ()

    def coefficient(self, name: str) -> Dim:
        return next((c for n, c in self.terms if n == name), 0)

    def __add__(self, other: Offset) -> Offset:
        total: dict[str, Dim] = dict(self.terms)
        for name, coefficient in other.terms:
            total[name] = total.get(name, 0) + coefficient
        kept = tuple((n, c) for n, c in total.items() if isinstance(c, Size) or c != 0)
        return Offset(self.const + other.const, kept)

    def scaled(self, factor: Dim) -> Offset:
        if not isinstance(factor, Size) and factor == 0:
            return Offset()
        return Offset(self.const * factor, tuple((n, c * factor) for n, c in self.terms))


# ---- statements -------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Let:
    """name: dtype = op(args). `op` is a row of dsl/ops.py, or a machine operation (see codegen/machine.py)."""

    name: str
    dtype: str
    op: str
    args: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """name: dtype = buffer[offset]; with `mask` (a bool name) only where it holds, else `other`."""

    name: str
    dtype: str
    buffer: str
    offset: Offset
    mask: str | None = None
    other: Operand | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """buffer[offset] = value, where `mask` holds."""

    buffer: str
    offset: Offset
    value: Operand
    mask: str | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """buffer[offset] = op(buffer[offset], value), op being a binary row such as add, maximum, multiply or logical_or.

    In a vector loop the offsets of different lanes differ (coefficient of the vector axis not 0), except in a loop
    marked serial.
    """

    op: str
    buffer: str
    offset: Offset
    value: Operand
    mask: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Where `ok` (a bool name) is false, write `code` (an index into Program.errors) to the error word."""

    ok: str
    code: int


@dataclass(frozen=True, slots=True)
class Acc:
    """After the loop, `name` is the fold of `value` over it by the binary row `op`, starting from its `identity`.

    For a reduction without identity (maximum, minimum) `identity` is the value that never wins (-inf, inf, or the
    integer's limit).
    """

    name: str
    dtype: str
    op: str
    value: Operand
    identity: Literal


@dataclass(frozen=True, slots=True)
class Carry:
    """Inside the loop `name` is the state before the iteration, `value` the next; after the loop `result` is the last
    state.
    """

    name: str
    result: str
    dtype: str
    init: Operand
    value: Operand


@dataclass(frozen=True, slots=True)
class For:
    """A nest over `axes`, the last one innermost. `vector`: the last axis runs in lanes. Carries need vector=False.

    `turns`, of a loop over one axis and not in lanes: how often it runs, an int64 value; the extent says nothing then.
    """

    axes: tuple[Axis, ...]
    body: tuple[Stmt, ...]
    accs: tuple[Acc, ...] = ()
    carries: tuple[Carry, ...] = ()
    vector: bool = False
    turns: Operand | None = None


CHUNK = "chunk"          # the number of its chunk, in a kernel
Stmt = Let | Load | Store | Update | Check | For


# ---- steps ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Combine:
    """target[j] = fold over chunks c of partial[c, j] by `op`, in order of c, for j < count.

    Folding starts with chunk 0; where the kernel has no rows there is one chunk, whose partial is the identity.
    Its row may be longer than `count`: the shape of the buffer says how long.
    """

    op: str
    partial: str
    target: str
    count: Dim
    identity: Literal


@dataclass(frozen=True, slots=True)
class Kernel:
    """One fused loop nest. `title` is the mathematics, a line per result; `fuses` names the graph operations inside.

    `rows.extent` rows of about `work` inner elements each; `serial`: rows must run in order in one chunk.
    The row loop is a `For` over `rows`: vector=True when the body has no vector loop inside.
    `chunk`: the int64 name of the chunk number; `chunks`: the symbol of their number in Program sizes.
    """

    name: str
    title: tuple[str, ...]
    rows: Axis
    work: Dim
    body: tuple[Stmt, ...]
    vector: bool
    accs: tuple[Acc, ...] = ()
    chunk: str = CHUNK
    chunks: str = "chunks"
    begin: tuple[Stmt, ...] = ()
    end: tuple[Stmt, ...] = ()
    combine: tuple[Combine, ...] = ()
    serial: bool = False
    fuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Library:
    """A library routine on whole buffers, such as gemm: `operands` are (buffer, offset) read, `target` (buffer,
    offset) written, and so are `others`: further results, then scratch memory of the routine.

    gemm: target[b] (m x n) = op(A[b]) @ op(B[b]) for b < batch, row-major; `attrs` holds trans_a, trans_b (bool), m,
    n, k, batch (Dim) and stride_a, stride_b, stride_c (Dim, elements between batches; 0 repeats). copy: target buffer
    = operand buffer, elementwise, `attrs` holds count. Any other routine is a row of dsl/library.py; `attrs` holds
    static (names and values), shapes (of the operands), results (shapes of the results), batch (the leading
    sizes that all shapes have), wanted (the numbers of the results that are read), flops (Dim) and dtype (the one that
    it computes in).
    """

    name: str
    routine: str
    title: tuple[str, ...]
    operands: tuple[tuple[str, Dim], ...]
    target: tuple[str, Dim]
    attrs: tuple[tuple[str, object], ...] = ()
    others: tuple[tuple[str, Dim], ...] = ()

    @property
    def targets(self) -> tuple[tuple[str, Dim], ...]:
        """All that is written."""
        return (self.target, *self.others)

    def attr(self, key: str) -> object:
        return dict(self.attrs)[key]


@dataclass(frozen=True, slots=True)
class Loop:
    """Repeat `steps`. `count`: a size, or the buffer of an int64 scalar that holds it; else `condition` names a bool
    scalar buffer, computed by `test` before every turn. `index` is a scalar int64 buffer that counts 0, 1, ...
    Carries live in buffers and are updated in place by the steps; `swaps` are pairs of buffers that trade places
    after every turn (ping-pong), never copied. For reports: `title`, what it is and why it keeps what it keeps;
    `keeps`, the buffers with a row for every turn and what is in them; whether it is the reverse of a loop.
    `progress`: whether its turns are shown while it runs.
    """

    name: str
    count: Dim | str | None
    index: str | None
    steps: tuple[Step, ...]
    test: tuple[Step, ...] = ()
    condition: str | None = None
    swaps: tuple[tuple[str, str], ...] = ()
    title: tuple[str, ...] = ()
    keeps: tuple[tuple[str, str], ...] = ()
    backwards: bool = False
    progress: bool = False


@dataclass(frozen=True, slots=True)
class Branch:
    """Run `branches[predicate]`; `predicate` is a scalar int64 buffer. `title` is the choice as mathematics."""

    name: str
    predicate: str
    branches: tuple[tuple[Step, ...], ...]
    title: tuple[str, ...] = ()


Step = Kernel | Library | Loop | Branch


@dataclass(frozen=True, slots=True)
class Buffer:
    """Contiguous row-major storage. `kind`: input (read only), const (a captured array, read only), output, temp.

    A temp lives in the workspace at byte `place` once memory is planned; `shape` may use chunk symbols. `pairs`: the
    last axis, of two, is the parts of the complex numbers that the caller sees.
    """

    name: str
    dtype: str
    shape: tuple[Dim, ...]
    kind: str
    place: Dim | None = None
    pairs: bool = False

    @property
    def element(self) -> str:
        """The dtype of the elements that the caller sees."""
        return {"float32": "complex64", "float64": "complex128"}[self.dtype] if self.pairs else self.dtype

    @property
    def dims(self) -> tuple[Dim, ...]:
        """The shape that the caller sees."""
        return self.shape[:-1] if self.pairs else self.shape


@dataclass(frozen=True)
class Program:
    """Steps over buffers. `sizes` are the symbols that the host passes, in order: sizes of inputs, then chunk counts.

    `inputs`, `outputs`: buffer names in call order (an output may repeat, or be an input: then it is copied by the
    host). `workspace`: bytes of temporaries; `errors`: texts that `Check` refers to; `consts`: arrays of the const
    buffers, as the caller sees them.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    buffers: dict[str, Buffer]
    steps: tuple[Step, ...]
    sizes: tuple[str, ...]
    workspace: Dim = 0
    errors: tuple[str, ...] = ()
    consts: dict[str, np.ndarray] = field(default_factory=dict)

    def kernels(self) -> Iterator[Kernel]:
        """Every kernel, also those inside loops and branches."""
        yield from (s for s in walk_steps(self.steps) if isinstance(s, Kernel))


def walk_steps(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Every step, outer before inner."""
    for step in steps:
        yield step
        if isinstance(step, Loop):
            yield from walk_steps(step.test + step.steps)
        elif isinstance(step, Branch):
            for branch in step.branches:
                yield from walk_steps(branch)


def shown_loops(program: Program) -> list[Loop]:
    """The loops whose turns are shown, in the order of their words."""
    return [s for s in walk_steps(program.steps) if isinstance(s, Loop) and s.progress]


def walk_stmts(stmts: tuple[Stmt, ...]) -> Iterator[Stmt]:
    """Every statement, a `For` before its body."""
    for stmt in stmts:
        yield stmt
        if isinstance(stmt, For):
            yield from walk_stmts(stmt.body)


def lanes(dtypes: set[str]) -> int:
    """Lanes of a vector loop that holds values of `dtypes`: 64 bytes' worth of its widest type."""
    return 64 // max(8 if d in ("float64", "int64", "uint64") else 4 for d in dtypes | {"float32"})


def kernel_lanes(kernel: Kernel) -> int:
    """Lanes of the vector loops of `kernel`: one number for the whole kernel."""
    found = {s.dtype for s in walk_stmts(kernel.begin + kernel.body + kernel.end) if isinstance(s, (Let, Load))}
    return lanes(
        found
        | {a.dtype for s in walk_stmts(kernel.body) if isinstance(s, For) for a in s.accs}
        | {a.dtype for a in kernel.accs}
    )


def bits_of(value: float, dtype: str) -> int:
    """The bit pattern of a float, for printing literals exactly."""
    code, raw = ("<d", "<Q") if dtype == "float64" else ("<f", "<I")
    return struct.unpack(raw, struct.pack(code, value))[0]
