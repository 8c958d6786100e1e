"""The CUDA target: text by `codegen.cuda`, machine code by NVRTC, arrays, streams and cuBLAS by CuPy.

Reading the text and compiling it need no GPU; a call does. CuPy is imported when a device is asked for, never before.
Calls return before the device is done. A check that failed there is reported, as IndexError, by the next call that
finds the work done, or by `synchronize`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import get_ident
from typing import Any

import numpy as np

from ..codegen.cuda import CudaText, index_of, write_cuda
from ..codegen.cuda_plan import Grid, Launch, walk_launches
from ..codegen.cuda_segments import described
from ..codegen.plan import plan
from ..codegen.program import Program
from ..dsl.errors import DeviceError
from ..dsl.size import evaluate
from ..dsl.surface import input_dtype
from ..dsl.trace import Kind, Traced
from .artefact_cuda import fitting
from .cuda_graphs import Graphs
from .cuda_run import Execution, error_text, input_and_chunk_sizes
from .execute_cpu import Timing
from .inputs import Given, ready
from .nvrtc import Cubin, compile_text

INSTALL = "pip install 'pullback[cuda-ctk]'"
_pending: deque[tuple[Any, Any, Program]] = (
    deque()
)  # (event, error word, program) of calls whose checks are not known yet


def available() -> str | None:
    """Why this process cannot run CUDA programs, in a few words, or None where it can. Never raises."""
    try:
        import cupy  # type: ignore[import-not-found]
    except ImportError:
        return f"CuPy is not installed: {INSTALL}"
    except Exception as error:  # a broken installation raises what it likes
        return f"CuPy cannot be imported ({_first_line(error)}): {INSTALL}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy's own error classes exist only where it was imported whole
        return f"no CUDA device can be used ({_first_line(error)}): check the driver with nvidia-smi"
    return None if count else "no CUDA device was found: check the driver with nvidia-smi"


def synchronize() -> None:
    """Wait for the current device; raises IndexError for a check that failed in a program that ran on it."""
    _cupy().cuda.get_current_stream().synchronize()
    report_failures(wait=True)


def report_failures(wait: bool = False) -> None:
    """Raise IndexError for the first failed check among finished calls (all calls, waiting for them, with `wait`)."""
    while _pending and (wait or _pending[0][0].done):
        _, word, program = _pending.popleft()
        if failed := error_text(program, int(word.item())):
            raise IndexError(failed)


def require_device() -> None:
    """Raise DeviceError, in one line that says what to do, where this process cannot run CUDA programs."""
    _cupy()


def device_arrays(names: Sequence[str], values: Sequence[Any]) -> tuple[list[Any], list[Given]]:
    """`values` (arrays on the device or anywhere, numbers) as CuPy arrays in memory order, and what is known of
    each."""
    arrays, given = [], []
    for name, value in zip(names, values, strict=True):
        if hasattr(value, "__cuda_array_interface__") or (hasattr(value, "__dlpack_device__") and _on_device(value)):
            array, facts = _ready_on_device(value, name)
        else:
            host, facts = ready(value, name)
            array = _cupy().asarray(host)
        arrays.append(array)
        given.append(facts)
    return arrays, given


def _on_device(value: Any) -> bool:
    return int(value.__dlpack_device__()[0]) in (2, 13)  # DLPack's numbers of CUDA memory: its own, and managed


def _ready_on_device(value: Any, name: str) -> tuple[Any, Given]:
    cupy = _cupy()
    array = cupy.asarray(value) if hasattr(value, "__cuda_array_interface__") else cupy.from_dlpack(value)
    dtype, reason, order = input_dtype(np.dtype(array.dtype), name), "", "C"
    if array.dtype != dtype:
        array, reason = array.astype(dtype), f"byte order of {array.dtype.str}"
    if not array.flags.c_contiguous:
        if array.flags.f_contiguous:
            array, order = array.T, "F"
        else:
            array, reason = cupy.ascontiguousarray(array), f"strides {array.strides}"
    return array, Given(Kind(dtype.str, tuple(n == 1 for n in array.shape), order, False), array.shape, reason)


def build(traced: Traced) -> CudaExecutable:
    """Plan a traced graph for this target. Its machine code is made at the first call."""
    timing = Timing()
    start = time.perf_counter()
    program = CudaProgram(plan(traced.outputs, traced.inputs, traced.names))
    program.text()
    timing.codegen = time.perf_counter() - start
    return CudaExecutable(traced, program, timing)


@dataclass(frozen=True)
class CudaExecutable:
    """A traced graph ready to be called on device arrays in memory order."""

    traced: Traced
    compiled: CudaProgram
    timing: Timing

    @property
    def program(self) -> Program:
        return self.compiled.program

    def run(self, arrays: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> list[Any]:
        """The results for inputs of these shapes."""
        sizes = self.traced.sizes_of(shapes)
        results = self.compiled(arrays, sizes)      # a reshaped result is planned as what it reshapes
        return [
            result.reshape([evaluate(d, sizes) for d in node.shape])
            for node, result in zip(self.traced.outputs, results, strict=True)
        ]


def about_graphs(traced: Traced, program: Program, executable: Any) -> list[str]:
    """Which launches of a program are one CUDA graph, at the sizes that it was compiled for; lines for a report."""
    compiled = executable.compiled if isinstance(executable, CudaExecutable) else CudaProgram(program)
    sizes = {name: n for name, n in traced.guards.values.items() if name in compiled.program.sizes}
    inputs = {s for s in compiled.program.sizes if s not in {k.chunks for k in compiled.program.kernels()}}
    return compiled.about_graphs(sizes) if inputs <= sizes.keys() else []


class CudaTarget:
    """Makes callables of Programs.

    run = CudaTarget().prepare(program)
    print(run.source)                       # anywhere
    outputs = run([x, y], {"n": 1000})      # where there is a GPU
    """

    name = "cuda"

    def available(self) -> str | None:
        """Why a call would fail, or None."""
        return available()

    def prepare(self, program: Program) -> CudaProgram:
        """A callable for `program`; nothing is compiled yet and no device is touched."""
        return CudaProgram(program)


class CudaProgram:
    """One Program on the CUDA target. Texts, machine code and loaded modules are made when first asked for, and
    kept."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.ready: dict[tuple[str, str], Cubin] = {}        # made ahead of time, by architecture and index
        self._texts: dict[str, CudaText] = {}
        self._modules: dict[tuple[int, str], dict[str, Any]] = {}
        self._consts: dict[int, dict[str, Any]] = {}
        self._graphs: dict[tuple[int, str], Graphs] = {}
        self._words: dict[tuple[int, int, int], Any] = {}

    def text(self, index: str = "int") -> CudaText:
        """The text and its launches, with indices of 'int' or 'long long'."""
        if index not in self._texts:
            self._texts[index] = write_cuda(self.program, index)
        return self._texts[index]

    @cached_property
    def source(self) -> str:
        """The CUDA C++ text."""
        return self.text().text

    def compile(self, arch: str = "sm_90", index: str = "int") -> Cubin:
        """Machine code for `arch`, by NVRTC where none was made ahead of time; needs no GPU."""
        return fitting(self.ready, arch, index) or compile_text(self.text(index).text, arch)

    def __call__(self, inputs: Sequence[Any], sizes: Mapping[str, int]) -> list[Any]:
        """The outputs, as CuPy arrays, for `inputs` on the device or anywhere.

        `sizes` gives the size symbols of the inputs. Raises DeviceError without a usable GPU, IndexError for a check
        that failed in an earlier call.
        """
        cupy = _cupy()
        report_failures()
        program, device = self.program, cupy.cuda.Device()
        index = index_of(program, self.text(), input_and_chunk_sizes(program, sizes))
        text = self.text(index)
        arrays = [
            cupy.asarray(value, np.dtype(program.buffers[name].element), order="C")
            for name, value in zip(program.inputs, inputs, strict=True)
        ]
        checks = any(launch.checks for launch in walk_launches(text.launches))
        word = self._word(cupy, device) if checks else None
        graphs = self._graphs.setdefault((device.id, index), Graphs(cupy))
        on_device = CupyDevice(cupy, self._functions(device, index), index, graphs)
        execution = Execution(program, text, on_device, sizes, word)
        outputs = execution.run(arrays, self._constants(cupy, device))
        if word is not None:
            found = word.copy()
            word.fill(0)
            event = cupy.cuda.Event(disable_timing=True)
            event.record()
            _pending.append((event, found, program))
        return outputs

    def about_graphs(self, sizes: Mapping[str, int]) -> list[str]:
        """What is captured as a CUDA graph at these sizes, and why nothing is where a capture failed; for reports."""
        problems = [graphs.problem for graphs in self._graphs.values() if graphs.problem]
        if problems:
            return [f"no CUDA graphs, as the capture failed: {problems[0]}"]
        complete = input_and_chunk_sizes(self.program, sizes)
        return described(self.text().launches, complete)

    def _word(self, cupy: Any, device: Any) -> Any:
        """The error word of this thread's calls on the current stream: always the same, for graphs have its address
        baked in."""
        key = device.id, cupy.cuda.get_current_stream().ptr, get_ident()
        if key not in self._words:
            self._words[key] = cupy.zeros(1, np.int32)
        return self._words[key]

    def _functions(self, device: Any, index: str) -> dict[str, Any]:
        """The loaded global functions on `device`, by name."""
        key = (device.id, index)
        if key not in self._modules:
            from cupy.cuda.function import Module  # type: ignore[import-not-found]

            module = Module()
            names = {launch.name for launch in walk_launches(self.text(index).launches)}
            if names:
                module.load(self.compile(f"sm_{device.compute_capability}", index).data)
            self._modules[key] = {name: module.get_function(name) for name in names}
        return self._modules[key]

    def _constants(self, cupy: Any, device: Any) -> dict[str, Any]:
        if device.id not in self._consts:
            self._consts[device.id] = {
                name: cupy.asarray(value, order="C") for name, value in self.program.consts.items()
            }
        return self._consts[device.id]


class CupyDevice:
    """CuPy's arrays and launches on the current stream."""

    def __init__(self, cupy: Any, functions: Mapping[str, Any], index: str, graphs: Graphs) -> None:
        self.arrays, self.functions, self.graphs = cupy, functions, graphs
        self.index = np.int32 if index == "int" else np.int64

    @property
    def scipy(self) -> Any:
        import cupyx.scipy.fft  # type: ignore[import-not-found]
        import cupyx.scipy.linalg  # type: ignore[import-not-found]

        return cupyx.scipy

    def empty(self, name: str, dtype: str, count: int) -> Any:
        return self.arrays.empty(count, np.dtype(dtype))

    def address(self, array: Any) -> int:
        return array.data.ptr

    def launch(self, launch: Launch, grid: Grid, arguments: Sequence[tuple[str, Any]]) -> None:
        make = {"pointer": lambda array: np.uint64(array.data.ptr), "index": self.index, "flag": np.int32}
        values = tuple(make[kind](value) for kind, value in arguments)
        self.functions[launch.name]((grid.blocks, 1, 1), (grid.threads, 1, 1), values)

    def play(self, key: Hashable, work: Callable[[], Any]) -> Any:
        return self.graphs.play(key, work)


def _cupy() -> Any:
    """CuPy, on a machine where it can be used."""
    if reason := available():
        raise DeviceError(f"device='cuda' needs a GPU: {reason}; or compile with device='cpu'")
    import cupy  # type: ignore[import-not-found]

    return cupy


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
