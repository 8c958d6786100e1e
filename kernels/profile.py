"""`profile`: what each compiled program costs while a block of code runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..codegen.chunks import chunking
from ..codegen.cost import cost_of
from ..dsl.size import evaluate
from .compiled import Compiled
from .report import table

_call = Compiled.__call__
_active: list[Profile] = []
_lock = threading.Lock()


@dataclass
class Record:
    """The calls of one compiled program: seconds in all, of them in calls that compiled, and of each other call."""

    name: str
    program: Compiled
    calls: int = 0
    seconds: float = 0.0
    compiling: float = 0.0
    compilations: int = 0
    runs: list[float] = field(default_factory=list)

    def kernels(self) -> dict[str, float]:
        """The share of each kernel and library step in the bytes that the last program moves, by the cost model: all of
        a program is one native call, whose parts are not timed.
        """
        program = self.program._program()
        sizes = self.program._last()[0].guards.values
        values = {**sizes, **chunking(program, sizes)}
        moved = {getattr(step, "name", type(step).__name__.lower()): evaluate(cost_of(program, step).bytes, values)
                 for step in program.steps}
        total = sum(moved.values()) or 1
        return {name: count / total for name, count in moved.items()}


class Profile:
    """What `profile` recorded; prints as a table. `records` has one entry for each compiled program."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.seconds = 0.0
        self._by_program: dict[int, Record] = {}

    def record(self, program: Compiled, call: Any) -> Any:
        """Run `call` for `program` and note what it took."""
        found = self._by_program.get(id(program))
        if found is None:
            found = self._by_program[id(program)] = Record(program.__name__, program)
            self.records.append(found)
        compilations, start = len(program.log), time.perf_counter()
        try:
            return call()
        finally:
            seconds = time.perf_counter() - start
            new = program.log[compilations:]
            found.calls += 1
            found.seconds += seconds
            found.compilations += len(new)
            if new:
                found.compiling += seconds
            else:
                found.runs.append(seconds)

    def __str__(self) -> str:
        rows = [("program", "calls", "total", "compiling", "of them", "median run", "fastest")]
        for r in sorted(self.records, key=lambda r: -r.seconds):
            runs = sorted(r.runs)
            rows.append((r.name, str(r.calls), _time(r.seconds), _time(r.compiling), str(r.compilations),
                         _time(runs[len(runs) // 2]) if runs else "-", _time(runs[0]) if runs else "-"))
        lines = table(rows)
        for r in self.records:
            shares = r.kernels()
            if len(shares) > 1:
                lines += ["", f"{r.name}, bytes moved: "
                              + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())]
        inside = sum(r.seconds for r in self.records)
        return "\n".join([*lines, "", f"{_time(self.seconds)} in all, {_time(inside)} in compiled programs"])

    __repr__ = __str__


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


@contextmanager
def profile() -> Iterator[Profile]:
    """Record every call of a compiled program in the block: how often, how long, how much of it was compiling.

    It prints as a table; `p.records` holds the numbers. Calls of a second or of a microsecond are timed alike, at
    about a microsecond each; outside the block nothing is slower.

    >>> import numpy as np, pullback as pb
    >>> f = pb.compile(lambda x: pb.sum(pb.sin(x)))
    >>> with pb.profile() as p:
    ...     for _ in range(3):
    ...         y = f(np.ones(5))
    >>> [(r.calls, r.compilations, len(r.runs)) for r in p.records]
    [(3, 1, 2)]
    """
    found = Profile()
    start = time.perf_counter()
    with _lock:
        _active.append(found)
        Compiled.__call__ = _recorded  # type: ignore[method-assign]
    try:
        yield found
    finally:
        found.seconds = time.perf_counter() - start
        with _lock:
            _active.remove(found)
            if not _active:
                Compiled.__call__ = _call  # type: ignore[method-assign]


def _recorded(self: Compiled, /, *args: Any, **kwargs: Any) -> Any:
    """A call that is told to the innermost profile."""
    return _active[-1].record(self, lambda: _call(self, *args, **kwargs))
