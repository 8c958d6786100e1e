"""Running a program under all its systems at once: a process each, called in turn, so that all meet the same noise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from . import systems
from .by_c import compiler
from .program import Program

HERE = Path(__file__).resolve().parent
TOLERANCE = {"float64": 1e-8, "float32": 2e-4}
SLOW = 0.5          # seconds; what takes longer is called in a few rounds only
FEW = 3


class Worker:
    """A process of benchmarks.worker."""

    def __init__(self, program: Program, system: str, python: str, cache: str) -> None:
        command = [python, "-m", "benchmarks.worker", program.name, system, str(program.size), program.dtype]
        environment = {**os.environ, "PULLBACK_CACHE_DIR": cache, "NUMBA_CACHE_DIR": cache}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, cwd=HERE.parent, env=environment)

    def ask(self, *words: object) -> dict:
        """Send a command and return its answer, or {'failure': why}."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer:
            return json.loads(answer)
        self.process.wait()
        self.errors.seek(0)
        return {"failure": (self.errors.read().strip().splitlines() or ["no output"])[-1]}

    def close(self) -> None:
        if self.process.stdin and self.process.poll() is None:
            self.process.stdin.close()
        self.process.wait()
        self.errors.close()


def run_case(program: Program, options: Namespace) -> dict:
    """Return {system: {measure: what was found}}; the seconds of a measure are a list, a number a round."""
    present = [s for s in ("pullback", *program.peers) if s not in ("c", "copy") or compiler()]
    found: dict[str, dict] = {system: {} for system in present}
    with tempfile.TemporaryDirectory() as cache:
        workers = {s: Worker(program, s, options.jax_python if s == "jax" else sys.executable, cache) for s in present}
        try:
            for system, worker in workers.items():
                # the gradient first: its first call is then that of a fresh process
                for measure in reversed([m for m in program.measures if systems.has(program, system, m)]):
                    found[system][measure] = {**worker.ask("build", measure), "seconds": []}
            _check(program, found)
            for turn in range(options.rounds):
                _time_round(workers, found, turn, options.budget)
        finally:
            for worker in workers.values():
                worker.close()
        found["pullback"]["disk"] = first_from_disk(program, cache)
    _print_row(program, found)
    return found


def _time_round(workers: dict[str, Worker], found: dict, turn: int, budget: float) -> None:
    for system, worker in workers.items():
        for measure, row in found[system].items():
            seconds = row["seconds"]
            slow = turn >= FEW and max(s or 0.0 for s in seconds) > SLOW
            wanted = "failure" not in row and not slow
            seconds.append(worker.ask("time", measure, budget).get("seconds") if wanted else None)


def first_from_disk(program: Program, cache: str) -> float | None:
    """Return the seconds of a first call in a fresh process that finds the compiled program in the cache."""
    worker = Worker(program, "pullback", sys.executable, cache)
    try:
        return worker.ask("build", program.measures[-1]).get("first")
    finally:
        worker.close()


def _check(program: Program, found: dict) -> None:
    """Mark a peer whose results differ as failed: it is no peer."""
    own = {measure: row.get("marks") for measure, row in found["pullback"].items()}
    for rows in found.values():
        for measure, row in rows.items():
            marks = row.pop("marks", None)
            if marks and own[measure] and not systems.agree(own[measure], marks, TOLERANCE[program.dtype]):
                row["failure"] = f"another result than pullback: {marks} for {own[measure]}"


def _print_row(program: Program, found: dict) -> None:
    print(f"{program.name} {program.size} {program.dtype}", flush=True)
    for system, rows in found.items():
        print(f"  {system:9} {json.dumps(rows)}", flush=True)
