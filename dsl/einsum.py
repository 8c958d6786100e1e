"""einsum: products and sums named by labels, as two-operand contractions in a good order."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from . import primitives
from . import size as sizes
from .arguments import array
from .diagonals import diagonal
from .errors import ShapeError
from .linear import sum_of_products
from .node import Expr
from .primitives import cast, show_shape
from .size import Dim
from .surface import surface

_STAND_IN = 256          # what the order of contractions takes a symbolic size for


@surface
def einsum(subscripts: str, *operands: Any, optimize: Any = True) -> Expr:
    """The sum of products that `subscripts` name, such as 'ij,jk->ik'.

    Ellipses, repeated labels (diagonals) and an implied result follow NumPy. ShapeError where subscripts do not fit.

    >>> import pullback as pb
    >>> pb.einsum('ij,jk', pb.ones((2, 3)), pb.ones((3, 4))).shape
    (2, 4)
    """
    if not isinstance(subscripts, str):
        raise ShapeError("einsum takes its subscripts as text first, such as pb.einsum('ij,jk->ik', a, b)")
    parts = [array(x) for x in operands]
    common = np.result_type(*[p.dtype for p in parts]) if parts else np.dtype(np.float64)
    inputs, out = _parsed(subscripts, [len(p.shape) for p in parts])
    terms = [_without_repeats(cast(p, common), labels) for p, labels in zip(parts, inputs, strict=True)]
    terms = _without_ones(terms, subscripts)
    return _contracted(terms, out)


# ---- subscripts -------------------------------------------------------------------------------------------------
def _parsed(subscripts: str, ranks: list[int]) -> tuple[list[str], str]:
    """Labels of each operand and of the result, ellipses spelt out."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    given = left.split(",")
    if len(given) != len(ranks):
        raise ShapeError(f"einsum {subscripts!r} has {len(given)} terms for {len(ranks)} operands")
    _check_letters(subscripts, [*given, right])
    free = [c for c in string.ascii_letters if c not in subscripts]
    widths = [rank - len(term.replace("...", "")) for term, rank in zip(given, ranks, strict=True)]
    for term, rank, width in zip(given, ranks, widths, strict=True):
        if width < 0 or (width and "..." not in term):
            raise ShapeError(f"einsum {subscripts!r}: the term {term!r} does not fit an operand of {rank} axes")
    widest = max((w for w, term in zip(widths, given, strict=True) if "..." in term), default=0)
    if widest > len(free):
        raise ShapeError(f"einsum {subscripts!r} names more than {len(string.ascii_letters)} axes")
    leading = "".join(free[:widest])
    inputs = [term.replace("...", leading[widest - w:]) for term, w in zip(given, widths, strict=True)]
    if arrow:
        out = right.replace("...", leading)
    else:
        named = "".join(given).replace("...", "")
        out = leading + "".join(sorted(c for c in set(named) if named.count(c) == 1))
    for label in out:
        if out.count(label) > 1 or not any(label in term for term in inputs):
            raise ShapeError(f"einsum {subscripts!r}: a label of the result occurs once there and in some operand")
    return inputs, out


def _check_letters(subscripts: str, terms: list[str]) -> None:
    for term in terms:
        letters = term.replace("...", "", 1)
        if not all(c.isascii() and c.isalpha() for c in letters):
            raise ShapeError(f"einsum {subscripts!r}: a term is made of letters and one '...', not {term!r}")


# ---- operands ---------------------------------------------------------------------------------------------------
def _without_repeats(x: Expr, labels: str) -> tuple[Expr, str]:
    """Diagonals in place of repeated labels."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if not sizes.equal(x.shape[first], x.shape[second]):
                raise ShapeError(f"einsum takes a diagonal over {label!r} of axes of {sizes.show(x.shape[first])} and "
                                 f"{sizes.show(x.shape[second])} elements")
            x = diagonal(x, 0, first, second)
            labels = "".join(c for i, c in enumerate(labels) if i not in (first, second)) + label
    return x, labels


def _without_ones(terms: list[tuple[Expr, str]], subscripts: str) -> list[tuple[Expr, str]]:
    """Axes of size 1 dropped where their label is longer elsewhere; the sizes of each label agree."""
    dims: dict[str, Dim] = {}
    for x, labels in terms:
        for label, dim in zip(labels, x.shape, strict=True):
            try:
                dims[label] = primitives.broadcast_shapes((dims.get(label, 1),), (dim,))[0]
            except ShapeError as error:
                if "not known before" in str(error):
                    raise
                raise ShapeError(f"einsum {subscripts!r}: the label {label!r} has {sizes.show(dims[label])} elements "
                                 f"in one operand, {sizes.show(dim)} in that of shape {show_shape(x.shape)}") from None
    dropped = []
    for x, labels in terms:
        ones = [i for i, label in enumerate(labels) if primitives.repeats(x.shape[i], dims[label])]
        kept = tuple(d for i, d in enumerate(x.shape) if i not in ones)
        dropped.append((primitives.reshape(x, kept), "".join(c for i, c in enumerate(labels) if i not in ones)))
    return dropped


def _contracted(terms: list[tuple[Expr, str]], out: str) -> Expr:
    """All terms multiplied and summed to `out`, two at a time."""
    for pair in _order(terms, out):
        chosen = [terms[i] for i in sorted(pair)]
        terms = [t for i, t in enumerate(terms) if i not in pair]
        if len(chosen) == 1:
            terms.append(chosen[0])
            continue
        (a, labels_a), (b, labels_b) = chosen
        elsewhere = set(out).union(*[labels for _, labels in terms])
        both = dict.fromkeys(labels_a + labels_b)
        kept = out if not terms else "".join(label for label in both if label in elsewhere)
        terms.append((sum_of_products(a, b, labels_a, labels_b, kept), kept))
    (x, labels), = terms
    x = primitives.reduce(x, "add", tuple(i for i, label in enumerate(labels) if label not in out))
    labels = [label for label in labels if label in out]
    return primitives.transpose(x, tuple(map(labels.index, out)))


def _order(terms: list[tuple[Expr, str]], out: str) -> list[tuple[int, ...]]:
    if len(terms) < 3:
        return [(0, 1)] if len(terms) == 2 else []
    import opt_einsum

    equation = ",".join(labels for _, labels in terms) + "->" + out
    known = {label: d for x, labels in terms for label, d in zip(labels, x.shape, strict=True) if isinstance(d, int)}
    shapes = [tuple(known.get(label, _STAND_IN) for label in labels) for _, labels in terms]
    path, _ = opt_einsum.contract_path(equation, *shapes, shapes=True)
    return [tuple(map(int, pair)) for pair in path]
