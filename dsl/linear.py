"""Products that sum: matmul and its relatives.

Each becomes a two-operand `contract`, or a plain product where nothing is summed.
"""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .arguments import array, entries, integer, one_axis
from .errors import ShapeError
from .node import Expr, where
from .primitives import cast, scalar, show_shape
from .surface import surface

_LETTERS = string.ascii_lowercase + string.ascii_uppercase


def pair(a: Any, b: Any) -> tuple[Expr, Expr]:
    """Both operands in their common dtype."""
    a, b = array(a), array(b)
    common = np.result_type(a.dtype, b.dtype)
    return cast(a, common), cast(b, common)


def sum_of_products(a: Expr, b: Expr, labels_a: str, labels_b: str, out: str) -> Expr:
    """The sum over labels not in `out` of a * b, each label once per operand; of bools whether any pair holds."""
    if a.dtype.kind == "b":
        wide = sum_of_products(cast(a, np.int64), cast(b, np.int64), labels_a, labels_b, out)
        return cast(wide, bool)
    a, labels_a = _summed_alone(a, labels_a, labels_b + out)
    b, labels_b = _summed_alone(b, labels_b, labels_a + out)
    if all(label in out for label in labels_a + labels_b):
        dims = dict(zip(labels_a, a.shape, strict=True)) | dict(zip(labels_b, b.shape, strict=True))
        shape = tuple(dims[label] for label in out)
        return scalar("multiply", _aligned(a, labels_a, out, shape), _aligned(b, labels_b, out, shape))
    return primitives.contract(a, b, labels_a, labels_b, out)


def _summed_alone(x: Expr, labels: str, elsewhere: str) -> tuple[Expr, str]:
    alone = tuple(i for i, label in enumerate(labels) if label not in elsewhere)
    return primitives.reduce(x, "add", alone), "".join(label for label in labels if label in elsewhere)


def _aligned(x: Expr, labels: str, out: str, shape: tuple) -> Expr:
    """`x` with its axes in the order of `out`, repeated along the labels that it lacks."""
    order = sorted(labels, key=out.index)
    x = primitives.transpose(x, tuple(labels.index(label) for label in order))
    return primitives.broadcast(x, tuple(map(out.index, order)), shape)


@surface
def matmul(a: Any, b: Any) -> Expr:
    """The matrix product `a @ b` by NumPy's rules: 1-D arrays are vectors, leading axes broadcast.

    Shapes: (.., n, k) @ (.., k, m) -> (.., n, m); (n, k) @ (k,) -> (n,); (k,) @ (k,) -> a scalar.
    Raises ShapeError where k differs.

    >>> import pullback as pb
    >>> pb.matmul(pb.Var('w'), pb.Var('x'))
    w @ x
    """
    a, b = pair(a, b)
    rank_a, rank_b = len(a.shape), len(b.shape)
    if not rank_a or not rank_b:
        raise ShapeError(f"matmul takes arrays of at least one axis, not {show_shape(a.shape)} and "
                         f"{show_shape(b.shape)}: write a * b for a product with a number")
    inner_a, inner_b = a.shape[-1], b.shape[-2] if rank_b > 1 else b.shape[0]
    if not sizes.equal(inner_a, inner_b):
        raise ShapeError(_mismatch(a, b, inner_a, inner_b))
    batch = primitives.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    names = _LETTERS[3:3 + len(batch)]
    a, labels_a = _batched(a, names, batch, "ab"[2 - min(rank_a, 2):])
    b, labels_b = _batched(b, names, batch, "bc"[:min(rank_b, 2)])
    out = names + ("a" if rank_a > 1 else "") + ("c" if rank_b > 1 else "")
    return sum_of_products(a, b, labels_a, labels_b, out)


def _batched(x: Expr, names: str, batch: tuple, core: str) -> tuple[Expr, str]:
    """`x` without the batch axes that repeat, and its labels."""
    leading = len(x.shape) - len(core)
    offset = len(batch) - leading
    repeated = [i for i in range(leading) if primitives.repeats(x.shape[i], batch[offset + i])]
    labels = "".join(names[offset + i] for i in range(leading) if i not in repeated) + core
    return primitives.reshape(x, tuple(d for i, d in enumerate(x.shape) if i not in repeated)), labels


def _mismatch(a: Expr, b: Expr, inner_a: Any, inner_b: Any) -> str:
    place = "second to last" if len(b.shape) > 1 else "only"
    text = (f"matmul of {_named(a)} by {_named(b)}: the last axis of the first has {sizes.show(inner_a)}, "
            f"the {place} axis of the second has {sizes.show(inner_b)}, and they must agree")
    if len(b.shape) > 1 and sizes.same(inner_a, b.shape[-1]):
        return text + "; transpose the second with .mT?"
    if len(a.shape) > 1 and sizes.same(a.shape[-2], inner_b):
        return text + "; transpose the first with .mT?"
    return text


def _named(x: Expr) -> str:
    name = f"{x.attrs[0]} " if x.op == "var" else ""
    return f"{name}{show_shape(x.shape)}{'' if name else where(x)}"


@surface
def dot(a: Any, b: Any) -> Expr:
    """NumPy's dot: a product with a number, else the sum over the last axis of `a` and the second to last of `b`."""
    a, b = pair(a, b)
    if not a.shape or not b.shape:
        return scalar("multiply", a, b)
    if len(b.shape) == 1:
        return _contracted(a, b, [len(a.shape) - 1], [0])
    return _contracted(a, b, [len(a.shape) - 1], [len(b.shape) - 2])


@surface
def inner(a: Any, b: Any) -> Expr:
    """The sum over the last axes of both; with a number, the product."""
    a, b = pair(a, b)
    if not a.shape or not b.shape:
        return scalar("multiply", a, b)
    return _contracted(a, b, [len(a.shape) - 1], [len(b.shape) - 1])


@surface
def vdot(a: Any, b: Any) -> Expr:
    """The sum of products of all elements of two arrays of one size; of complex `a` the conjugate counts."""
    a, b = pair(a, b)
    a, b = (primitives.reshape(x, (sizes.product(x.shape),)) for x in (primitives.conj(a), b))
    return _contracted(a, b, [0], [0])


@surface
def vecdot(a: Any, b: Any, axis: Any = -1) -> Expr:
    """The sum of products along `axis` of both, other axes broadcast; of complex `a` the conjugate counts."""
    a, b = pair(a, b)
    product = scalar("multiply", primitives.conj(a), b)
    return primitives.reduce(product, "add", (one_axis(axis, len(product.shape)),))


@surface
def outer(a: Any, b: Any) -> Expr:
    """out[i, j] = a[i] * b[j] of the flattened arrays."""
    a, b = (primitives.reshape(x, (sizes.product(x.shape),)) for x in pair(a, b))
    shape = (*a.shape, *b.shape)
    return scalar("multiply", primitives.broadcast(a, (0,), shape), primitives.broadcast(b, (1,), shape))


@surface
def tensordot(a: Any, b: Any, axes: Any = 2) -> Expr:
    """The sum over `axes`: a number (the last of `a` with the first of `b`) or a pair of lists of axes."""
    a, b = pair(a, b)
    chosen = entries(axes)
    if len(chosen) == 1:
        count = integer(chosen[0], "axes")
        if not 0 <= count <= min(len(a.shape), len(b.shape)):
            raise ShapeError(f"tensordot cannot sum {count} axes of {show_shape(a.shape)} and {show_shape(b.shape)}")
        over_a, over_b = list(range(len(a.shape) - count, len(a.shape))), list(range(count))
    else:
        over_a = [one_axis(i, len(a.shape)) for i in entries(chosen[0])]
        over_b = [one_axis(i, len(b.shape)) for i in entries(chosen[1])]
    return _contracted(a, b, over_a, over_b)


def _contracted(a: Expr, b: Expr, over_a: list[int], over_b: list[int]) -> Expr:
    """Sum over pairs of axes; the others of `a`, then of `b`, are left."""
    if len(over_a) != len(over_b) or len(set(over_a)) < len(over_a) or len(set(over_b)) < len(over_b):
        raise ShapeError(f"the axes {over_a} and {over_b} do not pair up")
    for i, j in zip(over_a, over_b, strict=True):
        if not sizes.equal(a.shape[i], b.shape[j]):
            raise ShapeError(f"axis {i} of {show_shape(a.shape)} and axis {j} of {show_shape(b.shape)} are summed "
                             f"together: {sizes.show(a.shape[i])} against {sizes.show(b.shape[j])} elements")
    labels_a = _LETTERS[:len(a.shape)]
    rest = iter(_LETTERS[len(a.shape):])
    labels_b = "".join(labels_a[over_a[over_b.index(j)]] if j in over_b else next(rest) for j in range(len(b.shape)))
    out = "".join(label for label in labels_a + labels_b if (label in labels_a) != (label in labels_b))
    return sum_of_products(a, b, labels_a, labels_b, out)


@surface
def kron(a: Any, b: Any) -> Expr:
    """The Kronecker product: every element of `a` times all of `b`."""
    a, b = pair(a, b)
    rank = max(len(a.shape), len(b.shape))
    a, b = (primitives.reshape(x, (1,) * (rank - len(x.shape)) + x.shape) for x in (a, b))
    spread = tuple(d for both in zip(a.shape, b.shape, strict=True) for d in both)
    left = primitives.broadcast(a, tuple(range(0, 2 * rank, 2)), spread)
    right = primitives.broadcast(b, tuple(range(1, 2 * rank, 2)), spread)
    shape = tuple(m * n for m, n in zip(a.shape, b.shape, strict=True))
    return primitives.reshape(scalar("multiply", left, right), shape)


@surface
def cross(a: Any, b: Any) -> Expr:
    """The vector product along the last axes, which have 3 elements."""
    a, b = pair(a, b)
    if not a.shape or not b.shape or not sizes.equal(a.shape[-1], 3) or not sizes.equal(b.shape[-1], 3):
        raise ShapeError(f"cross takes last axes of 3 elements, not {show_shape(a.shape)} and {show_shape(b.shape)}")

    def part(x: Expr, i: int) -> Expr:
        ranges = (*((0, 1),) * (len(x.shape) - 1), (i, 1))
        return primitives.slice_(x, ranges, (*x.shape[:-1], 1))

    def minor(i: int, j: int) -> Expr:
        products = scalar("multiply", part(a, i), part(b, j)), scalar("multiply", part(a, j), part(b, i))
        return scalar("subtract", *products)

    terms = [minor(1, 2), minor(2, 0), minor(0, 1)]
    return primitives.concat(terms, len(terms[0].shape) - 1)
