"""Bundle adjustment: the blocks of the sparse Jacobian, 2 x 15 for each observation."""

from __future__ import annotations

import numpy as np

from . import bundle_adjustment

SECTION = "adbench"
SIZES, TINY = bundle_adjustment.SIZES, bundle_adjustment.TINY
inputs = bundle_adjustment.inputs


def errors(xp, parameters, feature):
    """Two errors of one observation, whose camera, point and trust are one array."""
    pose, point, trust = parameters[:11], parameters[11:14], parameters[14]
    places = bundle_adjustment.projected(xp, [pose[k] for k in range(11)], [point[k] for k in range(3)])
    return xp.stack([trust * (place - feature[k]) for k, place in enumerate(places)])


def blocks(xp, tools, poses, points, trust, features, camera_of, point_of):
    parameters = xp.concatenate([poses[camera_of], points[point_of], trust[:, None]], axis=1)
    return tools.vmap(tools.jacfwd(lambda p, f: errors(xp, p, f)))(parameters, features)


def program(xp, control, *arrays):
    return blocks(xp, xp, *arrays)


def program_jax(xp, lax, *arrays):
    import jax

    return blocks(xp, jax, *arrays)


def value_numpy(poses, points, trust, features, camera_of, point_of):
    """By differences of order 4."""
    parameters = np.concatenate([poses[camera_of], points[point_of], trust[:, None]], axis=1)

    def moved(k: int, step: float) -> np.ndarray:
        shifted = (parameters + step * np.eye(15)[k]).T
        u, v = bundle_adjustment.projected(np, list(shifted[:11]), list(shifted[11:14]))
        return shifted[14][:, None] * (np.stack([u, v], axis=1) - features)

    h = 3e-4
    columns = [(8 * (moved(k, h) - moved(k, -h)) - moved(k, 2 * h) + moved(k, -2 * h)) / (12 * h) for k in range(15)]
    return np.stack(columns, axis=2)
