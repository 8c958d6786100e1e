"""`out=`: results written into arrays of the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dsl import nest
from ..dsl.errors import DTypeError, PullbackError, ShapeError
from ..dsl.trace import Traced
from .execute_cpu import Call


def written(call: Call, arrays: Sequence[np.ndarray], out: Any, traced: Traced) -> list[np.ndarray]:
    """Write the results into `out`: directly where that is safe, else by a copy."""
    targets, structure = nest.flatten(out)
    if not nest.same_structure(structure, traced.structure):
        raise ShapeError(f"out has the structure {nest.shown(structure)}, the result is {nest.shown(traced.structure)}")
    direct: list[np.ndarray | None] = []
    for k, (target, (shape, dtype)) in enumerate(zip(targets, call.results, strict=True)):
        if not isinstance(target, np.ndarray) or not target.flags.writeable:
            raise DTypeError("out holds writable NumPy arrays")
        if target.shape != shape:
            raise ShapeError(f"out has shape {target.shape}, the result {shape}")
        if target.dtype != dtype:
            raise DTypeError(f"out has dtype {target.dtype}, the result {dtype}")
        if any(np.may_share_memory(target, other) for other in targets[:k]):
            raise PullbackError("two arrays of out share memory, and one result would overwrite the other: "
                                "give each result an array of its own")
        usable = target.flags.c_contiguous and target.flags.aligned
        direct.append(target if usable and not any(np.may_share_memory(target, a) for a in arrays) else None)
    results = call.run(arrays, direct)
    for target, result in zip(targets, results, strict=True):
        if result is not target:
            target[...] = result
    return targets
