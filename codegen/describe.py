"""A Program as text, statement by statement."""

from __future__ import annotations

from ..dsl.size import render
from .program import (
    Branch,
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
)


def describe(program: Program) -> str:
    """The whole program: sizes, buffers, steps."""
    lines = [f"sizes {', '.join(program.sizes)}", *(_buffer(program, name) for name in program.buffers), ""]
    for step in program.steps:
        lines += _step(step, 0)
    lines.append(f"return {', '.join(program.outputs)}")
    return "\n".join(lines) + "\n"


def _buffer(program: Program, name: str) -> str:
    buffer = program.buffers[name]
    place = f" at byte {buffer.place}" if buffer.kind == "temp" else ""
    return f"{buffer.kind:6} {name}: {buffer.dtype}[{', '.join(map(str, buffer.shape))}]{place}"


def _step(step: Step, depth: int) -> list[str]:
    pad = "    " * depth
    if isinstance(step, Kernel):
        return [*(f"{pad}# {t}" for t in step.title), *_kernel(step, depth)]
    if isinstance(step, Library):
        operands, targets = (", ".join(b for b, _ in places) for places in (step.operands, step.targets))
        return [
            *(f"{pad}# {t}" for t in step.title),
            f"{pad}{targets} = {step.routine}({operands}; {', '.join(f'{k}={v}' for k, v in step.attrs)})",
        ]
    if isinstance(step, Loop):
        head = f"{pad}repeat {step.name}" + (
            f" {step.count} times" if step.count is not None else f" while {step.condition}"
        )
        body = [line for s in step.test + step.steps for line in _step(s, depth + 1)]
        return [head + ":", *body, *(f"{pad}    swap {a}, {b}" for a, b in step.swaps)]
    assert isinstance(step, Branch)
    return [f"{pad}choose by {step.predicate}:"] + [
        line for branch in step.branches for s in branch for line in [f"{pad}  -", *_step(s, depth + 1)]
    ]


def _kernel(kernel: Kernel, depth: int) -> list[str]:
    pad = "    " * depth
    lines = [f"{pad}kernel {kernel.name}:"]
    lines += _stmts(kernel.begin, depth + 1)
    lanes = " in lanes" if kernel.vector else ""
    lines.append(f"{pad}    for {kernel.rows.name} in rows 0 .. {kernel.rows.extent}{lanes}:")
    lines += _stmts(kernel.body, depth + 2)
    lines += [f"{pad}        {a.name} {a.op}= {operand(a.value)}" for a in kernel.accs]
    lines += _stmts(kernel.end, depth + 1)
    lines += [f"{pad}    {c.target} = {c.op} of {c.partial} over {kernel.chunks}" for c in kernel.combine]
    return lines


def _stmts(stmts: tuple[Stmt, ...], depth: int) -> list[str]:
    return [line for s in stmts for line in _stmt(s, depth)]


def _stmt(stmt: Stmt, depth: int) -> list[str]:
    pad = "    " * depth
    if isinstance(stmt, For):
        ends = [str(a.extent) for a in stmt.axes] if stmt.turns is None else [operand(stmt.turns)]
        loops = ", ".join(f"{a.name} in 0 .. {end}" for a, end in zip(stmt.axes, ends, strict=True))
        loops += " in lanes" if stmt.vector else ""
        carries = "".join(f" with {c.name} = {operand(c.init)}" for c in stmt.carries)
        lines = [f"{pad}for {loops}{carries}:", *_stmts(stmt.body, depth + 1)]
        lines += [f"{pad}    {a.name} {a.op}= {operand(a.value)}" for a in stmt.accs]
        return lines + [f"{pad}    {c.name} <- {operand(c.value)}, at the end {c.result}" for c in stmt.carries]
    return [pad + _line(stmt)]


def _line(stmt: Stmt) -> str:
    if isinstance(stmt, Let):
        return f"{stmt.name}: {stmt.dtype} = {stmt.op}({', '.join(map(operand, stmt.args))})"
    if isinstance(stmt, Load):
        masked = f" if {stmt.mask} else {operand(stmt.other)}" if stmt.mask and stmt.other is not None else ""
        return f"{stmt.name}: {stmt.dtype} = {stmt.buffer}[{offset(stmt.offset)}]{masked}"
    if isinstance(stmt, Store):
        return f"{stmt.buffer}[{offset(stmt.offset)}] = {operand(stmt.value)}" + (
            f" if {stmt.mask}" if stmt.mask else ""
        )
    if isinstance(stmt, Update):
        return f"{stmt.buffer}[{offset(stmt.offset)}] {stmt.op}= {operand(stmt.value)}" + (
            f" if {stmt.mask}" if stmt.mask else ""
        )
    assert isinstance(stmt, Check)
    return f"check {stmt.ok} else error {stmt.code}"


def operand(value: Operand) -> str:
    if isinstance(value, Literal):
        return repr(value.value)
    return str(value.size) if isinstance(value, Extent) else value


def offset(place: Offset) -> str:
    """`i*n + j + 1`"""
    parts = []
    for name, coefficient in place.terms:
        text = render(coefficient)
        parts.append(
            name
            if text == "1"
            else f"{name}*{text}"
            if text.isalnum() or text.lstrip("-").isdigit()
            else f"{name}*({text})"
        )
    const = render(place.const)
    return " + ".join(parts + ([const] if const != "0" or not parts else []))
