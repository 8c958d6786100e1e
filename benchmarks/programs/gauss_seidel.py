"""5 Gauss-Seidel sweeps over a square, element by element."""

from __future__ import annotations

SECTION = "loops"
SIZES, TINY = (60,), 6
WRT = (0,)
PEERS = ("jax", "numba")
SWEEPS = 5


def inputs(size, draw):
    return [draw.standard_normal((size, size))]


def program(xp, control, a):
    n = a.shape[0]

    def element(i, j, a):
        above = a[i - 1, j - 1] + a[i - 1, j] + a[i - 1, j + 1]
        below = a[i + 1, j - 1] + a[i + 1, j] + a[i + 1, j + 1]
        return a.at[i, j].set((above + a[i, j - 1] + a[i, j] + a[i, j + 1] + below) / 9.0)

    def row(i, a):
        return control.fori_loop(1, n - 1, lambda j, a: element(i, j, a), a)

    swept = control.fori_loop(0, SWEEPS, lambda t, a: control.fori_loop(1, n - 1, row, a), a)
    return xp.sum(xp.sin(swept))
