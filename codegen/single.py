"""Kernels of one node each: a scatter and a linear recurrence."""

from __future__ import annotations

from ..dsl import size
from .emit import LETTERS, Emitter, close_loop, dtype_name, flat
from .emit_rules import checked
from .loops import collapsed, split_rows
from .nest import Context
from .program import CHUNK, Axis, Carry, For, Kernel, Let, Literal, Offset, Store, Update
from .roots import Root


def scatter_kernel(root: Root, context: Context, name: str, title: tuple[str, ...]) -> Kernel:
    """The updates of a scatter, in order; its buffer holds the base already."""
    node = root.node
    op, axes = node.attrs
    base, *arrays, updates = node.args
    rank = len(arrays[0].shape)
    emitter = Emitter({n: b for n, b in context.stored.items() if n is not node}, context.names, context.errors)
    emitter.products = context.products
    chunks = context.chunk_count(name)
    every = [Axis(context.names.index(LETTERS[a % 8]), d) for a, d in enumerate(updates.shape)]
    index = tuple(Offset(0, ((a.name, 1),)) for a in every)
    scope = emitter.open(tuple(every[:rank]))
    places = {
        axis: checked(emitter, emitter.value(array, index[:rank]), array, base.shape[axis], None)
        for axis, array in zip(axes, arrays, strict=True)
    }
    inner = [emitter.open((axis,), axis is every[-1]) for axis in every[rank:]]
    rest = iter(index[rank:])
    target = flat(tuple(places[a] if a in places else next(rest) for a in range(len(base.shape))), base.shape)
    value = emitter.value(updates, index)
    buffer = context.stored[node]
    ok = masks_of(emitter, places)
    emitter.scopes[-1].stmts.append(
        Store(buffer, target, value, ok) if op == "set" else Update(op, buffer, target, value, ok)
    )
    for opened in reversed(inner):
        close_loop(emitter, opened, ())
    emitter.close()
    rows, body, _ = collapsed(tuple(every[:rank]), tuple(scope.stmts), ())
    row, body, _, _ = split_rows(rows, body, (), False, context.names)
    work = size.product([a.extent for a in every[rank:]])
    return Kernel(
        name,
        title,
        row,
        work,
        body,
        False,
        (),
        CHUNK,
        chunks,
        tuple(emitter.scopes[0].stmts),
        (),
        (),
        True,
        (f"scatter {op}",),
    )


def masks_of(emitter: Emitter, places: dict[int, Offset]) -> str | None:
    """Where every index was in range: an update elsewhere is reported and left out."""
    known = {s.name: s for scope in emitter.scopes for s in scope.stmts if isinstance(s, Let)}
    ok: str | None = None
    for place in places.values():
        for name, _ in place.terms:
            condition = known[name].args[0] if name in known and known[name].op == "where" else None
            ok = emitter.both(ok, condition) if isinstance(condition, str) else ok
    return ok


def recurrence_kernel(root: Root, context: Context, name: str, title: tuple[str, ...]) -> Kernel:
    """s[k] = a[k]*s[k-1] + b[k] along one axis, the others are rows."""
    node = root.node
    axis, reverse = node.attrs
    dtype = dtype_name(node)
    emitter = Emitter({n: b for n, b in context.stored.items() if n is not node}, context.names, context.errors)
    emitter.products = context.products
    chunks = context.chunk_count(name)
    every = [Axis(context.names.index(LETTERS[a % 8]), d) for a, d in enumerate(node.shape)]
    others = tuple(a for i, a in enumerate(every) if i != axis)
    vector = axis != len(every) - 1
    scope = emitter.open(others, vector)
    loop = emitter.open((every[axis],))
    position = Offset(0, ((every[axis].name, 1),))
    position = position.scaled(-1) + Offset(node.shape[axis] + -1) if reverse else position
    index = tuple(position if i == axis else Offset(0, ((a.name, 1),)) for i, a in enumerate(every))
    before, after = context.names.new("state"), context.names.new("state")
    emitter.depth_of[before] = len(emitter.scopes) - 1
    a, b = emitter.value(node.args[0], index), emitter.value(node.args[1], index)
    if dtype.startswith("float"):
        new = emitter.let("fma", dtype, a, before, b)
    else:
        new = emitter.let("add", dtype, emitter.let("multiply", dtype, a, before), b)
    loop.stmts.append(Store(context.stored[node], flat(index, node.shape), new))
    emitter.close()
    carry = Carry(before, after, dtype, Literal.of(0, dtype), new)
    scope.stmts.append(For((every[axis],), tuple(loop.stmts), (), (carry,)))
    emitter.close()
    rows, body, _ = collapsed(others, tuple(scope.stmts), ())
    row, body, _, vector = split_rows(rows, body, (), vector, context.names)
    return Kernel(
        name,
        title,
        row,
        node.shape[axis],
        body,
        vector,
        (),
        CHUNK,
        chunks,
        tuple(emitter.scopes[0].stmts),
        (),
        (),
        False,
        ("recurrence",),
    )
