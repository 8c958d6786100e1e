"""Pictures for the report: times over sizes, times beside others', and where programs stand under the roof."""

from __future__ import annotations

from pathlib import Path

from .program import Program
from .report import COLUMNS, LABELS, median_of, title
from .sections import SECTIONS

COLOURS = {"pullback": "#c0392b", "jax": "#2471a3", "numpy": "#7f8c8d", "numba": "#239b56", "c": "#212f3c",
           "copy": "#b7950b"}


def draw_all(results: list[tuple[Program, dict]], peaks: dict[str, float], folder: Path) -> dict[str, str]:
    """Draw a picture for each section and one of the roofline; return their places, as the report names them."""
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(exist_ok=True)
    drawn = {}
    for section in SECTIONS:
        rows = [(program, found) for program, found in results if program.section == section]
        by_name: dict[str, list[tuple[Program, dict]]] = {}
        for program, found in rows:
            by_name.setdefault(program.name, []).append((program, found))
        if any(len({program.size for program, _ in cases}) > 2 for cases in by_name.values()):
            drawn[section] = draw_sizes(by_name, folder / f"{section}.svg")
        elif rows:
            drawn[section] = draw_bars(rows, folder / f"{section}.svg")
    if peaks:
        drawn["roofline"] = draw_roofline(results, peaks, folder / "roofline.svg")
    return drawn


def save(figure, path: Path) -> str:
    """Write a picture with nothing in it that changes from run to run; return its place beside the report."""
    from matplotlib import pyplot

    with pyplot.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "path"}):
        figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return f"{path.parent.name}/{path.name}"


def draw_sizes(by_name: dict[str, list], path: Path) -> str:
    """Draw time per point over size: a panel for each program, values drawn through, gradients dashed."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(by_name), figsize=(4.2 * len(by_name), 3.6), layout="constrained",
                                   squeeze=False)
    for panel, (name, cases) in zip(axes[0], by_name.items(), strict=True):
        for system in ("pullback", *COLUMNS):
            for what, style in (("value", "-"), ("gradient", "--")):
                points = [(program.size, seconds / program.size * 1e9) for program, found in cases
                          if (seconds := median_of(found, system, what))]
                if points:
                    panel.loglog(*zip(*points, strict=True), style, marker="o", markersize=3, color=COLOURS[system],
                                 label=f"{LABELS[system]}, {what}")
        panel.set_title(name.replace("_", " "))
        panel.set_xlabel("points")
    axes[0][0].set_ylabel("nanoseconds a point")
    axes[0][0].legend(fontsize=7)
    return save(figure, path)


def draw_bars(rows: list, path: Path) -> str:
    """Draw how many times as long as pullback the others take, for values and gradients."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 1.2 + 0.42 * len(rows)), layout="constrained", sharey=True)
    systems = [s for s in COLUMNS if any(found.get(s) for _, found in rows)]
    height = 0.8 / max(len(systems), 1)
    for panel, what in zip(axes, ("value", "gradient"), strict=True):
        for k, system in enumerate(systems):
            bars = []
            for row, (_, found) in enumerate(rows):
                own, other = median_of(found, "pullback", what), median_of(found, system, what)
                if own and other:
                    bars.append((row + (k - (len(systems) - 1) / 2) * height, other / own))
            if bars:
                places, ratios = zip(*bars, strict=True)
                panel.barh(places, [r - 1 for r in ratios], height, left=1, color=COLOURS[system], label=LABELS[system])
        panel.axvline(1, color=COLOURS["pullback"])
        panel.set_xscale("log")
        panel.set_title(f"{what}: time over that of pullback")
    axes[0].set_yticks(range(len(rows)), [title(program) for program, _ in rows], fontsize=7)
    axes[0].invert_yaxis()
    axes[0].legend(fontsize=7)
    return save(figure, path)


def draw_roofline(results: list, peaks: dict[str, float], path: Path) -> str:
    """Draw a dot for each program: operations a second over operations per byte that its kernels move.

    A copy and multiply-adds in registers make the roof. Where data stay in a cache a program stands above its slope.
    """
    import numpy as np
    from matplotlib import pyplot

    figure, panel = pyplot.subplots(figsize=(9, 6), layout="constrained")
    intensity = np.geomspace(0.01, 1000, 200)
    roof = np.minimum(intensity * peaks["bytes"], peaks["flops"])
    panel.loglog(intensity, roof / 1e9, color="black")
    for what, marker in (("value", "o"), ("gradient", "^")):
        found_any = False
        for program, found in results:
            cost, seconds = (found["pullback"].get(what) or {}).get("cost"), median_of(found, "pullback", what)
            if not (cost and seconds and cost["flops"] and cost["bytes"]):
                continue
            place = cost["flops"] / cost["bytes"], cost["flops"] / seconds / 1e9
            panel.plot(*place, marker, color=COLOURS["pullback" if what == "gradient" else "jax"], markersize=5,
                       label=None if found_any else what)
            found_any = True
            if what == "gradient" and program.size == program.module.SIZES[-1] and program.dtype == "float64":
                panel.annotate(program.name.replace("_", " "), place, fontsize=6, xytext=(3, 3),
                               textcoords="offset points")
    panel.set_xlabel("operations per byte")
    panel.set_ylabel("GFLOP/s")
    panel.set_title(f"the roof: {peaks['bytes'] / 1e9:.0f} GB/s, {peaks['flops'] / 1e9:.0f} GFLOP/s")
    panel.legend()
    return save(figure, path)
