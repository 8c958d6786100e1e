"""The complex step: f(x + i h t) = f(x) + i h f'(x) t + O(h^2) for an analytic f, so Im f / h is the derivative along t
to rounding, without a difference (J. Squire and G. Trapp, "Using complex variables to estimate derivatives of real
functions", 1998).

It is legal where the program means the same analytic function for complex arguments: nothing in it takes a complex
number apart (absolute values, parts, conjugates, comparisons do), and no routine conjugates inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .library import ROUTINES
from .loop import bound
from .node import FUNCTIONS, Expr, toposort
from .primitives import same_shape

_STEP = 1e-20          # of the direction: its square vanishes beside 1, and it is no subnormal number in float32
_APART = {"real", "imag", "conj", "custom"}


class ComplexStep:
    """A function of real arrays continued to complex ones; `legal` says whether that could be done at `point`."""

    def __init__(self, function: Callable[..., list[Any]], point: Sequence[np.ndarray],
                 values: Sequence[np.ndarray]) -> None:
        self.point, self.legal = point, False
        self.inputs = [bound(np.result_type(x.dtype, np.complex64), x.shape) for x in point]
        if any(a.dtype.kind != "f" for a in (*point, *values)):
            return
        try:
            self.outputs = [FUNCTIONS["asarray"](y) for y in function(*self.inputs)]
        except Exception:     # the function runs on real arrays: whatever refuses complex ones, they are not for it
            return
        self.legal = is_analytic(self.outputs) and self._continues(values)

    def _continues(self, values: Sequence[np.ndarray]) -> bool:
        """Whether results at real arguments are what the function itself gives."""
        return all(same_shape(y.shape, v.shape) and np.allclose(np.real(y), v, 1e-4, 1e-6, equal_nan=True)
                   for y, v in zip(self._at(self.point), values, strict=True))

    def _at(self, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        given = {v: np.asarray(x, v.dtype) for v, x in zip(self.inputs, arguments, strict=True)}
        return FUNCTIONS["_reference"](self.outputs, given)

    def along(self, index: int, direction: np.ndarray) -> list[np.ndarray]:
        """The derivative of all results along `direction` of input `index`."""
        moved = [x + 1j * _STEP * direction if k == index else x for k, x in enumerate(self.point)]
        return [np.imag(y) / _STEP for y in self._at(moved)]


def is_analytic(roots: Sequence[Expr]) -> bool:
    """Whether complex numbers go through analytic operations only, in the bodies of loops and branches too."""
    for node in toposort(roots):
        if node.op in _APART or node.op == "library" and not ROUTINES[node.attrs[0]].analytic:
            return False
        bodies = [node.attrs[0].roots()] if node.op == "loop" else (
            [body.results for body in node.attrs] if node.op == "branch" else [])
        if not all(map(is_analytic, bodies)):
            return False
    return True
