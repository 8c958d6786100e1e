"""What this machine offers to pullback, and what to install for the rest."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from typing import NamedTuple

from . import cache

REQUIRED = ("numpy", "llvmlite", "numba", "sympy", "scipy", "optree", "opt_einsum")
VECTOR_FEATURES = ("sse2", "avx", "avx2", "fma", "avx512f", "avx512dq", "avx512bw", "avx512vl", "neon", "sve", "sve2")


class Fact(NamedTuple):
    """One line of the report: a name, what was found, and what to do about it ("" when nothing is to be done)."""

    name: str
    found: str
    advice: str = ""


def doctor() -> None:
    """Print what pullback finds on this machine, and what to install. Never raises.

    Example: `pullback.doctor()`, or `python -m pullback doctor` in a shell.
    """
    print(report())


def report() -> str:
    """Return the text that `doctor` prints: a line for each fact, then a line for each piece of advice."""
    facts = list(examine())
    width = max(len(fact.name) for fact in facts)
    lines = [f"{fact.name:<{width}}  {fact.found}" for fact in facts]
    advice = [f"  {fact.name}: {fact.advice}" for fact in facts if fact.advice]
    return "\n".join([*lines, "", "What to do:", *advice] if advice else [*lines, "", "Nothing is missing."])


def examine() -> Iterator[Fact]:
    """Yield every fact. A probe that fails yields its error as what was found."""
    probes: tuple[Callable[[], Iterator[Fact]], ...] = (
        _versions, _processor, _threads, _blas, _cuda_driver, _cupy, _nvrtc, _cache)
    for probe in probes:
        try:
            yield from probe()
        except Exception as error:  # a broken installation is what this command is called for
            yield Fact(probe.__name__.strip("_").replace("_", " "), f"failed: {type(error).__name__}: {error}")


def _versions() -> Iterator[Fact]:
    yield Fact("pullback", _version("pullback") or "imported from a folder, not installed")
    yield Fact("Python", f"{platform.python_version()} ({sys.executable})")
    yield Fact("system", platform.platform())
    for name in REQUIRED:
        version = _version(name)
        yield Fact(name, version or "missing", "" if version else f"pip install {name}")


def _processor() -> Iterator[Fact]:
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    vector = [name for name in VECTOR_FEATURES if features.get(name)]
    yield Fact("LLVM", ".".join(map(str, llvm.llvm_version_info)))
    yield Fact("processor", f"{llvm.get_host_cpu_name()}: {' '.join(vector) or 'no vector features known'}")


def _threads() -> Iterator[Fact]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Fact("processors", f"{usable} usable of {os.cpu_count()}")
    from .team import get_num_threads

    yield Fact("threads", f"{get_num_threads()} (pullback.set_num_threads changes it)")


def _blas() -> Iterator[Fact]:
    import scipy

    config = scipy.show_config(mode="dicts") or {}
    found = config["Build Dependencies"]["blas"]
    yield Fact("BLAS", f"{found.get('name', '?')} {found.get('version', '')} (through scipy)")


def _cuda_driver() -> Iterator[Fact]:
    """Ask the driver itself, so that the answer does not depend on what is installed in Python."""
    library = _load_driver()
    if library is None:
        yield Fact("CUDA driver", "none (CUDA kernels can be generated, read and compiled, but not run)")
        return
    version = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(version))
    yield Fact("CUDA driver", f"CUDA {version.value // 1000}.{version.value % 1000 // 10}")
    count = ctypes.c_int()
    status = library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count))
    if status or not count.value:
        yield Fact("GPU", f"none that can be used (driver status {status})",
                   "nvidia-smi should list a GPU; look at CUDA_VISIBLE_DEVICES and at the driver's version")
    for index in range(count.value):
        yield Fact(f"GPU {index}", _describe_device(library, index))


def _cupy() -> Iterator[Fact]:
    version = _version("cupy-cuda13x") or _version("cupy-cuda12x") or _version("cupy")
    advice = "to run kernels on the GPU: pip install 'pullback[cuda-ctk]'" if _load_driver() and not version else ""
    yield Fact("CuPy", version or "not installed (needed to run CUDA kernels)", advice)


def _nvrtc() -> Iterator[Fact]:
    advice = "to compile CUDA kernels without a GPU: pip install 'pullback[cuda-check]'"
    if not _version("cuda-bindings"):
        yield Fact("NVRTC", "cuda-bindings is not installed", advice)
        return
    status, major, minor = import_module("cuda.bindings.nvrtc").nvrtcVersion()
    works = int(status) == 0
    yield Fact("NVRTC", f"{major}.{minor}" if works else f"status {status}", "" if works else advice)


def _cache() -> Iterator[Fact]:
    entries, size = cache.usage()
    yield Fact("cache folder", str(cache.folder()))
    yield Fact("cache", f"{entries} entries, {size / 2**20:.1f} MiB")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _load_driver() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None


def _describe_device(library: ctypes.CDLL, index: int) -> str:
    device, major, minor, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(100)
    library.cuDeviceGet(ctypes.byref(device), index)
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceGetAttribute(ctypes.byref(major), 75, device)       # COMPUTE_CAPABILITY_MAJOR
    library.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)       # COMPUTE_CAPABILITY_MINOR
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    return f"{name.value.decode()}, sm_{major.value}{minor.value}, {memory.value / 2**30:.0f} GiB"
