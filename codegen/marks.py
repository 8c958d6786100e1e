"""A value that has a buffer already, as a result of its own: it is copied into another buffer."""

from __future__ import annotations

from ..dsl.node import Expr, make


def marked(value: Expr, slot: object) -> Expr:
    """`value` for the place `slot`."""
    return make("stop_gradient", (value,), ("slot", slot), value.dtype, value.shape)


def is_marked(node: Expr) -> bool:
    return node.op == "stop_gradient" and node.attrs[:1] == ("slot",)
