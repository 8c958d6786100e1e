"""Equation of state, by hand in Numba: one pass, polynomials and their derivatives by Horner's rule."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ..programs import equation_of_state as eos
from .numba_options import parallel, part

A, B, C = eos.DENSITY
A_P, B_P = eos.DENSITY_P
A_PP, (B_PP,) = eos.DENSITY_PP
D, E, F = eos.VOLUME
G = eos.VOLUME_SS
D_P, E_P = eos.VOLUME_P
D_PP, (E_PP,) = eos.VOLUME_PP
D_PPP = eos.VOLUME_PPP


@part
def linear(c, t):
    return c[0] + t * c[1]


@part
def square(c, t):
    return c[0] + t * (c[1] + t * c[2])


@part
def cubic(c, t):
    return c[0] + t * (c[1] + t * (c[2] + t * c[3]))


@part
def quartic(c, t):
    return c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * c[4])))


@part
def square_slope(c, t):
    return c[1] + 2 * t * c[2]


@part
def cubic_slope(c, t):
    return c[1] + t * (2 * c[2] + 3 * t * c[3])


@part
def quartic_slope(c, t):
    return c[1] + t * (2 * c[2] + t * (3 * c[3] + 4 * t * c[4]))


@part
def fraction(s, t, p, root):
    above = cubic(A, t) + s * (square(B, t) + root * cubic(C, t))
    above += p * (square(A_P, t) + s * linear(B_P, t) + p * (square(A_PP, t) + s * B_PP))
    below_p = cubic(D_P, t) + s * linear(E_P, t)
    below_p += p * (square(D_PP, t) + t * s * E_PP + p * linear(D_PPP, t))
    return above, quartic(D, t) + s * (quartic(E, t) + G * s + root * quartic(F, t)) + p * below_p


@parallel
def value(salinity, temperature, pressure):
    out = np.empty_like(salinity)
    nx, ny, nz = salinity.shape
    for i in prange(nx):
        for j in range(ny):
            for k in range(nz):
                s = salinity[i, j, k]
                above, below = fraction(s, temperature[i, j, k], pressure[0, 0, k], math.sqrt(s))
                out[i, j, k] = above / below
    return out


@parallel
def gradient(weight, salinity, temperature, pressure):
    slope_s, slope_t = np.empty_like(salinity), np.empty_like(temperature)
    nx, ny, nz = salinity.shape
    totals, slopes_p = np.zeros(nx), np.zeros((nx, nz))
    for i in prange(nx):
        for j in range(ny):
            total = 0.0
            for k in range(nz):
                s, t, p = salinity[i, j, k], temperature[i, j, k], pressure[0, 0, k]
                root = math.sqrt(s)
                above, below = fraction(s, t, p, root)
                inverse = 1.0 / below
                rho = above * inverse
                share = weight[i, j, k] * inverse
                total += weight[i, j, k] * rho
                above_s = square(B, t) + 1.5 * root * cubic(C, t) + p * (linear(B_P, t) + p * B_PP)
                below_s = quartic(E, t) + 2 * G * s + 1.5 * root * quartic(F, t) + p * (linear(E_P, t) + p * t * E_PP)
                above_t = cubic_slope(A, t) + s * (square_slope(B, t) + root * cubic_slope(C, t))
                above_t += p * (square_slope(A_P, t) + s * B_P[1] + p * square_slope(A_PP, t))
                below_t = quartic_slope(D, t) + s * (quartic_slope(E, t) + root * quartic_slope(F, t))
                below_t += p * (cubic_slope(D_P, t) + s * E_P[1]
                                + p * (square_slope(D_PP, t) + s * E_PP + p * D_PPP[1]))
                above_p = square(A_P, t) + s * linear(B_P, t) + 2 * p * (square(A_PP, t) + s * B_PP)
                below_p = cubic(D_P, t) + s * linear(E_P, t)
                below_p += p * (2 * (square(D_PP, t) + t * s * E_PP) + 3 * p * linear(D_PPP, t))
                slope_s[i, j, k] = share * (above_s - rho * below_s)
                slope_t[i, j, k] = share * (above_t - rho * below_t)
                slopes_p[i, k] += share * (above_p - rho * below_p)
            totals[i] += total
    return totals.sum(), slope_s, slope_t, slopes_p.sum(axis=0).reshape(1, 1, nz)
