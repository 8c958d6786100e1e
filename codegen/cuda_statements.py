"""Statements of a kernel as lines of CUDA C++: values, loads and stores, accumulators and carries, loops in order."""

from __future__ import annotations

from collections.abc import Callable

from .cuda_index import Indices
from .cuda_ops import C_TYPE, literal
from .cuda_pack import Packs
from .cuda_scope import Scope, safe
from .program import Acc, Axis, Carry, Check, For, Kernel, Let, Load, Program, Stmt, Store, Update


class StatementWriter:
    """Lines of one kernel, at a depth; `meets`: threads of a block wait for each other in them."""

    def __init__(self, kernel: Kernel, program: Program, packs: Packs | None) -> None:
        self.kernel, self.program, self.packs = kernel, program, packs
        self.scope = Scope()
        self.indices = Indices(kernel)
        self.lines: list[str] = []
        self.depth = 1
        self.meets = False

    # ---- statements ---------------------------------------------------------------------------------------------
    def statement(self, stmt: Stmt, alone: bool, packs: dict[tuple[str, str], str] | None = None) -> None:
        """One statement; `alone`: every thread is here with the same values, so thread 0 stores."""
        scope = self.scope
        if isinstance(stmt, Let):
            self.let(stmt)
            return
        if isinstance(stmt, Check):
            self.line(f"if (!{safe(stmt.ok)}) *error = {stmt.code + 1};")
            return
        assert isinstance(stmt, (Load, Store, Update))
        pack = (
            (packs or {}).get((stmt.buffer, repr(stmt.offset.const))) if self.packs and self.packs.takes(stmt) else None
        )
        place = f"{pack}.v[lane]" if pack else f"{safe(stmt.buffer)}[{scope.offset(stmt.offset)}]"
        if isinstance(stmt, Load):
            other = scope.operand(stmt.other) if stmt.other is not None else f"({C_TYPE[stmt.dtype]})0"
            self.define(stmt.name, stmt.dtype, f"{safe(stmt.mask)} ? {place} : {other}" if stmt.mask else place)
            return
        conditions = [c for c in ("thread == 0" if alone else "", safe(stmt.mask) if stmt.mask else "") if c]
        guard = f"if ({' && '.join(conditions)}) " if conditions else ""
        if isinstance(stmt, Store):
            self.line(f"{guard}{place} = {scope.operand(stmt.value)};")
        else:
            dtype = self.program.buffers[stmt.buffer].dtype
            texts, dtypes = [place, scope.operand(stmt.value)], [dtype, scope.dtype(stmt.value)]
            self.line(f"{guard}{place} = {scope.apply(stmt.op, dtype, texts, dtypes)};")

    def let(self, stmt: Let) -> None:
        form = self.indices.forms.get(stmt.name)
        if form is None:
            self.define(stmt.name, stmt.dtype, self.scope.expression(stmt.op, stmt.dtype, stmt.args))
            return
        self.scope.axes.add(stmt.name)
        self.scope.dtypes[stmt.name] = stmt.dtype
        self.line(f"const index_t {safe(stmt.name)} = {form.format(*map(self.scope.index, stmt.args))};")

    def define(self, name: str, dtype: str, text: str) -> None:
        self.scope.dtypes[name] = dtype
        self.line(f"const {C_TYPE[dtype]} {safe(name)} = {text};")

    def start_accs(self, accs: tuple[Acc, ...]) -> None:
        for acc in accs:
            self.scope.dtypes[acc.name] = acc.dtype
            self.line(f"{C_TYPE[acc.dtype]} {safe(acc.name)} = {literal(acc.identity)};")

    def add_accs(self, accs: tuple[Acc, ...]) -> None:
        for acc in accs:
            texts = [safe(acc.name), self.scope.operand(acc.value)]
            self.line(
                f"{texts[0]} = {self.scope.apply(acc.op, acc.dtype, texts, [acc.dtype, self.scope.dtype(acc.value)])};"
            )

    def fold(self, accs: tuple[Acc, ...]) -> None:
        for acc in accs:
            self.line(f"{safe(acc.name)} = {self.scope.fold(acc.op, acc.dtype, safe(acc.name))};")
            self.meets = True

    def start_carries(self, carries: tuple[Carry, ...]) -> None:
        for carry in carries:
            self.scope.dtypes[carry.name] = self.scope.dtypes[carry.result] = carry.dtype
            self.line(f"{C_TYPE[carry.dtype]} {safe(carry.name)} = {self.scope.operand(carry.init)};")

    def step_carries(self, carries: tuple[Carry, ...]) -> None:
        for carry in carries:
            self.line(f"const {C_TYPE[carry.dtype]} {carry.name}_next = {self.scope.operand(carry.value)};")
        for carry in carries:
            self.line(f"{safe(carry.name)} = {carry.name}_next;")

    def end_carries(self, carries: tuple[Carry, ...]) -> None:
        for carry in carries:
            self.line(f"const {C_TYPE[carry.dtype]} {safe(carry.result)} = {safe(carry.name)};")

    # ---- lines --------------------------------------------------------------------------------------------------
    def declare(self, axis: Axis) -> None:
        self.scope.axes.add(axis.name)
        self.scope.dtypes[axis.name] = "int64"

    def turns(self, loop: For, body: Callable[[], None]) -> None:
        """The turns of `loop` in order."""
        if loop.turns is None:
            self.nest(loop.axes, body)
            return
        end = self.scope.operand(loop.turns)
        self.block(f"for (index_t {{0}} = 0; {{0}} < {end}; ++{{0}})", loop.axes[0], body)

    def nest(self, axes: tuple[Axis, ...], body: Callable[[], None]) -> None:
        """Loops over `axes` in order around `body()`."""
        if not axes:
            body()
            return
        self.block(
            f"for (index_t {{0}} = 0; {{0}} < {self.scope.size(axes[0].extent)}; ++{{0}})",
            axes[0],
            lambda: self.nest(axes[1:], body),
        )

    def block(self, head: str, axis: Axis, body: Callable[[], None]) -> None:
        self.line(head.format(safe(axis.name)) + " {")
        self.depth += 1
        body()
        self.close()

    def close(self) -> None:
        self.depth -= 1
        self.line("}")

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)
