"""Thread-level statements as they are written: lines, and blocks around what is written inside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .cuda_scope import Scope, safe
from .cuda_sync import UNIFORM, Access
from .cuda_threads import Block, Line, Touch
from .cuda_threads import Stmt as ThreadStmt
from .program import Axis, For, Load, Store, Update


class ThreadWriter:
    """Holds what is written. `owned(stmt)`: what a statement touches of written buffers, with its owner here."""

    def __init__(self) -> None:
        self.scope = Scope()
        self.stmts: list[ThreadStmt] = []
        self.owned: Callable[[Load | Store | Update], list[Access]] = lambda stmt: []

    def declare(self, axis: Axis) -> None:
        self.scope.axes.add(axis.name)
        self.scope.dtypes[axis.name] = "int64"

    def turns(self, loop: For, body: Callable[[], None]) -> None:
        """The turns of `loop` in order."""
        if loop.turns is None:
            self.nest(loop.axes, body)
            return
        end = self.scope.operand(loop.turns)
        self.block(f"for (index_t {{0}} = 0; {{0}} < {end}; ++{{0}})", loop.axes[0], body)

    def nest(self, axes: tuple[Axis, ...], body: Callable[[], None]) -> None:
        """Loops over `axes` in order around `body()`."""
        if not axes:
            body()
            return
        self.block(
            f"for (index_t {{0}} = 0; {{0}} < {self.scope.size(axes[0].extent)}; ++{{0}})",
            axes[0],
            lambda: self.nest(axes[1:], body),
        )

    def block(self, head: str, axis: Axis, body: Callable[[], None]) -> None:
        name = safe(axis.name)
        with self.inside(head.format(name), name):
            body()

    @contextmanager
    def inside(self, head: str, *sets: str, alone: bool = False) -> Iterator[None]:
        """Statements of a block, which is a loop that sets `sets` or a condition."""
        outer, self.stmts = self.stmts, []
        yield
        outer.append(Block(head, tuple(self.stmts), sets, alone=alone))
        self.stmts = outer

    @contextmanager
    def first_thread(self) -> Iterator[None]:
        """Statements of the first thread of the block alone, which then owns what it touches."""
        before = self.owned
        self.owned = lambda stmt: [Access(a.buffer, a.reads, a.writes, UNIFORM, True) for a in before(stmt)]
        with self.inside("if (thread == 0)", alone=True):
            yield
        self.owned = before

    def line(self, text: str, *sets: str, touches: tuple[Access | Touch, ...] = ()) -> None:
        self.stmts.append(Line(text, sets, touches))
