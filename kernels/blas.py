"""Addresses of BLAS routines, from the library that SciPy brings, without importing Numba."""

from __future__ import annotations

import ctypes
import functools
from array import array

from ..codegen.llvm import BLAS


@functools.cache
def _table() -> array:
    import scipy.linalg.cython_blas as cython_blas  # type: ignore[import-not-found]

    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsules = cython_blas.__pyx_capi__  # type: ignore[attr-defined]
    return array("Q", [pointer_of(capsules[name], name_of(capsules[name])) for name in BLAS])


def table() -> int:
    """The address of an array of the routines `codegen.llvm.BLAS`, with Fortran's conventions and 32-bit integers."""
    return _table().buffer_info()[0]
