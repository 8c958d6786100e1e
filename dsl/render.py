"""Expressions as one line, in any notation: how much of a program is spelled, and what is named.

The nodes nearest to the result are spelled, as many levels as fit, with an ellipsis for those below, so that the time
does not grow with the program. Where a line is long, parts that occur more than once are spelled once, under a name:
`(p - t)/n @ x.T  where p = softmax(z, axis=0), z = w @ x + b`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .node import Expr, make, rebuild
from .phrase import Phrase, expanded, phrase
from .size import Size

LIMIT = 2000                # characters
WIDTH = 120                 # from here on what is repeated is named
ATOM = 18                   # how tightly a name holds together: Python's order

Spelled = tuple[str, int]   # a text and how tightly it holds together
Show = Callable[[Any, int], str]

# Letters that mathematics has for a value, by what made it.
_LETTERS = {"softmax": "p", "sigmoid": "p", "matmul": "z", "tanh": "h", "sum": "s", "mean": "m", "max": "m", "min": "m",
            "exp": "e", "subtract": "d", "divide": "q", "square": "q", "sqrt": "r"}
_OTHERS = "zuvqrsghkdefabcmpltwxyijno"


@dataclass(frozen=True)
class Notation:
    """How phrases are spelled, parts are bracketed, and named parts are explained: "{}" stands for the text."""

    spell: Callable[[Phrase, Show], Spelled]
    parentheses: str = "({})"
    clause: str = "{}  where {}"
    separator: str = ", "
    symbol: Callable[[str], str] = str


@dataclass
class _Excerpt:
    """The nodes of a program that may be spelled, arguments first, their words and their distance from the result."""

    order: list[Expr]
    phrases: dict[Expr, Phrase]
    depth: dict[Expr, int]
    taken: set[str] = field(default_factory=set)


def render(root: Expr, notation: Notation, names: Mapping[Expr, str] | None = None, limit: int = LIMIT,
           shown: Mapping[Expr, Expr] | None = None) -> str:
    """`root` spelled to the depth at which the text stays within `limit` characters. `names` are given to operands,
    and a node in `shown` appears as the one that is there.
    """
    excerpt = _nearest(root, names or {}, shown or {}, limit)
    high = max(excerpt.depth.values()) + 1
    plain = _spelled_to(high, excerpt, notation, min(limit, WIDTH), False)
    if plain is not None:
        return plain
    best = _spelled_to(high, excerpt, notation, limit, True)
    if best is not None:
        return best
    best, low = _spelled_to(0, excerpt, notation, 1 << 60, True), 0   # the text to depth low fits, to depth high not
    while high - low > 1:
        middle = (low + high) // 2
        found = _spelled_to(middle, excerpt, notation, limit, True)
        if found is None:
            high = middle
        else:
            low, best = middle, found
    assert best is not None
    return best if len(best) <= 2 * limit else best[:limit] + "…"


def _nearest(root: Expr, names: Mapping[Expr, str], shown: Mapping[Expr, Expr], limit: int) -> _Excerpt:
    """The `limit` nodes nearest to `root`."""
    phrases: dict[Expr, Phrase] = {}
    depth = {root: 0}
    queue = [root]
    for node in queue:
        if len(phrases) >= limit:
            break
        place = node if node in names and node is not root else shown.get(node, node)
        named = place is not root and place in names
        phrases[node] = Phrase("name", (names[place],)) if named else phrase(_opaque(expanded(place), names))
        for argument in phrases[node].expressions():
            if argument not in depth:
                depth[argument] = depth[node] + 1
                queue.append(argument)
    taken = {words.args[0] for words in phrases.values() if words.name == "name"}
    taken |= {s for node in phrases for d in node.shape or () if isinstance(d, Size) for s in d.symbols()}
    return _Excerpt(_children_first(root, phrases), phrases, {node: depth[node] for node in phrases}, taken)


def _opaque(node: Expr, names: Mapping[Expr, str]) -> Expr:
    """`node` with arguments that have names as variables, so that words do not look into them."""
    def named(x: Expr) -> Expr:
        if x in names:
            return make("var", (), (names[x],), x.dtype, x.shape)
        return rebuild(x, (named(x.args[0]),)) if x.op == "broadcast" else x

    return rebuild(node, tuple(map(named, node.args))) if names else node


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


def _spelled_to(deepest: int, excerpt: _Excerpt, notation: Notation, limit: int, naming: bool) -> str | None:
    """The text of the result with nodes below `deepest` left out; None where it exceeds `limit`."""
    done: dict[Expr, Spelled] = {}
    clauses: list[str] = []
    taken = set(excerpt.taken)

    def show(part: Any, tightness: int) -> str:
        found = done.get(part, ("…", ATOM)) if isinstance(part, Expr) else notation.spell(part, show)
        return found[0] if found[1] >= tightness else notation.parentheses.format(found[0])

    shown = [n for n in excerpt.order if excerpt.depth[n] <= deepest or excerpt.phrases[n].name in ("name", "number")]
    uses = Counter(a for n in shown for a in excerpt.phrases[n].expressions()) if naming else Counter()
    length = 0
    for node in shown:
        words = excerpt.phrases[node]
        done[node] = notation.spell(words, show)
        if len(done[node][0]) + length > limit:
            return None
        if (uses[node] - 1) * (len(done[node][0]) - 1) > len(", u = "):
            name = notation.symbol(_letter(words, excerpt.phrases, taken))
            clauses.append(f"{name} = {done[node][0]}")
            length += len(clauses[-1]) + len(notation.separator)
            done[node] = name, ATOM
    body = done[excerpt.order[-1]][0]
    return notation.clause.format(body, notation.separator.join(reversed(clauses))) if clauses else body


def _letter(words: Phrase, phrases: dict[Expr, Phrase], taken: set[str]) -> str:
    """A name that is not taken yet."""
    affine = words.name == "add" and any(phrases[a].name == "matmul" for a in words.args if a in phrases)
    wishes = _LETTERS.get("matmul" if affine else words.name, "") + _OTHERS
    name = next((c for c in wishes if c not in taken), "")
    count = 1
    while not name:
        name, count = (f"u{count}" if f"u{count}" not in taken else ""), count + 1
    taken.add(name)
    return name
