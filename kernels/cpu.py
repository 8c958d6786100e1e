"""The CPU target: object code of a Program, and running it.

`CpuProgram` holds what a call needs; everything in it can be written as JSON, so that a disk hit does not build the
Program again.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..codegen.chunk_count import count_chunks
from ..dsl.size import product, render
from . import memory, team
from .native import compile_ir, load_functions

if TYPE_CHECKING:
    from ..codegen.program import Program

_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
NO_ERROR = -1
# Larger workspaces go back to the store of all programs after a call.
KEPT = 256 << 20


def layout(program: Program) -> dict[str, Any]:
    """What a call of `program` has to know, as plain data that JSON can hold.

    `arguments`: the buffers of a call in order; `given`: the sizes that the caller passes; `counts`: Python
    expressions over those for the sizes that are numbers of chunks; `workspace` (bytes) likewise, and `cost`: the
    statements of kernels that several threads can share, and operations of routines; `batches`: matrices of the latter.
    """
    from ..codegen.chunks import chunked_kernels
    from ..codegen.llvm_library import is_shared
    from ..codegen.program import Library, shown_loops, walk_steps

    counts = {k.chunks: "1" for k in program.kernels() if k.chunks in program.sizes}
    chunked = chunked_kernels(program)
    for c in chunked:
        count = f"count_chunks({render(c.rows)}, {render(c.work)}, {c.quantum}, {c.most})"
        counts[c.chunks] = count if counts[c.chunks] == "1" else f"max({counts[c.chunks]}, {count})"
    parts = [f"({render(c.rows)})*({render(c.work)})*({c.chunks} > 1)" for c in chunked]
    shared = [s for s in walk_steps(program.steps) if isinstance(s, Library) and is_shared(s)]
    parts += [f"({render(s.attr('flops'))})" for s in shared]  # type: ignore[arg-type]
    return {
        "arguments": [n for n, b in program.buffers.items() if b.kind != "temp"],
        "given": [s for s in program.sizes if s not in counts],
        "sizes": list(program.sizes),
        "counts": counts,
        "workspace": render(program.workspace),
        "cost": " + ".join(parts) or "0",
        "batches": [render(product(s.attr("batch"))) for s in shared],  # type: ignore[arg-type]
        "errors": list(program.errors),
        "progress": [loop.title[0].partition(":")[0] for loop in shown_loops(program)],
        "libraries": sorted({s.routine for s in walk_steps(program.steps) if isinstance(s, Library)} - {"copy"}),
    }


class Bound:
    """A program's numbers for one tuple of sizes: what the entry reads, bytes of workspace, work in statements."""

    def __init__(self, facts: dict[str, Any], given: tuple[int, ...]) -> None:
        values: dict[str, Any] = dict(zip(facts["given"], given, strict=True))
        names = {"max": max, "count_chunks": count_chunks}
        counts = {name: eval(text, names, values) for name, text in facts["counts"].items()}  # noqa: S307 - our own text
        values.update(counts)
        self.sizes = array("q", [values[name] for name in facts["sizes"]] or [0])
        self.pointer = self.sizes.buffer_info()[0]
        self.workspace: int = eval(facts["workspace"], names, values)  # noqa: S307
        self.cost: int = eval(facts["cost"], names, values)  # noqa: S307
        batches = [eval(text, names, values) for text in facts["batches"]]  # noqa: S307
        self.most = max([*counts.values(), *batches], default=1)
        self.alone = self.most == 1 or self.cost < team.THRESHOLD


class CpuProgram:
    """Object code that has been loaded, and the facts of `layout`.

    `run(addresses, sizes)` computes one call: `addresses` of the arrays named by `facts["arguments"]`, `sizes` the
    values of `facts["given"]`. Returns the index of the smallest error that a `Check` found, or -1.
    """

    def __init__(self, data: bytes, facts: dict[str, Any]) -> None:
        self.facts = facts
        (self.address,) = load_functions(data, ("program",))
        self._entry = _ENTRY(self.address)
        self._bound: dict[tuple[int, ...], Bound] = {}
        self._arenas: list[np.ndarray] = []
        self._blas = 0
        if facts["libraries"]:
            from .blas import table

            self._blas = table(tuple(facts["libraries"]) != ("gemm",))

    @staticmethod
    def build(program: Program) -> CpuProgram:
        """Write, compile and load `program`."""
        from ..codegen.llvm import write_llvm

        return CpuProgram(compile_ir(write_llvm(program)), layout(program))

    def bind(self, sizes: tuple[int, ...]) -> Bound:
        bound = self._bound.get(sizes)
        if bound is None:
            bound = self._bound[sizes] = Bound(self.facts, sizes)
        return bound

    def run(self, addresses: Sequence[int], sizes: tuple[int, ...]) -> int:
        bound = self.bind(sizes)
        if not self.facts["progress"]:
            return self._in_arena(bound, 0, addresses)
        from .progress import shown

        with shown(self.facts["progress"]) as counters:
            return self._in_arena(bound, counters.ctypes.data, addresses)

    def _in_arena(self, bound: Bound, counters: int, addresses: Sequence[int]) -> int:
        if not bound.workspace:
            return self._call(bound, 0, counters, addresses)
        arena = self._arena(bound.workspace + 64)
        start = arena.__array_interface__["data"][0]
        try:
            return self._call(bound, -(-start // 64) * 64, counters, addresses)
        finally:
            if arena.size <= KEPT:
                self._arenas.append(arena)

    def _arena(self, size: int) -> np.ndarray:
        """Memory for the temporaries of one call: that of an earlier call if it is large enough."""
        try:
            arena = self._arenas.pop()
        except IndexError:
            return memory.empty((size,), np.uint8)
        return arena if arena.size >= size else memory.empty((size,), np.uint8)

    def _call(self, bound: Bound, workspace: int, counters: int, addresses: Sequence[int]) -> int:
        shared = None if bound.alone else team.acquire(bound.most)
        if shared is None:
            words = array("q", (bound.pointer, workspace, NO_ERROR, self._blas, 0, 1, counters, *addresses))
            self._entry(words.buffer_info()[0], 0)
            return words[2]
        crew, threads = shared
        try:
            numbers = (bound.pointer, workspace, NO_ERROR, self._blas, crew.address, threads, counters)
            words = array("q", (*numbers, *addresses))
            crew.run(self.address, words.buffer_info()[0], threads)
        finally:
            team.release()
        return words[2]
