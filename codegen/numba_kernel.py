"""A Kernel as a Python function for Numba: plain loops over scalars, lanes as small arrays of accumulators."""

from __future__ import annotations

import builtins
import keyword
import re
import textwrap

from ..dsl.size import Dim, Size, render
from .numba_ops import HELPERS, Expressions, literal_text
from .program import (
    Carry,
    Check,
    Extent,
    For,
    Kernel,
    Let,
    Literal,
    Load,
    Offset,
    Operand,
    Program,
    Stmt,
    Store,
    Update,
    kernel_lanes,
    walk_stmts,
)  # fmt: skip

DECORATOR = '@njit(nogil=True, error_model="numpy")'
MODULE = """np math njit ir intrinsic ctypes types errors lo hi program chunks_of count_chunks gemm GRAIN
libm extreme minimum remainder remainder_unsigned remainder_float32 remainder_float64
as_int32 as_uint32 as_float32 as_int64 as_uint64 as_float64"""
RESERVED = {*dir(builtins), *keyword.kwlist, *HELPERS, *MODULE.split()}


def safe(name: str) -> str:
    """`name`, or with an underscore where Python or the generated module uses it for something else."""
    return name + "_" if name.rstrip("_") in RESERVED else name


def size_text(dim: Dim) -> str:
    text = render(dim, safe)
    return f"({text})" if isinstance(dim, Size) and any(c in text for c in "+-*") else text


def title_lines(kernel: Kernel) -> list[str]:
    """The mathematics of a kernel in lines of readable length."""
    lines = [line for text in kernel.title for line in text.splitlines()]
    return [
        part for line in lines for part in textwrap.wrap(line, 112, subsequent_indent="    ", break_long_words=False)
    ]


class NumbaKernel:
    """Prints the statements of one kernel."""

    def __init__(
        self, program: Program, kernel: Kernel, expressions: Expressions, folds: set[tuple[str, str, int]]
    ) -> None:
        self.program, self.kernel, self.expressions, self.folds = program, kernel, expressions, folds
        self.lanes = kernel_lanes(kernel)
        self.dtypes: dict[str, str] = {kernel.chunk: "int64"}
        self.lines: list[str] = []
        self.indent = 1

    def write(self) -> str:
        kernel = self.kernel
        self.stmts(kernel.begin)
        self.for_loop(For((kernel.rows,), kernel.body, kernel.accs, vector=kernel.vector), "lo", "hi")
        self.stmts(kernel.end)
        title = [f"    # {line}" for line in title_lines(kernel)]
        head = f"def {safe(kernel.name)}({', '.join([*self.parameters(), safe(kernel.chunk), 'lo', 'hi', 'errors'])}):"
        return "\n".join([DECORATOR, head, *title, *self.lines])

    def buffers(self) -> list[str]:
        """The buffers that this kernel touches, in the order of the program."""
        kernel = self.kernel
        used = {
            s.buffer
            for s in walk_stmts(kernel.begin + kernel.body + kernel.end)
            if isinstance(s, (Load, Store, Update))
        }
        return [name for name in self.program.buffers if name in used]

    def parameters(self) -> list[str]:
        """The buffers and sizes that the printed kernel mentions."""
        words = set(re.findall(r"\w+", "\n".join(self.lines)))
        return [safe(name) for name in self.buffers()] + [safe(s) for s in self.program.sizes if safe(s) in words]

    # ---- values -------------------------------------------------------------------------------------------------
    def operand(self, operand: Operand) -> str:
        if isinstance(operand, Literal):
            return literal_text(operand)
        return size_text(operand.size) if isinstance(operand, Extent) else safe(operand)

    def dtype(self, operand: Operand) -> str:
        if isinstance(operand, Literal):
            return operand.dtype
        return "int64" if isinstance(operand, Extent) else self.dtypes[operand]

    def offset(self, offset: Offset) -> str:
        parts = []
        for name, coefficient in offset.terms:
            one = not isinstance(coefficient, Size) and coefficient == 1
            parts.append(safe(name) if one else f"{safe(name)}*{size_text(coefficient)}")
        if isinstance(offset.const, Size) or offset.const or not parts:
            parts.append(size_text(offset.const))
        return " + ".join(parts).replace("+ -", "- ")

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def apply(self, op: str, dtype: str, a: str, b: str) -> str:
        return self.expressions.operation(op, dtype, (a, b), (dtype, dtype))

    # ---- statements ---------------------------------------------------------------------------------------------
    def stmts(self, stmts: tuple[Stmt, ...]) -> None:
        for stmt in stmts:
            if isinstance(stmt, Let):
                args, kinds = [self.operand(a) for a in stmt.args], [self.dtype(a) for a in stmt.args]
                self.assign(stmt.name, stmt.dtype, self.expressions.operation(stmt.op, stmt.dtype, args, kinds))
            elif isinstance(stmt, Load):
                text = f"{safe(stmt.buffer)}[{self.offset(stmt.offset)}]"
                if stmt.mask:
                    assert stmt.other is not None, "a masked load names its other value"
                    text += f" if {safe(stmt.mask)} else {self.operand(stmt.other)}"
                self.assign(stmt.name, stmt.dtype, text)
            elif isinstance(stmt, (Store, Update)):
                self.write_to(stmt)
            elif isinstance(stmt, Check):
                self.line(f"if not {safe(stmt.ok)}:")
                self.line(f"    errors[0] = min(errors[0], {stmt.code})")
            else:
                end = render(stmt.axes[-1].extent, safe) if stmt.turns is None else self.operand(stmt.turns)
                self.for_loop(stmt, "0", end)

    def assign(self, name: str, dtype: str, text: str) -> None:
        self.dtypes[name] = dtype
        self.line(f"{safe(name)} = {text}")

    def write_to(self, stmt: Store | Update) -> None:
        place, value = f"{safe(stmt.buffer)}[{self.offset(stmt.offset)}]", self.operand(stmt.value)
        if isinstance(stmt, Update):
            value = self.apply(stmt.op, self.program.buffers[stmt.buffer].dtype, place, value)
        if stmt.mask:
            self.line(f"if {safe(stmt.mask)}:")
        self.line(f"{'    ' if stmt.mask else ''}{place} = {value}")

    # ---- loops --------------------------------------------------------------------------------------------------
    def for_loop(self, loop: For, lo: str, hi: str) -> None:
        for acc in loop.accs:
            identity = literal_text(acc.identity)
            self.dtypes[acc.name] = acc.dtype
            if loop.vector:
                self.line(f"{acc.name}_lanes = np.full({self.lanes}, {identity}, np.{_array_dtype(acc.dtype)})")
            else:
                self.line(f"{safe(acc.name)} = {identity}")
        for carry in loop.carries:
            self.dtypes[carry.name] = self.dtypes[carry.result] = carry.dtype
        self.assign_together(loop.carries, [self.operand(c.init) for c in loop.carries])
        self.open_loops(loop, lo, hi)
        self.stmts(loop.body)
        self.close_turn(loop, lo)
        self.indent -= len(loop.axes)
        for acc in loop.accs:
            if loop.vector:
                self.folds.add((acc.op, acc.dtype, self.lanes))
                self.line(f"{safe(acc.name)} = fold_{acc.op}_{acc.dtype}({acc.name}_lanes)")
        for carry in loop.carries:
            self.line(f"{safe(carry.result)} = {safe(carry.name)}")

    def open_loops(self, loop: For, lo: str, hi: str) -> None:
        for axis in loop.axes:
            last = axis is loop.axes[-1]
            self.dtypes[axis.name] = "int64"
            bounds = f"{lo}, {hi}" if last and lo != "0" else hi if last else render(axis.extent, safe)
            self.line(f"for {safe(axis.name)} in range({bounds}):")
            self.indent += 1

    def close_turn(self, loop: For, lo: str) -> None:
        """The end of a turn: accumulate, and hand the carries on; a turn that does neither may not be empty."""
        axis = safe(loop.axes[-1].name)
        for acc in loop.accs:
            if loop.vector:
                place = f"{acc.name}_lanes[{axis if lo == '0' else f'({axis} - {lo})'} % {self.lanes}]"
                self.line(f"{place} = {self.apply(acc.op, acc.dtype, place, self.operand(acc.value))}")
            else:
                self.line(
                    f"{safe(acc.name)} = {self.apply(acc.op, acc.dtype, safe(acc.name), self.operand(acc.value))}"
                )
        self.assign_together(loop.carries, [self.operand(c.value) for c in loop.carries])
        if not (loop.accs or loop.carries or loop.body):
            self.line("pass")

    def assign_together(self, carries: tuple[Carry, ...], values: list[str]) -> None:
        pairs = [(safe(c.name), value) for c, value in zip(carries, values, strict=True) if safe(c.name) != value]
        if pairs:
            self.line(f"{', '.join(name for name, _ in pairs)} = {', '.join(value for _, value in pairs)}")


def _array_dtype(dtype: str) -> str:
    return "bool_" if dtype == "bool" else dtype
