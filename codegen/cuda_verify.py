"""Proof that the threads of a block work together rightly: `verify` reads every CUDA text as it is written.

Proved of every function of a text, in the form of codegen/cuda_threads.py:

    barriers, shuffles and calls of functions that hold them are reached by all threads of the block;
    shared arrays are touched within their bounds;
    of two touches of one element by different threads, one of them a write, a barrier stands between.

What differs between threads is read off the lines themselves: a name whose line mentions a name that differs, or that
is set where not all threads are. Who touches an element of a buffer is known as codegen/cuda_sync.py knows it. Taken on
trust, and left to runs on the emulator: that lanes of one vector loop touch different elements, that what a function of
all threads returns is the same for each, and that a scatter's first thread of a place is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..dsl.errors import CompileError
from .cuda_plan import BLOCK
from .cuda_sync import ALL, UNIFORM, Access, conflict
from .cuda_threads import (
    THREAD,
    THREADS,
    WARP,
    At,
    Block,
    Call,
    Function,
    Line,
    Meet,
    Shared,
    Shuffle,
    Stmt,
    Touch,
    alone,
    leaders,
)

_WORD = re.compile(r"[A-Za-z_]\w*")
_TOGETHER = ("__syncthreads", "__syncwarp", "__shfl_sync", "__shfl_xor_sync", "__shfl_up_sync", "__shfl_down_sync")
_NEVER = {*_TOGETHER, "__shared__", "return", "goto", "break", "continue", "for", "while", "do", "switch", "asm"}
_TAKEN = re.compile(r"for \(\w+ (\w+) = 0; \1 < [1-9]\d*; \+\+\1\)")     # a loop that has a turn
_RANGES = {"thread": (0, BLOCK - 1), "threads": (WARP, BLOCK)}


def verify(functions: Iterable[Function]) -> None:
    """Raise CompileError, with function and line, where threads might not work together as the text means.

    >>> from pullback.codegen.cuda_threads import THREAD, Meet, alone, function
    >>> verify([function("k", "__global__ void k()", [THREAD, Meet()])])
    >>> try:
    ...     verify([function("k", "__global__ void k()", [THREAD, alone(Meet())])])
    ... except CompileError as error:
    ...     print(str(error).partition(";")[0])
    k: not all threads come to the barrier
    """
    known = {f.name: f for f in functions}
    for each in known.values():
        if each.launched:                                # others are proved where they are called
            _Proof(known, each).function(each, each.params)


class _Proof:
    """Walks a function with what is known at each statement."""

    def __init__(self, functions: dict[str, Function], root: Function) -> None:
        self.functions, self.root = functions, root
        self.varying: set[str] = {"threadIdx"}           # names that differ between threads
        self.apart = 0                                   # blocks around that not all threads enter
        self.one: int | None = None                      # threads that enter: the first of every 2**one; -1: the first
        self.ranges: dict[str, tuple[int, int]] = {}
        self.arrays: dict[str, tuple[str, int]] = {}     # shared arrays: which one, its elements
        self.pending: dict[tuple[Access, bool], None] = {}   # touches since the last barrier; in an earlier turn

    def fail(self, text: str) -> None:
        raise CompileError(f"{self.root.name}: {text}; this is a defect of pullback, please report it")

    def function(self, function: Function, varying: Iterable[str]) -> None:
        """`function`, whose parameters `varying` differ between threads, and which may be called again."""
        outer = self.varying, self.ranges, self.arrays
        self.varying, self.ranges, self.arrays = {"threadIdx", *varying}, {}, dict(self.arrays)
        *body, last = function.body
        self.stmts(tuple(body))
        if not (isinstance(last, Line) and re.fullmatch(r"return \w+;", last.text)):
            self.stmts((last,))
        self.varying, self.ranges, self.arrays = outer

    def stmts(self, stmts: tuple[Stmt, ...]) -> None:
        for stmt in stmts:
            if isinstance(stmt, Line):
                self.line(stmt)
            elif isinstance(stmt, Block):
                self.block(stmt)
            elif isinstance(stmt, Shared):
                self.arrays[stmt.name] = (f"{id(stmt)} {stmt.name}", stmt.count)
            elif isinstance(stmt, Meet):
                self.together("the barrier")
                self.pending.clear()
            elif isinstance(stmt, Shuffle):
                self.together(f"the shuffle of {stmt.value}")
                self.set((stmt.target,), True)
            else:
                self.call(stmt)

    def together(self, what: str) -> None:
        if self.apart:
            self.fail(f"not all threads come to {what}")

    def set(self, names: Iterable[str], differ: bool) -> None:
        for name in names:
            self.ranges.pop(name, None)
        if differ or self.apart:
            self.varying.update(names)
        else:
            self.varying.difference_update(names)

    # ---- lines --------------------------------------------------------------------------------------------------
    def line(self, line: Line) -> None:
        words = set(_WORD.findall(line.text))
        if not words.isdisjoint(_NEVER):
            self.fail(f"a line holds what only other statements may: {line.text}")
        hidden = words & self.arrays.keys() - {t.array for t in line.touches if isinstance(t, Touch)}
        if hidden:
            self.fail(f"a line touches {hidden} without saying so: {line.text}")
        self.set(line.sets, not words.isdisjoint(self.varying))
        if line in (THREAD, THREADS):
            self.ranges[line.sets[0]] = _RANGES[line.sets[0]]
        for touch in line.touches:
            if isinstance(touch, Touch):
                self.touch(self.shared(touch, line))
                continue
            guarded = self.one == -1 or line.text.startswith(("if (thread == 0)", "if (thread == 0 &&"))
            if touch.writes and touch.owner == UNIFORM and not guarded:
                self.fail(f"every thread writes what one should: {line.text}")
            self.touch(touch)

    def shared(self, touch: Touch, line: Line) -> Access:
        """The touch of a shared array as one with an owner; within its bounds."""
        array, count = self.arrays[touch.array]
        low, high = self.range(touch.index, line)
        if low < 0 or high >= count:
            self.fail(f"{touch.array} has {count} elements, and [{low}..{high}] is touched: {line.text}")
        owner, index = ALL, touch.index
        if self.one == -1:
            owner = UNIFORM
        elif index == At("thread"):
            owner = ("the thread itself",)
        elif isinstance(index, At) and index.name == "thread" and self.one == index.shift:
            owner = ("the first of", str(2**index.shift))
        if touch.writes and owner == ALL:
            self.fail(f"several threads write one element of {touch.array}: {line.text}")
        return Access(array, not touch.writes, touch.writes, owner, True)

    def range(self, value: At | int, where: Line | Block) -> tuple[int, int]:
        if isinstance(value, int):
            return value, value
        if value.name not in self.ranges:
            self.fail(f"nothing is known of the index {value.name}: {where}")
        low, high = self.ranges[value.name]
        return low >> value.shift, high >> value.shift

    def touch(self, touch: Access) -> None:
        for other, earlier in self.pending:
            if conflict(other, touch, earlier):
                name = touch.buffer.rpartition(" ")[2]
                self.fail(f"threads touch {name} as {touch.owner} and as {other.owner}, with no barrier between")
        self.pending[touch, False] = None

    # ---- blocks -------------------------------------------------------------------------------------------------
    def block(self, block: Block) -> None:
        for made, only in ((alone(), block.alone), (leaders(block.leaders or 0), block.leaders is not None)):
            if only and made.head != block.head:
                self.fail(f"not as many threads enter as is said: {block.head}")
        words = set(_WORD.findall(block.head))
        hidden = words & self.arrays.keys() or words & (_NEVER - {"for"})
        if hidden:
            self.fail(f"the head of a block touches {hidden}: {block.head}")
        one = self.one
        self.one = -1 if block.alone else block.leaders if block.leaders is not None else self.one
        tried: set[tuple[Access, bool]] = set()
        while True:
            known, seen = set(self.varying), dict(self.pending)
            tried.update(seen)
            apart = not (words - set(block.sets)).isdisjoint(self.varying)
            self.turn(block, apart)
            self.varying |= known
            if not _TAKEN.fullmatch(block.head):
                self.pending = {**seen, **self.pending}
            if not block.head.startswith("for ") or not self.again(known, tried, apart):
                break
        self.one = one
        self.set(block.sets, apart)

    def turn(self, block: Block, apart: bool) -> None:
        """The body once, for all threads or with some of them `apart`."""
        self.apart += apart
        self.set(block.sets, apart)
        if block.bounds is not None:
            (low, _), (_, high) = (self.range(b, block) for b in block.bounds)
            self.ranges[block.sets[0]] = low, high - 1
        self.stmts(block.body)
        self.apart -= apart

    def again(self, known: set[str], tried: set[tuple[Access, bool]], apart: bool) -> bool:
        """Whether another turn may tell more: names that turned out to differ, touches that no turn was `tried` after.
        The turns of a thread that is apart follow each other in order."""
        if not apart and not self.apart:
            self.pending |= {(touch, True): None for touch, _ in self.pending}
        return self.varying != known or not self.pending.keys() <= tried

    # ---- calls --------------------------------------------------------------------------------------------------
    def call(self, call: Call) -> None:
        self.together(f"the call of {call.name}")
        callee = self.functions[call.name]
        differ = [] if not callee.params else [
            p for p, text in zip(callee.params, call.arguments, strict=False)
            if not self.varying.isdisjoint(_WORD.findall(text))
        ]
        self.function(callee, differ)
        for touch in call.touches:
            self.touch(touch)
        if call.target:
            self.set((call.target,), False)
