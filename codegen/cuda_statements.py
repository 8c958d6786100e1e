"""Statements of a kernel as lines of CUDA C++: values, loads and stores, accumulators and carries."""

from __future__ import annotations

from .cuda_index import Indices
from .cuda_ops import C_TYPE, literal
from .cuda_pack import Packs
from .cuda_scope import safe
from .cuda_threads import Call
from .cuda_writer import ThreadWriter
from .program import Acc, Carry, Check, Kernel, Let, Load, Program, Stmt, Store, Update


class StatementWriter(ThreadWriter):
    """Lines of one kernel; `meets`: threads of a block wait for each other in them."""

    def __init__(self, kernel: Kernel, program: Program, packs: Packs | None) -> None:
        super().__init__()
        self.kernel, self.program, self.packs = kernel, program, packs
        self.indices = Indices(kernel)
        self.meets = False

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
            text = f"{safe(stmt.mask)} ? {place} : {other}" if stmt.mask else place
            self.define(stmt.name, stmt.dtype, text, stmt)
            return
        conditions = [c for c in ("thread == 0" if alone else "", safe(stmt.mask) if stmt.mask else "") if c]
        guard = f"if ({' && '.join(conditions)}) " if conditions else ""
        if isinstance(stmt, Store):
            value = scope.operand(stmt.value)
        else:
            dtype = self.program.buffers[stmt.buffer].dtype
            texts, dtypes = [place, scope.operand(stmt.value)], [dtype, scope.dtype(stmt.value)]
            value = scope.apply(stmt.op, dtype, texts, dtypes)
        sets = (pack,) if pack else ()
        self.line(f"{guard}{place} = {value};", *sets, touches=tuple(self.owned(stmt)))

    def let(self, stmt: Let) -> None:
        form = self.indices.forms.get(stmt.name)
        if form is None:
            self.define(stmt.name, stmt.dtype, self.scope.expression(stmt.op, stmt.dtype, stmt.args))
            return
        self.scope.axes.add(stmt.name)
        self.scope.dtypes[stmt.name] = stmt.dtype
        text = form.format(*map(self.scope.index, stmt.args))
        self.line(f"const index_t {safe(stmt.name)} = {text};", safe(stmt.name))

    def define(self, name: str, dtype: str, text: str, stmt: Load | None = None) -> None:
        self.scope.dtypes[name] = dtype
        touches = tuple(self.owned(stmt)) if stmt else ()
        self.line(f"const {C_TYPE[dtype]} {safe(name)} = {text};", safe(name), touches=touches)

    def start_accs(self, accs: tuple[Acc, ...]) -> None:
        for acc in accs:
            self.scope.dtypes[acc.name] = acc.dtype
            self.line(f"{C_TYPE[acc.dtype]} {safe(acc.name)} = {literal(acc.identity)};", safe(acc.name))

    def add_accs(self, accs: tuple[Acc, ...]) -> None:
        for acc in accs:
            name, dtypes = safe(acc.name), [acc.dtype, self.scope.dtype(acc.value)]
            self.line(f"{name} = {self.scope.apply(acc.op, acc.dtype, [name, self.scope.operand(acc.value)], dtypes)};",
                      name)

    def fold(self, accs: tuple[Acc, ...]) -> None:
        for acc in accs:
            name = safe(acc.name)
            self.stmts.append(Call(self.scope.fold(acc.op, acc.dtype), (name,), name))
            self.meets = True

    def start_carries(self, carries: tuple[Carry, ...]) -> None:
        for carry in carries:
            self.scope.dtypes[carry.name] = self.scope.dtypes[carry.result] = carry.dtype
            name = safe(carry.name)
            self.line(f"{C_TYPE[carry.dtype]} {name} = {self.scope.operand(carry.init)};", name)

    def step_carries(self, carries: tuple[Carry, ...]) -> None:
        for carry in carries:
            following = f"{carry.name}_next"
            self.line(f"const {C_TYPE[carry.dtype]} {following} = {self.scope.operand(carry.value)};", following)
        for carry in carries:
            self.line(f"{safe(carry.name)} = {carry.name}_next;", safe(carry.name))

    def end_carries(self, carries: tuple[Carry, ...]) -> None:
        for carry in carries:
            result = safe(carry.result)
            self.line(f"const {C_TYPE[carry.dtype]} {result} = {safe(carry.name)};", result)
