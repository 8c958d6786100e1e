"""Library nodes (dsl/library.py) made ready for a plan, and planned as steps.

`canonical` writes a node as its routine and all that a step has to know; a `reshape` of an operand is only another
view of the same buffer. `library_step` gives results and scratch memory their buffers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..dsl.library import ROUTINES, batch_shape, flops_of, results_of, static_of
from ..dsl.node import Expr, make, rebuild
from ..dsl.primitives import part_dtype
from ..dsl.size import Dim
from .lapack import NATIVE, calls_of, native_row
from .nest import Context
from .program import Library

# What results are called, by routine; others after the routine.
WORDS = {"getrf": ("factors", "pivots"), "potrf": ("factor",), "getrs": ("solution",), "triangular": ("solution",),
         "trmm": ("product",), "syrk": ("half",),
         "gelqf": ("factors", "orthogonal"), "syevd": ("values", "vectors"), "geev": ("values", "vectors"),
         "gesdd": ("u", "s", "vh"),
         "argsort": ("order",), "searchsorted": ("places",),
         "fft": ("spectrum",), "rfft": ("spectrum",), "irfft": ("signal",)}


def canonical(node: Expr, args: tuple[Expr, ...]) -> Expr:
    """`node` with arguments `args`: expanded into simpler routines (as a `pack`), or ready to be a step."""
    name, static, *known = node.attrs
    if known:
        return rebuild(node, args)
    expansion = ROUTINES[name].expansion
    expanded = None if expansion is None else expansion(*args, **dict(static))
    if expanded is not None:
        return make("pack", tuple(expanded), (name,))
    typed = rebuild(node, args)
    results = tuple((r.dtype, r.shape) for r in results_of(typed))
    facts = (tuple(a.shape for a in args), results, batch_shape(name, args), flops_of(name, args, **static_of(typed)),
             args[0].dtype)
    return make("library", tuple(map(viewed, args)), (name, static, *facts))


def viewed(x: Expr) -> Expr:
    while x.op == "reshape" and x.args[0].shape:
        x = x.args[0]
    return x


def result_word(item: Expr) -> str:
    """A name for the buffer of a result."""
    name, place = item.args[0].attrs[0], item.attrs[0]
    words = WORDS.get(name, ())
    return words[place] if place < len(words) else name


def library_step(node: Expr, context: Context) -> Library:
    """The step of a canonical library node."""
    name, static, shapes, results, batch, flops, kind = node.attrs
    held = {n.attrs[0]: buffer for n, buffer in context.stored.items() if n.op == "item" and n.args[0] is node}
    number = context.number()
    buffers = [held.get(k) or _temporary(f"{name}_{number}_{k}", dtype, shape, context)
               for k, (dtype, shape) in enumerate(results)]
    for buffer, (dtype, _) in zip(buffers, results, strict=True):
        context.buffers[buffer] = replace(context.buffers[buffer], pairs=dtype.kind == "c")
    operands = tuple((context.stored[a], 0) for a in node.args if not (a.op == "half" and a.attrs[0]))
    step = Library(
        f"{name}_{number}",
        name,
        (f"{', '.join(buffers)} = {_spelled(name, static, [b for b, _ in operands])}",),
        operands,
        (buffers[0], 0),
        (("static", static), ("shapes", shapes), ("results", tuple(s for _, s in results)), ("batch", batch),
         ("wanted", tuple(sorted(held))), ("flops", flops), ("dtype", kind.name)),
        tuple((b, 0) for b in buffers[1:]),
    )
    return replace(step, others=step.others + _scratch(step, context, kind))


def _temporary(wish: str, dtype: np.dtype, shape: tuple[Dim, ...], context: Context) -> str:
    return context.temporary(wish, part_dtype(dtype).name, (*shape, 2) if dtype.kind == "c" else shape)


def _scratch(step: Library, context: Context, dtype: np.dtype) -> tuple[tuple[str, int], ...]:
    """Memory that the routine works in."""
    if step.routine not in NATIVE:
        return ()
    dims = calls_of(step)[1]
    kinds = {None: dtype, "part": part_dtype(dtype)}
    return tuple((_temporary(f"{step.name}_work", kinds.get(own) or np.dtype(own), (count(dims),), context), 0)
                 for own, count in native_row(step).scratch)


def _spelled(name: str, static: tuple[tuple[str, object], ...], operands: list[str]) -> str:
    return f"{name}({', '.join([*operands, *(f'{k}={v}' for k, v in static)])})"
