"""Jacobians and Hessians as sparse matrices: all colors of columns in one program, whose results are the entries.

The pattern and its coloring are found once for the shapes of the arguments. The products of all colors are lanes of one
program, so that what they share is computed once, and the program gathers the entries from them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from . import nest
from .coloring import Coloring
from .errors import PullbackError, ShapeError
from .functional import Gradient, check_callable, in_trace, is_expression, jvp, one_of, vjp
from .node import FUNCTIONS, Expr
from .sparsity import Sparsity, chosen_argument, pattern_of, single_variable
from .trace import expression_builder, variables_of
from .vmap import vmap


def sparse_derivative(target: Any, place: Any, given: Any, symmetric: bool) -> SparseDerivative:
    """The function that gives the Jacobian of `target`, or (`symmetric`) its Hessian, as a sparse matrix."""
    if given is not True and not isinstance(given, (Sparsity, Coloring)):
        raise PullbackError(f"sparse= is True, a pattern that pb.sparsity gave, or its coloring, not {given!r}")
    if is_expression(target):
        place, target = single_variable(target, place), _function_of(target)
    else:
        check_callable(target, "hessian" if symmetric else "jacobian")
        place = one_of(place, None)
        if isinstance(place, (tuple, list)):
            raise PullbackError("a sparse derivative is taken by one argument: choose it with argnums=")
    return SparseDerivative(target, place, given, symmetric)


def _function_of(target: Any) -> Callable[..., Any]:
    """The function of the variables of an expression, by name."""
    variables = variables_of(target)
    build = expression_builder(target, variables)
    names = [v.attrs[0] for v in variables]

    def function(**values: Any) -> Any:
        if set(values) != set(names):
            raise TypeError(f"the variables are {', '.join(names)}, and given were {', '.join(values) or 'none'}")
        return build([values[n] for n in names])

    return function


class SparseDerivative:
    """A Jacobian, or a Hessian, as a function that gives sparse matrices: SciPy's CSR on the CPU, CuPy's on CUDA.

    The matrix has a row for each element of the result and a column for each of the argument, in row-major order.
    """

    def __init__(self, function: Callable[..., Any], place: Any, given: Any, symmetric: bool) -> None:
        functools.update_wrapper(self, function, updated=())
        self.place, self.symmetric, self.given = place, symmetric, given
        self.function = Gradient(function, place, False, False) if symmetric else function
        self._colorings: dict[Any, Coloring] = {}
        self._compiled: dict[str, Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if in_trace(args, kwargs):
            raise PullbackError("a sparse derivative is a matrix of SciPy's and no expression: call it on arrays, and "
                                "write pb.jvp or pb.vjp for products inside a program")
        coloring = self.coloring(*args, **kwargs)
        data = self.compiled(coloring.kind)(args, kwargs, *self._words(coloring, args, kwargs))
        return FUNCTIONS["_csr"](data, coloring.pattern)

    def coloring(self, *args: Any, **kwargs: Any) -> Coloring:
        """The coloring for arguments of these shapes; its `pattern` is the sparsity."""
        key = tuple(map(_kind, nest.leaves((args, kwargs)))), tuple(kwargs)
        found = self._colorings.get(key)
        if found is None:
            found = self._colorings[key] = self._colored(args, kwargs)
        return found

    def _colored(self, args: tuple, kwargs: dict[str, Any]) -> Coloring:
        if isinstance(self.given, Coloring):
            return self.given
        given = self.given
        pattern = given if isinstance(given, Sparsity) else pattern_of(self.function, self.place, args, kwargs)
        return pattern.coloring("symmetric" if self.symmetric else "auto")

    def compiled(self, kind: str) -> Any:
        """The program that computes the entries, with all that can be asked of one."""
        if kind not in self._compiled:
            self._compiled[kind] = FUNCTIONS["_compile"](functools.partial(self._entries, kind))
        return self._compiled[kind]

    def _words(self, coloring: Coloring, args: tuple, kwargs: dict[str, Any]) -> tuple[np.ndarray, ...]:
        """What the program takes beside the arguments: the color of each element, all colors, places of entries."""
        size = int(np.prod(np.shape(chosen_argument(self.function, self.place, args, kwargs)), dtype=np.int64))
        if size != coloring.pattern.shape[1]:
            raise ShapeError(f"the pattern has {coloring.pattern.shape[1]} columns, and the argument {size} elements: "
                             "a pattern belongs to one size")
        return coloring.colors, np.arange(coloring.count, dtype=coloring.colors.dtype), coloring.places

    def _entries(self, kind: str, args: tuple, kwargs: dict[str, Any], colors: Expr, palette: Expr,
                 places: Expr) -> Expr:
        x = chosen_argument(self.function, self.place, args, kwargs)

        def result(x: Expr) -> Expr:
            given, named = self._with(x, args, kwargs)
            return self.function(*given, **named)

        def seed(color: Expr, like: Expr) -> Expr:
            own = FUNCTIONS["reshape"](FUNCTIONS["equal"](colors, color), like.shape)
            return FUNCTIONS["astype"](own, like.dtype)

        if kind == "rows":
            value, back = vjp(result, x)
            products = vmap(lambda color: back(seed(color, value))[0])(palette)
        else:
            products = vmap(lambda color: jvp(result, (x,), (seed(color, x),))[1])(palette)
        return FUNCTIONS["take"](FUNCTIONS["ravel"](products), places)

    def _with(self, x: Expr, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """The arguments with `x` in its place."""
        place = self.place
        if isinstance(place, str) and place not in kwargs:
            place = list(inspect.signature(self.function).parameters).index(place)
        if isinstance(place, str):
            return args, {**kwargs, place: nest.unflatten(nest.flatten(kwargs[place])[1], [x])}
        given = list(args)
        given[place] = nest.unflatten(nest.flatten(args[place])[1], [x])
        return tuple(given), kwargs


def _kind(leaf: Any) -> Any:
    if isinstance(leaf, (str, bytes)) or callable(leaf):
        return leaf
    return type(leaf) in (bool, int, float), np.shape(leaf), str(getattr(leaf, "dtype", type(leaf).__name__))
