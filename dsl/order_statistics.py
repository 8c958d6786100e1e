"""Statistics by rank and by bin: quantiles, histograms and interpolation in a table.

Quantiles are piecewise linear in the elements at their ranks, and so are their derivatives. Counts have none; weights
of a histogram have. Raises ShapeError for axes, bins or tables that do not fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .arguments import all_axes, array, dimension, integer
from .errors import DTypeError, PullbackError, ShapeError
from .node import FUNCTIONS, Expr, where
from .ordering import argsort, searchsorted, sort
from .primitives import cast, reshape, scalar, show_shape
from .size import Dim
from .surface import several, surface

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


# ---- ranks ------------------------------------------------------------------------------------------------------
@surface
def quantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Expr:
    """The value below which the part `q` (0 to 1) of the elements along `axis` lies; the axes of `q` come first.

    The rank q*(n - 1) falls between two elements: `method` 'linear' takes the line between them, 'lower', 'higher',
    'midpoint' and 'nearest' what they say. NaN where one of the elements is.

    >>> import numpy as np, pullback as pb
    >>> pb.compile(lambda x: pb.quantile(x, 0.25))(np.array([4.0, 1.0, 2.0, 3.0]))
    array(1.75)
    """
    if method not in _METHODS:
        raise PullbackError(f"quantile has the methods {', '.join(map(repr, _METHODS))}, not {method!r}")
    x, q = _as_floating(x), array(q)
    line, shape = _line(x, axis, keepdims)
    n = line.shape[-1]
    ordered, ranks = sort(line, -1), scalar("multiply", cast(q, line.dtype), n - 1)
    flat = reshape(ranks, (sizes.product(q.shape),))
    found = _between(ordered, flat, n, method)
    found = scalar("where", scalar("isnan", ordered[..., -1:]), np.nan, found)
    return reshape(FUNCTIONS["moveaxis"](found, -1, 0), (*q.shape, *shape))


def _between(ordered: Expr, ranks: Expr, n: Dim, method: str) -> Expr:
    """The values at these ranks of the last axis."""
    def at(places: Expr) -> Expr:
        return FUNCTIONS["take"](ordered, scalar("clip", cast(places, np.int64), 0, n - 1), -1)

    low, high = scalar("floor", ranks), scalar("ceil", ranks)
    if method in ("lower", "higher", "nearest"):
        return at({"lower": low, "higher": high, "nearest": scalar("round", ranks)}[method])
    weight = scalar("subtract", ranks, low)
    below, above = at(low), at(high)
    weight = scalar("where", scalar("greater", weight, 0), 0.5, 0.0) if method == "midpoint" else weight
    mixed = scalar("add", scalar("multiply", below, scalar("subtract", 1.0, weight)), scalar("multiply", above, weight))
    return scalar("where", scalar("greater", weight, 0), mixed, below)


@surface
def percentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Expr:
    """`quantile` of `q` in percent."""
    return quantile(x, scalar("divide", array(q), 100), axis, method, keepdims)


@surface
def median(x: Any, axis: Any = None, keepdims: bool = False) -> Expr:
    """The middle element along `axis`, or the mean of the two that are; NaN where one of the elements is.

    >>> import numpy as np, pullback as pb
    >>> pb.grad(pb.median)(np.array([4.0, 1.0, 2.0, 3.0]))
    array([0. , 0. , 0.5, 0.5])
    """
    line, shape = _line(_as_floating(x), axis, keepdims)
    n, ordered = line.shape[-1], sort(line, -1)
    low, high = ordered[..., (n - 1) // 2], ordered[..., n // 2]
    middle = scalar("multiply", scalar("add", low, high), 0.5)
    return reshape(scalar("where", scalar("isnan", ordered[..., -1]), np.nan, middle), shape)


def _line(x: Expr, axis: Any, keepdims: bool) -> tuple[Expr, tuple[Dim, ...]]:
    """`x` with the axes that are ranked as the last one, and the shape of the result."""
    axes = all_axes(axis, len(x.shape))
    rest = [a for a in range(len(x.shape)) if a not in axes]
    turned = primitives.transpose(x, (*rest, *axes))
    count = sizes.product(x.shape[a] for a in axes)
    if sizes.equal(count, 0):
        raise ShapeError(f"there is no rank among zero elements: the array has shape {show_shape(x.shape)}{where(x)}")
    shape = tuple(1 if a in axes else d for a, d in enumerate(x.shape) if keepdims or a not in axes)
    return reshape(turned, (*(x.shape[a] for a in rest), count)), shape


def _as_floating(x: Any) -> Expr:
    x = array(x)
    if x.dtype.kind == "c":
        raise DTypeError(f"quantiles take real numbers, not {x.dtype}{where(x)}: complex numbers have no order")
    return x if x.dtype.kind == "f" else cast(x, np.float64)


# ---- bins -------------------------------------------------------------------------------------------------------
@surface
def bincount(x: Any, weights: Any = None, minlength: Any = 0, *, length: Any = None) -> Expr:
    """How often each of 0 .. length-1 is in `x`, a vector of integers, or the sums of its `weights`.

    `length` must be known when the program is built (NumPy takes it from the data); elements beyond it do not count.

    >>> import numpy as np, pullback as pb
    >>> pb.compile(lambda x: pb.bincount(x, length=3))(np.array([0, 2, 2]))
    array([1, 0, 2])
    """
    x, length = array(x), length if length is not None else minlength or None
    if length is None:
        raise PullbackError(f"how long the result of bincount is depends on data{where(x)}: write "
                            "pb.bincount(x, length=n)")
    if x.dtype.kind not in "iub" or len(x.shape) != 1:
        raise DTypeError(f"bincount takes a vector of integers, not {x.dtype} of shape {show_shape(x.shape)}{where(x)}")
    length = dimension(length, "length")
    return _totals(cast(x, np.int64), weights, length)


def _totals(places: Expr, weights: Any, length: Dim) -> Expr:
    """The sums of `weights`, or counts, by place; places outside 0 .. length-1 do not count."""
    inside = scalar("logical_and", scalar("greater_equal", places, 0), scalar("less", places, length))
    added = cast(inside, np.int64) if weights is None else scalar("where", inside, array(weights), 0)
    start = primitives.full((length,), 0, added.dtype)
    return start.at[scalar("where", inside, places, 0)].add(added)


@several(lambda *_, **__: 2)
@surface
def histogram(x: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: bool = False) -> Any:  # noqa: A002
    """The counts of `x` in `bins` of equal width between its ends (or `range`), or between the given edges.

    Returns (counts, edges); the last bin holds its upper edge too. `weights` are added instead of ones, `density`
    divides by their sum and the widths.
    """
    x, edges = array(x), histogram_bin_edges(x, bins, range)
    flat, last = reshape(x, (sizes.product(x.shape),)), edges.shape[0] - 1
    places = scalar("subtract", searchsorted(edges, flat, "right"), 1)
    places = scalar("where", scalar("equal", flat, edges[-1]), last - 1, places)
    flat_weights = None if weights is None else reshape(array(weights), flat.shape)
    counts = _totals(places, flat_weights, last)
    if density:
        counts = scalar("divide", scalar("divide", counts, FUNCTIONS["diff"](edges)), FUNCTIONS["sum"](counts))
    return counts, edges


@surface
def histogram_bin_edges(x: Any, bins: Any = 10, range: Any = None) -> Expr:  # noqa: A002
    """The edges of the bins of `histogram`."""
    x = array(x)
    if isinstance(bins, str):
        raise PullbackError(f"how many bins {bins!r} makes depends on data: give their number or their edges")
    if not isinstance(bins, (int, np.integer)):
        return array(bins)
    count = integer(bins, "bins")
    low, high = (FUNCTIONS["min"](x), FUNCTIONS["max"](x)) if range is None else map(array, range)
    low, high = cast(low, np.float64), cast(high, np.float64)
    same = scalar("equal", low, high)
    low = scalar("where", same, scalar("subtract", low, 0.5), low)
    high = scalar("where", same, scalar("add", high, 0.5), high)
    return FUNCTIONS["linspace"](low, high, count + 1)


# ---- tables -----------------------------------------------------------------------------------------------------
@surface
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Expr:
    """The piecewise linear function with the values `fp` at the rising places `xp`, at `x`; its ends are held outside,
    or `left` and `right`. With a `period` both repeat, and `xp` need not rise.

    >>> import numpy as np, pullback as pb
    >>> pb.compile(pb.interp)(np.array([0.5, 3.0]), np.array([0.0, 1.0, 2.0]), np.array([0.0, 10.0, 20.0]))
    array([ 5., 20.])
    """
    x, xp, fp = array(x), array(xp), array(fp)
    if len(xp.shape) != 1 or len(fp.shape) != 1 or not sizes.equal(xp.shape[0], fp.shape[0]):
        raise ShapeError(f"interp takes vectors xp and fp of one length, not {show_shape(xp.shape)} and "
                         f"{show_shape(fp.shape)}{where(fp)}")
    if period is not None:
        x, xp, fp = _repeated(x, xp, fp, period)
    n, take = xp.shape[0], FUNCTIONS["take"]
    above = scalar("clip", searchsorted(xp, x, "right"), 1, n - 1)
    below = scalar("subtract", above, 1)
    x0, f0, rise = take(xp, below), take(fp, below), scalar("subtract", take(fp, above), take(fp, below))
    width = scalar("subtract", take(xp, above), x0)
    flat = scalar("equal", width, 0)
    part = scalar("divide", scalar("subtract", x, x0), scalar("where", flat, 1.0, width))
    found = scalar("add", f0, scalar("multiply", scalar("where", flat, 0.0, part), rise))
    if period is None:
        found = scalar("where", scalar("less", x, xp[0]), fp[0] if left is None else left, found)
        found = scalar("where", scalar("greater", x, xp[-1]), fp[-1] if right is None else right, found)
    return found


def _repeated(x: Expr, xp: Expr, fp: Expr, period: Any) -> tuple[Expr, Expr, Expr]:
    """A table over one period, with a point of the period before and one of that after it."""
    x, xp = scalar("remainder", x, period), scalar("remainder", xp, period)
    order, join = argsort(xp), FUNCTIONS["concatenate"]
    xp, fp = FUNCTIONS["take"](xp, order), FUNCTIONS["take"](fp, order)
    xp = join([scalar("subtract", xp[-1:], period), xp, scalar("add", xp[:1], period)])
    return x, xp, join([fp[-1:], fp, fp[:1]])


# ---- what depends on data ---------------------------------------------------------------------------------------
_WRITE = {
    "nonzero": "pb.where(mask, x, 0) and a sum over it",
    "flatnonzero": "pb.where(mask, x, 0) and a sum over it",
    "argwhere": "pb.where(mask, x, 0) and a sum over it",
    "compress": "pb.where(mask, x, 0)",
    "extract": "pb.where(mask, x, 0)",
    "unique": "pb.sort(x) and pb.diff of it",
    "unique_all": "pb.sort(x) and pb.diff of it",
    "unique_counts": "pb.sort(x) and pb.diff of it",
    "unique_inverse": "pb.sort(x) and pb.diff of it",
    "unique_values": "pb.sort(x) and pb.diff of it",
    "intersect1d": "pb.isin(x, y)",
    "setdiff1d": "pb.isin(x, y, invert=True)",
    "union1d": "pb.isin(x, y)",
}


def _refusing(name: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> Expr:
        expr = next((a for a in args if isinstance(a, Expr)), None)
        place = "" if expr is None else where(expr)
        raise PullbackError(f"how large the result of {name} is depends on data{place}: call np.{name} on arrays "
                            f"outside of the program, or write {_WRITE[name]}")

    refuse.__name__, refuse.__doc__ = name, f"Refused: its size depends on data. Write {_WRITE[name]}."
    return refuse


REFUSED = {name: _refusing(name) for name in _WRITE}
FUNCTIONS.update(REFUSED)
