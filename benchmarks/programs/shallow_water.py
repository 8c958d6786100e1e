"""Shallow water between walls, 100 steps."""

from __future__ import annotations

SECTION = "loops"
SIZES, TINY = (64,), 6
WRT = (0,)
STEPS = 100


def inputs(size, draw):
    return [draw.random((size, size))]


def program(xp, control, height):
    """Pressure drives the flow through faces, the flow changes the height."""

    def step(_, state):
        height, flow_x, flow_y = state
        flow_x = flow_x.at[1:-1].add(-0.3 * (height[1:] - height[:-1]))
        flow_y = flow_y.at[:, 1:-1].add(-0.3 * (height[:, 1:] - height[:, :-1]))
        out = flow_x[1:] - flow_x[:-1] + flow_y[:, 1:] - flow_y[:, :-1]
        return height * (1.0 - 0.2 * out), flow_x, flow_y

    m, n = height.shape
    start = height, xp.zeros((m + 1, n)), xp.zeros((m, n + 1))
    return xp.sum(control.fori_loop(0, STEPS, step, start)[0] ** 2)
