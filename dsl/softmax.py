"""log(sum(exp(x))) as one operation, with softmax, its derivative, as another; each is closed under differentiation.

    logsumexp  axes    log of the sum of exp over `axes`; -inf where all elements are -inf
    softmax    axes    exp(x) divided by its sum over `axes`; 0 where all elements are -inf

Both are computed from the same maximum, exponentials and sum, so a loss and its gradient share them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .adjoint import linear, negated, scale, summed, total
from .node import Expr, make
from .primitives import broadcast, check_fold, reduce, reshape, scalar
from .size import same


def logsumexp(x: Expr, axes: tuple[int, ...]) -> Expr:
    """log(sum(exp(x))) over `axes`, which fall away. Raises ShapeError over zero elements."""
    shape = reduce(x, "maximum", axes).shape
    alone = [a for a in axes if same(x.shape[a], 1)]
    axes = tuple(sorted(a - sum(o < a for o in alone) for a in axes if a not in alone))
    x = reshape(x, tuple(d for a, d in enumerate(x.shape) if a not in alone))
    return make("logsumexp", (x,), (axes,), x.dtype, shape) if axes else x


def softmax(x: Expr, axes: tuple[int, ...]) -> Expr:
    """exp(x - logsumexp(x)) along `axes`, without the digits that the difference of large numbers loses."""
    check_fold("maximum", x.dtype)
    return make("softmax", (x,), (tuple(sorted(axes)),), x.dtype, x.shape)


def log_softmax(x: Expr, axes: tuple[int, ...]) -> Expr:
    """log(softmax(x)) along `axes` without its underflow; -inf where all elements are -inf."""
    total = logsumexp(x, axes)
    finite = scalar("where", scalar("equal", total, -np.inf), 0, total)
    return scalar("subtract", x, _spread(finite, x, axes))


def logsumexp_forward(node: Expr, tangents: Sequence[Expr | None]) -> Expr:
    tangent, = tangents
    assert tangent is not None
    return summed(scale(tangent, softmax(node.args[0], node.attrs[0])), node.attrs[0])


def logsumexp_reverse(node: Expr, g: Expr, index: int) -> Expr:
    return scale(_spread(g, node.args[0], node.attrs[0]), softmax(node.args[0], node.attrs[0]))


def softmax_forward(node: Expr, tangents: Sequence[Expr | None]) -> Expr:
    tangent, = tangents
    assert tangent is not None
    return _centred(node, tangent)


def softmax_reverse(node: Expr, g: Expr, index: int) -> Expr:
    return _centred(node, g)


def _centred(node: Expr, g: Expr) -> Expr:
    """(g - sum(g*p))*p, the derivative of p along g, which is symmetric."""
    mean = _spread(summed(scale(g, node), node.attrs[0]), node, node.attrs[0])
    return scale(total([g, negated(mean)], closed=False), node)


def _spread(g: Expr, like: Expr, axes: tuple[int, ...]) -> Expr:
    """g, of the shape of a fold of `like`, repeated along `axes`."""
    kept = tuple(i for i in range(len(like.shape)) if i not in axes)
    return linear(g, lambda y: broadcast(y, kept, like.shape))
