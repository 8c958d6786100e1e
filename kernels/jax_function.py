"""`jax_function`: a program as a function of JAX, with its own derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..dsl import nest
from ..dsl.errors import PullbackError
from ..dsl.functional import vjp
from ..dsl.size import evaluate
from .compiled import Compiled, compile


def jax_function(f: Any) -> Callable[..., Any]:
    """`f` as a function of JAX arrays, to be jitted and differentiated in reverse by JAX, to any order.

    The program runs on the CPU through `jax.pure_callback`; the derivative is the program's own, one compiled call.
    Arguments and results are nests of arrays and numbers; strings and functions among them belong to the program.
    JAX's forward mode (`jax.jvp`) is refused by JAX: use `pb.jvp`. Results are rounded to 32 bits unless JAX is told to
    keep 64 (`jax_enable_x64`).

    Raises PullbackError where JAX is not installed.
    """
    jax = _jax()
    program = compile(f)

    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = nest.flatten((args, kwargs))
        dynamic = [k for k, x in enumerate(leaves) if not (isinstance(x, str) or callable(x))]
        static = {k: x for k, x in enumerate(leaves) if k not in dynamic}

        def on_leaves(*values: Any) -> Any:
            given = {**static, **dict(zip(dynamic, values, strict=True))}
            args, kwargs = nest.unflatten(structure, [given[k] for k in range(len(leaves))])
            return program(*args, **kwargs)

        return _wrapped(jax, on_leaves, program, structure, static)(*(leaves[k] for k in dynamic))

    call.__name__ = program.__name__
    return call


def _wrapped(jax: Any, on_leaves: Callable[..., Any], program: Compiled, structure: Any,
             static: dict[int, Any]) -> Callable[..., Any]:
    """The function of JAX arrays alone, with its derivative."""
    kinds: list[Any] = []

    @jax.custom_vjp
    def wrapped(*values: Any) -> Any:
        example = [np.zeros(np.shape(v), jax.dtypes.result_type(v)) for v in values]
        shapes = _results(program, structure, static, example)
        kinds[:] = [s.dtype.kind in "fc" for s in nest.leaves(shapes)]
        tree = nest.flatten(shapes)[1]
        kept = [jax.ShapeDtypeStruct(s.shape, jax.dtypes.canonicalize_dtype(s.dtype)) for s in nest.leaves(shapes)]

        def run(*arrays: Any) -> list[Any]:
            results = nest.leaves(on_leaves(*map(np.asarray, arrays)))
            return [r.astype(s.dtype, copy=False) for r, s in zip(results, kept, strict=True)]

        return nest.unflatten(tree, jax.pure_callback(run, kept, *values, vmap_method="sequential"))

    def forward(*values: Any) -> Any:
        return wrapped(*values), values

    def backward(values: Any, cotangents: Any) -> Any:
        smooth = [k for k, v in enumerate(values) if jax.dtypes.result_type(v).kind in "fc"]
        gs = [g for g, kind in zip(nest.leaves(cotangents), kinds, strict=True) if kind]

        def pull(chosen: tuple, rest: tuple, gs: list[Any]) -> tuple:
            def results(*moving: Any) -> list[Any]:
                all_ = dict(zip(smooth, moving, strict=True))
                fixed = iter(rest)
                given = [all_[k] if k in all_ else next(fixed) for k in range(len(values))]
                found = nest.leaves(on_leaves(*given))
                return [x for x, kind in zip(found, kinds, strict=True) if kind]

            return vjp(results, *chosen)[1](gs)

        rest = tuple(v for k, v in enumerate(values) if k not in smooth)
        found = jax_function(pull)(tuple(values[k] for k in smooth), rest, gs)
        by_place = dict(zip(smooth, found, strict=True))
        return tuple(by_place.get(k, np.zeros(np.shape(v), jax.dtypes.float0)) for k, v in enumerate(values))

    wrapped.defvjp(forward, backward)
    return wrapped


def _results(program: Compiled, structure: Any, static: dict[int, Any], example: list[np.ndarray]) -> Any:
    """The result with arrays of zeros stand for it: no kernel runs."""
    rest = iter(example)
    count = len(example) + len(static)
    args, kwargs = nest.unflatten(structure, [static[k] if k in static else next(rest) for k in range(count)])
    lowered = program.lower(*args, **kwargs)
    return nest.unflatten(lowered.traced.structure, [
        np.broadcast_to(np.zeros((), x.dtype), tuple(evaluate(d, lowered.values) for d in x.shape))
        for x in lowered.traced.outputs])


def _jax() -> Any:
    try:
        import jax  # type: ignore[import-not-found]
    except ImportError:
        raise PullbackError("jax_function needs JAX: pip install jax") from None
    return jax
