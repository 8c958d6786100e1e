"""Where did the wave come from? A few tide gauges and the adjoint of the shallow-water equations tell.

    python examples/shallow_water.py [--picture shallow_water.png]

A hump of water and a hollow in a closed basin of uneven depth spread and are reflected by the walls; sixteen gauges
record the height. From the noisy records alone the initial height is found again: L-BFGS minimises the misfit,
whose gradient is the adjoint of the whole time loop (4D-Var, as weather services call it), compiled with it into
kernels that update in place. Mass and energy are checked.
"""

import argparse

import matplotlib
import numpy as np
from scipy.optimize import minimize

import pullback as pb

CELLS, WIDTH, GRAVITY = 64, 64e3, 9.81          # a basin of 64 km in cells of 1 km
SPACING = WIDTH / CELLS
STEPS = 400
NOISE = 0.01                                    # of the gauges, in metres
SMOOTHNESS = 3e-5                               # weight of the curvature of the initial height

x, y = np.meshgrid((np.arange(CELLS) + 0.5) / CELLS, (np.arange(CELLS) + 0.5) / CELLS, indexing="ij")
DEPTH = 120.0 + 60.0 * np.sin(2 * np.pi * x) * np.cos(np.pi * y) - 60.0 * x
TIME_STEP = 0.5 * SPACING / np.sqrt(GRAVITY * DEPTH.max())
HUMP = np.exp(-((x - 0.62) ** 2 + (y - 0.35) ** 2) / 0.006)
TRUTH = 1.5 * HUMP - 0.7 * np.exp(-((x - 0.5) ** 2 + (y - 0.5) ** 2) / 0.01)
GAUGES = (np.repeat([4, 21, 43, 60], 4), np.tile([3, 24, 40, 61], 4))


def advance(height, flow_x, flow_y):
    """One step on staggered cells: pressure drives the flow through the faces, the flow changes the height.

    Beyond a wall the height is that of the last cell, so no pressure acts on the wall and nothing flows through it.
    """
    pull = TIME_STEP * GRAVITY / SPACING
    face_x, face_y = (0.5 * (DEPTH + pb.shift(DEPTH, 1, axis, "nearest")) for axis in (0, 1))
    flow_x = flow_x - pull * face_x * (pb.shift(height, 1, 0, "nearest") - height)
    flow_y = flow_y - pull * face_y * (pb.shift(height, 1, 1, "nearest") - height)
    out_x = flow_x - pb.shift(flow_x, -1, 0, "constant")
    out_y = flow_y - pb.shift(flow_y, -1, 1, "constant")
    return height - TIME_STEP / SPACING * (out_x + out_y), flow_x, flow_y


def simulate(height):
    """The last state and the records of the gauges, (STEPS, 16), from an initial height at rest."""

    def step(state, _):
        state = advance(*state)
        return state, state[0][GAUGES]

    still = pb.zeros((CELLS, CELLS))
    return pb.scan(step, (height, still, still), None, length=STEPS)


def misfit(height, records):
    """Squared error of the records in units of the noise, and a small price for curvature."""
    _, found = simulate(height)
    bend = pb.stencil(height, {(0, 0): -4.0, (1, 0): 1.0, (-1, 0): 1.0, (0, 1): 1.0, (0, -1): 1.0}, boundary="nearest")
    return 0.5 * pb.mean((found - records) ** 2) / NOISE**2 + 0.5 * SMOOTHNESS * pb.sum(bend**2) / NOISE**2


def recover(step, records, iterations):
    """The initial height at the minimum, and the misfits on the way."""
    path = []

    def objective(flat):
        value, slope = step(flat.reshape(CELLS, CELLS), records)
        path.append(float(value))
        return float(value), np.asarray(slope).ravel()

    options = {"maxiter": iterations, "maxcor": 30}
    found = minimize(objective, np.zeros(CELLS * CELLS), jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(CELLS, CELLS), path


def energy(height, flow_x, flow_y):
    return 0.5 * np.sum(GRAVITY * height**2 + (flow_x**2 + flow_y**2) / DEPTH)


def draw(found, path):
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    for panel, field, title in zip(axes, (TRUTH, found, found - TRUTH), ("truth", "recovered", "error"), strict=True):
        image = panel.imshow(field.T, origin="lower", cmap="RdBu_r", vmin=-1.5, vmax=1.5)
        panel.contour(DEPTH.T, colors="grey", linewidths=0.5)
        panel.plot(*GAUGES, "k^", markersize=4)
        panel.set_title(f"{title}: initial height (m)")
    figure.colorbar(image, ax=axes)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description="An initial wave recovered from tide gauges.")
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--picture", default="shallow_water.png")
    options = parser.parse_args()

    last, records = pb.compile(simulate)(TRUTH)
    print(f"mass lost: {abs(last[0].sum() / TRUTH.sum() - 1):.1e}, "
          f"energy now/then: {energy(*last) / energy(TRUTH, 0 * TRUTH, 0 * TRUTH):.3f}")
    records = records + NOISE * np.random.default_rng(0).normal(size=records.shape)
    step = pb.compile(pb.value_and_grad(misfit))
    found, path = recover(step, records, options.iterations)
    print(step.explain())
    print(f"misfit {path[0]:.1f} to {path[-1]:.3f} in {len(path)} evaluations of value and gradient")
    print(f"error of the initial height: {np.linalg.norm(found - TRUTH) / np.linalg.norm(TRUTH):.1%}")
    draw(found, options.picture)
    print(f"picture: {options.picture}")


if __name__ == "__main__":
    main()
