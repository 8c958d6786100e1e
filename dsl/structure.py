"""Which elements of a variable the elements of an expression can depend on, from the index maps of its operations.

Sizes are numbers here. What is not known before the program runs, such as a gathered index, counts as any; a branch
as all of its bodies. What carries of a loop depend on is followed for a few turns, and until it grows no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import index_sets, ops
from .branch import Branch
from .index_sets import Piece, placed, repeated, reshaped, selected, sliced, union
from .library import ROUTINES, results_of
from .loop import Loop
from .node import FUNCTIONS, Expr, toposort

Pieces = list[Piece]
_TURNS = 16                        # of a loop, that are followed one by one


def dependence(outputs: Sequence[Expr], known: Mapping[Expr, Pieces]) -> list[Pieces]:
    """For each of `outputs` the pairs of its elements and those of a variable, given them for some nodes."""
    done: dict[Expr, Any] = dict(known)
    for node in toposort(outputs):
        if node in done:
            continue
        parts = [done[a] for a in node.args]
        if node.op == "item":
            done[node] = parts[0][node.attrs[0]] if parts[0] else []
        elif not any(parts):
            done[node] = []
        elif node.op in _RULES:
            done[node] = _RULES[node.op](node, parts)
        elif node.op in ops.ROWS:
            done[node] = union(parts)
        else:
            done[node] = everything(node, union(dense((), p, a) for p, a in zip(parts, node.args, strict=True)))
    return [done[o] for o in outputs]


def dense(shape: Sequence[int], pieces: Pieces, of: Expr) -> Pieces:
    """Every element of an array of this shape depends on what any element of `of` does."""
    return repeated(selected(pieces, (), of.ndim), (), shape) if pieces else []


def everything(node: Expr, pieces: Pieces) -> Any:
    """Every element of `node`, or of each of its results, depends on `pieces`, which have no rows."""
    if node.dtype is not None:
        return repeated(pieces, (), node.shape)
    assert node.op == "custom", node.op
    return [repeated(pieces, (), result.shape) for result in node.args[: node.attrs[0].results]]


# ---- renumbering ------------------------------------------------------------------------------------------------
def _broadcast(node: Expr, parts: list[Pieces]) -> Pieces:
    return repeated(parts[0], *node.attrs)


def _reshape(node: Expr, parts: list[Pieces]) -> Pieces:
    return reshaped(parts[0], node.args[0].shape, node.shape)


def _transpose(node: Expr, parts: list[Pieces]) -> Pieces:
    return selected(parts[0], node.attrs[0], node.ndim)


def _slice(node: Expr, parts: list[Pieces]) -> Pieces:
    return sliced(parts[0], node.attrs[0], node.shape)


def _place(node: Expr, parts: list[Pieces]) -> Pieces:
    return union([placed(parts[0], node.attrs[0]), repeated(parts[1], (), node.shape)])


def _update(node: Expr, parts: list[Pieces]) -> Pieces:
    (op, ranges), (x, v) = node.attrs, node.args
    return union([_outside(parts[0], ranges, v.shape, x.shape) if op == "set" else parts[0], placed(parts[1], ranges)])


def _outside(pieces: Pieces, ranges: Sequence[tuple[int, int]], region: Sequence[int], shape: Sequence[int]) -> Pieces:
    """The rows that are not in a region; all of them where its steps leave gaps."""
    if any(step != 1 for _, step in ranges):
        return pieces
    found, box = [], [(0, n) for n in shape]
    for axis, ((start, _), count) in enumerate(zip(ranges, region, strict=True)):
        for low, high in ((0, start), (start + count, shape[axis])):
            here = [*box[:axis], (low, high), *box[axis + 1 :]]
            starts = [(a, 1) for a, _ in here]
            found.append(placed(sliced(pieces, starts, [b - a for a, b in here]), starts))
        box[axis] = (start, start + count)
    return union(found)


def _concat(node: Expr, parts: list[Pieces]) -> Pieces:
    axis, start, found = node.attrs[0], 0, []
    for arg, pieces in zip(node.args, parts, strict=True):
        found.append(placed(pieces, [(start if a == axis else 0, 1) for a in range(node.ndim)]))
        start += arg.shape[axis]
    return union(found)


# ---- indexing by arrays -----------------------------------------------------------------------------------------
def _gather(node: Expr, parts: list[Pieces]) -> Pieces:
    x, *indices = node.args
    axes, values = node.attrs[0], _values(indices)
    if values is not None:
        return index_sets.looked_up(parts[0], values, axes, x.shape)
    rest = [a for a in range(x.ndim) if a not in axes]
    depth = indices[0].ndim
    return repeated(selected(parts[0], rest, x.ndim), range(depth, node.ndim), node.shape)


def _scatter(node: Expr, parts: list[Pieces]) -> Pieces:
    x, *indices, updates = node.args
    axes, values = node.attrs[1], _values(indices)
    if values is not None:
        return union([parts[0], index_sets.scattered(parts[-1], values, axes, x.ndim)])
    depth = indices[0].ndim
    rest = [a for a in range(x.ndim) if a not in axes]
    return union([parts[0], repeated(selected(parts[-1], range(depth, updates.ndim), updates.ndim), rest, x.shape)])


def _values(indices: Sequence[Expr]) -> list[np.ndarray] | None:
    """The values of index arrays, where they are known before the program runs."""
    if any(n.op in ("var", "bound") for n in toposort(indices)):
        return None
    return [np.asarray(FUNCTIONS["_evaluate"](i)) for i in indices]


# ---- folding ----------------------------------------------------------------------------------------------------
def _reduce(node: Expr, parts: list[Pieces]) -> Pieces:
    x = node.args[0]
    return selected(parts[0], [a for a in range(x.ndim) if a not in node.attrs[1]], x.ndim)


def _contract(node: Expr, parts: list[Pieces]) -> Pieces:
    *inputs, out = node.attrs
    found = []
    for arg, labels, pieces in zip(node.args, inputs, parts, strict=True):
        kept = [a for a, label in enumerate(labels) if label in out]
        found.append(repeated(selected(pieces, kept, arg.ndim), [out.index(labels[a]) for a in kept], node.shape))
    return union(found)


def _recurrence(node: Expr, parts: list[Pieces]) -> Pieces:
    others = [a for a in range(node.ndim) if a != node.attrs[0]]
    return repeated(selected(union(parts), others, node.ndim), others, node.shape)


def _along_axes(node: Expr, parts: list[Pieces]) -> Pieces:
    x = node.args[0]
    others = [a for a in range(x.ndim) if a not in node.attrs[0]]
    inside = selected(parts[0], others, x.ndim)
    return inside if node.op == "logsumexp" else repeated(inside, others, node.shape)


# ---- loops and branches -----------------------------------------------------------------------------------------
def _loop(node: Expr, parts: list[Pieces]) -> list[Pieces]:
    loop = Loop(node)
    carries, shift = len(loop.inits), len(node.args) - len(loop.inits) - len(loop.operands)
    operands = dict(zip(loop.body.operands, parts[shift + carries :], strict=True))
    start = parts[shift : shift + carries]

    def turn(state: Sequence[Pieces]) -> tuple[list[Pieces], list[Pieces]]:
        known = {**operands, **dict(zip(loop.body.carries, state, strict=True))}
        found = dependence([*loop.body.results, *loop.body.stacked], known)
        return found[:carries], found[carries:]

    if isinstance(loop.count, int) and loop.count <= _TURNS:
        return _turn_by_turn(loop, turn, start)
    state = _settled(loop, turn, start, operands)
    values = [*loop.body.stacked, *loop.body.carries]
    over = [_at_any_turn(loop, s, v) for s, v in zip([*turn(state)[1], *state], values, strict=True)]
    return [*state, *over, []]


def _turn_by_turn(loop: Loop, turn: Callable[..., Any], state: list[Pieces]) -> list[Pieces]:
    """Carries, stacked values and trajectories of a loop of a few turns."""
    before, stacked = [], []
    for _ in range(loop.count):                      # type: ignore[arg-type]
        before.append(state)
        state, values = turn(state)
        stacked.append(values)
    rows = [_at_turn(stacked, k) for k in range(len(loop.body.stacked))]
    return [*state, *rows, *(_at_turn(before, k) for k in range(len(state))), []]


def _settled(loop: Loop, turn: Callable[..., Any], state: list[Pieces],
             operands: Mapping[Expr, Pieces]) -> list[Pieces]:
    """What the carries depend on after any number of turns; on everything, where that grows for long."""
    for _ in range(_TURNS):
        after = [union(pair) for pair in zip(state, turn(state)[0], strict=True)]
        if all({p.key() for p in a} == {p.key() for p in b} for a, b in zip(state, after, strict=True)):
            return state
        state = after
    known = [*zip(state, loop.body.carries, strict=True), *((p, o) for o, p in operands.items())]
    every = union(dense((), pieces, of) for pieces, of in known)
    return [repeated(every, (), c.shape) for c in loop.body.carries]


def _at_turn(turns: Sequence[Sequence[Pieces]], k: int) -> Pieces:
    """What is stacked over turns that were followed one by one."""
    found = []
    for number, values in enumerate(turns):
        for piece in values[k]:
            rank = piece.rows.shape[1]
            found.append(piece.moved(np.eye(rank, rank + 1, 1, dtype=np.int64), [number] + [0] * rank))
    return union([found])


def _at_any_turn(loop: Loop, pieces: Pieces, value: Expr) -> Pieces:
    turns = loop.turns
    if turns is None:
        return []
    return repeated(pieces, range(1, value.ndim + 1), (int(turns), *value.shape))


def _branch(node: Expr, parts: list[Pieces]) -> list[Pieces]:
    view = Branch(node)
    known = dict(zip(view.variables, parts[1:], strict=True))
    bodies = [dependence(body.results, known) for body in view.bodies]
    return [union(column) for column in zip(*bodies, strict=True)]


def _library(node: Expr, parts: list[Pieces]) -> list[Pieces]:
    """Every element of a result depends on the whole operands, at the same place of the batch."""
    core = ROUTINES[node.attrs[0]].core
    batch = list(range(node.args[0].ndim - core[0]))
    known = union(selected(pieces, batch, a.ndim) for pieces, a in zip(parts, node.args, strict=True))
    return [repeated(known, batch, result.shape) for result in results_of(node)]


def _pack(node: Expr, parts: list[Pieces]) -> list[Pieces]:
    return parts


_RULES: dict[str, Callable[[Expr, list[Any]], Any]] = {
    "broadcast": _broadcast, "reshape": _reshape, "transpose": _transpose, "slice": _slice, "place": _place,
    "update": _update, "concat": _concat, "gather": _gather, "scatter": _scatter, "reduce": _reduce,
    "contract": _contract, "recurrence": _recurrence, "softmax": _along_axes, "logsumexp": _along_axes,
    "loop": _loop, "branch": _branch, "pack": _pack, "library": _library,
}
