"""A stand-in for CuPy that computes with NumPy and launches through the emulator: the calls of the CUDA target
without a GPU.

It has what `pullback.kernels.cuda` uses and nothing else, so a new use of CuPy shows up as an AttributeError.
"""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import scipy.fft
import scipy.linalg
from emulator import build, global_functions

from pullback.codegen.cuda import write_cuda
from pullback.kernels.cuda import CudaProgram
from pullback.kernels.nvrtc import Cubin


class DeviceArray(np.ndarray):
    """An array "on the device": it has an address and the interface of CUDA arrays, and NumPy's functions refuse it."""

    @property
    def data(self):
        return SimpleNamespace(ptr=self.ctypes.data)

    @property
    def __cuda_array_interface__(self):
        return self.__array_interface__


def on_device(value, dtype=None, order=None) -> DeviceArray:
    return np.array(value, dtype, order=order or "K", copy=None).view(DeviceArray)


class Function:
    """A loaded global function: called with a grid, a block and a tuple of NumPy scalars, as CuPy's."""

    def __init__(self, library: ctypes.CDLL, number: int) -> None:
        self.library, self.number = library, number

    def __call__(self, grid, block, args) -> None:
        assert all(isinstance(a, np.generic) for a in args), "CuPy would widen a Python number to 8 bytes"
        values = [np.array(a) for a in args]
        pointers = (ctypes.c_void_p * len(values))(*[v.ctypes.data for v in values])
        problem = self.library.emu_launch(self.number, grid[0], block[0], 1, 0, pointers)
        assert not problem, problem


class Module:
    def load(self, data: bytes) -> None:
        text = data.decode()
        self.library, self.names = build([text]), global_functions(text)

    def get_function(self, name: str) -> Function:
        return Function(self.library, self.names.index(name))


class Event:
    done = False

    def __init__(self, disable_timing: bool = False) -> None: ...

    def record(self) -> None:
        self.done = True


def install(monkeypatch, devices: int = 1) -> None:
    """Let `import cupy` find the stand-in, and "compile" texts to themselves."""
    cupy, cuda, function = ModuleType("cupy"), ModuleType("cupy.cuda"), ModuleType("cupy.cuda.function")
    cupy.asarray, cupy.ascontiguousarray, cupy.matmul, cupy.lib = on_device, on_device, np.matmul, np.lib
    for name in ("array", "diag", "diagonal", "empty_like", "eye", "int32", "linalg", "ravel", "swapaxes", "tril",
                 "where", "zeros_like"):
        setattr(cupy, name, getattr(np, name))
    cupy.empty = lambda shape, dtype: np.full(shape, 0, dtype).view(DeviceArray)
    cupy.zeros = lambda shape, dtype: np.zeros(shape, dtype).view(DeviceArray)
    cuda.Device = lambda: SimpleNamespace(id=0, compute_capability="90")
    cuda.Event, cuda.runtime = Event, SimpleNamespace(getDeviceCount=lambda: devices)
    cuda.get_current_stream = lambda: SimpleNamespace(synchronize=lambda: None)
    cupy.cuda, cuda.function, function.Module = cuda, function, Module
    cupyx = ModuleType("cupyx")
    cupyx.scipy, cupyx.__path__ = scipy, []
    monkeypatch.setitem(sys.modules, "cupyx.scipy", scipy)
    monkeypatch.setitem(sys.modules, "cupyx.scipy.linalg", scipy.linalg)
    monkeypatch.setitem(sys.modules, "cupyx.scipy.fft", scipy.fft)
    for module in (cupy, cuda, function, cupyx):
        monkeypatch.setitem(sys.modules, module.__name__, module)

    def compile_(self: CudaProgram, arch: str = "sm_90", index: str = "int") -> Cubin:
        assert arch == "sm_90"
        return Cubin(write_cuda(self.program, index).text.encode(), arch, "")

    monkeypatch.setattr(CudaProgram, "compile", compile_)
