"""How each system computes a program: a function of a program and a measure gives a call without arguments."""

from __future__ import annotations

import importlib

import numpy as np

from . import by_c
from .numpy_control import CONTROL, as_updatable
from .program import Call, Program


def with_pullback(program: Program, measure: str) -> Call:
    import pullback as pb

    weights, arrays = program.arguments()
    if measure == "value":
        function = pb.compile(lambda *args: program.run(pb, pb, args), device="cpu")
        return _compiled(function, arrays)
    count = len(weights)
    gradient = pb.value_and_grad(lambda *args: program.loss(pb, pb, args[:count], args[count:]),
                                 argnums=tuple(count + k for k in program.wrt))
    return _compiled(pb.compile(gradient, device="cpu"), [*weights, *arrays])


def _compiled(function, arguments: list[np.ndarray]) -> Call:
    """Compile now, so that the memory of a call is that of a call; hand out bytes and flops with it."""
    lowered = function.lower(*arguments)
    lowered.compile()

    def call() -> object:
        return function(*arguments)

    call.cost = lowered.cost  # type: ignore[attr-defined]
    return call


def with_jax(program: Program, measure: str) -> Call:
    import jax

    jax.config.update("jax_enable_x64", True)
    weights, arrays = program.arguments()
    count = len(weights)
    if measure == "value":
        function, arguments = (lambda *args: program.run(jax.numpy, jax.lax, args, "jax")), arrays
    else:
        function = jax.value_and_grad(
            lambda *args: program.loss(jax.numpy, jax.lax, args[:count], args[count:], "jax"),
            argnums=tuple(count + k for k in program.wrt))
        arguments = [*weights, *arrays]
    on_device = [jax.numpy.asarray(array) for array in arguments]
    compiled = jax.jit(function).lower(*on_device).compile()
    return lambda: jax.block_until_ready(compiled(*on_device))


def with_numpy(program: Program, measure: str) -> Call:
    weights, arrays = program.arguments()
    if measure == "gradient":
        function = program.module.gradient_numpy
        return (lambda: function(weights, *arrays)) if weights else (lambda: function(*arrays))
    function = getattr(program.module, "value_numpy", None)
    if function:
        return lambda: function(*arrays)
    updatable = [as_updatable(array) for array in arrays]
    return lambda: program.run(np, CONTROL, updatable)


def with_numba(program: Program, measure: str) -> Call:
    by_hand = importlib.import_module(f".by_hand.{program.name}", __package__)
    weights, arrays = program.arguments()
    function = getattr(by_hand, measure)
    arguments = arrays if measure == "value" else [*weights, *arrays]
    return lambda: function(*arguments)


def with_copy(program: Program, measure: str) -> Call:
    """Copying as many bytes as the program must read and write, with as many threads, into memory that is there."""
    half = program.traffic(measure) // 16
    source, target = np.ones(half), np.zeros(half)
    return by_c.copier(source, target)


BUILD = {"pullback": with_pullback, "jax": with_jax, "numpy": with_numpy, "numba": with_numba,
         "c": by_c.with_c, "copy": with_copy}


def has(program: Program, system: str, measure: str) -> bool:
    """Return whether a system has this measure of a program."""
    if measure not in program.measures:
        return False
    if system == "numpy":
        return measure == "value" or hasattr(program.module, "gradient_numpy")
    if system == "numba":
        source = by_c.HERE / f"{program.name}.py"
        return source.exists() and f"def {measure}(" in source.read_text()
    if system == "c":
        source = by_c.HERE / f"{program.name}.c"
        return source.exists() and f"void {measure}(" in source.read_text()
    return True


def version(system: str) -> str:
    if system in ("c", "copy"):
        return by_c.compiler_version()
    return importlib.import_module(system).__version__


def flatten(result) -> list[np.ndarray]:
    """Return the leaves of nested tuples as arrays."""
    if isinstance(result, tuple | list):
        return [leaf for item in result for leaf in flatten(item)]
    return [np.asarray(result)]


def fingerprint(result) -> list[list[float]]:
    """Return a few numbers for each array of a result, equal across systems up to rounding."""
    marks = []
    for leaf in flatten(result):
        flat = np.asarray(leaf, np.float64).ravel()
        some = flat[np.linspace(0, flat.size - 1, min(flat.size, 20)).astype(int)] if flat.size else flat
        marks.append([float(np.abs(flat).sum()), float(flat.sum()), *map(float, some)])
    return marks


def agree(first: list[list[float]], second: list[list[float]], tolerance: float) -> bool:
    """Return whether two fingerprints are those of one result; a sum is held to the size of what it adds."""
    for one, other in zip(first, second, strict=True):
        size = max(abs(one[0]), 1e-300)
        scale = np.array([size, size] + [max(1e-3 * size / max(len(one), 1), abs(x)) for x in one[2:]])
        if not np.all(np.abs(np.array(one) - np.array(other)) <= tolerance * scale):
            return False
    return True



