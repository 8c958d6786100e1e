"""Arrays for results, on memory that earlier results have given back.

The system hands out a large array as fresh pages, and to touch those first costs more than many kernels need to fill
them. The C library keeps one such array from call to call, but gives several back as soon as they are free together: a
gradient in two arrays of 8 MB took eight times as long as one in a single array. So the memory of such a result returns
to a small store when its last view dies, and the next result of that size takes it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

# Smaller arrays are not worth the microseconds that the store takes.
SMALLEST = 256 << 10
# Bytes that may lie unused: a share of the machine's memory, so that a model's fields fit; beyond that memory goes back
# to the system.
KEPT = max(512 << 20, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 16 if hasattr(os, "sysconf") else 0)
_ALIGNMENT = 64

_free: dict[int, list[np.ndarray]] = {}
_held = 0
_lock = threading.Lock()


class _Block:
    """The owner of one result's memory: NumPy keeps it alive through the array's base."""

    __slots__ = ("__array_interface__", "memory")

    def __init__(self, memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.memory = memory
        start = -(-memory.__array_interface__["data"][0] // _ALIGNMENT) * _ALIGNMENT
        self.__array_interface__: dict[str, Any] = {
            "data": (start, False),
            "shape": shape,
            "typestr": dtype.str,
            "version": 3,
        }

    def __del__(self) -> None:
        if _give_back is not None:  # None while the interpreter shuts down
            _give_back(self.memory)


def empty(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """An array that nobody else refers to, with arbitrary contents, as `np.empty` makes it.

    >>> empty((2, 3), "float32").shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    size = dtype.itemsize
    for length in shape:
        size *= length
    if size < SMALLEST:
        return np.empty(shape, dtype)
    return np.asarray(_Block(_take(size + _ALIGNMENT), tuple(shape), dtype))


def held() -> int:
    """Bytes that wait for the next result."""
    return _held


def clear() -> None:
    """Give all unused memory back to the system."""
    global _held
    with _lock:
        _free.clear()
        _held = 0


def _take(size: int) -> np.ndarray:
    global _held
    with _lock:
        waiting = _free.pop(size, None)
        if waiting:
            _held -= size
            memory = waiting.pop()
            if waiting:
                _free[size] = waiting           # at the end: it is in use
            return memory
    return np.empty(size, np.uint8)


def _give_back(memory: np.ndarray) -> None:
    global _held
    # A finaliser may interrupt the holder of the lock in the same thread: then this memory is simply freed.
    if not _lock.acquire(blocking=False):
        return
    try:
        _drop_others(memory.size)
        if _held + memory.size <= KEPT:
            _free.setdefault(memory.size, []).append(memory)
            _held += memory.size
    finally:
        _lock.release()


def _drop_others(size: int) -> None:
    """Make room for one more array of this size: those sizes go that have waited longest."""
    global _held
    for other in list(_free):
        if _held + size <= KEPT:
            return
        if other != size:
            _held -= other * len(_free.pop(other))
