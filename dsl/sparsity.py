"""`sparsity`: which entries of a Jacobian can differ from zero, found from index maps before anything is computed.

The tangent of a function is linear in a tangent of its argument; the pattern is what the one depends on of the other.
Shifted slices and stencils are bands in closed form, whatever the size.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Sequence
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from . import index_sets, nest
from .coloring import Coloring, colored
from .errors import NotDifferentiable, PullbackError, ShapeError
from .functional import is_expression
from .grad import chosen, jvp_of
from .index_sets import Piece
from .loop import bound
from .node import FUNCTIONS, Expr, make
from .primitives import zeros_like
from .size import Guards, tracing
from .structure import dependence
from .surface import as_expr
from .trace import expression_builder, variables_of

_MOST = 2**31                     # entries that are written out
_serial = itertools.count()
_SHOWN = 48                       # rows and columns of a pattern that is printed as a picture


def sparsity(target: Any, *args: Any, argnums: Any = 0, **known: Any) -> Sparsity:
    """The pattern of the Jacobian of `target`: of its result, in row-major order, by an argument, likewise.

    Of a function: `args` and keywords as in a call, of which only shapes and dtypes are read; `argnums` is the position
    or the name of the argument. Of an expression: the second argument is a Var or a name (default: the only one that
    may be a float); sizes that are not declared are given by name, `n=1000` for a named dimension, or `x=array`.

    What is not known before the program runs counts as any: an index that is an argument, the branch that is taken.
    The pattern of a Hessian is that of the Jacobian of the gradient: `pb.sparsity(pb.grad(f), x)`.

    Raises NotDifferentiable for a result that is no single float array, ShapeError for a size that is not known.

    >>> import numpy as np, pullback as pb
    >>> pattern = pb.sparsity(lambda u: u[1:] - u[:-1], np.zeros(1000))
    >>> pattern
    Sparsity(999 x 1000, 1998 entries on the diagonals 0, 1)
    >>> pattern.coloring().count
    2
    """
    if is_expression(target):
        return _of_expression(target, args, known)
    if not callable(target):
        raise TypeError(f"sparsity takes an expression or a function, not {type(target).__name__}")
    return pattern_of(target, argnums, args, known)


class Sparsity:
    """The entries of a matrix of `shape` that can differ from zero.

    `indptr`, `indices` are those of the CSR format, sorted; `offsets` the diagonals on which the entries lie (entry
    (i, i + d) on diagonal d), or None where these are many. `toarray()` gives it as bools, `spy()` draws it.
    """

    def __init__(self, shape: tuple[int, int], pieces: Sequence[Piece]) -> None:
        self.shape, self.pieces = shape, list(pieces)

    @cached_property
    def full(self) -> tuple[int, ...] | None:
        """`offsets` where every diagonal is full, else None."""
        return index_sets.full_diagonals(self.pieces, self.shape)

    @cached_property
    def _csr(self) -> tuple[np.ndarray, np.ndarray]:
        size = sum(p.size for p in self.pieces)
        if size > _MOST:
            raise PullbackError(f"the pattern of a matrix of {self.shape[0]} x {self.shape[1]} has up to {size} "
                                "entries: it is not sparse; use pb.jvp or pb.vjp for products with it")
        if self.full:
            return self._of_diagonals(np.array(self.full))
        columns = max(self.shape[1], 1)
        keys = [rows[:, 0] * columns + cols for rows, cols in (p.pairs() for p in self.pieces)]
        key = np.sort(np.concatenate([np.zeros(0, np.int64), *keys]))
        rows, indices = np.divmod(key[np.diff(key, prepend=-1) != 0], columns)
        counts = np.bincount(rows, minlength=self.shape[0])
        kind = self._kind(len(indices))
        return np.concatenate([[0], np.cumsum(counts)]).astype(kind), indices.astype(kind)

    def _of_diagonals(self, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same by the rows of full diagonals, without a search."""
        kind = self._kind(len(offsets) * self.shape[0])
        columns = np.arange(self.shape[0], dtype=kind)[:, None] + offsets.astype(kind)
        there = (columns >= 0) & (columns < self.shape[1])
        return np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(kind), columns[there]

    def _kind(self, entries: int) -> type:
        return np.int32 if max(*self.shape, entries) < _MOST else np.int64

    @property
    def indptr(self) -> np.ndarray:
        return self._csr[0]

    @property
    def indices(self) -> np.ndarray:
        return self._csr[1]

    @property
    def nnz(self) -> int:
        return len(self.indices)

    @cached_property
    def offsets(self) -> tuple[int, ...] | None:
        bands = index_sets.bands_of(self.pieces)
        return None if bands is None else tuple(sorted({b.offset for b in bands}))

    def rows(self) -> np.ndarray:
        """The row of each entry, in the order of `indices`."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    @cached_property
    def numbered(self) -> np.ndarray:
        """`rows()` as the integers that `indices` are."""
        return self.rows().astype(self.indices.dtype)

    def toarray(self) -> np.ndarray:
        """A dense array of bools."""
        found = np.zeros(self.shape, bool)
        found[self.rows(), self.indices] = True
        return found

    def coloring(self, kind: str = "auto") -> Coloring:
        """Groups of columns, or rows, that share no row, or column: one product gives the entries of a group.

        `kind` is 'columns', 'rows', 'auto' (whichever are fewer), or 'symmetric' for a Hessian, of which each entry is
        read from one of its two places (a star coloring). To be used again: `pb.jacobian(f, sparse=coloring)`.
        """
        return colored(self, kind)

    def spy(self, ax: Any = None, **settings: Any) -> Any:
        """Draw the entries with matplotlib, on `ax` or a new figure; `settings` as for plot. Returns the axes."""
        return FUNCTIONS["_spy"](self, ax, settings)

    def __str__(self) -> str:
        """A picture, where it is small."""
        if max(self.shape) > _SHOWN:
            return repr(self)
        return "\n".join("".join("x" if e else "." for e in row) for row in self.toarray())

    def __repr__(self) -> str:
        where = f" on the diagonals {', '.join(map(str, self.offsets))}" if self.offsets else ""
        return f"Sparsity({self.shape[0]} x {self.shape[1]}, {self.nnz} entries{where})"


# ---- patterns ---------------------------------------------------------------------------------------------------
def pattern_of(function: Callable[..., Any], place: Any, args: tuple, kwargs: dict[str, Any]) -> Sparsity:
    """The pattern of the Jacobian of `function` by the argument at `place`, a position or a name."""
    leaves, structure = nest.flatten((args, kwargs))
    with tracing(Guards()):
        given, named = nest.unflatten(structure, [_static(x) for x in leaves])
        x = chosen_argument(function, place, given, named)
        return _between(function(*given, **named), x)


def tangent_of(function: Callable[..., Any], place: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[Expr, Expr]:
    """The tangent of the result of `function`, and that of the argument at `place`, in which it is linear."""
    leaves, structure = nest.flatten((args, kwargs))
    with tracing(Guards()):
        given, named = nest.unflatten(structure, [_static(x) for x in leaves])
        x = chosen_argument(function, place, given, named)
        output, tangent, moved = _tangents(function(*given, **named), x)
    return zeros_like(output) if moved is None else moved, tangent


def chosen_argument(function: Callable[..., Any], place: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The argument at `place`, which is one array."""
    if isinstance(place, str) and place not in kwargs:
        place = list(inspect.signature(function).parameters).index(place)
    found = kwargs[place] if isinstance(place, str) else args[place]
    if len(nest.leaves(found)) != 1:
        raise PullbackError("a sparse derivative is taken by one array, not by a nest of them: let the function take "
                            "one vector, and cut it into its parts")
    return nest.leaves(found)[0]


def _of_expression(target: Any, args: tuple, known: dict[str, Any]) -> Sparsity:
    name = single_variable(target, args[0] if args else None)
    variables = variables_of(target)
    typed = [_typed(v, known) for v in variables]
    with tracing(Guards()):
        result = expression_builder(target, variables)(typed)
        return _between(result, next(x for x, v in zip(typed, variables, strict=True) if v.attrs[0] == name))


def single_variable(target: Any, wrt: Any) -> str:
    """The name of the one variable that `wrt` means."""
    leaves, _ = chosen(target, wrt)
    if len(leaves) != 1 or leaves[0].op != "var":
        raise PullbackError("a sparse derivative is taken by one variable: name it, as in "
                            f"pb.sparsity(expr, {(leaves[0] if leaves else 'x')!r})")
    return leaves[0].attrs[0]


def _typed(variable: Expr, known: dict[str, Any]) -> Expr:
    """A variable with the sizes that its declaration, or `known`, gives."""
    name, shape, dtype = variable.attrs
    if name in known:
        return _static(known[name])
    sizes: list[Any] = [known.get(d) if isinstance(d, str) else d for d in ((None,) if shape is None else shape)]
    if None in sizes:
        raise ShapeError(f"the sizes of {name!r} are not known: give an array for it, {name}=array, or a number for "
                         "each named dimension, such as n=1000")
    return make("var", (), (name, next(_serial)), dtype or np.float64, tuple(map(int, sizes)))


def _static(leaf: Any) -> Any:
    """A variable like an array, with numbers for sizes."""
    if isinstance(leaf, (str, bytes)) or callable(leaf):
        return leaf
    weak = ("weak",) if type(leaf) in (bool, int, float) else ()
    kind: Any = leaf if hasattr(leaf, "shape") and hasattr(leaf, "dtype") else np.asarray(leaf)
    return make("var", (), ("x", next(_serial), *weak), np.dtype(kind.dtype), tuple(map(int, kind.shape)))


def _between(result: Any, x: Expr) -> Sparsity:
    """The pattern of `result` by the variable `x`, with sizes that are numbers."""
    output, tangent, moved = _tangents(result, x)
    shape = prod(output.shape), prod(x.shape)
    if moved is None:
        return Sparsity(shape, [])
    pieces = dependence([moved], {tangent: index_sets.identity(x.shape)})[0]
    return Sparsity(shape, index_sets.union([index_sets.flattened(pieces, output.shape)]))


def _tangents(result: Any, x: Expr) -> tuple[Expr, Expr, Expr | None]:
    """The one array that is the result, and tangents of `x` and of it."""
    outputs = nest.leaves(result)
    if len(outputs) != 1:
        raise NotDifferentiable(f"a sparsity pattern is that of one array, and the result is a nest of {len(outputs)}: "
                                "join them with pb.concatenate")
    output = as_expr(outputs[0])
    for value, what in ((output, "result"), (x, "argument")):
        if value.dtype.kind != "f":
            raise NotDifferentiable(f"the {what} is {value.dtype}: a derivative is one of floats by floats")
    tangent = bound(x.dtype, x.shape)
    return output, tangent, jvp_of([output], {x: tangent})[0]
