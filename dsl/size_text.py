"""The text of symbolic sizes, as arithmetic in the syntax of a target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Terms = tuple                     # as in `size`: sorted ((monomial, coefficient), ...)


def render(dim: Any, name: Callable[[str], str] = str, maximum: str = "max({}, {})",
           quotient: str = "({} // {})") -> str:
    """Text of `dim` as arithmetic over `name(symbol)`; `maximum` and `quotient` are the syntax of the target.

    >>> from pullback.dsl.size import maximum, symbol
    >>> render(2 * symbol("n") + maximum(symbol("m") - 1, 0))
    '2*n + max(m - 1, 0)'
    """
    terms = getattr(dim, "terms", None)
    return str(dim) if terms is None else _text(terms, name, maximum, quotient)


def _text(terms: Terms, name: Callable[[str], str], maximum: str, quotient: str) -> str:
    parts = []
    for monomial, coefficient in terms:
        factors = [_atom(atom, name, maximum, quotient) for atom, power in monomial for _ in range(power)]
        text = "*".join(([str(abs(coefficient))] if abs(coefficient) != 1 or not factors else []) + factors)
        parts.append(("-" if coefficient < 0 else "+") + text)
    text = " ".join(f"{p[0]} {p[1:]}" for p in parts)
    return text[2:] if text.startswith("+ ") else "-" + text[2:]


def _atom(atom: Any, name: Callable[[str], str], maximum: str, quotient: str) -> str:
    if isinstance(atom, str):
        return name(atom)
    rule, *parts = atom
    texts = [_text(p, name, maximum, quotient) if isinstance(p, tuple) else str(p) for p in parts]
    if rule == "max":
        return maximum.format(*texts)
    compound = [isinstance(p, tuple) and (len(p) > 1 or "*" in t) for p, t in zip(parts, texts, strict=True)]
    return quotient.format(*(f"({t})" if c else t for c, t in zip(compound, texts, strict=True)))
