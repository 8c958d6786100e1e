"""Small systems of known size are written out in the kernels around them: the values, derivatives and NaN of LAPACK."""

import numpy as np
import pytest

import pullback as pb

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


@pytest.mark.parametrize("n, k", [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 2)])
def test_systems(n, k):
    a, b = A[n], RANDOM.normal(size=(6, n, k))
    assert "getrf" not in steps(la.solve, a, b)
    np.testing.assert_allclose(run(la.solve, a, b), np.linalg.solve(a, b), rtol=1e-9)
    np.testing.assert_allclose(run(la.solve, a[0], b[0, :, 0]), np.linalg.solve(a[0], b[0, :, 0]), rtol=1e-9)
    lower = np.tril(a)
    for trans in (0, 1):
        for kept, low in ((lower, True), (np.swapaxes(lower, -1, -2), False)):
            found = run(lambda a, b, t=trans, w=low: la.solve_triangular(a, b, t, w), kept, b)
            wanted = np.linalg.solve(np.swapaxes(kept, -1, -2) if trans else kept, b)
            np.testing.assert_allclose(found, wanted, rtol=1e-8)
    unit = run(lambda a, b: la.solve_triangular(a, b, 0, True, True), a, b)
    np.testing.assert_allclose(unit, np.linalg.solve(np.tril(a, -1) + np.eye(n), b), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2])
def test_factors_and_inverses(n):
    spd = A[n] @ np.swapaxes(A[n], -1, -2) + np.eye(n)
    assert "potrf" not in steps(la.cholesky, spd) and "getri" not in steps(la.inv, A[n])
    np.testing.assert_allclose(run(la.cholesky, spd), np.linalg.cholesky(spd), rtol=1e-12)
    np.testing.assert_allclose(run(la.inv, A[n]), np.linalg.inv(A[n]), rtol=1e-9)


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
