"""One program under one system, in this process: `python -m benchmarks.worker NAME SYSTEM SIZE DTYPE`.

It reads commands, a line each, and answers each with a line of JSON: `build MEASURE` compiles and calls once,
`time MEASURE SECONDS` calls for about so long.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time

from .program import Call, Program
from .timing import memory_growth, time_once


def build(program: Program, system: str, measure: str) -> tuple[Call, dict]:
    """Return the call, and what its first time showed: seconds to compile and in all, memory, results."""
    from . import systems

    start = time.perf_counter()
    call = systems.BUILD[system](program, measure)
    compiled = time.perf_counter() - start
    results: list = []
    growth = memory_growth(lambda: results.append(call()))
    found = {"first": time.perf_counter() - start, "compile": compiled, "growth": growth,
             "version": systems.version(system)}
    if system != "copy":
        found["marks"] = systems.fingerprint(results[0])
    if hasattr(call, "cost"):
        found["cost"] = call.cost()  # type: ignore[attr-defined]
    return call, found


def time_calls(call: Call, seconds: float) -> float:
    """Return the median seconds of a call, over as many as fit; the first is left out where there is time for more."""
    once = time_once(call, 1)
    if once > seconds:
        return once
    repeat = max(1, round(1e-4 / once))          # a sample is long against the clock
    samples = []
    end = time.perf_counter() + seconds - once
    while not samples or time.perf_counter() < end:
        samples.append(time_once(call, repeat))
    return statistics.median(samples)


def limit_threads(count: int) -> None:
    """Let this process run on so many cores, whatever each system thinks of threads."""
    if count and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
        os.environ.update({name: str(count) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")})


def main() -> None:
    name, system, size, dtype = sys.argv[1:5]
    program = Program(name, int(size), dtype)
    limit_threads(program.threads)
    if system in ("pullback", "jax", "numba"):
        __import__(system)                        # no part of a first call
    calls = {}
    for line in sys.stdin:
        command, measure, *rest = line.split()
        if command == "build":
            calls[measure], answer = build(program, system, measure)
        else:
            answer = {"seconds": time_calls(calls[measure], float(rest[0]))}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
