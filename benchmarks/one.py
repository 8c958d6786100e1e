"""One case under one system, in this process: `python -m benchmarks.one CASE SYSTEM BUDGET` prints a line of JSON."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable

import numpy as np

from .cases import CASES, Case, make_arrays, traffic
from .timing import time_call


def build(case: Case, system: str, arrays: list[np.ndarray]) -> Callable[[], object]:
    """Return a call without arguments that computes the case."""
    if system == "numpy":
        return lambda: case.numpy(*arrays)
    if system == "numba":
        from . import by_hand

        function = getattr(by_hand, case.name)
        return lambda: function(*arrays)
    if system == "jax":
        return _build_jax(case, arrays)
    import pullback as pb

    def program(*args):
        return case.program(pb, *args)

    function = pb.compile(pb.value_and_grad(program, argnums=case.wrt) if case.wrt else program, device="cpu")
    return lambda: function(*arrays)


def _build_jax(case: Case, arrays: list[np.ndarray]) -> Callable[[], object]:
    import jax

    jax.config.update("jax_enable_x64", True)

    def program(*args):
        return case.program(jax.numpy, *args)

    function = jax.jit(jax.value_and_grad(program, argnums=case.wrt) if case.wrt else program)
    on_device = [jax.numpy.asarray(array) for array in arrays]
    return lambda: jax.block_until_ready(function(*on_device))


def flatten(result) -> list[np.ndarray]:
    """Return the leaves of nested tuples as arrays."""
    if isinstance(result, tuple | list):
        return [leaf for item in result for leaf in flatten(item)]
    return [np.asarray(result)]


def main() -> None:
    name, system, budget = sys.argv[1], sys.argv[2], float(sys.argv[3])
    case = next(case for case in CASES if case.name == name)
    arrays = make_arrays(case)
    expected = flatten(case.numpy(*arrays))
    start = time.perf_counter()
    call = build(case, system, arrays)
    ready = time.perf_counter() - start
    first, steady = time_call(call, budget)
    for got, want in zip(flatten(call()), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12 * np.abs(want).max())
    result = {"first": ready + first, "steady": steady, "version": importlib.import_module(system).__version__}
    if case.counts_bytes:
        result["bytes"] = traffic(case, expected)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
