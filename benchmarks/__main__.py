"""`python -m benchmarks`: pullback beside JAX, NumPy, Numba and C, on the CPU.

    python -m benchmarks [NAME...] [--size N] [--rounds 7] [--budget 0.1] [--jax-python PATH] [--write]

Each of the programs of programs/ that are named (all, if none is) runs under all its systems. `--write` puts tables,
pictures and the machine's facts into benchmarks/README.md and benchmarks/pictures.
"""

from __future__ import annotations

import argparse
import sys

from .machine import machine_facts, measure_peaks
from .pictures import draw_all
from .program import HERE, cases
from .report import format_page
from .run import run_case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="programs; all of them, if none is named")
    parser.add_argument("--size", type=int, help="in place of the sizes that a program names")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--budget", type=float, default=0.1, help="seconds of calls in each round, measure and system")
    parser.add_argument("--jax-python", default=sys.executable, help="the interpreter that has JAX")
    parser.add_argument("--write", action="store_true", help="write benchmarks/README.md and its pictures")
    options = parser.parse_args()
    peaks = measure_peaks()
    results = [(program, run_case(program, options)) for program in cases(options.names, options.size)]
    pictures = draw_all(results, peaks, HERE / "pictures") if options.write else {}
    page = format_page(results, machine_facts(peaks), pictures)
    print(page)
    if options.write:
        (HERE / "README.md").write_text(page)


if __name__ == "__main__":
    main()
