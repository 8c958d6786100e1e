"""`pb.linalg.tridiagonal_solve` against SciPy's banded solver and dense matrices, and its derivatives."""

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from target_contract import CpuContract, CudaTextContract

sys.path.insert(0, str(Path(__file__).parent / "emulator"))


import pullback as pb  # noqa: E402

solve = pb.linalg.tridiagonal_solve
RANDOM = np.random.default_rng(5)
DIAGONALS = RANDOM.normal(size=(3, 2, 7))
WELL = DIAGONALS + np.array([0, 4, 0])[:, None, None]
RIGHT = RANDOM.normal(size=(2, 7, 3))
RATE = RANDOM.uniform(0.1, 2, size=9)


def banded(dl, d, du, b):
    return scipy.linalg.solve_banded((1, 1), np.stack([np.roll(du, 1), d, np.roll(dl, -1)]), b)


def matrix(dl, d, du):
    return np.diag(d) + np.diag(dl[1:], -1) + np.diag(du[:-1], 1)


def diffused(rate, u):
    """Implicit steps of diffusion."""
    return pb.fori_loop(0, 5, lambda i, u: solve(-rate, 1 + 2 * rate, -rate, u), u)


def squares(*operands):
    return pb.grad(lambda *x: pb.sum(solve(*x) ** 2), argnums=(0, 1, 2, 3))(*operands)


CASES = {
    "vectors": (solve, [*DIAGONALS, RIGHT[..., 0]]),
    "columns": (solve, [*DIAGONALS, RIGHT]),
    "one system": (solve, [*DIAGONALS[:, 0].astype(np.float32), RIGHT[0, :, 0].astype(np.float32)]),
    "one number": (solve, [*DIAGONALS[:, 0, :1], RIGHT[0, :1, 0]]),
    "two numbers": (solve, [*DIAGONALS[:, 0, :2], RIGHT[0, :2]]),
    "in a loop": (diffused, [RATE, RATE**2]),
    "gradient": (squares, [*DIAGONALS, RIGHT]),
    "gradient of a loop": (lambda r, u: pb.grad(lambda r: pb.sum(diffused(r, u) ** 2))(r), [RATE, RATE**2]),
    "lanes": (lambda *x: pb.vmap(solve, (None, None, None, 0))(*x), [*DIAGONALS[:, 0], RIGHT]),
}


class TestCpu(CpuContract):
    cases = CASES


class TestCudaText(CudaTextContract):
    cases = CASES


# ---- values -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype, exact", [("float64", 1e-9), ("float32", 1e-2)])
def test_the_solutions_are_those_of_scipy(dtype, exact):
    compiled = pb.compile(solve)
    for n, k in ((1, 1), (2, 2), (3, 1), (200, 1), (200, 33)):
        dl, d, du = RANDOM.normal(size=(3, n)).astype(dtype)
        d += 3 * np.sign(d)
        b = RANDOM.normal(size=(n, k)).astype(dtype)
        found = compiled(dl, d, du, b)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, banded(dl, d, du, b), rtol=exact, atol=exact / 100)
        np.testing.assert_array_equal(compiled(dl[1:], d, du[:-1], b), found)
        np.testing.assert_allclose(compiled(dl, d, du, b[:, 0]), found[:, 0], rtol=exact)


def test_batches_broadcast():
    dl, d, du = DIAGONALS
    b = RIGHT[:, None] * np.arange(1.0, 5)[:, None, None]                # (2, 4, 7, 3)
    found = pb.compile(solve)(dl[:, None], d[:, None], du[0], b)
    assert found.shape == (2, 4, 7, 3)
    for i in range(2):
        np.testing.assert_allclose(found[i, 2], np.linalg.solve(matrix(dl[i], d[i], du[0]), b[i, 2]), rtol=1e-9)
    np.testing.assert_allclose(pb.compile(solve)(dl, d, du, RIGHT[0, :, 0])[1],
                               np.linalg.solve(matrix(dl[1], d[1], du[1]), RIGHT[0, :, 0]), rtol=1e-9)


def test_pivots_of_zero_are_exchanged():
    zero, off, b = np.zeros(6), np.ones(6), np.arange(6.0)
    np.testing.assert_array_equal(pb.compile(solve)(off, zero, off, b), banded(off, zero, off, b))
    tiny = np.full(6, 1e-20)
    np.testing.assert_allclose(pb.compile(solve)(off, tiny, off, b), banded(off, zero, off, b), atol=1e-15)


def test_a_singular_matrix_gives_nan():
    zero, one = np.zeros(3), np.ones(3)
    for d in ([1.0, 0, 1], [0.0, 1, 1], [1.0, 1, 0]):
        assert np.isnan(pb.compile(solve)(zero, np.array(d), zero, one)).all()
    assert np.isnan(pb.compile(solve)(zero[:1], zero[:1], zero[:1], one[:1])).all()


def test_what_is_beyond_the_matrix_is_not_looked_at():
    dl, d, du = np.array(DIAGONALS[:, 0])
    wanted = pb.compile(squares)(dl, d, du, RIGHT[0])
    dl[0] = du[-1] = np.nan
    found = pb.compile(squares)(dl, d, du, RIGHT[0])
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    assert found[0][0] == found[2][-1] == 0


def test_one_matrix_in_lanes_is_eliminated_once():
    text = pb.compile(pb.vmap(solve, (None, None, None, 0))).lower(*DIAGONALS[:, 0], RIGHT[..., 0]).as_text("program")
    assert "temp   stacked_1: float64[n4 - 1] " in text


@pytest.mark.parametrize("shapes", [((3,), (4,), (2,), (4,)), ((4,), (4,), (4,), (5, 4)), ((), (4,), (4,), (4,)),
                                    ((4,), (4,), (4,), (5,))])
def test_sizes_that_do_not_agree(shapes):
    with pytest.raises(pb.ShapeError, match="tridiagonal_solve"):
        pb.compile(solve)(*map(np.ones, shapes))


# ---- derivatives ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("operands", [
    (*WELL[..., :4], RIGHT[..., :4, 0]), (*WELL[:, 0, :3], RIGHT[0, :3, :2]), (*WELL[:, 0, :1], RIGHT[0, :1, 0]),
    (*WELL[:, 0, :2], RIGHT[0, :2, 0])])
def test_derivatives_of_both_modes(operands):
    pb.check_grads(solve, operands, order=2)


def test_a_third_derivative():
    d = DIAGONALS[1, 0, :3] + 3
    pb.check_grads(lambda d: pb.grad(lambda d: pb.sum(pb.sin(solve(d, d * d, d, d))))(d), (d,), order=2)


def test_the_gradient_is_that_of_a_dense_system():
    dl, d, du = DIAGONALS[:, 0]
    inverse = np.linalg.inv(matrix(dl, d, du))
    x = inverse @ RIGHT[0]
    share = inverse.T @ (2 * x)
    outer = -share @ x.T
    found = pb.compile(squares)(dl, d, du, RIGHT[0])
    np.testing.assert_allclose(found[0][1:], np.diag(outer, -1), rtol=1e-8)
    np.testing.assert_allclose(found[1], np.diag(outer), rtol=1e-8)
    np.testing.assert_allclose(found[2][:-1], np.diag(outer, 1), rtol=1e-8)
    np.testing.assert_allclose(found[3], share, rtol=1e-8)


def test_products_with_tangents_and_cotangents_agree():
    operands = (*DIAGONALS, RIGHT)
    tangents = tuple(RANDOM.normal(size=x.shape) for x in operands)
    cotangent = RANDOM.normal(size=RIGHT.shape)
    _, moved = pb.jvp(solve, operands, tangents)
    _, pull = pb.vjp(solve, *operands)
    assert np.isclose(np.vdot(moved, cotangent), sum(np.vdot(a, b) for a, b in zip(pull(cotangent), tangents,
                                                                                      strict=True)), rtol=1e-9)


def test_diffusion_in_time_and_its_gradient():
    u, one = RATE**2, np.ones(9)
    power = np.linalg.matrix_power(np.linalg.inv(matrix(-RATE, 1 + 2 * RATE, -RATE)), 5)
    np.testing.assert_allclose(pb.compile(diffused)(RATE, u), power @ u, rtol=1e-10)
    found = pb.compile(lambda r, u: pb.grad(lambda u: pb.sum(diffused(r, u)))(u))(RATE, u)
    np.testing.assert_allclose(found, power.T @ one, rtol=1e-10)
    pb.check_grads(diffused, (RATE[:5], u[:5]), order=2)


def test_inside_scan():
    def step(u, rate):
        u = solve(-rate, 1 + 2 * rate, -rate, u)
        return u, pb.sum(u)

    rates = np.stack([RATE, RATE / 2, RATE / 3])
    u, sums = RATE**2, []
    for r in rates:
        u = np.linalg.solve(matrix(-r, 1 + 2 * r, -r), u)
        sums.append(u.sum())
    found = pb.compile(lambda rates, u: pb.scan(step, u, rates))(rates, RATE**2)
    np.testing.assert_allclose(found[0], u, rtol=1e-10)
    np.testing.assert_allclose(found[1], sums, rtol=1e-10)
