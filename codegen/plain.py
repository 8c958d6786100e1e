"""A Program as plain data (numbers, texts, lists and dicts with text keys), and back: what a file can hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..dsl.errors import PullbackError
from ..dsl.size import Size
from . import program as grammar
from .program import Buffer, Program

_KINDS = {name: kind for name, kind in vars(grammar).items()
          if dataclasses.is_dataclass(kind) and isinstance(kind, type) and kind is not Program}
_OWN = ("inputs", "outputs", "steps", "sizes", "workspace", "errors")


def described(program: Program) -> dict[str, Any]:
    """`program` without its captured arrays. Raises PullbackError for a step with an argument that is no data."""
    plain = {name: _plain(getattr(program, name)) for name in _OWN}
    return {**plain, "buffers": [_plain(buffer) for buffer in program.buffers.values()]}


def restored(plain: Mapping[str, Any], consts: Mapping[str, np.ndarray]) -> Program:
    """The Program that `described` described, with its captured arrays by name.

    >>> from pullback.codegen.program import Program
    >>> empty = Program((), (), {}, (), ())
    >>> restored(described(empty), {}) == empty
    True
    """
    buffers = [_value(buffer) for buffer in plain["buffers"]]
    assert all(isinstance(buffer, Buffer) for buffer in buffers)
    return Program(buffers={b.name: b for b in buffers}, consts=dict(consts),
                   **{name: _value(plain[name]) for name in _OWN})


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Size):
        return {"terms": _plain(value.terms)}
    if type(value).__name__ in _KINDS:
        return {"is": type(value).__name__, "of": [_plain(getattr(value, f.name)) for f in dataclasses.fields(value)]}
    raise PullbackError(f"a step with the argument {value!r} cannot be written to a file")


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(map(_value, plain))
    if not isinstance(plain, dict):
        return plain
    if "bytes" in plain:
        return bytes.fromhex(plain["bytes"])
    return Size(_value(plain["terms"])) if "terms" in plain else _KINDS[plain["is"]](*map(_value, plain["of"]))
