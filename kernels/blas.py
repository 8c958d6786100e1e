"""Addresses of BLAS and LAPACK routines, from the library that SciPy brings, without importing Numba."""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import importlib.util
import os
from array import array
from typing import Any

from ..codegen.abi import BLAS, HOST, LAPACK, ROUTINES


def _module(name: str) -> Any:
    """One of SciPy's tables of routines, by its file: importing `scipy.linalg` for it would take three times as long.
    """
    found = importlib.util.find_spec("scipy")
    assert found is not None and found.origin is not None, "SciPy is a dependency of pullback"
    loader = (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES)
    folder = os.path.join(os.path.dirname(found.origin), "linalg")
    spec = importlib.machinery.FileFinder(folder, loader).find_spec(name)
    try:
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (ImportError, AssertionError):
        return importlib.import_module(f"scipy.linalg.{name}")
    return module


@functools.cache
def _addresses(module: str, names: tuple[str, ...]) -> dict[str, int]:
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsules = _module(module).__pyx_capi__
    return {name: pointer_of(capsules[name], name_of(capsules[name])) for name in names}


@functools.cache
def _table(more: bool) -> array:
    known = _addresses("cython_blas", BLAS)
    if more:
        from .host import address

        known = {**known, **_addresses("cython_lapack", LAPACK), HOST: address()}
    return array("Q", [known.get(name, 0) for name in ROUTINES])


def table(more: bool) -> int:
    """The address of an array of the routines `codegen.abi.ROUTINES`, with Fortran's conventions and 32-bit integers;
    those beyond BLAS only where a program needs `more`.
    """
    return _table(more).buffer_info()[0]
