"""How the tests of the table evaluate rows: on arrays, on dual numbers over arrays, and exactly."""

import mpmath
import numpy as np
import sympy

from pullback.dsl import derive, ops
from pullback.dsl.errors import NotDifferentiable


class ArrayOps:
    """A namespace of rows on arrays; a Python number is a constant of `dtype`. `expand`: rows by their expansions."""

    def __init__(self, dtype, expand=False):
        self.dtype, self.expand = np.dtype(dtype), expand

    def __getattr__(self, name):
        return lambda *args: self.apply(name, *args)

    def lift(self, value):
        return np.asarray(value, self.dtype) if isinstance(value, int | float) else value

    def apply(self, name, *args):
        args = [self.lift(a) for a in args]
        kind = ops.operand_dtypes(name, *[a.dtype for a in args])[-1]
        body = ops.expansion(name, kind) if self.expand else None
        if body is None:
            return ops.ROWS[name].numpy(*args)
        with np.errstate(all="ignore"):
            return np.asarray(body(self, *args))


class DualOps:
    """A namespace of rows on pairs (value, tangent) over the namespace `inner`; it nests. Tangent None is zero."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return lambda *args: self.apply(name, *args)

    def lift(self, value):
        return value if isinstance(value, tuple) else (self.inner.lift(value), None)

    def apply(self, name, *args):
        pairs = [self.lift(a) for a in args]
        values = [value for value, _ in pairs]
        result = self.inner.apply(name, *values)
        if name in ("where", "mask"):       # linear in what they select, without a product that could be 0 * inf
            tangents = [0.0 if t is None else t for _, t in pairs[1:]]
            active = any(t is not None for _, t in pairs[1:])
            return result, self.inner.apply(name, values[0], *tangents) if active else None
        total = None
        for partial, (_, tangent) in zip(ops.partials(name), pairs, strict=True):
            if tangent is not None and not ops.ROWS[name].jumps:
                if partial is None:
                    raise NotDifferentiable(name)
                slope = partial(self.inner, *values, result)
                if isinstance(slope, float) and slope == 0:
                    continue
                term = self.inner.apply("multiply", slope, tangent)
                total = term if total is None else self.inner.apply("add", total, term)
        return result, total


def derivative(row, wrt, arrays):
    """The derivative of `row` in the arguments `wrt` in turn: a partial, differentiated again and again."""
    base = ArrayOps(arrays[0].dtype)
    return _derivative(base, row, wrt, [base.lift(a) for a in arrays])


def _derivative(space, row, wrt, values):
    *inner, last = wrt
    if not inner:
        partial = ops.partials(row.name)[last]
        return space.lift(partial(space, *values, space.apply(row.name, *values)))
    dual = DualOps(space)
    one = space.lift(1.0)
    pairs = [(v, one if i == last else None) for i, v in enumerate(values)]
    value, tangent = dual.lift(_derivative(dual, row, inner, pairs))
    return space.lift(0.0) if tangent is None else tangent


def points(row, count=24, seed=0):
    """Arguments inside the domain and at the edges, one array for each argument."""
    draw = np.random.default_rng(seed)
    inside = [tuple(draw.uniform(low, high) for low, high in row.domain) for _ in range(count)]
    return [np.array(column, np.float64) for column in zip(*inside, *row.edges, strict=True)]


def exact(row, arrays, orders=None):
    """The meaning of the row, or its derivative of `orders` in each argument, rounded only at the end."""
    symbols = [sympy.Symbol(a, real=True) for a in row.args]
    meaning = sympy.lambdify(symbols, derive.parse(row.meaning, row.args), "mpmath")
    digits = 450 if "erfc(-" in row.meaning else 50        # of 1 - erf in its tail
    return np.array([_exact_at(meaning, point, orders, digits) for point in zip(*arrays, strict=True)])


def _exact_at(meaning, point, orders, digits):
    """With digits for squares of the arguments, which may be 1e300 or 1e-300, and for their exp beside 1."""
    sizes = [abs(float(v)) for v in point if v]
    digits += 2 * max((abs(np.log10(s)) for s in sizes), default=0) + max((s for s in sizes if s < 2000), default=0)
    with mpmath.workdps(int(digits)):
        point = tuple(mpmath.mpf(float(v)) for v in point)
        value = meaning(*point) if orders is None else mpmath.diff(meaning, point, tuple(orders))
        return np.nan if isinstance(value, mpmath.mpc) and value.imag else float(value.real)
