"""The host's side of native code: a C function that runs a routine of `codegen/library_meaning.py` on NumPy arrays.

Native code calls it with a text (what to do, see `codegen.llvm_library.host_description`) and an array of 64-bit
words: the addresses of operands and results, then sizes. The interpreter's lock is taken for its duration. Nothing is
raised into native code: what has no answer is NaN, and a defect is reported by `sys.unraisablehook`.
"""

from __future__ import annotations

import ctypes
import functools
import json
import math
from typing import Any

import numpy as np

from ..codegen import library_meaning


def compute(routine: str, operands: list[np.ndarray], static: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """The results of a routine on NumPy arrays."""
    import scipy.fft
    import scipy.linalg

    with np.errstate(all="ignore"):
        results = getattr(library_meaning, routine)(np, scipy, *operands, **static)
    return results if isinstance(results, tuple) else (results,)


@functools.lru_cache(maxsize=1024)
def _facts(text: bytes) -> dict[str, Any]:
    return json.loads(text)


def _run(text: bytes, words: Any) -> None:
    facts = _facts(text)
    arrays = facts["arrays"]

    def value(given: Any) -> Any:
        if isinstance(given, list):
            return [value(v) for v in given]
        return words[len(arrays) + given["size"]] if isinstance(given, dict) else given

    views = [_view(words[k], dtype, [value(d) for d in shape]) for k, (dtype, shape) in enumerate(arrays)]
    operands, targets = views[: facts["operands"]], views[facts["operands"] :]
    try:
        results = compute(facts["routine"], operands, {k: value(v) for k, v in facts["static"].items()})
        for target, result in zip(targets, results, strict=True):
            target[...] = result
    except Exception:
        for target in targets:
            target[...] = math.nan if target.dtype.kind in "fc" else 0
        raise


def _view(address: int, dtype: str, shape: list[int]) -> np.ndarray:
    """The memory at `address` as an array."""
    count = math.prod(shape)
    if not count:
        return np.empty(shape, dtype)
    memory: Any = (ctypes.c_char * (count * np.dtype(dtype).itemsize)).from_address(address)
    return np.frombuffer(memory, dtype).reshape(shape)


_callback = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int64))(_run)


def address() -> int:
    """Where native code finds `_run`."""
    found = ctypes.cast(_callback, ctypes.c_void_p).value
    assert found is not None
    return found
