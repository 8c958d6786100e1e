"""Tables for people: what a program's kernels do, what its compilations cost, how fast it runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..codegen.chunks import chunking
from ..codegen.cost import Cost, cost_of
from ..codegen.program import Library, Program, walk_steps
from ..dsl.size import Size, evaluate, render
from ..dsl.trace import Traced
from .report_steps import about_loops, step_rows


def explain(program: Program, traced: Traced, copies: Mapping[str, str], graphs: Sequence[str] = ()) -> str:
    """The kernels and library steps: what each computes and fuses, launches per call, bytes and flops in the
    program's sizes; `graphs`, what of them a device captures; then the copies, of inputs by `copies` and of results.
    """
    rows = [("step", "computes", "fuses", "launches", "bytes", "flops")]
    rows += step_rows(program)
    total = sum((cost_of(program, s) for s in program.steps), Cost())
    kernels = sum(1 for _ in program.kernels())
    libraries = sum(isinstance(s, Library) for s in walk_steps(program.steps))
    lines = [
        *table(rows),
        "",
        f"{kernels} kernel{'s' * (kernels != 1)}, {libraries} library call{'s' * (libraries != 1)}, "
        f"workspace {_workspace(program, traced.guards.values)}",
    ]
    lines.append(f"bytes read {render(total.read)}, written {render(total.written)}; flops {render(total.flops)}")
    lines += [*about_loops(program), *graphs, *_sizes(traced), *_changes(traced), *_input_copies(copies)]
    lines += _result_copies(program)
    return "\n".join(lines) + "\n"


def _workspace(program: Program, values: Mapping[str, int]) -> str:
    """Bytes at the sizes of the call that the program was compiled for."""
    sizes = {s: values[s] for s in program.sizes if s in values}
    if not isinstance(program.workspace, Size):
        return f"{program.workspace} bytes"
    if not program.workspace.symbols() <= {*sizes, *(k.chunks for k in program.kernels())}:
        return f"{render(program.workspace)} bytes"
    count = evaluate(program.workspace, {**sizes, **chunking(program, sizes)})
    return f"{count:,} bytes" + (f" at {', '.join(f'{s} = {n}' for s, n in sizes.items())}" if sizes else "")


def _sizes(traced: Traced) -> list[str]:
    found = [
        f"{dim} = {x.attrs[0]}.shape[{axis}]"
        for x, dims in zip(traced.inputs, traced.symbols, strict=True)
        for axis, dim in enumerate(dims)
        if not isinstance(dim, int)
    ]
    return [f"sizes: {', '.join(found)}"] if found else []


def _changes(traced: Traced) -> list[str]:
    """What was computed in another way than the user wrote it."""
    lines = [f"  {c.rule.before} as {c.rule.after}" + (f" ({c.lines[0]})" if c.lines else "") for c in traced.changes]
    return ["kept stable (stable=False computes what was written):", *lines] if lines else []


def _input_copies(copies: Mapping[str, str]) -> list[str]:
    return [f"input {name} is copied: {why}" for name, why in copies.items()]


def _result_copies(program: Program) -> list[str]:
    """Results own their memory, so those that are an input, a constant or an earlier result are copied."""
    lines = []
    for k, name in enumerate(program.outputs):
        kind = program.buffers[name].kind
        if kind in ("input", "const") or name in program.outputs[:k]:
            lines.append(f"result {k} is a copy of {name}: results own their memory")
    return lines


def explain_compile(log: Sequence[dict[str, Any]], copies: Mapping[str, str]) -> str:
    """Each compilation: why, the kinds of the inputs, seconds, disk hit or miss, what was assumed of sizes."""
    rows = [("device", "why", "graph s", "codegen s", "compile s", "disk", "assumes")]
    for entry in log:
        timing = entry["timing"]
        guards = ", ".join(f"{a} {r if o else 'not ' + r} {b}" for r, a, b, o in entry["guards"])
        rows.append(
            (
                entry["device"],
                entry["reason"],
                f"{timing.graph:.3f}",
                f"{timing.codegen:.3f}",
                f"{timing.compile:.3f}",
                timing.disk,
                guards,
            )
        )
    return "\n".join([*table(rows), *_input_copies(copies)]) + "\n"


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns aligned, the first row as head."""
    widths = [max(len(r[c]) for r in rows) for c in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "-" * min(sum(widths) + 2 * len(widths), 160), *lines[1:]]


class Benchmark(dict[str, float]):
    """Seconds and rates of a call, printed as lines."""

    def __str__(self) -> str:
        return "\n".join(f"{key:16} {value:.4g}" for key, value in self.items())

    __repr__ = __str__


def benchmark(compiled: Any, args: tuple, kwargs: dict[str, Any], repeat: int) -> Benchmark:
    """First and steady seconds of a call (median), GB/s and GFLOP/s beside the bandwidth of a measured copy."""
    start = time.perf_counter()
    compiled(*args, **kwargs)
    first = time.perf_counter() - start
    steady = []
    for _ in range(repeat):
        start = time.perf_counter()
        compiled(*args, **kwargs)
        steady.append(time.perf_counter() - start)
    cost = compiled.lower(*args, **kwargs).cost()
    seconds = statistics.median(steady)
    source = np.ones(1 << 22)
    target = np.empty_like(source)
    np.copyto(target, source)
    start = time.perf_counter()
    np.copyto(target, source)
    copy = 2 * source.nbytes / (time.perf_counter() - start)
    return Benchmark(
        first_s=first,
        steady_s=seconds,
        GB_per_s=cost["bytes"] / seconds / 1e9,
        GFLOP_per_s=cost["flops"] / seconds / 1e9,
        copy_GB_per_s=copy / 1e9,
    )
