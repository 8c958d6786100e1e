"""`distributed`: one compiled program over the blocks of Dask arrays, gradients of shared parameters summed."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dsl import nest
from ..dsl.errors import PullbackError, ShapeError
from ..dsl.functional import value_and_grad
from ..dsl.size import evaluate
from .compiled import Compiled, compile

_serial = itertools.count()
_here: dict[str, Compiled] = {}             # of this process: programs that were shipped to it
_lock = threading.Lock()


def distributed(f: Any) -> Distributed:
    """`f` over Dask arrays: compiled once in each worker, run on each block of the first axis.

    Arguments that are Dask arrays are cut along their first axis, all alike; other arguments (nests of arrays and
    numbers) are shared by all blocks. A result with axes is a Dask array of the blocks' results one after another; a
    scalar is the *sum* over the blocks, so a loss is to be a sum over what is cut, not a mean. `value_and_grad(*args,
    argnums=0)` gives that sum and the gradients of shared parameters summed over the blocks, `grad` these alone, all
    as Dask arrays: nothing runs before `.compute()`, with any of Dask's schedulers.

    Raises PullbackError where Dask is not installed, ShapeError for arrays that are cut differently.
    """
    return Distributed(f)


class Distributed:
    """What `distributed` makes of a function."""

    def __init__(self, f: Any) -> None:
        self._dask = _dask()
        self.program = compile(f)
        self.__name__ = self.program.__name__

    def __call__(self, *args: Any) -> Any:
        return self._over_blocks(_shipped(self.program), args)

    def value_and_grad(self, *args: Any, argnums: Any = 0) -> Any:
        """(value, gradient) summed over the blocks; `argnums` says which shared arguments are differentiated."""
        leaves = nest.leaves([args[k] for k in (argnums if isinstance(argnums, (tuple, list)) else [argnums])])
        if any(self._is_cut(x) for x in leaves):
            raise PullbackError("the gradient is taken of shared arguments, and argnums names one that is cut in "
                                "blocks: give its position among the others")
        return self._over_blocks(_shipped(compile(value_and_grad(self.program.target, argnums=argnums))), args, True)

    def grad(self, *args: Any, argnums: Any = 0) -> Any:
        """The gradients of shared arguments, summed over the blocks."""
        return self.value_and_grad(*args, argnums=argnums)[1]

    def _is_cut(self, x: Any) -> bool:
        return isinstance(x, self._dask.array.Array)

    def _over_blocks(self, program: _Shipped, args: tuple, summed: bool = False) -> Any:
        leaves, structure = nest.flatten(args)
        cut = [k for k, x in enumerate(leaves) if self._is_cut(x)]
        lengths = _lengths([leaves[k] for k in cut])
        blocks = {k: leaves[k].to_delayed().reshape(-1) for k in cut}
        shared = self._dask.delayed([None if k in cut else x for k, x in enumerate(leaves)], traverse=False)
        kinds = [_results(program.program, structure, leaves, cut, n) for n in dict.fromkeys(lengths)]
        (shapes, result), count = kinds[0], len(kinds[0][0])
        run = self._dask.delayed(_run, pure=False)
        parts = [run(program, structure, shared, cut, [blocks[k][b] for k in cut]) for b in range(len(lengths))]
        found = []
        for place in range(count):
            shape, dtype = shapes[place]
            pieces = [part[place] for part in parts]
            if summed or not shape:
                found.append(self._dask.array.from_delayed(_tree(self._dask, pieces), shape, dtype))
            else:
                by_length = dict(zip(dict.fromkeys(lengths), kinds, strict=True))
                found.append(self._dask.array.concatenate([
                    self._dask.array.from_delayed(piece, by_length[n][0][place][0], dtype)
                    for piece, n in zip(pieces, lengths, strict=True)]))
        return nest.unflatten(result, found)


def _lengths(arrays: Sequence[Any]) -> tuple[int, ...]:
    """How the first axis of all of `arrays` is cut."""
    if not arrays:
        raise PullbackError("none of the arguments is a Dask array: call the compiled function itself, or cut one with "
                            "dask.array.from_array(x, chunks=...)")
    for x in arrays:
        if not x.ndim or any(len(c) != 1 for c in x.chunks[1:]):
            raise ShapeError(f"an array of chunks {x.chunks} is cut along other axes than the first: "
                             "use x.rechunk({0: 'auto', 1: -1})")
        if x.chunks[0] != arrays[0].chunks[0]:
            raise ShapeError(f"the first axes are cut differently, in {arrays[0].chunks[0]} and {x.chunks[0]}: "
                             "rechunk one like the other")
    return arrays[0].chunks[0]


def _results(program: Compiled, structure: Any, leaves: Sequence[Any], cut: Sequence[int],
             length: int) -> tuple[list[Any], Any]:
    """Shape and dtype of each result for blocks of `length`, and the nest of results."""
    block = [np.broadcast_to(np.zeros((), x.dtype), (length, *x.shape[1:])) if k in cut else x
             for k, x in enumerate(leaves)]
    lowered = program.lower(*nest.unflatten(structure, block))
    outputs = lowered.traced.outputs
    return [(tuple(evaluate(d, lowered.values) for d in x.shape), x.dtype) for x in outputs], lowered.traced.structure


def _run(program: Any, structure: Any, shared: Sequence[Any], cut: Sequence[int], blocks: Sequence[Any]) -> list[Any]:
    """The results of one block."""
    given = dict(zip(cut, blocks, strict=True))
    args = nest.unflatten(structure, [given.get(k, x) for k, x in enumerate(shared)])
    return nest.leaves(program.program(*args))


def _tree(dask: Any, parts: list[Any]) -> Any:
    """The sum of delayed arrays, two by two, in an order that depends on their number alone."""
    add = dask.delayed(np.add, pure=True)
    while len(parts) > 1:
        pairs = [add(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + ([parts[-1]] if len(parts) % 2 else [])
    return parts[0]


class _Shipped:
    """A program that is compiled once in every process that it comes to."""

    def __init__(self, token: str, program: Compiled) -> None:
        self.token, self.program = token, program

    def __reduce__(self) -> tuple[Callable[..., Any], tuple]:
        return _arrived, (self.token, self.program)

    def __dask_tokenize__(self) -> str:
        return self.token


def _shipped(program: Compiled) -> _Shipped:
    import uuid

    return _Shipped(f"{uuid.uuid4().hex}-{next(_serial)}", program)


def _arrived(token: str, program: Compiled) -> _Shipped:
    with _lock:
        return _Shipped(token, _here.setdefault(token, program))


def _dask() -> Any:
    try:
        import dask  # type: ignore[import-not-found]
        import dask.array  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        raise PullbackError("distributed needs Dask: pip install 'dask[array,distributed]'") from None
    return dask
