"""`f.debug(nan=True)`: the first value of a program that is not finite, where it comes from and what it was made of.

The program runs on the reference target, node by node, and every value is kept. What is not finite in a result is
followed back to the first operation that made it of finite numbers, into the turn of a loop and the side of a branch
that ran. A value that nothing non-finite in a result depends on is no defect: the side of a `where` that was not
chosen, a reduction's starting infinity. Infinities that the program itself writes are taken as meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..dsl.lines import listening
from ..dsl.loop import Loop
from ..dsl.node import Expr, toposort
from ..dsl.ops import ROWS
from ..dsl.phases import Differentiation, differentiations
from ..dsl.trace import trace
from . import reference
from .binding import Binding
from .inputs import Given

_RENUMBERING = {"broadcast", "reshape", "transpose", "slice", "place", "concat", "update", "gather", "where", "mask",
                "cast", "item", "stop_gradient"}
_LONGEST = 100


@dataclass(frozen=True)
class Operand:
    """An argument of an operation: its text, its value at the place that is told of (a summary for an array), the
    user's line.
    """

    text: str
    value: Any
    line: str = ""


@dataclass(frozen=True)
class NonFinite:
    """What `f.debug` found. False where every result is finite.

    `text` is the operation, `op` its name, `line` the user's, `index` where in its result and `value` what is there;
    `operands` what it was made of. `phase` is 'forward', 'reverse' (the operation belongs to a gradient; `line` is that
    of what was differentiated) or 'tangent'; `turns` tells the turn of each loop that it is in, outermost first.
    `input` names the argument that was not finite to begin with. `count` is the number of elements that are not finite.
    """

    found: bool
    text: str = ""
    op: str = ""
    line: str = ""
    index: tuple[int, ...] = ()
    value: Any = None
    operands: tuple[Operand, ...] = ()
    phase: str = ""
    turns: tuple[int, ...] = ()
    input: str = ""
    count: int = 0

    def __bool__(self) -> bool:
        return self.found

    def __str__(self) -> str:
        if not self.found:
            return "every result is finite"
        at = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        if self.input:
            return f"the input {self.input}{at} is {self.value}: {self.count} of its elements are not finite"
        lines = [f"the first value that is not finite: {self.value} at {at or 'a scalar'} of {self.text}",
                 f"  written at {self.line}" if self.line else "  of no line of yours",
                 f"  in the {self.phase} phase" + "".join(f", turn {t} of a loop" for t in self.turns)]
        lines += [f"  {o.text} = {o.value}" + (f"   ({o.line})" if o.line not in ("", self.line) else "")
                  for o in self.operands if o.text != repr(o.value)]
        return "\n".join(lines)

    __repr__ = __str__


def find_non_finite(binding: Binding, given: Sequence[Given], arrays: Sequence[Any], stable: bool) -> NonFinite:
    """Run the program on arrays that are ready and follow what is not finite in its results to its origin."""
    with listening() as lines, differentiations() as derivatives:
        def build(leaves: list[Expr]) -> Any:
            built = binding.builder(leaves)
            kept.extend(d for d in derivatives if _closed([*d.outputs, *d.results], toposort(leaves)))
            return built, [(d.outputs, d.results) for d in kept]

        kept: list[Differentiation] = []
        shapes = [g.shape for g in given]
        traced = trace(build, binding.names, [g.kind for g in given], shapes, stable)
    count = len(traced.outputs) - sum(len(d.outputs) + len(d.results) for d in kept)
    phases = _phases(traced.outputs[count:], kept)
    search = _Search(traced.sizes_of(shapes), lines)
    known = {x: np.asarray(a) for x, a in zip(traced.inputs, arrays, strict=True)}
    scope = search.scope(traced.outputs[:count], known)
    origin = search.origin(scope, traced.outputs[:count])
    return NonFinite(False) if origin is None else search.report(origin, phases)


def _closed(roots: Sequence[Expr], inputs: Sequence[Expr]) -> bool:
    """Whether nodes are typed and of the program's inputs alone, not of a body's variables."""
    known = set(inputs)
    return all(n.op != "bound" and (n.op != "var" or n in known) for n in toposort(roots))


def _phases(outputs: Sequence[Expr], derivatives: Sequence[Differentiation]) -> dict[Expr, str]:
    """The phase of every node that belongs to a derivative; `outputs` are theirs and their results, as compiled."""
    found: dict[Expr, str] = {}
    rest = iter(outputs)
    for d in derivatives:
        before = set(toposort([next(rest) for _ in d.outputs]))
        results = [next(rest) for _ in d.results]
        found.update({n: d.phase for n in toposort(results) if n not in before})
    return found


@dataclass
class _Scope:
    """A graph with the value of every node; `meant` are those whose infinities were written so. In a body `outer` is
    the node of the program that it belongs to.
    """

    order: list[Expr]
    values: dict[Expr, Any]
    meant: set[Expr] = field(default_factory=set)
    turns: tuple[int, ...] = ()
    outer: Expr | None = None

    def bad(self, node: Expr) -> Any:
        """Which elements of a node's value are wrong, or None."""
        value = self.values[node]
        if node in self.meant or isinstance(value, tuple) or np.asarray(value).dtype.kind not in "fc":
            return None
        wrong = ~np.isfinite(value)
        return wrong if wrong.any() else None


@dataclass(frozen=True)
class _Origin:
    """An operation that made something wrong; `part` says in which of several results."""

    node: Expr
    scope: _Scope
    part: int | None = None

    def value(self) -> np.ndarray:
        value = self.scope.values[self.node]
        return np.asarray(value if self.part is None else value[self.part])


class _Search:
    """What all scopes of one search share."""

    def __init__(self, sizes: Mapping[str, int], lines: Mapping[Expr, str]) -> None:
        self.sizes, self.lines = sizes, lines

    def scope(self, roots: Sequence[Expr], known: Mapping[Expr, Any], meant: set[Expr] | None = None,
              turns: tuple[int, ...] = (), outer: Expr | None = None) -> _Scope:
        """Every value under `roots`."""
        scope = _Scope(toposort(roots), {}, set(meant or ()), turns, outer)
        with np.errstate(all="ignore"):
            for node in scope.order:
                value = known[node] if node in known else reference.value_of(node, self.sizes, scope.values)
                scope.values[node] = value
                if node.op == "const" or node.op in _RENUMBERING and self._is_meant(scope, node):
                    scope.meant.add(node)
        return scope

    def _is_meant(self, scope: _Scope, node: Expr) -> bool:
        return any(a in scope.meant for a in node.args) and all(scope.bad(a) is None for a in node.args)

    def origin(self, scope: _Scope, roots: Sequence[Expr]) -> _Origin | None:
        """The first node that makes something wrong of what is right, and that a wrong root depends on."""
        wanted: dict[Expr, set[int]] = {r: set() for r in roots if scope.bad(r) is not None}
        found: _Origin | None = None
        for node in reversed(scope.order):
            if node not in wanted:
                continue
            wrong = self._wrong_arguments(scope, node, wanted[node])
            for a, part in wrong:
                wanted.setdefault(a, set()).update(part)
            if not wrong:
                inside = self._inside(scope, node, wanted[node])
                parts = sorted(wanted[node]) if isinstance(scope.values[node], tuple) else [None]
                found = inside or _Origin(node, scope, parts[0])
        return found

    def _wrong_arguments(self, scope: _Scope, node: Expr, parts: set[int]) -> list[tuple[Expr, set[int]]]:
        """The arguments whose wrong elements reach `node`; of one with several results, which of them."""
        if node.op == "item":
            return [(node.args[0], {node.attrs[0]})]
        if node.op == "pack":
            return [(node.args[p], set()) for p in parts if scope.bad(node.args[p]) is not None]
        wrong = [(a, scope.bad(a)) for a in node.args]
        if node.op in ("where", "mask"):
            chosen = np.asarray(scope.values[node.args[0]])
            sides = (None, chosen, ~chosen)
            wrong = [(a, bad if sides[k] is None or bad is None else bad & sides[k])
                     for k, (a, bad) in enumerate(wrong)]
        return [(a, set()) for a, bad in wrong if bad is not None and bad.any()]

    # ---- loops and branches -------------------------------------------------------------------------------------
    def _inside(self, scope: _Scope, node: Expr, parts: set[int]) -> _Origin | None:
        if node.op == "loop":
            return self._in_loop(scope, node, parts)
        if node.op == "branch":
            index, *operands = (scope.values[a] for a in node.args)
            body = node.attrs[min(max(int(index), 0), len(node.attrs) - 1)]
            meant = {b for b, a in zip(body.operands, node.args[1:], strict=True) if a in scope.meant}
            known = dict(zip(body.operands, operands, strict=True))
            inner = self.scope(body.results, known, meant, scope.turns, node if scope.outer is None else scope.outer)
            return self.origin(inner, [body.results[p] for p in parts])
        return None

    def _in_loop(self, scope: _Scope, node: Expr, parts: set[int]) -> _Origin | None:
        """The origin in the first turn in which one of the results `parts` goes wrong."""
        loop = Loop(node)
        body = loop.body
        watched = [loop.kind_of(p) for p in parts]
        roots = [body.stacked[k] if kind == "stacked" else body.results[k] for kind, k in watched if kind != "trips"]
        last: int | None = None
        while roots:
            turn, inner = self._first_wrong_turn(scope, loop, roots, last)
            if inner is None:
                return None
            origin = self.origin(inner, roots)
            carry = None if origin is None else {b: k for k, b in enumerate(body.carries)}.get(origin.node)
            if carry is None:
                return origin
            roots, last = [body.results[carry]], turn                                # an earlier turn made it wrong
        return None

    def _first_wrong_turn(self, scope: _Scope, loop: Loop, roots: list[Expr],
                          before: int | None) -> tuple[int, _Scope | None]:
        body, values = loop.body, scope.values[loop.node]
        carries, stacked = len(body.carries), len(body.stacked)
        states, trips = values[carries + stacked: 2 * carries + stacked], values[-1]
        operands = {b: scope.values[a] for b, a in zip(body.operands, loop.operands, strict=True)}
        meant = {b for b, a in zip(body.operands, loop.operands, strict=True) if a in scope.meant}
        meant |= {b for b, a in zip(body.carries, loop.inits, strict=True) if a in scope.meant}
        for turn in range(trips if before is None else before):
            known = {body.index: np.int64(turn), **operands,
                     **{b: s[turn] for b, s in zip(body.carries, states, strict=True)}}
            inner = self.scope(roots, known, meant if turn == 0 else meant - set(body.carries), (*scope.turns, turn),
                               loop.node if scope.outer is None else scope.outer)
            if any(inner.bad(r) is not None for r in roots):
                return turn, inner
        return 0, None

    # ---- words --------------------------------------------------------------------------------------------------
    def report(self, origin: _Origin, phases: Mapping[Expr, str]) -> NonFinite:
        node, scope = origin.node, origin.scope
        wrong = ~np.isfinite(origin.value())
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        value = origin.value()[place].item()
        top = node if scope.outer is None else scope.outer
        found = NonFinite(True, _text(node), node.op, self.lines.get(node, ""), place, value, count=int(wrong.sum()),
                          phase=phases.get(top, "forward"), turns=scope.turns)
        if node.op == "var":
            return replace(found, input=node.attrs[0])
        arguments = [(a.args[0] if a.op == "broadcast" else a, _at(scope.values[a], place, node)) for a in node.args]
        return replace(found, operands=tuple(
            Operand(_text(a), value, "" if a.op == "const" else self.lines.get(a, "")) for a, value in arguments))


def _at(value: Any, place: tuple[int, ...], node: Expr) -> Any:
    """What an operation reads at `place` of its result where it is elementwise, else what is told of an array."""
    array = np.asarray(value)
    if node.op in ROWS or not array.shape:
        return array[place if array.shape else ()].item()
    if array.size <= 4:
        return array.tolist()
    if array.dtype.kind not in "biuf":
        return f"an array of shape {array.shape}"
    return f"an array of shape {array.shape} from {np.nanmin(array)} to {np.nanmax(array)}"


def _text(node: Expr) -> str:
    """The operation as mathematics, shortened."""
    text = repr(node)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

