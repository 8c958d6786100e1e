"""Arguments of `pb.linalg`: matrices in a dtype that the routines compute in, batch axes that agree."""

from __future__ import annotations

from typing import Any

from . import primitives
from . import size as sizes
from .arguments import floating
from .errors import ShapeError
from .linear import pair
from .node import Expr
from .primitives import show_shape


def matrices(x: Any, name: str) -> Expr:
    """`x` as one matrix or several."""
    x = floating(x)
    if len(x.shape) < 2:
        raise ShapeError(f"{name} takes a matrix or several along leading axes, not {show_shape(x.shape)}")
    return x


def square(x: Any, name: str) -> Expr:
    """`x` as one square matrix or several."""
    x = matrices(x, name)
    if not sizes.equal(x.shape[-2], x.shape[-1]):
        raise ShapeError(f"{name} takes square matrices, not {show_shape(x.shape)}: the last two axes must agree")
    return x


def together(a: Expr, b: Expr, core: int = 2) -> tuple[Expr, Expr]:
    """Both in their common dtype with equal batch axes; `core` axes of `b` are its own."""
    a, b = pair(a, b)
    batch = primitives.broadcast_shapes(a.shape[:-2], b.shape[: len(b.shape) - core])
    own = b.shape[len(b.shape) - core :]
    return primitives.broadcast_to(a, (*batch, *a.shape[-2:])), primitives.broadcast_to(b, (*batch, *own))
