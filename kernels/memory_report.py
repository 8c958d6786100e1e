"""The bytes of a call, before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..codegen.memory import buffer_bytes, residuals
from ..codegen.program import Buffer, Loop, Program
from ..dsl import size
from ..dsl.size import Dim, render


class Memory(dict[str, int]):
    """Bytes by kind, printed as lines; `formulas` has a formula for each kind whose bytes depend on turns that are
    known only when the program runs.
    """

    def __init__(self, numbers: Mapping[str, int], formulas: Mapping[str, str]) -> None:
        super().__init__(numbers)
        self.formulas = dict(formulas)

    def __str__(self) -> str:
        width = max(len(f"{n:,}") for n in self.values())
        return "\n".join(
            f"{key:12}{n:>{width},}" + (f" at most: {self.formulas[key]}" if key in self.formulas else "")
            for key, n in self.items()
        )


def memory_of(program: Program, values: Mapping[str, int], arguments: int, outputs: int, copies: int) -> Memory:
    """What a call at the sizes `values` needs; `copies` are bytes of inputs made ready."""
    kept = {name: loop for loop, name in residuals(program)}
    slots = {program.buffers[name].place: name for name in kept}      # of one size each; lives that do not meet share
    bytes_of = {n: size.evaluate(buffer_bytes(program.buffers[n]), values) for n in slots.values()}
    total = sum(bytes_of.values())
    workspace = size.evaluate(program.workspace, values)
    numbers = {"arguments": arguments, "outputs": outputs, "temporaries": workspace - total + copies,
               "residuals": total}
    numbers["peak"] = sum(numbers.values())
    counted = {s for s in program.steps if isinstance(s, Loop) and not isinstance(s.count, (int, size.Size))}
    growing = [name for name in slots.values() if kept[name] in counted]
    if not growing:
        return Memory(numbers, {})
    fixed = sum(bytes_of[n] for n in slots.values() if n not in growing)
    parts = [f"{_factor(_row_bytes(program.buffers[n]))}*turns({kept[n].name})" for n in growing]
    text = " + ".join(parts if not fixed else [*parts, f"{fixed:,}"])
    rest = numbers["peak"] - total
    return Memory(numbers, {"residuals": text, "peak": f"{rest:,} + {text}"})


def _row_bytes(buffer: Buffer) -> Dim:
    return buffer_bytes(replace(buffer, shape=buffer.shape[1:]))


def _factor(dim: Dim) -> str:
    text = render(dim)
    return f"({text})" if " " in text else text
