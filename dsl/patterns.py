"""Reading graphs: what an expression is by form, seen through the broadcasts that arithmetic inserts."""

from __future__ import annotations

from .adjoint import number
from .node import Expr
from .primitives import broadcast
from .size import Size, product, same

_VIEWS = ("broadcast", "reshape", "transpose", "stop_gradient", "where")


def arguments_of(x: Expr, op: str) -> tuple[Expr, ...] | None:
    """The arguments of `op` where `x` is that operation or repeats it; then they repeat themselves."""
    if x.op == op:
        return x.args
    if x.op == "broadcast" and x.args[0].op == op:
        return tuple(broadcast(a, *x.attrs) for a in x.args[0].args)
    return None


def argument_of(x: Expr, op: str) -> Expr | None:
    """The argument of the function `op` where `x` is one of it."""
    found = arguments_of(x, op)
    return None if found is None else found[0]


def root_of_square(x: Expr) -> Expr | None:
    """u where `x` is u*u."""
    if x.op == "multiply" and x.args[0] is x.args[1]:
        return x.args[0]
    return argument_of(x, "square")


def counts_elements(divisor: Expr, total: Expr) -> bool:
    """Whether `divisor` is the number of elements that `total`, a sum, adds up for each of its own."""
    if total.op != "reduce" or total.attrs[0] != "add":
        return False
    count = divisor.args[0] if divisor.op == "broadcast" else divisor
    elements = product(total.args[0].shape[a] for a in total.attrs[1])
    said = count.attrs[0] if count.op == "size" else number(count)
    if said is None:
        return False
    return same(said, elements) if isinstance(said, Size) else said == elements


def is_shifted_by_its_maximum(x: Expr) -> bool:
    """Whether `x` is something minus a maximum, so that its exponentials do not overflow."""
    if x.op != "subtract":
        return False
    todo = [x.args[1]]
    while todo:
        node = todo.pop()
        if node.op in ("maximum", "reduce") and (node.op == "maximum" or node.attrs[0] == "maximum"):
            return True
        if node.op in _VIEWS:
            todo.extend(node.args)
    return False


def is_never_minus_zero(x: Expr) -> bool:
    """Whether no element of `x` can be -0.0, by form."""
    x = x.args[0] if x.op == "broadcast" else x
    value = number(x)
    if value is not None:
        return str(value) != "-0.0"
    if x.op in ("exp", "exp2", "abs", "sigmoid", "softplus", "square", "cosh", "hypot"):
        return True
    return x.op == "add" and any(map(is_never_minus_zero, x.args)) or root_of_square(x) is not None
