"""Isoneutral mixing, by hand in Numba: one pass over columns, all triads of a cell at once."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ..programs import isoneutral_mixing as mixing
from .numba_options import parallel, part

RHO_0, THETA_0, CONTRACTION = mixing.RHO_0, mixing.THETA_0, mixing.CONTRACTION
EXPANSION, EXPANSION_T = mixing.EXPANSION, mixing.EXPANSION_T
PRESSURE = mixing.COMPRESSION * mixing.GRAVITY * mixing.RHO_0
STEEP, WIDTH, LEAST, TINY_SLOPE = mixing.STEEP, mixing.WIDTH, mixing.LEAST, mixing.TINY_SLOPE


@part
def by_temperature(temperature, depth, wet):
    return -RHO_0 * (EXPANSION_T * (temperature - THETA_0) + EXPANSION * (1.0 - PRESSURE * depth)) * wet


@part
def find_slope(across, upwards):
    return -across / (min(upwards, 0.0) - TINY_SLOPE)


@part
def find_taper(slope):
    return 0.5 * (1.0 + math.tanh((STEEP - abs(slope)) / WIDTH))


@part
def gradient_top(field, i, j, k, bottom, dz_w):
    """Through the top of a cell; nothing flows through the surface and below the lowest level."""
    nz = field.shape[2]
    if k < 0 or k > nz - 2 or k < bottom[i, j]:
        return 0.0
    return (field[i, j, k + 1] - field[i, j, k]) / dz_w[k]


@part
def side_face(t, s, k_iso, bottom, dz_t, dz_w, depth, i, j, k, i2, j2, width, k_out, slopes):
    """Diagonal element and four slopes of the face between two columns."""
    open_face = 1.0 if k >= bottom[i, j] and k >= bottom[i2, j2] else 0.0
    gradient_t = open_face * (t[i2, j2, k] - t[i, j, k]) / width
    gradient_s = open_face * (s[i2, j2, k] - s[i, j, k]) / width
    lower = max(k - 1, 0)
    k_face = 0.25 * (k_iso[i, j, k] + k_iso[i, j, lower] + k_iso[i2, j2, k] + k_iso[i2, j2, lower])
    total = 0.0
    for up in range(2):
        length = 0.0 if k + up == 0 else dz_w[k + up - 1]
        for ahead in range(2):
            a, b = (i2, j2) if ahead else (i, j)
            wet = 1.0 if k >= bottom[a, b] else 0.0
            rho_t, rho_s = by_temperature(t[a, b, k], depth[k], wet), RHO_0 * CONTRACTION * wet
            upwards = rho_t * gradient_top(t, a, b, k + up - 1, bottom, dz_w)
            upwards += rho_s * gradient_top(s, a, b, k + up - 1, bottom, dz_w)
            slope = find_slope(rho_t * gradient_t + rho_s * gradient_s, upwards)
            taper = find_taper(slope)
            total += length * open_face * max(k_face * taper, LEAST)
            slopes[2 * up + ahead, i - 2, j - 2, k] = taper * slope * open_face
    k_out[i - 2, j - 2, k] = total / (4.0 * dz_t[k])


@part
def top_face(t, s, bottom, dz_w, depth, i, j, k, i1, j1, i2, j2, width_1, width_2, part_1, part_2, k_top, slopes):
    """The part in the vertical element, and four slopes, of one direction: columns 1 and 2 are on both sides."""
    total = 0.0
    for up in range(2):
        level = k + up
        rho_t, rho_s = by_temperature(t[i, j, level], depth[level], 1.0), RHO_0 * CONTRACTION
        upwards = (rho_t * (t[i, j, k + 1] - t[i, j, k]) + rho_s * (s[i, j, k + 1] - s[i, j, k])) / dz_w[k]
        for ahead in range(2):
            a, b, c, d = (i, j, i2, j2) if ahead else (i1, j1, i, j)
            open_face = 1.0 if level >= bottom[a, b] and level >= bottom[c, d] else 0.0
            width, part = (width_2, part_2) if ahead else (width_1, part_1)
            gradient_t = open_face * (t[c, d, level] - t[a, b, level]) / width
            gradient_s = open_face * (s[c, d, level] - s[a, b, level]) / width
            slope = find_slope(rho_t * gradient_t + rho_s * gradient_s, upwards)
            taper = find_taper(slope)
            total += part * k_top * taper * slope * slope
            slopes[2 * up + ahead, i - 2, j - 2, k] = taper * slope
    return total


@parallel
def compute(t, s, k_iso, bottom, dx, dy, dz_t, dz_w, cos_t, cos_u, depth):
    nx, ny, nz = t.shape
    diagonal = np.zeros((3, nx - 4, ny - 4, nz))
    slopes = np.zeros((16, nx - 4, ny - 4, nz))
    for i in prange(2, nx - 2):
        for j in range(2, ny - 2):
            east_1 = 0.5 * (dx[i - 1, 0, 0] + dx[i, 0, 0]) * cos_t[0, j, 0]
            east_2 = 0.5 * (dx[i, 0, 0] + dx[i + 1, 0, 0]) * cos_t[0, j, 0]
            north_1 = 0.5 * (dy[0, j - 1, 0] + dy[0, j, 0])
            north_2 = 0.5 * (dy[0, j, 0] + dy[0, j + 1, 0])
            part_1, part_2 = dy[0, j - 1, 0] * cos_u[0, j - 1, 0], dy[0, j, 0] * cos_u[0, j, 0]
            for k in range(nz):
                side_face(t, s, k_iso, bottom, dz_t, dz_w, depth, i, j, k, i + 1, j, east_2, diagonal[0], slopes[:4])
                side_face(t, s, k_iso, bottom, dz_t, dz_w, depth, i, j, k, i, j + 1, north_2, diagonal[1], slopes[4:8])
                if bottom[i, j] <= k < nz - 1:
                    k_top = k_iso[i, j, k]
                    from_east = top_face(t, s, bottom, dz_w, depth, i, j, k, i - 1, j, i + 1, j, east_1, east_2,
                                         dx[i - 1, 0, 0], dx[i, 0, 0], k_top, slopes[8:12])
                    from_north = top_face(t, s, bottom, dz_w, depth, i, j, k, i, j - 1, i, j + 1, north_1, north_2,
                                          part_1, part_2, k_top, slopes[12:])
                    diagonal[2, i - 2, j - 2, k] = (from_east / (4.0 * dx[i, 0, 0])
                                                    + from_north / (4.0 * dy[0, j, 0] * cos_t[0, j, 0]))
    return diagonal, slopes


def value(*arrays):
    diagonal, slopes = compute(*arrays)
    return *diagonal, *slopes
