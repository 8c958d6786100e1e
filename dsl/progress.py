"""Long scans in about a hundred compiled pieces, with a report between them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from . import nest
from .node import FUNCTIONS

PIECES = 100


def in_pieces(scan: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any, reverse: bool) -> tuple[Any, Any]:
    """`scan(init, xs)` piece by piece along the first axis of the arrays `xs`; the pieces share one compilation."""
    compiled = FUNCTIONS["_compile"](scan)
    count = len(nest.leaves(xs)[0])
    size = max(1, -(-count // PIECES))
    starts = list(range(0, count, size))
    if not starts:
        return compiled(init, xs)
    parts = []
    with _Percent(count) as bar:
        for start in reversed(starts) if reverse else starts:
            piece = nest.map_leaves(lambda x, start=start: np.asarray(x)[start : start + size], xs)
            init, ys = compiled(init, piece)
            parts.append(ys)
            bar.update(min(size, count - start))
    parts = parts[::-1] if reverse else parts
    structure = nest.flatten(parts[0])[1]
    columns = zip(*map(nest.leaves, parts), strict=True)
    return init, nest.unflatten(structure, [np.concatenate(column) for column in columns])


class _Percent:
    """Per cent done, on the standard error stream."""

    def __init__(self, count: int) -> None:
        self.count, self.done = count, 0

    def __enter__(self) -> _Percent:
        return self

    def update(self, turns: int) -> None:
        self.done += turns
        print(f"\r{100 * self.done // self.count:3d} %", end="", file=sys.stderr, flush=True)

    def __exit__(self, *exc: object) -> None:
        print(file=sys.stderr)
