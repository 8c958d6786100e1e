"""Expressions as one line of mathematics in Python's syntax, with no more parentheses than Python needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import ops
from .node import FUNCTIONS, Expr
from .phrase import Phrase
from .render import LIMIT, Notation, Show, Spelled, render
from .size import Size

LISTED = 24                 # elements of a list
ANY, BINARY, UNARY, POWER, ATOM = 0, 12, 13, 14, 18     # how tightly a text holds together: Python's order

AT_METHODS = {"minimum": "min", "maximum": "max"}


def text(node: Expr, names: Mapping[Expr, str] | None = None, limit: int = LIMIT,
         shown: Mapping[Expr, Expr] | None = None) -> str:
    """`node` as one line of about `limit` characters at most; operands that are in `names` are called so, and nodes in
    `shown` appear as what they have there.

    >>> import pullback as pb
    >>> pb.exp(-pb.Var('x') ** 2) / (1 + pb.Var('x'))
    exp(-x**2)/(1 + x)
    """
    return render(node, Notation(spell), names, limit, shown)


# ---- Python's syntax --------------------------------------------------------------------------------------------
def spell(words: Phrase, show: Show) -> Spelled:
    """The text of `words`; `show(part, tightness)` gives the text of a part, in parentheses where it is looser."""
    row = ops.ROWS.get(words.name)
    if words.name in _SPELLINGS and not (words.name == "transpose" and len(words.args) > 1):
        return _SPELLINGS[words.name](words, show)
    if row is not None and row.infix and len(words.args) == len(row.args) and not words.named:
        return _infix(row, words.args, show)
    name = row.name if row is not None else words.name
    return f"{name}({_arguments(words, show)})", ATOM


def _infix(row: ops.Row, args: tuple, show: Show) -> Spelled:
    p = row.precedence
    if len(args) == 1:
        return row.infix + literal(args[0], show, p + 1), p
    loose_left, loose_right = p, p + 1
    if row.infix == "**":
        loose_left, loose_right = p + 1, UNARY
    elif row.kind == "compare":
        loose_left = p + 1
    space = "" if row.infix in ("*", "/", "**") else " "
    left, right = literal(args[0], show, loose_left), literal(args[1], show, loose_right)
    return f"{left}{space}{row.infix}{space}{right}", p


def literal(value: Any, show: Show, tightness: int = ANY) -> str:
    """A part of a phrase: an expression, or a static value as Python would write it."""
    if isinstance(value, (Expr, Phrase)):
        return show(value, tightness)
    if isinstance(value, (bool, type(None), str)):
        return repr(value)
    if isinstance(value, (int, float, complex, Size)):
        name = "size" if isinstance(value, Size) else "number"
        return show(Phrase(name, (value,)), tightness)
    if isinstance(value, (tuple, list)):
        return _nest(value, show)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {literal(v, show)}" for key, v in list(value.items())[:LISTED]) + "}"
    if isinstance(value, slice):
        parts = ["" if v is None else literal(v, show) for v in (value.start, value.stop, value.step)]
        return ":".join(parts if parts[2] else parts[:2])
    if isinstance(value, np.dtype):
        return repr(value.name)
    return "..." if value is Ellipsis else getattr(value, "__name__", type(value).__name__)


def _nest(value: tuple | list, show: Show) -> str:
    if isinstance(value, list):
        return f"[{_list(value, show)}]"
    return f"({_list(value, show)}{',' if len(value) == 1 else ''})"


def _list(values: tuple | list, show: Show) -> str:
    return ", ".join([literal(v, show) for v in values[:LISTED]] + (["…"] if len(values) > LISTED else []))


def _arguments(words: Phrase, show: Show) -> str:
    positional = [_list(words.args, show)] if words.args else []
    return ", ".join(positional + [f"{k}={literal(v, show)}" for k, v in words.named.items()])


def _name(words: Phrase, show: Show) -> Spelled:
    return words.args[0], ATOM


def _number(words: Phrase, show: Show) -> Spelled:
    spelled = shortest(words.args[0])
    return spelled, UNARY if spelled.startswith("-") else ATOM


def shortest(value: Any) -> str:
    """The shortest decimal that reads back as `value` in its own precision."""
    return str(value.item() if isinstance(value, np.ndarray) and value.dtype != np.float32 else value)


def _array(words: Phrase, show: Show) -> Spelled:
    return f"array{words.args[0]}", ATOM


def _size(words: Phrase, show: Show) -> Spelled:
    return str(words.args[0]), size_tightness(words.args[0])


def size_tightness(dim: Size) -> int:
    """How tightly the text of a size holds together."""
    (monomial, coefficient), *others = dim.terms
    if others:
        return BINARY - 1
    return ATOM if coefficient == 1 and sum(power for _, power in monomial) == 1 else BINARY


def _getitem(words: Phrase, show: Show) -> Spelled:
    x, index = words.args
    return f"{literal(x, show, ATOM)}[{subscript(index, show)}]", ATOM


def subscript(index: Any, show: Show) -> str:
    """What stands between the brackets."""
    return _list(index, show) if isinstance(index, tuple) and index else literal(index, show)


def _at(words: Phrase, show: Show) -> Spelled:
    x, index, op, value = words.args
    method = AT_METHODS.get(op, op)
    return f"{literal(x, show, ATOM)}.at[{subscript(index, show)}].{method}({literal(value, show)})", ATOM


def _matmul(words: Phrase, show: Show) -> Spelled:
    left, right = words.args[:2]
    return f"{literal(left, show, BINARY)} @ {literal(right, show, BINARY + 1)}", BINARY


def _square(words: Phrase, show: Show) -> Spelled:
    return f"{literal(words.args[0], show, POWER + 1)}**2", POWER


def _property(name: str) -> Callable[[Phrase, Show], Spelled]:
    return lambda words, show: (f"{literal(words.args[0], show, ATOM)}.{name}", ATOM)


def _astype(words: Phrase, show: Show) -> Spelled:
    x, *rest = words.args
    return f"{literal(x, show, ATOM)}.astype({_arguments(Phrase('', tuple(rest), words.named), show)})", ATOM


def _derivative(words: Phrase, show: Show) -> Spelled:
    y, wrt = words.args
    return f"∂({literal(y, show)})/∂{literal(wrt, show, ATOM)}", BINARY


def _item(words: Phrase, show: Show) -> Spelled:
    call, index = words.args
    return f"{literal(call, show, ATOM)}[{index}]", ATOM


_SPELLINGS: dict[str, Callable[[Phrase, Show], Spelled]] = {
    "name": _name, "number": _number, "array": _array, "size": _size, "getitem": _getitem, "update_at": _at,
    "square": _square, "matmul": _matmul, "transpose": _property("T"), "matrix_transpose": _property("mT"),
    "astype": _astype, "grad": _derivative, "item": _item,
}

FUNCTIONS["_text"] = text
