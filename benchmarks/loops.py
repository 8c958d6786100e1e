"""`python -m benchmarks.loops`: programs that step in time and their gradients, beside JAX, in float64 on the CPU.

    python -m benchmarks.loops [--only NAME,...] [--rounds 3] [--budget 1.0] [--jax-python PATH] [--write]

As `python -m benchmarks`: a process each, in turn, ratios inside a round. `--write` puts the table into
benchmarks/README.md, under the heading Loops.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile

from .__main__ import HERE, run_process
from .loop_cases import LOOP_CASES, LoopCase
from .report import LOOPS, format_seconds, kept_loops
from .timing import machine_facts

HEAD = f"""{LOOPS}

Written by `python -m benchmarks.loops --write`. Value, and value with gradient in all inputs; a ratio is taken inside a
round, as median (lowest to highest). Growth is what one call of the compiled gradient adds to the peak of the process.
"""


def run_case(case: LoopCase, options: argparse.Namespace) -> list[dict[str, dict]]:
    """Return the results of both systems in each round."""
    rounds = []
    for _ in range(options.rounds):
        found = {}
        for system, python in (("jax", options.jax_python), ("pullback", sys.executable)):
            with tempfile.TemporaryDirectory() as cache:
                found[system] = run_process(python, case.name, system, options.budget, cache, "benchmarks.one_loop")
            print(f"{case.name:16} {system:9} {found[system]}", flush=True)
        results = [r["result"] for r in found.values() if "result" in r]
        assert all(math.isclose(r, results[0], rel_tol=1e-9) for r in results), results
        rounds.append(found)
    return rounds


def format_row(case: LoopCase, rounds: list[dict[str, dict]]) -> str:
    own = [r["pullback"] for r in rounds]
    other = [r["jax"] for r in rounds]
    value, gradient = (statistics.median(r[key] for r in own) for key in ("value", "gradient"))
    cells = [case.title, f"{format_seconds(value)} ({format_seconds(value / case.steps)})",
             f"{format_seconds(gradient)} ({format_seconds(gradient / case.steps)})",
             spread([r["gradient"] / r["value"] for r in own])]
    if all("growth" in r for r in other):
        cells += [spread([a[key] / b[key] for a, b in zip(other, own, strict=True)]) for key in ("value", "gradient")]
        cells += [f"{statistics.median(r['growth'] for r in rows) / 1e6:.0f} MB" for rows in (own, other)]
    return f"| {' | '.join(cells)} |"


def spread(numbers: list[float]) -> str:
    return f"{statistics.median(numbers):.1f} ({min(numbers):.1f} to {max(numbers):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="names of cases, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=1.0, help="seconds of steady calls in each process")
    parser.add_argument("--jax-python", default=sys.executable, help="the interpreter that has JAX")
    parser.add_argument("--write", action="store_true", help="write the section of benchmarks/README.md")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [case.name for case in LOOP_CASES]
    rows = [format_row(case, run_case(case, options)) for case in LOOP_CASES if case.name in wanted]
    facts = [f"* {name}: {value}" for name, value in machine_facts().items() if name in ("processor", "cores")]
    head = ["| program | value (a step) | gradient (a step) | gradient / value | value: JAX / pullback | "
            "gradient: JAX / pullback | growth | growth of JAX |", "|---|---|---|---|---|---|---|---|"]
    text = "\n".join([HEAD, *facts, "", *head, *rows]) + "\n"
    print(text)
    if options.write:
        page = HERE / "README.md"
        page.write_text(page.read_text().replace(kept_loops(page.read_text()), "").rstrip() + "\n\n" + text)


if __name__ == "__main__":
    main()
