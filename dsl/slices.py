"""Arrays from outside of which a loop reads a few slices only, such as `a, b = p[0], p[1]`.

Going back, a turn then adds to the cotangents of the slices, and not to an array of the size of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .loop import Loop, bound
from .node import Expr, make, rebuild, rewrite, toposort
from .size import Dim, product
from .undo import is_small


def read_parts(outputs: Sequence[Expr], operands: Sequence[Expr]) -> dict[Expr, Expr]:
    """What `outputs` read of `operands`, with the operand: slices or reshapes that together are no larger than
    it, or the operand itself.
    """
    readers = _readers(outputs)
    parts: dict[Expr, Expr] = {}
    for operand in operands:
        slices = readers.get(operand, [])
        sliced = slices and all(n is not None and n.op in ("slice", "reshape") for n in slices)
        read: Dim = sum((product(n.shape) for n in slices), 0) if sliced else 0        # type: ignore[union-attr]
        few = sliced and is_small(read, product(operand.shape) + 1)
        parts.update(dict.fromkeys([_reshaped(n, readers) for n in slices] if few else [operand], operand))  # type: ignore[arg-type]
    return parts


def _readers(outputs: Sequence[Expr]) -> dict[Expr, list[Expr | None]]:
    """The nodes that read each node; None stands for the caller."""
    readers: dict[Expr, list[Expr | None]] = {}
    for node in toposort(outputs):
        for arg in set(node.args):
            readers.setdefault(arg, []).append(node)
    for output in outputs:
        readers.setdefault(output, []).append(None)
    return readers


def _reshaped(node: Expr, readers: dict[Expr, list[Expr | None]]) -> Expr:
    """`node`, or the reshape that is all that is made of it, as in `p[0]`."""
    reader, *others = readers[node]
    return reader if reader is not None and not others and reader.op == "reshape" else node


def slices_outside(outputs: Sequence[Expr], operands: Sequence[Expr]) -> list[Expr]:
    """`outputs` with the slices that loops inside take of `operands` taken before those loops."""
    wanted = set(operands)

    def rule(node: Expr, args: tuple[Expr, ...]) -> Expr:
        node = rebuild(node, args)
        return _sliced_before(Loop(node), wanted) if node.op == "loop" and wanted & set(args) else node

    return rewrite(outputs, rule)


def _sliced_before(loop: Loop, wanted: set[Expr]) -> Expr:
    body = loop.body
    inner = dict(zip(body.operands, loop.operands, strict=True))
    known = [o for o, x in inner.items() if x in wanted]
    roots = slices_outside(body.roots(), known)
    parts = {p: o for p, o in read_parts(roots, known).items() if p is not o}
    apart = {p: bound(p.dtype, p.shape) for p in parts}
    rest = [o for o in body.operands if o not in set(parts.values())]
    changed = replace(body.with_roots(rewrite(roots, rebuild, apart)), operands=(*rest, *apart.values()))
    head = loop.node.args[: len(loop.node.args) - len(body.operands)]
    slices = rewrite(list(parts), rebuild, inner)
    return make("loop", (*head, *(inner[o] for o in rest), *slices), (changed, loop.node.attrs[1]))
