"""Entries of a Jacobian one by one: of the tangent of a unit vector, the one element that is read.

    unit      columns; offset, shape    out[p, j] is 1 where j, as a number, is columns[p] + offset, else 0
    entries   tangents, rows            out[p] = tangents[p, rows[p]]
    bands     *diagonals; offsets, n    the entries of all diagonals (number i of each in row i) as CSR data: row by row

A kernel computes `entries` at that one place; the tangents are never written. The nodes are made for a compiled program
(dsl/sparse_jacobian.py): they have no derivatives themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import ops
from . import size as sizes
from .node import Expr, make, toposort
from .primitives import reshape
from .size import Dim, product

_MASKED = {"concat", "place", "update", "gather"}
_MOVING = {"broadcast", "transpose", "slice", "reshape", "cast", *_MASKED}
_DEEP = 4                # of operations in `_MASKED`, one within another: conditions multiply with each
_SHORT = 8               # elements of a sum that is written out
_LARGE = 1000            # operations of a tangent


def unit(columns: Expr, offset: int, like: Expr) -> Expr:
    """Arrays like `like`, one for each of `columns`, with a 1 at that element and zeros."""
    return make("unit", (columns,), (offset, like.shape), like.dtype, (*columns.shape, *like.shape))


def entries(tangents: Expr, rows: Expr) -> Expr:
    """Of each of `tangents`, as many as `rows`, the element of this number."""
    flat = reshape(tangents, (tangents.shape[0], product(tangents.shape[1:])))
    return make("entries", (flat, rows), (), tangents.dtype, rows.shape)


def bands(diagonals: Sequence[Expr], offsets: Sequence[int], columns: Dim) -> Expr:
    """The entries at (i, i + d) of a matrix with so many `columns`, for the rising `offsets` d, in the order of CSR."""
    rows = diagonals[0].shape[0]
    count = sum((length(d, rows, columns) for d in offsets), 0)
    return make("bands", tuple(diagonals), (tuple(offsets), columns), diagonals[0].dtype, (count,))


def length(offset: int, rows: Dim, columns: Dim) -> Dim:
    """How many entries of a matrix of this shape lie on a diagonal."""
    return sizes.maximum(sizes.minimum(rows, columns - offset) - max(-offset, 0), 0)


def is_local(tangent: Expr, seed: Expr) -> bool:
    """Whether an element of `tangent` takes few elements of `seed`, which it is linear in, and no sum over many."""
    depth = {seed: 0}
    for node in toposort([tangent]):
        below = [depth[a] for a in node.args if a in depth]
        if not below:
            continue
        if not (node.op in ops.ROWS or node.op in _MOVING or _is_short_sum(node)):
            return False
        depth[node] = max(below) + (node.op in _MASKED)
    return depth.get(tangent, 0) <= _DEEP and len(depth) <= _LARGE


def _is_short_sum(node: Expr) -> bool:
    if node.op != "reduce":
        return False
    turns = product([node.args[0].shape[a] for a in node.attrs[1]])
    return isinstance(turns, int) and 0 < turns <= _SHORT
