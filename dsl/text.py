"""Expressions as one line of mathematics in Python's syntax, with no more parentheses than Python needs.

`render` serves every notation: it spells the nodes nearest to the result, as many levels as fit, and writes an ellipsis
for those below, so that its time does not grow with the program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import ops
from .node import FUNCTIONS, Expr
from .phrase import Phrase, phrase
from .size import Size

LIMIT = 2000                # characters
LISTED = 24                 # elements of a list
ANY, BINARY, UNARY, POWER, ATOM = 0, 12, 13, 14, 18     # how tightly a text holds together: Python's order

AT_METHODS = {"minimum": "min", "maximum": "max"}

Spelled = tuple[str, int]   # a text and how tightly it holds together
Show = Callable[[Any, int], str]


def text(node: Expr, names: Mapping[Expr, str] | None = None) -> str:
    """`node` as one line of at most about 2,000 characters; operands that are in `names` are called so.

    >>> import pullback as pb
    >>> pb.exp(-pb.Var('x') ** 2) / (1 + pb.Var('x'))
    exp(-x**2)/(1 + x)
    """
    return render(node, spell, "({})", names)


# ---- cutting ----------------------------------------------------------------------------------------------------
def render(root: Expr, spell: Callable[[Phrase, Show], Spelled], parentheses: str,
           names: Mapping[Expr, str] | None = None, limit: int = LIMIT) -> str:
    """`root` spelled out to the depth at which the text stays within `limit` characters."""
    phrases, depth = _nearest(root, names or {}, limit)
    order = _children_first(root, phrases)
    low, high = 0, max(depth.values()) + 1           # the text to depth low fits, to depth high it does not
    best = _spelled_to(high - 1, order, phrases, depth, spell, parentheses, limit)
    if best is not None:
        return best
    best = _spelled_to(0, order, phrases, depth, spell, parentheses, 1 << 60)
    while high - low > 1:
        middle = (low + high) // 2
        found = _spelled_to(middle, order, phrases, depth, spell, parentheses, limit)
        if found is None:
            high = middle
        else:
            low, best = middle, found
    assert best is not None
    return best if len(best) <= 2 * limit else best[:limit] + "…"


def _nearest(root: Expr, names: Mapping[Expr, str], limit: int) -> tuple[dict[Expr, Phrase], dict[Expr, int]]:
    """Phrases of the `limit` nodes nearest to `root`, and their distance from it."""
    phrases: dict[Expr, Phrase] = {}
    depth = {root: 0}
    queue = [root]
    for node in queue:
        if len(phrases) >= limit:
            break
        phrases[node] = Phrase("name", (names[node],)) if node in names and node is not root else phrase(node)
        for argument in phrases[node].expressions():
            if argument not in depth:
                depth[argument] = depth[node] + 1
                queue.append(argument)
    return phrases, {node: depth[node] for node in phrases}


def _children_first(root: Expr, phrases: dict[Expr, Phrase]) -> list[Expr]:
    order: dict[Expr, None] = {}
    stack = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order[node] = None
        elif node in phrases and node not in order:
            stack.append((node, True))
            stack.extend((a, False) for a in phrases[node].expressions() if a not in order)
    return list(order)


def _spelled_to(deepest: int, order: list[Expr], phrases: dict[Expr, Phrase], depth: dict[Expr, int],
                spell: Callable[[Phrase, Show], Spelled], parentheses: str, limit: int) -> str | None:
    """The text of the last of `order` with nodes below `deepest` left out; None where it exceeds `limit`."""
    done: dict[Expr, Spelled] = {}

    def show(part: Any, tightness: int) -> str:
        found = done.get(part, ("…", ATOM)) if isinstance(part, Expr) else spell(part, show)
        return found[0] if found[1] >= tightness else parentheses.format(found[0])

    for node in order:
        if depth[node] <= deepest or phrases[node].name in ("name", "number"):
            done[node] = spell(phrases[node], show)
            if len(done[node][0]) > limit:
                return None
    return done[order[-1]][0]


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
    if isinstance(value, (int, float, Size)):
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
