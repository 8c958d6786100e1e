"""Stencils that step in time, as NPBench has them: cores updated from neighbours, fields on staggered grids, walls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def grids(count: int, *shape: int) -> Callable[[np.random.Generator], list[np.ndarray]]:
    return lambda rng: [rng.random(shape) for _ in range(count)]


def half_steps(core: tuple, average: Callable, steps: int) -> Callable:
    """Two fields, each in turn the average of the other; their borders stay."""

    def program(xp, control, a, b):
        def step(_, ab):
            a, b = ab
            b = b.at[core].set(average(a))
            return a.at[core].set(average(b)), b

        a, b = control.fori_loop(0, steps, step, (a, b))
        return xp.sum(a * a) + xp.sum(xp.sin(b))

    return program


def average_5(u):
    return 0.2 * (u[1:-1, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] + u[2:, 1:-1] + u[:-2, 1:-1])


def heat_7(u):
    centre = u[1:-1, 1:-1, 1:-1]
    ends = ((u[2:, 1:-1, 1:-1], u[:-2, 1:-1, 1:-1]), (u[1:-1, 2:, 1:-1], u[1:-1, :-2, 1:-1]),
            (u[1:-1, 1:-1, 2:], u[1:-1, 1:-1, :-2]))
    return centre + sum(0.125 * (after - 2.0 * centre + before) for after, before in ends)


def electromagnetic(xp, control, ex, ey, hz):
    """Two electric components and a magnetic one on staggered cells, driven at one side."""

    def step(t, fields):
        ex, ey, hz = fields
        ey = ey.at[0, :].set(1.0 * t)
        ey = ey.at[1:, :].add(-0.5 * (hz[1:, :] - hz[:-1, :]))
        ex = ex.at[:, 1:].add(-0.5 * (hz[:, 1:] - hz[:, :-1]))
        curl = ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1]
        return ex, ey, hz.at[:-1, :-1].add(-0.7 * curl)

    ex, ey, hz = control.fori_loop(0, 20, step, (ex, ey, hz))
    return xp.sum(ex * ex) + xp.sum(xp.sin(ey)) + xp.sum(hz * hz)


def waves(xp, control, height):
    """Shallow water between walls: pressure drives the flow through faces, the flow changes the height."""

    def step(_, state):
        height, flow_x, flow_y = state
        flow_x = flow_x.at[1:-1].add(-0.3 * (height[1:] - height[:-1]))
        flow_y = flow_y.at[:, 1:-1].add(-0.3 * (height[:, 1:] - height[:, :-1]))
        out = flow_x[1:] - flow_x[:-1] + flow_y[:, 1:] - flow_y[:, :-1]
        return height * (1.0 - 0.2 * out), flow_x, flow_y

    m, n = height.shape
    start = height, xp.zeros((m + 1, n)), xp.zeros((m, n + 1))
    return xp.sum(control.fori_loop(0, 100, step, start)[0] ** 2)


# name, title, steps, make, program: see LoopCase
STENCIL_CASES = (
    ("jacobi_2d", "average of five points, 150 x 150, 50 steps", 50, grids(2, 150, 150),
     half_steps((slice(1, -1),) * 2, average_5, 50)),
    ("heat_3d", "heat equation with seven points, 25 x 25 x 25, 25 steps", 25, grids(2, 25, 25, 25),
     half_steps((slice(1, -1),) * 3, heat_7, 25)),
    ("heat_3d_larger", "heat equation with seven points, 70 x 70 x 70, 50 steps", 50, grids(2, 70, 70, 70),
     half_steps((slice(1, -1),) * 3, heat_7, 50)),
    ("fdtd_2d", "electromagnetic fields on staggered cells, 200 x 220, 20 steps", 20, grids(3, 200, 220),
     electromagnetic),
    ("shallow_water", "shallow water between walls, 64 x 64, 100 steps", 100, grids(1, 64, 64), waves),
)
