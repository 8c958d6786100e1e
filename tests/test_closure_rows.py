"""Every row of the table is closed under both modes to third order, through loops too."""

from __future__ import annotations

import numpy as np
import pytest
from closure import assert_closed, through_fori, through_scan

import pullback as pb
from pullback.dsl import ops
from pullback.dsl.primitives import scalar

ROWS = [name for name, row in ops.ROWS.items()
        if row.kind in ("float", "numeric") and any(ops.partials(name)) and name != "stop_gradient"]
SPAN = {"remainder": 0.02, "fmod": 0.02}          # between the jumps


def row_on_state(name):
    """The row on numbers inside its domain that depend on the state; arguments without a partial are constant."""
    row = ops.ROWS[name]

    def function(c):
        args = []
        for k, (partial, (low, high)) in enumerate(zip(ops.partials(name), row.domain, strict=True)):
            middle, span = 0.6 * low + 0.4 * high, min(0.1 * (high - low), SPAN.get(name, 0.3))
            args.append(middle if partial is None else middle + span * pb.sin(c + k))
        return scalar(name, *args)

    return function


@pytest.mark.parametrize("name", ROWS)
def test_rows(name):
    op = row_on_state(name)
    form = through_scan if ROWS.index(name) % 4 == 0 else through_fori
    assert_closed(form(op), np.array([0.3, -0.8]))
