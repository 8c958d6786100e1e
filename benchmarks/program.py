"""What a benchmark program is: a module in programs/, its rivals by hand in by_hand/.

programs/NAME.py, whose docstring's first line is the title, holds

* `SECTION`: where in the report it stands (a key of sections.py);
* `SIZES`: the sizes that are measured; `TINY`: the one that the tests take;
* `inputs(size, draw)`: the arrays, from a NumPy generator; floats are cast to the data type that is measured;
* `program(xp, control, *arrays)`: the program, for pullback and JAX alike: `xp` has the array functions, `control` has
  scan, fori_loop, while_loop and cond. It may return a nest of arrays;
* `WRT`: the numbers of the arrays to differentiate in; () for none (the default);
* `weights(arrays, draw)`: for results that are no scalar, an array for each of them: what is differentiated is the sum
  of their products, and weights are arguments too;
* `PEERS`: the systems beside pullback, of 'jax' (the default), 'numpy', 'numba', 'c', 'copy';
* `DTYPES`, `THREADS` (0: all), `STEPS` (turns of its loop), `BARS` (see `Bar`), all optional;
* `value_numpy(*arrays)` and `gradient_numpy(weights, *arrays)` where NumPy's text differs from `program` (without
  weights the argument is left out); `program_jax` where JAX's does.

by_hand/NAME.py has `value` and `gradient` in Numba with these arguments, by_hand/NAME.c has them in C as
`void value(const long *sizes, real **inputs, real **outputs)`: `sizes` are the lengths of all axes of all inputs, one
after the other. A gradient returns the value (of the weighted sum) and then a slope for each of `WRT`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).resolve().parent
Call = Callable[[], object]


class Bar(NamedTuple):
    """A promise: `measure` (a column of the report, as 'gradient: jax' or 'gradient / value') lies within bounds."""

    measure: str
    least: float = 0.0
    most: float = float("inf")

    def __str__(self) -> str:
        return f"{self.measure} " + (f"at least {self.least:g}" if self.least else f"at most {self.most:g}")


class Program:
    """A module of programs/ at one size and data type."""

    def __init__(self, name: str, size: int | None = None, dtype: str = "float64") -> None:
        module: ModuleType = importlib.import_module(f".programs.{name}", __package__)
        self.module, self.name, self.dtype = module, name, dtype
        self.size = size if size is not None else module.SIZES[-1]
        self.title = (module.__doc__ or name).splitlines()[0].rstrip(".")
        self.section: str = module.SECTION
        self.wrt: tuple[int, ...] = getattr(module, "WRT", ())
        self.peers: tuple[str, ...] = getattr(module, "PEERS", ("jax",))
        self.threads: int = getattr(module, "THREADS", 0)
        self.bars: tuple[Bar, ...] = getattr(module, "BARS", ())

    @property
    def measures(self) -> tuple[str, ...]:
        return ("value", "gradient") if self.wrt else ("value",)

    def arguments(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return (weights, arrays), the same at every call."""
        draw = np.random.default_rng(17)
        arrays = [self._cast(array) for array in self.module.inputs(self.size, draw)]
        make = getattr(self.module, "weights", None)
        return [self._cast(array) for array in make(arrays, draw)] if make else [], arrays

    def _cast(self, array: np.ndarray) -> np.ndarray:
        array = np.asarray(array)
        return np.asarray(array, self.dtype, order="C") if array.dtype.kind == "f" else array

    def run(self, xp, control, arrays, system: str = "") -> object:
        """Return the value by the text that this system runs."""
        return getattr(self.module, f"program_{system}", self.module.program)(xp, control, *arrays)

    def loss(self, xp, control, weights, arrays, system: str = "") -> object:
        """Return what is differentiated: the value, or the sum of its arrays times their weights."""
        value = self.run(xp, control, arrays, system)
        if not weights:
            return value
        results = value if isinstance(value, tuple | list) else (value,)
        return sum(xp.sum(w * result) for w, result in zip(weights, results, strict=True))

    def shapes(self, measure: str) -> list[tuple[int, ...]]:
        """Return the shapes of the results of a measure."""
        weights, arrays = self.arguments()
        if measure == "value":
            return [w.shape for w in weights] or [()]
        return [(), *(arrays[k].shape for k in self.wrt)]

    def traffic(self, measure: str) -> int:
        """Return the bytes that cannot be avoided: every input read once, every result written once."""
        weights, arrays = self.arguments()
        read = sum(a.nbytes for a in (arrays if measure == "value" else arrays + weights))
        return read + sum(int(np.prod(shape)) for shape in self.shapes(measure)) * np.dtype(self.dtype).itemsize


def names() -> list[str]:
    """Return the names of all programs."""
    return sorted(path.stem for path in (HERE / "programs").glob("*.py"))


def cases(wanted: list[str], size: int | None) -> list[Program]:
    """Return programs (all, if none is named) at each of their sizes and data types, or at `size`."""
    found = []
    for name in wanted or names():
        module = Program(name).module
        for dtype in getattr(module, "DTYPES", ("float64",)):
            found += [Program(name, n, dtype) for n in ((size,) if size else module.SIZES)]
    return found
