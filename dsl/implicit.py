"""Solutions of equations as values: `fixed_point` and `root`, differentiated by the implicit function theorem.

Where F(z, p) = 0 defines z, dz solves A dz = -F_p dp with A = dF/dz, and a cotangent g of z gives -F_p^T u to p with
A^T u = g. Both systems are solutions of equations again, so that every order exists, and none goes through the steps
that led to z. The node is a `custom` one that keeps the solution, and everything that F closes over, as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import nest, newton
from .adjoint import Tangents, filled, negated
from .arguments import integer
from .custom import custom_items
from .errors import DTypeError, PullbackError, ShapeError
from .grad import jvp_of, vjp_of
from .linear_map import Linear, solved
from .loop import bound, outside_of
from .node import FUNCTIONS, Expr, rebuild, rewrite
from .primitives import cast, elementwise, show_shape
from .size import equal, symbol
from .subprogram import Run, Waiting, check_function, expressions, on_arrays, stand_in, waiting
from .surface import as_expr, is_weak, mark_weak, several, surface


# ---- public functions -------------------------------------------------------------------------------------------
def fixed_point(
    f: Callable[..., Any],
    x0: Any,
    *operands: Any,
    args: Any = (),
    tol: Any = None,
    max_steps: int = 1000,
    linear_solver: str = "auto",
) -> Any:
    """x with `x = f(x, *args)`, found by iteration from `x0`; its derivatives are those of the solution.

    `x0` is a nest of arrays and f returns one like it. Further arguments of f follow x0, or come as `args`. It ends
    where each |f(x) - x| <= tol * (1 + |x|), by default 1e-10 (1e-5 in float32), and raises IndexError after
    `max_steps` steps without that.

    Derivatives in both modes and of any order, with respect to the arguments and what f closes over, solve a linear
    system in A = 1 - df/dx: by `linear_solver` 'gmres', 'cg' (A symmetric, positive), 'iteration' (as x was found),
    'dense', or 'auto': dense for up to 128 unknowns, else gmres. That of x0 is zero.

    >>> import pullback as pb
    >>> pb.fixed_point(lambda x, a: 0.5 * (x + a / x), 1.0, 2.0)
    array(1.41421356)
    >>> pb.grad(lambda a: pb.fixed_point(lambda x: 0.5 * (x + a / x), 1.0))(4.0)
    array(0.25)
    """
    problem = Problem("fixed_point", "iteration", Linear(linear_solver), integer(max_steps, "max_steps"))
    return _solution(problem, f, x0, operands, args, tol)


def root(
    f: Callable[..., Any],
    x0: Any,
    *operands: Any,
    args: Any = (),
    method: str = "newton",
    tol: Any = None,
    max_steps: int = 100,
    linear_solver: str = "auto",
) -> Any:
    """x with `f(x, *args) = 0` near `x0`; its derivatives are those of the solution.

    `x0` is a nest of arrays and f returns one like it. Further arguments of f follow x0, or come as `args`. Methods:

    'newton'   steps -A^-1 f with A = df/dx, halved until |f| falls. It ends where each component of a step is at most
               tol * (1 + |x|), by default 1e-10 (1e-5 in float32)
    'chord'    the same with A as it was at x0

    Raises IndexError after `max_steps` steps without that. `linear_solver` is for the steps and for the derivatives:
    see `fixed_point`.

    >>> import numpy as np, pullback as pb
    >>> pb.root(lambda x, a: x**3 - a, 1.0, 8.0)
    array(2.)
    >>> pb.jacobian(lambda a: pb.root(lambda x: x**3 - a, np.ones(2)))(np.array([1.0, 8.0])).round(6)
    array([[0.333333, 0.      ],
           [0.      , 0.083333]])
    """
    if method not in newton.METHODS:
        raise PullbackError(f"root has the methods {', '.join(map(repr, newton.METHODS))}, not {method!r}")
    problem = Problem("root", method, Linear(linear_solver), integer(max_steps, "max_steps"))
    return _solution(problem, f, x0, operands, args, tol)


# ---- from functions to nodes ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Problem:
    """Which equation is solved, and how."""

    caller: str
    method: str
    linear: Linear
    max_steps: int
    names: tuple[str, ...] = ()
    weak: tuple[bool, ...] = ()        # which starts are Python numbers

    def spelled(self, waits: Waiting, starts: tuple, *_: Any) -> tuple:
        """A problem that waits for types, to be printed: what f makes of x, and where it starts."""
        shown = waits.outputs[0] if len(waits.outputs) == 1 else waits.outputs
        return self.caller, (shown, starts[0] if len(starts) == 1 else starts), {}

    def residual(self, unknowns: Sequence[Expr], outputs: Sequence[Expr]) -> list[Expr]:
        """What is zero at the solution."""
        if self.caller == "root":
            return list(outputs)
        return [elementwise("subtract", x, o) for x, o in zip(unknowns, outputs, strict=True)]

    def found(self, run: Run, starts: Sequence[Expr], tol: Expr) -> list[Expr]:
        """The solution by iteration, not to be differentiated."""
        if self.caller == "root":
            return newton.newton(run, starts, tol, self.max_steps, self.linear, self.method)
        return newton.fixed_point(run, starts, tol, self.max_steps)


def _solution(problem: Problem, f: Callable[..., Any], x0: Any, operands: tuple, args: Any, tol: Any) -> Any:
    check_function(f, "first argument", problem.caller)
    more = tuple(args) if isinstance(args, (tuple, list)) else (args,)

    def build(x0: Any, operands: tuple, tol: Any) -> Any:
        starts, structure = expressions(x0)
        given = nest.map_leaves(as_expr, operands)
        weak = tuple(is_weak(x) for x in nest.leaves(x0))
        posed = replace(problem, names=tuple(nest.leaf_names(x0, "x0")), weak=weak)

        def run(variables: Sequence[Expr]) -> list[Expr]:
            outputs, built = expressions(f(nest.unflatten(structure, variables), *given))
            if not nest.same_structure(built, structure):
                raise PullbackError(f"the function given to {problem.caller} returns a nest built as {built}, and x0 "
                                    f"is built as {structure}: return one value for each unknown")
            return outputs

        limit = [] if tol is None else [as_expr(tol)]
        results = None
        if all(x.typed for x in (*starts, *limit)):
            results = typed_solution(posed, run, starts, limit)
        if results is None:
            waits = waiting(problem.caller, run, [stand_in("x", x) for x in starts])
            symbols = tuple(map(symbol, waits.sizes))
            results = _implicit(posed, waits, tuple(starts), tuple(limit), waits.free, symbols)
        return nest.unflatten(structure, results)

    return on_arrays(build, x0, (*operands, *more), tol)


@surface
@several(lambda problem, waits, *_: len(waits.outputs))
def implicit_(problem: Problem, waits: Waiting, starts: tuple, limit: tuple, free: tuple, symbols: tuple) -> tuple:
    """A problem that was traced before types were known, now that they are."""
    run = waits.run(free, symbols)
    results = typed_solution(problem, run, list(map(as_expr, starts)), list(map(as_expr, limit)))
    if results is None:
        raise PullbackError(f"the function given to {problem.caller} contains a variable that has no value")
    return tuple(results)


_implicit = implicit_


def typed_solution(problem: Problem, run: Run, starts: list[Expr], limit: Sequence[Expr]) -> list[Expr] | None:
    """The solution as values with a derivative; None where the function contains an untyped variable."""
    starts = [_real_start(problem, k, x) for k, x in enumerate(starts)]
    weak_starts = problem.weak
    for _ in range(2):
        unknowns = [bound(x.dtype, x.shape) for x in starts]
        for x, weak in zip(unknowns, weak_starts, strict=True):
            if weak:
                mark_weak(x)
        outputs = run(unknowns)
        if not all(o.typed for o in outputs):
            return None
        grown = [_start(problem, k, x, o) for k, (x, o) in enumerate(zip(starts, outputs, strict=True))]
        if all(a is b for a, b in zip(grown, starts, strict=True)):
            break
        starts, weak_starts = grown, (False,) * len(grown)
    dtype = np.result_type(*(x.dtype for x in starts))
    default = 1e-10 if dtype == np.float64 else 1e-5
    tol = cast(limit[0], dtype) if limit else as_expr(default, dtype)

    def values(variables: Sequence[Expr]) -> list[Expr]:
        return [cast(o, v.dtype) for o, v in zip(run(variables), variables, strict=True)]

    outputs = [cast(o, x.dtype) for o, x in zip(outputs, unknowns, strict=True)]
    return implicit(unknowns, problem.residual(unknowns, outputs), problem.found(values, starts, tol), problem.linear)


def _real_start(problem: Problem, k: int, x: Expr) -> Expr:
    if x.dtype.kind == "c":
        raise DTypeError(f"{problem.caller} takes real unknowns, and {problem.names[k]} is {x.dtype}: solve for its "
                         "real and imaginary parts")
    return x if x.dtype.kind == "f" else cast(x, np.float64)


def _start(problem: Problem, k: int, x: Expr, output: Expr) -> Expr:
    """The start in the dtype that f returns, or, of an array, in the common dtype."""
    if len(x.shape) != len(output.shape) or not all(map(equal, x.shape, output.shape)):
        raise ShapeError(f"the function given to {problem.caller} takes {problem.names[k]} with shape "
                         f"{show_shape(x.shape)} and returns {show_shape(output.shape)}: give as many equations as "
                         "unknowns, of one shape")
    if output.dtype.kind != "f":
        raise DTypeError(f"the function given to {problem.caller} returns {output.dtype}: compute in real floats")
    return cast(x, output.dtype if problem.weak[k] else np.result_type(x.dtype, output.dtype))


def implicit(unknowns: Sequence[Expr], residuals: Sequence[Expr], solution: Sequence[Expr], how: Linear) -> list[Expr]:
    """`solution`, at which `residuals` in the variables `unknowns` are 0, with the derivatives that follow."""
    outside = outside_of(residuals, set(unknowns))
    inside = rewrite(residuals, rebuild, {**outside, **{v: v for v in unknowns}})
    rule = ImplicitRule(tuple(unknowns), tuple(outside.values()), tuple(inside), how)
    return rule.items(list(map(FUNCTIONS["stop_gradient"], solution)), list(outside))


@dataclass(frozen=True, eq=False)
class ImplicitRule:
    """`residuals` of `unknowns` and `operands` are zero: a rule of a `custom` node whose arguments are the solution
    itself, held constant, and the operands.
    """

    unknowns: tuple[Expr, ...]
    operands: tuple[Expr, ...]
    residuals: tuple[Expr, ...]
    how: Linear

    @property
    def results(self) -> int:
        return len(self.unknowns)

    @property
    def count(self) -> int:
        return len(self.unknowns) + len(self.operands)

    def items(self, solution: Sequence[Expr], operands: Sequence[Expr]) -> list[Expr]:
        """The solution as results of the node."""
        return custom_items(self, [*solution, *solution, *operands])

    def forward(self, arguments: Sequence[Expr], tangents: Tangents) -> list[Expr | None]:
        point, moved = self._point(arguments), tangents[self.results :]
        along = {v: bound(v.dtype, v.shape) for v, t in zip(self.operands, moved, strict=True) if t is not None}
        given = {along[v]: t for v, t in zip(self.operands, moved, strict=True) if t is not None}
        right = filled(jvp_of(self.residuals, along), self.residuals)
        variables = [bound(v.dtype, v.shape) for v in self.unknowns]
        products = filled(jvp_of(self.residuals, dict(zip(self.unknowns, variables, strict=True))), self.residuals)
        return list(self._system(variables, products, map(negated, right), {**point, **given}))

    def reverse(self, arguments: Sequence[Expr], cotangents: Tangents) -> list[Expr | None]:
        point = self._point(arguments)
        variables = [bound(r.dtype, r.shape) for r in self.residuals]
        products = filled(vjp_of(self.residuals, variables, self.unknowns), self.unknowns)
        shares = vjp_of(self.residuals, variables, self.operands)
        right = map(negated, filled(cotangents, self.unknowns))
        adjoint = dict(zip(variables, self._system(variables, products, right, point), strict=True))
        found = iter(rewrite([s for s in shares if s is not None], rebuild, {**point, **adjoint}))
        return [None] * self.results + [None if s is None else next(found) for s in shares]

    def _point(self, arguments: Sequence[Expr]) -> dict[Expr, Expr]:
        """The unknowns and operands where they are: the solution with its derivatives again."""
        solution, operands = arguments[: self.results], arguments[self.results :]
        known = dict(zip(self.operands, operands, strict=True))
        return {**known, **dict(zip(self.unknowns, self.items(solution, operands), strict=True))}

    def _system(self, variables: Sequence[Expr], products: Sequence[Expr], right: Iterable[Expr],
                point: Mapping[Expr, Expr]) -> list[Expr]:
        """x with products(x) = right, in which `variables` stand for x."""
        own = {v: v for v in variables}
        values = rewrite([*products, *right], rebuild, {**point, **own})
        products, right = values[: len(products)], values[len(products) :]
        residuals = [elementwise("subtract", p, b) for p, b in zip(products, right, strict=True)]
        return implicit(variables, residuals, solved(variables, products, right, self.how), self.how)
