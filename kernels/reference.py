"""The reference target: NumPy says what every operation means.

Obvious rather than fast; every other target is held against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..dsl import ops
from ..dsl.errors import PullbackError, ShapeError
from ..dsl.node import Expr, toposort
from ..dsl.size import Size
from ..dsl.size import evaluate as size_of

Sizes = Mapping[str, int]
Rule = Callable[..., Any]  # (node, sizes, *argument arrays) -> array

# How `scatter` and `update` combine what is there with what comes; "set" is assignment.
COMBINE = {"add": np.add, "multiply": np.multiply, "minimum": np.minimum, "maximum": np.maximum,
           "logical_and": np.logical_and, "logical_or": np.logical_or}


def evaluate(
    roots: Iterable[Expr], values: Mapping[Expr, Any] | None = None, sizes: Sizes | None = None
) -> list[np.ndarray]:
    """The arrays that typed `roots` are when each typed variable is the array `values` gives it.

    `sizes` gives symbolic sizes their values; those left out are read from the shapes of `values`. Results are new
    arrays of exactly the dtype and shape of their node. Raises IndexError where a gather or scatter leaves its array,
    ShapeError where a minimum or maximum is taken over zero elements.

    >>> from pullback.dsl.node import make
    >>> x = make("var", (), ("x",), "float64", (2,))
    >>> evaluate([make("negative", (x,), (), "float64", (2,))], {x: [1.0, 2.0]})
    [array([-1., -2.])]
    """
    roots = list(roots)
    known = {node: np.asarray(value) for node, value in (values or {}).items()}
    sizes = {**_sizes_of(known), **(sizes or {})}
    order = toposort(roots)
    uses = Counter(roots)
    for node in order:
        uses.update(node.args)
    done: dict[Expr, Any] = {}
    with np.errstate(all="ignore"):
        for node in order:
            done[node] = (_checked(node, sizes, known[node]) if node in known
                          else value_of(node, sizes, done))
            for argument in node.args:
                uses[argument] -= 1
                if not uses[argument]:
                    del done[argument]
    return [np.array(done[root], order="C") for root in roots]


def value_of(node: Expr, sizes: Sizes, done: Mapping[Expr, Any]) -> Any:
    """The value of one node, given those of its arguments: an array, or a tuple for several results."""
    return _checked(node, sizes, _computed(node, sizes, done))


def _computed(node: Expr, sizes: Sizes, done: Mapping[Expr, Any]) -> Any:
    arguments = [done[a] for a in node.args]
    if node.op in RULES:
        return RULES[node.op](node, sizes, *arguments)
    if node.op in ops.ROWS:
        return ops.ROWS[node.op].numpy(*arguments, dtype=node.dtype)
    raise PullbackError(f"the reference target does not know the operation {node.op!r}")


def _checked(node: Expr, sizes: Sizes, value: Any) -> Any:
    if node.dtype is None:
        return value
    value = np.asarray(value)
    shape = _shape(node.shape, sizes)
    assert value.dtype == node.dtype, f"{node.op} gave {value.dtype}, its node says {node.dtype}"
    assert value.shape == shape, f"{node.op} gave shape {value.shape}, its node says {node.shape} = {shape}"
    return value


def _sizes_of(values: Mapping[Expr, np.ndarray]) -> dict[str, int]:
    """Sizes that stand alone as a dimension of a variable."""
    found: dict[str, int] = {}
    for node, value in values.items():
        for dim, extent in zip(node.shape or (), value.shape, strict=False):
            if isinstance(dim, Size) and dim.symbols() == {str(dim)}:
                found.setdefault(str(dim), extent)
    return found


def _shape(shape: tuple, sizes: Sizes) -> tuple[int, ...]:
    return tuple(size_of(dim, sizes) for dim in shape)


def _region(ranges: tuple, counts: tuple[int, ...], extents: tuple[int, ...], sizes: Sizes) -> tuple:
    """The index of elements start + step*i, i < count, on every axis."""
    places = []
    for (start, step), count, extent in zip(ranges, counts, extents, strict=True):
        place = size_of(start, sizes) + size_of(step, sizes) * np.arange(count)
        assert not count or (place.min() >= 0 and place.max() < extent), f"{start}+{step}*i leaves 0..{extent}"
        places.append(place)
    return np.ix_(*places)


# ---- leaves -----------------------------------------------------------------------------------------------------
def _var(node: Expr, sizes: Sizes) -> Any:
    raise PullbackError(f"the variable {node.attrs[0]!r} has no value")


def _const(node: Expr, sizes: Sizes) -> Any:
    return node.attrs[0].array


def _size(node: Expr, sizes: Sizes) -> Any:
    return np.asarray(size_of(node.attrs[0], sizes)).astype(node.dtype)


def _iota(node: Expr, sizes: Sizes) -> Any:
    return np.arange(size_of(node.attrs[0], sizes)).astype(node.dtype)


# ---- entries of Jacobians ------------------------------------------------------------------------------------------
def _unit(node: Expr, sizes: Sizes, columns: np.ndarray) -> Any:
    offset, shape = node.attrs[0], _shape(node.attrs[1], sizes)
    numbers = np.arange(np.prod(shape, dtype=np.int64))
    return (numbers == columns[:, None] + offset).astype(node.dtype).reshape(-1, *shape)


def _entries(node: Expr, sizes: Sizes, tangents: np.ndarray, rows: np.ndarray) -> Any:
    return tangents[np.arange(len(rows)), rows]


def _bands(node: Expr, sizes: Sizes, *diagonals: np.ndarray) -> Any:
    offsets, columns = node.attrs
    places = np.arange(len(diagonals[0]))[:, None] + np.array(offsets)
    return np.stack(diagonals, axis=1)[(places >= 0) & (places < size_of(columns, sizes))]


# ---- complex numbers --------------------------------------------------------------------------------------------
def _real(node: Expr, sizes: Sizes, x: np.ndarray) -> Any:
    return np.real(x)


def _imag(node: Expr, sizes: Sizes, x: np.ndarray) -> Any:
    return np.imag(x)


def _conj(node: Expr, sizes: Sizes, x: np.ndarray) -> Any:
    return x.conj()


def _complex(node: Expr, sizes: Sizes, re: np.ndarray, im: np.ndarray) -> Any:
    out = np.empty(np.shape(re), node.dtype)
    out.real, out.imag = re, im
    return out


# ---- renumbering ------------------------------------------------------------------------------------------------
def _broadcast(node: Expr, sizes: Sizes, x: np.ndarray) -> Any:
    dims, shape = node.attrs[0], _shape(node.attrs[1], sizes)
    assert list(dims) == sorted(set(dims)), f"axes {dims} are not in order"
    assert x.shape == tuple(shape[d] for d in dims), f"{x.shape} at axes {dims} of {shape}"
    return np.broadcast_to(np.expand_dims(x, tuple(i for i in range(len(shape)) if i not in dims)), shape)


def _reshape(node: Expr, sizes: Sizes, x: np.ndarray) -> Any:
    return x.reshape(_shape(node.attrs[0], sizes))


def _transpose(node: Expr, sizes: Sizes, x: np.ndarray) -> Any:
    return x.transpose(node.attrs[0])


def _slice(node: Expr, sizes: Sizes, x: np.ndarray) -> Any:
    return x[_region(node.attrs[0], _shape(node.attrs[1], sizes), x.shape, sizes)]


def _place(node: Expr, sizes: Sizes, x: np.ndarray, fill: np.ndarray) -> Any:
    out = np.full(_shape(node.attrs[1], sizes), fill)
    out[_region(node.attrs[0], x.shape, out.shape, sizes)] = x
    return out


def _concat(node: Expr, sizes: Sizes, *parts: np.ndarray) -> Any:
    return np.concatenate(parts, axis=node.attrs[0])


def _update(node: Expr, sizes: Sizes, x: np.ndarray, v: np.ndarray) -> Any:
    op, ranges = node.attrs[:2]
    out = x.copy()
    region = _region(ranges, v.shape, x.shape, sizes)
    out[region] = v if op == "set" else COMBINE[op](out[region], v)
    return out


# ---- indexing by arrays -----------------------------------------------------------------------------------------
def _check_indices(x: np.ndarray, indices: tuple, axes: tuple[int, ...]) -> None:
    for axis, index in zip(axes, indices, strict=True):
        outside = (index < 0) | (index >= x.shape[axis])
        if outside.any():
            wrong = index[outside].flat[0]
            raise IndexError(f"index {wrong} is out of bounds for axis {axis} with size {x.shape[axis]}")


def _gather(node: Expr, sizes: Sizes, x: np.ndarray, *indices: np.ndarray) -> Any:
    axes = node.attrs[0]
    _check_indices(x, indices, axes)
    return np.moveaxis(x, axes, range(len(axes)))[tuple(indices)]


def _scatter(node: Expr, sizes: Sizes, x: np.ndarray, *rest: np.ndarray) -> Any:
    (op, axes), (*indices, updates) = node.attrs[:2], rest
    _check_indices(x, tuple(indices), axes)
    out = x.copy()
    target = np.moveaxis(out, axes, range(len(axes)))
    # Flat indices keep NumPy to row-major order, in which the last of duplicates wins.
    flat = tuple(np.ravel(i) for i in indices)
    updates = updates.reshape((flat[0].size, *target.shape[len(axes):]))
    if op == "set":
        target[flat] = updates
    else:
        COMBINE[op].at(target, flat, updates)
    return out


# ---- folding ----------------------------------------------------------------------------------------------------
def _reduce(node: Expr, sizes: Sizes, x: np.ndarray) -> Any:
    op, axes = node.attrs
    if op in ("minimum", "maximum"):
        if 0 in (x.shape[a] for a in axes) and 0 not in _shape(node.shape, sizes):
            raise ShapeError(f"{op} over zero elements has no value (shape {x.shape}, axes {axes}): "
                             "give a nonempty array")
        return COMBINE[op].reduce(x, axis=axes)
    return COMBINE[op].reduce(x, axis=axes, dtype=node.dtype)


def _logsumexp(node: Expr, sizes: Sizes, x: np.ndarray) -> Any:
    top, powers = _exponentials(node, sizes, x)
    return np.squeeze(top, node.attrs[0]) + np.log(powers.sum(axis=node.attrs[0], dtype=node.dtype))


def _softmax(node: Expr, sizes: Sizes, x: np.ndarray) -> Any:
    _, powers = _exponentials(node, sizes, x)
    total = powers.sum(axis=node.attrs[0], dtype=node.dtype, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def _exponentials(node: Expr, sizes: Sizes, x: np.ndarray) -> Any:
    """The maximum over the axes, or 0 where that is not finite, and exp(x - maximum)."""
    if 0 in (x.shape[a] for a in node.attrs[0]) and 0 not in _shape(node.shape, sizes):
        raise ShapeError(f"{node.op} over zero elements has no value (shape {x.shape}, axes {node.attrs[0]}): "
                         "give a nonempty array")
    top = x.max(axis=node.attrs[0], keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, np.zeros((), x.dtype))
    return top, np.exp(x - top)


def _contract(node: Expr, sizes: Sizes, a: np.ndarray, b: np.ndarray) -> Any:
    labels_a, labels_b, labels_out = node.attrs
    return np.einsum(f"{labels_a},{labels_b}->{labels_out}", a, b, optimize=True)


def _library(node: Expr, sizes: Sizes, *operands: np.ndarray) -> Any:
    from .host import compute

    name, static = node.attrs
    return compute(name, list(operands), {k: static_value(v, sizes) for k, v in static})


def static_value(value: Any, sizes: Sizes) -> Any:
    """A static value of a library routine, with sizes as numbers."""
    if isinstance(value, tuple):
        return [static_value(v, sizes) for v in value]
    return size_of(value, sizes) if isinstance(value, Size) else value


def _recurrence(node: Expr, sizes: Sizes, a: np.ndarray, b: np.ndarray) -> Any:
    axis, reverse = node.attrs
    out = np.empty_like(b)
    a_k, b_k, s = (np.moveaxis(array, axis, 0)[:: -1 if reverse else 1] for array in (a, b, out))
    previous = np.zeros(s.shape[1:], b.dtype)
    for k in range(len(s)):
        s[k] = a_k[k] * previous + b_k[k]
        previous = s[k]
    return out


# ---- several results --------------------------------------------------------------------------------------------
def _pack(node: Expr, sizes: Sizes, *parts: np.ndarray) -> Any:
    return parts


def _item(node: Expr, sizes: Sizes, parts: tuple) -> Any:
    """What a loop stacked is as long as its bound; turns that were not taken are zero."""
    part = parts[node.attrs[0]]
    if not isinstance(part, list):
        return part
    whole = np.zeros(_shape(node.shape, sizes), node.dtype)
    for turn, value in enumerate(part):
        whole[turn] = value
    return whole


def _loop(node: Expr, sizes: Sizes, *args: np.ndarray) -> tuple:
    """The body once per turn; see dsl/loop.py for the order of results."""
    body, count = node.attrs
    values = list(args)
    turns = values.pop(0) if count == "argument" else None if count is None else size_of(count, sizes)
    carries = values[: len(body.carries)]
    operands = dict(zip(body.operands, values[len(body.carries):], strict=True))
    stacked: list[list[np.ndarray]] = [[] for _ in body.stacked]
    states: list[list[np.ndarray]] = [[] for _ in carries]
    trips = 0
    while True:
        known = {body.index: np.int64(trips), **dict(zip(body.carries, carries, strict=True)), **operands}
        if turns is not None and trips >= turns or turns is None and not evaluate([body.test], known, sizes)[0]:
            break
        if turns is None and body.limit is not None and trips >= size_of(body.limit, sizes):
            raise PullbackError(f"{body.what} took more than max_steps={size_of(body.limit, sizes)} turns")
        for kept, state in zip(states, carries, strict=True):
            kept.append(state)
        out = evaluate([*body.results, *body.stacked], known, sizes)
        carries = out[: len(carries)]
        for kept, value in zip(stacked, out[len(carries):], strict=True):
            kept.append(value)
        trips += 1
    return (*carries, *stacked, *states, trips)


def _branch(node: Expr, sizes: Sizes, index: np.ndarray, *operands: np.ndarray) -> tuple:
    """The results of the body that the index chooses; an index out of range chooses the first or the last."""
    body = node.attrs[min(max(int(index), 0), len(node.attrs) - 1)]
    return tuple(evaluate(body.results, dict(zip(body.operands, operands, strict=True)), sizes))


def _bound(node: Expr, sizes: Sizes) -> Any:
    raise PullbackError("a variable of a loop or branch has no value while the program is built: "
                        "index an array with it as pb.asarray(a)[i], and compute with pullback's functions")


RULES: dict[str, Rule] = {
    "var": _var, "const": _const, "size": _size, "iota": _iota,
    "broadcast": _broadcast, "reshape": _reshape, "transpose": _transpose,
    "slice": _slice, "place": _place, "concat": _concat, "update": _update,
    "gather": _gather, "scatter": _scatter, "unit": _unit, "entries": _entries, "bands": _bands,
    "reduce": _reduce, "contract": _contract, "library": _library, "recurrence": _recurrence,
    "logsumexp": _logsumexp, "softmax": _softmax,
    "real": _real, "imag": _imag, "conj": _conj, "complex": _complex,
    "pack": _pack, "item": _item, "loop": _loop, "branch": _branch, "bound": _bound,
}
