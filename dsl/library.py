"""Library operations: whole matrices or lines computed by a routine (LAPACK, an FFT), a row of `ROUTINES` each.

    library  *operands; name, static      several results, taken by `item`

Operands have the same leading *batch* axes and, after them, as many *core* axes as the row says. To add a routine:

1. here, or in a module such as `linalg_rules`, a row `ROUTINES[name] = Routine(...)`: the types of its results, its
   derivatives in both modes as expressions (they may use the routine itself, so every order follows), its flops, and,
   where it is composed of simpler routines, its `expansion`, used when a program is planned;
2. unless it has an expansion, in `codegen/library_meaning.py` the function of that name: what it computes, in NumPy
   and SciPy (or CuPy). This runs on the reference, on the CPU through a host callback inside the one native call, on
   CUDA with CuPy's modules, and is printed into the CPU text;
3. where a Fortran pointer does the work, in `codegen/lapack.py` how it is called: then no Python runs in native code.

`routine(name, *operands, **static)` makes the node and gives its results. `static` are numbers, strings and sizes.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .batch import BATCH_RULES, Lane, Lanes
from .errors import NotDifferentiable
from .grad import vjp_of
from .loop import bound
from .node import Expr, make, rebuild, rewrite, where
from .primitives import zeros_like
from .rules import RULES, Rule
from .size import Dim, product

Type = tuple[np.dtype, tuple[Dim, ...]]
Parts = list[Expr | None]


@dataclass(frozen=True)
class Routine:
    """One routine. `core`: core axes of each operand. `results(operands, **static)`: dtype and core shape of each.

    `forward(node, tangents)`: the tangents of the results; `reverse(node, cotangents)`: those of the operands, by
    default the transpose of `forward`; None is zero in both. `flops(operands, **static)`: for one element of the batch.
    `expansion(operands, **static)`: the results in simpler terms, or None. `batch(node, parts, lanes)`: where only some
    operands have lanes; by default all get the leading axis. `analytic`: whether it conjugates nothing inside.
    """

    core: tuple[int, ...]
    results: Callable[..., list[Type]]
    forward: Callable[[Expr, Sequence[Expr | None]], Sequence[Expr | None]] | None = None
    reverse: Callable[[Expr, Sequence[Expr | None]], Sequence[Expr | None]] | None = None
    flops: Callable[..., Dim] = lambda *operands, **static: 0
    expansion: Callable[..., Sequence[Expr] | None] | None = None
    batch: Callable[[Expr, list[Lane], Lanes], list[Lane] | None] | None = None
    analytic: bool = True


class _Rows(dict[str, Routine]):
    """Rows by name. The modules that write them are loaded when a row is missed: most programs need none."""

    def __missing__(self, name: str) -> Routine:
        for module in ("linalg_rules", "linalg_spectral", "linalg_determinants", "linalg_tridiagonal", "fft_rules"):
            importlib.import_module(f".{module}", __package__)
        return dict(self)[name]


ROUTINES: dict[str, Routine] = _Rows()


def routine(name: str, *operands: Expr, **static: Any) -> tuple[Expr, ...]:
    """The results of `ROUTINES[name]` on operands whose batch axes are equal already."""
    batch = batch_shape(name, operands)
    node = make("library", operands, (name, tuple(sorted(static.items()))))
    types = ROUTINES[name].results(*operands, **static)
    return tuple(make("item", (node,), (k,), dtype, (*batch, *core)) for k, (dtype, core) in enumerate(types))


def result_count(node: Expr) -> int:
    """Of a library node, also of one that is ready to be a step."""
    return len(results_of(node) if len(node.attrs) == 2 else node.attrs[3])


def batch_shape(name: str, operands: Sequence[Expr]) -> tuple[Dim, ...]:
    """The batch axes of operands."""
    shape = operands[0].shape
    return shape[: len(shape) - ROUTINES[name].core[0]]


def static_of(node: Expr) -> dict[str, Any]:
    return dict(node.attrs[1])


def results_of(node: Expr) -> tuple[Expr, ...]:
    """The results of a library node, all of them."""
    return routine(node.attrs[0], *node.args, **static_of(node))


def flops_of(name: str, operands: Sequence[Expr], **static: Any) -> Dim:
    """Floating operations for the whole batch."""
    return ROUTINES[name].flops(*operands, **static) * product(batch_shape(name, operands))


# ---- derivatives and lanes --------------------------------------------------------------------------------------
def _forward(node: Expr, tangents: Sequence[Expr | None]) -> Parts:
    rule = ROUTINES[node.attrs[0]].forward
    if rule is None:
        raise _no_derivative(node)
    return list(rule(node, tangents))


@functools.lru_cache(maxsize=256)
def _shares(node: Expr, parts: tuple[Expr | None, ...]) -> Parts:
    row = ROUTINES[node.attrs[0]]
    if row.reverse is None and row.forward is None:
        raise _no_derivative(node)
    return list((row.reverse or _transposed)(node, [*parts, *[None] * (len(results_of(node)) - len(parts))]))


def _transposed(node: Expr, parts: Sequence[Expr | None]) -> Parts:
    """The reverse rule that the forward rule implies: it is linear in the tangents, so their values do not matter."""
    seeds = [bound(a.dtype, a.shape) if a.dtype.kind in "fc" else None for a in node.args]
    along = _forward(node, seeds)
    pairs = [(t, g) for t, g in zip(along, parts, strict=True) if t is not None and g is not None]
    wrt = [s for s in seeds if s is not None]
    found = iter(vjp_of([t for t, _ in pairs], [g for _, g in pairs], wrt))
    shares = [None if s is None else next(found) for s in seeds]
    known = {s: zeros_like(s) for s in wrt}
    return [None if x is None else rewrite([x], rebuild, known)[0] for x in shares]


def _reverse(node: Expr, parts: Sequence[Expr | None], index: int) -> Expr | None:
    return _shares(node, tuple(parts))[index]


def _no_derivative(node: Expr) -> NotDifferentiable:
    return NotDifferentiable(f"{node.attrs[0]} has no derivative{where(node)}: "
                             "put pb.stop_gradient around it, or differentiate what it is computed from")


def _batched(node: Expr, parts: list[Lane], lanes: Lanes) -> list[Lane]:
    own = ROUTINES[node.attrs[0]].batch
    found = own(node, parts, lanes) if own is not None else None
    if found is not None:
        return found
    results = routine(node.attrs[0], *map(lanes.spread, parts), **static_of(node))
    return [Lane(r, True) for r in results]


RULES["library"] = Rule(_forward, _reverse)  # type: ignore[arg-type]
BATCH_RULES["library"] = _batched
