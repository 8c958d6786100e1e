"""IR text to object code, and object code into this process: all that is used of LLVM, through llvmlite."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import Any

from ..dsl.errors import CompileError

_lock = threading.RLock()
_libraries: list[Any] = []  # loaded code lives as long as the process


@functools.cache
def _llvm() -> Any:
    """llvmlite's binding with this machine's code generator switched on."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    return llvm


def host() -> tuple[str, str]:
    """The name and features of this machine's processor, as LLVM spells them."""
    llvm = _llvm()
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def target_machine(level: int = 2) -> Any:
    llvm = _llvm()
    name, features = host()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=name, features=features, opt=level, reloc="pic", codemodel="small", jit=True
    )


def _module(text: str, machine: Any) -> Any:
    llvm = _llvm()
    if not llvm.get_default_triple().startswith(("x86_64", "i686", "amd64")):
        text = text.replace('"PAUSE"', '"yield"')
    try:
        module = llvm.parse_assembly(f'target triple = "{machine.triple}"\n' + text)
        module.verify()
    except RuntimeError as error:
        raise CompileError(f"LLVM refused generated IR, a defect of pullback: {error}") from None
    return module


def compile_ir(text: str) -> bytes:
    """Object code of an IR module for this machine. Raises CompileError where LLVM refuses the text."""
    with _lock:
        machine = target_machine()
        return machine.emit_object(_module(text, machine))


def assembly(text: str) -> str:
    """The machine code of an IR module, to be read."""
    with _lock:
        machine = target_machine()
        return machine.emit_assembly(_module(text, machine))


@functools.cache
def _linker() -> Any:
    """The process's linker. It lays out each object in one block of memory: sections apart by more than 2 GiB, which is
    what LLVM's older loader makes of a crowded address space, cannot reach each other.
    """
    return _llvm().create_lljit_compiler(target_machine(), use_jit_link=True)


def load_functions(data: bytes, names: Sequence[str]) -> list[int]:
    """Map object code into this process; returns the addresses of its functions `names`."""
    with _lock:
        builder = _llvm().JITLibraryBuilder().add_object_img(data).add_current_process()
        for name in names:
            builder.export_symbol(name)
        try:
            library = builder.link(_linker(), f"program_{len(_libraries)}")
        except RuntimeError as error:
            raise CompileError(f"the object code cannot be loaded ({error}); remove it from the cache folder") from None
        _libraries.append(library)
        return [library[name] for name in names]
