"""Calls of mathematical functions: routines written in machine operations, and the C library where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..dsl.errors import CompileError
from .llvm_function import Function, Value, literal_text, register_type, scalar_type
from .llvm_ops import PRINTERS, Op
from .machine import LIBM, Routine
from .mathematics import routine
from .program import Let, Literal, Stmt

# A kernel whose routines would come to more statements than this calls them instead: compile time over call overhead.
INLINE = 2000


class Routines:
    """The functions that the kernels of one module call; each is defined once for every width that is used."""

    def __init__(self) -> None:
        self.definitions: dict[str, str] = {}
        self.declarations: set[str] = set()

    def worth_inlining(self, statements: Iterable[Stmt]) -> bool:
        total = 0
        for stmt in statements:
            found = routine(stmt.op, stmt.dtype) if isinstance(stmt, Let) and stmt.op not in PRINTERS else None
            total += len(found.body) if found else 0
        return total <= INLINE

    def call(self, op: Op, inline: bool) -> str:
        """The register that holds `op`."""
        dtype = op.kinds[0]
        found = routine(op.name, dtype)
        if found is None:
            return op(self._call_text(op, self._library(op.name, dtype, len(op.args), op.width)))
        if inline:
            return expand(self, op, found)
        name = _name(op.name, dtype, op.width)
        if name not in self.definitions:
            self.definitions[name] = ""
            f, types = Function(()), [register_type(dtype, op.width)] * len(found.params)
            inner = Op(f, op.name, op.dtype, [f"%{p}" for p in found.params], op.kinds, op.width, -1)
            result = expand(self, inner, found)
            parameters = ", ".join(f"{t} %{p}" for t, p in zip(types, found.params, strict=True))
            self.definitions[name] = (
                f"define internal {op.type} @{name}({parameters}) noinline #0 {{\nentry:\n{f.text()}\n"
                f"  ret {op.type} {result}\n}}\n"
            )
            self.declarations |= f.intrinsics
        return op(self._call_text(op, name))

    def _call_text(self, op: Op, name: str) -> str:
        given = ", ".join(f"{register_type(k, op.width)} {a}" for a, k in zip(op.args, op.kinds, strict=True))
        return f"call {op.type} @{name}({given})"

    def _library(self, name: str, dtype: str, count: int, width: int) -> str:
        """The C function of `name`; for lanes a function that calls it for one after the other."""
        if name not in LIBM or dtype not in ("float32", "float64"):
            raise CompileError(
                f"the CPU target knows no operation {name!r} on {dtype}; known are the machine operations, "
                f"the routines of codegen/mathematics and {', '.join(sorted(LIBM))}"
            )
        symbol, one = LIBM[name] + ("f" if dtype == "float32" else ""), scalar_type(dtype)
        self.declarations.add(f"declare {one} @{symbol}({', '.join([one] * count)})")
        if not width:
            return symbol
        wide, lanes = register_type(dtype, width), f"library.{_name(name, dtype, width)}"
        if lanes not in self.definitions:
            lines, result = [], "poison"
            for k in range(width):
                lines += [f"  %x.{n}.{k} = extractelement {wide} %a{n}, i64 {k}" for n in range(count)]
                lines.append(f"  %y.{k} = call {one} @{symbol}({', '.join(f'{one} %x.{n}.{k}' for n in range(count))})")
                lines.append(f"  %r.{k} = insertelement {wide} {result}, {one} %y.{k}, i64 {k}")
                result = f"%r.{k}"
            parameters, body = ", ".join(f"{wide} %a{n}" for n in range(count)), "\n".join(lines)
            self.definitions[lanes] = (
                f"define internal {wide} @{lanes}({parameters}) noinline #0 {{\n{body}\n  ret {wide} {result}\n}}\n"
            )
        return lanes

    def rescue(self, op: Op, result: str, domain: str) -> str:
        """`result` where `domain` holds in all lanes, as it nearly always does; else the C library for the rest."""
        f, dtype = op.f, op.kinds[0]
        kind, good = register_type("bool", op.width), domain
        if op.width:
            good = f.emit(f.call("i1", f"llvm.vector.reduce.and.v{op.width}i1", f"{kind} {domain}", kind))
        library, before = self._library(op.name, dtype, len(op.args), op.width), f.label
        slow, done = f.fresh("slow"), f.fresh("done")
        f.line(f"br i1 {good}, label %{done}, label %{slow}, !prof !0")
        f.open_block(slow)
        exact = f.emit(self._call_text(op, library))
        chosen = f.emit(f"select {kind} {domain}, {op.type} {result}, {op.type} {exact}")
        f.line(f"br label %{done}")
        f.open_block(done)
        return f.emit(f"phi {op.type} [ {result}, %{before} ], [ {chosen}, %{slow} ]")


def expand(routines: Routines, op: Op, found: Routine) -> str:
    """The body of a routine, in place."""
    f, width = op.f, op.width
    values: dict[str, Value] = {
        p: Value(a, found.dtype, width, op.depth) for p, a in zip(found.params, op.args, strict=True)
    }
    for let in found.body:
        args = [
            _constant(a) if isinstance(a, Literal) else values[a] for a in let.args if isinstance(a, (str, Literal))
        ]
        texts: Sequence[str] = [f.widen(a, width) if width else a.text for a in args]
        step = Op(f, let.op, let.dtype, texts, [a.dtype for a in args], width, op.depth)
        values[let.name] = Value(PRINTERS[let.op](step), let.dtype, width, op.depth)
    result = values[found.result].text
    if found.domain is None:
        return result
    op.depth = f.depth
    return routines.rescue(op, result, values[found.domain].text)


def _constant(literal: Literal) -> Value:
    return Value(literal_text(literal), literal.dtype, constant=True)


def _name(op: str, dtype: str, width: int) -> str:
    return f"{op}.{dtype}" + (f".{width}" if width else "")
