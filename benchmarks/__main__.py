"""`python -m benchmarks`: pullback beside NumPy, hand-written Numba and JAX, in float64 on the CPU.

    python -m benchmarks [--only NAME,...] [--rounds 3] [--budget 0.5] [--jax-python PATH] [--write]

Each case and system runs in a process of its own with an empty cache, in turn, `--rounds` times; a ratio is taken
inside a round, so that a slow minute of the machine touches both sides. pullback runs twice: cold, then from its disk
cache.
`--write` puts the tables and the machine's facts into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .cases import CASES
from .report import format_tables, kept_loops
from .timing import machine_facts

SYSTEMS = ("numpy", "numba", "jax", "pullback")
HERE = Path(__file__).resolve().parent


def run_process(
    python: str, case: str, system: str, budget: float, cache: str, module: str = "benchmarks.one"
) -> dict:
    """Run one case under one system in a fresh process; return its times, or {'failure': why}."""
    command = [python, "-m", module, case, system, str(budget)]
    environment = {**os.environ, "PULLBACK_CACHE_DIR": cache, "NUMBA_CACHE_DIR": cache}
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parent, env=environment)
    if done.returncode:
        return {"failure": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def run_case(case: str, options: argparse.Namespace) -> dict[str, list[dict]]:
    """Return the rounds of each system for one case."""
    rounds: dict[str, list[dict]] = {system: [] for system in SYSTEMS}
    for _ in range(options.rounds):
        for system in SYSTEMS:
            python = options.jax_python if system == "jax" else sys.executable
            with tempfile.TemporaryDirectory() as cache:
                result = run_process(python, case, system, options.budget, cache)
                if system == "pullback" and "failure" not in result:
                    result["disk"] = run_process(python, case, system, 0.0, cache).get("first")
            rounds[system].append(result)
            print(f"{case:20} {system:9} {json.dumps(result)}", flush=True)
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="names of cases, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=0.5, help="seconds of steady calls in each process")
    parser.add_argument("--jax-python", default=sys.executable, help="the interpreter that has JAX")
    parser.add_argument("--write", action="store_true", help="write benchmarks/README.md")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [case.name for case in CASES]
    results = {case.name: run_case(case.name, options) for case in CASES if case.name in wanted}
    text = format_tables(results, machine_facts())
    print(text)
    if options.write:
        page = HERE / "README.md"
        page.write_text("\n".join(filter(None, [text, kept_loops(page.read_text())])))


if __name__ == "__main__":
    main()
