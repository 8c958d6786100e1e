"""How the programs by hand are compiled: parallel, sums in any order, a division by zero as in C."""

from __future__ import annotations

from numba import njit

parallel = njit(parallel=True, error_model="numpy", fastmath={"contract", "reassoc"})
part = njit(error_model="numpy", fastmath={"contract", "reassoc"})        # of a function of the above
CHUNKS = 64                # of a sum that all threads add to
