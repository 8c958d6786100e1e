"""Library steps: LAPACK inside the one native call, the host for what has no pointer; on every target, and under
derivatives, lanes, loops and threads.
"""

import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from target_contract import CpuContract, CpuTextContract, CudaTextContract

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

import stand_in  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.library_meaning import potrf  # noqa: E402
from pullback.dsl.library import ROUTINES  # noqa: E402
from pullback.kernels import cuda, host  # noqa: E402
from pullback.kernels.cpu import CpuProgram  # noqa: E402

la = pb.linalg
RANDOM = np.random.default_rng(7)
A = RANDOM.normal(size=(3, 9, 9))
SPD = A @ np.swapaxes(A, -1, -2) + 9 * np.eye(9)
B = RANDOM.normal(size=(3, 9, 2))
WELL = A[:2, :3, :3] + 4 * np.eye(3)
C = np.asarray(B[0], np.float32)


def repeated(a, b):
    return pb.fori_loop(0, 4, lambda i, x: la.solve(a, x) + b, b)


def exponentials(a, b):
    return pb.fori_loop(0, 3, lambda i, x: la.expm(a / 9 + 0 * x[0, 0]) @ x - b, b)


CASES = {
    "cholesky": (lambda a: la.cholesky(a), [SPD]),
    "upper factor": (lambda a: la.cholesky(a, upper=True), [SPD[0].astype(np.float32)]),
    "solve": (lambda a, b: la.solve(a, b), [A, B]),
    "solve one of many": (lambda a, b: la.solve(a, b), [A[0], B]),
    "solve a vector": (lambda a, b: la.solve(a, b) + la.solve(a.T, b), [A[0], B[0, :, 0]]),
    "inverse": (lambda a: la.inv(a), [A]),
    "triangular": (lambda a, b: [la.solve_triangular(a, b, t, low, u) for t in (0, "T") for low in (True, False)
                                 for u in (True, False)], [SPD, B]),
    "triangular, a vector": (lambda a, b: [la.solve_triangular(a, b, t, True) for t in (0, 1)], [SPD[0], C[:, 0]]),
    "expm": (lambda a: la.expm(a), [A / 9]),
    "loop of solves": (repeated, [A[0], B[0]]),
    "loop of exponentials": (exponentials, [A[0], B[0]]),
    "gradient": (lambda a, b: pb.grad(lambda a: pb.sum(la.solve(a, b) ** 2))(a), [A, B]),
    "gradient of a factor": (lambda a, g: pb.grad(lambda a: pb.sum(la.cholesky(a) * g))(a), [SPD, A]),
    "gradient through a loop": (lambda a, b: pb.grad(lambda a: pb.sum(repeated(a, b)))(a), [SPD[0], B[0]]),
    "products with itself": (lambda a: (a @ a.T, a.T @ a, (a @ a.T).T, a[:, :0] @ a[:, :0].T), [A[0, :, :7]]),
    "products with themselves": (lambda a: (a @ a.mT, a.mT @ a), [A[:, :, :7].astype(np.float32)]),
    "its gradient": (lambda a, g: pb.grad(lambda a: pb.sum(g * (a @ a.T)))(a), [A[0, :, :7], A[1]]),
    "lanes": (lambda a, b: pb.vmap(la.solve, (None, 0))(a, b), [A[0], B]),
}


class TestCpu(CpuContract):
    cases = CASES


class TestCpuText(CpuTextContract):
    cases = {name: CASES[name] for name in ("cholesky", "loop of solves", "triangular", "expm")}


class TestCudaText(CudaTextContract):
    cases = CASES


# ---- against SciPy ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_results_are_those_of_scipy(dtype, order):
    a, s, b = (np.array(x, dtype, order=order) for x in (A[0], SPD[0], B[0]))
    exact = 1e-10 if dtype == "float64" else 1e-3
    pairs = [(pb.compile(la.solve)(a, b), np.linalg.solve(a, b)), (pb.compile(la.inv)(a), np.linalg.inv(a)),
             (pb.compile(la.cholesky)(s), np.linalg.cholesky(s)), (pb.compile(la.expm)(a), scipy.linalg.expm(a)),
             (pb.compile(lambda a, b: la.solve_triangular(a, b, lower=True, unit_diagonal=True))(s / 20, b),
              scipy.linalg.solve_triangular(s / 20, b, lower=True, unit_diagonal=True))]
    for found, wanted in pairs:
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, rtol=exact, atol=exact * abs(wanted).max())


@pytest.mark.parametrize("n", [0, 1])
def test_small_and_empty(n):
    a, b = 4 * np.eye(n), np.ones((n, 2))
    np.testing.assert_array_equal(pb.compile(la.cholesky)(a), 2 * np.eye(n))
    np.testing.assert_array_equal(pb.compile(la.solve)(a, b), b / 4)
    np.testing.assert_array_equal(pb.compile(la.inv)(a), np.eye(n) / 4)
    np.testing.assert_array_equal(pb.compile(la.solve_triangular)(a, b), b / 4)
    assert pb.compile(la.solve)(np.eye(9), np.ones((9, 0))).shape == (9, 0)
    assert pb.compile(la.inv)(np.zeros((0, 9, 9))).shape == (0, 9, 9)


def test_what_has_no_answer_is_nan_and_only_that():
    bad = np.stack([SPD[0], -SPD[1], SPD[2]])
    factor = pb.compile(la.cholesky)(bad)
    np.testing.assert_allclose(factor[[0, 2]], np.linalg.cholesky(bad[[0, 2]]))
    assert np.isnan(factor[1][np.tril_indices(9)]).all()
    singular = np.stack([A[0], np.diag([1.0, 0, *np.ones(7)])])
    for function in (la.solve, lambda a, b: la.solve_triangular(a, b, lower=True)):
        found = pb.compile(function)(singular, np.ones((2, 9, 1)))
        assert np.isfinite(found[0]).all() and np.isnan(found[1]).all()
    assert np.isnan(pb.compile(la.inv)(np.zeros((9, 9)))).all()
    assert np.isnan(pb.compile(la.expm)(np.full((9, 9), np.nan))).all()


@pytest.mark.parametrize("text, a, b", [
    ("square", np.ones((2, 3)), np.ones(2)), ("2 columns", np.eye(2), np.ones(3)), ("matrix", np.ones(3), np.ones(3)),
    ("scalar", np.eye(2), 1.0)])
def test_shapes_that_do_not_fit_are_refused(text, a, b):
    with pytest.raises(pb.ShapeError, match=text):
        pb.compile(la.solve)(a, b)


# ---- derivatives ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("function, args", [
    (la.cholesky, (SPD[:2, :3, :3],)), (la.solve, (WELL, B[:2, :3])), (la.inv, (WELL,)),
    (la.expm, (A[0, :3, :3] / 3,)), (lambda a, b: la.solve_triangular(a, b, trans=1, lower=True),
                                     (SPD[:2, :3, :3] / 9, B[:2, :3])),
    (lambda a, b: la.solve_triangular(a, b, unit_diagonal=True), (A[0, :3, :3], B[0, :3])),
    (repeated, (A[0, :3, :3] + 3 * np.eye(3), B[0, :3]))])
def test_derivatives_of_both_modes(function, args):
    pb.check_grads(function, args, order=2)


def test_forward_and_reverse_agree():
    f = pb.compile(lambda a, b, ta, tb, g: (
        pb.sum(pb.jvp(la.solve, (a, b), (ta, tb))[1] * g),
        [pb.sum(x * t) for x, t in zip(pb.vjp(la.solve, a, b)[1](g), (ta, tb), strict=True)]))
    ta, tb, g = RANDOM.normal(size=A.shape), RANDOM.normal(size=B.shape), RANDOM.normal(size=B.shape)
    forward, reverse = f(A, B, ta, tb, g)
    np.testing.assert_allclose(forward, sum(reverse), rtol=1e-11)


def test_a_product_with_itself_is_half_a_product_and_its_gradient_one():
    f = pb.compile(lambda a, g: pb.value_and_grad(lambda a: pb.sum(g * (a @ a.T)))(a))
    program = f.lower(A[0, :, :7], A[1]).as_text("program")
    assert program.count("= syrk(") == 2 and program.count("= gemm(") == 1
    pb.check_grads(lambda a: pb.sin(a @ a.T), (A[0, :3, :4],), order=2)


def test_the_reverse_rule_of_cholesky_multiplies_by_triangles():
    program = pb.compile(CASES["gradient of a factor"][0]).lower(SPD, A).as_text("program")
    assert program.count("= trmm(") == 2 and "gemm" not in program
    pb.check_grads(lambda a, b: pb.jvp(la.cholesky, (a + a.T + 9 * np.eye(3),), (b,))[1], (A[0, :3, :3], A[1, :3, :3]),
                   order=2)


def test_a_gradient_factors_once():
    f = pb.compile(lambda a, b: pb.value_and_grad(lambda a, b: pb.sum(la.solve(a, b) ** 2), argnums=(0, 1))(a, b))
    program = f.lower(A[0], B[0]).as_text("program")
    assert program.count("getrf(") == 2 and program.count("getrs(") == 4       # each in its title and its line


# ---- native code ------------------------------------------------------------------------------------------------
def test_lapack_runs_without_the_host_and_the_host_is_called_for_the_rest(monkeypatch):
    calls = []
    monkeypatch.setattr(host, "compute", lambda *args, original=host.compute: calls.append(args[0]) or original(*args))
    pb.compile(repeated)(A[0], B[0])
    pb.compile(la.cholesky)(SPD)
    assert calls == []
    pb.compile(exponentials)(A[0], B[0])
    assert calls == ["expm"] * 3


def test_a_defect_in_the_host_gives_nan_and_is_reported(monkeypatch):
    reports = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    monkeypatch.setattr(host.library_meaning, "expm", lambda *_: 1 / 0)
    assert np.isnan(pb.compile(la.expm)(A[0])).all()
    assert reports[0].exc_type is ZeroDivisionError


def test_threads_share_a_program():
    f = pb.compile(lambda a, b: la.expm(a / 9) @ la.solve(a, b))
    wanted = f(A, B)
    found = []
    threads = [threading.Thread(target=lambda: found.extend(f(A, B) for _ in range(20))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 80 and all(np.array_equal(x, wanted) for x in found)


def test_cost_and_memory_count_library_steps():
    n, k = 100, 3
    lowered = pb.compile(la.solve).lower(np.eye(n), np.ones((k, n)).T)
    assert lowered.cost()["flops"] == 2 * n**3 // 3 + 2 * n * n * k
    memory = lowered.memory()
    assert memory["temporaries"] >= 8 * n * n + 4 * n          # factors and pivots
    assert "getrf" in pb.compile(la.solve).lower(np.eye(n), np.ones((n, k))).as_text("program")


def test_saved_programs_call_the_host(tmp_path):
    f = pb.compile(lambda a, b: la.expm(a / 9) @ la.solve(a, b))
    wanted = f(A, B)
    f.save(tmp_path / "f.pullback")
    np.testing.assert_array_equal(pb.load(tmp_path / "f.pullback")(A, B), wanted)


@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
def test_a_call_on_cuda_uses_the_device_s_library(monkeypatch):
    stand_in.install(monkeypatch)
    cuda._pending.clear()
    f = pb.compile(lambda a, b: la.cholesky(a) @ la.solve(a, b), device="cuda")
    np.testing.assert_allclose(np.asarray(f(SPD, B)), np.linalg.cholesky(SPD) @ np.linalg.solve(SPD, B), rtol=1e-9)
    cuda._pending.clear()


def test_one_matrix_of_many_systems_is_factored_once():
    for b in (B, RANDOM.normal(size=(2, 3, 9, 1))):
        found = pb.compile(la.solve).lower(A[0], b).as_text("program")
        assert "factors: float64[n0, n0]" in found or "factors: float64[n1, n1]" in found, found
        np.testing.assert_allclose(pb.compile(la.solve)(A[0], b), np.linalg.solve(A[0], b), rtol=1e-9)
        np.testing.assert_allclose(pb.compile(lambda a, b: la.solve_triangular(a, b, lower=True))(SPD[0], b),
                                   np.linalg.solve(np.tril(SPD[0]), b), rtol=1e-9)
    pb.check_grads(la.solve, (A[0, :5, :5] + 4 * np.eye(5), B[:, :5]), order=1)


# ---- rows and text ----------------------------------------------------------------------------------------------
def test_every_row_is_composed_or_has_a_meaning():
    for name, row in ROUTINES.items():
        assert row.expansion is not None or hasattr(host.library_meaning, name), name
    np.testing.assert_allclose(np.tril(potrf(np, scipy, SPD)), np.linalg.cholesky(SPD))


def test_expressions_print_and_numpy_dispatches():
    a, b = pb.Var("A"), pb.Var("b")
    assert repr(la.solve(a, b)) == repr(np.linalg.solve(a, b)) == "solve(A, b)"
    f = pb.compile(np.linalg.inv(a) @ b)
    np.testing.assert_allclose(f(A=A[0], b=B[0]), np.linalg.solve(A[0], B[0]))


@pytest.fixture
def two_threads():
    before = pb.get_num_threads()
    yield
    pb.set_num_threads(before)


@pytest.mark.parametrize("n, count", [(11, 2000), (9, 1), (40, 61)])
def test_threads_share_the_matrices_of_a_batch(two_threads, n, count):
    """Kernels before and after, results that are NaN, and loops: the same bits as with one thread, many times over."""
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(count, n, n)) + 3 * np.eye(n), rng.normal(size=(count, n, 2))
    a[count // 3, :, 0] = 0

    def refined(a, b):
        return pb.fori_loop(0, 3, lambda i, x: x + la.solve(a, b - a @ x), la.solve(2.0 * a, b))

    def both(a, b):
        return refined(a, b) + 1.0, la.cholesky(a @ a.mT)

    f, wanted = pb.compile(both), None
    for threads in (1, 2, 2, 2, 2):
        pb.set_num_threads(threads)
        found = f(a, b)
        wanted = wanted or found
        for x, y in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(x, y)
    good = np.arange(count) != count // 3
    np.testing.assert_allclose(wanted[0][good], np.linalg.solve(a[good], b[good]) + 1, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(np.isnan(wanted[0]).all(axis=(1, 2)), ~good)


def test_a_large_batch_wakes_the_team(two_threads):
    """As many threads as there are matrices may take part, where there is work for them."""
    pb.set_num_threads(2)
    f = pb.compile(lambda a: la.cholesky(a))
    built = CpuProgram.build(f.lower(np.ones((3, 20, 20))).program)
    assert not built.bind((3000, 20)).alone and built.bind((3, 20)).alone
