"""`from_sympy`: expressions of sympy as expressions here, node by node.

Nothing is simplified on the way: what sympy holds is what is computed, with its numbers rounded once. Equal parts are
one node, since both sides intern.
"""

from __future__ import annotations

import inspect
import itertools
import keyword
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .errors import NotDifferentiable, PullbackError
from .functional import in_trace
from .node import FUNCTIONS, Expr
from .surface import Var
from .sympy_nodes import is_matrix, refuse_unsolved
from .sympy_sums import Converter, check_sizes


def from_sympy(expr: Any, args: Any = None) -> Any:
    """Expressions of sympy as programs; a nest (tuple, list, dict) of them gives a nest.

    With `args`, a sequence of symbols as for sympy.lambdify, the result is a function of that many arguments, which
    may be called on arrays and numbers (it compiles), on expressions (it builds one), compiled, differentiated and
    vmapped. An argument is a Symbol, an IndexedBase, a MatrixSymbol, a Function applied to symbols or its Derivative
    (`theta(t)`), a Matrix or a nested sequence of these. Without `args` the result is an expression of a Var for each
    symbol. With `args` a mapping {symbol: Var, expression or array} it is an expression of those.

    A symbol is called by its name, made an identifier where it is none ('theta_1' for '\\theta_{1}', 'lambda_' for
    'lambda', 'x_1' for a second symbol called 'x'). Scalars broadcast over arrays. A Matrix becomes an array of two
    axes before those of its entries; a column vector as an argument takes an array of one axis. A Sum or Product over
    an index becomes a reduction over slices of the indexed arrays, or a loop where its bounds are inputs; the sizes in
    the shape of an IndexedBase or MatrixSymbol are those of the array. A Piecewise without a last (value, True) is NaN
    outside. Integers stay Python integers, other numbers become the nearest float, and never widen float32 arrays.

    Raises PullbackError for what has no numerical meaning (Derivative, Integral, Limit: call .doit() first) or is not
    in the table of functions, and for symbols that `args` does not name.

    >>> import numpy as np, sympy, pullback as pb
    >>> x, y = sympy.symbols('x y')
    >>> f = pb.from_sympy(sympy.sin(x) * y, (x, y))
    >>> f(np.array([0.0, 1.0]), 2.0)
    array([0.        , 1.68294197])
    >>> pb.grad(f)(0.0, 2.0)
    array(2.)
    >>> pb.from_sympy(x**2 / y)
    x**2/y
    """
    import sympy

    if args is None and isinstance(expr, sympy.Lambda):
        expr, args = expr.expr, tuple(expr.variables)
    target = _nest_of(expr)
    if isinstance(args, Mapping):
        return _converted(target, args)
    if args is None:
        found = symbols_of(target)
        names = names_of(found)
        return _converted(target, {s: _variable(s, n, found, names) for s, n in zip(found, names, strict=True)})
    if not isinstance(args, Sequence) and not is_matrix(args) and not isinstance(args, sympy.Tuple):
        args = (args,)
    return SympyFunction(target, tuple(args))


class SympyFunction:
    """The function of arrays that `from_sympy` makes of an expression; `expression` shows it in variables."""

    def __init__(self, target: Any, parameters: tuple) -> None:
        self.target, self.parameters = target, parameters
        self.names = names_of(parameters)
        if doubled := [p for i, p in enumerate(parameters) if p in parameters[:i]]:
            raise PullbackError(f"args names {doubled[0]} twice")
        given = _symbols_of_arguments(parameters)
        missing = [s for s in symbols_of(target, given) if s not in given and s not in sizes_of(given)]
        if missing:
            raise PullbackError(f"{missing[0]} of {_shortened(target)} has no value, args does not name it: "
                                f"add it to ({', '.join(map(str, parameters))})")
        self.__name__ = "from_sympy"
        self.__doc__ = f"{_shortened(target)}"
        self.__signature__ = inspect.Signature([
            inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in self.names])
        self._compiled: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not in_trace(args, kwargs):
            return self.compiled(*args, **kwargs)
        given = self.__signature__.bind(*args, **kwargs)
        known: dict[Any, Any] = {}
        for parameter, name, value in zip(self.parameters, self.names, given.arguments.values(), strict=True):
            _assign(parameter, value, name, known)
        return _converted(self.target, known)

    @property
    def compiled(self) -> Any:
        """The compiled function, with all that can be asked of one."""
        if self._compiled is None:
            self._compiled = FUNCTIONS["_compile"](self)
        return self._compiled

    @property
    def expression(self) -> Any:
        """The result as an expression, or a nest of them, of variables called as the arguments are."""
        symbols = [p for p in self.parameters if not isinstance(p, (tuple, list))]
        return self(*(_variable(p, n, symbols, self.names) for p, n in zip(self.parameters, self.names, strict=True)))

    def __repr__(self) -> str:
        return f"from_sympy({_shortened(self.target)}, ({', '.join(self.names)}))"


# ---- symbols and their names ------------------------------------------------------------------------------------
def symbols_of(target: Any, known: Collection[Any] = ()) -> list[Any]:
    """The symbols, indexed arrays, matrices and functions of symbols that a nest of expressions is made of, by name.
    What is in `known` is one as a whole. The sizes of arrays are none.
    """
    found: set[Any] = set()
    for leaf in _leaves(target):
        found |= _symbols_in(leaf, known)
    return sorted(found - sizes_of(found), key=lambda s: (_text(s), str(s)))


def _symbols_in(expr: Any, known: Collection[Any]) -> set[Any]:
    import sympy
    from sympy.concrete.expr_with_limits import ExprWithLimits
    from sympy.core.function import AppliedUndef

    whole = (sympy.Symbol, sympy.IndexedBase, sympy.MatrixSymbol, AppliedUndef, sympy.Idx)
    found: set[Any] = set()
    seen: set[Any] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in known or isinstance(node, whole):
            found.add(node)
            continue
        refuse_unsolved(node)
        if isinstance(node, ExprWithLimits):
            limits: Any = node.limits
            indices = {limit[0] for limit in limits}
            parts = [node.function, *(bound for limit in limits for bound in limit[1:])]
            found |= set().union(*(_symbols_in(part, known) for part in parts)) - indices
        else:
            stack.extend(node.args if isinstance(node, sympy.Basic) else node)
    return found


def sizes_of(symbols: Collection[Any]) -> set[Any]:
    """The symbols that stand for a size of one of the arrays among `symbols`."""
    return {d for s in symbols for d in getattr(s, "shape", None) or () if getattr(d, "is_Symbol", False)}


def _symbols_of_arguments(parameters: Any) -> set[Any]:
    """The symbols that get values from arguments."""
    import sympy

    if isinstance(parameters, (tuple, list, sympy.Tuple)) or is_matrix(parameters):
        return set().union(*map(_symbols_of_arguments, parameters))
    return {parameters}


def _text(symbol: Any) -> str:
    return getattr(symbol, "name", None) or str(symbol)


def names_of(symbols: Sequence[Any]) -> list[str]:
    """An identifier for each symbol, no two alike; those that are identifiers keep their names."""
    import sympy

    texts = ["args" if isinstance(s, (tuple, list, sympy.Tuple)) or is_matrix(s) else _text(s) for s in symbols]
    kept = {t for t in texts if _is_name(t)}
    used: set[str] = set()
    names = []
    for text in texts:
        plain = "_".join(re.findall(r"\w+", text)) or "x"
        name = plain if plain.isidentifier() else f"x_{plain}"
        name = f"{name}_" if keyword.iskeyword(name) else name
        tried, count = name, 0
        while tried in used or tried in kept and tried != text:
            count += 1
            tried = f"{name}_{count}"
        used.add(tried)
        names.append(tried)
    return names


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _variable(symbol: Any, name: str, symbols: Sequence[Any], names: Sequence[str]) -> Any:
    """A Var for a symbol; that of an array declares as many axes as it has indices."""
    shape = getattr(symbol, "shape", None)
    if shape is None or isinstance(symbol, (tuple, list)):
        return Var(name)
    called = dict(zip(symbols, names, strict=False))
    return Var(name, tuple(int(d) if d.is_Integer else called.get(d, _text(d)) if d.is_Symbol and _is_name(_text(d))
                           else None for d in shape))


# ---- arguments and results --------------------------------------------------------------------------------------
def _assign(parameter: Any, value: Any, name: str, known: dict[Any, Any]) -> None:
    """Give the symbols of an argument their values."""
    import sympy

    if is_matrix(parameter):
        shape = tuple(map(int, parameter.shape))
        for place in itertools.product(*map(range, shape)):
            known[parameter[place]] = FUNCTIONS["sympy_entry"](value, place, shape)
    elif isinstance(parameter, (tuple, list, sympy.Tuple)):
        inner: list[Any] = list(parameter)
        parts: list[Any] = list(value) if isinstance(value, (tuple, list)) else [value[k] for k in range(len(inner))]
        if len(parts) != len(inner):
            raise PullbackError(f"the argument {name} has {len(parts)} parts, expected one for each of "
                                f"{', '.join(map(str, inner))}")
        for k, (symbol, part) in enumerate(zip(inner, parts, strict=True)):
            _assign(symbol, part, f"{name}[{k}]", known)
    else:
        known[parameter] = value


def _nest_of(expr: Any) -> Any:
    """sympy's tuples and lists of expressions as Python's; everything else must be sympy's."""
    import sympy

    if isinstance(expr, (tuple, list, sympy.Tuple)):
        parts = list(map(_nest_of, expr))
        return parts if isinstance(expr, list) else tuple(parts)
    if isinstance(expr, dict):
        return {k: _nest_of(v) for k, v in expr.items()}
    if isinstance(expr, (bool, int, float, complex)):
        return sympy.sympify(expr)
    if not isinstance(expr, (sympy.Basic, sympy.MatrixBase, sympy.NDimArray)):
        raise TypeError(f"from_sympy takes an expression of sympy or a nest of them, not {type(expr).__name__}: "
                        "for text write sympy.sympify(text) first")
    return sympy.ImmutableDenseMatrix(expr) if isinstance(expr, sympy.MatrixBase) else expr


def _leaves(target: Any) -> list[Any]:
    if isinstance(target, dict):
        target = list(target.values())
    return [leaf for part in target for leaf in _leaves(part)] if isinstance(target, (tuple, list)) else [target]


def _converted(target: Any, known: Mapping[Any, Any]) -> Any:
    """`target` with the values of its symbols, as a nest of expressions."""
    values = {s: v if isinstance(v, Expr) else FUNCTIONS["asarray"](v) for s, v in known.items()}
    check_sizes(values)
    converter = Converter(values)

    def convert(part: Any) -> Any:
        if isinstance(part, dict):
            return {k: convert(v) for k, v in part.items()}
        if isinstance(part, (tuple, list)):
            return type(part)(map(convert, part))
        found = converter.value(part)
        return found if isinstance(found, Expr) else FUNCTIONS["asarray"](found)

    try:
        return convert(target)
    except NotDifferentiable as error:      # of the table's own conversions
        raise PullbackError(str(error)) from None


def _shortened(target: Any) -> str:
    text = str(target)
    return text if len(text) <= 200 else f"{text[:197]}..."

