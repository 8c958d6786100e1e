"""Programs by hand in C: compiled by gcc for this machine, called through ctypes."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from .program import Call, Program

HERE = Path(__file__).resolve().parent / "by_hand"
FLAGS = ("-O3", "-march=native", "-ffast-math", "-fopenmp", "-fPIC", "-mprefer-vector-width=512")


def compiler() -> str | None:
    return shutil.which("gcc")


def compiler_version() -> str:
    path = compiler()
    assert path is not None
    return subprocess.run([path, "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()


def load(name: str, dtype: str = "float64") -> ctypes.CDLL:
    """Compile by_hand/NAME.c with `real` as the data type, and load it. It is linked without -ffast-math, by which
    loading it would flush the subnormal numbers of the whole process to zero.
    """
    path = compiler()
    assert path is not None, "gcc is not there"
    real = {"float64": "double", "float32": "float"}[dtype]
    with tempfile.TemporaryDirectory() as folder:
        made, library = (os.path.join(folder, name + ending) for ending in (".o", ".so"))
        subprocess.run([path, *FLAGS, f"-Dreal={real}", "-c", str(HERE / f"{name}.c"), "-o", made], check=True)
        subprocess.run([path, "-shared", "-fopenmp", made, "-o", library, "-lm"], check=True)
        return ctypes.CDLL(library)


def pointers(arrays: list[np.ndarray]) -> ctypes.Array:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))


def with_c(program: Program, measure: str) -> Call:
    weights, arrays = program.arguments()
    inputs = arrays if measure == "value" else [*weights, *arrays]
    outputs = [np.zeros(shape, program.dtype) for shape in program.shapes(measure)]
    lengths = [length for array in inputs for length in array.shape]
    sizes = (ctypes.c_long * max(1, len(lengths)))(*lengths)
    function = getattr(load(program.name, program.dtype), measure)
    function.restype = None
    given, wanted = pointers(inputs), pointers(outputs)

    def call() -> object:
        function(sizes, given, wanted)
        return outputs

    call.keeps = inputs  # type: ignore[attr-defined]
    return call


def copier(source: np.ndarray, target: np.ndarray) -> Call:
    """Return a call that copies one array of float64 into another with all threads."""
    library = load("machine")
    library.copy.restype = None
    library.copy.argtypes = (ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)

    def call() -> object:
        library.copy(source.size, source.ctypes.data, target.ctypes.data)
        return ()

    call.keeps = source, target  # type: ignore[attr-defined]
    return call


def peak_flops() -> float:
    """Return the multiplications and additions per second that all threads reach on numbers in registers."""
    library = load("machine")
    library.multiply_add.restype = ctypes.c_double
    library.multiply_add.argtypes = (ctypes.c_long,)
    return max(library.multiply_add(20_000_000) for _ in range(3))
