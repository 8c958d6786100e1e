"""`linalg.eig` and `eigvals`: general matrices, complex results, derivatives of what phases of vectors leave as it is.
"""

import numpy as np
import pytest
from target_contract import CpuContract, CudaTextContract

import pullback as pb
from pullback.codegen import library_meaning
from pullback.kernels import host

la = pb.linalg


def apart(dtype, n=4):
    """Matrices with eigenvalues near 1, 3, 5, ..."""
    random = np.random.default_rng(6)
    a = np.diag(1.0 + 2 * np.arange(n)) + 0.3 * random.normal(size=(2, n, n))
    turned = 0.2j * random.normal(size=a.shape)
    return (a + turned).astype(dtype) if np.dtype(dtype).kind == "c" else a.astype(dtype)


def invariants(a):
    """What does not depend on the order of values or the phases of vectors."""
    w, v = la.eig(a)
    return pb.sum(w * w * w), v @ (w[:, None] * pb.conj(v).mT), pb.sum(abs(v) ** 4)


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32", "complex64"])
def test_values(dtype):
    a, exact = apart(dtype), 1e-12 if np.dtype(dtype).itemsize // (1 + (dtype[0] == "c")) == 8 else 1e-4
    w, v = pb.compile(la.eig)(a)
    assert w.dtype == v.dtype == np.result_type(dtype, np.complex64)
    np.testing.assert_allclose(a @ v, v * w[:, None], atol=10 * exact)
    np.testing.assert_allclose(np.linalg.norm(v, axis=-2), 1, rtol=exact)
    np.testing.assert_allclose(np.sort_complex(pb.compile(la.eigvals)(a)), np.sort_complex(np.linalg.eigvals(a)),
                               rtol=10 * exact, atol=10 * exact)


def test_a_rotation_has_complex_values():
    w = pb.compile(la.eigvals)(np.array([[0.0, -1.0], [1.0, 0.0]]))
    np.testing.assert_allclose(sorted(w.imag), [-1, 1], rtol=1e-14)


def test_what_is_not_finite_is_nan_and_only_that(capfd):
    a = apart("float64")
    a[0, 1, 1] = np.nan
    w, v = pb.compile(la.eig)(a)
    assert np.isnan(w[0]).all() and np.isnan(v[0]).all() and np.isfinite(w[1]).all() and np.isfinite(v[1]).all()
    assert pb.compile(la.eigvals)(np.zeros((0, 0))).shape == (0,)
    assert "illegal" not in "".join(capfd.readouterr())


def test_no_host_is_called(monkeypatch):
    monkeypatch.setattr(host, "compute", lambda *args: pytest.fail(f"{args[0]} ran on the host"))
    pb.compile(la.eig)(apart("float64"))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_derivatives_of_both_modes(dtype):
    pb.check_grads(invariants, (apart(dtype)[0, :3, :3],), order=2)


def test_the_gradient_of_values_is_made_of_left_and_right_vectors():
    a = apart("complex128")[0]
    found = pb.compile(lambda a: pb.grad(lambda a: pb.real(pb.sum(la.eigvals(a) ** 2)))(a))(a)
    np.testing.assert_allclose(found, 2 * a.T, atol=1e-12)              # of the trace of a @ a


def test_symmetric_matrices_have_the_projectors_of_eigh():
    a = apart("float64")[0]
    a = a + a.T

    def weighted(vectors_of):
        return lambda a: pb.sum(np.arange(16.0).reshape(4, 4) * pb.real(vectors_of(a)))

    def by_eig(a):
        w, v = la.eig(a)
        return v @ (pb.sin(w)[:, None] * pb.conj(v).mT)

    def by_eigh(a):
        w, v = la.eigh(a)
        return v @ (pb.sin(w)[:, None] * v.mT)

    one, other = (pb.compile(lambda a, f=f: pb.jvp(weighted(f), (a,), (a.T @ a,))[1])(a) for f in (by_eig, by_eigh))
    np.testing.assert_allclose(one, other, rtol=1e-10)


def test_a_cupy_without_it_is_named(monkeypatch):
    class Module:
        linalg = object()

    with pytest.raises(NotImplementedError, match="version 14"):
        library_meaning.geev(Module, None, np.eye(2) + 0j)


CASES = {
    "values": (lambda a: pb.sum(la.eigvals(a) ** 3, axis=-1), [apart("complex128")]),
    "invariants": (invariants, [apart("float64")[0]]),
    "gradient": (lambda a: pb.grad(lambda a: pb.real(invariants(a)[0]) + invariants(a)[2])(a), [apart("float64")[0]]),
}


class TestCpu(CpuContract):
    cases = CASES


class TestCudaText(CudaTextContract):
    cases = CASES
