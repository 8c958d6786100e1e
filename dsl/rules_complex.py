"""Tangents and cotangents of the parts of complex numbers.

They are linear over the reals only. A cotangent g of z means the map dz -> Re(g dz), which gives the transposes below.
"""

from __future__ import annotations

from .adjoint import Tangents, filled, inside, negated
from .node import Expr
from .primitives import cast, complex_, conj, imag, real, zeros_like


def real_forward(node: Expr, tangents: Tangents) -> Expr:
    return inside(_only(tangents), real)


def real_reverse(node: Expr, g: Expr, index: int) -> Expr:
    """Re(g Re dz) = Re(g dz) for a real g."""
    return inside(g, lambda x: cast(x, node.args[0].dtype))


def imag_forward(node: Expr, tangents: Tangents) -> Expr:
    return inside(_only(tangents), imag)


def imag_reverse(node: Expr, g: Expr, index: int) -> Expr:
    """g Im dz = Re(-i g dz)."""
    return inside(g, lambda x: complex_(zeros_like(x), negated(x)))


def conj_forward(node: Expr, tangents: Tangents) -> Expr:
    return inside(_only(tangents), conj)


def conj_reverse(node: Expr, g: Expr, index: int) -> Expr:
    """Re(g conj(dz)) = Re(conj(g) dz)."""
    return inside(g, conj)


def complex_forward(node: Expr, tangents: Tangents) -> Expr:
    return complex_(*filled(tangents, node.args))


def complex_reverse(node: Expr, g: Expr, index: int) -> Expr:
    """Re(g (dx + i dy)) = Re(g) dx - Im(g) dy."""
    return inside(g, real if index == 0 else lambda x: negated(imag(x)))


def _only(tangents: Tangents) -> Expr:
    tangent, = tangents
    assert tangent is not None
    return tangent
