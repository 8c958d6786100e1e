"""What the geophysical models share: the shape of their grids, and masks of land."""

from __future__ import annotations

import math


def grid_shape(size: int) -> tuple[int, int, int]:
    """Return about `size` points as (east, north, up): eight times as wide as high, in powers of two."""
    bits = max(int(math.log2(size)), 3)
    up = max(round(bits / 3 - 2), 1)
    north = (bits - up) // 2
    return 2 ** (bits - up - north), 2**north, 2**up


def make_metrics(shape, draw):
    """Return lengths of cells in m, (nx, 1, 1), (1, ny, 1), (nz,), (nz,), and cosines of latitude at two places."""
    nx, ny, nz = shape
    dx, dy = draw.uniform(8e3, 12e3, (nx, 1, 1)), draw.uniform(8e3, 12e3, (1, ny, 1))
    dz_t, dz_w = draw.uniform(10, 30, nz), draw.uniform(10, 30, nz)
    return [dx, dy, dz_t, dz_w, draw.uniform(0.5, 1.0, (1, ny, 1)), draw.uniform(0.5, 1.0, (1, ny, 1))]


def make_bottom(shape, draw):
    """Return the lowest wet level of each column; some columns are land from bottom to top."""
    return draw.integers(0, shape[2] + 1, shape[:2]) * (draw.random(shape[:2]) < 0.5)


def water(xp, field, bottom):
    """Return which cells of a field are water."""
    return xp.arange(field.shape[2]) >= bottom[:, :, None]


def move(field, east=0, north=0):
    """Return the interior of a field (without two cells on each side), moved by so many cells."""
    return field[2 + east:east - 2 or None, 2 + north:north - 2 or None]
