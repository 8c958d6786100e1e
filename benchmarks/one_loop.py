"""One time-stepping case under one system: `python -m benchmarks.one_loop CASE SYSTEM BUDGET` prints a line of JSON.

`value` and `gradient` (value and gradient together) in seconds, `growth`: bytes that the first call of the compiled
gradient adds to the peak of the process.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from .loop_cases import LOOP_CASES, LoopCase
from .timing import memory_growth, time_call

Call = Callable[[], object]


def with_jax(case: LoopCase, arrays: list[np.ndarray]) -> tuple[Call, Call]:
    import jax

    jax.config.update("jax_enable_x64", True)
    on_device = [jax.numpy.asarray(a) for a in arrays]

    def program(*args):
        return case.program(jax.numpy, jax.lax, *args)

    value = jax.jit(program).lower(*on_device).compile()
    gradient = jax.jit(jax.value_and_grad(program, argnums=tuple(range(len(arrays))))).lower(*on_device).compile()
    return lambda: jax.block_until_ready(value(*on_device)), lambda: jax.block_until_ready(gradient(*on_device))


def with_pullback(case: LoopCase, arrays: list[np.ndarray]) -> tuple[Call, Call]:
    import pullback as pb

    control = SimpleNamespace(scan=pb.scan, fori_loop=pb.fori_loop)

    def program(*args):
        return case.program(pb, control, *args)

    value = pb.compile(program)
    gradient = pb.compile(pb.value_and_grad(program, argnums=tuple(range(len(arrays)))))
    for compiled in (value, gradient):
        compiled.lower(*arrays).compile()
    return lambda: value(*arrays), lambda: gradient(*arrays)


SYSTEMS = {"jax": with_jax, "pullback": with_pullback}


def main() -> None:
    name, system, budget = sys.argv[1], sys.argv[2], float(sys.argv[3])
    case = next(case for case in LOOP_CASES if case.name == name)
    value, gradient = SYSTEMS[system](case, case.make(np.random.default_rng(0)))
    value()
    growth = memory_growth(gradient)
    result = {"growth": growth, "value": time_call(value, budget)[1], "gradient": time_call(gradient, budget)[1],
              "result": float(np.asarray(gradient()[0])), "version": importlib.import_module(system).__version__}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
