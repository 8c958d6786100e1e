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

    def __setitem__(self, where, value) -> None:
        target, source = baked(self), baked(value)
        done(lambda: target.__setitem__(where, source))

    def fill(self, value) -> None:
        target = baked(self)
        done(lambda: target.fill(value))


def baked(value):
    """An array as its address alone, which is what a launch keeps of it."""
    if not isinstance(value, DeviceArray) or not value.flags.c_contiguous or not value.size:
        return value
    memory = (ctypes.c_char * value.nbytes).from_address(value.ctypes.data)
    return np.frombuffer(memory, value.dtype).reshape(value.shape)


class Pool:
    """Memory that is handed out again once nothing uses it, as CuPy's: the same address for the same request."""

    def __init__(self) -> None:
        self.free: dict[int, list[np.ndarray]] = {}

    def array(self, shape, dtype) -> DeviceArray:
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        size = -(-max(count, 1) // 512) * 512
        stores = self.free.setdefault(size, [])
        store = stores.pop() if stores else np.empty(size, np.uint8)
        array = np.asarray(Block(store, stores))[:count].view(dtype).reshape(shape).view(DeviceArray)
        np.ndarray.fill(array, 0)
        return array


class Block:
    """Memory of the pool that arrays are made of; it goes back with the last of them."""

    def __init__(self, store: np.ndarray, home: list[np.ndarray]) -> None:
        self.store, self.home, self.__array_interface__ = store, home, store.__array_interface__

    def __del__(self) -> None:
        self.home.append(self.store)


class Stream:
    """A stream: what is launched while it is current and captures is recorded, not done."""

    current: list[Stream] = []
    graphs: list[Graph] = []
    refuses = ""

    def __init__(self, non_blocking: bool = False) -> None:
        self.recorded: list | None = None
        self.ptr = id(self)
        self.launches = 0       # calls from Python: a launch or a whole graph

    def __enter__(self) -> Stream:
        Stream.current.append(self)
        return self

    def __exit__(self, *error) -> None:
        assert Stream.current.pop() is self

    def synchronize(self) -> None:
        assert self.recorded is None, "operation not permitted when stream is capturing"

    def begin_capture(self) -> None:
        self.recorded = []

    def end_capture(self) -> Graph:
        assert self.recorded is not None
        if Stream.refuses:
            raise RuntimeError(Stream.refuses)
        Stream.graphs.append(Graph(self.recorded))
        self.recorded = None
        return Stream.graphs[-1]


class Graph:
    def __init__(self, recorded: list) -> None:
        self.recorded, self.played = recorded, 0

    def launch(self) -> None:
        self.played += 1
        done(lambda: [work() for work in self.recorded])


def done(work) -> None:
    """Launch `work` on the current stream."""
    stream = Stream.current[-1]
    if stream.recorded is not None:
        stream.recorded.append(work)
    else:
        stream.launches += 1
        work()


def add(a, b, out) -> None:
    a, out = baked(a), baked(out)
    done(lambda: np.add(a, b, out=out))


def not_in_a_capture(function):
    """A function of a library that CuPy refuses to capture."""
    def called(*args, **kw):
        if Stream.current[-1].recorded is not None:
            raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
        return function(*args, **kw)

    return called


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

        def work(kept=values) -> None:
            problem = self.library.emu_launch(self.number, grid[0], block[0], 1, 0, pointers)
            assert not problem, problem

        done(work)


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
    cupy.asarray, cupy.ascontiguousarray, cupy.lib = on_device, on_device, np.lib
    cupy.matmul = not_in_a_capture(np.matmul)
    for name in ("array", "diag", "diagonal", "empty_like", "eye", "int32", "linalg", "ravel", "swapaxes", "tril",
                 "where", "zeros_like"):
        setattr(cupy, name, getattr(np, name))
    cupy.empty = cupy.zeros = Pool().array
    cupy.add = add
    cuda.Device = lambda: SimpleNamespace(id=0, compute_capability="90")
    cuda.Event, cuda.runtime = Event, SimpleNamespace(getDeviceCount=lambda: devices)
    Stream.current, Stream.graphs, Stream.refuses = [Stream()], [], ""
    cuda.Stream, cuda.get_current_stream = Stream, lambda: Stream.current[-1]
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
