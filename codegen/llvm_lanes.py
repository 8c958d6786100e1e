"""A loop in lanes as one function over a range of rows, called as a kernel is."""

from __future__ import annotations

from ..dsl.size import Dim, maximum
from .lanes import is_scalar, private_scalars
from .llvm_function import Function
from .program import Kernel, Library, Loop, Program, Step

# Rows of a block: its states and what its reverse keeps of a segment fit the cache of a core.
BLOCK = 256
BYTES_OF_A_SCALAR = 8


def blocks(rows: Dim) -> Dim:
    """The number of blocks of `rows` rows."""
    return maximum((rows + (BLOCK - 1)) // BLOCK, 1)


class LanesWriter:
    """Prints the function of one loop; its scalars and turn numbers are its own, on the stack."""

    def __init__(self, program: Program, loop: Loop, itemsizes: dict[str, int]) -> None:
        self.program, self.loop, self.itemsizes = program, loop, itemsizes
        self.f = Function(program.sizes)
        self.numbers = {name: k for k, name in enumerate(program.buffers)}

    def write(self) -> str:
        count = len(self.numbers)
        before = self.f.scopes[0].before
        before += [f"%bufs = alloca [{count} x ptr]",
                   f"call void @llvm.memmove.p0.p0.i64(ptr %bufs, ptr %shared, i64 {8 * count}, i1 false)"]
        for name in sorted(private_scalars(self.program, self.loop)):
            slot = f"%own.{self.numbers[name]}"
            before += [f"{slot} = alloca i64", f"{slot}.place = getelementptr ptr, ptr %bufs, i64 {self.numbers[name]}",
                       f"store ptr {slot}, ptr {slot}.place"]
        self._loop(self.loop)
        self.f.line("ret void")
        head = "ptr %shared, ptr %sizes, ptr %error, i64 %chunk, i64 %lo, i64 %hi"
        return f"define internal void @lanes.{self.loop.name}({head}) noinline #0 {{\nentry:\n{self.f.text()}\n}}\n"

    def _pointer(self, name: str) -> str:
        place = self.f.emit(f"getelementptr ptr, ptr %bufs, i64 {self.numbers[name]}")
        return self.f.emit(f"load ptr, ptr {place}")

    def _steps(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if isinstance(step, Loop):
                self._loop(step)
            elif isinstance(step, Library):
                self._copy(step)
            else:
                assert isinstance(step, Kernel)
                rows = "i64 0, i64 1" if is_scalar(step) else "i64 %lo, i64 %hi"
                self.f.line(f"call void @kernel.{step.name}(ptr %bufs, ptr %sizes, ptr %error, i64 0, {rows})")

    def _copy(self, step: Library) -> None:
        f, (target, first), (source, start) = self.f, step.target, step.operands[0]
        each = self.itemsizes[self.program.buffers[target].dtype]
        low, rows = ("0", "1") if is_scalar(step) else ("%lo", f.emit("sub i64 %hi, %lo"))
        length = f.emit(f"mul i64 {rows}, {each}")
        places = []
        for name, offset in ((target, first), (source, start)):
            at = f.emit(f"add i64 {low}, {f.size(offset)}")
            byte = f.emit(f"mul i64 {at}, {each}")
            places.append(f.emit(f"getelementptr i8, ptr {self._pointer(name)}, i64 {byte}"))
        f.line(f"call void @llvm.memmove.p0.p0.i64(ptr {places[0]}, ptr {places[1]}, i64 {length}, i1 false)")

    def _loop(self, loop: Loop) -> None:
        f = self.f
        count = (f.emit(f"load i64, ptr {self._pointer(loop.count)}") if isinstance(loop.count, str)
                 else f.size(loop.count))  # type: ignore[arg-type]
        place = self._pointer(loop.index) if loop.index else ""
        before, head, turn, done = f.label, f.fresh("head"), f.fresh("turn"), f.fresh("done")
        index, after = "%" + f.fresh(loop.name), "%" + f.fresh("next")
        f.line(f"br label %{head}")
        f.open_block(head)
        phi: list[str] = []
        f.line(phi)
        go = f.emit(f"icmp slt i64 {index}, {count}")
        f.line(f"br i1 {go}, label %{turn}, label %{done}")
        f.open_block(turn)
        if place:
            f.line(f"store i64 {index}, ptr {place}")
        self._steps(loop.steps)
        f.line(f"{after} = add i64 {index}, 1")
        phi.append(f"{index} = phi i64 [ 0, %{before} ], [ {after}, %{f.label} ]")
        f.line(f"br label %{head}")
        f.open_block(done)
