"""Machine code of a cubin as text, by nvdisasm: what the compiler made of a kernel, without a GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tempfile
from functools import cache
from pathlib import Path

from ..dsl.errors import CompileError, DeviceError
from .nvrtc import Cubin

INSTALL = "install it with `pip install 'pullback[cuda-check]'`, or put that of a CUDA toolkit on the path"
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]+)")


@cache
def find_nvdisasm() -> str | None:
    """Where nvdisasm is: on the path, or in its wheel."""
    wheels = Path(sysconfig.get_path("purelib")) / "nvidia"
    return shutil.which("nvdisasm") or next(map(str, sorted(wheels.glob("*/bin/nvdisasm"))), None)


def disassemble(cubin: Cubin) -> dict[str, list[str]]:
    """The instructions of each function of `cubin`, in order: names with their modifiers, such as 'LDG.E.128'.

    Functions that are called and not copied in are functions of their own. Raises DeviceError where nvdisasm is not
    installed, CompileError where it refuses the code.

        disassemble(compile_text(f.source("cuda")))["kernel_0"]
    """
    program = find_nvdisasm()
    if program is None:
        raise DeviceError(f"machine code is read by nvdisasm, which was not found: {INSTALL}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.cubin"
        path.write_bytes(cubin.data)
        done = subprocess.run([program, "-c", str(path)], capture_output=True, text=True)
    if done.returncode:
        raise CompileError(f"nvdisasm refuses the code for {cubin.arch}: {done.stderr.strip()[:1000]}")
    parts = re.split(r"^\s*\.section\s+\.text\.([\w$.]+),.*$", done.stdout, flags=re.MULTILINE)
    return {name: _INSTRUCTION.findall(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}
