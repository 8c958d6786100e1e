"""What a reader needs to judge the numbers: the machine, its versions, how fast it copies and multiplies."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

import numpy as np

from .by_c import compiler, copier, peak_flops
from .timing import time_once

COPY_BYTES = 256 << 20


def count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def copy_speed() -> float:
    """Return the bytes per second, read and written, of a big copy by all threads (the best of five)."""
    call = copier(np.ones(COPY_BYTES // 8), np.zeros(COPY_BYTES // 8))
    return 2 * COPY_BYTES / min(time_once(call, 1) for _ in range(5))


def measure_peaks() -> dict[str, float]:
    """Return bytes and flops per second, where there is a C compiler to measure them."""
    return {"bytes": copy_speed(), "flops": peak_flops()} if compiler() else {}


def machine_facts(peaks: dict[str, float]) -> dict[str, str]:
    cores = count_cores()
    facts = {"date": datetime.date.today().isoformat(), "processor": _processor_name(), "cores": str(cores),
             "system": platform.platform(terse=True), "Python": platform.python_version()}
    if peaks:
        facts[f"copy by {cores} threads"] = f"{peaks['bytes'] / 1e9:.1f} GB/s read and written"
        facts[f"multiply-add on {cores} threads"] = f"{peaks['flops'] / 1e9:.0f} GFLOP/s in float64"
    return facts


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
