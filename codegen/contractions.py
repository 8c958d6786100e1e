"""Contractions as matrix products of a library where they are ones, else as sums that fuse.

A contraction with free axes on both sides and a summed axis is a (batched) GEMM. A matrix-vector product is read once
like any sum and fuses with what uses it, and so do products with small fixed sizes, where a library call would cost
more than the work.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dsl import primitives, size
from ..dsl.library import routine
from ..dsl.node import Expr, make
from ..dsl.size import Dim
from .library import canonical

SMALL = 64               # fixed elements of an operand or of the result below which a GEMM call does not pay


@dataclass(frozen=True)
class Groups:
    """The labels of a contraction by role, each in the order of the result (`k`: of the first operand)."""

    batch: str
    m: str
    n: str
    k: str

    @staticmethod
    def of(a: str, b: str, out: str) -> Groups:
        return Groups(
            "".join(c for c in out if c in a and c in b),
            "".join(c for c in out if c in a and c not in b),
            "".join(c for c in out if c in b and c not in a),
            "".join(c for c in a if c in b and c not in out),
        )


def lower_contraction(node: Expr, args: tuple[Expr, ...]) -> Expr:
    """`node` with arguments `args` as sums or as a `contract` in the order that a GEMM takes."""
    (a, la), (b, lb) = (primitives.untransposed(x, labels) for x, labels in zip(args, node.attrs[:2], strict=True))
    out = node.attrs[2]
    a, la = _summed_alone(a, la, lb + out)
    b, lb = _summed_alone(b, lb, la + out)
    groups = Groups.of(la, lb, out)
    dims = {**dict(zip(lb, b.shape, strict=True)), **dict(zip(la, a.shape, strict=True))}
    if node.dtype.kind != "f" or not (groups.m and groups.n and groups.k) or _small(groups, dims):
        return _as_sum(a, la, b, lb, out, groups, dims)
    return _as_gemm(a, la, b, lb, out, groups)


def _summed_alone(x: Expr, labels: str, others: str) -> tuple[Expr, str]:
    alone = tuple(i for i, c in enumerate(labels) if c not in others)
    return primitives.reduce(x, "add", alone), "".join(c for c in labels if c in others)


def _small(groups: Groups, dims: dict[str, Dim]) -> bool:
    def fixed(labels: str) -> bool:
        count = size.product(dims[c] for c in labels)
        return isinstance(count, int) and count <= SMALL

    return fixed(groups.m + groups.k) or fixed(groups.n + groups.k) or fixed(groups.m + groups.n)


def _as_sum(a: Expr, la: str, b: Expr, lb: str, out: str, groups: Groups, dims: dict[str, Dim]) -> Expr:
    """sum of the product over one domain: in the order of the larger operand, so that neighbours over the same array
    fuse.
    """
    larger, smaller = (la, lb) if len(la) >= len(lb) else (lb, la)
    order = out + groups.k if groups.m and groups.n else larger + "".join(c for c in smaller if c not in larger)
    shape = tuple(dims[c] for c in order)
    product = primitives.elementwise(
        "multiply" if a.dtype.kind != "b" else "logical_and",
        *[spread(x, labels, order, shape) for x, labels in ((a, la), (b, lb))],
    )
    total = primitives.reduce(
        product, "add" if a.dtype.kind != "b" else "logical_or", tuple(order.index(c) for c in groups.k)
    )
    kept = "".join(c for c in order if c not in groups.k)
    return primitives.transpose(total, tuple(kept.index(c) for c in out))


def spread(x: Expr, labels: str, order: str, shape: tuple[Dim, ...]) -> Expr:
    ordered = sorted(labels, key=order.index)
    x = primitives.transpose(x, tuple(labels.index(c) for c in ordered))
    return primitives.broadcast(x, tuple(order.index(c) for c in ordered), shape)


def _as_gemm(a: Expr, la: str, b: Expr, lb: str, out: str, groups: Groups) -> Expr:
    batch, m, n, k = groups.batch, groups.m, groups.n, groups.k
    if out == batch + n + m and out != batch + m + n:
        a, la, b, lb, m, n = b, lb, a, la, n, m
    a, la = _ordered(a, la, (batch + m + k, batch + k + m))
    b, lb = _ordered(b, lb, (batch + k + n, batch + n + k))
    dims = {**dict(zip(lb, b.shape, strict=True)), **dict(zip(la, a.shape, strict=True))}
    order = batch + m + n
    if a is b and la.index(m[0]) == lb.index(n[0]) and len(m + n + k) == 3:
        return primitives.transpose(_with_itself(a, la[-1] != k), tuple(order.index(c) for c in out))
    product = make("contract", (a, b), (la, lb, order), a.dtype, tuple(dims[c] for c in order))
    return primitives.transpose(product, tuple(order.index(c) for c in out))


def _with_itself(a: Expr, trans: bool) -> Expr:
    """a @ a.T, or a.T @ a where `trans`: half of it is computed, the other half is its mirror image."""
    half = routine("syrk", a, trans=trans)[0]
    half = make("item", (canonical(half.args[0], (a,)),), (0,), half.dtype, half.shape)
    rank = len(half.shape)
    below = primitives.elementwise("less_equal", primitives.iota(half.shape, rank - 1),
                                   primitives.iota(half.shape, rank - 2))
    mirrored = primitives.transpose(half, (*range(rank - 2), rank - 1, rank - 2))
    return primitives.elementwise("where", below, half, mirrored)


def _ordered(x: Expr, labels: str, wanted: tuple[str, str]) -> tuple[Expr, str]:
    if labels in wanted:
        return x, labels
    return primitives.transpose(x, tuple(labels.index(c) for c in wanted[0])), wanted[0]


def gemm_attrs(node: Expr) -> tuple[tuple[str, object], ...]:
    """What the library step of a canonical `contract` needs: sizes, transposes and strides between batches."""
    la, lb, out = node.attrs
    groups = Groups.of(la, lb, out)
    a, b = node.args
    dims = {**dict(zip(lb, b.shape, strict=True)), **dict(zip(la, a.shape, strict=True))}
    m, n, k, batch = (size.product(dims[c] for c in labels) for labels in (groups.m, groups.n, groups.k, groups.batch))
    return (
        ("trans_a", la != groups.batch + groups.m + groups.k),
        ("trans_b", lb != groups.batch + groups.k + groups.n),
        ("m", m),
        ("n", n),
        ("k", k),
        ("batch", batch),
        ("stride_a", m * k),
        ("stride_b", k * n),
        ("stride_c", m * n),
    )
