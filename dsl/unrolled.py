"""Python loops in a traced function: each turn adds its nodes, and past some thousands one warning says so."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar

MANY = 5000              # nodes of a program beyond which a repeated line is worth a warning
OFTEN = 100              # nodes of one line that only a loop makes
# Where calls from the user's own lines arrive; nodes that derivatives and other passes make are not counted.
_ENTRIES = {"operators.py", "surface.py", "indexing.py", "node.py", "protocols.py"}

WARNING = (f"a Python loop writes all its turns into the program, which passes {MANY:,} operations and takes long to "
           "compile ({line}): write pb.fori_loop or pb.scan, which compile one turn")

_ALL = ""                # counts the nodes of all lines
_counts: ContextVar[Counter[str] | None] = ContextVar("counts", default=None)


@contextlib.contextmanager
def watching_unrolled() -> Iterator[None]:
    """Count the nodes that the user's lines make meanwhile."""
    token = _counts.set(Counter())
    try:
        yield
    finally:
        _counts.reset(token)


def count_node(line: str, entry: str) -> str:
    """A new node of the user's `line`, made by a call of the package's file `entry`.

    Returns the line of the loop that a warning is now due for, or ''.
    """
    counts = _counts.get()
    if counts is None or os.path.basename(entry) not in _ENTRIES:
        return ""
    counts[line] += 1
    counts[_ALL] += 1
    if counts[_ALL] < MANY:
        return ""
    _counts.set(None)
    del counts[_ALL]
    often, nodes = counts.most_common(1)[0]
    return often if nodes >= OFTEN else ""
