"""`differentiable`: a function with its derivative beside it, to be called and to be read."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import nest
from .functional import Gradient, check_callable, in_trace
from .grad import grad_of_expression, vjp_of_expression
from .node import FUNCTIONS, Expr
from .size import Size
from .surface import Var


def differentiable(function: Callable[..., Any] | None = None, *, wrt: Any = None,
                   shapes: Mapping[str, Any] | None = None) -> Any:
    """Mark a function of arrays: calling it compiles it, and its derivatives stand beside it.

    `wrt`: the name, or a tuple of names, of the parameters that are differentiated; default all whose arrays are
    floats. `shapes`: {parameter: shape} as for Var, also given as annotations (`x: ("n", 3)`); without them what is
    read below takes the ranks and sizes of the call that was compiled last, or waits for them.

    The result has the members
      `grad`         the gradient of a scalar result: a function of the same arguments, printed as mathematics
      `value_and_grad`   the same with the value
      `adjoint`      expressions: what a cotangent `ȳ` of the result gives to each parameter
      `expression`   the result as an expression
      `source(target)`   the generated text of the last call

    A gradient has the structure of its parameter, and is a dict by name for several.

    >>> import numpy as np, pullback as pb
    >>> @pb.differentiable(wrt=("w", "b"))
    ... def layer(x, w, b):
    ...     return x @ w + b
    >>> layer(np.ones((2, 3)), np.ones((3, 1)), np.zeros(1))
    array([[3.],
           [3.]])
    >>> layer.adjoint
    {'w': x.T @ ȳ, 'b': sum(ȳ, axis=0)}
    """
    if function is None:
        return lambda f: differentiable(f, wrt=wrt, shapes=shapes)
    check_callable(function, "differentiable")
    return Differentiable(function, wrt, dict(shapes or {}))


class Differentiable:
    """The function that `differentiable` makes of a function."""

    def __init__(self, function: Callable[..., Any], wrt: Any, shapes: dict[str, Any]) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function, self.wrt = function, wrt
        self.signature = self.__signature__ = inspect.signature(function)
        self._shapes = {**_annotated(function), **shapes}
        self._last: dict[str, Any] = {}
        self._compiled: Any = None
        unknown = [n for n in (*self._names(), *shapes) if n not in self.signature.parameters]
        if unknown:
            raise TypeError(f"{function.__name__} has no parameter {unknown[0]!r}: "
                            f"its parameters are {', '.join(self.signature.parameters)}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if in_trace(args, kwargs):
            return self.function(*args, **kwargs)
        count = len(self.compiled.log)
        result = self.compiled(*args, **kwargs)
        if len(self.compiled.log) != count:
            given = self.signature.bind(*args, **kwargs)
            given.apply_defaults()
            self._last = {name: nest.map_leaves(_known, value) for name, value in given.arguments.items()}
        return result

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    @property
    def compiled(self) -> Any:
        """The compiled function, with all that can be asked of one."""
        if self._compiled is None:
            self._compiled = FUNCTIONS["_compile"](self.function)
        return self._compiled

    def debug(self, *args: Any, **kwargs: Any) -> Any:
        """The first value that is not finite; see `debug` of a compiled function."""
        return self.compiled.debug(*args, **kwargs)

    def source(self, target: str | None = None) -> str:
        """The generated text of the last call: 'cpu' or 'cuda'."""
        return self.compiled.source(target)

    # ---- derivatives --------------------------------------------------------------------------------------------
    @functools.cached_property
    def grad(self) -> ReadableGradient:
        """The gradient of a scalar result; a function that prints as mathematics."""
        return ReadableGradient(self, with_value=False)

    @functools.cached_property
    def value_and_grad(self) -> ReadableGradient:
        """(value, gradient)."""
        return ReadableGradient(self, with_value=True)

    @property
    def expression(self) -> Any:
        """The result as an expression, or a nest of them, of the parameters."""
        return self._read()[0]

    @property
    def adjoint(self) -> Any:
        """The cotangent of each parameter, given the cotangent `ȳ` of the result (`ȳ_0`, `ȳ_1`, ... of several)."""
        result, variables = self._read()
        leaves, structure = nest.flatten(result)
        names = ["ȳ"] if len(leaves) == 1 else [f"ȳ_{k}" for k in range(len(leaves))]
        cotangents = [Var(name, _shape_of(leaf)) for name, leaf in zip(names, leaves, strict=True)]
        return self._chosen(vjp_of_expression(result, nest.unflatten(structure, cotangents), variables))

    def _names(self) -> tuple[str, ...]:
        return (self.wrt,) if isinstance(self.wrt, str) else tuple(self.wrt or ())

    def _chosen(self, by_name: dict[str, Any]) -> Any:
        return by_name[self.wrt] if isinstance(self.wrt, str) else by_name

    def differentiated(self, arguments: Mapping[str, Any]) -> list[str]:
        """The names of the parameters that are differentiated in a call with these arguments."""
        if self.wrt is not None:
            return list(self._names())
        return [n for n, value in arguments.items() if (found := nest.leaves(value)) and all(map(_is_float, found))]

    def _read(self) -> tuple[Any, dict[str, Any]]:
        """The result in variables, and those of the parameters that are differentiated."""
        given = {name: self._variable(name) for name in self.signature.parameters}
        bound = self.signature.bind_partial()
        bound.arguments.update(given)
        result = self.function(*bound.args, **bound.kwargs)
        return result, {n: given[n] for n in self.differentiated(given)}

    def _variable(self, name: str) -> Any:
        """The parameter as a Var, or as a nest of them like its value in the last call."""
        if name in self._shapes:
            return Var(name, self._shapes[name])
        if name not in self._last:
            default = self.signature.parameters[name].default
            return Var(name) if default is inspect.Parameter.empty or _is_float(default) else default
        value = self._last[name]
        leaves, structure = nest.flatten(value)
        paths = nest.leaf_names(value, name)
        return nest.unflatten(structure, [
            Var(_identifier(p), x.shape, x.dtype) if isinstance(x, _Kind) else x
            for x, p in zip(leaves, paths, strict=True)])


class ReadableGradient(Gradient):
    """The gradient of a function marked as differentiable."""

    def __init__(self, owner: Differentiable, with_value: bool) -> None:
        super().__init__(owner.function, 0, False, with_value)
        self.owner = owner

    def trace(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """The derivative as expressions of the arguments."""
        given = self.owner.signature.bind(*args, **kwargs)
        names = self.owner.differentiated(given.arguments)
        single = isinstance(self.owner.wrt, str)
        found = Gradient(self.function, names[0] if single else tuple(names), False, True).trace(args, kwargs)
        value, gradient = found
        gradient = gradient if single else dict(zip(names, gradient, strict=True))
        return (value, gradient) if self.with_value else gradient

    @property
    def expression(self) -> Any:
        """The gradient as an expression, or a dict of them by parameter."""
        result, variables = self.owner._read()
        return self.owner._chosen(grad_of_expression(result, variables))

    def __repr__(self) -> str:
        return repr(self.expression)

    def _repr_latex_(self) -> str:
        found = self.expression
        return found._repr_latex_() if isinstance(found, Expr) else repr(found)


def _annotated(function: Callable[..., Any]) -> dict[str, Any]:
    """Shapes that are given as annotations."""
    try:
        found = inspect.get_annotations(function, eval_str=True)
    except (NameError, SyntaxError, TypeError):
        found = getattr(function, "__annotations__", {})
    return {n: a for n, a in found.items()
            if n != "return" and isinstance(a, tuple) and all(d is None or isinstance(d, (int, str)) for d in a)}


def _is_float(value: Any) -> bool:
    if isinstance(value, Expr):
        dtype = value.dtype if value.typed else value.attrs[2] if value.op == "var" else None
        return dtype is None or np.dtype(dtype).kind in "fc"
    if isinstance(value, (str, bytes)) or callable(value):
        return False
    return np.asarray(value).dtype.kind in "fc"


class _Kind:
    """What is kept of an array; the dtype only where it is no float."""

    def __init__(self, shape: tuple, dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype


def _known(value: Any) -> Any:
    if isinstance(value, (str, bytes)) or callable(value) and not hasattr(value, "__array__"):
        return value
    array: Any = value if hasattr(value, "dtype") and hasattr(value, "shape") else np.asarray(value)
    return _Kind(tuple(array.shape), None if np.dtype(array.dtype).kind == "f" else array.dtype)


def _identifier(path: str) -> str:
    """layer.weight or p['w'][0] as a name."""
    text = "".join(c if c.isalnum() or c == "_" else " " for c in path)
    return "_".join(text.split())


def _shape_of(leaf: Any) -> Any:
    """The shape of a result as a declaration, as far as it is known."""
    shape = getattr(leaf, "shape", None)
    if shape is None:
        return None
    return tuple(str(d) if isinstance(d, Size) and str(d).isidentifier() else d if isinstance(d, int) else None
                 for d in shape)
