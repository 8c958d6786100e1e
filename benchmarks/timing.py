"""Measuring: steady times of a call, and how fast this machine copies memory."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

COPY_BYTES = 256 << 20


def time_call(call: Callable[[], object], budget: float) -> tuple[float, float]:
    """Return (first, steady): seconds of the first call and the median of as many more as fit into `budget` seconds."""
    first = time_once(call, 1)
    repeat = max(1, round(2e-4 / max(time_once(call, 1), 1e-9)))       # a sample is long against the clock
    samples = []
    end = time.perf_counter() + budget
    while len(samples) < 5 or time.perf_counter() < end:
        samples.append(time_once(call, repeat))
    return first, statistics.median(samples)


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
        return 0

    def read(word: str) -> int:
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith(word))

    refs.write_text("5")            # the peak starts again from what is resident now
    before = read("VmRSS")
    call()
    return read("VmHWM") - before


def copy_speed(threads: int) -> float:
    """Return the bytes per second, read and written, of a big copy by this many threads (the best of five)."""
    source, target = np.ones(COPY_BYTES // 8), np.zeros(COPY_BYTES // 8)
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        def copy() -> None:
            list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))

        return 2 * COPY_BYTES / min(time_once(copy, 1) for _ in range(5))


def machine_facts() -> dict[str, str]:
    """Return what a reader needs to judge the numbers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    facts = {"processor": _processor_name(), "cores": str(cores), "system": platform.platform(terse=True),
             "Python": platform.python_version()}
    facts["copy, one thread"] = f"{copy_speed(1) / 1e9:.1f} GB/s read and written"
    if cores > 1:
        facts[f"copy, {cores} threads"] = f"{copy_speed(cores) / 1e9:.1f} GB/s read and written"
    return facts


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
