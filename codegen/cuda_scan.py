"""Recurrences that threads of a block compute together: running sums, maxima, and sums that start anew.

A loop with one carry state <- update(state) is a prefix scan where the update is associative. Threads take a tile of
turns, scan it by shuffles and shared memory, and hand its total on: the order of operations depends on the sizes alone.
Of linear recurrences a * state + b those are taken whose factors are 0 and 1 by form; any other factor could overflow
in a product that the loop never forms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .program import For, Kernel, Let, Literal, Load, Operand, Stmt, Store, Update

SHUFFLED = ("int32", "int64", "uint32", "uint64", "float32", "float64")
LEAST = 32  # turns known to be fewer are left to one thread for each row
_FOLDS = ("add", "maximum", "minimum")


@dataclass(frozen=True, slots=True)
class Scan:
    """`before`: statements of a turn that the state does not enter; `update`: the next state; `after`: the rest.

    The next state is op(state, value), or, with op 'affine', weight * state + value.
    """

    op: str
    before: tuple[Stmt, ...]
    update: Let
    after: tuple[Stmt, ...]
    weight: Operand
    value: Operand


def scan_of(loop: For) -> Scan | None:
    """`loop` as a scan, or None where it is none."""
    if len(loop.carries) != 1 or len(loop.axes) != 1 or loop.accs or loop.turns is not None:
        return None
    if loop.carries[0].dtype not in SHUFFLED:
        return None
    carry, written = loop.carries[0], {s.buffer for s in loop.body if isinstance(s, (Store, Update))}
    at = next((k for k, s in enumerate(loop.body) if isinstance(s, Let) and s.name == carry.value), None)
    if at is None or not all(_is_plain(s, written) for s in loop.body):
        return None
    before, update, after = loop.body[:at], loop.body[at], loop.body[at + 1 :]
    assert isinstance(update, Let)
    if any(isinstance(s, Store) for s in before) or any(carry.name in _operands(s) for s in (*before, *after)):
        return None
    form = _form(update, carry.name, before)
    if form is None or not _scatters_nothing(after, loop.axes[0].name):
        return None
    op, weight, value = form
    return Scan(op, before, update, after, weight, value)


def in_lanes(kernel: Kernel) -> Kernel:
    """`kernel` with its scans over neighbouring elements spread over the threads of a block."""
    if kernel.vector or kernel.serial or kernel.accs:
        return kernel
    body = tuple(replace(s, vector=True) if isinstance(s, For) and _pays(s, kernel) else s for s in kernel.body)
    return replace(kernel, body=body)


def _pays(loop: For, kernel: Kernel) -> bool:
    if not loop.carries or loop.vector or scan_of(loop) is None:
        return False
    axis, extent = loop.axes[0].name, loop.axes[0].extent
    if isinstance(extent, int) and extent < LEAST:
        return False
    steps = [s.offset.coefficient(axis) for s in loop.body if isinstance(s, (Load, Store))]
    near = all(isinstance(step, int) and abs(step) <= 1 for step in steps)
    return near or isinstance(kernel.rows.extent, int) and kernel.rows.extent == 1


def _is_plain(stmt: Stmt, written: set[str]) -> bool:
    return isinstance(stmt, (Let, Store)) or isinstance(stmt, Load) and stmt.buffer not in written


def _operands(stmt: Stmt) -> tuple[object, ...]:
    if isinstance(stmt, Let):
        return stmt.args
    if isinstance(stmt, Load):
        return stmt.mask, stmt.other, *(name for name, _ in stmt.offset.terms)
    assert isinstance(stmt, Store)
    return stmt.value, stmt.mask, *(name for name, _ in stmt.offset.terms)


def _scatters_nothing(stmts: tuple[Stmt, ...], axis: str) -> bool:
    """Every store has a place of its own in each turn, known by its form."""
    values = {s.name for s in stmts if isinstance(s, (Let, Load))}
    for store in (s for s in stmts if isinstance(s, Store)):
        names = {name for name, _ in store.offset.terms}
        if axis not in names or names & values:
            return False
    return True


def _form(update: Let, state: str, before: tuple[Stmt, ...]) -> tuple[str, Operand, Operand] | None:
    """(op, weight, value) of the next state."""
    one = Literal.of(1, update.dtype)
    if update.op in _FOLDS and update.args.count(state) == 1:
        value = next(a for a in update.args if a != state)
        return update.op, one, value
    if update.op != "fma" or update.args.count(state) != 1 or update.args[2] == state:
        return None
    weight = next(a for a in update.args[:2] if a != state)
    if weight == one:
        return "add", one, update.args[2]
    let = next((s for s in before if isinstance(s, Let) and s.name == weight), None)
    factors = let.args[1:] if let is not None and let.op == "where" else ()
    switched = bool(factors) and update.dtype in ("float32", "float64") and all(
        isinstance(f, Literal) and f.value in (0, 1) for f in factors)
    return ("affine", weight, update.args[2]) if switched else None
