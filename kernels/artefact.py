"""Ahead-of-time artefacts: `save` writes compiled programs to one file, `load` makes them callable again, `export`
writes their text.

The file is a zip: `facts.json`, and for each program its object code, its LLVM text (compiled again on another kind of
processor) and its constant arrays; `artefact_cuda` adds what CUDA needs. Loading runs what the file holds, so load only
files that you would run.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..dsl import nest
from ..dsl.errors import DeviceError, PullbackError
from ..dsl.node import make
from ..dsl.size import Dim, Guards, Size
from ..dsl.trace import Kind, Traced
from . import artefact_cuda
from .binding import Binding
from .compiled import Compiled
from .execute_cpu import Executable, Timing
from .inputs import Given

FORMAT = 1
_KINDS: dict[str, Any] = {kind.name: kind for kind in (
    inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)}


def save(compiled: Compiled, path: Any, architectures: Sequence[str] = ()) -> None:
    """Write every program that `compiled` has compiled; for CUDA too where `architectures` are named. Raises
    PullbackError if there is none, or for arguments that a file cannot hold (functions).
    """
    architectures = artefact_cuda.checked(architectures)
    found = [(key, *one) for key, many in compiled._entries.items() for one in many]
    if not found:
        raise PullbackError("no program was compiled yet: call it once, or f.lower(*args).compile(), "
                            "for every kind of input that the file should serve")
    from .native import host

    facts = {"format": FORMAT, "host": host(), "name": compiled.__name__, "arguments": _arguments(compiled),
             "programs": [_program_facts(*one) for one in found]}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("facts.json", json.dumps(facts))
        for number, (_, _, executable) in enumerate(found):
            on_cpu = isinstance(executable, Executable)
            if on_cpu:
                _write_program(archive, str(number), executable)
            if architectures or not on_cpu:
                artefact_cuda.write_program(archive, str(number), executable.program, architectures)


def load(path: Any) -> Compiled:
    """The programs of a file written by `f.save(path)`, callable as `f` was; inputs of another kind are refused.

    >>> import numpy as np, os, tempfile, pullback as pb
    >>> f = pb.compile(lambda x: 2 * x)
    >>> f(np.ones(2))
    array([2., 2.])
    >>> path = os.path.join(tempfile.mkdtemp(), 'twice.pullback')
    >>> f.save(path)
    >>> pb.load(path)(np.arange(3.0))
    array([0., 2., 4.])
    """
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(archive.read("facts.json"))
            if facts["format"] != FORMAT:
                raise PullbackError(f"{path} has format {facts['format']}, expected {FORMAT}: save it again")
            return Loaded(path, facts, archive)
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise PullbackError(f"{path} is no file written by f.save(path): {error}") from None


def export(compiled: Compiled, path: Any) -> None:
    """Write the last program as a source of its own: Python for Numba to a name in '.py', CUDA C++ with a C function
    that launches its kernels to one in '.cu'."""
    path = Path(path)
    if path.suffix not in (".py", ".cu"):
        raise PullbackError(f"export writes 'name.py' or 'name.cu', not {path.name!r}")
    text = compiled.source("cpu") if path.suffix == ".py" else _cuda_unit(compiled, path.stem)
    path.write_text(text, encoding="utf-8")


def _cuda_unit(compiled: Compiled, name: str) -> str:
    from ..codegen.cuda_export import write_export

    traced, _ = compiled._last()
    facts = [(r, traced.guards.canonical(a), traced.guards.canonical(b), o) for r, a, b, o in traced.guards.facts]
    return write_export(compiled._program(), name, facts)


class Loaded(Compiled):
    """What `load` gives: compiled programs without the function or expression that they came from."""

    def __init__(self, path: Any, facts: dict[str, Any], archive: zipfile.ZipFile) -> None:
        arguments = facts["arguments"]
        if "variables" in arguments:
            super().__init__((), "cpu")
            self.variables = [make("var", (), (name, None, None)) for name in arguments["variables"]]
            self._positional = arguments["positional"]
        else:
            super().__init__(_no_function, "cpu")
            self.signature = inspect.Signature([
                inspect.Parameter(name, _KINDS[kind], default=... if default else inspect.Parameter.empty)
                for name, kind, default in arguments["parameters"]])
            self._positional = list(self.signature.parameters)
        self.__name__, self.path = facts["name"], path
        self._for_cuda: list[tuple[tuple, Traced, dict[str, bytes]]] = []      # what a first call on a device reads
        for number, program in enumerate(facts["programs"]):
            traced = _traced(program)
            key = tuple(_kind(k) for k in program["kinds"]), _static(program["static"])
            if program["native"] is not None:
                executable = _read_program(archive, str(number), traced, program, facts["host"])
                self._entries.setdefault(("cpu", *key), []).append((traced, executable))
            if artefact_cuda.is_there(archive, str(number)):
                members = artefact_cuda.members(archive, str(number))
                self._for_cuda.append((("cuda", *key), traced, members))
        if self._for_cuda:
            self.device, self._is_plain = "auto" if self._entries else "cuda", bool(self._entries)

    def _make(self, key: tuple, binding: Binding, given: Sequence[Given]) -> tuple[Traced, Any]:
        kinds = ", ".join(f"{n}: {np.dtype(g.kind.dtype)} {g.shape}" for n, g in zip(binding.names, given, strict=True))
        raise PullbackError(f"{self.path} holds no program for ({kinds}): {self._reason(key)}; "
                            "call the original with such inputs before saving it")

    def _last(self) -> tuple[Traced, Any]:
        raise PullbackError(f"{self.path} holds compiled code only: read or export the text of the original")

    def lower(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._last()

    def __reduce__(self) -> tuple:
        return load, (self.path,)

    def _call_cuda(self, binding: Binding, out: Any) -> Any:
        if not self._for_cuda:
            raise DeviceError(f"{self.path} holds code for the CPU: save the original with architectures=('sm_90',) or "
                              "the like, or compile it for arrays on a GPU")
        if not any(device == "cuda" for device, *_ in self._entries):
            for key, traced, members in self._for_cuda:
                executable = artefact_cuda.read_program(members, traced)
                self._entries.setdefault(key, []).append((traced, executable))
        return super()._call_cuda(binding, out)


def _no_function(*_: Any) -> Any:
    raise PullbackError("a loaded program takes arrays, not expressions")


# ---- arguments and structures -------------------------------------------------------------------------------------
def _arguments(compiled: Compiled) -> dict[str, Any]:
    if compiled._function is None:
        return {"variables": [v.attrs[0] for v in compiled.variables], "positional": compiled._positional}
    parameters = compiled.signature.parameters.values()
    return {"parameters": [(p.name, p.kind.name, p.default is not p.empty) for p in parameters]}


def _described(structure: Any) -> Any:
    """The structure of a nest as plain data."""
    return _describe(nest.unflatten(structure, range(structure.num_leaves)))


def _describe(part: Any) -> Any:
    if part is None or isinstance(part, (int, float, str)):      # a leaf's number, or the value of a static field
        return part
    kind: Any = type(part)
    if kind in (list, tuple):
        return {"kind": kind.__name__, "parts": [_describe(p) for p in part]}
    if kind is dict and all(isinstance(k, (str, int)) for k in part):
        return {"kind": "dict", "keys": list(part), "parts": [_describe(p) for p in part.values()]}
    names = getattr(kind, "_fields", None) or getattr(kind, "__dataclass_fields__", None)
    if names:
        return {"kind": "class", "module": kind.__module__, "name": kind.__qualname__, "keys": list(names),
                "parts": [_describe(getattr(part, n)) for n in names]}
    raise PullbackError(f"a nest with {kind.__name__} cannot be saved: "
                        "use tuples, lists, dicts, named tuples and dataclasses")


def _restored(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    parts = [_restored(p) for p in part["parts"]]
    if part["kind"] in ("list", "tuple"):
        return parts if part["kind"] == "list" else tuple(parts)
    if part["kind"] == "dict":
        return dict(zip(part["keys"], parts, strict=True))
    found: Any = importlib.import_module(part["module"])
    for name in part["name"].split("."):
        found = getattr(found, name)
    return found(**dict(zip(part["keys"], parts, strict=True)))


def _structure(described: Any) -> Any:
    return nest.flatten(_restored(described))[1]


def _static(described: Any) -> Any:
    if described is None:
        return None
    return _structure(described["structure"]), tuple((i, _TEXTS[kind](text)) for i, kind, text in described["fixed"])


_TEXTS: dict[str, Any] = {"str": str, "bytes": bytes.fromhex, "dtype": np.dtype}


def _static_facts(static: Any) -> Any:
    if static is None:
        return None
    structure, fixed = static
    return {"structure": _described(structure), "fixed": [(i, *_static_text(x)) for i, x in fixed]}


def _static_text(value: Any) -> tuple[str, str]:
    if isinstance(value, str):
        return "str", value
    if isinstance(value, bytes):
        return "bytes", value.hex()
    if isinstance(value, np.dtype):
        return "dtype", value.str
    raise PullbackError(f"the argument {value!r} cannot be saved: a program in a file is chosen by strings, bytes and "
                        "dtypes; compile a function that closes over it")


# ---- programs -----------------------------------------------------------------------------------------------------
def _program_facts(key: tuple, traced: Traced, executable: Any) -> dict[str, Any]:
    _, kinds, static = key
    on_cpu = isinstance(executable, Executable)
    return {
        "kinds": [(k.dtype, k.ones, k.order, k.weak) for k in kinds],
        "static": _static_facts(static),
        "symbols": [[_plain(d) for d in dims] for dims in traced.symbols],
        "results": [(x.dtype.str, [_plain(d) for d in x.shape]) for x in traced.outputs],
        "structure": _described(traced.structure),
        "guards": [(r, _plain(a), _plain(b), o) for r, a, b, o in traced.guards.facts],
        "native": executable.native.facts if on_cpu else None,
        "constants": len(executable.constants) if on_cpu else 0,
    }


def _traced(facts: dict[str, Any]) -> Traced:
    """What a call needs of a traced graph; results are placeholders with their types."""
    guards = Guards(facts=[(r, _dim(a), _dim(b), o) for r, a, b, o in facts["guards"]])
    outputs = [make("var", (), (f"result{k}",), dtype, tuple(map(_dim, shape)))
               for k, (dtype, shape) in enumerate(facts["results"])]
    symbols = [tuple(map(_dim, dims)) for dims in facts["symbols"]]
    return Traced([], outputs, symbols, _structure(facts["structure"]), guards)


def _kind(facts: Any) -> Kind:
    dtype, ones, order, weak = facts
    return Kind(dtype, tuple(ones), order, weak)


def _plain(dim: Dim) -> Any:
    return {"terms": dim.terms} if isinstance(dim, Size) else dim


def _dim(plain: Any) -> Dim:
    return Size(_tuples(plain["terms"])) if isinstance(plain, dict) else plain


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _write_program(archive: zipfile.ZipFile, name: str, executable: Executable) -> None:
    from ..codegen.llvm import write_llvm

    archive.writestr(f"{name}.o", executable.code)
    archive.writestr(f"{name}.ll", write_llvm(executable.program))
    for k, constant in enumerate(executable.constants):
        data = io.BytesIO()
        np.save(data, constant, allow_pickle=False)
        archive.writestr(f"{name}.{k}.npy", data.getvalue())


def _read_program(archive: zipfile.ZipFile, name: str, traced: Traced, facts: Any, saved_on: Any) -> Executable:
    from .cpu import CpuProgram
    from .native import compile_ir, host

    code = archive.read(f"{name}.o") if list(host()) == saved_on else compile_ir(archive.read(f"{name}.ll").decode())
    constants = [np.load(io.BytesIO(archive.read(f"{name}.{k}.npy")), allow_pickle=False)
                 for k in range(facts["constants"])]
    return Executable(traced, CpuProgram(code, facts["native"]), constants, code, Timing(disk="artefact"))
