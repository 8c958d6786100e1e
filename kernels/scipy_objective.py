"""`scipy_objective`: value and gradient of a function of parameters, as `scipy.optimize` wants them."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..dsl import nest
from ..dsl.errors import DTypeError, PullbackError, ShapeError
from ..dsl.functional import hvp, value_and_grad
from ..dsl.node import FUNCTIONS, Expr
from .compiled import Compiled, compile


def scipy_objective(f: Any, like: Any = None) -> ScipyObjective:
    """`f` for `scipy.optimize.minimize(..., jac=True)`: one compiled call gives the value and the gradient.

    `f(parameters, *args)` has a scalar result; `args` are those that minimize passes on. Without `like` the parameters
    are the vector itself. With it they are a nest built like `like` (tuple, list, dict, dataclass) of float arrays and
    numbers, which the vector holds one after another: `objective.flatten(parameters)` gives the vector,
    `objective.unflatten(result.x)` the parameters. `objective.hessp` is the Hessian times a vector, for the methods
    that use one. An expression takes a dict of its variables.

    Raises DTypeError for parameters that are no floats, ShapeError for a vector of another length.

    >>> import numpy as np, pullback as pb
    >>> from scipy.optimize import minimize
    >>> def loss(p):
    ...     return pb.sum((p['scale'] * np.arange(3.0) + p['shift'] - np.array([1.0, 3.0, 5.0])) ** 2)
    >>> start = {'scale': 0.0, 'shift': np.zeros(3)[0]}
    >>> objective = pb.scipy_objective(loss, like=start)
    >>> found = minimize(objective, objective.flatten(start), jac=True)
    >>> {name: round(float(value), 3) for name, value in objective.unflatten(found.x).items()}
    {'scale': 2.0, 'shift': 1.0}
    """
    return ScipyObjective(f, like)


class ScipyObjective:
    """What `scipy_objective` makes of a function."""

    def __init__(self, f: Any, like: Any) -> None:
        if isinstance(f, Expr) or isinstance(f, Compiled) and not callable(f.target):
            program = compile(f)
            f = lambda parameters: program(**parameters)  # noqa: E731
        if not callable(f):
            raise TypeError(f"scipy_objective takes a function or an expression, not {type(f).__name__}")
        self.function: Any = f.target if isinstance(f, Compiled) else f
        leaves, self.structure = nest.flatten(0.0 if like is None else like)
        self.plain = like is None
        arrays = [np.asarray(leaf) for leaf in leaves]
        names = nest.leaf_names(like, "like")
        for array, name in zip(arrays, names, strict=False):
            if array.dtype.kind != "f":
                raise DTypeError(f"{name} is {array.dtype}: parameters are floats; convert it, or pass it in args")
        self.shapes, self.dtypes = [a.shape for a in arrays], [a.dtype for a in arrays]
        self.size = sum(math.prod(s) for s in self.shapes)

    def __call__(self, x: Any, *args: Any) -> tuple[float, np.ndarray]:
        """(value, gradient) at the vector `x`."""
        value, gradient = self._both(self._vector(x), *args)
        return float(value), np.asarray(gradient, np.float64)

    def hessp(self, x: Any, vector: Any, *args: Any) -> np.ndarray:
        """The Hessian at `x` times `vector`."""
        return np.asarray(self._along(self._vector(x), self._vector(vector), *args), np.float64)

    def flatten(self, parameters: Any) -> np.ndarray:
        """The vector of a nest of parameters."""
        if self.plain:
            return np.ravel(np.asarray(parameters, np.float64))
        leaves, structure = nest.flatten(parameters)
        if not nest.same_structure(structure, self.structure) or [np.shape(x) for x in leaves] != self.shapes:
            raise PullbackError(f"the parameters are built as {structure}, expected {self.structure} "
                                f"of arrays of the shapes {self.shapes}")
        return np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in leaves] or [np.zeros(0)])

    def unflatten(self, x: Any) -> Any:
        """The nest of parameters of a vector."""
        x = self._vector(x)
        return x if self.plain else nest.unflatten(self.structure, [
            np.asarray(part.reshape(shape), dtype) for part, shape, dtype in self._parts(x)])

    def _vector(self, x: Any) -> np.ndarray:
        x = np.asarray(x, np.float64)
        if not self.plain and x.shape != (self.size,):
            raise ShapeError(f"the vector has shape {x.shape}, the parameters have {self.size} elements")
        return x

    def _parts(self, x: Any) -> Any:
        start = 0
        for shape, dtype in zip(self.shapes, self.dtypes, strict=True):
            stop = start + math.prod(shape)
            yield x[start:stop], shape, dtype
            start = stop

    def of_vector(self, x: Any, *args: Any) -> Any:
        """The function of the vector, to be traced."""
        if self.plain:
            return self.function(x, *args)
        reshape, astype = FUNCTIONS["reshape"], FUNCTIONS["astype"]
        leaves = [astype(reshape(part, shape), dtype) for part, shape, dtype in self._parts(x)]
        return self.function(nest.unflatten(self.structure, leaves), *args)

    @functools.cached_property
    def _both(self) -> Compiled:
        return compile(value_and_grad(self.of_vector))

    @functools.cached_property
    def _along(self) -> Compiled:
        def product(x: Any, vector: Any, *args: Any) -> Any:
            return hvp(lambda y: self.of_vector(y, *args), (x,), (vector,))

        return compile(product)
