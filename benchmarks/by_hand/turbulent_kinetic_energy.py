"""Turbulent kinetic energy, by hand in Numba: one pass over columns, each with its own elimination."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ..programs import turbulent_kinetic_energy as tke
from .numba_options import parallel, part

STEP, DISSIPATION, DIFFUSIVITY, TINY_STEP = tke.STEP, tke.DISSIPATION, tke.DIFFUSIVITY, tke.TINY_STEP
NEW, OLD = tke.NEW, tke.OLD


@part
def limited_flux(velocity, before, step, after, mean, width):
    upwind = before if velocity > 0.0 else after
    ratio = upwind / (TINY_STEP if abs(step) < TINY_STEP else step)
    limit = max(0.0, max(min(1.0, 2.0 * ratio), min(2.0, ratio)))
    courant = abs(velocity) * STEP / width
    return velocity * mean - 0.5 * abs(velocity) * (1.0 - limit + courant * limit) * step


@part
def face_flux(velocity, e, lowest, width, k, columns):
    """Advection through the face between the second and the third of four columns in a row."""
    (i0, j0), (i1, j1), (i2, j2), (i3, j3) = columns
    wet_0, wet_1, wet_2, wet_3 = k >= lowest[i0, j0], k >= lowest[i1, j1], k >= lowest[i2, j2], k >= lowest[i3, j3]
    before = e[i1, j1, k] - e[i0, j0, k] if wet_0 and wet_1 else 0.0
    step = e[i2, j2, k] - e[i1, j1, k] if wet_1 and wet_2 else 0.0
    after = e[i3, j3, k] - e[i2, j2, k] if wet_2 and wet_3 else 0.0
    return limited_flux(velocity, before, step, after, 0.5 * (e[i1, j1, k] + e[i2, j2, k]), width)


@part
def top_flux(w, e, lowest, dz_w, k):
    nz = len(e)
    before = e[k] - e[k - 1] if k > 0 and k - 1 >= lowest else 0.0
    step = e[k + 1] - e[k] if k >= lowest else 0.0
    after = e[k + 2] - e[k + 1] if k + 2 < nz and k + 1 >= lowest else 0.0
    return limited_flux(w[k], before, step, after, 0.5 * (e[k + 1] + e[k]), dz_w[k])


@part
def mix_column(x, factor, e, viscosity, length, forcing, surface, lowest, dz_t, dz_w):
    """Energy of one column after implicit mixing, into x; land keeps its own."""
    nz = len(e)
    below = 0.0
    for k in range(nz):
        if k < lowest:
            x[k], factor[k] = e[k], 0.0
            continue
        thickness = dz_w[k] if k < nz - 1 else 0.5 * dz_w[k]
        above = 0.5 * STEP * (viscosity[k + 1] + viscosity[k]) / dz_t[k + 1] if k < nz - 1 else 0.0
        lost = STEP * DISSIPATION * math.sqrt(max(e[k], 0.0)) / length[k]
        right = e[k] + STEP * (forcing[k] + (surface / thickness if k == nz - 1 else 0.0))
        pivot = 1.0 + (below + above) / thickness + lost
        if k > 0:
            pivot += below / thickness * factor[k - 1]
            right += below / thickness * x[k - 1]
        factor[k] = -above / thickness / pivot
        x[k] = right / pivot
        below = above
    for k in range(nz - 2, -1, -1):
        x[k] -= factor[k] * x[k + 1]


@parallel
def value(u, v, w, e, tendency, viscosity, length, forcing, surface, lowest, dx, dy, dz_t, dz_w, cos_t, cos_u):
    nx, ny, nz = e.shape
    energy, moved = np.empty((nx - 4, ny - 4, nz)), np.empty((nx - 4, ny - 4, nz))
    added = np.zeros((nx - 4, ny - 4))
    for i in prange(2, nx - 2):
        factor = np.empty(nz)
        for j in range(2, ny - 2):
            mixed = energy[i - 2, j - 2]
            mix_column(mixed, factor, e[i, j], viscosity[i, j], length[i, j], forcing[i, j], surface[i, j],
                       lowest[i, j], dz_t, dz_w)
            if mixed[nz - 1] < 0.0:
                added[i - 2, j - 2] = -mixed[nz - 1] * 0.5 * dz_w[nz - 1] / STEP
                mixed[nz - 1] = 0.0
            cos, cos_south, cos_north = cos_t[0, j, 0], cos_u[0, j - 1, 0], cos_u[0, j, 0]
            dx_west, dx_here, dy_south, dy_here = dx[i - 1, 0, 0], dx[i, 0, 0], dy[0, j - 1, 0], dy[0, j, 0]
            under = 0.0
            for k in range(nz):
                thickness = dz_w[k] if k < nz - 1 else 0.5 * dz_w[k]
                over = top_flux(w[i, j], e[i, j], lowest[i, j], dz_w, k) if k < nz - 1 else 0.0
                change, spread = 0.0, 0.0
                if k >= lowest[i, j]:
                    west = face_flux(u[i - 1, j, k], e, lowest, dx_west * cos, k,
                                     ((i - 2, j), (i - 1, j), (i, j), (i + 1, j)))
                    east = face_flux(u[i, j, k], e, lowest, dx_here * cos, k,
                                     ((i - 1, j), (i, j), (i + 1, j), (i + 2, j)))
                    south = face_flux(v[i, j - 1, k] * cos_south, e, lowest, dy_south * cos_t[0, j - 1, 0], k,
                                      ((i, j - 2), (i, j - 1), (i, j), (i, j + 1)))
                    north = face_flux(v[i, j, k] * cos_north, e, lowest, dy_here * cos, k,
                                      ((i, j - 1), (i, j), (i, j + 1), (i, j + 2)))
                    change = -((east - west) / (cos * dx_here) + (north - south) / (cos * dy_here)
                               + (over - under) / thickness)
                    here, east, west, north, south = e[i, j, k], 0.0, 0.0, 0.0, 0.0
                    if k >= lowest[i + 1, j]:
                        east = (e[i + 1, j, k] - here) / (cos * dx_here)
                    if k >= lowest[i - 1, j]:
                        west = (here - e[i - 1, j, k]) / (cos * dx_west)
                    if k >= lowest[i, j + 1]:
                        north = (e[i, j + 1, k] - here) / dy_here * cos_north
                    if k >= lowest[i, j - 1]:
                        south = (here - e[i, j - 1, k]) / dy_south * cos_south
                    spread = DIFFUSIVITY * ((east - west) / (cos * dx_here) + (north - south) / (cos * dy_here))
                under = over
                moved[i - 2, j - 2, k] = change
                mixed[k] += STEP * (spread + NEW * change - OLD * tendency[i, j, k])
    return energy, moved, added
