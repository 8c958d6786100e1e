"""The number of chunks of a kernel: all that a call needs of the planner, so it stands alone."""

from __future__ import annotations

# Statements times elements that make a chunk worth its start: some tens of microseconds.
GRAIN = 1 << 18


def count_chunks(rows: int, work: int, quantum: int, most: int) -> int:
    """About GRAIN statements each, at least one chunk, none without rows."""
    wanted = max(1, min(most, rows * work // GRAIN, rows))
    each = -(-rows // wanted)
    each = max(1, -(-each // quantum) * quantum)
    return max(1, -(-rows // each))
