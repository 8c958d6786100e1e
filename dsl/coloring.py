"""Groups of columns of a sparse matrix that one product tells apart.

A. Gebremedhin, F. Manne, A. Pothen, What color is your Jacobian? SIAM Review 47 (2005): groups of columns without a
common row are colors at distance 2; of a symmetric matrix a star coloring is enough. Greedy, in order of falling
degree; diagonals whose numbers differ modulo k need no search: column j gets color j modulo k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .errors import PullbackError
from .index_sets import Band, bands_of

if TYPE_CHECKING:
    from .sparsity import Sparsity

KINDS = ("auto", "columns", "rows", "symmetric")
_GREEDY = 4_000_000              # entries, up to which a search follows where a form is known
_AGAIN, _SMALL = 6, 400_000        # further searches, and for how many entries at most
_HUB = 64                        # neighbours, from which a vertex may get a color of its own


@dataclass(frozen=True, eq=False)
class Coloring:
    """`colors`, numbered from 0, of the columns (`kind` 'columns' or 'symmetric') or the rows of a `pattern`."""

    pattern: Sparsity
    kind: str
    colors: np.ndarray

    @property
    def count(self) -> int:
        """How many colors there are: the products that give all entries."""
        return int(self.colors.max(initial=-1)) + 1

    @cached_property
    def places(self) -> np.ndarray:
        """Where each entry of the pattern is among the products, an array of shape (count, elements of a product)."""
        rows, cols = self.pattern.rows(), self.pattern.indices.astype(np.int64)
        if self.kind == "rows":
            return self.colors[rows].astype(np.int64) * self.pattern.shape[1] + cols
        size = self.pattern.shape[0]
        key = rows * max(self.count, 1) + self.colors[cols]
        if self.kind == "columns":
            return self.colors[cols].astype(np.int64) * size + rows
        _, back, counts = np.unique(key, return_inverse=True, return_counts=True)
        direct = counts[back] == 1
        other = self.colors[rows].astype(np.int64) * size + cols
        return np.where(direct, self.colors[cols].astype(np.int64) * size + rows, other)

    def __repr__(self) -> str:
        return f"Coloring({self.count} colors of {len(self.colors)} {'rows' if self.kind == 'rows' else 'columns'})"


def colored(pattern: Sparsity, kind: str) -> Coloring:
    """A coloring of the columns, of the rows, of whichever needs fewer, or of a symmetric matrix."""
    if kind not in KINDS:
        raise PullbackError(f"a coloring is of the kind {', '.join(map(repr, KINDS))}, not {kind!r}")
    if kind == "symmetric":
        return _symmetric(pattern)
    found = [Coloring(pattern, one, _columns(pattern, one == "rows"))
             for one in ("columns", "rows") if kind in (one, "auto")]
    return min(found, key=lambda c: c.count)


def _columns(pattern: Sparsity, turned: bool) -> np.ndarray:
    """Colors of the columns, or of the rows where `turned`."""
    size, across = pattern.shape[turned == 0], pattern.shape[turned == 1]
    counts = np.diff(pattern.indptr) if not turned else np.bincount(pattern.indices, minlength=across)
    least = int(counts.max(initial=0))
    if least == size:
        return np.arange(size, dtype=np.int32)
    bands = bands_of(pattern.pieces)
    formed = None if bands is None else _by_form(bands, least, size, turned)
    if formed is not None and (formed.max(initial=-1) + 1 <= least or pattern.nnz > _GREEDY):
        return formed
    found = _greedy(pattern, turned)
    return found if formed is None or found.max() <= formed.max() else formed


def _by_form(bands: Sequence[Band], least: int, size: int, turned: bool) -> np.ndarray | None:
    """j modulo the least k that tells the diagonals apart which have a row in common; None where that is large."""
    pairs = {abs(a.offset - b.offset) for i, a in enumerate(bands) for b in bands[:i]
             if a.offset != b.offset and _meet(a, b, turned)}
    for k in range(max(least, 1), 4 * least + 4):
        if all(d % k for d in pairs):
            return (np.arange(size) % k).astype(np.int32)
    return None


def _meet(a: Band, b: Band, turned: bool) -> bool:
    """Whether two diagonals may have a row, or a column, in common."""
    shift_a, shift_b = (a.offset, b.offset) if turned else (0, 0)
    return max(a.first + shift_a, b.first + shift_b) <= min(a.last + shift_a, b.last + shift_b)


def _greedy(pattern: Sparsity, turned: bool) -> np.ndarray:
    """Colors in order of falling degree; of a small matrix then again, in the order of the colors."""
    indptr, indices = (pattern.indptr, pattern.indices) if turned else _transposed(pattern)
    size, across = pattern.shape[turned == 0], pattern.shape[turned == 1]
    degrees = np.diff(pattern.indptr) if not turned else np.bincount(pattern.indices, minlength=across)
    weight = np.zeros(size)
    np.add.at(weight, np.repeat(np.arange(size), np.diff(indptr)), degrees[indices])
    starts, places = indptr.tolist(), indices.tolist()
    near = [places[a:b] for a, b in zip(starts, starts[1:], strict=False)]
    colors = _in_order(np.argsort(-weight, kind="stable"), near, across)
    for again in range(_AGAIN if len(indices) <= _SMALL else 0):
        if colors.max(initial=-1) < degrees.max(initial=0):
            break
        colors = _in_order(_by_class(colors, again), near, across)
    return colors


def _by_class(colors: np.ndarray, again: int) -> np.ndarray:
    """The columns color by color, in which order they need no more colors (J. Culberson, Iterated greedy graph
    coloring, 1992): the last first, the most frequent first, by turns.
    """
    rank = -np.arange(colors.max() + 1) if again % 2 == 0 else -np.bincount(colors)
    return np.lexsort((colors, rank[colors]))


def _in_order(order: np.ndarray, near: Sequence[Sequence[int]], across: int) -> np.ndarray:
    """The first color that is free in all rows of a column; those taken in a row are the bits of a number."""
    used = [0] * across
    colors = np.zeros(len(near), np.int32)
    for j in order.tolist():
        taken = 0
        for i in near[j]:
            taken |= used[i]
        free = ~taken & (taken + 1)
        colors[j] = free.bit_length() - 1
        for i in near[j]:
            used[i] |= free
    return colors


def _transposed(pattern: Sparsity) -> tuple[np.ndarray, np.ndarray]:
    """The CSC format."""
    order = np.argsort(pattern.indices, kind="stable")
    counts = np.bincount(pattern.indices, minlength=pattern.shape[1])
    return np.concatenate([[0], np.cumsum(counts)]), pattern.rows()[order]


# ---- symmetric matrices -----------------------------------------------------------------------------------------
def _symmetric(pattern: Sparsity) -> Coloring:
    """The better of a star coloring and one of the columns."""
    if pattern.shape[0] != pattern.shape[1]:
        raise PullbackError(f"a symmetric coloring is of a square pattern, not of {pattern.shape[0]} x "
                            f"{pattern.shape[1]}")
    columns = Coloring(pattern, "symmetric", _columns(pattern, False))
    if columns.count <= 2 or pattern.nnz > _GREEDY:
        return columns
    return min((Coloring(pattern, "symmetric", _star(pattern)), columns), key=lambda c: c.count)


def _star(pattern: Sparsity) -> np.ndarray:
    """No two neighbours of one color, and no path of four vertices of two: algorithm 4.1 of the paper. Vertices with
    far more neighbours than others get colors of their own, and the rest is colored without them.
    """
    rows, cols, degrees = pattern.rows(), pattern.indices, np.diff(pattern.indptr)
    hubs = (degrees > _HUB) & (degrees > 8 * np.median(degrees))
    kept = (rows != cols) & ~hubs[rows] & ~hubs[cols]
    ends = np.cumsum(np.bincount(rows[kept], minlength=len(degrees)))
    near = [part.tolist() for part in np.split(cols[kept], ends[:-1])]
    colors = [-1] * len(degrees)
    beside: list[dict[int, int]] = [{} for _ in near]            # how many neighbours have each color
    for v in np.argsort(-degrees, kind="stable").tolist():
        if hubs[v]:
            continue
        taken = _taken(v, near, colors, beside)
        colors[v] = (~taken & (taken + 1)).bit_length() - 1
        for w in near[v]:
            beside[w][colors[v]] = beside[w].get(colors[v], 0) + 1
    found = np.array(colors, np.int32)
    found[hubs] = found.max(initial=-1) + 1 + np.arange(hubs.sum())
    return found


def _taken(v: int, near: Sequence[Sequence[int]], colors: Sequence[int], beside: Sequence[dict[int, int]]) -> int:
    """The colors that vertex `v` cannot have, as bits."""
    taken = 0
    for w in near[v]:
        own = colors[w]
        if own >= 0:
            taken |= 1 << own
        for x in near[w]:
            if x != v and colors[x] >= 0 and (own < 0 or beside[x][own] > 1):
                taken |= 1 << colors[x]
    return taken
