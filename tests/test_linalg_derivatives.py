"""Derivatives of `pb.linalg`: both modes, higher orders, and where a matrix is singular."""

import numpy as np
import pytest

import pullback as pb

la = pb.linalg
RANDOM = np.random.default_rng(11)
A = RANDOM.normal(size=(2, 5, 5)) + 4 * np.eye(5)
TALL = RANDOM.normal(size=(2, 7, 4))
WIDE = np.ascontiguousarray(np.swapaxes(TALL, -1, -2))
SPLIT = np.diag([1.0, 2.0, 4.0]) + 0.1 * (A[0] + A[0].T)[:3, :3]
VECTOR = RANDOM.normal(size=7)


def run(function, *arrays):
    return pb.compile(function)(*arrays)


def invariants(a):
    """What does not depend on the signs of singular vectors."""
    u, s, vh = la.svd(a, full_matrices=False)
    return s, u[:, :1] * vh[:1], u[:, 1:2] * vh[1:2]


@pytest.mark.parametrize("function, x, order", [
    (la.det, A, 2), (lambda a: la.slogdet(a)[1], A, 2), (la.qr, TALL[:, :3, :2], 2), (la.qr, WIDE[:1, :2, :3], 1),
    (la.eigvalsh, SPLIT, 2), (lambda a: la.eigh(a)[1] ** 2, SPLIT, 2), (invariants, TALL[0, :4, :3], 2),
    (invariants, WIDE[0, :3, :4], 1), (la.pinv, TALL[0, :4, :2], 2), (la.pinv, WIDE[0, :2, :4], 1),
    (lambda a: la.matrix_power(a, 3), A[0, :3, :3], 2), (lambda a: la.norm(a, "nuc"), TALL[0, :4, :3], 1),
    (lambda a: la.norm(a, 2), TALL[0, :4, :3], 2), (lambda x: la.norm(x, 3), VECTOR, 2)])
def test_derivatives_of_both_modes(function, x, order):
    pb.check_grads(function, (x,), order=order)


def test_derivatives_of_least_squares():
    pb.check_grads(lambda a, b: la.lstsq(a, b)[:2], (TALL[0, :5, :3], VECTOR[:5]), order=1)


@pytest.mark.parametrize("function", [la.cholesky, lambda a: la.det(a / 3)])
def test_third_order(function):
    a = SPLIT + 2 * np.eye(3)
    pb.check_grads(lambda a: pb.sum(pb.grad(lambda a: pb.sum(pb.sin(function(a))))(a) ** 2), (a,), order=2)


def cofactors(a):
    n = len(a)
    return np.array([[(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(n)]
                     for i in range(n)])


@pytest.mark.parametrize("n", [1, 4, 6])
def test_the_gradient_of_a_determinant_that_is_zero(n):
    a = np.array(RANDOM.integers(-4, 5, size=(n, n)), float)
    a[:, -1] = 0
    b = np.diag(np.arange(float(n)))
    b[0, -1:] = 5 if n > 1 else 0
    found = run(lambda x: pb.grad(lambda x: pb.sum(la.det(x)))(x), np.stack([a, b]))
    np.testing.assert_allclose(found, np.stack([cofactors(a), cofactors(b)]), atol=1e-9)


@pytest.mark.parametrize("order", [None, 2, 1, 3, 1.5])
def test_norms_have_gradient_zero_at_zero(order):
    np.testing.assert_array_equal(run(lambda x: pb.grad(lambda x: la.norm(x, order))(x), np.zeros(3)), np.zeros(3))
    np.testing.assert_array_equal(run(lambda x: pb.grad(lambda x: la.norm(x))(x), np.zeros((3, 2))), np.zeros((3, 2)))


def test_equal_eigenvalues():
    """The values have a derivative, their vectors none, and nothing else is given for it."""
    a = np.diag([1.0, 1.0, 3.0])
    np.testing.assert_allclose(run(lambda x: pb.grad(lambda x: pb.sum(la.eigh(x)[0] ** 2))(x), a), 2 * a, atol=1e-12)
    assert np.isnan(run(lambda x: pb.grad(lambda x: pb.sum(la.eigh(x)[1] * VECTOR[:3]))(x), a)).any()
    ranks = np.diag([2.0, 1.0, 0.0])
    np.testing.assert_allclose(run(lambda x: pb.grad(lambda x: pb.sum(la.svdvals(x)[:2]))(x), ranks),
                               np.diag([1.0, 1, 0]), atol=1e-12)
