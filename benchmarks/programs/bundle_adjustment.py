"""Bundle adjustment: the errors of all observations of points by cameras."""

from __future__ import annotations

SECTION = "adbench"
SIZES, TINY = (31_843, 200_000), 6
WRT = (0, 1, 2)


def inputs(size, draw):
    """Cameras as (rotation, centre, focal length, principal point, distortion); each observation has a camera and a
    point.
    """
    cameras, points = max(2, size // 650), max(3, size // 4)
    poses = draw.standard_normal((cameras, 11)) * 0.1
    poses[:, 5] -= 4.0
    poses[:, 6] += 1.5
    return [poses, draw.standard_normal((points, 3)), draw.uniform(0.5, 1.5, size), draw.standard_normal((size, 2)),
            draw.integers(0, cameras, size), draw.integers(0, points, size)]


def weights(arrays, draw):
    return [draw.standard_normal((len(arrays[2]), 2)), draw.standard_normal(len(arrays[2]))]


def cross(xp, a, b):
    (p, q, r), (x, y, z) = a, b
    return q * z - r * y, r * x - p * z, p * y - q * x


def rotated(xp, axis, x):
    """`x` turned around `axis` by its length (Rodrigues); small angles by their series."""
    square = axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2
    small = square < 1e-12
    angle = xp.sqrt(xp.where(small, 1.0, square))
    sine = xp.where(small, 1.0, xp.sin(angle) / angle)
    bend = xp.where(small, 0.5, (1.0 - xp.cos(angle)) / xp.where(small, 1.0, square))
    once = cross(xp, axis, x)
    twice = cross(xp, axis, once)
    return tuple(p + sine * q + bend * r for p, q, r in zip(x, once, twice, strict=True))


def projected(xp, pose, point):
    """The image of a point: components in, components out."""
    seen = rotated(xp, pose[:3], tuple(p - c for p, c in zip(point, pose[3:6], strict=True)))
    u, v = seen[0] / seen[2], seen[1] / seen[2]
    square = u * u + v * v
    scale = pose[6] * (1.0 + pose[9] * square + pose[10] * square**2)
    return scale * u + pose[7], scale * v + pose[8]


def program(xp, control, poses, points, trust, features, camera_of, point_of):
    """Errors of places in the images, times the trust in each observation, and of the trust.

    The objective of F. Srajer, Z. Kukelova and A. Fitzgibbon (see gmm).
    """
    pose = [poses[camera_of, k] for k in range(11)]
    u, v = projected(xp, pose, [points[point_of, k] for k in range(3)])
    return xp.stack([trust * (u - features[:, 0]), trust * (v - features[:, 1])], axis=1), 1.0 - trust**2
