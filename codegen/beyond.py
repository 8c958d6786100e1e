"""Folds with axes of their own after those of their kernel, such as sum_j f(|x_i - y_j|) * (x_i - y_j): i are the rows,
j is folded, and the axis of the points' coordinates lies beyond.

What does not follow the axes beyond (the weight of a pair) is computed in a pass over the inner axes of its own and
kept in the memory of the row. Then the inner axes are swept once for each element of the axes beyond, in lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..dsl.size import same_shape
from .emit import LETTERS
from .program import Axis, Offset
from .roots import Root
from .share import worth_keeping

if TYPE_CHECKING:
    from .nest import Nest


def sweep_beyond(nest: Nest, roots: Sequence[Root]) -> None:
    """The passes over a row that compute `roots`."""
    _keep_weights(nest, roots)
    for first in roots:
        alike = [r for r in roots if same_shape(r.beyond, first.beyond)]
        if alike[0] is first:
            _sweep_alike(nest, alike)


def _keep_weights(nest: Nest, roots: Sequence[Root]) -> None:
    weights = [(node, tuple(nest.index[a] for a in axes))
               for node, axes in worth_keeping(roots, len(nest.axes), nest.context.stored)]
    weights = [found for found in weights if found not in nest.emitter.in_row]
    if weights:
        scopes = nest.open_inner(False)
        for node, index in weights:
            nest.keep(node, index, nest.inner)
        nest.close_inner(scopes, [])


def _sweep_alike(nest: Nest, roots: Sequence[Root]) -> None:
    """Folds with axes beyond of the same sizes: over the inner axes into an element, over the rows in place."""
    emitter, rank = nest.emitter, len(nest.axes)
    axes = [Axis(nest.context.names.index(LETTERS[(rank + k) % 8]), d) for k, d in enumerate(roots[0].beyond)]
    place = tuple(Offset(0, ((a.name, 1),)) for a in axes)
    around = [emitter.open((axis,)) for axis in axes]
    scopes = nest.open_inner(False)
    folds = []
    for root, value in [(r, emitter.value(r.operand, (*nest.index, *place))) for r in roots]:
        if root.reduced == nest.inner:
            folds.append((root, value))
        else:
            nest.update(root, (*nest.index, *place), value)
    for (root, _), value in zip(folds, nest.close_inner(scopes, folds), strict=True):
        nest.store(root, (*nest.row_index(), *place), value)
    for opened in reversed(around):
        nest.close_scope(opened)
