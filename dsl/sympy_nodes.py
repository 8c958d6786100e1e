"""What the nodes of sympy are here; `from_sympy` says what is promised.

A scalar symbol may stand for an array. Inside a Sum an index stands for all its values along a new first axis, so that
every part of the body broadcasts.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import size as sizes
from .arguments import array
from .derive import FOLDED, ROW_OF_FUNCTION
from .errors import PullbackError, ShapeError
from .node import FUNCTIONS, Expr
from .primitives import broadcast_shapes, broadcast_to, cast, concat, reshape, show_shape
from .surface import as_expr, is_weak, surface

_UNSOLVED = {"Derivative": "derivative", "Integral": "integral", "Limit": "limit", "Subs": "substitution",
             "Order": "order term"}
# Functions of one argument or more that are called by another name here.
_CALLED = {
    **{k: v for k, v in ROW_OF_FUNCTION.items() if k not in ("Heaviside",)},
    **{name: name for name in ("expm1", "log1p", "exp2", "log2", "log10", "hypot", "isnan", "isinf")},
    "Sqrt": "sqrt", "Cbrt": "cbrt", "re": "real", "im": "imag", "conjugate": "conj", "arg": "angle",
    "Trace": "trace", "Determinant": "det", "Mod": "remainder", "Xor": "logical_xor",
    "erfcinv": "erfcinv", "zeta": "zeta", "beta": "beta",
}
# What follows from others: op is FUNCTIONS by attribute.
_FOLLOWS: dict[str, Callable[..., Any]] = {
    "sec": lambda op, x: 1 / op.cos(x), "csc": lambda op, x: 1 / op.sin(x), "cot": lambda op, x: 1 / op.tan(x),
    "csch": lambda op, x: 1 / op.sinh(x), "coth": lambda op, x: 1 / op.tanh(x),
    "asec": lambda op, x: op.acos(1 / x), "acsc": lambda op, x: op.asin(1 / x), "acot": lambda op, x: op.atan(1 / x),
    "asech": lambda op, x: op.acosh(1 / x), "acsch": lambda op, x: op.asinh(1 / x),
    "acoth": lambda op, x: op.atanh(1 / x), "sinc": lambda op, x: op.sinc(x / np.pi),
    "frac": lambda op, x: x - op.floor(x), "Heaviside": lambda op, x, at_zero=0.5: op.heaviside(x, at_zero),
    "gamma": lambda op, x: _gamma(op, x), "factorial": lambda op, x: _gamma(op, x + 1),
    "binomial": lambda op, n, k: op.exp(op.gammaln(n + 1) - op.gammaln(k + 1) - op.gammaln(n - k + 1)),
    "ITE": lambda op, c, x, y: op.where(c, x, y),
}


class _Functions:
    """The public functions by attribute."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in FUNCTIONS:
            raise AttributeError(name)
        return FUNCTIONS[name]


_OP = _Functions()


def is_matrix(value: Any) -> bool:
    """Whether `value` is a matrix or array of entries, not a symbol for one."""
    import sympy

    return isinstance(value, (sympy.MatrixBase, sympy.NDimArray))


class NodeConverter:
    """Expressions of sympy over symbols with the values in `known`; `runs` tells of those that are indices of a Sum."""

    def __init__(self, known: Mapping[Any, Any], runs: Mapping[Any, Any] | None = None) -> None:
        self.known, self.runs = known, runs or {}
        self.done: dict[Any, Any] = dict(known)

    def value(self, expr: Any) -> Any:
        """`expr` as an expression, a Python number or a size. Arguments before their users, so depth is no limit."""
        stack = [expr]
        while stack:
            node = stack[-1]
            if node in self.done:
                stack.pop()
                continue
            missing = [a for a in self._operands(node) if a not in self.done]
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            self.done[node] = self._built(node)
        return self.done[expr]

    def element(self, base: Any, indices: Sequence[Any], node: Any) -> Any:
        """An element of an indexed array."""
        raise NotImplementedError

    def folded(self, node: Any) -> Any:
        """A Sum or Product over an index."""
        raise NotImplementedError

    def _operands(self, node: Any) -> list[Any]:
        """What has to be known before `node` is built."""
        import sympy

        if isinstance(node, sympy.Indexed):                 # an atom, to sympy
            return [node.base, *node.indices]
        if getattr(node, "is_number", False) and not self._holds_known(node) or getattr(node, "is_Atom", False):
            return []
        if isinstance(node, (sympy.Sum, sympy.Product, sympy.Idx)):
            return []
        if isinstance(node, sympy.Piecewise):
            pairs: Any = node.args
            return [part for pair in pairs for part in pair]
        if is_matrix(node):
            return list(node.flat() if isinstance(node, sympy.MatrixBase) else sympy.flatten(node))
        if type(node).__name__ in _UNSOLVED:
            return []
        if isinstance(node, sympy.MatrixExpr):
            return [*node.args, *node.shape]
        if node.is_Add:
            return [a for t in node.args for a in (self._factors(t) if _is_subtracted(t) else [t])]
        if node.is_Mul:
            return self._factors(node)
        return [a for a in node.args if not (node.is_Pow and a is node.exp and a.is_number)]

    def _factors(self, node: Any) -> list[Any]:
        """What a product is computed from: its factors, and what divides it."""
        return [f.base if _divides(f) else f for f in node.as_coeff_mul()[1]]

    def _holds_known(self, node: Any) -> bool:
        """Derivatives and functions of symbols may be arguments though they are numbers to sympy."""
        return any(k in self.known for k in node.args)

    def _built(self, node: Any) -> Any:
        import sympy

        if getattr(node, "is_number", False) or node in (sympy.true, sympy.false):
            return number(node)
        if isinstance(node, (sympy.Symbol, sympy.IndexedBase, sympy.MatrixSymbol, sympy.Idx)):
            return self._symbol(node)
        if isinstance(node, sympy.Indexed):
            return self.element(self.done[node.base], [self.done[i] for i in node.indices], node)
        if isinstance(node, (sympy.Sum, sympy.Product)):
            return self.folded(node)
        if is_matrix(node):
            return FUNCTIONS["sympy_array"](tuple(self.done[e] for e in self._operands(node)), tuple(node.shape))
        if isinstance(node, sympy.Piecewise):
            return self._piecewise(node)
        if isinstance(node, sympy.MatrixExpr):
            return self._matrix(node)
        if node.is_Add:
            return self._sum(node)
        if node.is_Mul:
            return self._product(node)
        if node.is_Pow:
            return _power(self.done[node.base], node.exp, self.done)
        return self._function(node)

    def _symbol(self, node: Any) -> Any:
        """A symbol without a value of its own: a size of an array."""
        for array_, value in self.known.items():
            for axis, dim in enumerate(getattr(array_, "shape", None) or ()):
                if dim == node and isinstance(value, Expr):
                    return value._known("shape")[axis]
        raise PullbackError(f"the symbol {node} has no value: name it in args")

    def _sum(self, node: Any) -> Any:
        """Terms in sympy's order, what is subtracted after what is added."""
        below = [t for t in node.args if _is_subtracted(t)]
        above = [self.done[t] for t in node.args if t not in below]
        total = functools.reduce(operator.add, above) if above else self._product(below.pop(0))
        return functools.reduce(operator.sub, (self._product(t, absolute=True) for t in below), total)

    def _product(self, node: Any, absolute: bool = False) -> Any:
        """coefficient * numerator / denominator, with one division; `absolute` leaves a minus sign out."""
        from sympy import Integer

        coefficient, factors = node.as_coeff_mul()
        below = [f for f in factors if _divides(f)]
        above = [self.done[f] for f in factors if f not in below]
        if coefficient.is_Rational and not coefficient.is_Integer:
            if coefficient.p == -1 or coefficient.p == 1:
                above = above or [1]
            else:
                above.insert(0, number(Integer(abs(coefficient.p))))
            bottom: list[Any] = [number(Integer(coefficient.q))]
        else:
            if abs(coefficient) != 1 or not above:
                above.insert(0, number(abs(coefficient)))
            bottom = []
        bottom += [_power(self.done[f.base], -f.exp, self.done) for f in below]
        top = functools.reduce(operator.mul, above)
        top = -top if coefficient.is_negative and not absolute else top
        return top / functools.reduce(operator.mul, bottom) if bottom else top

    def _piecewise(self, node: Any) -> Any:
        """Nested choices; NaN where no condition holds."""
        pairs = list(node.args)
        last = pairs.pop() if pairs[-1][1] == True else None  # noqa: E712 - sympy's true is not Python's
        result = np.nan if last is None else self.done[last[0]]
        for value, condition in reversed(pairs):
            result = FUNCTIONS["where"](self.done[condition], self.done[value], result)
        return result

    def _matrix(self, node: Any) -> Any:
        if type(node).__name__ not in _MATRICES:
            raise PullbackError(_unknown(node, type(node).__name__))
        return _MATRICES[type(node).__name__]([self.done[a] for a in node.args],
                                              tuple(self.done[d] for d in node.shape))

    def _function(self, node: Any) -> Any:
        name, args = type(node).__name__, [self.done.get(a) for a in node.args]
        refuse_unsolved(node)
        if name in FOLDED:
            return functools.reduce(FUNCTIONS[FOLDED[name]], args)
        if name == "polygamma":
            return _polygamma(node, args[1])
        if name == "log" and len(args) == 2:
            return _OP.log(args[0]) / _OP.log(args[1])
        if name == "MatrixElement":
            return self.element(args[0], args[1:], node)
        if name in _FOLLOWS:
            return _FOLLOWS[name](_OP, *args)
        called = _CALLED.get(name)
        if called in FUNCTIONS:
            return FUNCTIONS[called](*args)
        raise PullbackError(_unknown(node, name))


def _divides(factor: Any) -> bool:
    return factor.is_Pow and factor.exp.is_number and factor.exp.is_negative


def _is_subtracted(term: Any) -> bool:
    return not term.is_Atom and term.is_Mul and term.as_coeff_mul()[0].is_negative or term.is_Number and term < 0


def number(node: Any) -> Any:
    """A number of sympy as Python's: an int where it is one that fits, else the nearest float."""
    import sympy

    if node in (sympy.true, sympy.false):
        return bool(node)
    if node.is_Integer and abs(int(node)) < 2**63:
        return int(node)
    found = node.evalf(25)
    if found.is_real is False and found not in (sympy.oo, -sympy.oo, sympy.nan) and found.has(sympy.I):
        return complex(found)
    if found is sympy.zoo or not (found.is_Float or found.is_Integer or found.is_infinite or found is sympy.nan):
        raise PullbackError(f"{node} is no number that can be computed with: {found}")
    return float(found)


def _power(base: Any, exponent: Any, done: Mapping[Any, Any]) -> Any:
    if not exponent.is_number:
        from sympy import E as e

        return _OP.exp(done[exponent]) if base is e else base ** done[exponent]
    if exponent.is_negative:
        return 1 / _power(base, -exponent, done)
    if 2 * exponent == 1:
        return _OP.sqrt(base)
    if 2 * exponent == 3:
        return base * _OP.sqrt(base)
    return base if exponent == 1 else base ** number(exponent)


def _gamma(op: Any, x: Any) -> Any:
    """By its logarithm, with the sign that alternates between the poles below 0."""
    if "gamma" in FUNCTIONS:
        return op.gamma(x)
    below = op.floor(x)
    odd = below - 2 * op.floor(below / 2)
    size = op.exp(op.gammaln(x))
    return op.where((x < 0) & (odd != 0), -size, size)


def _polygamma(node: Any, x: Any) -> Any:
    order = node.args[0]
    if not (order.is_Integer and 0 <= order <= 3):
        raise PullbackError(f"{node}: polygamma of the orders 0 to 3 is in the table")
    return FUNCTIONS[f"polygamma{order}" if order else "digamma"](x)


# ---- matrices ---------------------------------------------------------------------------------------------------
def _matmul(a: Any, b: Any) -> Any:
    """A product in which scalars may stand."""
    scalar = any(not isinstance(x, Expr) or x.shape == () for x in (a, b))
    return a * b if scalar else a @ b


def _matrix_power(base: Any, exponent: Any) -> Any:
    if not isinstance(exponent, int) or exponent < 0 and "matrix_power" not in FUNCTIONS:
        raise PullbackError(f"a matrix to the power {exponent} is not available: "
                            "write the solution of the linear system, or call .as_explicit()")
    if "matrix_power" in FUNCTIONS:
        return FUNCTIONS["matrix_power"](base, exponent)
    return functools.reduce(operator.matmul, [base] * exponent) if exponent else base


_MATRICES: dict[str, Callable[..., Any]] = {        # of the values of the arguments and the shape
    "MatAdd": lambda args, shape: functools.reduce(operator.add, args),
    "MatMul": lambda args, shape: functools.reduce(_matmul, args),
    "HadamardProduct": lambda args, shape: functools.reduce(operator.mul, args),
    "Transpose": lambda args, shape: FUNCTIONS["matrix_transpose"](args[0]),
    "Inverse": lambda args, shape: _matrix_power(args[0], -1),
    "MatPow": lambda args, shape: _matrix_power(*args),
    "Identity": lambda args, shape: FUNCTIONS["eye"](shape[0]),
    "ZeroMatrix": lambda args, shape: FUNCTIONS["zeros"](shape),
    "OneMatrix": lambda args, shape: FUNCTIONS["ones"](shape),
}


def _stand_in(value: Any) -> Any:
    """A Python number of the kind of what stands for one."""
    kind = value.dtype.kind if isinstance(value, Expr) else "f" if isinstance(value, float) else "i"
    return 1.0 if kind == "f" else 1


@surface
def sympy_array_(entries: tuple, shape: tuple) -> Expr:
    """Entries in row-major order as an array of `shape`, before the axes that they share."""
    strong = [e.dtype for e in entries if isinstance(e, Expr) and not is_weak(e)]
    weak = [_stand_in(e) for e in entries if is_weak(e)]
    dtype = np.result_type(*strong, *weak) if strong else np.float64
    parts = [cast(as_expr(e), dtype) for e in entries]
    common = functools.reduce(broadcast_shapes, (p.shape for p in parts), ())
    rows = [reshape(broadcast_to(p, common), (1, *common)) for p in parts]
    return reshape(concat(rows, 0), (*map(int, shape), *common))


@surface
def sympy_entry_(x: Any, place: tuple, shape: tuple) -> Expr:
    """An entry of an argument that stands for an array of entries; a vector may come without its axis of one."""
    x = array(x)
    given = x.shape[:len(shape)]
    if len(given) == len(shape) and all(map(sizes.equal, given, shape)):
        return x[place]
    if 1 in shape and given and sizes.equal(given[0], max(shape)):
        return x[max(place)]
    raise ShapeError(f"an argument stands for a matrix of shape {shape} and has shape {show_shape(x.shape)}")


def refuse_unsolved(node: Any) -> None:
    """Raise PullbackError for what sympy has not worked out."""
    name = type(node).__name__
    if name in _UNSOLVED:
        raise PullbackError(f"the {_UNSOLVED[name]} {node} is no value yet: call .doit() on the expression before "
                            f"from_sympy, or name it in args")


def _unknown(node: Any, name: str) -> str:
    from sympy.core.function import AppliedUndef

    if isinstance(node, AppliedUndef):
        return f"the function {node} has no value: name it in args, as in from_sympy(expr, ({node}, ...))"
    known = sorted({*_CALLED, *_FOLLOWS, *FOLDED, *_MATRICES, "polygamma", "Piecewise", "Sum", "Product"})
    return f"{name} of {node} is not in the table of functions: rewrite it with .rewrite, as one of {', '.join(known)}"
