"""Expressions as LaTeX: fractions, roots, Greek names, sums. Plain enough for matplotlib's mathtext and for MathJax."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from . import ops
from .node import FUNCTIONS, Expr
from .phrase import Phrase
from .render import Notation, Show, Spelled, render
from .size import Dim
from .size import render as render_size
from .text import (
    ANY,
    AT_METHODS,
    ATOM,
    BINARY,
    LISTED,
    POWER,
    UNARY,
    shortest,
    size_tightness,
)

GREEK = frozenset((
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
    "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
))
_INFIX = {"&": r"\wedge", "|": r"\vee", "^": r"\oplus", "~": r"\neg ", "<<": r"\ll", ">>": r"\gg"}
_BIG = {"sum": r"\sum", "prod": r"\prod", "min": r"\min", "max": r"\max", "all": r"\bigwedge", "any": r"\bigvee"}
_OPENING, _CLOSING = ("{", r"\left(", r"\left|", r"\lfloor", r"\lceil", ", "), ("}", r"\right", ", ")
_PREFIX = BINARY - 2        # a sum reaches as far as it can: in parentheses within any other operation


def latex(node: Expr) -> str:
    r"""`node` as LaTeX between dollar signs, as notebooks show it.

    >>> import pullback as pb
    >>> latex(pb.Var('alpha') / pb.sqrt(pb.Var('x_0')))
    '$\\frac{\\alpha}{\\sqrt{x_{0}}}$'
    """
    return f"${render(node, NOTATION)}$"


PARENTHESES = r"\left({}\right)"


def spell(words: Phrase, show: Show) -> Spelled:
    """LaTeX of `words`, and how tightly it holds together."""
    if words.name in _SPELLINGS:
        return _SPELLINGS[words.name](words, show)
    if words.name in _BIG and len(words.args) == 1 and words.named.keys() <= {"axis"}:
        return _big(words, show)
    row = ops.ROWS.get(words.name)
    if row is not None and len(words.args) == len(row.args) and not words.named and (row.latex or row.infix):
        return _row(row, words.args, show)
    return rf"\operatorname{{{_letters(words.name)}}}\left({_arguments(words, show)}\right)", ATOM


# ---- names and numbers ------------------------------------------------------------------------------------------
def symbol(name: str) -> str:
    """LaTeX of an identifier: Greek letters by their names, a tail after `_` or of digits as a subscript."""
    head, _, tail = name.strip("_").partition("_")
    tail = tail.strip("_")
    digits = re.fullmatch(r"(.*?\D)(\d+)", head)
    if digits and not tail:
        head, tail = digits.groups()
    if not head:
        return _letters(name)
    return f"{_word(head)}_{{{_word(tail)}}}" if tail else _word(head)


def _word(name: str) -> str:
    if name in GREEK:
        return "\\" + name
    return name if len(name) == 1 or name.isdigit() else rf"\mathrm{{{_letters(name)}}}"


def _letters(name: str) -> str:
    return name.replace("_", r"\_")


def _name(words: Phrase, show: Show) -> Spelled:
    return symbol(words.args[0]), ATOM


def _complex_number(value: complex) -> Spelled:
    """As Python writes it, with an upright i."""
    digits = str(value).strip("()").replace("j", r"\mathrm{i}").replace("inf", r"\infty")
    return (digits, ATOM) if value.real == 0 and value.imag >= 0 else (rf"\left({digits}\right)", ATOM)


def _number(words: Phrase, show: Show) -> Spelled:
    value = words.args[0]
    if isinstance(value, complex) or getattr(value, "dtype", np.dtype(int)).kind == "c":
        return _complex_number(complex(value))
    digits = shortest(value)
    if digits in ("nan", "True", "False"):
        return rf"\mathrm{{{digits}}}", ATOM
    digits = digits.replace("inf", r"\infty")
    mantissa, _, exponent = digits.partition("e")
    mantissa = mantissa.removesuffix(".0")
    tightness = UNARY if digits.startswith("-") else ATOM
    if not exponent:
        return mantissa, tightness
    power = f"10^{{{int(exponent)}}}"
    return (power if mantissa == "1" else rf"{mantissa} \cdot {power}"), min(tightness, BINARY)


def size_latex(dim: Dim) -> str:
    """LaTeX of a size."""
    text = render_size(dim, symbol, r"\max\left({}, {}\right)", r"\left\lfloor {} / {} \right\rfloor")
    return text.replace("*", r" \, ")


def _size(words: Phrase, show: Show) -> Spelled:
    return size_latex(words.args[0]), size_tightness(words.args[0])


def _array(words: Phrase, show: Show) -> Spelled:
    shape = r" \times ".join(map(str, words.args[0]))
    return rf"\mathrm{{array}}_{{{shape}}}", POWER


# ---- operations -------------------------------------------------------------------------------------------------
def _row(row: ops.Row, args: tuple, show: Show) -> Spelled:
    if row.name == "multiply":
        return _multiply(args, show)
    if not row.latex:
        sign = _INFIX.get(row.infix, row.infix)
        p = row.precedence
        if len(args) == 1:
            return sign + literal(args[0], show, p + 1), p
        return f"{literal(args[0], show, p)} {sign} {literal(args[1], show, p + 1)}", p
    parts = [literal(a, show, _demand(row, i)) for i, a in enumerate(args)]
    return row.tex(*parts), _tightness(row)


def _multiply(args: tuple, show: Show) -> Spelled:
    """Numbers and scalars stand beside what they scale; elementwise products of arrays get a sign of their own."""
    if _is_number(args[1]) and not _is_number(args[0]):
        args = args[::-1]
    left, right = literal(args[0], show, BINARY), literal(args[1], show, BINARY + 2)
    if any(_is_scalar(a) for a in args):
        return (rf"{left} \cdot {right}" if right[0].isdigit() else rf"{left} \, {right}"), BINARY
    return rf"{left} \odot {right}", BINARY


def _is_number(x: Any) -> bool:
    return x.op == "const" and not x.shape if isinstance(x, Expr) else isinstance(x, (bool, int, float))


def _is_scalar(x: Any) -> bool:
    return x.shape is not None and not x.shape if isinstance(x, Expr) else _is_number(x)


def _demand(row: ops.Row, i: int) -> int:
    """How tightly argument `i` must hold together where the row's template puts it."""
    mark = f"#{i + 1}"
    ends = [(row.latex[: m.start()], row.latex[m.end():]) for m in re.finditer(mark, row.latex)]
    if all(before.endswith(_OPENING) and after.startswith(_CLOSING) for before, after in ends):
        return ANY
    if any(after.startswith("^") for _, after in ends):
        return POWER + 1
    if all(before.endswith("+ ") for before, _ in ends):
        return BINARY - 1
    return BINARY + 2 if row.precedence > BINARY else row.precedence + 1


def _tightness(row: ops.Row) -> int:
    if row.name in ("exp", "exp2", "square", "power"):
        return POWER
    if row.latex.startswith(r"\frac"):
        return POWER
    if row.infix:
        return row.precedence
    return BINARY if row.latex.startswith(("#1", r"\neg")) else ATOM


def _big(words: Phrase, show: Show) -> Spelled:
    (x, *_), axis = words.args, words.named.get("axis")
    below = "" if axis is None else rf"_{{\mathrm{{axis}}\,{literal(axis, show)}}}"
    return rf"{_BIG[words.name]}{below} {literal(x, show, BINARY)}", _PREFIX


def _transpose(words: Phrase, show: Show) -> Spelled:
    x, *axes = words.args
    if axes or words.named:
        return rf"\operatorname{{transpose}}\left({_arguments(words, show)}\right)", ATOM
    return rf"{literal(x, show, ATOM)}^{{\top}}", POWER


def _negative(words: Phrase, show: Show) -> Spelled:
    return f"-{literal(words.args[0], show, BINARY)}", UNARY


def _remainder(words: Phrase, show: Show) -> Spelled:
    left, right = words.args[:2]
    return rf"{literal(left, show, BINARY)} \;\mathrm{{mod}}\; {literal(right, show, BINARY + 1)}", BINARY


def _matmul(words: Phrase, show: Show) -> Spelled:
    left, right = words.args[:2]
    return rf"{literal(left, show, BINARY)} \, {literal(right, show, BINARY + 1)}", BINARY


def _outer(words: Phrase, show: Show) -> Spelled:
    left, right = words.args[:2]
    return rf"{literal(left, show, BINARY)} \otimes {literal(right, show, BINARY + 1)}", BINARY


def _getitem(words: Phrase, show: Show) -> Spelled:
    x, index = words.args
    return rf"{literal(x, show, ATOM)}\left[{_index(index, show)}\right]", ATOM


def _at(words: Phrase, show: Show) -> Spelled:
    x, index, op, value = words.args
    place = rf"\left[{_index(index, show)}\right]_{{\mathrm{{{AT_METHODS.get(op, op)}}}}}"
    return rf"{literal(x, show, ATOM)}{place}\left({literal(value, show)}\right)", ATOM


def _index(index: Any, show: Show) -> str:
    return _list(index, show) if isinstance(index, tuple) and index else literal(index, show)


def _derivative(words: Phrase, show: Show) -> Spelled:
    y, wrt = words.args
    return rf"\frac{{\partial}}{{\partial {literal(wrt, show, ATOM)}}} \left({literal(y, show)}\right)", BINARY


def _item(words: Phrase, show: Show) -> Spelled:
    call, index = words.args
    return rf"{literal(call, show, ATOM)}\left[{index}\right]", ATOM


# ---- parts ------------------------------------------------------------------------------------------------------
def literal(value: Any, show: Show, tightness: int = ANY) -> str:
    """A part of a phrase: an expression, or a static value."""
    if isinstance(value, (Expr, Phrase)):
        return show(value, tightness)
    if isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic):
        return show(Phrase("number", (value,)), tightness)
    if hasattr(value, "symbols"):
        return show(Phrase("size", (value,)), tightness)
    if isinstance(value, (tuple, list)):
        inside = _list(value, show)
        return rf"\left[{inside}\right]" if isinstance(value, list) else PARENTHESES.format(inside)
    if isinstance(value, slice):
        parts = ["" if v is None else literal(v, show) for v in (value.start, value.stop, value.step)]
        return "{:}".join(parts if parts[2] else parts[:2])
    return _static(value)


def _static(value: Any) -> str:
    if value is Ellipsis:
        return r"\ldots"
    if isinstance(value, np.dtype):
        value = value.name
    elif not isinstance(value, str):
        value = "None" if value is None else getattr(value, "__name__", type(value).__name__)
    plain = re.sub(r"[^\w ,.=()+*/>-]", "", value)
    return rf"\mathrm{{{_letters(plain)}}}" if plain else r"\cdot"


def _list(values: tuple | list, show: Show) -> str:
    return ", ".join([literal(v, show) for v in values[:LISTED]] + ([r"\ldots"] if len(values) > LISTED else []))


def _arguments(words: Phrase, show: Show) -> str:
    positional = [_list(words.args, show)] if words.args else []
    return ", ".join(positional + [rf"\mathrm{{{_letters(k)}}}={literal(v, show)}" for k, v in words.named.items()])


_SPELLINGS: dict[str, Callable[[Phrase, Show], Spelled]] = {
    "name": _name, "number": _number, "array": _array, "size": _size, "getitem": _getitem, "update_at": _at,
    "negative": _negative, "remainder": _remainder, "matmul": _matmul, "outer": _outer, "transpose": _transpose,
    "matrix_transpose": _transpose, "grad": _derivative, "item": _item,
}

NOTATION = Notation(spell, PARENTHESES, r"{} \quad \mathrm{{where}} \quad {}", r", \; ", symbol)
FUNCTIONS["_latex"] = latex
