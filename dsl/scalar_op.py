"""`scalar_op`: a row of the table that a user adds, from a sympy expression."""

from __future__ import annotations

import keyword
from collections.abc import Callable
from functools import cache
from typing import Any

from . import derive, ops, ops_numpy, primitives
from .node import FUNCTIONS, Expr
from .row import Row
from .surface import surface


def scalar_op(name: str, expr: Any, args: Any = None) -> Callable[..., Expr]:
    """A new elementwise operation from a sympy expression; its derivatives come from sympy.

    `args`: the order of its arguments (symbols or names), by default that of their names. Symbols are taken as real.
    The result is a function on expressions, arrays and numbers that broadcasts; integers become float64.

    Raises ValueError for a name that is no identifier or is taken, or for arguments that are not the symbols of `expr`;
    NotDifferentiable for a function that the table does not have, or, when a derivative is asked for, that has none.

    >>> import sympy, pullback as pb
    >>> from pullback.dsl.scalar_op import scalar_op
    >>> x, a = sympy.symbols('x a')
    >>> bump = scalar_op('bump', sympy.exp(-a * x**2), args=(x, a))
    >>> bump(pb.Var('u'), 3.0)
    bump(u, 3.0)
    """
    if not (isinstance(name, str) and name.isidentifier()) or keyword.iskeyword(name):
        raise ValueError(f"the name of an operation is a Python identifier that is no keyword, got {name!r}")
    if name in FUNCTIONS and name not in ops.ROWS:
        raise ValueError(f"the function {name!r} exists; choose another name")
    names = _arguments(expr, args)
    meaning = _over_real_symbols(expr, names)
    body = _on_rows(meaning, names)
    body(derive.TextOps(), *names)                  # a function without a row is refused here, not at the first call
    row = Row(name, names, str(meaning), "float", lambda *values: body(ops_numpy.Rows(), *values),
              kinks=ops.AS_DEFINED)
    ops.define(row, tuple(_partial(meaning, names, i) for i in range(len(names))), body)

    def call(*values: Any) -> Expr:
        if len(values) != len(names):
            raise TypeError(f"{name}({', '.join(names)}) takes {len(names)} arguments, not {len(values)}")
        return primitives.scalar(name, *values)

    call.__name__ = name
    call.__doc__ = f"`{meaning}` elementwise."
    return surface(call)


def _arguments(expr: Any, args: Any) -> tuple[str, ...]:
    found = sorted(symbol.name for symbol in expr.free_symbols)
    names = tuple(found) if args is None else tuple(str(a) for a in args)
    if sorted(names) != found or not names:
        raise ValueError(f"{expr} has the symbols {', '.join(found) or '(none)'}, "
                         f"but args names {', '.join(names) or '(none)'}")
    if bad := [n for n in names if not n.isidentifier() or keyword.iskeyword(n)]:
        raise ValueError(f"the symbol {bad[0]!r} of {expr} is no Python identifier; rename it, for example to x")
    return names


def _over_real_symbols(expr: Any, names: tuple[str, ...]) -> Any:
    import sympy

    return expr.xreplace({s: sympy.Symbol(s.name, real=True) for s in expr.free_symbols})


def _on_rows(expr: Any, names: tuple[str, ...]) -> Callable[..., Any]:
    def body(op: Any, *values: Any) -> Any:
        return derive.build(expr, op, dict(zip(names, values, strict=True)))

    return body


def _partial(expr: Any, names: tuple[str, ...], i: int) -> Callable[..., Any]:
    """The partial with respect to argument `i`, differentiated by sympy when it is first asked for."""

    @cache
    def derived() -> Any:
        import sympy

        return derive.derivative(expr, sympy.Symbol(names[i], real=True), sympy.Symbol("result ", real=True))

    def partial(op: Any, *values: Any) -> Any:
        return derive.build(derived(), _Closed(op), dict(zip((*names, "result "), values, strict=True)))

    return partial


class _Closed:
    """The rows; those that jump have no path to their arguments, as a sign in a derivative is its own choice."""

    def __init__(self, op: Any) -> None:
        self._op = op

    def __getattr__(self, row: str) -> Callable[..., Any]:
        build = getattr(self._op, row)
        if ops.ROWS[row].jumps or row == "heaviside":
            return lambda *args: build(*map(self._op.stop_gradient, args))
        return build
