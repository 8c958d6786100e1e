"""Symbolic sizes: integer polynomials over the sizes of a program's inputs.

A `Size` behaves like the Python int that it stands for. Arithmetic keeps it symbolic in one canonical form; whatever
needs its value (`range(n)`, `n == m`, `float(n)`) takes it and records a guard in the active `Guards`, so that the
program traced under it is used again only for sizes that answer alike.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Union

from .errors import ShapeError
from .guards import RELATIONS, Guards, active_guards
from .guards import tracing as tracing
from .size_text import render as render

Dim = Union[int, "Size"]
# A symbol's name, or ('floordiv' | 'max', a, b) with parts packed as ints or terms: plain tuples compare with no guard.
Atom = str | tuple
Monomial = tuple                  # sorted ((atom, power), ...)

# Set by the expression floor: turns a size that meets an array into an expression.
lift: Callable[[Size], Any] | None = None


class Size:
    """An integer polynomial over size symbols; build one with `symbol` and arithmetic. Never a constant."""

    __slots__ = ("_hash", "terms")
    terms: tuple[tuple[Monomial, int], ...]
    __array_priority__ = 1000

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)

    # structure -------------------------------------------------------------------------------------------------
    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple:      # hashes of strings differ between processes
        return Size, (self.terms,)

    def same(self, other: object) -> bool:
        """Structural equality: the same polynomial (no guard is recorded)."""
        return isinstance(other, Size) and self.terms == other.terms

    def symbols(self) -> set[str]:
        """The names of the input sizes that this size depends on."""
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom, _ in monomial:
                if isinstance(atom, str):
                    found.add(atom)
                else:
                    for part in map(_unpack, atom[1:]):
                        found |= part.symbols() if isinstance(part, Size) else set()
        return found

    def evaluate(self, values: Mapping[str, int]) -> int:
        """The int that this size is when its symbols take `values`."""
        total = 0
        for monomial, coefficient in self.terms:
            for atom, power in monomial:
                coefficient *= _evaluate_atom(atom, values) ** power
            total += coefficient
        return total

    def substitute(self, values: Mapping[str, Dim]) -> Dim:
        """This size with symbols replaced by sizes or ints."""
        total: Dim = 0
        for monomial, coefficient in self.terms:
            part: Dim = coefficient
            for atom, power in monomial:
                for _ in range(power):
                    part = part * _substitute_atom(atom, values)
            total = total + part
        return total

    def __repr__(self) -> str:
        return render(self)

    # arithmetic ------------------------------------------------------------------------------------------------
    def __add__(self, other: Any) -> Any:
        return _combine(self, other, operator.add, lambda a, b: _sum([*_terms(a), *_terms(b)]))

    __radd__ = __add__

    def __mul__(self, other: Any) -> Any:
        return _combine(self, other, operator.mul, _product)

    __rmul__ = __mul__

    def __neg__(self) -> Dim:
        return _product(self, -1)

    def __pos__(self) -> Size:
        return self

    def __sub__(self, other: Any) -> Any:
        return _combine(self, other, operator.sub, lambda a, b: _sum([*_terms(a), *_terms(_product(b, -1))]))

    def __rsub__(self, other: Any) -> Any:
        return _combine(other, self, operator.sub, lambda a, b: _sum([*_terms(a), *_terms(_product(b, -1))]))

    def __floordiv__(self, other: Any) -> Any:
        return _combine(self, other, operator.floordiv, floordiv)

    def __rfloordiv__(self, other: Any) -> Any:
        return _combine(other, self, operator.floordiv, floordiv)

    def __mod__(self, other: Any) -> Any:
        return _combine(self, other, operator.mod, lambda a, b: a - floordiv(a, b) * b)

    def __rmod__(self, other: Any) -> Any:
        return _combine(other, self, operator.mod, lambda a, b: a - floordiv(a, b) * b)

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return other // self, other % self

    def __truediv__(self, other: Any) -> Any:
        return _lifted(self) / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / _lifted(self)

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, int) and other >= 0:
            result: Any = 1
            for _ in range(other):
                result = result * self
            return result
        return _lifted(self) ** other

    def __rpow__(self, other: Any) -> Any:
        return other ** _lifted(self)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__":
            return NotImplemented
        values = [_lifted(x) if isinstance(x, Size) else x for x in inputs]
        return _lifted(self).__array_ufunc__(ufunc, method, *values, **kwargs)

    # what needs the value --------------------------------------------------------------------------------------
    def __index__(self) -> int:
        return fix(self)

    __int__ = __index__

    def __round__(self, digits: int | None = None) -> Any:
        return self if digits is None or digits >= 0 else round(fix(self), digits)

    def __trunc__(self) -> Any:
        return self

    __floor__ = __ceil__ = __abs__ = __trunc__

    def __float__(self) -> float:
        return float(fix(self))

    def __bool__(self) -> bool:
        return not equal(self, 0)

    def __eq__(self, other: object) -> Any:
        if isinstance(other, (int, Size)) and not isinstance(other, bool):
            if hash(self) == hash(other) and active_guards() is None:
                return self.same(other)               # a dictionary asks
            return equal(self, other)
        return NotImplemented if not isinstance(other, float) else float(self) == other

    def __lt__(self, other: Any) -> bool:
        return _compare("<", self, other)

    def __le__(self, other: Any) -> bool:
        return _compare("<=", self, other)

    def __gt__(self, other: Any) -> bool:
        return _compare("<", other, self)

    def __ge__(self, other: Any) -> bool:
        return _compare("<=", other, self)


def symbol(name: str) -> Size:
    """The size called `name`."""
    return Size(((((name, 1),), 1),))


def same(a: Dim, b: Dim) -> bool:
    """Structural equality of two dimensions; decides nothing and records nothing."""
    return a.same(b) if isinstance(a, Size) else not isinstance(b, Size) and a == b


def same_shape(a: Iterable[Dim], b: Iterable[Dim]) -> bool:
    a, b = tuple(a), tuple(b)
    return len(a) == len(b) and all(map(same, a, b))


def product(dims: Iterable[Dim]) -> Dim:
    """The product of `dims` (1 for none)."""
    result: Dim = 1
    for dim in dims:
        result = result * dim
    return result


def maximum(a: Dim, b: Dim) -> Dim:
    """The larger of two dimensions, symbolic unless their difference is known."""
    difference = a - b
    if surely_nonnegative(difference):
        return a
    if surely_nonnegative(-difference):
        return b
    return _atom("max", a, b)


def surely_nonnegative(dim: Dim) -> bool:
    """Whether `dim` >= 0 whatever the sizes are, by its form alone: no term is subtracted."""
    if not isinstance(dim, Size):
        return dim >= 0
    return all(c > 0 and all(map(_atom_nonnegative, (atom for atom, _ in m))) for m, c in dim.terms)


def _atom_nonnegative(atom: Atom) -> bool:
    if isinstance(atom, str):
        return True
    known = [surely_nonnegative(_unpack(part)) for part in atom[1:]]
    return any(known) if atom[0] == "max" else all(known)


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller of two dimensions: a + b - max(a, b)."""
    return a + b - maximum(a, b)


def where_positive(dim: Dim) -> Dim:
    """What `dim` is where it is positive, as inside a loop of so many turns: max(a, 0) is a there."""
    if isinstance(dim, Size) and len(dim.terms) == 1:
        (monomial, factor), = dim.terms
        if factor == 1 and len(monomial) == 1 and monomial[0][1] == 1 and monomial[0][0][0] == "max":
            a, b = map(_unpack, monomial[0][0][1:])
            return a if isinstance(b, int) and b == 0 else b if isinstance(a, int) and a == 0 else dim
    return dim


def floordiv(a: Dim, b: Dim) -> Dim:
    """`a // b` with Python's sign; exact where every term of `a` divides by a `b` of one term (which is then not 0)."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    exact = _exact_quotient(a, b)
    return _atom("floordiv", a, b) if exact is None else exact


def _exact_quotient(a: Dim, b: Dim) -> Dim | None:
    terms = list(_terms(b))
    if len(terms) != 1 or terms[0][1] == 0:
        return None
    divisor, by = terms[0]
    quotients = []
    for monomial, coefficient in _terms(a):
        powers = dict(monomial)
        for atom, power in divisor:
            powers[atom] = powers.get(atom, 0) - power
        if coefficient % by or any(power < 0 for power in powers.values()):
            return None
        quotients.append((tuple((atom, power) for atom, power in powers.items() if power), coefficient // by))
    return _sum(quotients)


def equal(a: Dim, b: Dim) -> bool:
    """Whether two dimensions are equal in the present call; recorded as a guard unless it is so by form."""
    if same(a, b):
        return True
    if isinstance(a, int) and isinstance(b, int):
        return False
    difference = a - b
    if isinstance(difference, int):
        return difference == 0
    guards = active_guards()
    if guards is not None and same(guards.canonical(a), guards.canonical(b)):
        return True                    # it follows from what was recorded
    outcome = _decided("==", a, b)
    if outcome and guards is not None:
        guards.learn(a, b)
    return outcome


def fix(a: Dim) -> int:
    """The value of `a` in the present call, behind a guard."""
    if isinstance(a, int):
        return a
    guards = active_guards()
    if guards is None or not _known(a, guards):
        raise ShapeError(f"the size {a} has no value before the program is called; "
                         "write a function and give it to pullback.compile to use a size as a number")
    value = evaluate(a, guards.values)
    equal(a, value)
    return value


def fixed_if_small(a: Dim, most: int) -> Dim:
    """The value of `a` where it is at most `most` in the present call (guarded), else `a`."""
    guards = active_guards()
    return fix(a) if guards is not None and _known(a, guards) and a <= most else a


def evaluate(dim: Dim, values: Mapping[str, int]) -> int:
    """The int that `dim` is when its symbols take `values`."""
    return dim.evaluate(values) if isinstance(dim, Size) else dim


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """`dim` with symbols replaced by sizes or ints."""
    return dim.substitute(values) if isinstance(dim, Size) else dim


def show(dim: Dim) -> str:
    """`dim` for an error text: its value where a call gives it one, else its form."""
    guards = active_guards()
    return str(evaluate(dim, guards.values)) if guards is not None and _known(dim, guards) else str(dim)


# ---- internals --------------------------------------------------------------------------------------------------
def _terms(a: Dim) -> Iterable[tuple[Monomial, int]]:
    return a.terms if isinstance(a, Size) else [((), a)]


def _sum(terms: Iterable[tuple[Monomial, int]]) -> Dim:
    total: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        total[monomial] = total.get(monomial, 0) + coefficient
    kept = [(m, c) for m, c in total.items() if c]
    if all(m == () for m, _ in kept):
        return kept[0][1] if kept else 0
    return Size(tuple(sorted(kept, key=lambda t: (-len(t[0]), repr(t[0])))))


def _product(a: Dim, b: Dim) -> Dim:
    terms = []
    for m1, c1 in _terms(a):
        for m2, c2 in _terms(b):
            powers: dict[Atom, int] = {}
            for atom, power in (*m1, *m2):
                powers[atom] = powers.get(atom, 0) + power
            terms.append((tuple(sorted(powers.items(), key=repr)), c1 * c2))
    return _sum(terms)


def _combine(a: Any, b: Any, apply: Callable[[Any, Any], Any], rule: Callable[[Dim, Dim], Dim]) -> Any:
    """`rule` of two sizes; with a float the size is a value like any other, and `apply` computes with it."""
    a, b = _plain(a), _plain(b)
    if isinstance(a, (int, Size)) and isinstance(b, (int, Size)):
        return rule(a, b)
    if isinstance(a, float) or isinstance(b, float):
        return apply(*(_lifted(x) if isinstance(x, Size) else x for x in (a, b)))
    return NotImplemented


def _plain(a: Any) -> Any:
    """NumPy integers are ints here; anything else is not ours to combine."""
    if isinstance(a, (int, Size)):
        return a
    dtype = getattr(a, "dtype", None) if type(a).__module__ == "numpy" else None
    return a.__index__() if getattr(dtype, "kind", "?") in "iu" and a.ndim == 0 else a


def _lifted(size: Size) -> Any:
    if lift is None:
        raise ShapeError("the expression floor is not loaded")
    return lift(size)


def _atom(rule: str, a: Dim, b: Dim) -> Size:
    return Size((((((rule, _pack(a), _pack(b)), 1),), 1),))


def _pack(dim: Dim) -> Any:
    return dim.terms if isinstance(dim, Size) else dim


def _unpack(part: Any) -> Dim:
    return Size(part) if isinstance(part, tuple) else part


def _evaluate_atom(atom: Atom, values: Mapping[str, int]) -> int:
    if isinstance(atom, str):
        return values[atom]
    a, b = evaluate(_unpack(atom[1]), values), evaluate(_unpack(atom[2]), values)
    return max(a, b) if atom[0] == "max" else a // b


def _substitute_atom(atom: Atom, values: Mapping[str, Dim]) -> Dim:
    if isinstance(atom, str):
        return values.get(atom, symbol(atom))
    rule = maximum if atom[0] == "max" else floordiv
    return rule(substitute(_unpack(atom[1]), values), substitute(_unpack(atom[2]), values))


def _known(dim: Dim, guards: Guards) -> bool:
    return not isinstance(dim, Size) or dim.symbols() <= guards.values.keys()


def _compare(relation: str, a: Dim, b: Dim) -> bool:
    if not isinstance(a, (int, Size)) or not isinstance(b, (int, Size)):
        return RELATIONS[relation](float(a), float(b))  # type: ignore[arg-type]
    difference = a - b
    return RELATIONS[relation](difference, 0) if isinstance(difference, int) else _decided(relation, a, b)


def _decided(relation: str, a: Dim, b: Dim) -> bool:
    """The outcome in the present call, recorded."""
    guards = active_guards()
    if guards is None or not _known(a - b, guards):
        raise ShapeError(f"whether {a} {'equals' if relation == '==' else relation} {b} is not known before the "
                         "program is called; compare sizes inside a function given to pullback.compile, where they "
                         "have values")
    outcome = RELATIONS[relation](evaluate(a, guards.values), evaluate(b, guards.values))
    guards.record(relation, a, b, outcome)
    return outcome
