"""Calls of the CUDA target: without a GPU one clear error; with a stand-in for CuPy the results, errors and arrays of
a device."""

import builtins
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

import stand_in  # noqa: E402
from programs import examples, gather, pointwise  # noqa: E402
from stand_in import on_device  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.kernels import artefact_cuda, cuda  # noqa: E402
from pullback.kernels.cuda import CudaProgram, CudaTarget  # noqa: E402
from pullback.kernels.nvrtc import Cubin, nvrtc_version  # noqa: E402

COMPILE = CudaProgram.compile        # before the stand-in replaces it
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


@needs_compiler
def test_a_saved_program_runs_from_the_machine_code_in_the_file(device, tmp_path, monkeypatch):
    """The file holds the program, its captured arrays and a cubin per architecture; nothing is compiled again."""
    row = np.arange(4.0)
    f = pb.compile(lambda x: (pb.sum(pb.exp(x) * row, axis=1), x @ x.T))
    x = np.random.default_rng(2).normal(size=(5, 4))
    f(x)
    monkeypatch.setattr(artefact_cuda, "compile_text", lambda text, arch: Cubin(text.encode(), arch, ""))
    f.save(tmp_path / "f.pullback", architectures=("sm_80", "sm_90"))
    g = pb.load(tmp_path / "f.pullback")
    np.testing.assert_array_equal(g(x)[0], f(x)[0])
    monkeypatch.setattr(cuda, "compile_text", lambda *_: pytest.fail("compiled again"))
    monkeypatch.setattr(CudaProgram, "compile", COMPILE)
    one, two = g(on_device(x))
    np.testing.assert_allclose(np.array(one), (np.exp(x) * row).sum(1), rtol=1e-12)
    np.testing.assert_allclose(np.array(two), x @ x.T, rtol=1e-12)
    with pytest.raises(pb.PullbackError, match="holds no program"):
        g(on_device(x.astype("f4")))


@needs_compiler
def test_a_program_for_cuda_alone_is_saved_without_a_gpu_and_takes_any_array(device, tmp_path):
    f = pb.compile(lambda x: pb.cumsum(pb.sin(x)), device="cuda")
    x = np.linspace(0, 1, 77)
    f.lower(x).compile()
    f.save(tmp_path / "f.pullback")
    np.testing.assert_allclose(np.array(pb.load(tmp_path / "f.pullback")(x)), np.cumsum(np.sin(x)), rtol=1e-12)
    with pytest.raises(pb.PullbackError, match="named 'sm_80', 'sm_90' or the like, not 'hopper'"):
        f.save(tmp_path / "g.pullback", architectures=["hopper"])


def test_code_of_the_same_generation_runs_on_a_later_member():
    ready = {(a, "int"): Cubin(b"", a, "") for a in ("sm_80", "sm_86", "sm_90a", "sm_90")}
    chosen = {a: getattr(artefact_cuda.fitting(ready, a, "int"), "arch", None) for a in
              ("sm_80", "sm_87", "sm_89", "sm_90", "sm_100")}
    assert chosen == {"sm_80": "sm_80", "sm_87": "sm_86", "sm_89": "sm_86", "sm_90": "sm_90", "sm_100": None}
    assert artefact_cuda.fitting(ready, "sm_80", "long long") is None


@pytest.mark.skipif(nvrtc_version() is None, reason="NVRTC is not installed")
def test_real_machine_code_is_in_the_file(tmp_path):
    f = pb.compile(lambda x: x * 2, device="cuda")
    f.lower(np.ones(3)).compile()
    f.save(tmp_path / "f.pullback", architectures="sm_90")
    with zipfile.ZipFile(tmp_path / "f.pullback") as archive:
        codes = [archive.read(name) for name in archive.namelist() if name.endswith(".cubin")]
    assert len(codes) == 2 and all(code[:4] == b"\x7fELF" for code in codes)
