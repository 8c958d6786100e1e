"""`smoothness`: where an expression has kinks, jumps and poles, and what its derivatives are there.

A list by form: the rows of `breaks` at every operation that depends on a variable, but those that the sign of an
argument excludes (`signs`). The condition may never be met by the values of a program.
"""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import breaks, nest, ops
from .adjoint import number
from .break_rules import EXCLUDED, SPECIAL, arguments, bodies
from .breaks import Break
from .errors import PullbackError
from .functional import is_expression
from .node import Expr, make, toposort
from .signs import ANY, signs
from .size import Guards, tracing
from .surface import Var, as_expr, specialize
from .text import text
from .trace import variables_of

Lines = dict[Expr, tuple[str, ...]]
_serial = itertools.count()
_SHAPES = ((4,), (), (4, 4))       # of variables without one, in this order
_SHORT, _LONG = 24, 48             # characters of an argument in a condition, and of an expression
_OPERATORS = set(" +-*/%<>=&|@")
_CALLED = {"loop": "a loop", "branch": "a branch", "custom": "a solution"}


@dataclass(frozen=True)
class Finding:
    """One place. `kind` is 'jump', 'kink' or 'pole'; `condition`, `derivative` (what is used there) and `instead` (what
    to write) are text, `line` is file:line, `expression` the operation.
    """

    kind: str
    expression: Expr
    condition: str
    derivative: str
    instead: str
    line: str

    def __str__(self) -> str:
        return f"{self.kind} where {self.condition} in {self.where} ({self.line})"

    @property
    def where(self) -> str:
        """The operation, as text."""
        return _CALLED.get(self.expression.op) or text(self.expression, None, _LONG)


class Smoothness(Sequence):
    """The places where an expression is not smooth, in the order in which it is computed; printed as a table."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)

    def __getitem__(self, index: Any) -> Any:
        return self.findings[index]

    def __len__(self) -> int:
        return len(self.findings)

    def __repr__(self) -> str:
        if not self.findings:
            return "smooth wherever it is finite"
        head = ("", "not smooth where", "in", "derivative used", "line", "write instead")
        rows = [head, *((f.kind, f.condition, f.where, f.derivative,
                         os.path.basename(f.line), f.instead) for f in self.findings)]
        widths = [max(len(row[k]) for row in rows) for k in range(len(head) - 1)]
        return "\n".join("  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip()
                         for row in rows)


def smoothness(target: Any, *args: Any, **known: Any) -> Smoothness:
    """Where `target`, an expression or a nest of them, or a function of `args`, has kinks, jumps and poles.

    Without `args` the arguments of a function are as variables that are not declared.

    Each of the list tells its `kind`, the `condition`, the `derivative` that is used there, the user's `line` and what
    to write `instead`, in which `eps` and `width` are small numbers of your choice. Shapes that are not declared are
    taken from arrays given by name, or else as those of vectors, scalars or square matrices, whichever fit first. Poles
    that the form of an argument excludes, as in `log(1 + x*x)`, are not listed.

    Raises PullbackError where the shapes do not fit.

    >>> import pullback as pb
    >>> x = pb.Var('x')
    >>> [(f.kind, f.condition, f.derivative) for f in pb.smoothness(abs(x) / (1 + x * x))]
    [('kink', 'x = 0', '0')]
    >>> pb.smoothness(pb.exp(-x * x))
    smooth wherever it is finite
    """
    if is_expression(target):
        outputs, lines = _of_expression(nest.leaves(target), known)
    elif callable(target):
        outputs, lines = _of_function(target, args, known)
    else:
        raise TypeError(f"smoothness takes an expression or a function, not {type(target).__name__}")
    seen: dict[tuple, Finding] = {}
    for finding in _Search(lines).of(outputs):
        seen.setdefault((finding.kind, finding.condition, finding.expression.op, finding.line), finding)
    return Smoothness(seen.values())


# ---- types ------------------------------------------------------------------------------------------------------
def _of_function(target: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> tuple[list[Expr], Lines]:
    needed = [n for n, p in inspect.signature(target).parameters.items()
              if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not args and not kwargs and needed:
        return _of_expression(nest.leaves(target(*map(Var, needed))), {})
    given = inspect.signature(target).bind(*args, **kwargs)
    for name, value in given.arguments.items():
        leaves, structure = nest.flatten(value)
        typed = [_variable(path, leaf) for path, leaf in zip(nest.leaf_names(value, name), leaves, strict=True)]
        given.arguments[name] = nest.unflatten(structure, typed)
    with tracing(Guards()):
        return [as_expr(x) for x in nest.leaves(target(*given.args, **given.kwargs))], {}


def _variable(name: str, like: Any) -> Any:
    if isinstance(like, (str, bytes, Expr)) or callable(like):
        return like
    kind: Any = like if hasattr(like, "shape") and hasattr(like, "dtype") else np.asarray(like)
    return make("var", (), (name, next(_serial)), np.dtype(kind.dtype), tuple(map(int, kind.shape)))


def _of_expression(outputs: list[Any], known: dict[str, Any]) -> tuple[list[Expr], Lines]:
    """The expressions with types, and the lines where their operations were written."""
    variables = [v for v in variables_of(outputs) if not v.typed]
    for shape in _SHAPES:
        sizes = itertools.count(4)
        named: dict[str, int] = {}

        def size(dim: Any, sizes: Iterator[int] = sizes, named: dict[str, int] = named) -> int:
            return dim if isinstance(dim, int) else next(sizes) if dim is None else named.setdefault(dim, next(sizes))

        typed = {}
        for v in variables:
            name, declared, dtype = v.attrs
            like = known.get(name)
            if like is None:
                dims = shape if declared is None else tuple(map(size, declared))
                like = np.broadcast_to(np.zeros((), dtype or np.float64), dims)
            typed[v] = _variable(name, like)
        try:
            with tracing(Guards()):
                return _specialized(list(map(as_expr, outputs)), typed)
        except PullbackError as error:
            failed = error
    raise PullbackError(f"the shapes of {', '.join(v.attrs[0] for v in variables)} are not known, and neither vectors, "
                        "scalars nor square matrices fit: declare them with pb.Var(name, shape), or give arrays, "
                        f"pb.smoothness(expr, x=array). ({failed})")


def _specialized(outputs: list[Expr], typed: dict[Expr, Expr]) -> tuple[list[Expr], Lines]:
    """Each operation in turn, so that what it becomes is known to come from its line."""
    done, lines = dict(typed), {}
    for node in toposort(outputs):
        if node in done:
            continue
        (found,) = specialize([node], {**typed, **{a: done[a] for a in node.args}})
        done[node] = found
        todo = [found]
        while todo:
            new = todo.pop()
            if new not in lines and new.op != "var":
                lines[new] = node.lines
                todo.extend(new.args)
    return [done[o] for o in outputs], lines


# ---- the search -------------------------------------------------------------------------------------------------
class _Search:
    """Looks at every operation that depends on a float variable, inside the bodies of loops and branches too."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines

    def of(self, outputs: Sequence[Expr], variables: set[Expr] | None = None) -> Iterator[Finding]:
        """The findings under `outputs`; `variables` are those that count, None for all of a float dtype."""
        known = signs(outputs)
        moving = set(variables or ())
        for node in _order(outputs):
            if variables is None and node.op == "var" and node.dtype.kind in "fc":
                moving.add(node)
            if any(a in moving for a in arguments(node)) and node not in moving:
                moving.add(node)
                for inside, own in bodies(node, moving):
                    yield from self.of(inside, own)
                if node.op not in EXCLUDED or not EXCLUDED[node.op](node, [known.get(a, ANY) for a in node.args]):
                    yield from self._at(node, moving)

    def _at(self, node: Expr, moving: set[Expr]) -> Iterator[Finding]:
        row = ops.ROWS.get(node.op)
        if node.op in SPECIAL:
            for found, words in SPECIAL[node.op](node, moving):
                yield self._finding(found, node, words)
        elif row is not None and node.dtype.kind in "fc":
            for found in breaks.of_row(row):
                yield self._finding(found, node, dict(zip(row.args, node.args, strict=True)))

    def _finding(self, found: Break, node: Expr, words: Mapping[str, Expr]) -> Finding:
        lines = self.lines.get(node) or node.lines or ("",)
        texts = {name: _short(value) for name, value in words.items()}
        tight = {n: f"({t})" if _OPERATORS & set(t) else t for n, t in texts.items()}
        free = [name for name, value in words.items() if number(value) is None]
        computed = "{x}/" in found.when or "{x} + 1" in found.when
        return Finding(found.kind, node, found.when.format(**(tight if computed else texts)),
                       found.derivative(texts, list(words), free), found.instead.format(**tight), lines[0])


def _short(x: Expr) -> str:
    """An argument in a condition."""
    while x.op == "broadcast" or x.op == "cast" and (x.dtype.kind, x.args[0].dtype.kind) != ("i", "f"):
        x = x.args[0]
    value = number(x)
    return f"{value:g}" if value is not None and not isinstance(value, complex) else text(x, None, _SHORT)


def _order(outputs: Sequence[Expr]) -> list[Expr]:
    """Every node whose breaks count, arguments before users."""
    found: dict[Expr, None] = {}
    stack = [(node, False) for node in reversed(outputs)]
    while stack:
        node, ready = stack.pop()
        if ready:
            found[node] = None
        elif node not in found:
            stack.append((node, True))
            stack.extend((a, False) for a in reversed(arguments(node)))
    return list(found)
