"""What a node says, in the words of the public functions: the step between a program and its printed mathematics.

A deferred call is what the user wrote. A typed operation is put back into the form in which a person would write it:
broadcasts that NumPy makes by itself are left out, a contraction becomes `a @ b` or `a.T @ b`, a slice `x[1:, ::2]`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from . import ops
from .library import result_count
from .node import FUNCTIONS, Constant, Expr
from .phrase_rows import folded, row_phrase, unbroadcast, unstopped
from .size import Dim, Size, floordiv, product, same, same_shape
from .surface import call_arguments
from .words import Phrase as Phrase

REDUCTIONS = {"add": "sum", "multiply": "prod", "minimum": "min", "maximum": "max",
              "logical_and": "all", "logical_or": "any"}
_ALL = slice(None)


def phrase(node: Expr) -> Phrase:
    """The words for `node`."""
    node = unstopped(node)
    if node.op in _PHRASES:
        return _PHRASES[node.op](node)
    if node.op in ops.ROWS and node.typed:
        return row_phrase(node)
    return Phrase(node.op, (*node.args, *node.attrs))


def expanded(node: Expr) -> Expr:
    """A derivative of declared variables as the expression that it is; any other node as it stands."""
    call = node.args[0] if node.op == "item" else node
    derivative = call.op == "call" and call.attrs[0] in ("grad", "vjp", "jvp", "derivative")
    return node.shadow if derivative and node.shadow is not None else node


# ---- leaves and deferred calls ----------------------------------------------------------------------------------
def _const(node: Expr) -> Phrase:
    array = node.attrs[0].array
    return Phrase("array", (array.shape,)) if array.ndim else Phrase("number", (array,))


def _call(node: Expr) -> Phrase:
    """The call without optional arguments that say what is said anyway."""
    args, named = call_arguments(node)
    if args and hasattr(args[0], "spelled"):         # loops and branches, whose bodies are expressions
        return Phrase(*args[0].spelled(*args[1:]))
    parameters = _parameters(node.attrs[0])
    while len(args) > 1 and len(args) <= len(parameters) and _is_default(args[-1], parameters[len(args) - 1].default):
        args = args[:-1]
    defaults = {p.name: p.default for p in parameters}
    return Phrase(node.attrs[0], args, {k: v for k, v in named.items() if not _is_default(v, defaults.get(k, v))})


@lru_cache(maxsize=1024)
def _parameters(name: str) -> tuple[inspect.Parameter, ...]:
    function = FUNCTIONS.get(name)
    return () if function is None else tuple(inspect.signature(function).parameters.values())


def _is_default(value: Any, default: Any) -> bool:
    if default is None or isinstance(default, bool):
        return value is default
    return isinstance(default, str) and isinstance(value, str) and value == default


def _bound(node: Expr) -> Phrase:
    """A variable of a loop or branch, which has no name in the user's program but what its kind suggests."""
    counts = node.dtype == np.int64 and not node.shape
    return Phrase("name", ("i" if counts else "carry",))


def _item(node: Expr) -> Phrase:
    """One of several results; of a call for several derivatives, that derivative."""
    call, index = node.args[0], node.attrs[0]
    if call.op == "library":
        words = Phrase(call.attrs[0], call.args, {k: v for k, v in call.attrs[1] if v is not False})
        return words if result_count(call) == 1 else Phrase("item", (words, index))
    if call.op != "call":
        return Phrase("item", (call, index))
    words = _call(call)
    if words.name in ("grad", "vjp") and isinstance(words.args[-1], tuple):
        return Phrase(words.name, (*words.args[:-1], words.args[-1][index]))
    if words.name == "derivative":
        return _function_derivative(words.args[0], words.args[2], index)
    return Phrase("item", (words, index))


def _function_derivative(body: Any, extras: tuple, index: int) -> Phrase:
    """Result `index` of a traced function and its derivatives, in its own variables."""
    place = index - len(body.outputs)
    if place < 0:
        return phrase(body.outputs[index])
    if body.kind == "jvp":
        return Phrase("jvp", (body.outputs[place], body.bound, extras))
    of = body.outputs[0] if body.count == 1 else body.outputs[:body.count]
    return Phrase(body.kind, (of, body.bound[place]) if body.kind == "grad" else (of, extras, body.bound[place]))


def _cast(node: Expr) -> Phrase:
    return Phrase("astype", (node.args[0], node.dtype))


# ---- renumbering ------------------------------------------------------------------------------------------------
def _broadcast(node: Expr) -> Phrase:
    return Phrase("broadcast_to", (unbroadcast(node), node.shape))


def _reshape(node: Expr) -> Phrase:
    x, shape = node.args[0], node.shape
    kept = [d for d in x.shape if not same(d, 1)]
    if x.op == "slice" and same_shape(kept, shape):
        return Phrase("getitem", (x.args[0], _index(x, [same(d, 1) for d in x.shape])))
    if same_shape(kept, shape):
        return Phrase("squeeze", (x,))
    if len(kept) == len(x.shape) and same_shape(kept, [d for d in shape if not same(d, 1)]):
        return Phrase("getitem", (x, _trimmed([None if same(d, 1) else _ALL for d in shape])))
    return Phrase("ravel", (x,)) if len(shape) == 1 else Phrase("reshape", (x, shape))


def _transpose(node: Expr) -> Phrase:
    x, perm = node.args[0], node.attrs[0]
    if x.op == "gather" and len(x.attrs[0]) == 1 and len(x.args) == 2:
        axis, rank = x.attrs[0][0], len(x.args[1].shape)
        if perm == (*range(rank, rank + axis), *range(rank), *range(rank + axis, len(perm))):
            return Phrase("getitem", (x.args[0], (*[_ALL] * axis, _unwrapped(x.args[1]))))
    return Phrase("transpose", (x,)) if perm == tuple(range(len(perm)))[::-1] else Phrase("transpose", (x, perm))


def _slice(node: Expr) -> Phrase:
    return Phrase("getitem", (node.args[0], _index(node, [False] * len(node.shape))))


def _index(node: Expr, dropped: list[bool]) -> tuple:
    """The Python index of a `slice`; axes that are dropped take one element."""
    extents = node.args[0].shape
    axes = zip(node.attrs[0], node.shape, extents, dropped, strict=True)
    return _trimmed([_backwards(start, extent) if drop else python_slice(start, step, count, extent)
                     for (start, step), count, extent, drop in axes])


def _trimmed(index: list) -> tuple:
    while len(index) > 1 and isinstance(index[-1], slice) and index[-1] == _ALL:
        index.pop()
    return tuple(index)


def python_slice(start: Dim, step: int, count: Dim, extent: Dim) -> slice:
    """`start:stop:step` that takes `count` elements of `extent`, with whatever Python lets one leave out."""
    count = _unclamped(count)
    if step > 0:
        whole = same(count, floordiv(extent - start + step - 1, step))
        return slice(None if same(start, 0) else _backwards(start, extent),
                     None if whole else _backwards(start + step * (count - 1) + 1, extent), step if step != 1 else None)
    stop = start + step * count
    whole = same(count, floordiv(start, -step) + 1) or not isinstance(stop, Size) and stop < 0
    return slice(None if same(start, extent - 1) else _backwards(start, extent),
                 None if whole else _backwards(stop, extent), step)


def _unclamped(count: Dim) -> Dim:
    """`k` of `max(k, 0)`: how slices count when a start may lie behind the end."""
    if isinstance(count, Size) and len(count.terms) == 1:
        monomial, coefficient = count.terms[0]
        atom = monomial[0][0]
        if len(monomial) == coefficient == monomial[0][1] == 1 and atom[0] == "max" and atom[2] == 0:
            return Size(atom[1])
    return count


def _backwards(place: Dim, extent: Dim) -> Dim:
    """`place` counted from the end where only so it is a number."""
    distance = place - extent
    return distance if isinstance(place, Size) and not isinstance(distance, Size) and distance < 0 else place


def _place(node: Expr) -> Phrase:
    (x, fill), (ranges, shape) = node.args, node.attrs
    zero = fill.op == "const" and not fill.attrs[0].array.any()
    base = Phrase("zeros", (shape,)) if zero else Phrase("full", (shape, fill))
    return Phrase("update_at", (base, _ranges_index(ranges, x.shape, shape), "set", unbroadcast(x)))


def _update(node: Expr) -> Phrase:
    (x, v), (op, ranges) = node.args, node.attrs[:2]
    return Phrase("update_at", (x, _ranges_index(ranges, v.shape, x.shape), op, unbroadcast(v)))


def _ranges_index(ranges: tuple, counts: tuple, extents: tuple) -> tuple:
    return _trimmed([python_slice(start, step, count, extent)
                     for (start, step), count, extent in zip(ranges, counts, extents, strict=True)])


def _concat(node: Expr) -> Phrase:
    return Phrase("concatenate", (list(node.args),), {"axis": node.attrs[0]})


# ---- indexing by arrays -----------------------------------------------------------------------------------------
def _gather(node: Expr) -> Phrase:
    x, *indices = node.args
    axes = node.attrs[0]
    index = tuple(map(_unwrapped, indices))
    if axes == tuple(range(len(axes))):
        return Phrase("getitem", (x, index))
    if not indices[0].shape and len(axes) == 1:
        return Phrase("getitem", (x, (*[_ALL] * axes[0], *index)))
    return Phrase("gather", (x, *index), {"axes": axes})


def _scatter(node: Expr) -> Phrase:
    (x, *indices, updates), (op, axes) = node.args, node.attrs[:2]
    index = tuple(map(_unwrapped, indices))
    if axes == tuple(range(len(axes))):
        return Phrase("update_at", (x, index, op, unbroadcast(updates)))
    return Phrase("scatter", (x, *index, updates), {"op": op, "axes": axes})


def _unwrapped(index: Expr) -> Expr:
    """`i` of `where(i < 0, i + n, i)`: indices count from the end without being told."""
    if index.op == "where":
        condition, other, i = index.args
        if condition.op == "less" and condition.args[0] is i and other.op == "add" and other.args[0] is i:
            return _unwrapped(i)
    if index.op == "cast" and index.args[0].dtype.kind in "iu":
        return index.args[0]
    return index


# ---- folding ----------------------------------------------------------------------------------------------------
def _reduce(node: Expr) -> Phrase:
    (x,), (op, axes) = node.args, node.attrs
    if op == "add" and x.op == "broadcast" and sorted((*axes, *x.attrs[0])) == list(range(len(x.shape))):
        return Phrase("multiply", (product(x.shape[a] for a in axes), x.args[0]))
    return folded(REDUCTIONS[op], node)


def _contract(node: Expr) -> Phrase:
    (a, b), (labels_a, labels_b, out) = node.args, node.attrs
    orders = _product(a, b, labels_a, labels_b, out), _product(b, a, labels_b, labels_a, out)
    found = [p for p in orders if p is not None]
    if found:
        return min(found, key=lambda p: sum(isinstance(x, Phrase) for x in p.args))
    letters: dict[str, str] = {}
    for label in labels_a + labels_b:
        letters.setdefault(label, "ijklmnopqrstuvwxyzabcdefgh"[len(letters) % 26])
    spelled = ["".join(letters[label] for label in labels) for labels in (labels_a, labels_b, out)]
    return Phrase("einsum", (f"{spelled[0]},{spelled[1]}->{spelled[2]}", a, b))


def _product(a: Any, b: Any, labels_a: str, labels_b: str, out: str) -> Phrase | None:
    """`a @ b`, with transposes where needed, or `outer(a, b)`; None where NumPy's `@` is another product."""
    if len(labels_a) == len(labels_b) == 1 and out == labels_a + labels_b:
        return Phrase("outer", (a, b))
    shared = set(labels_a) & set(labels_b) - set(out)
    if len(shared) != 1:
        return None
    (k,) = shared
    free_a, free_b = labels_a.replace(k, ""), labels_b.replace(k, "")
    batch = out[: len(set(free_a) & set(free_b))]
    rows, columns = free_a[len(batch):], free_b[len(batch):]
    if not free_a.startswith(batch) or not free_b.startswith(batch) or out != batch + rows + columns:
        return None
    if len(columns) > 1 or batch and not len(rows) == len(columns) == 1:
        return None
    left, right = _oriented(a, labels_a, free_a + k), _oriented(b, labels_b, batch + k + columns)
    return None if left is None or right is None else Phrase("matmul", (left, right))


def _oriented(x: Any, labels: str, wanted: str) -> Any:
    """`x` with axes in the order of `wanted`, where a transpose of the last two makes it."""
    if labels == wanted:
        return x
    if labels[:-2] + labels[-2:][::-1] != wanted:
        return None
    return Phrase("transpose" if len(labels) == 2 else "matrix_transpose", (x,))


def _recurrence(node: Expr) -> Phrase:
    (a, b), (axis, reverse) = node.args, node.attrs
    one = a.op == "broadcast" and a.args[0].op == "const" and a.args[0].attrs[0] == Constant(np.ones((), a.dtype))
    named = {"axis": axis, **({"reverse": True} if reverse else {})}
    return Phrase("cumsum", (b,), named) if one else Phrase("recurrence", (a, b), named)


# ---- entries of Jacobians ------------------------------------------------------------------------------------------
def _bands(node: Expr) -> Phrase:
    """Its diagonals differ in the unit vectors alone."""
    return Phrase("diagonals", (node.args[0].args[0], node.attrs[0]))


_PHRASES: dict[str, Callable[[Expr], Phrase]] = {
    "var": lambda node: Phrase("name", (node.attrs[0],)), "bound": _bound, "const": _const,
    "call": _call, "item": _item,
    "size": lambda node: Phrase("size", node.attrs), "iota": lambda node: Phrase("arange", node.attrs),
    "cast": _cast, "broadcast": _broadcast, "reshape": _reshape, "transpose": _transpose, "slice": _slice,
    "place": _place, "update": _update, "concat": _concat, "gather": _gather, "scatter": _scatter,
    "reduce": _reduce, "contract": _contract, "recurrence": _recurrence,
    "unit": lambda node: Phrase("unit", (node.args[0],)), "entries": lambda node: Phrase("entries", node.args),
    "bands": _bands,
    "logsumexp": lambda node: folded("logsumexp", node),
    "softmax": lambda node: folded("softmax", node),
}
