"""A program as a numbered listing with types, and as a graph for Graphviz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import ops
from .node import Expr, toposort
from .phrase import Phrase, expanded, phrase
from .surface import as_expr
from .text import literal, spell


def show(program: Any) -> None:
    """Print the listing of `program`, an expression or a nest (tuple, list, dict, NamedTuple) of expressions.

    >>> import pullback as pb
    >>> show(pb.exp(pb.Var('x', ('n', 3), 'float64') * pb.Var('y', 3)))
    %0  float64[n, 3]  x
    %1  ?[3]           y
    %2  ?[n, 3]        %0*%1
    %3  ?[n, 3]        exp(%2)
    result = %3
    """
    print(listing(program))


def listing(program: Any) -> str:
    """A line for each distinct operation in words, arguments first: number, dtype and shape, what it does; then the
    results. Numbers stand where they are used, and broadcasts that NumPy makes by itself are not told.
    """
    results = dict(_results(program, ""))
    written = {n.shadow: n for n in toposort(results.values()) if n.shadow is not None}
    words = _in_words(results.values(), written)
    order = [node for node in words if not _inline(words[node])]
    number = {node: f"%{i}" for i, node in enumerate(order)}
    everything = toposort(words)
    kinds = dict(zip(everything, node_types(everything), strict=True))
    numbers, width = len(f"%{len(order) - 1}"), max((len(kinds[n]) for n in order), default=0)

    def spelled(part: Any, tightness: int) -> str:
        part = written.get(part, part) if isinstance(part, Expr) else part
        if isinstance(part, Expr) and part in number:
            return number[part]
        found, own = spell(words[part] if isinstance(part, Expr) else part, spelled)
        return found if own >= tightness else f"({found})"

    lines = [f"{number[node]:<{numbers}}  {kinds[node]:<{width}}  {spell(words[node], spelled)[0]}" for node in order]
    return "\n".join(lines + [f"{name or 'result'} = {spelled(node, 0)}" for name, node in results.items()])


def _in_words(results: Iterable[Expr], written: Mapping[Expr, Expr]) -> dict[Expr, Phrase]:
    """What every node that is spoken of says, arguments first. A derivative of declared variables speaks of typed
    nodes; those in `written` are what the user wrote.
    """
    words: dict[Expr, Phrase] = {}
    stack = [(node, False) for node in reversed(list(results))]
    begun: dict[Expr, Phrase] = {}
    while stack:
        node, ready = stack.pop()
        if ready:
            words[node] = begun[node]
        elif node not in begun:
            begun[node] = phrase(expanded(node))
            stack.append((node, True))
            spoken = [written.get(a, a) for a in begun[node].expressions()]
            stack.extend((a, False) for a in reversed(spoken) if a not in begun)
    return words


def _inline(words: Phrase) -> bool:
    return words.name in ("number", "size")


def draw(program: Any) -> str:
    """`program` in Graphviz's DOT language: a box for each operation, arrows from arguments to users."""
    results = dict(_results(program, ""))
    order = toposort(results.values())
    number = {node: f"n{i}" for i, node in enumerate(order)}
    lines = ["digraph program {", '  node [shape=box, fontname="monospace"];']
    for node, type_ in zip(order, node_types(order), strict=True):
        label = _quoted(operation(node, dict.fromkeys(node.args, "·")), type_)
        lines.append(f"  {number[node]} [label={label}];")
        lines.extend(f"  {number[argument]} -> {number[node]};" for argument in node.args)
    for i, (name, node) in enumerate(results.items()):
        lines += [f"  r{i} [label={_quoted(name or 'result')}, shape=plaintext];", f"  {number[node]} -> r{i};"]
    return "\n".join([*lines, "}"])


def node_types(order: list[Expr]) -> list[str]:
    """`float64[n, 3]` for each node, arguments first; a question mark for a dtype that is not known before the call."""
    declared: set[Expr] = set()
    types = []
    for node in order:
        known = node if node.typed else node.shadow
        if node.typed or known is not None and (node.attrs[2] if node.op == "var" else declared.issuperset(node.args)):
            declared.add(node)
        dtype = str(known.dtype) if node in declared and known is not None else "?"
        types.append(dtype + ("" if known is None or not known.shape else f"[{', '.join(map(str, known.shape))}]"))
    return types


def operation(node: Expr, names: dict[Expr, str]) -> str:
    """What `node` does to its arguments, which are called by `names`."""

    def spelled(part: Any, tightness: int) -> str:
        if isinstance(part, Expr):
            return names[part]
        found, own = spell(part, spelled)
        return found if own >= tightness else f"({found})"

    if node.op in ("var", "const", "size", "iota", "call"):
        return spell(phrase(node), spelled)[0]
    if node.op in ops.ROWS and node.op != "cast":
        return spell(Phrase(node.op, node.args), spelled)[0]
    return f"{node.op}({', '.join(literal(part, spelled) for part in (*node.args, *node.attrs))})"


def _results(program: Any, path: str) -> Iterator[tuple[str, Expr]]:
    """Every expression of a nest, with the path to it."""
    if isinstance(program, Expr):
        yield path, program
    elif isinstance(program, dict):
        for key, value in program.items():
            yield from _results(value, f"{path}[{key!r}]" if path or not str(key).isidentifier() else str(key))
    elif hasattr(program, "_fields"):
        for key in program._fields:
            yield from _results(getattr(program, key), f"{path}.{key}" if path else key)
    elif isinstance(program, (tuple, list)):
        for i, value in enumerate(program):
            yield from _results(value, f"{path}[{i}]" if path else f"result[{i}]")
    else:
        yield from _results(as_expr(program), path)


def _quoted(*lines: str) -> str:
    """A string of DOT with line breaks between `lines`."""
    return '"' + "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines) + '"'
