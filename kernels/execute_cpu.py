"""A traced graph made ready to run on the CPU: from the disk cache if it is there, else planned, printed and
compiled.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import re
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dsl import size
from ..dsl.errors import CompileError
from ..dsl.node import Expr, frozen, toposort
from ..dsl.trace import Traced
from . import cache
from .cpu import CpuProgram, layout
from .memory import empty
from .native import compile_ir, host

if TYPE_CHECKING:
    from ..codegen.program import Program

_HEAD = struct.Struct("<Q")
_MOST_CALLS = 1024                      # tuples of sizes that are remembered


@dataclass
class Timing:
    """Seconds of one compilation, and whether it came from disk."""

    graph: float = 0.0
    codegen: float = 0.0
    compile: float = 0.0
    disk: str = "miss"


@dataclass
class Executable:
    """Native code of one traced graph. `plan` gives the Program again, for reading, when the code came from disk."""

    traced: Traced
    native: CpuProgram
    constants: list[np.ndarray]
    code: bytes
    timing: Timing
    _program: Program | None = None
    _calls: dict[tuple[int, ...], Call] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        if self._program is None:
            from ..codegen.plan import plan

            self._program = plan(self.traced.outputs, self.traced.inputs, self.traced.names)
        return self._program

    def call_for(self, shapes: Sequence[tuple[int, ...]]) -> Call:
        """What a call with inputs of these shapes needs."""
        values = self.traced.sizes_of(shapes)
        given = tuple(values[name] for name in self.native.facts["given"])
        call = self._calls.get(given)
        if call is None:
            if len(self._calls) >= _MOST_CALLS:
                self._calls.clear()
            call = self._calls[given] = Call(self, given, values)
        return call


class Call:
    """One compiled program at fixed sizes: what to allocate and in which order addresses go."""

    def __init__(self, executable: Executable, given: tuple[int, ...], values: dict[str, int]) -> None:
        facts = executable.native.facts
        self.given = given
        self.native = executable.native
        self.constants = executable.constants
        self.constant_addresses = [address(c) for c in self.constants]
        outputs = executable.traced.outputs
        self.results = [(tuple(size.evaluate(d, values) for d in x.shape), x.dtype) for x in outputs]
        self.fresh: list[int] = facts["fresh"]  # results that own a buffer; the others repeat one or are an input
        self.source: list[tuple[str, int]] = [tuple(s) for s in facts["source"]]
        self.repeats_inputs = any(kind == "input" for kind, _ in self.source)
        self.values = values
        self.errors: list[str] = facts["errors"]

    def run(self, inputs: Sequence[np.ndarray], out: Sequence[np.ndarray | None] | None = None) -> list[np.ndarray]:
        """The results for arrays that are ready; `out` gives arrays to write into."""
        given = out or [None] * len(self.results)
        made = [empty(*self.results[k]) if (target := given[k]) is None else target for k in self.fresh]
        status = self.native.run([*map(address, inputs), *self.constant_addresses, *map(address, made)], self.given)
        if status >= 0:
            raise IndexError(self._error(self.errors[status]))
        if len(made) == len(self.results):
            return made  # type: ignore[return-value]
        return [made[k] if kind == "fresh" else self._copy(kind, k, inputs, made, *result)  # type: ignore[misc]
                for (kind, k), result in zip(self.source, self.results, strict=True)]

    def _error(self, text: str) -> str:
        """The text of a failed check with its sizes as numbers."""
        return re.sub(r"\bn\d+\b", lambda found: str(self.values.get(found.group(), found.group())), text)

    def _copy(
        self, kind: str, k: int, inputs: Sequence[np.ndarray], made: Sequence[Any], shape: tuple[int, ...], dtype: Any
    ) -> np.ndarray:
        """A result that repeats another, an input or a constant owns its memory all the same."""
        copied = empty(shape, dtype)
        source = made[k] if kind == "again" else inputs[k] if kind == "input" else self.constants[k]
        np.copyto(copied, source.reshape(shape))
        return copied


def _data_offset() -> int:
    """Where an array object keeps the address of its data, found by looking: asking `__array_interface__` for it costs
    1.6 microseconds an array, reading the word 0.2.
    """
    probes = [np.empty(n) for n in (1, 7, 64)]
    for offset in range(0, np.ndarray.__basicsize__, 8):
        if all(_WORD.from_address(id(p) + offset).value == p.__array_interface__["data"][0] for p in probes):
            return offset
    raise CompileError("this build of NumPy keeps the address of an array's data in an unknown place")


_WORD = ctypes.c_size_t
_OFFSET = _data_offset()
_word_at = _WORD.from_address


def address(array: np.ndarray) -> int:
    """The address of the first element of an array (of NumPy's own class)."""
    return _word_at(id(array) + _OFFSET).value


def build(traced: Traced) -> Executable:
    """Compile `traced`, or load what an earlier process compiled."""
    timing = Timing()
    start = time.perf_counter()
    key = cache.key("cpu", _processor(), graph_text(traced))
    constants = [n.attrs[0].array for n in toposort(traced.outputs) if n.op == "const" and n.shape != ()]
    data = cache.load("cpu", key)
    timing.graph = time.perf_counter() - start
    program = None
    if data is None:
        start = time.perf_counter()
        from ..codegen.llvm import write_llvm
        from ..codegen.plan import plan

        program = plan(traced.outputs, traced.inputs, traced.names)
        facts = {**layout(program), **_result_facts(program)}
        text = write_llvm(program)
        timing.codegen = time.perf_counter() - start
        start = time.perf_counter()
        code = compile_ir(text)
        head = json.dumps(facts).encode()
        data = _HEAD.pack(len(head)) + head + code
        cache.store("cpu", key, data)
    else:
        timing.disk = "hit"
        start = time.perf_counter()
    (length,) = _HEAD.unpack_from(data)
    facts = json.loads(data[_HEAD.size: _HEAD.size + length])
    code = data[_HEAD.size + length:]
    native = CpuProgram(code, facts)
    timing.compile = time.perf_counter() - start
    return Executable(traced, native, constants, code, timing, program)


def _result_facts(program: Program) -> dict[str, Any]:
    """Which results own a buffer, and where the others come from. Buffers go in the order inputs, constants, fresh
    results.
    """
    fresh: list[int] = []
    source: list[tuple[str, int]] = []
    owner: dict[str, int] = {}
    constants = [n for n, b in program.buffers.items() if b.kind == "const"]
    for k, name in enumerate(program.outputs):
        if name in owner:
            source.append(("again", owner[name]))
        elif name in program.inputs:
            source.append(("input", program.inputs.index(name)))
        elif name in constants:
            source.append(("const", constants.index(name)))
        else:
            owner[name] = len(fresh)
            source.append(("fresh", len(fresh)))
            fresh.append(k)
    order = [*program.inputs, *constants, *owner]
    assert order == [n for n, b in program.buffers.items() if b.kind != "temp"] or len(set(program.inputs)) < len(
        program.inputs
    ), order
    return {"fresh": fresh, "source": source}


def graph_text(traced: Traced) -> str:
    """The graph written out: equal for equal programs in every process."""
    return "\n".join(_graph_lines(traced.inputs, traced.outputs))


def _graph_lines(inputs: Sequence[Expr], outputs: Sequence[Expr]) -> list[str]:
    """A line per node, arguments by number; bodies of loops inside their node, their variables by number too."""
    number: dict[Expr, int] = {x: i for i, x in enumerate(inputs)}
    lines = [f"{x.dtype} {frozen(x.shape)!r}" for x in inputs]
    for node in toposort(outputs):
        if node not in number:
            number[node] = len(number)
            lines.append(
                f"{node.op} {[number[a] for a in node.args]} {_attrs_text(node)} {node.dtype} {frozen(node.shape)!r}"
            )
    return [*lines, repr([number[x] for x in outputs])]


def _attrs_text(node: Expr) -> str:
    if node.op == "const":
        return node.attrs[0].array.tobytes().hex() if not node.shape else ""
    if node.op == "branch":
        return repr([_graph_lines(body.operands, body.results) for body in node.attrs])
    if node.op == "loop":
        body, count = node.attrs
        inside = _graph_lines([body.index, *body.carries, *body.operands], body.roots())
        shown = body.about.said if body.about.progress else ""
        rest = len(body.results), len(body.stacked), body.checkpoint, body.what, shown
        return repr((inside, frozen(count), frozen(body.limit), *rest))
    return repr(frozen(node.attrs))


def _processor() -> str:
    return hashlib.sha256(repr(host()).encode()).hexdigest()
