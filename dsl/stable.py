"""One pass over a typed graph that gives naive formulas the operations that keep their digits.

    stabilised(roots)        what a program computes, the bodies of loops and branches included
    stabilised(roots, wrt)   what is about to be differentiated: by the rules that derivatives gain from

`log(1 + x)` becomes `log1p(x)`, `log(1 + exp(x))` softplus, and so on: the rules are rows of `stable_rules`. Arguments
come before users, so that a rule sees what the rules made below it. The pass depends on the form of a node alone;
value and gradient therefore find the same replacement, and share it. `pb.compile(f, stable=False)` computes what was
written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .loop import Body
from .node import Expr, make, rebuild, rewrite
from .stable_rules import BY_OPERATION, Rule, Rules

_LEAVES = ("var", "bound", "transpose")


@dataclass(frozen=True)
class Change:
    """A rule that was applied, and the user's lines that wrote what it replaced."""

    rule: Rule
    lines: tuple[str, ...]


class _State(threading.local):
    enabled = True
    log: dict[Change, None] | None = None


_state = _State()


@contextmanager
def switched(enabled: bool) -> Iterator[dict[Change, None]]:
    """Within it the rules apply or not; it gives the changes made, in order."""
    before = _state.enabled, _state.log
    _state.enabled, _state.log = enabled, {}
    try:
        yield _state.log
    finally:
        _state.enabled, _state.log = before


def stabilised(roots: Sequence[Expr], wrt: Sequence[Expr] | None = None) -> list[Expr]:
    """`roots` with the rules applied; given `wrt`, those of use to derivatives with respect to these variables."""
    if not _state.enabled or any(w.op not in _LEAVES for w in wrt or ()):
        return list(roots)
    return _Pass(wrt is not None).run(roots)


class _Pass:
    """One walk; a body that several loops share stays one."""

    def __init__(self, differentiated: bool) -> None:
        self.differentiated = differentiated
        self.bodies: dict[Body, Body] = {}

    def run(self, roots: Sequence[Expr]) -> list[Expr]:
        return rewrite(roots, self.rule)

    def rule(self, node: Expr, args: tuple[Expr, ...]) -> Expr:
        if node.op in ("loop", "branch") and not self.differentiated:
            attrs = tuple(self.body(a) if isinstance(a, Body) else a for a in node.attrs)
            return make(node.op, args, attrs, node.dtype, node.shape, node.shadow)
        node = rebuild(node, args)
        for rule in BY_OPERATION.get(node.op, ()):
            if (rule.differentiated or not self.differentiated) and node.dtype.kind == "f":
                found = rule.replacement(Rules(node, self.rule), node)
                if found is not None:
                    return _replaced(node, found, rule)
        return node

    def body(self, body: Body) -> Body:
        if body not in self.bodies:
            roots = body.roots()
            found = self.run(roots)
            unchanged = all(a is b for a, b in zip(roots, found, strict=True))
            self.bodies[body] = body if unchanged else body.with_roots(found)
        return self.bodies[body]


def _replaced(node: Expr, found: Expr, rule: Rule) -> Expr:
    """`found`, which says of itself that it stands where the user wrote `node`."""
    found.lines = tuple(dict.fromkeys((*node.lines, *found.lines)))[:3]
    if _state.log is not None:
        _state.log[Change(rule, node.lines[:1])] = None
    return found
