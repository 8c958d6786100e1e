"""One kernel of a Program as a CUDA global function.

A block takes a chunk. Where the rows are the vector loop, its threads stride over the rows of the chunk; otherwise
the rows run in order, every thread computes what is uniform, thread 0 stores it, and the threads stride over the
innermost axis of vector loops. Accumulators of a loop that is spread over threads are folded by shuffles and shared
memory, and every thread gets the result. Rows that must run in order (`serial`) and have no vector loop inside are
left to one thread.
"""

from __future__ import annotations

import re

from .cuda_form import collides, ordered_write, suited
from .cuda_ops import C_TYPE, is_library_call
from .cuda_pack import find_packs, pack_lines
from .cuda_plan import BLOCK, Launch, temporaries_shared
from .cuda_scan import scan_of
from .cuda_scan_steps import scanned, shared
from .cuda_scope import safe
from .cuda_statements import StatementWriter
from .cuda_sync import ROW, Access, access, accesses, conflict
from .cuda_threads import (
    THREAD,
    THREADS,
    At,
    Call,
    Function,
    Line,
    Meet,
    Shared,
    Touch,
    function,
    printed,
    subscript,
)
from .program import Acc, Check, For, Kernel, Let, Load, Program, Stmt, Store, Update, walk_stmts

BOUNDS = "__launch_bounds__(256, 1)"  # a block at least: without the 1, ptxas saves registers by spilling a few

MANY_CALLS = 24      # library functions in one body, from which on they are called instead of copied in


class KernelWriter(StatementWriter):
    """Prints one kernel; `write` returns its function and its launch."""

    def __init__(self, kernel: Kernel, program: Program, alias: dict[str, str] | None = None) -> None:
        kernel = suited(kernel)
        alias = temporaries_shared(program) if alias is None else alias
        super().__init__(kernel, program, find_packs(kernel, program, alias))
        self.alias = alias
        lets = (s for s in walk_stmts(kernel.body) if isinstance(s, Let))
        self.scope.many_calls = sum(is_library_call(s.op, s.dtype) for s in lets) > MANY_CALLS
        stmts = list(walk_stmts(kernel.begin + kernel.body + kernel.end))
        touched = [s for s in stmts if isinstance(s, (Load, Store, Update))]
        self.buffers = tuple(dict.fromkeys(s.buffer for s in touched))
        self.written = {self.root(s.buffer) for s in touched if not isinstance(s, Load)}
        self.checks = any(isinstance(s, Check) for s in stmts)
        self.pending: list[Access] = []
        self.owned = lambda stmt: accesses(stmt, self.written, self.alias)

    def root(self, buffer: str) -> str:
        return self.alias.get(buffer, buffer)

    # ---- the function -------------------------------------------------------------------------------------------
    def write(self) -> tuple[Function, Launch]:
        kernel, scope = self.kernel, self.scope
        scope.dtypes[kernel.chunk] = "int64"
        rows = scope.size(kernel.rows.extent)
        self.uniform(kernel.begin)
        self.barrier_if(bool(self.pending))
        self.rows()
        self.barrier_if(bool(kernel.end) and (bool(self.pending) or self.per_thread_writes()))
        self.uniform(kernel.end)
        body = (*self.prologue(rows), *self.stmts)
        launch = Launch(
            safe(kernel.name),
            kernel,
            "rows",
            self.buffers,
            tuple(d for _, d in scope.sizes.values()),
            self.packs.aligned if self.packs else (),
            self.checks,
            self.meets,
        )
        head = "".join(f"// {line}\n" for line in (*map(comment, kernel.title), *self.notes()))
        head += f'extern "C" __global__ void {BOUNDS} {launch.name}({self.parameters()})'
        return function(launch.name, head, body), launch

    def prologue(self, rows: str) -> list[Line]:
        """What the lines need of: the thread, the number of threads, the chunk, and the rows lo .. hi-1 of this
        block."""
        used, chunk = set(re.findall(r"\w+", "\n".join(printed(self.stmts, 1)))), safe(self.kernel.chunk)
        definitions = (THREAD, THREADS, Line(f"const long long {chunk} = blockIdx.x;", (chunk,)))
        first = "const index_t first = (index_t)blockIdx.x * rows_per_chunk, last = first + rows_per_chunk;"
        lo = f"const index_t lo = first < {rows} ? first : {rows}, hi = last < {rows} ? last : {rows};"
        return [
            *(line for line in definitions if line.sets[0] in used),
            Line(first, ("first", "last")),
            Line(lo, ("lo", "hi")),
        ]

    def parameters(self) -> str:
        sizes = [f"index_t {name}" for name, _ in self.scope.sizes.values()]
        flags = ["int aligned"] if self.packs else []
        error = ["int* error"] if self.checks else []
        return ", ".join([*map(self.pointer, self.buffers), *sizes, "index_t rows_per_chunk", *flags, *error])

    def pointer(self, buffer: str) -> str:
        """A parameter; memory is declared read-only where nothing in the kernel writes it, also under another name."""
        kind, name = C_TYPE[self.program.buffers[buffer].dtype], safe(buffer)
        written = self.root(buffer) in self.written
        shared = sum(self.root(other) == self.root(buffer) for other in self.buffers) > 1
        return f"{'' if written else 'const '}{kind}* {'' if written and shared else '__restrict__ '}{name}"

    def notes(self) -> list[str]:
        return [f"{name} = {dim!r}" for name, dim in self.scope.sizes.values() if name.startswith("size_")]

    def per_thread_writes(self) -> bool:
        return self.kernel.vector and any(
            not isinstance(s, Load) for s in walk_stmts(self.kernel.body) if isinstance(s, (Load, Store, Update))
        )

    # ---- rows ---------------------------------------------------------------------------------------------------
    def rows(self) -> None:
        kernel = self.kernel
        self.declare(kernel.rows)
        self.start_accs(kernel.accs)
        before = self.owned
        if kernel.vector:
            self.owned = lambda stmt: [Access(a.buffer, a.reads, a.writes, ROW, True) for a in before(stmt)]
        if write := ordered_write(kernel):
            self.ordered_rows(write)
        elif not kernel.vector:
            self.rows_in_order()
        elif kernel.serial:
            with self.first_thread():
                self.block(
                    "for (index_t {0} = lo; {0} < hi; ++{0})",
                    kernel.rows,
                    lambda: self.lane(kernel.body, kernel.accs),
                )
        else:
            first = self.packed_rows() if self.packs else "lo"
            self.block(
                f"for (index_t {{0}} = {first} + thread; {{0}} < hi; {{0}} += threads)",
                kernel.rows,
                lambda: self.lane(kernel.body, kernel.accs),
            )
        self.owned = before
        if kernel.vector:
            self.fold(kernel.accs)

    def ordered_rows(self, write: Store | Update) -> None:
        """A tile of rows at a time: threads compute the places and values, then the first thread of each place writes
        what the tile has for it, in order."""
        row, dtype, own = safe(self.kernel.rows.name), self.program.buffers[write.buffer].dtype, At("thread")
        places, updates = subscript("places", own), subscript("updates", own)
        self.stmts += [Shared("index_t", "places", BLOCK), Shared(C_TYPE[dtype], "updates", BLOCK)]
        with self.inside("for (index_t tile = lo; tile < hi; tile += threads)", "tile"):
            self.line(f"const index_t {row} = tile + thread;", row)
            self.line(f"{places} = -1;", touches=(Touch("places", own, writes=True),))
            with self.inside(f"if ({row} < hi)"):
                self.lane(self.kernel.body[:-1], ())
                value, guard = self.scope.operand(write.value), f"if ({safe(write.mask)}) " if write.mask else ""
                self.line(f"{updates} = {value};", touches=(Touch("updates", own, writes=True),))
                self.line(f"{guard}{places} = {self.scope.offset(write.offset)};",
                          touches=(Touch("places", own, writes=True),))
            self.stmts.append(Meet())
            apply = self.scope.ordered(write.op if isinstance(write, Update) else "set", dtype)
            target = Access(self.root(write.buffer), True, True, ("the first thread of a place",), False)
            self.stmts += [Call(apply, (safe(write.buffer), "places", "updates"), touches=(target,)), Meet()]
        self.meets = True

    def rows_in_order(self) -> None:
        kernel = self.kernel

        def body() -> None:
            self.uniform(kernel.body)
            self.add_accs(kernel.accs)
            self.meet_before_next_turn(kernel.body)

        self.block("for (index_t {0} = lo; {0} < hi; ++{0})", kernel.rows, body)

    def packed_rows(self) -> str:
        """Whole packs of neighbouring rows, by wide loads and stores; returns the first row that is left over."""
        packs = self.packs
        assert packs is not None
        width, row = packs.width, safe(self.kernel.rows.name)
        self.line("index_t head = lo;", "head")
        with self.inside("if (aligned)"):
            self.line(f"head = hi - (hi - lo) % {width};", "head")
            with self.inside(
                f"for (index_t start = lo + {width} * thread; start < head; start += {width} * threads)", "start"
            ):
                names, loads, stores = pack_lines(packs, self.program, self.scope)
                for name, text in loads:
                    self.line(text, name)
                self.line("#pragma unroll")
                with self.inside(f"for (int lane = 0; lane < {width}; ++lane)", "lane"):
                    self.line(f"const index_t {row} = start + lane;", row)
                    self.lane(self.kernel.body, self.kernel.accs, names)
                for text in stores:
                    self.line(text)
        return "head"

    # ---- what every thread computes alike -----------------------------------------------------------------------
    def uniform(self, stmts: tuple[Stmt, ...]) -> None:
        for stmt in stmts:
            touched = [] if isinstance(stmt, For) and not stmt.vector else accesses(stmt, self.written, self.alias)
            self.barrier_if(any(conflict(p, a) for p in self.pending for a in touched))
            self.pending += [a for a in touched if a not in self.pending]
            if isinstance(stmt, For):
                self.uniform_for(stmt)
            else:
                self.statement(stmt, alone=True)

    def uniform_for(self, loop: For) -> None:
        for axis in loop.axes:
            self.declare(axis)
        self.start_accs(loop.accs)
        if loop.vector:
            self.threads_for(loop)
            return

        def body() -> None:
            self.uniform(loop.body)
            self.add_accs(loop.accs)
            self.step_carries(loop.carries)
            self.meet_before_next_turn(loop.body)

        before = list(self.pending)
        self.start_carries(loop.carries)
        self.turns(loop, body)
        self.end_carries(loop.carries)
        if loop.turns is not None or not all(isinstance(a.extent, int) and a.extent for a in loop.axes):
            self.pending = [*before, *(a for a in self.pending if a not in before)]     # no turn, no barrier

    def threads_for(self, loop: For) -> None:
        """A vector loop: outer axes in order, the innermost one (or two, as one) spread over the threads."""
        before = self.owned
        if loop.carries:
            self.owned = lambda stmt: [access(stmt, self.alias, loop)] if before(stmt) else []
            self.scan(loop)
        elif self.kernel.serial and collides(loop):
            with self.first_thread():
                self.nest(loop.axes, lambda: self.lane(loop.body, loop.accs))
        else:
            self.owned = lambda stmt: [access(stmt, self.alias, loop)] if before(stmt) else []
            if len(loop.axes) == 1:
                self.block(
                    f"for (index_t {{0}} = thread; {{0}} < {self.scope.size(loop.axes[0].extent)}; {{0}} += threads)",
                    loop.axes[0],
                    lambda: self.lane(loop.body, loop.accs),
                )
            else:
                self.nest(loop.axes[:-2], lambda: self.plane(loop))
        self.owned = before
        self.fold(loop.accs)

    def scan(self, loop: For) -> None:
        """A tile of turns at a time, a thread each; the state of the last turn goes on to the next tile."""
        found, carry, axis = scan_of(loop), loop.carries[0], loop.axes[0]
        assert found is not None
        dtype, state, end = carry.dtype, safe(carry.name), self.scope.size(axis.extent)
        kind, result, row = C_TYPE[dtype], safe(found.update.name), safe(axis.name)
        self.stmts += shared(found, dtype, state)
        self.start_carries(loop.carries)
        with self.inside(f"for (index_t tile = 0; tile < {end}; tile += threads)", "tile"):
            self.line(f"const bool in_tile = tile + thread < {end};", "in_tile")
            self.line(f"const index_t {row} = in_tile ? tile + thread : {end} - 1;", row)
            self.lane(found.before, ())
            value = self.scope.operand(found.value)
            if found.op in ("add", "affine"):
                value = f"in_tile ? {value} : -({kind})0"
            self.line(f"{kind} up_to = {value}, up_to_end = up_to;", "up_to", "up_to_end")
            if found.op == "affine":
                weight = f"in_tile ? {self.scope.operand(found.weight)} : 1"
                self.line(f"{kind} pb_weight = {weight}, pb_weights = pb_weight;", "pb_weight", "pb_weights")
            self.stmts += scanned(found, dtype, state, self.scope)
            for target, name, weight in ((f"const {kind} {result}", "up_to", "pb_weight"),
                                         (state, "up_to_end", "pb_weights")):
                affine = f"{weight} * {state} + {name}"
                text = affine if found.op == "affine" else self.scope.apply(
                    found.op, dtype, [state, name], [dtype, dtype])
                self.line(f"{target} = {text};", target.split()[-1])
            self.scope.dtypes[found.update.name] = dtype
            with self.inside("if (in_tile)"):
                self.lane(found.after, ())
        self.end_carries(loop.carries)
        self.meets = True

    def plane(self, loop: For) -> None:
        """The last two axes as one range of pairs that the threads stride over, without a division for each pair."""
        outer, inner = loop.axes[-2:]
        k, j, extent = safe(outer.name), safe(inner.name), self.scope.size(inner.extent)
        start = f"index_t {k} = thread / {extent}, {j} = thread % {extent}"
        with (
            self.inside(f"if ({extent} > 0)"),
            self.inside(f"for ({start}; {k} < {self.scope.size(outer.extent)};)", k, j),
        ):
            self.lane(loop.body, loop.accs)
            self.line(f"{k} += threads / {extent};", k)
            self.line(f"{j} += threads % {extent};", j)
            self.line(f"if ({j} >= {extent}) {{ {j} -= {extent}; ++{k}; }}", j, k)

    def barrier_if(self, needed: bool) -> None:
        if needed:
            self.stmts.append(Meet())
            self.pending, self.meets = [], True

    def meet_before_next_turn(self, body: tuple[Stmt, ...]) -> None:
        again = [a for s in body for a in accesses(s, self.written, self.alias)]
        self.barrier_if(any(conflict(p, a, later_row=True) for p in self.pending for a in again))

    # ---- what one thread computes -------------------------------------------------------------------------------
    def lane(
        self, stmts: tuple[Stmt, ...], accs: tuple[Acc, ...], packs: dict[tuple[str, str], str] | None = None
    ) -> None:
        for stmt in stmts:
            if isinstance(stmt, For):
                self.lane_for(stmt)
            else:
                self.statement(stmt, alone=False, packs=packs)
        self.add_accs(accs)

    def lane_for(self, loop: For) -> None:
        for axis in loop.axes:
            self.declare(axis)
        self.start_accs(loop.accs)
        self.start_carries(loop.carries)

        def body() -> None:
            self.lane(loop.body, loop.accs)
            self.step_carries(loop.carries)

        self.turns(loop, body)
        self.end_carries(loop.carries)


def comment(text: str) -> str:
    """`text` as one line of comment: nothing in it ends or continues the line."""
    return "".join(c if c.isprintable() else " " for c in text).rstrip("\\ ")
