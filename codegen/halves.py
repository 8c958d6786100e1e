"""The parts of complex numbers side by side in memory: `half(re, im; k)` is part k, stored in the buffer of both."""

from __future__ import annotations

import numpy as np

from ..dsl import primitives
from ..dsl.node import Expr, make
from ..dsl.primitives import part_dtype
from ..dsl.surface import constant


def is_complex(node: Expr) -> bool:
    return node.dtype is not None and node.dtype.kind == "c"


def in_memory(node: Expr) -> Expr:
    """An input or captured array as it lies in memory: of complex numbers a real array with a last axis of two."""
    if not is_complex(node):
        return node
    dtype, shape = part_dtype(node.dtype), (*node.shape, 2)
    if node.op == "const":
        return constant(np.ascontiguousarray(node.attrs[0].array).view(dtype).reshape(shape))
    return make("var", (), node.attrs, dtype, shape)


def parts_of(whole: Expr) -> tuple[Expr, Expr]:
    """The parts of complex numbers that lie side by side in `whole`."""
    shape = whole.shape[:-1]
    lead = ((0, 1),) * len(shape)
    re, im = (primitives.reshape(primitives.slice_(whole, (*lead, (k, 1)), (*shape, 1)), shape) for k in (0, 1))
    return re, im


def halves(re: Expr, im: Expr) -> tuple[Expr, Expr]:
    """What writes both parts into one buffer."""
    return _half(re, im, 0), _half(re, im, 1)


def partner(half: Expr) -> Expr:
    re, im = half.args
    return _half(re, im, 1 - half.attrs[0])


def _half(re: Expr, im: Expr, k: int) -> Expr:
    return make("half", (re, im), (k,), re.dtype, re.shape)
