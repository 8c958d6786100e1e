"""First derivatives of every row in machine code, relative to their size: tails, poles, tiny and huge arguments."""

from __future__ import annotations

import re

import numpy as np
import pytest
from table_of_rows import exact

import pullback as pb
from pullback.dsl import ops
from pullback.dsl.primitives import scalar

SIZES = [1e-160, 1e-20, 1e-8, 1e-3, 0.1, 0.5, 0.9, 1 - 1e-12, 1.0, 1 + 1e-12, 1.5, 3.0, 10.0, 30.0, 300.0, 700.0]
HUGE = [1e8, 1e20, 1e160]
PAIRED = [1e-160, 1e-8, 0.3, 1.0, 2.5, 30.0, 700.0]
# Rows of steps have no derivative there, integer orders and special functions of negative arguments have poles.
POSITIVE = {"gamma", "gammaln", "digamma", "polygamma1", "polygamma2", "polygamma3", "beta", "betaln", "zeta"}
# Epsilons, where an intermediate value is rounded and its error grows: x - y, y - 1, differences of digamma.
BOUNDS = {"logaddexp": 256, "logaddexp2": 256, "power": 128, "beta": 1500, "betaln": 1000, "zeta": 200, "erfcx": 128,
          "gammaln": 128, "digamma": 128, "polygamma1": 128, "polygamma2": 128, "polygamma3": 128, "gamma": 128}
TRANSCENDENTAL = re.compile(r"exp|\*\*x|gamma|erf|sin|cos|tan|bessel|zeta|beta")
ROWS = [row for row in ops.ROWS.values() if row.kind in ("float", "numeric") and row.meaning and not row.jumps
        and len(row.args) < 3 and row.name not in ("stop_gradient", "remainder", "fmod", "copysign", "heaviside")]


def grid(row) -> list[np.ndarray]:
    """Points at which the row has a number, so that it has a derivative or an infinite one."""
    huge = [] if TRANSCENDENTAL.search(row.meaning) or row.name == "power" else HUGE     # y - 1 is y for huge ones
    sizes = [*(SIZES if len(row.args) == 1 else PAIRED), *huge]
    if row.name in POSITIVE:
        sizes = [s for s in sizes if 1e-9 < s < 200]
    signed = np.array(sizes if row.name in POSITIVE else [s * v for v in sizes for s in (1, -1)])
    arrays = [a.ravel() for a in np.meshgrid(*[signed] * len(row.args))]
    return [a[np.isfinite(row.numpy(*arrays))] for a in arrays]


def slopes(row, arrays) -> list[np.ndarray | None]:
    wrt = tuple(i for i, partial in enumerate(ops.partials(row.name)) if partial is not None)
    found = pb.compile(lambda *xs: pb.grad(lambda *xs: pb.sum(scalar(row.name, *xs)), argnums=wrt)(*xs))(*arrays)
    return [found[wrt.index(i)] if i in wrt else None for i in range(len(row.args))]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_derivative_is_accurate_relative_to_its_size(row):
    arrays = grid(row)
    assert len(arrays[0]) >= 5
    for i, slope in enumerate(slopes(row, arrays)):
        if slope is None:
            continue
        finite = ~np.isinf(slope)
        slope, there = slope[finite], [a[finite] for a in arrays]
        want = exact(row, there, [int(j == i) for j in range(len(row.args))])
        number = np.isfinite(want) & (np.abs(want) > 1e-290)
        with np.errstate(all="ignore"):
            error = np.abs(slope - want) / np.abs(want) / np.finfo(float).eps
        bad = number & ~(error < BOUNDS.get(row.name, 64))
        assert not bad.any(), [(*[float(a[k]) for a in there], float(slope[k]), float(want[k]), float(error[k]))
                               for k in np.flatnonzero(bad)][:6]
