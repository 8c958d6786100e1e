"""CUDA text to machine code (a cubin) by NVRTC, which needs neither a GPU nor a driver.

A cubin and not PTX: PTX of a toolkit that is newer than the driver is refused. `cuda.bindings` gives NVRTC, else CuPy
does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..dsl.errors import CompileError, DeviceError
from . import cache

INSTALL = (
    "install NVRTC with `pip install 'pullback[cuda-check]'` (no GPU is needed), "
    "or CuPy with `pip install 'pullback[cuda]'`"
)
OPTIONS = ("-std=c++17", "--ptxas-options=-v")


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one global function takes of a multiprocessor: registers of a thread, bytes of stack and of spills, shared
    bytes of a block."""

    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    shared: int


@dataclass(frozen=True, slots=True)
class Cubin:
    """Machine code `data` for `arch`, the compiler's `log`, and the footprint of each global function."""

    data: bytes
    arch: str
    log: str

    @property
    def footprints(self) -> dict[str, Footprint]:
        return parse_log(self.log)


def compile_text(text: str, arch: str = "sm_90") -> Cubin:
    """The machine code of a CUDA text for `arch`, from the disk cache when it is there.

    Raises DeviceError where NVRTC is not installed, CompileError where it refuses the text.

        compile_text(write_cuda(program).text).footprints["kernel"].registers
    """
    nvrtc = _binding()
    key = cache.key(text, arch, *OPTIONS, nvrtc.version)
    if (entry := cache.load("cubin", key)) is not None:
        head, _, data = entry.partition(b"\n")
        return Cubin(data, arch, json.loads(head)["log"])
    data, log = nvrtc.compile(text, (f"--gpu-architecture={arch}", *OPTIONS))
    cache.store("cubin", key, json.dumps({"log": log}).encode() + b"\n" + data)
    return Cubin(data, arch, log)


def nvrtc_version() -> str | None:
    """The version of NVRTC as 'major.minor', or None where it is not installed."""
    try:
        return _binding().version
    except DeviceError:
        return None


def parse_log(log: str) -> dict[str, Footprint]:
    """Footprints by name of global function, from the log of `--ptxas-options=-v`."""
    found: dict[str, Footprint] = {}
    for part in re.split(r"Compiling entry function '", log)[1:]:
        name = part.split("'", 1)[0]
        own = part.split(f"Function properties for {name}", 1)[-1]
        numbers = {key: _number(pattern, own) for key, pattern in _PATTERNS.items()}
        found[name] = Footprint(**numbers)
    return found


_PATTERNS = {
    "registers": r"Used (\d+) registers",
    "stack": r"(\d+) bytes stack frame",
    "spill_stores": r"(\d+) bytes spill stores",
    "spill_loads": r"(\d+) bytes spill loads",
    "shared": r"(\d+) bytes smem",
}


def _number(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    return int(match.group(1)) if match else 0


# ---- bindings ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Binding:
    version: str
    compile: Callable[[str, tuple[str, ...]], tuple[bytes, str]]


def _binding() -> _Binding:
    reasons = []
    for find in (_cuda_bindings, _cupy):
        try:
            return find()
        except (
            Exception
        ) as error:  # a missing package, a missing library, a library of another version: each loader has its own
            reasons.append(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
    raise DeviceError(f"CUDA text cannot be compiled here ({'; '.join(reasons)}): {INSTALL}")


def _cuda_bindings() -> _Binding:
    from cuda.bindings import nvrtc  # type: ignore[import-not-found]

    def call(name: str, *args: Any) -> Any:
        status, *results = getattr(nvrtc, name)(*args)
        if int(status) != 0:
            raise CompileError(f"{name}: {nvrtc.nvrtcGetErrorString(status)[1].decode()}")
        return results[0] if len(results) == 1 else results

    def text_of(size: int, name: str, program: Any) -> bytes:
        data = b" " * size
        call(name, program, data)
        return data

    def compile_(text: str, options: tuple[str, ...]) -> tuple[bytes, str]:
        program = call("nvrtcCreateProgram", text.encode(), b"pullback.cu", 0, None, None)
        try:
            (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [o.encode() for o in options])
            log = (
                text_of(call("nvrtcGetProgramLogSize", program), "nvrtcGetProgramLog", program)
                .rstrip(b"\0 \n")
                .decode(errors="replace")
            )
            if int(status) != 0:
                raise CompileError(f"NVRTC refuses a generated text; this is a defect of pullback:\n{log[:4000]}")
            return text_of(call("nvrtcGetCUBINSize", program), "nvrtcGetCUBIN", program), log
        finally:
            call("nvrtcDestroyProgram", program)

    return _Binding(".".join(map(str, call("nvrtcVersion"))), compile_)


def _cupy() -> _Binding:
    from cupy_backends.cuda.libs import nvrtc  # type: ignore[import-not-found]

    def compile_(text: str, options: tuple[str, ...]) -> tuple[bytes, str]:
        program = nvrtc.createProgram(text, "pullback.cu", (), ())
        try:
            try:
                nvrtc.compileProgram(program, options)
            except nvrtc.NVRTCError:
                log = nvrtc.getProgramLog(program)
                raise CompileError(
                    f"NVRTC refuses a generated text; this is a defect of pullback:\n{log[:4000]}"
                ) from None
            return nvrtc.getCUBIN(program), nvrtc.getProgramLog(program)
        finally:
            nvrtc.destroyProgram(program)

    return _Binding(".".join(map(str, nvrtc.getVersion())), compile_)
