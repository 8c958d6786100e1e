"""`check_grads`: derivatives against the complex step or finite differences, input by input, along random directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import nest
from .complex_step import ComplexStep
from .errors import PullbackError
from .functional import jvp, vjp
from .node import FUNCTIONS
from .primitives import cast
from .surface import as_expr

# Of the central difference with four points: its error is of order step**4, its rounding of order 1/step.
_STEP = {"float64": 1e-3, "float32": 3e-2, "complex128": 1e-3, "complex64": 3e-2}
_TOLERANCE = {"float64": 1e-6, "float32": 2e-2, "complex128": 1e-6, "complex64": 2e-2}
_EXACT = {"float64": 1e-8, "float32": 1e-3}        # of the complex step
_MOST_PROBES = 256

Function = Callable[..., list[Any]]


class GradientMismatch(PullbackError, AssertionError):
    """A derivative differs from finite differences."""


def check_grads(f: Callable[..., Any], args: Sequence[Any], order: int = 2, modes: Sequence[str] = ("fwd", "rev"),
                eps: float | None = None, atol: float | None = None, rtol: float | None = None,
                seed: int = 0) -> None:
    """Compare the derivatives of `f` at `args` with numerical ones, up to `order`.

    These are finite differences; where `f` is the same analytic function for complex arguments, the complex step,
    which is exact to rounding (see `dsl/complex_step.py`). `args` is a tuple of arguments, nests of arrays and numbers;
    each float or complex leaf is tested by itself along a random direction, forward ('fwd') and in reverse ('rev'); the
    second order is that of the first derivative, and so on.
    `eps`: the step of finite differences, relative to the largest element, which are then taken always; `rtol` and
    `atol` bound the difference (defaults by dtype).

    Raises GradientMismatch, a PullbackError and an AssertionError, with the input, an index where it shows, and the
    two numbers. Near a kink or the edge of a domain finite differences mean nothing.

    >>> import numpy as np, pullback as pb
    >>> pb.check_grads(lambda x, y: pb.sin(x) * y, (np.array([0.5, 2.0]), 3.0), order=2)
    """
    if unknown := set(modes) - {"fwd", "rev"}:
        raise PullbackError(f"modes are 'fwd' and 'rev', not {', '.join(map(repr, sorted(unknown)))}")
    if not isinstance(args, (tuple, list)):
        raise TypeError("check_grads takes a tuple of arguments; write check_grads(f, (x,))")
    leaves, structure = nest.flatten(tuple(args))
    names = [n for k, a in enumerate(args) for n in nest.leaf_names(a, f"args[{k}]")]
    places = [i for i, leaf in enumerate(leaves) if np.asarray(leaf).dtype.kind in "fc"]
    if not places:
        raise PullbackError("none of the arguments is a float array or number: there is nothing to differentiate")

    def function(*values: Any) -> list[Any]:
        given = dict(zip(places, values, strict=True))
        arguments = nest.unflatten(structure, [given.get(i, leaf) for i, leaf in enumerate(leaves)])
        return [x for x in map(FUNCTIONS["asarray"], nest.leaves(f(*arguments))) if x.dtype.kind in "fc"]

    point = [np.asarray(leaves[i]) for i in places]
    check = _Check([names[i] for i in places], modes, eps, atol, rtol, np.random.default_rng(seed))
    check.run(function, point, order, "")


class _Check:
    """What all orders of one check share."""

    def __init__(self, names: Sequence[str], modes: Sequence[str], eps: float | None, atol: float | None,
                 rtol: float | None, random: np.random.Generator) -> None:
        self.names, self.modes, self.random = names, modes, random
        self.eps, self.atol, self.rtol = eps, atol, rtol

    def run(self, function: Function, point: Sequence[np.ndarray], order: int, path: str) -> None:
        """The first derivative of `function`, and those of its derivatives up to `order`."""
        numeric = _Numeric(function, point, self.eps)
        tangents = [self._direction(x) for x in point]
        weights = [self._direction(y) for y in numeric.values]

        def forward(*values: Any) -> list[Any]:
            return jvp(function, values, tuple(map(_in_dtype_of, tangents, values)))[1]

        def reverse(*values: Any) -> list[Any]:
            results, back = vjp(function, *values)
            return list(back(list(map(_in_dtype_of, weights, results))))

        if "fwd" in self.modes:
            self._forward(numeric, function, point, tangents, f"{path}forward")
        if "rev" in self.modes:
            self._reverse(numeric, reverse, point, tangents, weights, f"{path}reverse")
        for mode, derivative in (("fwd", forward), ("rev", reverse)):
            if order > 1 and mode in self.modes:
                self.run(derivative, point, order - 1, f"{path}{'forward' if mode == 'fwd' else 'reverse'} over ")

    def _forward(self, numeric: _Numeric, function: Function, point: Sequence[np.ndarray],
                 tangents: Sequence[np.ndarray], path: str) -> None:
        along = FUNCTIONS["_compile"](lambda p, t: jvp(function, p, t)[1])
        for i, tangent in enumerate(tangents):
            def analytic(direction: np.ndarray, i: int = i) -> list[np.ndarray]:
                return along(tuple(point), tuple(direction if j == i else np.zeros_like(x)
                                                 for j, x in enumerate(point)))

            def along_one(direction: np.ndarray, i: int = i) -> list[np.ndarray]:
                return numeric.along(i, direction)

            self._compare(analytic, along_one, numeric, i, tangent, path)

    def _reverse(self, numeric: _Numeric, reverse: Function, point: Sequence[np.ndarray],
                 tangents: Sequence[np.ndarray], weights: Sequence[np.ndarray], path: str) -> None:
        cotangents = FUNCTIONS["_compile"](reverse)(*point)
        for i, tangent in enumerate(tangents):
            def analytic(direction: np.ndarray, i: int = i) -> list[np.ndarray]:
                return [_paired(cotangents[i], direction)]

            def weighted(direction: np.ndarray, i: int = i) -> list[np.ndarray]:
                along = numeric.along(i, direction)
                return [np.asarray(sum(_paired(w, d) for w, d in zip(weights, along, strict=True)))]

            self._compare(analytic, weighted, numeric, i, tangent, path)

    def _compare(self, analytic: Callable[..., list], expected_along: Callable[..., list], numeric: _Numeric, i: int,
                 direction: np.ndarray, path: str) -> None:
        wrong = self._wrong(analytic(direction), expected_along(direction), numeric.tolerance)
        if wrong is None:
            return
        place = ""
        for index in list(np.ndindex(direction.shape))[:_MOST_PROBES] if direction.shape else ():
            unit = np.zeros_like(direction)
            unit[index] = 1 if direction.dtype.kind == "f" else 1 + 0.5j
            found = self._wrong(analytic(unit), expected_along(unit), numeric.tolerance)
            if found is not None:
                wrong, place = found, f"[{', '.join(map(str, index))}]"
                break
        have, expected = wrong
        raise GradientMismatch(
            f"the {path} derivative with respect to {self.names[i]}{place} is {have:.10g}, {numeric.words} "
            f"{expected:.10g}" + ("" if place or not direction.shape else " (along a random direction)")
            + ": if the function is smooth here, its derivative is wrong; near a kink choose another point or eps=")

    def _wrong(self, have: Sequence[np.ndarray], expected: Sequence[np.ndarray],
               tolerances: dict[str, float]) -> tuple[complex, complex] | None:
        """The pair that differs most beyond the tolerance."""
        for a, b in zip(map(np.asarray, have), map(np.asarray, expected), strict=True):
            tolerance = tolerances[b.dtype.name]
            scale = np.max(np.abs(b), initial=0.0)
            bound = (self.rtol or tolerance) * scale + (self.atol or tolerance)
            outside = ~(np.abs(a - b) <= bound)
            if outside.any():
                at = np.unravel_index(np.argmax(np.where(outside, np.nan_to_num(np.abs(a - b), nan=np.inf), -1)),
                                      a.shape)
                return a[at].item(), b[at].item()
        return None

    def _direction(self, like: np.ndarray) -> np.ndarray:
        """Random numbers of size about 1, none of them near 0."""
        values = self.random.uniform(0.5, 1.0, like.shape) * self.random.choice((-1.0, 1.0), like.shape)
        if like.dtype.kind == "c":
            values = values * np.exp(1j * self.random.uniform(0.2, 1.3, like.shape))
        return np.asarray(values, like.dtype)


class _Numeric:
    """The derivatives of a function at a point, in numbers."""

    def __init__(self, function: Function, point: Sequence[np.ndarray], eps: float | None) -> None:
        self.compiled, self.point, self.eps = FUNCTIONS["_compile"](function), point, eps
        self.values = self.compiled(*point)
        exact = None if eps else ComplexStep(function, point, self.values)
        self.exact = exact if exact is not None and exact.legal else None
        self.tolerance = _TOLERANCE if self.exact is None else _EXACT
        self.words = "finite differences give" if self.exact is None else "the complex step gives"

    def along(self, i: int, direction: np.ndarray) -> list[np.ndarray]:
        """The derivative of all results along `direction` of input `i`."""
        return self._difference(i, direction) if self.exact is None else self.exact.along(i, direction)

    def _difference(self, i: int, direction: np.ndarray) -> list[np.ndarray]:
        x = self.point[i]
        step = self.eps or _STEP[x.dtype.name]
        step *= max(1.0, float(np.max(np.abs(x), initial=0.0)))

        def at(k: int) -> list[np.ndarray]:
            moved = (x + np.asarray(k * step, x.dtype) * direction).astype(x.dtype)
            return self.compiled(*(moved if j == i else y for j, y in enumerate(self.point)))

        return [(8 * (b - a) - (d - c)) / (12 * step)
                for a, b, c, d in zip(at(-1), at(1), at(-2), at(2), strict=True)]


def _in_dtype_of(x: np.ndarray, like: Any) -> Any:
    return cast(as_expr(x), as_expr(like).dtype)


def _paired(cotangent: np.ndarray, tangent: np.ndarray) -> Any:
    """What a cotangent gives along a tangent: of complex numbers the real part of the product."""
    return np.sum(cotangent * tangent).real
