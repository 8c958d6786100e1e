"""Whole Jacobians of typed graphs: tangents or cotangents for every unit vector at once.

The unit vectors are lanes of a batched graph, and exist only as a comparison of indices: what is linear in them is
written without them where it can be.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import batch_control  # noqa: F401  (batch_control registers its rules)
from .adjoint import filled, ones
from .batch import Lane, Lanes, batched
from .grad import jvp_of, vjp_of
from .loop import bound
from .node import Expr
from .paths import check_real
from .primitives import full, reshape, transpose
from .size import Dim, product


def jacobians_of(outputs: Sequence[Expr], wrt: Sequence[Expr], mode: str) -> list[Expr]:
    """d output / d w, of shape output.shape + w.shape, for each output and each w in it.

    `mode` is 'fwd' (a tangent for each element of `wrt`) or 'rev' (a cotangent for each of `outputs`).
    """
    if mode == "fwd":
        columns = [_along(outputs, w) for w in wrt]
        return [column[k] for k in range(len(outputs)) for column in columns]
    return [share for o in outputs for share in _back(o, wrt)]


def mode_for(outputs: Sequence[Expr], wrt: Sequence[Expr], mode: str, holomorphic: bool = False) -> str:
    """'fwd' or 'rev' for `mode`: 'auto' is the one with fewer sweeps of those that complex numbers allow."""
    if mode == "auto" and not holomorphic and any(x.dtype.kind == "c" for x in (*outputs, *wrt)):
        mode = "fwd" if any(o.dtype.kind == "c" for o in outputs) else "rev"
    elif mode == "auto":
        mode = "rev" if _fewer(outputs, wrt) else "fwd"
    check_real("jacfwd" if mode == "fwd" else "jacrev", mode, outputs, wrt, holomorphic)
    return mode


def _fewer(outputs: Sequence[Expr], wrt: Sequence[Expr]) -> bool:
    """Whether there are fewer elements in `outputs` than in `wrt`."""
    if all(not o.shape for o in outputs):
        return any(w.shape for w in wrt)
    rows: Dim = 0
    columns: Dim = 0
    for o in outputs:
        rows = rows + product(o.shape)
    for w in wrt:
        columns = columns + product(w.shape)
    return bool(rows < columns)


def _along(outputs: Sequence[Expr], w: Expr) -> list[Expr]:
    """The derivatives of all outputs with respect to `w`, by tangents."""
    if not w.shape:
        return filled(jvp_of(outputs, {w: ones((), w.dtype)}), outputs)
    tangent = bound(w.dtype, w.shape)
    moved = jvp_of(outputs, {w: tangent})
    found = []
    for o, lane in zip(outputs, _for_units(moved, tangent), strict=True):
        if lane is None:
            found.append(full((*o.shape, *w.shape), 0, o.dtype))
        else:
            last = transpose(lane, (*range(1, lane.ndim), 0))
            found.append(reshape(last, (*o.shape, *w.shape)))
    return found


def _back(output: Expr, wrt: Sequence[Expr]) -> list[Expr]:
    """The derivatives of `output` with respect to each of `wrt`, by cotangents."""
    if not output.shape:
        return filled(vjp_of([output], [ones((), output.dtype)], wrt), wrt)
    cotangent = bound(output.dtype, output.shape)
    shares = vjp_of([output], [cotangent], wrt)
    return [full((*output.shape, *w.shape), 0, w.dtype) if lane is None else reshape(lane, (*output.shape, *w.shape))
            for w, lane in zip(wrt, _for_units(shares, cotangent), strict=True)]


def _for_units(results: Sequence[Expr | None], seed: Expr) -> list[Expr | None]:
    """`results`, which are linear in `seed`, for each unit vector in its place, along a leading axis."""
    lanes = Lanes(product(seed.shape))
    units = lanes.diagonal(ones(seed.shape, seed.dtype))
    there = [r for r in results if r is not None]
    found = iter([lanes.spread(lane) for lane in batched(there, {seed: Lane(units, True)}, lanes)])
    return [None if r is None else next(found) for r in results]

