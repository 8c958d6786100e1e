"""Log likelihood of a Gaussian mixture, 10 dimensions, 25 components, with a Wishart prior."""

from __future__ import annotations

import math

import numpy as np

SECTION = "adbench"
SIZES, TINY = (1000, 10_000), 5
WRT = (0, 1, 2, 3)


def inputs(size, draw):
    dimension, components = (10, 25) if size > TINY else (3, 2)
    below = dimension * (dimension - 1) // 2
    return [draw.standard_normal(components), draw.uniform(0, 1, (components, dimension)),
            0.5 * draw.standard_normal((components, dimension)), draw.standard_normal((components, below)),
            draw.standard_normal((size, dimension))]


def logsumexp(xp, x, axis):
    largest = xp.max(x, axis=axis, keepdims=True)
    return xp.squeeze(largest, axis=axis) + xp.log(xp.sum(xp.exp(x - largest), axis=axis))


def program(xp, control, mixing, means, log_diagonals, lower, points):
    """Each component has the inverse of its covariance as L' L, L with exp(`log_diagonals`) and, row by row, `lower`.

    The objective of F. Srajer, Z. Kukelova and A. Fitzgibbon, A benchmark of selected algorithmic differentiation
    tools on some problems in computer vision and machine learning (2018).
    """
    components, dimension = log_diagonals.shape
    count = points.shape[0]
    rows, columns = np.tril_indices(int(dimension), -1)
    place = np.zeros((len(rows), int(dimension), int(dimension)))
    place[np.arange(len(rows)), rows, columns] = 1.0
    roots = xp.einsum("kd,de->kde", xp.exp(log_diagonals), np.eye(int(dimension)))
    roots = roots + xp.einsum("kt,tij->kij", lower, place)
    turned = xp.einsum("kij,nkj->nki", roots, points[:, None, :] - means[None, :, :])
    inner = mixing + xp.sum(log_diagonals, axis=1) - 0.5 * xp.sum(turned * turned, axis=2)
    likelihood = xp.sum(logsumexp(xp, inner, 1)) - count * logsumexp(xp, mixing, 0)
    freedom = int(dimension) + 1
    fixed = freedom * int(dimension) * math.log(1 / math.sqrt(2)) - _log_gamma(freedom / 2, int(dimension))
    prior = 0.5 * xp.sum(roots * roots) - components * fixed
    return likelihood - count * (0.5 * dimension * math.log(2 * math.pi)) - prior


def _log_gamma(a: float, dimension: int) -> float:
    """The logarithm of the gamma function of several dimensions."""
    parts = sum(math.lgamma(a - 0.5 * j) for j in range(dimension))
    return 0.25 * dimension * (dimension - 1) * math.log(math.pi) + parts
