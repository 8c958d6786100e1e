"""The tables of benchmarks/README.md."""

from __future__ import annotations

import statistics

from .cases import CASES

LOOPS = "## Loops"       # the section that benchmarks/loops.py writes, the last one
TITLES = {case.name: case.title for case in CASES}
HEAD = """# Benchmarks

Written by `python -m benchmarks --write`. float64 on the CPU, every system with its own threads. Steady times are
medians over the rounds; a ratio is time of the other over time of pullback in the same round, as median (lowest to
highest): above 1 pullback is faster. The first call is build, compile and run in a fresh process with an empty cache,
without the import of the system. GB/s counts every input once and every result once.
"""


def format_tables(results: dict[str, dict[str, list[dict]]], facts: dict[str, str]) -> str:
    """Return the page: machine facts, then steady times with ratios, then first calls."""
    versions = {system: row["version"] for rounds in results.values() for system, rows in rounds.items()
                for row in rows if "version" in row}
    lines = [HEAD, *(f"* {name}: {value}" for name, value in facts.items()),
             "* " + ", ".join(f"{system} {version}" for system, version in sorted(versions.items())), "",
             "## Steady time", "",
             "| case | pullback | GB/s | NumPy / pullback | Numba by hand / pullback | JAX / pullback |",
             "|---|---|---|---|---|---|"]
    for name, rounds in results.items():
        ratios = " | ".join(format_ratio(rounds[system], rounds["pullback"]) for system in ("numpy", "numba", "jax"))
        own = rounds["pullback"]
        lines.append(f"| {TITLES[name]} | {format_median(own, 'steady')} | {format_speed(own)} | {ratios} |")
    lines += ["", "## First call", "",
              "| case | pullback cold | pullback from disk | Numba by hand | JAX |", "|---|---|---|---|---|"]
    for name, rounds in results.items():
        cells = [format_median(rounds["pullback"], "first"), format_median(rounds["pullback"], "disk"),
                 format_median(rounds["numba"], "first"), format_median(rounds["jax"], "first")]
        lines.append(f"| {TITLES[name]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def kept_loops(page: str) -> str:
    """Return the section on loops of a page, which another command writes; '' where there is none."""
    return page[page.index(LOOPS) :] if LOOPS in page else ""


def format_ratio(others: list[dict], own: list[dict]) -> str:
    ratios = sorted(other["steady"] / mine["steady"] for other, mine in zip(others, own, strict=True)
                    if "steady" in other and "steady" in mine)
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})" if ratios else "-"


def format_speed(rows: list[dict]) -> str:
    speeds = [row["bytes"] / row["steady"] / 1e9 for row in rows if "bytes" in row]
    return f"{statistics.median(speeds):.1f}" if speeds else "-"


def format_median(rows: list[dict], field: str) -> str:
    values = [row[field] for row in rows if row.get(field) is not None]
    return format_seconds(statistics.median(values)) if values else "-"


def format_seconds(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"
