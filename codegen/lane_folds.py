"""A fold over middle axes of a grid, such as sum_j f(|x_i - y_j|) * (x_i - y_j): the last axis runs in lanes.

The row of the result is updated in place, once for each turn of the folded axes. So what does not depend on the last
axis (the distance) is computed once, not again for every element of the row.
"""

from __future__ import annotations

import numpy as np

from ..dsl import size
from ..dsl.primitives import identity_of
from .emit import LETTERS, Emitter, close_loop, dtype_name, flat
from .loops import collapsed, split_rows
from .nest import Context
from .program import Axis, For, Kernel, Literal, Offset, Store, Update
from .roots import Root


def lane_fold_kernel(root: Root, context: Context, name: str, title: tuple[str, ...]) -> Kernel:
    """The kernel of a reduction that keeps the last axis and others before it."""
    node, source = root.node, root.node.args[0]
    op, reduced = node.attrs
    emitter = Emitter({n: b for n, b in context.stored.items() if n is not node}, context.names, context.errors)
    emitter.products = context.products
    chunks, buffer = context.chunk_count(name), context.stored[node]
    every = [Axis(context.names.index(LETTERS[a % 8]), d) for a, d in enumerate(source.shape)]
    index = tuple(Offset(0, ((a.name, 1),)) for a in every)
    outer = [a for a in range(len(every) - 1) if a not in reduced]
    place = tuple(index[a] for a in outer)
    scope = emitter.open(tuple(every[a] for a in outer))
    start = Axis(context.names.index("j"), every[-1].extent)
    first = flat((*place, Offset(0, ((start.name, 1),))), node.shape)
    identity = Literal.of(identity_of(op, np.dtype(dtype_name(node))), dtype_name(node))
    scope.stmts.append(For((start,), (Store(buffer, first, identity),), vector=True))
    loops = [emitter.open((every[a],)) for a in reduced]
    loops.append(emitter.open((every[-1],), True))
    value = emitter.value(source, index)
    emitter.scopes[-1].stmts.append(Update(op, buffer, flat((*place, index[-1]), node.shape), value))
    for opened in reversed(loops):
        close_loop(emitter, opened, ())
    emitter.close()
    rows, body, _ = collapsed(tuple(every[a] for a in outer), tuple(scope.stmts), ())
    row, body, _, _ = split_rows(rows, body, (), False, context.names)
    work = size.product([every[a].extent for a in (*reduced, -1)])
    fused = tuple(dict.fromkeys(emitter.fused))
    begin = tuple(emitter.scopes[0].stmts)
    return Kernel(name, title, row, work, body, False, (), "chunk", chunks, begin, fuses=fused)
