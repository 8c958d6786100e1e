"""Small systems of known size are written out in the kernels around them: the values, derivatives and NaN of LAPACK."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from target_contract import assert_agree, expected, job_of, run_on_cpu

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import run_program  # noqa: E402
from expressions import inputs_of  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.program import walk_stmts  # noqa: E402
from pullback.kernels import nvrtc  # noqa: E402

la = pb.linalg
RANDOM = np.random.default_rng(3)
A = {n: RANDOM.normal(size=(6, n, n)) for n in range(1, 9)}


def run(function, *arrays):
    return pb.compile(function)(*arrays)


def steps(function, *arrays):
    return pb.compile(function).lower(*arrays).as_text("program")


@pytest.mark.parametrize("dtype, exact", [("float64", 1e-9), ("float32", 1e-2)])
@pytest.mark.parametrize("n", range(1, 9))
def test_determinants(n, dtype, exact):
    a = A[n].astype(dtype)
    assert "getrf" not in steps(la.det, a)
    np.testing.assert_allclose(run(la.det, a), np.linalg.det(a), rtol=exact)
    np.testing.assert_allclose(run(la.det, a[0]), np.linalg.det(a[0]), rtol=exact)


@pytest.mark.parametrize("n, k", [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 2), (4, 4), (5, 1), (6, 3),
                                  (7, 1), (8, 1), (8, 2)])
def test_systems(n, k):
    a, b = A[n], np.random.default_rng(n).normal(size=(6, n, k))
    assert "getrf" not in steps(la.solve, a, b)
    np.testing.assert_allclose(run(la.solve, a, b), np.linalg.solve(a, b), rtol=1e-8)
    np.testing.assert_allclose(run(la.solve, a[0], b[0, :, 0]), np.linalg.solve(a[0], b[0, :, 0]), rtol=1e-8)
    lower = np.tril(a)
    for trans in (0, 1):
        for kept, low in ((lower, True), (np.swapaxes(lower, -1, -2), False)):
            found = run(lambda a, b, t=trans, w=low: la.solve_triangular(a, b, t, w), kept, b)
            wanted = np.linalg.solve(np.swapaxes(kept, -1, -2) if trans else kept, b)
            np.testing.assert_allclose(found, wanted, rtol=1e-8)
    unit = run(lambda a, b: la.solve_triangular(a, b, 0, True, True), a, b)
    np.testing.assert_allclose(unit, np.linalg.solve(np.tril(a, -1) + np.eye(n), b), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n", range(1, 9))
def test_factors_and_inverses(n):
    spd = A[n] @ np.swapaxes(A[n], -1, -2) + np.eye(n)
    assert "potrf" not in steps(la.cholesky, spd)
    assert ("getri" in steps(la.inv, A[n])) == (n > 6)
    np.testing.assert_allclose(run(la.cholesky, spd), np.linalg.cholesky(spd), rtol=1e-12)
    np.testing.assert_allclose(run(la.inv, A[n]), np.linalg.inv(A[n]), rtol=1e-8)


def statements(function, *arrays):
    """Of all kernels of a program, inside and outside of loops."""
    program = pb.compile(function).lower(*arrays).program
    return sum(1 for kernel in program.kernels() for _ in walk_stmts(kernel.begin + kernel.body))


@pytest.mark.parametrize("n", range(2, 9))
def test_every_element_is_computed_once(n):
    """Matrices are lanes, and the elements of a solution share the elimination, whatever is done with them then."""
    rng = np.random.default_rng(n)
    a, b, y = rng.normal(size=(9, n, n)), rng.normal(size=(9, n, 1)), rng.normal(size=(9, n, 1))
    once = statements(la.solve, a, b)
    choices = sum(m * (m + 1) for m in range(1, n))                # of two rows, each for one element
    assert once <= 3 * choices + 8 * n * n

    def distance(a, b, y):
        return pb.sum((la.solve(a, b) - y) ** 2)

    (kernel,) = pb.compile(distance).lower(a, b, y).program.kernels()
    assert kernel.vector and statements(distance, a, b, y) <= once + 8 * n
    np.testing.assert_allclose(run(distance, a, b, y), np.sum((np.linalg.solve(a, b) - y) ** 2), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", [5, 8])
def test_residuals_are_small_whatever_the_condition(n, dtype):
    """Backward stable as LAPACK is: graded, nearly singular and permuted matrices, pivots of every size."""
    rng, eps = np.random.default_rng(n), np.finfo(dtype).eps
    left, right = (np.linalg.qr(rng.normal(size=(40, n, n)))[0] for _ in range(2))
    graded = left @ (np.logspace(0, -10, n)[:, None] * right)
    tiny = rng.normal(size=(40, n, n)) * 10.0 ** rng.integers(-12, 12, (40, n, 1))
    tiny[:, range(n), range(n)] *= 1e-18
    turned = np.stack([np.eye(n)[rng.permutation(n)] for _ in range(40)]) + 1e-3 * rng.normal(size=(40, n, n))
    hilbert = np.broadcast_to(1 / (np.arange(n)[:, None] + np.arange(n) + 1.0), (40, n, n))
    for a in (graded, tiny, turned, hilbert):
        a, b = a.astype(dtype), rng.normal(size=(40, n, 1)).astype(dtype)
        for found, matrix in ((run(la.solve, a, b), a), (run(lambda a, b: la.solve(a.mT, b), a, b), a.swapaxes(1, 2))):
            x, exact = found.astype(np.float64), matrix.astype(np.float64)
            scale = np.abs(exact) @ np.abs(x) + np.abs(b)
            assert (np.abs(exact @ x - b) <= 50 * n * eps * scale.max(axis=1, keepdims=True)).all()


def test_the_largest_pivot_is_taken():
    a = np.array([[1e-20, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(run(la.solve, a, np.array([1.0, 2.0])), [1.0, 1.0])
    np.testing.assert_array_equal(run(la.solve, np.eye(4)[[2, 0, 3, 1]], np.arange(4.0)), [1, 3, 0, 2])
    assert run(la.det, np.eye(4)[[2, 0, 3, 1]]) == np.linalg.det(np.eye(4)[[2, 0, 3, 1]])


def test_what_has_no_answer_is_nan():
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    stack = np.stack([singular, np.eye(2), np.zeros((2, 2))])
    np.testing.assert_array_equal(np.isnan(run(la.solve, stack, np.ones((3, 2, 1))))[..., 0],
                                  [[True] * 2, [False] * 2, [True] * 2])
    assert np.isnan(run(la.inv, stack)[[0, 2]]).all() and run(la.det, stack).tolist() == [0, 1, 0]
    factor = run(la.cholesky, -stack)
    assert np.isnan(factor[:, [0, 1, 1], [0, 0, 1]]).all()
    assert np.isnan(run(lambda a, b: la.solve_triangular(a, b, 0, True), np.diag([1.0, 0.0]), np.ones(2))).all()


@pytest.mark.parametrize("function, args", [
    (la.solve, (A[3][:2] + 3 * np.eye(3), RANDOM.normal(size=(2, 3, 1)))), (la.det, (A[3][:2],)),
    (la.solve, (A[5][:2] + 5 * np.eye(5), RANDOM.normal(size=(2, 5, 1)))),
    (la.cholesky, (A[3][:2] @ np.swapaxes(A[3][:2], -1, -2) + np.eye(3),)), (la.inv, (A[4][:2] + 4 * np.eye(4),)),
    (la.cholesky, (A[2][:2] @ np.swapaxes(A[2][:2], -1, -2) + np.eye(2),)), (la.inv, (A[2][:2] + 3 * np.eye(2),))])
def test_derivatives(function, args):
    pb.check_grads(function, args, order=2)


def test_lanes_and_loops_call_nothing():
    def filtered(a, x):
        return pb.fori_loop(0, 5, lambda i, x: la.solve(a, x) + 1.0, x)

    a, x = A[3] + 3 * np.eye(3), RANDOM.normal(size=(6, 3))
    found = run(lambda a, x: pb.vmap(filtered)(a, x), a, x)
    for k in range(6):
        wanted = x[k]
        for _ in range(5):
            wanted = np.linalg.solve(a[k], wanted) + 1
        np.testing.assert_allclose(found[k], wanted, rtol=1e-10)
    assert "getrf" not in steps(lambda a, x: pb.vmap(filtered)(a, x), a, x)


@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
@pytest.mark.parametrize("n", [3, 8])
@pytest.mark.parametrize("name", ["solve", "cholesky", "det"])
def test_the_same_on_every_target(name, n):
    rng = np.random.default_rng(n)
    a = rng.normal(size=(5, n, n))
    arrays = [a @ np.swapaxes(a, 1, 2) if name == "cholesky" else a, *[rng.normal(size=(5, n, 1))] * (name == "solve")]
    job = job_of(getattr(la, name), arrays)
    assert_agree(run_on_cpu(job), expected(job))
    assert_agree(run_program(job[1], *inputs_of(job[0], arrays)), expected(job))


@pytest.mark.skipif(nvrtc.nvrtc_version() is None, reason="NVRTC is not installed")
@pytest.mark.parametrize("name", ["solve", "cholesky", "det"])
def test_a_matrix_of_eight_stays_in_the_registers_of_a_thread(name):
    a = A[8]
    text = pb.compile(getattr(la, name)).lower(a, *[a[:, :, :1]] * (name == "solve")).as_text("cuda")
    for kernel, footprint in nvrtc.compile_text(text).footprints.items():
        assert footprint.spill_stores == footprint.spill_loads == 0, (kernel, footprint)
