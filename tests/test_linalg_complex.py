"""`pb.linalg` of complex matrices: values, derivatives of both modes under the convention dz -> Re(g dz), targets."""

import numpy as np
import pytest
import scipy.linalg
from target_contract import CpuContract, CpuTextContract, CudaTextContract

import pullback as pb
from pullback.kernels import host

la = pb.linalg


def normal(seed, *shape):
    random = np.random.default_rng(seed)
    return random.normal(size=shape) + 1j * random.normal(size=shape)


def adjoint(a):
    return np.conj(np.swapaxes(a, -1, -2))


A, B, TALL = normal(1, 2, 6, 6) + 4 * np.eye(6), normal(2, 2, 6, 2), normal(3, 2, 7, 6)
POSITIVE = A @ adjoint(A) + np.eye(6)
HERMITIAN = normal(4, 2, 6, 6)
HERMITIAN = HERMITIAN + adjoint(HERMITIAN) + np.diag(np.arange(6) * 9)
SMALL = A[:, :3, :3] + 2 * np.eye(3)


def run(function, *arrays):
    return pb.compile(function)(*arrays)


def projectors(a):
    """What does not depend on the phases of eigenvectors."""
    w, v = la.eigh(a)
    return w, v @ (pb.arange(a.shape[-1]) * pb.conj(v)).mT


def invariants(a):
    """What does not depend on the phases of singular vectors."""
    u, s, vh = la.svd(a, full_matrices=False)
    return s, u[:, :1] * vh[:1], u[:, 1:2] * vh[1:2]


def identity_part(a):
    """The parts of a qr decomposition by which it is defined."""
    q, r = la.qr(a)
    return q @ r, pb.conj(q).mT @ q


# ---- values -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [6, 3])
@pytest.mark.parametrize("ours, theirs, x", [
    (la.det, np.linalg.det, A), (la.inv, np.linalg.inv, A), (la.cholesky, np.linalg.cholesky, POSITIVE),
    (lambda a: la.cholesky(a, upper=True), lambda a: adjoint(np.linalg.cholesky(a)), POSITIVE),
    (lambda a: la.slogdet(a)[0], lambda a: np.linalg.slogdet(a)[0], A),
    (lambda a: la.slogdet(a)[1], lambda a: np.linalg.slogdet(a)[1], A),
    (la.eigvalsh, np.linalg.eigvalsh, HERMITIAN), (la.svdvals, lambda a: np.linalg.svd(a, compute_uv=False), TALL),
    (la.pinv, np.linalg.pinv, TALL), (la.expm, scipy.linalg.expm, A / 9), (la.cond, np.linalg.cond, A),
    (lambda a: la.qr(a)[0], lambda a: np.linalg.qr(a)[0], TALL),
    (lambda a: la.qr(a)[1], lambda a: np.linalg.qr(a)[1], TALL),
    (lambda a: la.qr(a)[1], lambda a: np.linalg.qr(a)[1], adjoint(TALL)),
    (lambda a: la.matrix_power(a, -3), lambda a: np.linalg.matrix_power(a, -3), A),
    *[(lambda a, o=o: la.norm(a, o, (-2, -1)), lambda a, o=o: np.linalg.norm(a, o, (-2, -1)), TALL)
      for o in (None, "nuc", 2, -2, 1, np.inf)]])
def test_values(ours, theirs, x, n):
    x = np.ascontiguousarray(x[..., :n, :n] if x.shape[-1] == x.shape[-2] else x)
    wanted = theirs(x)
    for dtype, exact in (("complex128", 1e-11), ("complex64", 3e-4)):
        found = run(ours, x.astype(dtype))
        assert found.dtype == (dtype if wanted.dtype.kind == "c" else np.zeros(0, dtype).real.dtype)
        np.testing.assert_allclose(found, wanted, rtol=exact, atol=exact * np.max(np.abs(wanted)))


@pytest.mark.parametrize("a, b", [(A, B), (SMALL, B[:, :3])])
def test_systems(a, b):
    np.testing.assert_allclose(run(la.solve, a, b), np.linalg.solve(a, b))
    np.testing.assert_allclose(run(la.solve, a[0].real, b), np.linalg.solve(a[0].real, b))
    for trans in (0, 1, 2):
        for lower, unit in ((True, False), (False, True)):
            found = run(lambda a, b, t=trans, low=lower, u=unit: la.solve_triangular(a, b, t, low, u), a, b)
            wanted = [scipy.linalg.solve_triangular(x, y, trans, lower, unit) for x, y in zip(a, b, strict=True)]
            np.testing.assert_allclose(found, wanted)
    x, rest, rank, s = run(la.lstsq, TALL[0], TALL[1])
    wanted = np.linalg.lstsq(TALL[0], TALL[1], rcond=None)
    for ours, theirs in zip((x, rest, rank, s), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs)
    d, dl, du = A[:, 0], B[:, :, 0], B[:, :, 1]
    dense = [np.diag(y) + np.diag(x[1:], -1) + np.diag(z[:-1], 1) for x, y, z in zip(dl, d, du, strict=True)]
    np.testing.assert_allclose(run(la.tridiagonal_solve, dl, d, du, B), np.linalg.solve(dense, B))


def test_factors_multiply_to_the_matrix():
    w, v = run(la.eigh, HERMITIAN)
    np.testing.assert_allclose(v * w[:, None] @ adjoint(v), HERMITIAN, atol=1e-11)
    upper = run(lambda a: la.eigh(a, UPLO="U", symmetrize_input=False)[0], np.triu(HERMITIAN[0]))
    np.testing.assert_allclose(upper, w[0])
    for full in (True, False):
        u, s, vh = run(lambda a, f=full: la.svd(a, full_matrices=f), TALL)
        np.testing.assert_allclose(u[..., :6] * s[:, None] @ vh, TALL, atol=1e-12)
        np.testing.assert_allclose(adjoint(u) @ u, np.eye(u.shape[-1]) + 0 * u[:, : u.shape[-1]], atol=1e-12)


def test_what_has_no_answer_is_nan():
    for n in (3, 6):
        singular = np.stack([np.ones((n, n)) * 1j, np.eye(n)])
        for function in (la.inv, lambda a: la.solve(a, a)):
            found = run(function, singular)
            assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()
        assert np.isnan(run(la.cholesky, -np.eye(n) + 0j)[np.tril_indices(n)]).all()
        assert np.isnan(run(lambda a: la.solve_triangular(a, a), np.diag([0j, *range(1, n)]))).all()
        sign, logarithm = run(la.slogdet, singular[:1])
        assert (sign, logarithm) == (0, -np.inf)
    assert np.isnan(run(la.eigvalsh, np.full((3, 3), np.nan * 1j))).all()


@pytest.mark.parametrize("n", [0, 1])
def test_small_and_empty(n):
    a = np.eye(n) * 4j
    assert run(la.det, a) == (4j) ** n
    np.testing.assert_array_equal(run(la.inv, a), -a / 16)
    np.testing.assert_array_equal(run(la.eigvalsh, a * -1j), [4] * n)


def test_lapack_is_called_without_the_host(monkeypatch):
    monkeypatch.setattr(host, "compute", lambda *args: pytest.fail(f"{args[0]} ran on the host"))
    run(lambda a, b: (la.solve(a, b), la.inv(a), la.qr(a), la.eigh(a), la.svd(a), la.cholesky(a)), A, B)


# ---- derivatives ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("function, args, order", [
    (la.solve, (A[0], B[0]), 2), (la.solve, (SMALL[0], B[0, :3]), 1), (la.inv, (A[0, :3, :3],), 1),
    (la.det, (SMALL[0],), 2), (lambda a: la.det(a / 5), (A[0],), 1), (la.slogdet, (A[0],), 2),
    (la.cholesky, (POSITIVE[0],), 2), (la.cholesky, (POSITIVE[0, :3, :3],), 1), (projectors, (HERMITIAN[0],), 1),
    (invariants, (TALL[0, :4, :3],), 1), (invariants, (adjoint(TALL[0, :4, :3]),), 1), (la.pinv, (TALL[0, :4, :2],), 1),
    (la.qr, (TALL[0, :4, :3],), 1), (la.qr, (TALL[0, :3, :4],), 1), (identity_part, (TALL[0, :4, :3],), 1),
    (lambda a: la.expm(a / 9), (SMALL[0],), 1), (lambda a: la.matrix_power(a, -2), (A[0],), 1),
    (lambda a, b: la.lstsq(a, b)[:2], (TALL[0, :5, :3], TALL[1, :5, 0]), 1),
    (lambda a, b: la.solve_triangular(a, b, 2, True), (SMALL[0], B[0, :3]), 1),
    (lambda a: la.norm(a, "nuc"), (TALL[0, :4, :3],), 1), (lambda a: la.norm(a, 2), (TALL[0, :4, :3],), 1),
    (la.tridiagonal_solve, (B[0, :, 0], A[0, 0] + 4, B[0, :, 1], B[1]), 1)])
def test_derivatives_of_both_modes(function, args, order):
    pb.check_grads(function, args, order=order)


@pytest.mark.parametrize("function, x", [
    (la.inv, A[0]), (la.cholesky, POSITIVE[0]), (la.qr, TALL[0]), (la.eigh, HERMITIAN[0]), (la.slogdet, A[0]),
    (lambda a: la.svd(a, full_matrices=False), TALL[0]), (la.pinv, TALL[0]), (la.expm, A[0] / 5)])
def test_forward_and_reverse_are_transposes_to_rounding(function, x):
    """Re(g dy) = Re((g dy/dx) dx), also along phases."""
    def products(x, dx, seeds):
        def results(x):
            found = function(x)
            return list(found) if isinstance(found, tuple) else [found]

        values, along = pb.jvp(results, (x,), (dx,))
        weights = [s[: v.size].reshape(v.shape) for s, v in zip(seeds, values, strict=False)]
        weights = [w if v.dtype.kind == "c" else pb.real(w) for w, v in zip(weights, values, strict=True)]
        share, = pb.vjp(results, x)[1](weights)
        forward = sum(pb.sum(pb.real(w * t)) for w, t in zip(weights, along, strict=True))
        return forward, pb.sum(pb.real(share * dx)), pb.sum(abs(share * dx))

    forward, reverse, size = run(products, x, normal(8, *x.shape), list(normal(9, 3, 99)))
    assert abs(forward - reverse) < 1e-12 * size


def test_the_gradient_of_a_holomorphic_function_is_its_derivative():
    """The cofactors, with no conjugate: JAX's convention."""
    found = run(lambda a: pb.grad(lambda a: pb.real(la.det(a)))(a), A[0])
    np.testing.assert_allclose(found, np.linalg.det(A[0]) * np.linalg.inv(A[0]).T, rtol=1e-9)
    turned = run(lambda a: pb.grad(lambda a: la.slogdet(a)[1])(a), A[0])
    np.testing.assert_allclose(turned, np.linalg.inv(A[0]).T, rtol=1e-9)


def test_third_order_through_a_loop():
    def function(a, b):
        return pb.fori_loop(0, 2, lambda i, x: la.solve(a, x) + x * x, b)

    pb.check_grads(lambda a: function(a, B[0, :, 0] / 9), (A[0],), order=3, modes=("rev",))


def test_lanes_are_a_batch():
    np.testing.assert_allclose(run(pb.vmap(la.inv), A), np.linalg.inv(A))
    np.testing.assert_allclose(run(lambda a, b: pb.vmap(la.solve, (None, 0))(a, b), A[0], B),
                               np.linalg.solve(A[0], B))


# ---- targets ----------------------------------------------------------------------------------------------------
CASES = {
    "solve": (lambda a, b: la.solve(a, b) + la.solve(a.mT, b), [A, B]),
    "small": (lambda a: (la.inv(a), la.det(a), la.cholesky(a @ pb.conj(a).mT)), [SMALL]),
    "inverse": (la.inv, [A.astype(np.complex64)]),
    "determinants": (lambda a: (la.det(a / 5), *la.slogdet(a)), [A]),
    "cholesky": (la.cholesky, [POSITIVE]),
    "eigh": (lambda a: projectors(a), [HERMITIAN[0]]),
    "svd": (invariants, [TALL[0]]),
    "least squares": (lambda a, b: la.lstsq(a, b)[0], [TALL[0], TALL[1]]),
    "triangular": (lambda a, b: la.solve_triangular(a, b, 2, True), [A, B]),
    "tridiagonal": (lambda a, b: la.tridiagonal_solve(b[:, 0], a[0], b[:, 1], b), [A[0], B[0]]),
    "gradient": (lambda a, b: pb.grad(lambda a: pb.sum(abs(la.solve(a, b)) ** 2))(a), [A, B]),
    "gradient of a factor": (lambda a: pb.grad(lambda a: pb.sum(abs(la.qr(a)[0][0])))(a), [TALL[0]]),
    "loop": (lambda a, b: pb.fori_loop(0, 3, lambda i, x: la.solve(a, x) + b, b), [A[0], B[0]]),
}


class TestCpu(CpuContract):
    cases = CASES


class TestCpuText(CpuTextContract):
    cases = {name: CASES[name] for name in ("solve", "eigh")}


class TestCudaText(CudaTextContract):
    cases = CASES
