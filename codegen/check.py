"""`check(program)` holds the grammar of `codegen/program.py` true. Tests call it on every program that they plan."""

from __future__ import annotations

import keyword
from collections.abc import Iterable

import numpy as np

from ..dsl import ops, size
from ..dsl.errors import DTypeError
from ..dsl.size import Dim, Size
from .machine import MACHINE
from .memory import buffer_bytes, lifetimes, touched
from .program import (
    DTYPES,
    Acc,
    Axis,
    Branch,
    Buffer,
    Carry,
    Check,
    Extent,
    For,
    Kernel,
    Let,
    Library,
    Literal,
    Load,
    Loop,
    Offset,
    Operand,
    Program,
    Step,
    Stmt,
    Store,
    Update,
    walk_steps,
    walk_stmts,
)

KINDS = ("input", "const", "output", "temp")
FOLDS = ("add", "multiply", "minimum", "maximum", "logical_and", "logical_or")
COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


def check(program: Program) -> None:
    """Raise AssertionError, with the statement, where `program` breaks the grammar.

    >>> from pullback.codegen.program import Program
    >>> check(Program((), (), {}, (), ()))
    """
    _check_buffers(program)
    for step in walk_steps(program.steps):
        if isinstance(step, Kernel):
            _Checker(program, step).kernel()
        elif isinstance(step, Library):
            _check_library(program, step)
        elif isinstance(step, Loop):
            _check_loop(program, step)
        else:
            assert program.buffers[step.predicate].dtype == "int64", f"{step.name}: the predicate is no int64"
    _check_order(program)
    _check_places(program)


# ---- buffers ----------------------------------------------------------------------------------------------------
def _check_buffers(program: Program) -> None:
    assert len(set(program.sizes)) == len(program.sizes), f"sizes repeat: {program.sizes}"
    for name, buffer in program.buffers.items():
        assert name == buffer.name and name.isidentifier() and not keyword.iskeyword(name), f"buffer name {name!r}"
        assert buffer.kind in KINDS and buffer.dtype in DTYPES, f"{buffer}"
        _check_dims(program, buffer.shape, name)
    for name in program.inputs:
        assert program.buffers[name].kind == "input", f"the input {name} is of kind {program.buffers[name].kind}"
    for name in program.outputs:
        assert program.buffers[name].kind in ("output", "input", "const"), f"the output {name} is a temporary"
    for name, array in program.consts.items():
        buffer = program.buffers[name]
        assert buffer.kind == "const" and buffer.element == array.dtype.name, f"constant {name}"


def _check_dims(program: Program, dims: Iterable[Dim], where: object) -> None:
    for dim in dims:
        if isinstance(dim, Size):
            unknown = dim.symbols() - set(program.sizes)
            assert not unknown, f"{where}: the sizes {unknown} are not passed by the host"


def _check_order(program: Program) -> None:
    """Buffers are written before they are read, and every result is written."""
    written = {n for n, b in program.buffers.items() if b.kind in ("input", "const")}
    for step in program.steps:
        for name in touched(step) if not isinstance(step, (Loop, Branch)) else ():
            assert name in program.buffers, f"{step.name}: {name} is no buffer"
        reads, writes = _reads(step), _writes(step)
        missing = reads - writes - written
        assert not missing, f"{step.name} reads {missing}, which nothing wrote"
        written |= writes
    assert set(program.outputs) <= written, f"nothing writes {set(program.outputs) - written}"


def _reads(step: Step) -> set[str]:
    return touched(step) - _writes(step)


def _writes(step: Step) -> set[str]:
    if isinstance(step, Kernel):
        stmts = walk_stmts(step.begin + step.body + step.end)
        return {s.buffer for s in stmts if isinstance(s, (Store, Update))} | {c.target for c in step.combine}
    if isinstance(step, Library):
        return {b for b, _ in step.targets}
    if isinstance(step, Loop):
        named = {step.index} if step.index else set()
        return named.union(*(_writes(s) for s in step.test + step.steps), *(set(pair) for pair in step.swaps))
    return set().union(*(_writes(s) for branch in step.branches for s in branch))


def _check_places(program: Program) -> None:
    """Temporaries that live at one time do not overlap in the workspace (at sample sizes)."""
    lives = lifetimes(program.steps)
    temps = [b for b in program.buffers.values() if b.kind == "temp" and b.name in lives]
    if not any(b.place is not None for b in temps):
        return
    for sample in (1, 2, 17, 1000):
        values = {name: sample + i for i, name in enumerate(program.sizes)}
        spans = [(b, *_span(b, values)) for b in temps]
        for at, (a, a_start, a_end) in enumerate(spans):
            assert a_end <= size.evaluate(program.workspace, values), f"{a.name} ends behind the workspace"
            for b, b_start, b_end in spans[at + 1:]:
                apart = a_end <= b_start or b_end <= a_start
                meet = lives[a.name][0] <= lives[b.name][1] and lives[b.name][0] <= lives[a.name][1]
                assert apart or not meet, f"the temporaries {a.name} and {b.name} overlap"


def _span(buffer: Buffer, values: dict[str, int]) -> tuple[int, int]:
    assert buffer.place is not None, f"{buffer.name} has no place"
    start = size.evaluate(buffer.place, values)
    return start, start + size.evaluate(buffer_bytes(buffer), values)


# ---- steps that are no kernels ----------------------------------------------------------------------------------
def _check_library(program: Program, step: Library) -> None:
    dtypes = {program.buffers[n].dtype for n, _ in step.operands + step.targets}
    for name, _ in step.targets:
        assert program.buffers[name].kind in ("output", "temp"), f"{step.name} writes {name}"
    if step.routine not in ("gemm", "copy"):
        _check_routine(program, step)
        return
    assert len(dtypes) == 1, f"{step.name}: dtypes {dtypes}"
    if step.routine == "gemm":
        assert dtypes <= {"float64", "float32"}, f"gemm on {dtypes}"
        for key in ("m", "n", "k", "batch", "stride_a", "stride_b", "stride_c"):
            _check_dims(program, [step.attr(key)], step.name)  # type: ignore[list-item]
        assert {type(step.attr("trans_a")), type(step.attr("trans_b"))} == {bool}, f"{step.name}: transposes"


def _check_routine(program: Program, step: Library) -> None:
    """Operands and results have the sizes that the step says."""
    shapes, results = step.attr("shapes"), step.attr("results")
    assert isinstance(shapes, tuple) and isinstance(results, tuple), f"{step.name}: shapes"
    assert len(shapes) == len(step.operands) and len(results) <= len(step.targets), f"{step.name}: operands"
    for (name, _), shape in zip(step.operands + step.targets, shapes + results, strict=False):
        _check_dims(program, shape, step.name)
        held = program.buffers[name].dims
        assert size.same(size.product(held), size.product(shape)), f"{step.name}: {name} has {held}, not {shape}"
    _check_dims(program, [*step.attr("batch"), step.attr("flops")], step.name)  # type: ignore[list-item, misc]


def _check_loop(program: Program, step: Loop) -> None:
    assert (step.count is None) == (step.condition is not None), f"{step.name} needs a count or a condition"
    for name, dtype in ((step.count, "int64"), (step.index, "int64"), (step.condition, "bool")):
        if isinstance(name, str):
            assert program.buffers[name].dtype == dtype and not program.buffers[name].shape, f"{step.name}: {name}"
    for a, b in step.swaps:
        assert program.buffers[a].dtype == program.buffers[b].dtype, f"{step.name} swaps {a} and {b}"


# ---- kernels ----------------------------------------------------------------------------------------------------
class _Checker:
    """Walks one kernel with the names that are open: name -> dtype."""

    def __init__(self, program: Program, kernel: Kernel) -> None:
        self.program, self.step = program, kernel
        self.defined: set[str] = set()
        self.vector_axes: list[str] = []
        self.varying: set[str] = set()             # names that differ between the lanes of the open vector loop

    def kernel(self) -> None:
        kernel, program = self.step, self.program
        assert kernel.chunks in program.sizes, f"{kernel.name}: {kernel.chunks} is no size of the program"
        assert kernel.title, f"{kernel.name} has no title"
        _check_dims(program, (kernel.rows.extent, kernel.work), kernel.name)
        outer = self.body(kernel.begin, {self.define(kernel.chunk, kernel.name): "int64"})
        names = self.open((kernel.rows,), outer, kernel.vector)
        inner = self.body(kernel.body, names)
        if kernel.vector:
            self.close()
        after = {**outer, **self.accumulators(kernel.accs, inner, kernel)}
        self.body(kernel.end, after)
        for combine in kernel.combine:
            partial, target = program.buffers[combine.partial], program.buffers[combine.target]
            assert target.kind in ("output", "temp") and partial.kind == "temp", f"{combine}"
            assert partial.dtype == target.dtype == combine.identity.dtype, f"{combine}: dtypes"
            assert combine.op in FOLDS, f"{combine}"

    def define(self, name: str, where: object) -> str:
        assert name.isidentifier() and not keyword.iskeyword(name), f"the name {name!r} in {where}"
        assert name not in self.defined and name not in self.program.buffers, f"{name} is defined twice: {where}"
        self.defined.add(name)
        return name

    def index(self, name: str, names: dict[str, str]) -> str:
        """Loops side by side may share the name of their index."""
        assert name not in names and name not in self.program.buffers, f"the index {name} hides a name"
        return name

    def open(self, axes: tuple[Axis, ...], names: dict[str, str], vector: bool) -> dict[str, str]:
        assert not (vector and self.vector_axes), f"a vector loop over {axes[-1]} inside {self.vector_axes}"
        _check_dims(self.program, [a.extent for a in axes], axes)
        found = {**names, **{self.index(a.name, names): "int64" for a in axes}}
        if vector:
            self.vector_axes.append(axes[-1].name)
            self.varying = {axes[-1].name}
        return found

    def close(self) -> None:
        self.vector_axes.pop()
        self.varying = set()

    def body(self, stmts: tuple[Stmt, ...], names: dict[str, str]) -> dict[str, str]:
        names = dict(names)
        for stmt in stmts:
            self.statement(stmt, names)
        return names

    def statement(self, stmt: Stmt, names: dict[str, str]) -> None:
        if isinstance(stmt, Let):
            self.let(stmt, names)
        elif isinstance(stmt, Load):
            self.load(stmt, names)
        elif isinstance(stmt, (Store, Update)):
            self.store(stmt, names)
        elif isinstance(stmt, Check):
            assert self.dtype(stmt.ok, names, stmt) == "bool" and 0 <= stmt.code < len(self.program.errors), f"{stmt}"
        else:
            self.loop(stmt, names)

    def dtype(self, operand: Operand, names: dict[str, str], where: object) -> str:
        if isinstance(operand, Literal):
            assert len(operand.bits) == np.dtype(operand.dtype).itemsize, f"{where}: bits of {operand}"
            return operand.dtype
        if isinstance(operand, Extent):
            _check_dims(self.program, [operand.size], where)
            return "int64"
        assert operand in names, f"{operand} is not known here: {where}"
        return names[operand]

    def varies(self, operands: Iterable[object]) -> bool:
        return any(isinstance(o, str) and o in self.varying for o in operands)

    def let(self, stmt: Let, names: dict[str, str]) -> None:
        kinds = tuple(self.dtype(a, names, stmt) for a in stmt.args)
        assert _well_typed(stmt.op, kinds, stmt.dtype), f"{stmt} on {kinds}"
        names[self.define(stmt.name, stmt)] = stmt.dtype
        if self.varies(stmt.args):
            self.varying.add(stmt.name)

    def offset(self, offset: Offset, names: dict[str, str], where: object) -> None:
        _check_dims(self.program, [offset.const, *(c for _, c in offset.terms)], where)
        for name, _ in offset.terms:
            assert names.get(name) == "int64", f"the offset of {where} mentions {name}"

    def load(self, stmt: Load, names: dict[str, str]) -> None:
        assert self.program.buffers[stmt.buffer].dtype == stmt.dtype, f"{stmt}: dtype of the buffer"
        self.offset(stmt.offset, names, stmt)
        assert (stmt.mask is None) == (stmt.other is None), f"{stmt}: a mask goes with other"
        if stmt.mask is not None and stmt.other is not None:
            assert self.dtype(stmt.mask, names, stmt) == "bool", f"{stmt}: mask"
            assert self.dtype(stmt.other, names, stmt) == stmt.dtype, f"{stmt}: other"
        names[self.define(stmt.name, stmt)] = stmt.dtype
        if self.varies([stmt.mask, stmt.other, *(n for n, _ in stmt.offset.terms)]):
            self.varying.add(stmt.name)

    def store(self, stmt: Store | Update, names: dict[str, str]) -> None:
        buffer = self.program.buffers[stmt.buffer]
        assert buffer.kind in ("output", "temp"), f"{stmt} writes a buffer of kind {buffer.kind}"
        assert self.dtype(stmt.value, names, stmt) == buffer.dtype, f"{stmt}: dtype of the buffer"
        assert stmt.mask is None or self.dtype(stmt.mask, names, stmt) == "bool", f"{stmt}: mask"
        self.offset(stmt.offset, names, stmt)
        if isinstance(stmt, Update):
            assert stmt.op in FOLDS, f"{stmt}"
        if self.vector_axes and not self.step.serial:
            assert self.varies(n for n, _ in stmt.offset.terms), f"{stmt}: lanes of {self.vector_axes} write one place"

    def loop(self, stmt: For, names: dict[str, str]) -> None:
        assert stmt.axes and not (stmt.vector and stmt.carries), f"{stmt}: axes, or carries of a vector loop"
        if stmt.turns is not None:
            assert self.dtype(stmt.turns, names, stmt) == "int64" and not stmt.vector, f"{stmt}: turns"
        outer = dict(names)
        inside = self.open(stmt.axes, names, stmt.vector)
        for carry in stmt.carries:
            assert self.dtype(carry.init, names, carry) == carry.dtype, f"{carry}"
            inside[self.define(carry.name, carry)] = carry.dtype
            if self.vector_axes:
                self.varying.add(carry.name)
        inside = self.body(stmt.body, inside)
        names.update(self.accumulators(stmt.accs, inside, stmt))
        names.update(self.carried(stmt.carries, inside))
        if stmt.vector:
            self.close()
        elif self.vector_axes:
            self.varying.update(set(names) - set(outer))

    def accumulators(self, accs: tuple[Acc, ...], names: dict[str, str], where: object) -> dict[str, str]:
        for acc in accs:
            assert self.dtype(acc.value, names, acc) == acc.dtype == acc.identity.dtype and acc.op in FOLDS, f"{acc}"
        return {self.define(acc.name, acc): acc.dtype for acc in accs}

    def carried(self, carries: tuple[Carry, ...], names: dict[str, str]) -> dict[str, str]:
        for carry in carries:
            assert self.dtype(carry.value, names, carry) == carry.dtype, f"{carry}"
        return {self.define(c.result, c): c.dtype for c in carries}


def _well_typed(op: str, kinds: tuple[str, ...], result: str) -> bool:
    if op in ("cast", "bitcast"):
        return len(kinds) == 1 and result in DTYPES
    if op in COMPARISONS:
        return len(set(kinds)) == 1 and len(kinds) == 2 and result == "bool"
    if op in ("where", "mask"):
        return len(kinds) == MACHINE[op] and kinds[0] == "bool" and set(kinds[1:]) == {result}
    if op in MACHINE:
        return len(kinds) == MACHINE[op] and set(kinds) == {result}
    try:
        operands, found = ops.ROWS[op].signature(*map(np.dtype, kinds))
    except (KeyError, TypeError, DTypeError):
        return False
    return tuple(d.name for d in operands) == kinds and found.name == result
