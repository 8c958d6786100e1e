"""Sets of (row, column) pairs in closed form: which element of an array depends on which element of a variable.

A piece holds, for every p with 0 <= p_q < count_q, the pair (rows + sum_q p_q * row_q, cols + sum_q p_q * col_q). Rows
are indices with one entry for each axis, columns are numbers in row-major order. A band of a matrix of any size is one
piece. `rows` and `cols` may hold several starts; a set that has no form is a piece of single pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import gcd, prod
from typing import NamedTuple

import numpy as np

_FEW = 32                         # starts that are told apart rather than written out pair by pair


class Param(NamedTuple):
    """`count` steps by which a pair moves: by `row` in its row, by `col` in its column."""

    count: int
    row: tuple[int, ...]
    col: int


@dataclass(frozen=True, eq=False)
class Piece:
    """Pairs; see above. `rows` has shape (starts, axes), `cols` (starts,)."""

    rows: np.ndarray
    cols: np.ndarray
    params: tuple[Param, ...] = ()

    @property
    def size(self) -> int:
        return len(self.cols) * prod(p.count for p in self.params)

    def key(self) -> tuple:
        """Equal for pieces written alike."""
        return self.rows.tobytes(), self.cols.tobytes(), tuple(sorted(self.params))

    def moved(self, matrix: np.ndarray, offset: Sequence[int] | int = 0) -> Piece:
        """Every row r becomes r @ matrix + offset."""
        params = (replace_row(p, tuple(map(int, np.asarray(p.row, np.int64) @ matrix))) for p in self.params)
        return Piece(self.rows @ matrix + np.asarray(offset, np.int64), self.cols, tuple(filter(_moves, params)))

    def expanded(self, place: int) -> Piece:
        """The same pairs without the parameter at `place`: a start for each of its values."""
        p = self.params[place]
        steps = np.arange(p.count)
        rows = self.rows[:, None, :] + steps[:, None] * np.asarray(p.row, np.int64)
        cols = self.cols[:, None] + steps * p.col
        return Piece(rows.reshape(-1, self.rows.shape[1]), cols.reshape(-1), (*self.params[:place],
                                                                              *self.params[place + 1 :]))

    def part(self, place: int, first: int, step: int, count: int) -> Piece:
        """Where the parameter at `place` is first, first + step, ..., `count` values."""
        p = self.params[place]
        changed = Param(count, tuple(step * r for r in p.row), step * p.col)
        params = (*self.params[:place], changed, *self.params[place + 1 :])
        return Piece(self.rows + first * np.asarray(p.row, np.int64), self.cols + first * p.col, params)

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """All rows, as an array of shape (size, axes), and all columns."""
        piece = self
        while piece.params:
            piece = piece.expanded(0)
        return piece.rows, piece.cols

    def on(self, axis: int) -> list[int]:
        """The places of the parameters that move along `axis`."""
        return [q for q, p in enumerate(self.params) if p.row[axis]]


def replace_row(p: Param, row: tuple[int, ...]) -> Param:
    return p._replace(row=row)


def _moves(p: Param) -> bool:
    return p.count > 1 and (any(p.row) or p.col != 0)


# ---- making and joining -----------------------------------------------------------------------------------------
def identity(shape: Sequence[int]) -> list[Piece]:
    """Each element of an array depends on itself."""
    strides = strides_of(shape)
    units = np.eye(len(shape), dtype=np.int64)
    params = tuple(Param(n, tuple(map(int, e)), s) for n, e, s in zip(shape, units, strides, strict=True) if n > 1)
    return [] if 0 in shape else [Piece(np.zeros((1, len(shape)), np.int64), np.zeros(1, np.int64), params)]


def strides_of(shape: Sequence[int]) -> list[int]:
    """The distance of neighbours along each axis in row-major order."""
    return [prod(shape[a + 1 :]) for a in range(len(shape))]


def union(sets: Iterable[Iterable[Piece]]) -> list[Piece]:
    """The pairs of all, each piece once."""
    return list({piece.key(): piece for pieces in sets for piece in pieces}.values())


# ---- what indexing does to rows ---------------------------------------------------------------------------------
def selected(pieces: Iterable[Piece], axes: Sequence[int], rank: int) -> list[Piece]:
    """Rows of the axes `axes`, out of `rank`; along the others they are taken together."""
    matrix = np.zeros((rank, len(axes)), np.int64)
    matrix[list(axes), range(len(axes))] = 1
    return union([[p.moved(matrix) for p in pieces]])


def repeated(pieces: Iterable[Piece], dims: Sequence[int], shape: Sequence[int]) -> list[Piece]:
    """Axis i becomes axis dims[i] of `shape`; along the others rows repeat."""
    matrix = np.zeros((len(dims), len(shape)), np.int64)
    matrix[range(len(dims)), list(dims)] = 1
    units = np.eye(len(shape), dtype=np.int64)
    more = tuple(Param(n, tuple(map(int, units[a])), 0) for a, n in enumerate(shape) if a not in dims and n > 1)
    if 0 in shape:
        return []
    return [replace(moved, params=(*moved.params, *more)) for moved in (p.moved(matrix) for p in pieces)]


def placed(pieces: Iterable[Piece], ranges: Sequence[tuple[int, int]]) -> list[Piece]:
    """Row i becomes start + step*i on every axis."""
    matrix = np.diag(np.array([step for _, step in ranges], np.int64)) if ranges else np.zeros((0, 0), np.int64)
    return [p.moved(matrix, [start for start, _ in ranges]) for p in pieces]


def sliced(pieces: Iterable[Piece], ranges: Sequence[tuple[int, int]], shape: Sequence[int]) -> list[Piece]:
    """Rows i with start + step*i, where 0 <= i < shape, on every axis."""
    found = list(pieces)
    for axis, ((start, step), count) in enumerate(zip(ranges, shape, strict=True)):
        found = [q for p in found for q in _sliced(p, axis, start, step, count)]
    return found


def _sliced(piece: Piece, axis: int, start: int, step: int, count: int) -> list[Piece]:
    places = piece.on(axis)
    if not places:
        index, rest = np.divmod(piece.rows[:, axis] - start, step)
        keep = (rest == 0) & (index >= 0) & (index < count)
        rows = piece.rows[keep]
        rows[:, axis] = index[keep]
        return [Piece(rows, piece.cols[keep], piece.params)] if keep.any() else []
    single = _alone(piece, axis)
    if single is None:
        smallest = min(places, key=lambda q: piece.params[q].count)
        return _sliced(piece.expanded(smallest), axis, start, step, count)
    return [q for p in single for q in _restricted(p, places[0], axis, start, step, count)]


def _alone(piece: Piece, axis: int) -> list[Piece] | None:
    """The piece by starts on `axis`, where one parameter moves along it and the starts are few."""
    values = np.unique(piece.rows[:, axis])
    if len(piece.on(axis)) > 1 or len(values) > _FEW:
        return None
    if len(values) == 1:
        return [piece]
    return [Piece(piece.rows[here], piece.cols[here], piece.params)
            for here in (piece.rows[:, axis] == v for v in values)]


def _restricted(piece: Piece, place: int, axis: int, start: int, step: int, count: int) -> list[Piece]:
    """Where r0 + rho*p = start + step*i has a solution with 0 <= i < count, for one parameter p and one r0."""
    p, r0 = piece.params[place], int(piece.rows[0, axis])
    rho, modulus = p.row[axis], abs(step)
    common = gcd(rho, modulus)
    if (start - r0) % common:
        return []
    every = modulus // common
    first = ((start - r0) // common * pow(rho // common, -1, every)) % every if every > 1 else 0
    i0, d = (r0 + rho * first - start) // step, rho * every // step
    low, high = (-(i0 // d), (count - 1 - i0) // d) if d > 0 else (-((count - 1 - i0) // -d), i0 // -d)
    low, high = max(low, 0), min(high, (p.count - 1 - first) // every)
    if high < low:
        return []
    part = piece.part(place, first + low * every, every, high - low + 1)
    matrix = np.eye(piece.rows.shape[1], dtype=np.int64)
    rows = part.rows.copy()
    rows[:, axis] = i0 + low * d
    params = list(part.params)
    row = tuple(d if a == axis else r for a, r in enumerate(params[place].row))
    params[place] = replace_row(params[place], row)
    return [Piece(rows, part.cols, tuple(params)).moved(matrix)]


# ---- renumbering ------------------------------------------------------------------------------------------------
def reshaped(pieces: Iterable[Piece], old: Sequence[int], new: Sequence[int]) -> list[Piece]:
    """Rows of an array of shape `old`, as those of the shape `new` in row-major order."""
    if 0 in new:
        return []
    found = [p.moved(np.array(strides_of(old), np.int64).reshape(len(old), 1)) for p in pieces]
    for axis in range(len(new) - 1):
        found = [q for p in found for q in _split(p, axis, prod(new[axis + 1 :]))]
    if not new:
        return [p.moved(np.zeros((1, 0), np.int64)) for p in found]
    return found


def _split(piece: Piece, axis: int, inner: int) -> list[Piece]:
    """The last axis `axis` as two, of which the second has `inner` elements."""
    rank = piece.rows.shape[1]
    inside = [q for q in piece.on(axis) if piece.params[q].row[axis] % inner]
    reach = [piece.params[q].row[axis] * (piece.params[q].count - 1) for q in inside]
    rest = piece.rows[:, axis] % inner
    if (rest + sum(min(r, 0) for r in reach) >= 0).all() and (rest + sum(max(r, 0) for r in reach) < inner).all():
        rows = np.c_[piece.rows[:, :axis], piece.rows[:, axis] // inner, rest]
        params = [replace_row(p, (*p.row[:axis], 0, p.row[axis]) if q in inside
                              else (*p.row[:axis], p.row[axis] // inner, 0)) for q, p in enumerate(piece.params)]
        return [Piece(rows, piece.cols, tuple(params))]
    assert axis == rank - 1
    crossing = max(inside, key=lambda q: abs(reach[inside.index(q)]))
    return [q for p in _in_rows(piece, crossing, axis, inner) for q in _split(p, axis, inner)]


def _in_rows(piece: Piece, place: int, axis: int, inner: int) -> list[Piece]:
    """The piece with the parameter at `place` cut where it passes a multiple of `inner`."""
    p = piece.params[place]
    rho = p.row[axis]
    if rho < 0:
        piece, p = piece.part(place, p.count - 1, -1, p.count), Param(p.count, tuple(-r for r in p.row), -p.col)
        rho = -rho
    starts = np.unique(piece.rows[:, axis] % inner)
    if inner % rho or len(starts) > 1 or len(piece.on(axis)) > 1:
        return [piece.expanded(place)]
    each, first = inner // rho, -(-(inner - int(starts[0])) // rho)
    first = 0 if first == each else min(first, p.count)
    whole, last = divmod(p.count - first, each)
    found = [piece.part(place, 0, 1, first)] if first else []
    if whole:
        body = piece.part(place, first, 1, each)
        row, col = tuple(each * r for r in p.row), each * p.col
        found.append(replace(body, params=(*body.params, Param(whole, row, col))))
    if last:
        found.append(piece.part(place, first + whole * each, 1, last))
    return found


# ---- indexing by arrays -----------------------------------------------------------------------------------------
def looked_up(pieces: Iterable[Piece], indices: Sequence[np.ndarray], axes: Sequence[int],
              shape: Sequence[int]) -> list[Piece]:
    """Rows (s, r) of x[idx[s]; r], where `indices` stand for `axes` of an array of this shape."""
    sizes = [shape[a] for a in axes]
    flat = np.ravel_multi_index([i.ravel() for i in indices], sizes) if axes else np.zeros(1, np.int64)
    order = np.argsort(flat, kind="stable")
    keys = flat[order]
    rest = [a for a in range(len(shape)) if a not in axes]
    found = []
    for piece in pieces:
        while any(piece.on(a) for a in axes):
            piece = piece.expanded(next(q for a in axes for q in piece.on(a)))
        wanted = np.ravel_multi_index([piece.rows[:, a] for a in axes], sizes)
        low, high = np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
        start = np.repeat(np.arange(len(wanted)), high - low)
        within = np.arange(len(start)) - np.repeat(np.cumsum(high - low) - (high - low), high - low)
        places = order[low[start] + within]
        rows = np.c_[np.stack(np.unravel_index(places, indices[0].shape), -1).reshape(len(places), -1),
                     piece.rows[start][:, rest]]
        row_zero = (0,) * indices[0].ndim
        params = tuple(replace_row(p, (*row_zero, *(p.row[a] for a in rest))) for p in piece.params)
        if len(rows):
            found.append(Piece(rows.astype(np.int64), piece.cols[start], params))
    return found


def scattered(pieces: Iterable[Piece], indices: Sequence[np.ndarray], axes: Sequence[int], rank: int) -> list[Piece]:
    """Rows of an array of `rank` axes at [idx[s]; r], from rows (s, r)."""
    depth = indices[0].ndim
    rest = [a for a in range(rank) if a not in axes]
    found = []
    for piece in pieces:
        while any(piece.on(a) for a in range(depth)):
            piece = piece.expanded(next(q for a in range(depth) for q in piece.on(a)))
        rows = np.zeros((len(piece.cols), rank), np.int64)
        at = tuple(piece.rows[:, a] for a in range(depth))
        for a, index in zip(axes, indices, strict=True):
            rows[:, a] = index[at]
        rows[:, rest] = piece.rows[:, depth:]
        params = []
        for p in piece.params:
            row = [0] * rank
            for a, r in zip(rest, p.row[depth:], strict=True):
                row[a] = r
            params.append(replace_row(p, tuple(row)))
        found.append(Piece(rows, piece.cols, tuple(params)))
    return found


# ---- as a matrix ------------------------------------------------------------------------------------------------
def flattened(pieces: Iterable[Piece], shape: Sequence[int]) -> list[Piece]:
    """Rows as numbers in row-major order."""
    return union([[p.moved(np.array(strides_of(shape), np.int64).reshape(len(shape), 1)) for p in pieces]])


class Band(NamedTuple):
    """Entries on one diagonal: column - row, the first row and the last."""

    offset: int
    first: int
    last: int


def bands_of(pieces: Iterable[Piece]) -> list[Band] | None:
    """The diagonals that flattened pieces lie on; None where they are many."""
    found: list[Band] = []
    todo = list(pieces)
    while todo:
        piece = todo.pop()
        across = [q for q, p in enumerate(piece.params) if p.row != (p.col,)]
        if across:
            smallest = min(across, key=lambda q: piece.params[q].count)
            if piece.params[smallest].count * len(piece.cols) > _FEW:
                return None
            todo.append(piece.expanded(smallest))
            continue
        low = sum(min(p.col, 0) * (p.count - 1) for p in piece.params)
        high = sum(max(p.col, 0) * (p.count - 1) for p in piece.params)
        offsets = piece.cols - piece.rows[:, 0]
        for offset in np.unique(offsets):
            rows = piece.rows[offsets == offset, 0]
            found.append(Band(int(offset), int(rows.min()) + low, int(rows.max()) + high))
            if len(found) > 2 * _FEW:
                return None
    return found


def full_diagonals(pieces: Iterable[Piece], shape: tuple[int, int]) -> tuple[int, ...] | None:
    """The offsets of the diagonals that flattened pieces fill from end to end; None where they leave gaps, or lie on
    other entries too.
    """
    stretches: dict[int, list[tuple[int, int]]] = {}
    for piece in pieces:
        steps = [(p.count, *p.row, p.col) for p in piece.params]
        if len(piece.cols) > _FEW or len(steps) > 1 or any(step[1:] != (1, 1) for step in steps):
            return None
        for row, col in zip(piece.rows[:, 0].tolist(), piece.cols.tolist(), strict=True):
            stretches.setdefault(col - row, []).append((row, row + piece.size // len(piece.cols)))
    for offset, found in stretches.items():
        end = max(-offset, 0)
        for first, last in sorted(found):
            if first > end:
                return None
            end = max(end, last)
        if end < min(shape[0], shape[1] - offset):
            return None
    return tuple(sorted(stretches))
