"""benchmarks/README.md: the machine, what was promised, and three tables for each section."""

from __future__ import annotations

import statistics

from .program import Bar, Program
from .sections import SECTIONS

HEAD = """# Benchmarks

Written by `python -m benchmarks --write`. A program runs under all its systems at the same time, in a process each,
called in turn: a ratio is time of the other over time of pullback in the same round, as median (lowest to highest) of
the rounds; above 1 pullback is faster. Every system has all cores where a program does not say otherwise. "Gradient" is
the value and the gradient in all of a program's parameters; arrays count as the sum of products with given weights.
Numba and C are written by hand, gradients too, one pass over the data each; C is gcc -O3 -march=native -ffast-math with
OpenMP and writes into arrays that are there. First calls are build, compile and run in a fresh process with an
empty cache, after the import of the system. Growth is what a first call adds to the peak of the process.
"""
COLUMNS = ("jax", "numpy", "numba", "c", "copy")
LABELS = {"jax": "JAX", "numpy": "NumPy", "numba": "Numba", "c": "C", "copy": "copy", "pullback": "pullback"}
Results = list[tuple[Program, dict]]


def format_page(results: Results, facts: dict[str, str], pictures: dict[str, str]) -> str:
    """Return the page; `pictures` are files by section, and one of the roofline."""
    lines = [HEAD, *(f"* {name}: {value}" for name, value in facts.items()), f"* {format_versions(results)}", ""]
    if "roofline" in pictures:
        lines += [f"![roofline]({pictures['roofline']})", ""]
    lines += format_bars(results)
    for section, (heading, words) in SECTIONS.items():
        rows = [(program, found) for program, found in results if program.section == section]
        if rows:
            picture = [f"![{heading}]({pictures[section]})", ""] if section in pictures else []
            lines += [f"## {heading}", "", words, "", *picture, *format_steady(rows), *format_firsts(rows)]
    return "\n".join(lines).rstrip() + "\n"


def format_versions(results: Results) -> str:
    versions = {LABELS[system]: row["version"] for _, found in results for system, rows in found.items()
                for row in rows.values() if isinstance(row, dict) and "version" in row and system != "copy"}
    return ", ".join(f"{system} {version}" for system, version in sorted(versions.items()))


def title(program: Program) -> str:
    """Return the title with what tells this row from the next."""
    marks = [f"{program.size:,}"] if len(program.module.SIZES) > 1 else []
    marks += [program.dtype] if len(getattr(program.module, "DTYPES", ())) > 1 else []
    return ", ".join([program.title, *marks])


def seconds_of(found: dict, system: str, measure: str) -> list[float | None]:
    row = found.get(system, {}).get(measure) or {}
    return [] if "failure" in row else row.get("seconds", [])


def ratios(found: dict, above: tuple[str, str], below: tuple[str, str]) -> list[float]:
    """Return the ratios of two (system, measure), a number for each round that has both, in order of size."""
    pairs = zip(seconds_of(found, *above), seconds_of(found, *below), strict=False)
    return sorted(one / other for one, other in pairs if one and other)


def measure(found: dict, name: str) -> list[float]:
    """Return the ratios that a bar names: 'value: jax', 'gradient: c', 'gradient / value', 'floor' (see README)."""
    if name == "gradient / value":
        return ratios(found, ("pullback", "gradient"), ("pullback", "value"))
    if name == "floor":         # time over the slower of a copy of the same bytes and C
        floors = [ratios(found, ("pullback", "value"), (system, "value")) for system in ("copy", "c")]
        return min((f for f in floors if f), key=statistics.median, default=[])
    what, _, system = name.partition(": ")
    return ratios(found, (system, what), ("pullback", what))


def median_of(found: dict, system: str, what: str) -> float | None:
    values = [s for s in seconds_of(found, system, what) if s]
    return statistics.median(values) if values else None


def format_bars(results: Results) -> list[str]:
    rows = []
    for program, found in results:
        for bar in program.bars:
            numbers = measure(found, bar.measure)
            if numbers:
                rows.append(f"| {title(program)} | {bar} | {format_spread(numbers)} | {_verdict(bar, numbers)} |")
    head = ["## What is promised", "", "`floor` is time over the slower of a copy of the same bytes and C.", "",
            "| program | promise | measured | |", "|---|---|---|---|"]
    return [*head, *rows, ""] if rows else []


def _verdict(bar: Bar, numbers: list[float]) -> str:
    return "yes" if bar.least <= statistics.median(numbers) <= bar.most else "**no**"


def format_steady(rows: Results) -> list[str]:
    """Return the table of steady times and ratios; a column stands where a row has something for it."""
    columns: list[tuple[str, list[str]]] = [("program", [title(program) for program, _ in rows])]
    for what in ("value", "gradient"):
        columns.append((what, [_steady(program, found, what) for program, found in rows]))
    columns.append(("gradient / value", [format_spread(measure(found, "gradient / value")) for _, found in rows]))
    for what in ("value", "gradient"):
        for system in COLUMNS:
            cells = [format_spread(measure(found, f"{what}: {system}")) for _, found in rows]
            columns.append((f"{what}: {LABELS[system]}", cells))
    return format_table(columns)


def _steady(program: Program, found: dict, what: str) -> str:
    seconds = median_of(found, "pullback", what)
    steps = getattr(program.module, "STEPS", 0)
    if seconds is None:
        return ""
    return format_seconds(seconds) + (f" ({format_seconds(seconds / steps)} a step)" if steps else "")


def format_firsts(rows: Results) -> list[str]:
    columns = [("first call", [title(program) for program, _ in rows])]
    for label, system, field in (("cold", "pullback", "first"), ("from disk", "pullback", "disk"),
                                 ("JAX", "jax", "first"), ("Numba", "numba", "first")):
        columns.append((label, [_first(program, found, system, field) for program, found in rows]))
    for system in ("pullback", "jax"):
        columns.append((f"growth of {LABELS[system]}", [_growth(program, found, system) for program, found in rows]))
    return format_table(columns)


def _first(program: Program, found: dict, system: str, field: str) -> str:
    rows = found.get(system, {})
    seconds = rows.get("disk") if field == "disk" else (rows.get(program.measures[-1]) or {}).get(field)
    return format_seconds(seconds) if seconds else ""


def _growth(program: Program, found: dict, system: str) -> str:
    row = found.get(system, {}).get(program.measures[-1]) or {}
    return f"{row['growth'] / 1e6:.0f} MB" if "growth" in row else ""


def format_table(columns: list[tuple[str, list[str]]]) -> list[str]:
    kept = [(head, cells) for head, cells in columns if any(cells)]
    rows = zip(*(cells for _, cells in kept), strict=True)
    return [f"| {' | '.join(head for head, _ in kept)} |", "|" + "---|" * len(kept),
            *(f"| {' | '.join(row)} |" for row in rows), ""]


def format_spread(numbers: list[float]) -> str:
    if not numbers:
        return ""
    return f"{statistics.median(numbers):.2f} ({numbers[0]:.2f} to {numbers[-1]:.2f})"


def format_seconds(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
