"""Equation of state: density of sea water.

The rational function of 48 terms of TEOS-10 in absolute salinity (g/kg), conservative temperature (deg C) and sea
pressure (dbar), in kg/m3: McDougall, Barker, Feistel, Jackett 2011, as in IOC, SCOR and IAPSO 2010. What
pyhpc-benchmarks calls by this name builds on the same coefficients.
"""

from __future__ import annotations

from ..ocean import grid_shape
from ..program import Bar

SECTION = "geophysics"
SIZES, TINY = (4096, 65_536, 1_048_576, 4_194_304), 64
WRT = (0, 1, 2)
PEERS = ("jax", "numpy", "numba")
BARS = (Bar("value: numba", least=1.0), Bar("value: jax", least=1.0), Bar("gradient: numba", least=1.0),
        Bar("gradient: jax", least=1.0), Bar("gradient / value", most=4.0))

# Polynomials in temperature, lowest power first; a row for each power of salinity, the last times its square root too.
DENSITY = ((9.998420897506056e2, 2.839940833161907, -3.147759265588511e-2, 1.181805545074306e-3),
           (-6.698001071123802, -2.986498947203215e-2, 2.327859407479162e-4),
           (-3.988822378968490e-2, 5.095422573880500e-4, -1.426984671633621e-5, 1.645039373682922e-7))
DENSITY_P = ((-2.233269627352527e-2, -3.436090079851880e-4, 3.726050720345733e-6),
             (-1.806789763745328e-4, 6.876837219536232e-7))
DENSITY_PP = ((-3.087032500374211e-7, -1.988366587925593e-8, -1.061519070296458e-11), (1.550932729220080e-10,))
VOLUME = ((1.0, 2.775927747785646e-3, -2.349607444135925e-5, 1.119513357486743e-6, 6.743689325042773e-10),
          (-7.521448093615448e-3, -2.764306979894411e-5, 1.262937315098546e-7, 9.527875081696435e-10,
           -1.811147201949891e-11),
          (-3.303308871386421e-5, 3.801564588876298e-7, -7.672876869259043e-9, -4.634182341116144e-11,
           2.681097235569143e-12))
VOLUME_SS = 5.419326551148740e-6
VOLUME_P = ((-2.742185394906099e-5, -3.212746477974189e-7, 3.191413910561627e-9, -1.931012931541776e-12),
            (-1.105097577149576e-7, 6.211426728363857e-10))
VOLUME_PP = ((-1.119011592875110e-10, -1.941660213148725e-11, -1.864826425365600e-14), (1.119522344879478e-14,))
VOLUME_PPP = (-1.200507748551599e-15, 6.057902487546866e-17)


def inputs(size, draw):
    """Salinity and temperature on a grid whose last axis is depth; the pressure depends on depth alone."""
    shape = grid_shape(size)
    return [draw.uniform(1, 40, shape), draw.uniform(-2, 30, shape), draw.uniform(0, 5000, (1, 1, shape[2]))]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[0].shape)]


def polynomial(coefficients, x):
    total = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        total = coefficient + x * total
    return total


def program(xp, control, salinity, temperature, pressure):
    s, t, p = salinity, temperature, pressure
    root = xp.sqrt(s)

    def rows(table):
        return [polynomial(row, t) for row in table]

    a, b, c = rows(DENSITY)
    a_p, b_p = rows(DENSITY_P)
    a_pp, b_pp = rows(DENSITY_PP)
    above = a + s * (b + root * c) + p * (a_p + s * b_p + p * (a_pp + s * b_pp))
    a, b, c = rows(VOLUME)
    a_p, b_p = rows(VOLUME_P)
    a_pp, b_pp = rows(VOLUME_PP)
    below_p = a_p + s * b_p + p * (a_pp + t * s * b_pp + p * polynomial(VOLUME_PPP, t))
    return above / (a + s * (b + VOLUME_SS * s + root * c) + p * below_p)
