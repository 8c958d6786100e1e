"""Jacobians and Hessians as sparse matrices: one program computes the entries in the order of CSR.

The pattern is found once for the shapes of the arguments. Where an element of the result depends on few of the argument
through no long sum, every entry is an element of the tangent of a unit vector, computed where it is stored: of full
diagonals with the row number as the only index, else from tables of rows and columns. Any other derivative comes from
the products of a coloring, lanes of one program, so that what they share is computed once.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from . import nest
from .coloring import KINDS, Coloring
from .entries import bands, entries, is_local, unit
from .errors import PullbackError, ShapeError
from .functional import Gradient, check_callable, in_trace, is_expression, jvp, one_of, vjp
from .node import FUNCTIONS, Expr
from .primitives import iota
from .size import product
from .sparsity import Sparsity, chosen_argument, pattern_of, single_variable, tangent_of
from .trace import expression_builder, variables_of
from .vmap import vmap

Form = str | tuple[int, ...]
_DIAGONALS, _NEAR = 12, 32       # how many are written out in one kernel, and how far from the main diagonal


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
        self._found: dict[Any, Any] = {}
        self._compiled: dict[Form, Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if in_trace(args, kwargs):
            raise PullbackError("a sparse derivative is a matrix of SciPy's and no expression: call it on arrays, and "
                                "write pb.jvp or pb.vjp for products inside a program")
        form, words = self._prepared(args, kwargs)
        return FUNCTIONS["_csr"](self.compiled(form)(args, kwargs, *words), self.pattern(*args, **kwargs))

    def pattern(self, *args: Any, **kwargs: Any) -> Sparsity:
        """The sparsity for arguments of these shapes."""
        if self.given is not True:
            return self.given.pattern if isinstance(self.given, Coloring) else self.given
        return self._once("pattern", args, kwargs, lambda: pattern_of(self.function, self.place, args, kwargs))

    def coloring(self, *args: Any, **kwargs: Any) -> Coloring:
        """The coloring for arguments of these shapes; its `pattern` is the sparsity."""
        if isinstance(self.given, Coloring):
            return self.given
        kind = "symmetric" if self.symmetric else "auto"
        return self._once("coloring", args, kwargs, lambda: self.pattern(*args, **kwargs).coloring(kind))

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """The program that computes the entries, to be read, as `pb.compile(f).lower(...)` gives it."""
        form, words = self._prepared(args, kwargs)
        return self.compiled(form).lower(args, kwargs, *words)

    def form(self, *args: Any, **kwargs: Any) -> Form:
        """How the entries are computed for arguments of these shapes: the offsets of full diagonals, 'entries', or the
        kind of a coloring.
        """
        return self._once("form", args, kwargs, lambda: self._chosen(args, kwargs))

    def _chosen(self, args: tuple, kwargs: dict[str, Any]) -> Form:
        if not is_local(*tangent_of(self.function, self.place, args, kwargs)):
            return self.coloring(*args, **kwargs).kind
        offsets = self.pattern(*args, **kwargs).full or ()
        near = 0 < len(offsets) <= _DIAGONALS and all(abs(d) <= _NEAR for d in offsets)
        return offsets if near else "entries"

    def _once(self, what: str, args: tuple, kwargs: dict[str, Any], find: Callable[[], Any]) -> Any:
        """What is found once for shapes and dtypes."""
        key = what, tuple(map(_kind, nest.leaves((args, kwargs)))), tuple(kwargs)
        if key not in self._found:
            self._found[key] = find()
        return self._found[key]

    def compiled(self, form: Form) -> Any:
        """The program that computes the entries, with all that can be asked of one."""
        if form not in self._compiled:
            program = self._products if form in KINDS else self._entries if form == "entries" else self._diagonals
            self._compiled[form] = FUNCTIONS["_compile"](functools.partial(program, form))
        return self._compiled[form]

    def _prepared(self, args: tuple, kwargs: dict[str, Any]) -> tuple[Form, tuple[np.ndarray, ...]]:
        """The form, and what its program takes beside the arguments: the row and the column of each entry; or the
        color of each element, all colors, and where each entry is among the products.
        """
        form, pattern = self.form(*args, **kwargs), self.pattern(*args, **kwargs)
        size = int(np.prod(np.shape(chosen_argument(self.function, self.place, args, kwargs)), dtype=np.int64))
        if size != pattern.shape[1]:
            raise ShapeError(f"the pattern has {pattern.shape[1]} columns, and the argument {size} elements: "
                             "a pattern belongs to one size")
        if form == "entries":
            return form, (pattern.numbered, pattern.indices)
        if form not in KINDS:
            return form, ()
        coloring = self.coloring(*args, **kwargs)
        palette = np.arange(coloring.count, dtype=coloring.colors.dtype)
        return form, (coloring.colors, palette, coloring.places)

    # programs --------------------------------------------------------------------------------------------------
    def _diagonals(self, offsets: tuple[int, ...], args: tuple, kwargs: dict[str, Any]) -> Expr:
        """Every diagonal by a kernel over the rows, which puts an entry of each in the order of CSR."""
        x, result = self._by_argument(args, kwargs)
        count = product(result(x).shape)
        rows = iota((count,), 0)
        found = [entries(_tangents(result, x, unit(rows, d, x)), rows) for d in offsets]
        return bands(found, offsets, product(x.shape))

    def _entries(self, form: str, args: tuple, kwargs: dict[str, Any], rows: Expr, columns: Expr) -> Expr:
        x, result = self._by_argument(args, kwargs)
        return entries(_tangents(result, x, unit(columns, 0, x)), rows)

    def _products(self, kind: str, args: tuple, kwargs: dict[str, Any], colors: Expr, palette: Expr,
                  places: Expr) -> Expr:
        """All products of a coloring as lanes of one program, and the entries out of them."""
        x, result = self._by_argument(args, kwargs)

        def seed(color: Expr, like: Expr) -> Expr:
            own = FUNCTIONS["reshape"](FUNCTIONS["equal"](colors, color), like.shape)
            return FUNCTIONS["astype"](own, like.dtype)

        if kind == "rows":
            value, back = vjp(result, x)
            products = vmap(lambda color: back(seed(color, value))[0])(palette)
        else:
            products = vmap(lambda color: jvp(result, (x,), (seed(color, x),))[1])(palette)
        return FUNCTIONS["take"](FUNCTIONS["ravel"](products), places)

    def _by_argument(self, args: tuple, kwargs: dict[str, Any]) -> tuple[Expr, Callable[[Expr], Expr]]:
        """The argument, and the function of it alone."""
        x = chosen_argument(self.function, self.place, args, kwargs)

        def result(x: Expr) -> Expr:
            given, named = self._with(x, args, kwargs)
            return self.function(*given, **named)

        return x, result

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


def _tangents(function: Callable[[Expr], Expr], x: Expr, units: Expr) -> Expr:
    """Of every one of `units`."""
    return vmap(lambda change: jvp(function, (x,), (change,))[1])(units)


def _kind(leaf: Any) -> Any:
    if isinstance(leaf, (str, bytes)) or callable(leaf):
        return leaf
    return type(leaf) in (bool, int, float), np.shape(leaf), str(getattr(leaf, "dtype", type(leaf).__name__))
