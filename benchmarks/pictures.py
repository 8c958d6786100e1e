"""Pictures for the report: times over sizes, and where programs stand under the machine's roof."""

from __future__ import annotations

from pathlib import Path


def draw_all(results: list, peaks: dict[str, float], folder: Path) -> dict[str, str]:
    return {}
