"""Arrays for results, on memory that earlier results have given back.

The system hands out an array beyond 32 MiB as fresh pages, and to touch those first costs as much again as many kernels
need to fill them. So the memory of such a result returns to a small store when its last view dies, and the next result
of that size takes it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

# The C library keeps smaller arrays itself.
SMALLEST = 32 << 20
# Bytes that may lie unused; beyond that memory goes back to the system.
KEPT = 512 << 20
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
        waiting = _free.get(size)
        if waiting:
            _held -= size
            return waiting.pop()
    return np.empty(size, np.uint8)


def _give_back(memory: np.ndarray) -> None:
    global _held
    # A finaliser may interrupt the holder of the lock in the same thread: then this memory is simply freed.
    if not _lock.acquire(blocking=False):
        return
    try:
        if _held + memory.size <= KEPT:
            _free.setdefault(memory.size, []).append(memory)
            _held += memory.size
        elif memory.size <= KEPT:
            _free.clear()
            _free[memory.size], _held = [memory], memory.size
    finally:
        _lock.release()
