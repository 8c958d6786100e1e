"""Calls of the CUDA target: without a GPU one clear error; with a stand-in for CuPy the results, errors and arrays of
a device."""

import builtins
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

import stand_in  # noqa: E402
from programs import examples, gather, pointwise  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.kernels import cuda  # noqa: E402
from pullback.kernels.cuda import CudaTarget  # noqa: E402

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")


@pytest.fixture
def device(monkeypatch):
    stand_in.install(monkeypatch)
    cuda._pending.clear()
    yield
    cuda._pending.clear()


@pytest.fixture
def no_cupy(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kw):
        if name.split(".")[0] == "cupy":
            raise ImportError(name)
        return real(name, *args, **kw)

    monkeypatch.setattr(builtins, "__import__", absent)


# ---- without a GPU ----------------------------------------------------------------------------------------------
def test_without_cupy_a_call_is_one_line_that_says_what_to_install(no_cupy):
    run = CudaTarget().prepare(pointwise())
    assert "k0(" in run.source
    with pytest.raises(pb.DeviceError) as caught:
        run([np.zeros(3), 1.0], {"n": 3})
    assert "\n" not in str(caught.value) and "pip install 'pullback[cuda-ctk]'" in str(caught.value)


def test_a_compiled_expression_can_be_read_and_its_call_says_why_not(no_cupy):
    x = pb.Var("x", ("n",))
    f = pb.compile(pb.exp(x) * 2, device="cuda")
    assert "__global__" in f.source("cuda")
    with pytest.raises(pb.DeviceError, match="needs a GPU"):
        f(x=np.zeros(3))


@pytest.mark.parametrize(
    ("count", "reason"), [(0, "no CUDA device was found"), (None, "driver version is insufficient")]
)
def test_without_a_device_the_reason_is_given(monkeypatch, count, reason):
    def devices():
        if count is None:
            raise RuntimeError("cudaErrorInsufficientDriver: driver version is insufficient\nsecond line")
        return count

    cupy = ModuleType("cupy")
    cupy.cuda = SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=devices))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert reason in cuda.available() and "\n" not in cuda.available()


def test_a_broken_cupy_is_a_reason_and_no_crash(monkeypatch):
    real = builtins.__import__

    def broken(name, *args, **kw):
        if name == "cupy":
            raise OSError("libcudart.so.13: cannot open shared object file")
        return real(name, *args, **kw)

    monkeypatch.setattr(builtins, "__import__", broken)
    assert "libcudart.so.13" in cuda.available()


def test_importing_the_target_does_not_import_cupy():
    code = "import sys, pullback, pullback.kernels.cuda; sys.exit(any(m.split('.')[0] == 'cupy' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- with a stand-in for CuPy -----------------------------------------------------------------------------------
@needs_compiler
@pytest.mark.parametrize("name", ["pointwise", "softmax", "full_sum", "halves", "gemm", "scatter"])
def test_a_program_runs(device, name):
    program, inputs, expected, *sizes = examples()[name]
    shapes = {str(d): n for x, a in zip(program.inputs, inputs, strict=True)
              for d, n in zip(program.buffers[x].shape, np.shape(a), strict=True)}
    outputs = CudaTarget().prepare(program)(inputs, {**shapes, **(sizes[0] if sizes else {})})
    for got, want in zip(outputs, expected, strict=True):
        assert isinstance(got, stand_in.DeviceArray)
        np.testing.assert_allclose(got, want, rtol=1e-12)


@needs_compiler
def test_a_failed_check_is_reported_when_the_device_is_done(device):
    run = CudaTarget().prepare(gather())
    run([np.arange(5.0), np.array([0, 5])], {"n": 2, "m": 5})
    with pytest.raises(IndexError, match="out of range for axis 0"):
        cuda.synchronize()
    run([np.arange(5.0), np.array([0, 7])], {"n": 2, "m": 5})
    with pytest.raises(IndexError, match="out of range for axis 0"):
        run([np.arange(5.0), np.array([0, 1])], {"n": 2, "m": 5})
    assert run([np.arange(5.0), np.array([0, -1])], {"n": 2, "m": 5})[0].tolist() == [0, 4]


@needs_compiler
def test_a_compiled_function_runs_where_its_inputs_live(device):
    def loss(w, x):
        return pb.sum(pb.tanh(x @ w) ** 2)

    r = np.random.default_rng(0)
    w, x = r.normal(size=4), r.normal(size=(7, 4))
    f = pb.compile(pb.value_and_grad(loss))
    value, gradient = f(stand_in.on_device(w), stand_in.on_device(x))
    assert isinstance(gradient, stand_in.DeviceArray)
    t = np.tanh(x @ w)
    np.testing.assert_allclose(value, np.sum(t**2), rtol=1e-12)
    np.testing.assert_allclose(gradient, x.T @ (2 * t * (1 - t**2)), rtol=1e-12)


@needs_compiler
def test_inputs_of_any_layout(device):
    a = np.arange(24.0).reshape(4, 6)
    f = pb.compile(pb.Var("x") * 2 + 1, device="cuda")
    layouts = (a, np.asfortranarray(a), a[::2, ::-1], a.astype(">f8"), a.astype("f4"), a[:0], a[1, 2])
    for x in (*layouts, 3.0, 3):
        for value in (x, stand_in.on_device(x)) if isinstance(x, np.ndarray) and x.dtype.isnative else (x,):
            np.testing.assert_allclose(f(x=value), np.asarray(x) * 2 + 1)
