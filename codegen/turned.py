"""Arrays that a kernel reads against their order, once for every row: read from a copy with its axes turned.

A sum over pairs reads the coordinates of all points for every row, a coordinate at a time, in lanes. From an array of
points by coordinates a register is gathered element by element; from one of coordinates by points it is one load. The
copy costs as much as one row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..dsl.size import Dim, same
from .nest import Context
from .program import Axis, Buffer, For, Kernel, Load, Offset, Step, Stmt, Store, Update, walk_stmts

FEW = 16                 # rows that are no reason for a copy


def with_turned(steps: Sequence[Step], context: Context) -> list[Step]:
    """`steps`, with the copies that their kernels read."""
    found: list[Step] = []
    for step in steps:
        if isinstance(step, Kernel) and not (isinstance(step.rows.extent, int) and step.rows.extent < FEW):
            copies, step = _turned(step, context)
            found += copies
        found.append(step)
    return found


def _turned(kernel: Kernel, context: Context) -> tuple[list[Kernel], Kernel]:
    written = {s.buffer for s in walk_stmts(kernel.begin + kernel.body + kernel.end) if isinstance(s, (Store, Update))}
    names: dict[str, str] = {}

    def moved(load: Load, lanes: Axis) -> Load:
        buffer = context.buffers[load.buffer]
        if load.buffer in written or load.mask or kernel.rows.name in dict(load.offset.terms):
            return load
        offset = _across(load.offset, lanes, buffer)
        if offset is None:
            return load
        if load.buffer not in names:
            names[load.buffer] = context.temporary(f"{load.buffer}_turned", buffer.dtype, buffer.shape[::-1])
        return replace(load, buffer=names[load.buffer], offset=offset)

    body = tuple(_in_lanes(s, None, moved) for s in kernel.body)
    return [_copy(context.buffers[b], name, context) for b, name in names.items()], replace(kernel, body=body)


def _in_lanes(stmt: Stmt, lanes: Axis | None, moved: Callable[[Load, Axis], Load]) -> Stmt:
    """`stmt` with the loads inside of loops in lanes changed."""
    if isinstance(stmt, Load) and lanes is not None:
        return moved(stmt, lanes)
    if not isinstance(stmt, For):
        return stmt
    inside = stmt.axes[-1] if stmt.vector else lanes
    return replace(stmt, body=tuple(_in_lanes(s, inside, moved) for s in stmt.body))


def _across(offset: Offset, lanes: Axis, buffer: Buffer) -> Offset | None:
    """The offset of the same element in the turned array, where lanes run along the whole first of two axes."""
    if buffer.pairs or len(buffer.shape) != 2:
        return None
    rows, columns = buffer.shape
    if same(columns, 1) or not same(rows, lanes.extent) or not same(offset.coefficient(lanes.name), columns):
        return None
    terms: list[tuple[str, Dim]] = []
    for name, step in offset.terms:
        if same(step, columns) and name == lanes.name:
            terms.append((name, 1))
        elif isinstance(step, int) and step == 1:
            terms.append((name, rows))
        else:
            return None
    column = offset.const
    if not isinstance(column, int) or column and not (isinstance(columns, int) and 0 < column < columns):
        return None
    return Offset(column * rows, tuple(terms))


def _copy(source: Buffer, name: str, context: Context) -> Kernel:
    rows, columns = source.shape
    row, along = Axis(context.names.index("i"), columns), Axis(context.names.index("j"), rows)
    value, kernel = context.names.new(f"{source.name}_at"), f"kernel_{context.number()}"
    body = (Load(value, source.dtype, source.name, Offset(0, ((along.name, columns), (row.name, 1)))),
            Store(name, Offset(0, ((row.name, rows), (along.name, 1))), value))
    title = f"{name} = transpose({source.name})"
    return Kernel(kernel, (title,), row, rows, (For((along,), body, vector=True),), False,
                  chunks=context.chunk_count(kernel))
