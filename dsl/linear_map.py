"""Linear systems between nests of arrays, given by what the map makes of a variable: laid out as vectors and solved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import krylov, linalg_rules
from .arguments import at_most
from .basis import jacobians_of
from .errors import PullbackError
from .krylov import Product
from .loop import bound
from .node import Expr, rebuild, rewrite
from .primitives import cast, concat, elementwise, full, reshape, slice_
from .size import Dim, product

_ITERATIVE = {"gmres": krylov.gmres, "cg": krylov.cg, "iteration": krylov.iteration}
LINEAR_SOLVERS = ("auto", "dense", *_ITERATIVE)
_STEPS = {"gmres": 200, "cg": 10000, "iteration": 10000}
_DENSE = 128                      # unknowns, up to which a matrix is written out
_EXACT = 64                        # units of rounding that a residual may have


@dataclass(frozen=True)
class Linear:
    """How linear systems are solved."""

    solver: str = "auto"

    def __post_init__(self) -> None:
        if self.solver not in LINEAR_SOLVERS:
            raise PullbackError(f"linear_solver is one of {', '.join(map(repr, LINEAR_SOLVERS))}, not {self.solver!r}")


def solved(variables: Sequence[Expr], products: Sequence[Expr], right: Sequence[Expr], how: Linear) -> list[Expr]:
    """x with A x = `right`, where `products` are A v in `variables` v. Not to be differentiated."""
    layout = Layout(variables)

    def product_with(x: Expr) -> Expr:
        return layout.joined(rewrite(products, rebuild, dict(zip(variables, layout.parts(x), strict=True))))

    b = layout.joined(right)
    if layout.is_single:
        return layout.parts(elementwise("divide", b, product_with(full(b.shape, 1, b.dtype))))
    solver = how.solver
    if solver == "auto":
        solver = "dense" if at_most(b.shape[0], _DENSE) else "gmres"
    if solver == "dense":
        return layout.parts(_dense(product_with, b))
    tol = _EXACT * float(np.finfo(b.dtype).eps)
    return layout.parts(_ITERATIVE[solver](product_with, b, tol, _STEPS[solver]))


def _dense(product_with: Product, b: Expr) -> Expr:
    """By LU factors of the matrix, whose columns are the products with unit vectors; NaN where it is singular."""
    unit = bound(b.dtype, b.shape)
    (matrix,) = jacobians_of([product_with(unit)], [unit], "fwd")
    x = linalg_rules.solve(matrix, reshape(b, (*b.shape, 1)))
    return reshape(x, b.shape)


class Layout:
    """Arrays like `likes` one after another in a vector."""

    def __init__(self, likes: Sequence[Expr]) -> None:
        self.likes = list(likes)
        self.dtype = np.result_type(*(x.dtype for x in likes))
        self.sizes: list[Dim] = [product(x.shape) for x in likes]

    @property
    def is_single(self) -> bool:
        """Whether there is one element in all, by form."""
        return len(self.sizes) == 1 and isinstance(self.sizes[0], int) and self.sizes[0] == 1

    def joined(self, parts: Sequence[Expr]) -> Expr:
        return concat([cast(reshape(p, (n,)), self.dtype) for p, n in zip(parts, self.sizes, strict=True)], 0)

    def parts(self, vector: Expr) -> list[Expr]:
        found, start = [], 0
        for like, n in zip(self.likes, self.sizes, strict=True):
            part = slice_(vector, ((start, 1),), (n,))
            found.append(cast(reshape(part, like.shape), like.dtype))
            start = start + n
        return found
