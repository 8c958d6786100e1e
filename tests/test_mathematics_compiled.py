"""Routines in compiled kernels: the bits of their statements in vectors and tails, and the library where they end."""

from __future__ import annotations

import numpy as np
import pytest
from routine_evaluator import evaluate

from pullback.codegen.mathematics import DOMAINS, FUNCTIONS, routine
from pullback.codegen.program import Axis, Buffer, Kernel, Let, Load, Offset, Program, Store
from pullback.dsl.size import symbol
from pullback.kernels.cpu import CpuProgram

EDGES = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-310, -1e-42, 1e-30, 3e38, -3e38, 700.0, -700.0]


def elementwise(op: str, dtype: str, count: int) -> Program:
    """Y = op(X0, ...) over arrays of one axis."""
    n, here = symbol("n"), Offset(0, (("i", 1),))
    names = tuple(f"X{k}" for k in range(count))
    loads = tuple(Load(f"x{k}", dtype, name, here) for k, name in enumerate(names))
    body = (*loads, Let("y", dtype, op, tuple(f"x{k}" for k in range(count))), Store("Y", here, "y"))
    buffers = {name: Buffer(name, dtype, (n,), "input") for name in names}
    buffers["Y"] = Buffer("Y", dtype, (n,), "output")
    kernel = Kernel(op, (op,), Axis("i", n), 1, body, vector=True)
    return Program(names, ("Y",), buffers, (kernel,), ("n", "chunks"))


def compiled(op: str, *columns: np.ndarray) -> np.ndarray:
    result = np.zeros_like(columns[0])
    built = CpuProgram.build(elementwise(op, str(result.dtype), len(columns)))
    assert built.run([c.ctypes.data for c in (*columns, result)], (result.size,)) == -1
    return result


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("op", FUNCTIONS)
def test_a_compiled_routine_has_the_bits_of_its_statements(op, dtype):
    made, random = routine(op, dtype), np.random.default_rng(5)
    edges = [] if op in DOMAINS else EDGES
    with np.errstate(all="ignore"):
        columns = [np.append(random.permutation(edges), random.uniform(-3, 3, 83)).astype(dtype) for _ in made.params]
    got, want = compiled(op, *columns), evaluate(made, *columns)
    both_nan = np.isnan(got) & np.isnan(want)
    unsigned = f"u{got.itemsize}"
    np.testing.assert_array_equal(got.view(unsigned)[~both_nan], want.view(unsigned)[~both_nan])


@pytest.mark.parametrize("op", ["sin", "cos", "tan"])
def test_angles_beyond_reach(op):
    angles = np.array([1.0, 1e14, -1e22, 1e300, np.inf, np.nan, 2.0, 0.5])
    got = compiled(op, angles)
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workprec(1300):
        want = [float(getattr(mpmath, op)(mpmath.mpf(x))) if np.isfinite(x) else np.nan for x in angles.tolist()]
    np.testing.assert_array_max_ulp(got[np.isfinite(want)], np.array(want)[np.isfinite(want)], 2)
    assert np.isnan(got[~np.isfinite(want)]).all()


def test_remainders_of_far_quotients():
    x, y = np.array([1e300, 5.0, -1e200, 1e17, np.inf]), np.array([3e-5, 3.0, 7.0, 0.1, 2.0])
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(compiled("fmod", x, y), np.fmod(x, y))
