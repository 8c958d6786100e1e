"""Programs as CUDA text, run on the CPU by `emulator.h`.

    batch = EmulatedBatch()
    one, two = batch.add(program), batch.add(other)      # compiled together at the first run
    outputs = batch.run(one, [x, y])

Every access of a kernel is watched: outside of its array, or out of order with what another thread does there (a
missing barrier, two blocks at one element), it is an error whatever values come out; so is undefined behaviour of C++.
A run is several runs: with threads in both orders, with temporaries apart and in the workspace, with fresh memory
filled with two patterns. They must agree to the bit, so an unwritten output or a read of unwritten memory is found;
every array lies between guard zones, so what library steps write outside of it is found too.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.linalg

from pullback.codegen.cuda import CudaText, write_cuda
from pullback.codegen.cuda_plan import Launch, chunk_counts, index_type, is_symbol, itemsize, walk_launches
from pullback.codegen.program import Program
from pullback.dsl.size import evaluate
from pullback.kernels.cuda_run import Execution, error_text

HERE = Path(__file__).parent
FLAGS = ("-O1", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-ffp-contract=off", "-w")
# Not "bool": the poisoned rest of a stack of bools is copied with it, as that of floats is, and never decides anything.
UNDEFINED = "signed-integer-overflow,integer-divide-by-zero,shift,bounds,alignment,null,return,unreachable"
CHECKS = ("-fno-strict-aliasing", "-fsanitize=thread", "--param=tsan-instrument-func-entry-exit=0",
          f"-fsanitize={UNDEFINED}")  # only calls into the text; the functions called are in memory.cpp
GUARD = 4096  # bytes before and behind every array
_SHARED = re.compile(r"__shared__ ([\w ]+?) (\w+)\[([^\]]+)\];")
_GLOBAL = re.compile(r'extern "C" __global__ void __launch_bounds__\([^)]*\) (\w+)\(')


class EmulationError(AssertionError):
    """What the emulator found wrong with a text."""


class EmulatedDevice:
    """NumPy arrays between guard zones, and launches of compiled texts."""

    arrays = np
    scipy = scipy

    def __init__(
        self, library: ctypes.CDLL, first: int, text: CudaText, grain: int, poison: int, descending: bool, shift: int
    ) -> None:
        self.library, self.first, self.names = library, first, global_functions(text.text)
        self.index = ctypes.c_int if text.index == "int" else ctypes.c_longlong
        self.grain = grain      # bytes of an element of the workspace, as far as races are concerned
        self.poison, self.descending, self.shift = poison, descending, shift
        self.guarded: list[tuple[str, np.ndarray, int]] = []

    def empty(self, name: str, dtype: str, count: int) -> np.ndarray:
        size = count * np.dtype(dtype).itemsize
        store = np.full(size + 2 * GUARD + 64, self.poison, np.uint8)
        start = GUARD + (-(store.ctypes.data + GUARD)) % 64 + (self.shift * np.dtype(dtype).itemsize)
        self.guarded.append((name, store, start))
        first, last, array = store.ctypes.data, store.ctypes.data + store.size, store[start : start + size].view(dtype)
        grain = self.grain if name == "workspace" else array.real.dtype.itemsize
        self.library.emu_watch(name.encode(), first + start, size, first, last, grain, int(name == "error"))
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
            compare(name, a, b, text.text)
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
        grain = min((itemsize(b.dtype) for b in program.buffers.values() if b.kind == "temp"), default=1)
        device = EmulatedDevice(self.library, self.firsts[handle], text, grain, poison, descending, shift)
        try:
            return _outputs_on(device, program, text, arrays, sizes, arena)
        finally:
            self.library.emu_watch_none()


def _outputs_on(device: EmulatedDevice, program: Program, text: CudaText, arrays, sizes, arena: bool):
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


def compare(name: str, first: np.ndarray, again: np.ndarray, text: str) -> None:
    """Two runs gave the same bits, and no element kept the pattern that its memory was filled with before each."""
    if first.tobytes() == again.tobytes():
        return
    a, b = (np.frombuffer(x.tobytes(), np.uint8).reshape(x.size, -1) for x in (first, again))
    left = np.flatnonzero((a == 0xFF).all(1) & (b == 0x5A).all(1))
    if left.size:
        raise EmulationError(f"{name}: nothing wrote {left.size} of {first.size} elements, first [{left[0]}]\n{text}")
    raise EmulationError(f"{name}: depends on the order of threads or on memory that nothing wrote\n{text}")


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
        units.append(f"namespace unit_{n} {{\n{_GLOBAL.sub(_without_linkage, with_watched_arrays(text))}\n}}")
        shared = "__shared__" in text
        if shared:
            externs.append(f"extern char __start_emu_shared_{n}[], __stop_emu_shared_{n}[];")
        bounds = f"__start_emu_shared_{n}, __stop_emu_shared_{n}" if shared else "nullptr, nullptr"
        table += [f"    {{emu::Call<&unit_{n}::{name}>::run, {bounds}}}," for name in global_functions(text)]
    return _compile("\n".join([
        '#include "emulator.h"',
        *units,
        'extern "C" {',
        *externs,
        "}",
        "static const emu::Kernel kernels[] = {",
        *table,
        "};",
        *_ENTRIES,
    ]))


_ENTRIES = (
    'extern "C" __attribute__((visibility("default"))) const char* emu_launch(',
    "    int which, unsigned blocks, unsigned threads, int meets, int descending, void** args) {",
    "    return emu::launch(kernels[which], blocks, threads, meets, descending, args);",
    "}",
    'extern "C" __attribute__((visibility("default"))) void emu_watch(',
    "    const char* name, void* start, size_t bytes, void* from, void* to, unsigned grain, int error_word) {",
    "    emu::watch(name, start, bytes, from, to, grain, error_word ? emu::ERROR_WORD : emu::BUFFER);",
    "}",
    'extern "C" __attribute__((visibility("default"))) void emu_watch_none() { emu::watch_none(); }',
    "",
)


def with_watched_arrays(text: str) -> str:
    """`text` with shared arrays of the emulator; every declaration of shared memory has to be one that it knows."""
    found, count = _SHARED.subn(r"EMU_SHARED_ARRAY(\1, \2, \3);", text)
    if count != text.count("__shared__"):
        raise EmulationError("shared memory is declared in another form than `__shared__ T name[N];`")
    return found


def global_functions(text: str) -> list[str]:
    """The names of the kernels in `text`, in order."""
    return _GLOBAL.findall(text)


def _without_linkage(match: re.Match) -> str:
    return match.group(0).replace('extern "C" ', "")


def _compile(source: str) -> ctypes.CDLL:
    library = ctypes.CDLL(str(_built(
        "so", [*FLAGS, *CHECKS], source, ["-shared", "-Wl,-Bsymbolic", *map(str, runtime())])))
    unsigned, pointer = ctypes.c_uint, ctypes.c_void_p
    library.emu_launch.restype = ctypes.c_char_p
    library.emu_launch.argtypes = [
        ctypes.c_int, unsigned, unsigned, ctypes.c_int, ctypes.c_int, ctypes.POINTER(pointer)]
    library.emu_watch.restype = library.emu_watch_none.restype = None
    library.emu_watch.argtypes = [ctypes.c_char_p, pointer, ctypes.c_size_t, pointer, pointer, unsigned, ctypes.c_int]
    return library


def runtime() -> list[Path]:
    """The emulator itself, without the checks that it makes of texts."""
    return [_built("o", FLAGS, (HERE / name).read_text(), None) for name in ("threads.cpp", "memory.cpp")]


def _built(kind: str, flags: Sequence[str], source: str, link: Sequence[str] | None) -> Path:
    """An object file, or a library of it and what `link` names, from the cache folder or made by g++."""
    folder = Path(
        os.environ.get("PULLBACK_EMULATOR_CACHE") or Path(tempfile.gettempdir()) / f"pullback-emulator-{os.getuid()}"
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    headers = [(HERE / name).read_text() for name in ("emulator.h", "runtime.h")]
    key = hashlib.sha256("\0".join([*headers, source, *flags, *(link or ())]).encode()).hexdigest()[:24]
    path = folder / f"{key}.{kind}"
    if path.exists():
        return path
    with tempfile.TemporaryDirectory(dir=folder) as work:
        unit, compiled, linked = (Path(work) / name for name in ("unit.cpp", "unit.o", "unit.so"))
        unit.write_text(source)
        _call(["g++", *flags, f"-I{HERE}", "-c", str(unit), "-o", str(compiled)], source)
        if link is not None:
            _call(["g++", str(compiled), *link, "-o", str(linked)], source)
        os.replace(compiled if link is None else linked, path)
    return path


def _call(command: list[str], source: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise EmulationError(f"g++ refuses the text:\n{done.stderr[:4000]}\n{source[:20000]}")
