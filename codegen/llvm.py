"""A Program as LLVM IR text: one function per kernel and one entry that runs the steps.

Why not Numba-compiled Python: what runs is IR that we print ourselves, with explicit vectors, and hand to llvmlite,
Numba's own binding of LLVM. It compiles at a fraction of a millisecond per statement (type inference and lowering of
Python source cost 3.5 ms); it is vectorised by construction, without a cost model or alias checks that give up at
twenty arrays; it has the same bits at any width; and its objects load without Numba. The Numba text
(codegen/numba_text.py) is the same Program to be read and exported.

Entry: `void program(ptr args, i64 thread)`. Every thread runs it and takes chunks from a common counter; barriers
keep them in step. `args` is an array of 64-bit words: the sizes (pointer), the workspace (pointer), the error word
(initially -1, set to the index of the smallest failed check), BLAS routines (pointer to pointers), the team's shared
words (pointer), the number of threads, then the buffers that are not temporaries in the order of `Program.buffers`.
"""

from __future__ import annotations

from ..dsl.errors import CompileError
from ..dsl.size import Dim, product, symbol
from .abi import ARGUMENTS, PROGRESS
from .chunks import COMBINE_ROWS, QUANTUM, combine_kernel, is_cut, quantum
from .lanes import lanes_of
from .lapack import calls_of
from .llvm_function import Function
from .llvm_kernel import KernelWriter
from .llvm_lanes import LanesWriter, blocks
from .llvm_library import core_counts, function_name, host_description, library_functions, runs_natively
from .llvm_progress import SHOWING
from .llvm_routines import Routines
from .llvm_support import GEMM, SHARING
from .program import Branch, Kernel, Library, Loop, Program, Step, shown_loops, walk_steps
from .serial import serialised

BYTES = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "uint32": 4,
    "float32": 4,
    "int64": 8,
    "uint64": 8,
    "float64": 8,
}


def write_llvm(program: Program) -> str:
    """The IR of `program`, ready to be compiled for any machine."""
    program = serialised(program)
    routines = Routines()
    intrinsics: set[str] = set()
    kernels = []
    for kernel in program.kernels():
        for part in (kernel, *combines(program, kernel)):
            writer = KernelWriter(program, part, routines)
            kernels.append(_comment(part) + writer.write())
            intrinsics |= writer.f.intrinsics
    entry = Entry(program)
    body = entry.write()
    declarations = sorted(intrinsics | routines.declarations | entry.f.intrinsics)
    steps = [s for s in walk_steps(program.steps) if isinstance(s, Library)]
    library = [GEMM] * any(s.routine == "gemm" for s in steps) + library_functions(program, steps) + entry.texts
    library += [LanesWriter(program, loop, BYTES).write() for loop in entry.lanes]
    functions = [SHARING, *([SHOWING] if entry.shown else []), *library, *routines.definitions.values(), *kernels, body]
    return "\n".join([*declarations, "", *functions, *_ATTRIBUTES])


def combines(program: Program, kernel: Kernel) -> list[Kernel]:
    """The kernels that fold what the chunks of `kernel` left."""
    return [combine_kernel(program, kernel, k) for k in range(len(kernel.combine))]


_ATTRIBUTES = (
    'attributes #0 = { nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512" }',
    '!0 = !{!"branch_weights", i32 2000, i32 1}',
    "",
)


def _comment(kernel: Kernel) -> str:
    return "".join(f"; {line}\n" for title in kernel.title for line in title.splitlines())


class Entry:
    """Prints the entry: the steps in order, for one of the threads."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.f = Function(program.sizes)
        self.numbers = {name: k for k, name in enumerate(program.buffers)}
        self.shown = {loop.name: PROGRESS * k for k, loop in enumerate(shown_loops(program))}
        self.lanes: list[Loop] = []
        self.texts: list[str] = []                         # constants that tell the host of its steps

    def write(self) -> str:
        f = self.f
        words = [f"%{name}.place = getelementptr i64, ptr %args, i64 {k}" for k, name in enumerate(ARGUMENTS)]
        words += [f"%{name} = load ptr, ptr %{name}.place" for name in ("sizes", "workspace", "blas", "progress")]
        for line in [
            *words,
            f"%bufs = alloca [{max(1, len(self.numbers))} x ptr]",
            "%pending = alloca i64",
            "store i64 0, ptr %pending",
        ]:
            f.scopes[0].before.append(line)
        self._set_buffers()
        self.steps(self.program.steps)
        self._bring_home()
        f.line("ret void")
        return f"define void @program(ptr %args, i64 %thread) #0 {{\nentry:\n{f.text()}\n}}\n"

    def _set_buffers(self) -> None:
        f, word = self.f, len(ARGUMENTS)
        for name, buffer in self.program.buffers.items():
            if buffer.kind == "temp":
                if buffer.place is None:
                    raise CompileError(
                        f"the temporary {name} has no place in the workspace: plan memory before writing the program"
                    )
                pointer = f.emit(f"getelementptr i8, ptr %workspace, i64 {f.size(buffer.place)}")
            else:
                slot = f.emit(f"getelementptr i64, ptr %args, i64 {word}")
                pointer, word = f.emit(f"load ptr, ptr {slot}"), word + 1
            f.line(f"store ptr {pointer}, ptr {self._slot(name)}")

    def _slot(self, name: str) -> str:
        return self.f.pure(f"getelementptr ptr, ptr %bufs, i64 {self.numbers[name]}", -1)

    def _pointer(self, name: str, offset: Dim = 0) -> str:
        pointer = self.f.emit(f"load ptr, ptr {self._slot(name)}")
        step = self.f.size(offset * BYTES[self.program.buffers[name].dtype])
        return pointer if step == "0" else self.f.emit(f"getelementptr i8, ptr {pointer}, i64 {step}")

    # ---- steps --------------------------------------------------------------------------------------------------
    def steps(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if isinstance(step, Kernel):
                self.kernel(step)
            elif isinstance(step, Library):
                self.library(step)
            elif isinstance(step, Loop):
                self.loop(step)
            else:
                self.branch(step)

    def kernel(self, kernel: Kernel) -> None:
        chunks = self.f.size(symbol(kernel.chunks)) if is_cut(kernel, self.program) else "1"
        self._run(kernel, chunks)
        for part in combines(self.program, kernel):
            single = isinstance(part.rows.extent, int) and part.rows.extent <= COMBINE_ROWS
            self._run(part, "1" if single else self.f.size(part.rows.extent // COMBINE_ROWS + 1))

    def _run(self, kernel: Kernel, chunks: str) -> None:
        self.f.line(
            f"call void @run_chunks(ptr @kernel.{kernel.name}, ptr %args, ptr %bufs, ptr %pending, i64 %thread, "
            f"i64 {self.f.size(kernel.rows.extent)}, i64 {chunks}, i64 {quantum(kernel)})"
        )

    def library(self, step: Library) -> None:
        size, dtype = self.f.size, self.program.buffers[step.target[0]].dtype
        target, operands = self._pointer(*step.target), [self._pointer(*o) for o in step.operands]
        if step.routine == "copy":
            length = size(step.attr("count") * BYTES[dtype])  # type: ignore[operator]
            self._copy(target, operands[0], length)
            return
        if step.routine != "gemm":
            (self.routine if runs_natively(step) else self.host)(step)
            return
        if dtype not in ("float32", "float64"):
            raise CompileError(f"the CPU target has no library routine {step.routine} on {dtype}")
        name = "dgemm" if dtype == "float64" else "sgemm"
        dims = [step.attr(key) for key in ("m", "n", "k", "batch", "stride_a", "stride_b", "stride_c")]
        numbers = ", ".join(f"i64 {size(d)}" for d in dims)  # type: ignore[arg-type]
        turned = ", ".join(f"i1 {'true' if step.attr(key) else 'false'}" for key in ("trans_a", "trans_b"))
        self.f.line(
            f"call void @run_{name}(ptr {target}, ptr {operands[0]}, ptr {operands[1]}, {numbers}, {turned}, "
            "ptr %blas, ptr %args, ptr %pending, i64 %thread)"
        )

    def routine(self, step: Library) -> None:
        """Call the function of a routine that LAPACK or BLAS computes."""
        size, results = self.f.size, len(step.attr("results"))  # type: ignore[arg-type]
        places, counts = [*step.targets[:results], *step.operands], core_counts(self.program, step)
        words = [f"ptr {self._pointer(*p)}, i64 {size(c)}" for p, c in zip(places, counts, strict=True)]
        words += [f"ptr {self._pointer(*p)}" for p in step.targets[results:]]
        words += [f"i64 {size(d)}" for d in (*calls_of(step)[1].values(), product(step.attr("batch")))]  # type: ignore[arg-type]
        self.f.line(f"call void @{function_name(step)}({', '.join(words)}, "
                    "ptr %blas, ptr %args, ptr %pending, i64 %thread)")

    def host(self, step: Library) -> None:
        """Call back into the host: it reads what to do from a text, pointers and sizes."""
        text, sizes = host_description(self.program, step)
        data = text.encode() + b"\0"
        name, count = f"@host.text.{len(self.texts)}", len(step.operands) + len(step.targets) + len(sizes)
        escaped = "".join(f"\\{byte:02X}" for byte in data)
        self.texts.append(f'{name} = internal constant [{len(data)} x i8] c"{escaped}"')
        words = "%" + self.f.fresh("words")
        self.f.scopes[0].before.append(f"{words} = alloca [{count} x i64]")
        values = [self.f.emit(f"ptrtoint ptr {self._pointer(*p)} to i64") for p in (*step.operands, *step.targets)]
        for k, value in enumerate([*values, *map(self.f.size, sizes)]):
            place = self.f.emit(f"getelementptr i64, ptr {words}, i64 {k}")
            self.f.line(f"store i64 {value}, ptr {place}")
        self.f.line(f"call void @run_host(ptr {name}, ptr {words}, ptr %blas, ptr %pending, i64 %thread)")

    # ---- control flow -------------------------------------------------------------------------------------------
    def _scalar(self, buffer: str) -> str:
        """The value of a scalar buffer, read by every thread after it was written and before it is written again."""
        kind = "i8" if self.program.buffers[buffer].dtype == "bool" else "i64"
        self.f.line("call void @meet(ptr %args, ptr %pending, i64 %thread)")
        value = self.f.emit(f"load volatile {kind}, ptr {self._pointer(buffer)}")
        self.f.line("call void @meet_again(ptr %args, i64 %thread)")
        return value

    def _set_index(self, loop: Loop, value: str) -> None:
        if loop.index:
            self.f.line(
                f"call void @set_index(ptr {self._pointer(loop.index)}, i64 {value}, ptr %pending, i64 %thread)"
            )

    def loop(self, loop: Loop) -> None:
        f = self.f
        rows = lanes_of(self.program, loop)
        if not isinstance(rows, str):
            self.lanes.append(loop)
            f.line(
                f"call void @run_chunks(ptr @lanes.{loop.name}, ptr %args, ptr %bufs, ptr %pending, i64 %thread, "
                f"i64 {f.size(rows)}, i64 {f.size(blocks(rows))}, i64 {QUANTUM})"
            )
            return
        count = (
            self._scalar(loop.count)
            if isinstance(loop.count, str)
            else None
            if loop.count is None
            else f.size(loop.count)
        )
        self._set_index(loop, "0")
        if loop.progress:
            place, turns = self.shown[loop.name], count or "-1"
            f.line(f"call void @begin_progress(ptr %progress, i64 {place}, i64 {turns}, i64 %thread)")
        before, head, turn, done = f.label, f.fresh("head"), f.fresh("turn"), f.fresh("done")
        index, after = "%" + f.fresh(loop.name), "%" + f.fresh("next")
        f.line(f"br label %{head}")
        f.open_block(head)
        phi: list[str] = []
        f.line(phi)
        if count is not None:
            go = f.emit(f"icmp slt i64 {index}, {count}")
        else:
            assert loop.condition is not None, "a loop has a count or a condition"
            self.steps(loop.test)
            go = f.emit(f"icmp ne i8 {self._scalar(loop.condition)}, 0")
        f.line(f"br i1 {go}, label %{turn}, label %{done}")
        f.open_block(turn)
        self.steps(loop.steps)
        for a, b in loop.swaps:
            first, second = self._pointer(a), self._pointer(b)
            f.line(f"store ptr {second}, ptr {self._slot(a)}")
            f.line(f"store ptr {first}, ptr {self._slot(b)}")
        f.line(f"{after} = add i64 {index}, 1")
        self._set_index(loop, after)
        if loop.progress:
            f.line(f"call void @set_progress(ptr %progress, i64 {self.shown[loop.name]}, i64 {after}, i64 %thread)")
        phi.append(f"{index} = phi i64 [ 0, %{before} ], [ {after}, %{f.label} ]")
        f.line(f"br label %{head}")
        f.open_block(done)

    def branch(self, branch: Branch) -> None:
        f, done, last = self.f, self.f.fresh("done"), len(branch.branches) - 1
        value = self._scalar(branch.predicate)
        low = f.emit(f.call("i64", "llvm.smax.i64", f"i64 {value}, i64 0", "i64, i64"))
        chosen = f.emit(f.call("i64", "llvm.smin.i64", f"i64 {low}, i64 {last}", "i64, i64"))
        labels = [f.fresh("case") for _ in branch.branches]
        cases = " ".join(f"i64 {k}, label %{label}" for k, label in enumerate(labels))
        f.line(f"switch i64 {chosen}, label %{labels[-1]} [ {cases} ]")
        for label, steps in zip(labels, branch.branches, strict=True):
            f.open_block(label)
            self.steps(steps)
            f.line(f"br label %{done}")
        f.open_block(done)

    def _bring_home(self) -> None:
        """An output that traded places with a temporary an odd number of times is copied to the array of the caller."""
        buffers, outside = self.program.buffers, [n for n, b in self.program.buffers.items() if b.kind != "temp"]
        for pair in sorted({p for s in walk_steps(self.program.steps) if isinstance(s, Loop) for p in s.swaps}):
            fixed = [n for n in pair if buffers[n].kind != "temp"]
            if len(fixed) > 1 or any(buffers[n].kind != "output" for n in fixed):
                raise CompileError(
                    f"a loop swaps {pair}: only temporaries, or an output with a temporary, may trade places"
                )
            for name in fixed:
                slot = self.f.emit(f"getelementptr i64, ptr %args, i64 {len(ARGUMENTS) + outside.index(name)}")
                home = self.f.emit(f"load ptr, ptr {slot}")
                length = self.f.size(product(buffers[name].shape) * BYTES[buffers[name].dtype])
                self._copy(home, self._pointer(name), length)

    def _copy(self, target: str, source: str, length: str) -> None:
        self.f.line(
            f"call void @run_copy(ptr {target}, ptr {source}, i64 {length}, ptr %args, ptr %pending, i64 %thread)"
        )
