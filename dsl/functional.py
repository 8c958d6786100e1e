"""Derivatives with JAX's signatures, of functions and of expressions alike.

Given arrays outside a trace, the derivative of a function is compiled at the first call; given expressions it builds
expressions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import nest
from .bodies import Trace, put_back
from .errors import PullbackError
from .grad import grad_of_expression, hvp_of_expression, jvp_of_expression, vjp_of_expression
from .node import FUNCTIONS, Expr, make
from .reuse import compiled_once
from .size import active_guards
from .surface import as_expr, surface


# ---- public functions -------------------------------------------------------------------------------------------
def grad(target: Any, wrt: Any = None, has_aux: bool = False, holomorphic: bool = False, *,
         argnums: Any = None) -> Any:
    """The gradient of a scalar expression, or of a function with a scalar result.

    Of an expression: `wrt` is a Var, a name or a nest of them (default: every Var not declared of an integer or bool
    dtype); the result is a nest of expressions alike (for the default a dict by name, or one expression where there
    is one variable). Of a function: a function of the same arguments. `argnums` (or `wrt`, the second argument) is a
    position, a name or a tuple of them, default 0; the result has the structure of that argument. `has_aux`: the
    function returns (value, aux) and its gradient (gradient, aux).

    Shapes and dtypes are those of the variables. With respect to a complex z = x + iy the gradient of a real f is
    df/dx - i df/dy (JAX's convention: steepest descent steps along its conjugate). A complex result is refused, except
    with `holomorphic`, which gives the complex derivative of a function with complex arguments. Raises ShapeError for
    a result that is no scalar, NotDifferentiable where no path to a variable has a derivative. An argument that the
    result does not depend on gives zeros and a warning.

    >>> import numpy as np, pullback as pb
    >>> x = pb.Var('x')
    >>> pb.compile(pb.grad(pb.sum(x * x), x))(x=np.array([1.0, 2.0]))
    array([2., 4.])
    >>> pb.grad(lambda x: x ** 3)(2.0)
    array(12.)
    """
    if is_expression(target):
        _for_functions(holomorphic)
        return grad_of_expression(target, wrt)
    return Gradient(target, one_of(wrt, argnums), has_aux, with_value=False, holomorphic=holomorphic)


def value_and_grad(target: Any, wrt: Any = None, has_aux: bool = False, holomorphic: bool = False, *,
                   argnums: Any = None) -> Any:
    """(value, gradient) in one program; arguments as for `grad`. With `has_aux`: ((value, aux), gradient).

    >>> import pullback as pb
    >>> pb.value_and_grad(lambda x: x ** 3)(2.0)
    (array(8.), array(12.))
    """
    if is_expression(target):
        _for_functions(holomorphic)
        return target, grad_of_expression(target, wrt)
    return Gradient(target, one_of(wrt, argnums), has_aux, with_value=True, holomorphic=holomorphic)


def _for_functions(holomorphic: bool) -> None:
    if holomorphic:
        raise TypeError("holomorphic=True is for functions; of an expression take pb.vjp(expression, 1, wrt)")


def jvp(target: Any, primals: Any, tangents: Any = None, has_aux: bool = False) -> Any:
    """The derivative along a tangent.

    `jvp(expression, {variable or name: tangent})` is an expression like the first. `jvp(f, primals, tangents)`, with
    a tuple of arguments and one of tangents like them, is (f(*primals), tangent of the result), followed by aux with
    `has_aux`.

    >>> import pullback as pb
    >>> pb.jvp(lambda x: x * x, (3.0,), (1.0,))
    (array(9.), array(6.))
    """
    if is_expression(target):
        return jvp_of_expression(target, primals)
    check_callable(target, "jvp")
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise TypeError("jvp(f, primals, tangents) takes a tuple of arguments and a tuple of their tangents; "
                        "write jvp(f, (x,), (v,))")
    if not in_trace(primals, tangents):
        program = compiled_once(("jvp", has_aux), target, lambda p, t: jvp(target, p, t, has_aux))
        return program(tuple(primals), tuple(tangents))
    trace = Trace(target, list(range(len(primals))), tuple(primals), {}, has_aux)
    seeds, given = nest.flatten(tuple(tangents))
    check_alike(trace.structure, given, "tangents", "primals")
    results = trace.bind("jvp", [as_expr_like(s, p) for s, p in zip(seeds, trace.actual, strict=True)])
    value, aux, derivatives = trace.split(results)
    tangent = nest.unflatten(trace.result_structure, derivatives)
    return (value, tangent, aux) if has_aux else (value, tangent)


def vjp(target: Any, *args: Any, has_aux: bool = False, wrt: Any = None) -> Any:
    """The derivative pulled back along a cotangent.

    `vjp(expression, cotangent, wrt=None)` gives the cotangents of variables as a nest like `wrt`. `vjp(f, *primals)`
    gives (f(*primals), pullback), followed by aux with `has_aux`; `pullback(cotangent)` is the tuple of cotangents of
    `primals`.

    >>> import pullback as pb
    >>> value, pullback = pb.vjp(lambda x, y: x * y, 3.0, 4.0)
    >>> pullback(1.0)
    (array(4.), array(3.))
    """
    if is_expression(target):
        return vjp_of_expression(target, *args, **({} if wrt is None else {"wrt": wrt}))
    check_callable(target, "vjp")
    if in_trace(args):
        return _traced_vjp(target, args, has_aux)
    backwards = compiled_once(("vjp", has_aux), target, lambda p, g: _traced_vjp(target, p, has_aux)[1](g))

    def pullback(cotangent: Any) -> Any:
        return backwards(args, cotangent)

    result = compiled_once(("value",), target, target)(*args)
    return (result[0], pullback, result[1]) if has_aux else (result, pullback)


def hvp(target: Any, primals: Any = None, tangents: Any = None) -> Any:
    """The Hessian of a scalar times a vector, forward over reverse.

    `hvp(expression, {variable: vector})` is an expression (a dict by variable for several). `hvp(f, primals, vectors)`,
    with tuples of arguments and of vectors like them, has the structure of the argument (of the tuple, for several);
    for a function of one argument the argument and the vector themselves will do. `hvp(f)` is the function of these.

    >>> import pullback as pb
    >>> pb.hvp(lambda x: x ** 3, (2.0,), (1.0,)), pb.hvp(lambda x: x ** 3)(2.0, 1.0)
    (array(12.), array(12.))
    """
    if is_expression(target):
        return hvp_of_expression(target, primals)
    if primals is None:
        return functools.partial(hvp, target)
    if not isinstance(primals, (tuple, list)):
        primals, tangents = (primals,), (tangents,)
    gradient = grad(target, argnums=0 if len(primals) == 1 else tuple(range(len(primals))))
    return jvp(gradient, primals, tangents)[1]


def stop_gradient(x: Any) -> Any:
    """`x`, an expression or a nest of them, held constant by every derivative."""
    return nest.map_leaves(_stopped, x)


@surface
def stop_gradient_(x: Any) -> Expr:
    x = as_expr(x)
    return make("stop_gradient", (x,), (), x.dtype, x.shape)


_stopped = FUNCTIONS["stop_gradient"]


def is_expression(target: Any) -> bool:
    """Whether `target` is an expression or a nest of them, not a function."""
    return isinstance(target, Expr) or (not callable(target) and any(isinstance(e, Expr) for e in nest.leaves(target)))


class Gradient:
    """The function that `grad` and `value_and_grad` make of a function."""

    def __init__(self, function: Callable[..., Any], argnums: Any, has_aux: bool, with_value: bool,
                 holomorphic: bool = False) -> None:
        check_callable(function, "value_and_grad" if with_value else "grad")
        functools.update_wrapper(self, function, updated=())
        self.function, self.argnums, self.has_aux, self.with_value = function, argnums, has_aux, with_value
        self.holomorphic = holomorphic
        self._compiled: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if in_trace(args, kwargs):
            return self.trace(args, kwargs)
        return self.compiled(*args, **kwargs)

    @property
    def compiled(self) -> Any:
        """The compiled derivative, with all that can be asked of one."""
        if self._compiled is None:
            self._compiled = FUNCTIONS["_compile"](self)
        return self._compiled

    def debug(self, *args: Any, **kwargs: Any) -> Any:
        """The first value that is not finite; see `debug` of a compiled function."""
        return self.compiled.debug(*args, **kwargs)

    def trace(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """The derivative as expressions of the arguments."""
        single = not isinstance(self.argnums, (tuple, list))
        places = [self.argnums] if single else list(self.argnums)
        trace = Trace(self.function, places, args, kwargs, self.has_aux)
        if not trace.is_single:
            raise TypeError("grad takes a function with one scalar result; for (value, aux) write has_aux=True, "
                            "for several results use vjp")
        value, aux, derivatives = trace.split(trace.bind("grad", [], self.holomorphic))
        parts = nest.unflatten(trace.structure, derivatives)
        gradient = parts[0] if single else parts
        if not self.with_value:
            return (gradient, aux) if self.has_aux else gradient
        return ((value, aux), gradient) if self.has_aux else (value, gradient)


def _traced_vjp(function: Callable[..., Any], primals: tuple, has_aux: bool) -> tuple:
    trace = Trace(function, list(range(len(primals))), primals, {}, has_aux)

    def pullback(cotangent: Any) -> tuple:
        """The tuple of the cotangents of the arguments, given that of the result."""
        seeds, given = nest.flatten(cotangent)
        check_alike(trace.result_structure, given, "cotangent", "result")
        seeds = [as_expr_like(s, o) for s, o in zip(seeds, trace.outputs, strict=True)]
        return nest.unflatten(trace.structure, trace.split(trace.bind("vjp", seeds))[2])

    value, aux, _ = trace.split(put_back(trace))
    return (value, pullback, aux) if has_aux else (value, pullback)


# ---- arguments --------------------------------------------------------------------------------------------------
def in_trace(*values: Any) -> bool:
    """Whether to build expressions: some value is one, or a function is traced whose variables may be closed over."""
    return active_guards() is not None or any(isinstance(leaf, Expr) for leaf in nest.leaves(values))


def one_of(wrt: Any, argnums: Any) -> Any:
    if wrt is not None and argnums is not None:
        raise TypeError("give wrt= or argnums=, not both")
    chosen = wrt if wrt is not None else argnums if argnums is not None else 0
    for place in chosen if isinstance(chosen, (tuple, list)) else (chosen,):
        if not isinstance(place, (int, str)) or isinstance(place, bool):
            raise TypeError(f"arguments of a function are chosen by position or name, not {place!r}; "
                            "write grad(f, argnums=0) or grad(f, wrt='w')")
    return chosen


def as_expr_like(value: Any, like: Expr) -> Expr:
    """A tangent or cotangent as an expression; a Python number takes the dtype of `like`."""
    fits = isinstance(value, (int, float)) or isinstance(value, complex) and like.typed and like.dtype.kind == "c"
    return as_expr(value, like.dtype if fits and like.typed else None)


def check_callable(target: Any, name: str) -> None:
    if not callable(target):
        raise TypeError(f"{name} takes an expression or a function, not {type(target).__name__}")


def check_alike(expected: Any, given: Any, what: str, of: str) -> None:
    if not nest.same_structure(expected, given):
        raise PullbackError(f"the {what} is built as {given}, the {of} as {expected}: give the same nest")
