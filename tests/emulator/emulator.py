"""Programs as CUDA text, run on the CPU by `emulator.h`.

    batch = EmulatedBatch()
    one, two = batch.add(program), batch.add(other)      # compiled together at the first run
    outputs = batch.run(one, [x, y])

A run is several runs: with threads in both orders, with temporaries apart and in the workspace, with fresh memory
filled with two patterns. They must agree to the bit, so a missing barrier, an unwritten output or a read of unwritten
memory is found; every array lies between guard zones, so a write outside it is found too.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import scipy.linalg

from pullback.codegen.cuda import CudaText, write_cuda
from pullback.codegen.cuda_plan import Launch, chunk_counts, index_type, is_symbol, walk_launches
from pullback.codegen.program import Program
from pullback.dsl.size import evaluate
from pullback.kernels.cuda_run import Execution, error_text

HEADER = Path(__file__).with_name("emulator.h")
FLAGS = ("-O1", "-std=c++17", "-shared", "-fPIC", "-ffp-contract=off", "-fno-strict-aliasing", "-fwrapv", "-w")
GUARD = 4096  # bytes before and behind every array
_GLOBAL = re.compile(r'extern "C" __global__ void __launch_bounds__\([^)]*\) (\w+)\(')


class EmulationError(AssertionError):
    """What the emulator found wrong with a text."""


class EmulatedDevice:
    """NumPy arrays between guard zones, and launches of compiled texts."""

    arrays = np
    scipy = scipy

    def __init__(
        self, library: ctypes.CDLL, first: int, names: list[str], index: str, poison: int, descending: bool, shift: int
    ) -> None:
        self.library, self.first, self.names = library, first, names
        self.index = ctypes.c_int if index == "int" else ctypes.c_longlong
        self.poison, self.descending, self.shift = poison, descending, shift
        self.guarded: list[tuple[str, np.ndarray, int]] = []

    def empty(self, name: str, dtype: str, count: int) -> np.ndarray:
        size = count * np.dtype(dtype).itemsize
        store = np.full(size + 2 * GUARD + 64, self.poison, np.uint8)
        start = GUARD + (-(store.ctypes.data + GUARD)) % 64 + (self.shift * np.dtype(dtype).itemsize)
        self.guarded.append((name, store, start))
        array = store[start : start + size].view(dtype)
        self.guarded[-1] = (name, store, start)
        return array

    def upload(self, name: str, value: np.ndarray) -> np.ndarray:
        array = self.empty(name, value.dtype.name, value.size)
        array[:] = value.reshape(-1)
        return array.reshape(value.shape)

    def address(self, array: np.ndarray) -> int:
        return array.ctypes.data

    def launch(self, launch: Launch, grid, arguments) -> None:
        make = {"pointer": lambda a: ctypes.c_void_p(a.ctypes.data), "index": self.index, "flag": ctypes.c_int}
        values = [make[kind](value) for kind, value in arguments]
        packed = (ctypes.c_void_p * len(values))(*[ctypes.addressof(v) for v in values])
        which = self.first + self.names.index(launch.name)
        problem = self.library.emu_launch(
            which, grid.blocks, grid.threads, int(launch.meets), int(self.descending), packed
        )
        if problem:
            raise EmulationError(f"{launch.name}: {problem.decode()}")

    def play(self, key, work):
        return work()

    def check_guards(self) -> None:
        for name, store, start in self.guarded:
            size = store.size - 2 * GUARD - 64
            if (store[:start] != self.poison).any() or (store[start + size :] != self.poison).any():
                raise EmulationError(f"{name}: written outside of its bounds")


class EmulatedBatch:
    """Many programs in one translation unit; compiled at the first run, and once for each content."""

    def __init__(self) -> None:
        self.programs: list[tuple[Program, CudaText]] = []
        self.firsts: list[int] = []
        self.library: ctypes.CDLL | None = None

    def add(self, program: Program, text: CudaText | None = None, index: str = "int") -> int:
        """A handle for `run`; `text` replaces what the writer prints (to plant a defect)."""
        text = text or write_cuda(program, index)
        self.firsts.append(sum(len(global_functions(t.text)) for _, t in self.programs))
        self.programs.append((program, text))
        self.library = None
        return len(self.programs) - 1

    def run(self, handle: int, arrays, sizes: dict[str, int] | None = None) -> list[np.ndarray]:
        """The outputs of a program; raises EmulationError, or IndexError with the text of a failed check."""
        if self.library is None:
            self.library = build([text.text for _, text in self.programs])
        program, text = self.programs[handle]
        arrays = [
            np.asarray(a, program.buffers[n].element, order="C") for n, a in zip(program.inputs, arrays, strict=True)
        ]
        sizes = sizes_of(program, arrays, sizes)
        first = self._once(handle, arrays, sizes, poison=0xFF, descending=True, arena=False)
        again = self._once(handle, arrays, sizes, poison=0x5A, descending=False, arena=True)
        for name, a, b in zip(program.outputs, first, again, strict=True):
            if a.tobytes() != b.tobytes():
                raise EmulationError(
                    f"{name}: depends on the order of threads or on memory that nothing wrote\n{text.text}"
                )
        if any(launch.aligned for launch in walk_launches(text.launches)):
            shifted = self._once(handle, arrays, sizes, poison=0xFF, descending=True, arena=False, shift=1)
            for name, a, b in zip(program.outputs, first, shifted, strict=True):
                if not np.allclose(a, b, rtol=1e-4 if a.dtype == np.float32 else 1e-9, equal_nan=True):
                    raise EmulationError(f"{name}: depends on the alignment of its inputs\n{text.text}")
        return first

    def _once(
        self, handle: int, arrays, sizes, poison: int, descending: bool, arena: bool, shift: int = 0
    ) -> list[np.ndarray]:
        program, text = self.programs[handle]
        assert self.library is not None
        device = EmulatedDevice(
            self.library, self.firsts[handle], global_functions(text.text), text.index, poison, descending, shift
        )
        inputs = [device.upload(n, a) for n, a in zip(program.inputs, arrays, strict=True)]
        consts = {name: device.upload(name, np.asarray(value, order="C")) for name, value in program.consts.items()}
        error = device.empty("error", "int32", 1)
        error[:] = 0
        execution = Execution(program, text, device, sizes, error)
        if text.index == "int" and index_type(program, execution.sizes) != "int":
            raise EmulationError("the text has int indices, but the sizes want long long")
        outputs = [a.copy() for a in execution.run(inputs, consts, arena)]
        device.check_guards()
        for name, a, b in zip(program.inputs, arrays, inputs, strict=True):
            if a.tobytes() != b.tobytes():
                raise EmulationError(f"{name}: an input was written")
        if failed := error_text(program, int(error[0])):
            raise IndexError(failed)
        return outputs


def run_program(program: Program, arrays, sizes: dict[str, int] | None = None, index: str = "int") -> list[np.ndarray]:
    """The outputs of `program` on `arrays`, computed by its CUDA text."""
    batch = EmulatedBatch()
    return batch.run(batch.add(program, index=index), arrays, sizes)


def sizes_of(program: Program, arrays, given: dict[str, int] | None = None) -> dict[str, int]:
    """The sizes of the inputs, read off their shapes, beside those that are given."""
    sizes: dict[str, int] = dict(given or {})
    for name, array in zip(program.inputs, arrays, strict=True):
        for dim, size in zip(program.buffers[name].dims, array.shape, strict=True):
            if (symbol := is_symbol(dim)) is not None:
                sizes[symbol] = size
    for name, array in zip(program.inputs, arrays, strict=True):
        expected = tuple(evaluate(d, sizes) for d in program.buffers[name].dims)
        assert array.shape == expected, f"{name}: expected {expected}, got {array.shape}"
    return chunk_counts(program, sizes)


def joined(texts: list[str]) -> str:
    """Texts as one translation unit, each in its own namespace, so that equal names do not meet."""
    return "\n".join(
        f"namespace unit_{n} {{\n{_GLOBAL.sub(_without_linkage, text)}\n}}" for n, text in enumerate(texts)
    )


def build(texts: list[str]) -> ctypes.CDLL:
    """The shared library of `texts`, from the cache folder when the same was built before."""
    units, table, externs = [], [], []
    for n, text in enumerate(texts):
        units.append(f'#undef EMU_SHARED\n#define EMU_SHARED "emu_shared_{n}"')
        units.append(f"namespace unit_{n} {{\n{_GLOBAL.sub(_without_linkage, text)}\n}}")
        shared = "__shared__" in text
        if shared:
            externs.append(f"extern char __start_emu_shared_{n}[], __stop_emu_shared_{n}[];")
        bounds = f"__start_emu_shared_{n}, __stop_emu_shared_{n}" if shared else "nullptr, nullptr"
        table += [f"    {{emu::Call<&unit_{n}::{name}>::run, {bounds}}}," for name in global_functions(text)]
    source = "\n".join(
        [
            '#include "emulator.h"',
            *units,
            'extern "C" {',
            *externs,
            "}",
            "static const emu::Kernel kernels[] = {",
            *table,
            "};",
            'extern "C" const char* emu_launch(',
            "    int which, unsigned blocks, unsigned threads, int meets, int descending, void** args) {",
            "    return emu::launch(kernels[which], blocks, threads, meets, descending, args);",
            "}",
            "",
        ]
    )
    return _compile(source)


def global_functions(text: str) -> list[str]:
    """The names of the kernels in `text`, in order."""
    return _GLOBAL.findall(text)


def _without_linkage(match: re.Match) -> str:
    return match.group(0).replace('extern "C" ', "")


def _compile(source: str) -> ctypes.CDLL:
    folder = Path(
        os.environ.get("PULLBACK_EMULATOR_CACHE") or Path(tempfile.gettempdir()) / f"pullback-emulator-{os.getuid()}"
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = hashlib.sha256("\0".join([HEADER.read_text(), source, *FLAGS]).encode()).hexdigest()[:24]
    path = folder / f"{key}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as work:
            unit, library = Path(work) / "unit.cpp", Path(work) / "unit.so"
            unit.write_text(source)
            done = subprocess.run(
                ["g++", *FLAGS, f"-I{HEADER.parent}", str(unit), "-o", str(library)], capture_output=True, text=True
            )
            if done.returncode:
                raise EmulationError(f"g++ refuses the text:\n{done.stderr[:4000]}\n{source[:20000]}")
            os.replace(library, path)
    library = ctypes.CDLL(str(path))
    library.emu_launch.restype = ctypes.c_char_p
    library.emu_launch.argtypes = [
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_void_p),
    ]
    return library
