"""Jacobians and Hessians with JAX's signatures, of functions and of expressions alike; `linearize`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import nest
from .adjoint import filled, ones
from .basis import jacobians_of, mode_for
from .bodies import Trace, put_back
from .errors import ShapeError
from .functional import as_expr_like, check_alike, check_callable, in_trace, is_expression, jvp, one_of
from .grad import base_of, call, chosen, several_of, vjp_of
from .node import FUNCTIONS, Expr, where
from .paths import check_paths, check_real, remember
from .primitives import show_shape, transpose
from .reuse import compiled_once
from .surface import surface


def jacfwd(target: Any, argnums: Any = None, has_aux: bool = False, holomorphic: bool = False, *,
           wrt: Any = None) -> Any:
    """The Jacobian by tangents: one sweep for each element of the argument, all in one program. See `jacobian`."""
    return _jacobian(target, argnums, has_aux, wrt, "fwd", holomorphic)


def jacrev(target: Any, argnums: Any = None, has_aux: bool = False, holomorphic: bool = False, *,
           wrt: Any = None) -> Any:
    """The Jacobian by cotangents: one sweep for each element of the result, all in one program. See `jacobian`."""
    return _jacobian(target, argnums, has_aux, wrt, "rev", holomorphic)


def jacobian(target: Any, argnums: Any = None, has_aux: bool = False, holomorphic: bool = False, *,
             wrt: Any = None, sparse: Any = False) -> Any:
    """The Jacobian, by tangents or by cotangents, whichever are fewer.

    Of an expression, or a nest of them: `wrt` (the second argument) is a Var, a name or a nest of them, default all
    that may be floats; the result is an expression, or a nest like the target with nests like `wrt` inside. Of a
    function: a function of the same arguments; `argnums` is a position, a name or a tuple of them, default 0.
    Each part has the shape of the result followed by that of the argument. Of a complex argument the real result's
    derivative is df/dx - i df/dy; `holomorphic` asks for the complex derivative of complex results.

    `sparse=True` gives, of one array by one argument, a function of arrays (by name, of an expression) whose result is
    a CSR matrix, SciPy's or CuPy's: columns, or rows, that `pb.sparsity` tells apart are computed together. A pattern
    or a coloring in place of True is used as it is.

    >>> import numpy as np, pullback as pb
    >>> pb.jacobian(lambda x: x ** 2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    >>> pb.jacobian(lambda x: x[1:] * x[:-1], sparse=True)(np.arange(1.0, 5.0)).toarray()
    array([[2., 1., 0., 0.],
           [0., 3., 2., 0.],
           [0., 0., 4., 3.]])
    """
    if sparse is not False:
        return _sparse(target, argnums if wrt is None else wrt, has_aux, sparse, symmetric=False)
    return _jacobian(target, argnums, has_aux, wrt, "auto", holomorphic)


def hessian(target: Any, argnums: Any = None, has_aux: bool = False, *, wrt: Any = None, sparse: Any = False) -> Any:
    """The second derivatives, tangents of the gradient: a matrix for a vector, a nest of nests for a nest.

    Arguments as for `jacobian`; `sparse=True` reads each entry from one of its two places.

    >>> import numpy as np, pullback as pb
    >>> pb.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]))
    array([[4., 2.],
           [2., 0.]])
    """
    if sparse is not False:
        return _sparse(target, argnums if wrt is None else wrt, has_aux, sparse, symmetric=True)
    if is_expression(target):
        leaves, rebuild = chosen(target, argnums if wrt is None else wrt)
        if len(leaves) == 1:
            return rebuild([rebuild([call("hessian", None, target, leaves[0])])])
        found = iter(call("hessian", len(leaves) ** 2, target, tuple(leaves)))
        return rebuild([rebuild([next(found) for _ in leaves]) for _ in leaves])
    chosen_arguments = one_of(wrt, argnums)
    return Jacobian(Jacobian(target, chosen_arguments, has_aux, "rev"), chosen_arguments, has_aux, "fwd")


def linearize(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """(f(*primals), the linear map from tangents of the arguments to that of the result).

    >>> import pullback as pb
    >>> value, along = pb.linearize(lambda x: x ** 3, 2.0)
    >>> along(1.0), along(2.0)
    (array(12.), array(24.))
    """
    check_callable(f, "linearize")
    if not in_trace(primals):
        along = compiled_once(("linearize",), f, lambda p, t: jvp(f, p, t)[1])
        return compiled_once(("value",), f, f)(*primals), lambda *tangents: along(primals, tangents)
    trace = Trace(f, list(range(len(primals))), primals, {}, False)

    def tangent(*tangents: Any) -> Any:
        """The tangent of the result along those of the arguments."""
        seeds, given = nest.flatten(tangents)
        check_alike(trace.structure, given, "tangents", "primals")
        results = trace.bind("jvp", [as_expr_like(s, p) for s, p in zip(seeds, trace.actual, strict=True)])
        return nest.unflatten(trace.result_structure, trace.split(results)[2])

    return trace.split(put_back(trace))[0], tangent


def _sparse(target: Any, place: Any, has_aux: bool, given: Any, symmetric: bool) -> Any:
    if has_aux:
        raise TypeError("a sparse derivative has no aux: return the value alone, and compute the rest apart")
    from .sparse_jacobian import sparse_derivative

    return sparse_derivative(target, place, given, symmetric)


def _jacobian(target: Any, argnums: Any, has_aux: bool, wrt: Any, mode: str, holomorphic: bool) -> Any:
    if not is_expression(target):
        return Jacobian(target, one_of(wrt, argnums), has_aux, mode, holomorphic)
    if holomorphic:
        raise TypeError("holomorphic=True is for functions: write pb.jacobian(lambda z: ..., holomorphic=True)")
    outputs, structure = nest.flatten(target)
    leaves, rebuild = chosen(target, argnums if wrt is None else wrt)
    settings = () if mode == "auto" else (mode,)
    if isinstance(target, Expr) and len(leaves) == 1:
        return rebuild([call("jacobian", None, target, leaves[0], *settings)])
    found = iter(call("jacobian", len(outputs) * len(leaves), tuple(outputs), tuple(leaves), *settings))
    return nest.unflatten(structure, [rebuild([next(found) for _ in leaves]) for _ in outputs])


@surface
def jacobian_(outputs: Any, wrt: Any, mode: str = "auto") -> Any:
    """The derivatives of each output with respect to each variable, row by row."""
    rows, columns = several_of(outputs), several_of(wrt)
    bases = list(map(base_of, columns))
    known = check_paths(rows, bases)
    found = iter(jacobians_of(rows, bases, mode_for(rows, bases, mode)))
    results = [_turned(next(found), tuple(range(o.ndim)), _order(w)) for o in rows for w in columns]
    remember(results, known)
    return tuple(results) if isinstance(outputs, tuple) else results[0]


@surface
def hessian_(expr: Expr, wrt: Any) -> Any:
    """The second derivatives of a scalar with respect to each pair of variables, row by row."""
    if expr.shape:
        raise ShapeError(f"hessian takes a scalar, and the result has shape {show_shape(expr.shape)}{where(expr)}: "
                         "sum it first, or take the jacobian of a jacobian")
    columns = several_of(wrt)
    bases = list(map(base_of, columns))
    known = check_paths([expr], bases)
    check_real("hessian", "rev", [expr], bases, False)
    check_real("hessian", "fwd", [expr], bases, False)
    gradients = filled(vjp_of([expr], [ones((), expr.dtype)], bases), bases)
    found = iter(jacobians_of(gradients, bases, "fwd"))
    results = [_turned(next(found), _order(v), _order(w)) for v in columns for w in columns]
    remember(results, known)
    return tuple(results) if isinstance(wrt, tuple) else results[0]


def _order(w: Expr) -> tuple[int, ...]:
    """The order of the axes of `w` in those of the variable under it."""
    return w.attrs[0] if w.op == "transpose" else tuple(range(w.ndim))


def _turned(derivative: Expr, rows: tuple[int, ...], columns: tuple[int, ...]) -> Expr:
    """A derivative whose first and last axes are put in these orders."""
    return transpose(derivative, (*rows, *(len(rows) + p for p in columns)))


class Jacobian:
    """The function that `jacfwd`, `jacrev` and `jacobian` make of a function."""

    def __init__(self, function: Callable[..., Any], argnums: Any, has_aux: bool, mode: str,
                 holomorphic: bool = False) -> None:
        check_callable(function, {"fwd": "jacfwd", "rev": "jacrev", "auto": "jacobian"}[mode])
        functools.update_wrapper(self, function, updated=())
        self.function, self.argnums, self.has_aux, self.mode = function, argnums, has_aux, mode
        self.holomorphic = holomorphic
        self._compiled: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if in_trace(args, kwargs):
            return self.trace(args, kwargs)
        if self._compiled is None:
            self._compiled = FUNCTIONS["_compile"](self)
        return self._compiled(*args, **kwargs)

    def trace(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """The derivative as expressions of the arguments."""
        single = not isinstance(self.argnums, (tuple, list))
        trace = Trace(self.function, [self.argnums] if single else list(self.argnums), args, kwargs, self.has_aux)
        _, aux, found = trace.split(trace.bind(f"jacobian {self.mode}", [], self.holomorphic))
        count = len(trace.bound)
        rows = [nest.unflatten(trace.structure, found[k * count : (k + 1) * count]) for k in range(len(trace.outputs))]
        result = nest.unflatten(trace.result_structure, [row[0] if single else row for row in rows])
        return (result, aux) if self.has_aux else result
