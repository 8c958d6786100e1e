"""Measuring: the seconds of a call, and the memory that it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def time_once(call: Callable[[], object], repeat: int) -> float:
    """Return the mean seconds of `repeat` calls in a row."""
    start = time.perf_counter()
    for _ in range(repeat):
        call()
    return (time.perf_counter() - start) / repeat


def memory_growth(call: Callable[[], object]) -> int:
    """Return the bytes that one call adds to the peak of this process's memory (Linux; 0 elsewhere)."""
    status, refs = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not refs.exists():
        call()
        return 0

    def read(word: str) -> int:
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith(word))

    refs.write_text("5")            # the peak starts again from what is resident now
    before = read("VmRSS")
    call()
    return read("VmHWM") - before
