"""The CUDA part of an artefact: a Program as data, its captured arrays, and machine code for chosen architectures."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..codegen.plain import described, restored
from ..codegen.program import Program
from ..dsl.errors import PullbackError
from ..dsl.trace import Traced
from .execute_cpu import Timing
from .nvrtc import Cubin, compile_text

if TYPE_CHECKING:
    from .cuda import CudaExecutable

INDICES = ("int", "long long")


def checked(architectures: Sequence[str]) -> tuple[str, ...]:
    """Names such as 'sm_90'. Raises PullbackError for anything else."""
    names = (architectures,) if isinstance(architectures, str) else tuple(architectures)
    for name in names:
        if not re.fullmatch(r"sm_\d+[af]?", str(name)):
            raise PullbackError(f"an architecture is named 'sm_80', 'sm_90' or the like, not {name!r}")
    return names


def write_program(archive: zipfile.ZipFile, name: str, program: Program, architectures: Sequence[str]) -> None:
    """Add `program` and its machine code. Raises DeviceError where NVRTC is missing."""
    from ..codegen.cuda import write_cuda

    cubins = []
    for index in INDICES if architectures else ():
        text = write_cuda(program, index).text
        for arch in architectures:
            cubin, file = compile_text(text, arch), f"{len(cubins)}.cubin"
            archive.writestr(f"{name}.{file}", cubin.data)
            cubins.append({"arch": arch, "index": index, "log": cubin.log, "text": _digest(text), "file": file})
    for number, constant in enumerate(program.consts.values()):
        data = io.BytesIO()
        np.save(data, constant, allow_pickle=False)
        archive.writestr(f"{name}.{number}.const.npy", data.getvalue())
    facts = {"program": described(program), "consts": list(program.consts), "cubins": cubins}
    archive.writestr(f"{name}.cuda.json", json.dumps(facts))


def is_there(archive: zipfile.ZipFile, name: str) -> bool:
    return f"{name}.cuda.json" in archive.namelist()


def members(archive: zipfile.ZipFile, name: str) -> dict[str, bytes]:
    """What `write_program` wrote, by what follows the program's name."""
    ends = "cuda.json", "cubin", "const.npy"
    own = [m for m in archive.namelist() if m.startswith(f"{name}.") and m.endswith(ends)]
    return {m.removeprefix(f"{name}."): archive.read(m) for m in own}


def read_program(members: dict[str, bytes], traced: Traced) -> CudaExecutable:
    """A program from its members, ready to be called on a device. Code of another text (one that an older pullback
    printed) is left alone: NVRTC compiles the present one."""
    from .cuda import CudaExecutable, CudaProgram

    facts = json.loads(members["cuda.json"])
    consts = {const: np.load(io.BytesIO(members[f"{k}.const.npy"]), allow_pickle=False)
              for k, const in enumerate(facts["consts"])}
    program = CudaProgram(restored(facts["program"], consts))
    for cubin in facts["cubins"]:
        if _digest(program.text(cubin["index"]).text) == cubin["text"]:
            data = members[cubin["file"]]
            program.ready[cubin["arch"], cubin["index"]] = Cubin(data, cubin["arch"], cubin["log"])
    return CudaExecutable(traced, program, Timing(disk="artefact"))


def fitting(ready: dict[tuple[str, str], Cubin], arch: str, index: str) -> Cubin | None:
    """Code that runs on `arch`: its own, else that of the nearest lower number of the same generation."""
    def number(name: str) -> tuple[int, int]:
        digits = name.removeprefix("sm_")
        return int(digits[:-1]), int(digits[-1])

    if (arch, index) in ready:
        return ready[arch, index]
    plain = [a for a, i in ready if i == index and a[-1].isdigit() and number(a)[0] == number(arch)[0]]
    lower = [a for a in plain if number(a) <= number(arch)]
    return ready[max(lower, key=number), index] if lower else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
