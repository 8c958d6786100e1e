"""Functions put together from pieces: select, piecewise, choose, and the rectifiers of neural networks.

Every piece is computed everywhere and chosen by `where`, whose derivative is that of the chosen piece alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arguments import array, element_type, integer
from .errors import ShapeError
from .node import FUNCTIONS, Expr
from .primitives import cast, iota, reshape, scalar
from .surface import surface


@surface
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Expr:
    """Of the arrays of `choicelist` that whose condition holds first, else `default`.

    >>> import numpy as np, pullback as pb
    >>> pb.compile(lambda x: pb.select([x < 1, x < 2], [x, x ** 2], -1.0))(np.array([0.5, 1.5, 2.5]))
    array([ 0.5 ,  2.25, -1.  ])
    """
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ShapeError(f"select takes as many conditions as choices and at least one, not {len(condlist)} and "
                         f"{len(choicelist)}")
    found = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        found = scalar("where", condition, choice, found)
    return found


@surface
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Expr:
    """`funclist[i]`, a function or a number, where `condlist[i]` holds, of several the last; elsewhere one more
    function, or 0. The result has the dtype of `x`, as in NumPy."""
    x = array(x)
    conditions = list(condlist) if isinstance(condlist, (list, tuple)) else [condlist]
    pieces = [f(x, *args, **kw) if callable(f) else f for f in funclist]
    if len(pieces) not in (len(conditions), len(conditions) + 1):
        raise ShapeError(f"piecewise takes {len(conditions)} or {len(conditions) + 1} functions for "
                         f"{len(conditions)} conditions, not {len(pieces)}")
    found = array(pieces[-1] if len(pieces) > len(conditions) else 0)
    for condition, piece in zip(conditions, pieces, strict=False):
        found = scalar("where", condition, piece, found)
    return FUNCTIONS["broadcast_to"](cast(found, x.dtype), x.shape)


@surface
def choose(a: Any, choices: Any, mode: str = "raise") -> Expr:
    """`choices[a]` element by element; `a` outside is an IndexError, or taken as `mode` 'clip' or 'wrap' say."""
    a, *parts = FUNCTIONS["broadcast_arrays"](a, *choices)
    if mode == "wrap":
        a = scalar("remainder", a, len(parts))
    elif mode == "clip":
        a = scalar("clip", a, 0, len(parts) - 1)
    elif mode != "raise":
        raise ShapeError(f"choose has the modes 'raise', 'clip' and 'wrap', not {mode!r}")
    return FUNCTIONS["take_along_axis"](FUNCTIONS["stack"](parts), reshape(a, (1, *a.shape)), 0)[0]


# ---- rectifiers -------------------------------------------------------------------------------------------------
@surface
def relu(x: Any) -> Expr:
    """The positive part of `x`; its derivative at 0 is 0.

    >>> import numpy as np, pullback as pb
    >>> pb.grad(lambda x: pb.sum(pb.relu(x)))(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 1.])
    """
    return scalar("where", scalar("less_equal", x, 0), 0, x)


@surface
def leaky_relu(x: Any, negative_slope: Any = 0.01) -> Expr:
    """`x` where it is not negative, elsewhere `negative_slope * x`."""
    return scalar("where", scalar("less", x, 0), scalar("multiply", negative_slope, x), x)


@surface
def elu(x: Any, alpha: Any = 1.0) -> Expr:
    """`x` where it is positive, elsewhere `alpha * (exp(x) - 1)`."""
    below = scalar("multiply", alpha, scalar("expm1", scalar("minimum", x, 0)))
    return scalar("where", scalar("greater", x, 0), x, below)


@surface
def silu(x: Any) -> Expr:
    """`x * sigmoid(x)`, also called swish."""
    return scalar("multiply", x, FUNCTIONS["sigmoid"](x))


@surface
def gelu(x: Any, approximate: bool = True) -> Expr:
    """`x` times the distribution function of the normal at `x`: through tanh (as in JAX), or exactly through erfc.

    Formula: Hendrycks and Gimpel, Gaussian error linear units, 2016.
    """
    x = array(x)
    x = x if x.dtype.kind == "f" else cast(x, np.float64)
    if not approximate:
        return scalar("multiply", x, scalar("multiply", scalar("erfc", scalar("multiply", x, -math.sqrt(0.5))), 0.5))
    cubic = scalar("add", x, scalar("multiply", scalar("multiply", x, scalar("square", x)), 0.044715))
    part = scalar("tanh", scalar("multiply", cubic, math.sqrt(2 / math.pi)))
    return scalar("multiply", x, scalar("multiply", scalar("add", part, 1), 0.5))


@surface
def one_hot(x: Any, num_classes: Any, dtype: Any = None, axis: Any = -1) -> Expr:
    """A vector with a 1 at each of the places `x`, along a new `axis`; of a place outside there is none.

    >>> import numpy as np, pullback as pb
    >>> pb.one_hot(np.array([1, 0]), 3).eval()
    array([[0., 1., 0.],
           [1., 0., 0.]])
    """
    x, count = array(x), integer(num_classes, "num_classes")
    hit = scalar("equal", reshape(x, (*x.shape, 1)), iota((count,), 0, np.int64))
    return FUNCTIONS["moveaxis"](cast(hit, element_type(dtype)), -1, axis)
