"""Addresses of BLAS routines, from the library that SciPy brings, without importing Numba."""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import importlib.util
import os
from array import array
from typing import Any

from ..codegen.abi import BLAS


def _module() -> Any:
    """SciPy's table of BLAS routines, by its file: importing `scipy.linalg` for it would take three times as long."""
    found = importlib.util.find_spec("scipy")
    assert found is not None and found.origin is not None, "SciPy is a dependency of pullback"
    loader = (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES)
    folder = os.path.join(os.path.dirname(found.origin), "linalg")
    spec = importlib.machinery.FileFinder(folder, loader).find_spec("cython_blas")
    try:
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (ImportError, AssertionError):
        return importlib.import_module("scipy.linalg.cython_blas")
    return module


@functools.cache
def _table() -> array:
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsules = _module().__pyx_capi__
    return array("Q", [pointer_of(capsules[name], name_of(capsules[name])) for name in BLAS])


def table() -> int:
    """The address of an array of the routines `codegen.abi.BLAS`, with Fortran's conventions and 32-bit integers."""
    return _table().buffer_info()[0]
