"""`pb.linalg` against NumPy and SciPy: values, dtypes and orders, lanes, loops, what is singular or refused."""

import numpy as np
import pytest
import scipy.linalg

import pullback as pb

la = pb.linalg
RANDOM = np.random.default_rng(11)
A = RANDOM.normal(size=(2, 5, 5)) + 4 * np.eye(5)
TALL = RANDOM.normal(size=(2, 7, 4))
WIDE = np.ascontiguousarray(np.swapaxes(TALL, -1, -2))
SYMMETRIC = A + np.swapaxes(A, -1, -2)
VECTOR, CUBE = RANDOM.normal(size=7), RANDOM.normal(size=(3, 4, 5))


def run(function, *arrays):
    return pb.compile(function)(*arrays)


def both(function, reference, *arrays, order="C"):
    """Values in both dtypes against a reference in float64."""
    for dtype, exact in (("float64", 1e-11), ("float32", 3e-4)):
        found = run(function, *(np.array(a, dtype, order=order) for a in arrays))
        wanted = reference(*arrays)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, rtol=exact, atol=exact * max(1, np.max(np.abs(wanted))))


# ---- values -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("ours, theirs, x", [
    (la.det, np.linalg.det, A), (lambda a: la.slogdet(-a)[1], lambda a: np.linalg.slogdet(-a)[1], A),
    (lambda a: la.slogdet(-a)[0], lambda a: np.linalg.slogdet(-a)[0], A),
    (la.eigvalsh, np.linalg.eigvalsh, SYMMETRIC), (la.svdvals, lambda a: np.linalg.svd(a, compute_uv=False), TALL),
    (la.pinv, np.linalg.pinv, TALL), (la.pinv, np.linalg.pinv, WIDE), (la.cond, np.linalg.cond, A),
    (lambda a: la.matrix_power(a, 5), lambda a: np.linalg.matrix_power(a, 5), A / 5),
    (lambda a: la.matrix_power(a, -2), lambda a: np.linalg.matrix_power(a, -2), A),
    (lambda a: la.matrix_power(a, 0), lambda a: np.linalg.matrix_power(a, 0), A), (la.expm, scipy.linalg.expm, A / 5)])
def test_values(ours, theirs, x, order):
    both(ours, theirs, x, order=order)


@pytest.mark.parametrize("a", [TALL, WIDE, A, A[0]], ids=["tall", "wide", "square", "one"])
def test_factors_multiply_to_the_matrix(a):
    q, r = run(la.qr, a)
    u, s, vh = run(lambda a: la.svd(a, full_matrices=False), a)
    np.testing.assert_allclose(q @ r, a, atol=1e-13)
    np.testing.assert_allclose((u * s[..., None, :]) @ vh, a, atol=1e-13)
    k = min(a.shape[-2:])
    for x in (q, u, np.swapaxes(vh, -1, -2)):
        np.testing.assert_allclose(np.swapaxes(x, -1, -2) @ x, np.broadcast_to(np.eye(k), (*a.shape[:-2], k, k)),
                                   atol=1e-13)
    np.testing.assert_array_equal(np.tril(r, -1), 0 * r)
    np.testing.assert_array_equal(run(lambda a: la.qr(a, mode="r"), a), r)
    full = run(la.svd, a)
    assert [x.shape for x in full] == [x.shape for x in np.linalg.svd(a)]
    np.testing.assert_allclose(np.abs(full[0]), np.abs(np.linalg.svd(a)[0]), atol=1e-10)


def test_eigenvectors_are_columns():
    w, v = run(la.eigh, SYMMETRIC)
    np.testing.assert_allclose(SYMMETRIC @ v, v * w[:, None], atol=1e-12)
    np.testing.assert_array_equal(run(lambda a: la.eigh(a).eigenvalues, SYMMETRIC), run(la.eigvalsh, SYMMETRIC))
    half = np.tril(SYMMETRIC)
    for triangle, x in (("L", half), ("U", np.swapaxes(half, -1, -2))):
        found = run(lambda a, t=triangle: la.eigvalsh(a, UPLO=t, symmetrize_input=False), x)
        np.testing.assert_allclose(found, w, atol=1e-12)


def test_least_squares():
    b = RANDOM.normal(size=(7, 2))
    for found, wanted in zip(run(la.lstsq, TALL[0], b), np.linalg.lstsq(TALL[0], b), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-13)
    low = TALL[0] @ np.diag([1.0, 1, 1, 0])
    x, _, rank, _ = run(la.lstsq, low, b[:, 0])
    np.testing.assert_allclose(x, np.linalg.lstsq(low, b[:, 0])[0], atol=1e-13)
    assert rank == 3 and rank.dtype == np.int64 and run(la.matrix_rank, np.stack([TALL[0], low])).tolist() == [4, 3]


@pytest.mark.parametrize("order", [None, 2, 1, 0, np.inf, -np.inf, 3, -1, 0.5])
def test_norms_of_vectors(order):
    both(lambda x: la.norm(x, order), lambda x: np.linalg.norm(x, order), VECTOR)
    both(lambda x: la.norm(x, order, axis=1, keepdims=True),
         lambda x: np.linalg.norm(x, order, axis=1, keepdims=True), CUBE)
    wanted = np.linalg.norm(np.moveaxis(CUBE, 1, 0).reshape(4, -1), 2 if order is None else order, axis=1)
    np.testing.assert_allclose(run(lambda x: la.vector_norm(x, axis=(0, 2), ord=2 if order is None else order), CUBE),
                               wanted, rtol=1e-12)


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_norms_of_matrices(order):
    both(lambda x: la.norm(x, order, axis=(2, 0)), lambda x: np.linalg.norm(x, order, axis=(2, 0)), CUBE)
    both(lambda x: la.matrix_norm(x, ord=order or "fro", keepdims=True),
         lambda x: np.linalg.norm(x, order, axis=(-2, -1), keepdims=True), CUBE)


def test_products():
    a, b, c = A[0], TALL[0].T[:, :5].T, RANDOM.normal(size=4)
    found = run(lambda a, b, c: (la.multi_dot([a, b, c]), la.outer(c, c), la.trace(a), la.cross(a[:, :3], a[:, 1:4])),
                a, b, c)
    for x, y in zip(found, (a @ b @ c, np.outer(c, c), np.trace(a), np.cross(a[:, :3], a[:, 1:4])), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


# ---- lanes, loops and what is refused ---------------------------------------------------------------------------
def test_lanes_are_a_batch():
    stack = RANDOM.normal(size=(4, 2, 5, 5))
    for function in (la.det, lambda a: la.slogdet(a)[1], lambda a: la.svd(a)[1], lambda a: la.qr(a)[1], la.pinv):
        found = run(lambda x, f=function: pb.vmap(f)(x), stack)
        np.testing.assert_allclose(found, np.stack([run(function, a) for a in stack]), atol=1e-10)


def test_inside_a_loop():
    def power(a, x):
        return pb.fori_loop(0, 6, lambda i, x: la.qr(a @ x)[0], x)

    x = np.linalg.qr(RANDOM.normal(size=(5, 2)))[0]
    wanted = x
    for _ in range(6):
        wanted = np.linalg.qr(SYMMETRIC[0] @ wanted)[0]
    found = run(power, SYMMETRIC[0], x)
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-9)
    small = A[0, :3, :3] / 9
    pb.check_grads(lambda a: pb.fori_loop(0, 3, lambda i, s: s + la.det(a * (1 + s)), 0.1), (small,), order=2)


def test_failures_are_nan():
    bad = np.full((2, 4, 4), np.nan)
    for function in (la.eigvalsh, la.svdvals, la.det):
        assert np.isnan(run(function, bad)).all()
    assert [float(x) for x in run(la.slogdet, np.zeros((3, 3)))] == [0.0, -np.inf]


@pytest.mark.parametrize("n", [0, 1])
def test_small_and_empty(n):
    a = 4 * np.eye(n)
    assert run(la.det, a) == 4**n and run(lambda a: la.slogdet(a)[1], a) == n * np.log(4)
    np.testing.assert_array_equal(run(la.eigvalsh, a), [4] * n)
    np.testing.assert_array_equal(run(la.svdvals, np.ones((3, n))), [np.sqrt(3)] * n)
    assert [x.shape for x in run(la.qr, np.ones((3, n)))] == [(3, n), (n, n)]


@pytest.mark.parametrize("text, function, shape", [
    ("square", la.det, (2, 3)), ("matrix", la.svd, (3,)), ("mode", lambda a: la.qr(a, mode="complete"), (3, 3)),
    ("UPLO", lambda a: la.eigh(a, UPLO="X"), (3, 3)), ("order", lambda a: la.norm(a, 7), (3, 3)),
    ("axis", lambda a: la.norm(a, 1), (3, 3, 3)), ("at least two", lambda a: la.multi_dot([a]), (3, 3))])
def test_what_is_refused(text, function, shape):
    with pytest.raises(pb.ShapeError, match=text):
        run(function, np.ones(shape))


def test_completed_vectors_have_no_derivative():
    with pytest.raises(pb.NotDifferentiable, match="full_matrices=False"):
        run(lambda a: pb.grad(lambda a: pb.sum(la.svd(a)[0]))(a), TALL[0])


def test_results_have_names_also_of_expressions_without_types():
    a = pb.Var("a")
    f = pb.compile(la.svd(a).S.sum() + la.slogdet(a).logabsdet + la.eigh(a).eigenvalues[0] + la.qr(a).R[0, 0])
    s = SYMMETRIC[0]
    wanted = (np.linalg.svd(s)[1].sum() + np.linalg.slogdet(s)[1] + np.linalg.eigvalsh(s)[0]
              + np.linalg.qr(s)[1][0, 0])
    np.testing.assert_allclose(f(a=s), wanted)
    np.testing.assert_allclose(pb.compile(np.linalg.norm(a) + np.linalg.det(a))(a=s),
                               np.linalg.norm(s) + np.linalg.det(s))
