"""What a call is given: arrays and Python numbers, looked at once and made ready for a kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dsl.errors import DTypeError
from ..dsl.surface import input_dtype
from ..dsl.trace import Kind

WEAK = (bool, int, float, complex)

# What `precision` may say, and the float and complex dtype that it means.
PRECISIONS: dict[str | None, tuple[str, str]] = {
    None: ("", ""), "float32": ("float32", "complex64"), "float64": ("float64", "complex128")}


@dataclass(frozen=True)
class Given:
    """An input as it is read: `shape` in memory order, `copied` says why it had to be copied ('' if not)."""

    kind: Kind
    shape: tuple[int, ...]
    copied: str = ""


def ready(value: Any, name: str) -> tuple[Any, Given]:
    """`value` as an array that a CPU kernel can read, and what is known of it. Raises DTypeError for what no kernel
    takes.
    """
    weak = type(value) in WEAK
    array = _as_array(value, name)
    dtype = input_dtype(array.dtype, name)
    reason = ""
    if array.dtype != dtype or not array.dtype.isnative:
        array, reason = array.astype(dtype), f"byte order of {array.dtype.str}"
    order = "C"
    if not array.flags.c_contiguous and array.flags.f_contiguous:
        array, order = array.T, "F"
    if not array.flags.c_contiguous:
        array, reason = np.ascontiguousarray(array), f"strides {array.strides}"
    elif not array.flags.aligned:
        array, reason = array.copy(), "alignment"
    return array, Given(Kind(dtype.str, tuple(n == 1 for n in array.shape), order, weak), array.shape, reason)


def in_precision(value: Any, dtypes: tuple[str, str]) -> Any:
    """`value` with floats and complex numbers of these dtypes; Python numbers follow the arrays as they are."""
    dtype = getattr(value, "dtype", None)
    kind = getattr(dtype, "kind", "")
    if kind not in ("f", "c") or not hasattr(value, "astype"):
        return value
    wanted = np.dtype(dtypes[kind == "c"])
    return value if dtype == wanted else value.astype(wanted)


def stand_in(value: Any) -> Any:
    """An array like `value` where that only has a shape and a dtype."""
    described = hasattr(value, "shape") and hasattr(value, "dtype")
    if not described or hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
        return value
    return np.broadcast_to(np.zeros((), value.dtype), value.shape)


def on_device(value: Any) -> bool:
    """Whether `value` is an array in the memory of a CUDA device."""
    if type(value) is np.ndarray or isinstance(value, (np.generic, *WEAK)):
        return False
    if hasattr(value, "__cuda_array_interface__"):
        return True
    described = getattr(value, "__dlpack_device__", None)
    return described is not None and int(described()[0]) in (2, 13)      # DLPack's CUDA, and CUDA's managed memory


def _as_array(value: Any, name: str) -> np.ndarray:
    if isinstance(value, np.ndarray):
        if isinstance(value, np.ma.MaskedArray):
            raise DTypeError(f"argument {name!r} is a masked array, and kernels would ignore the mask: "
                             "pass .filled(value), or the data and the mask and choose with pb.where")
        return np.asarray(value)
    if isinstance(value, (*WEAK, np.generic)):
        if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
            raise DTypeError(f"argument {name!r} is {value}, which no integer type holds: pass a float")
        return np.asarray(value)
    if on_device(value):
        raise DTypeError(
            f"argument {name!r} lies on a CUDA device and the program was compiled for the CPU: "
            "compile with device='cuda' or 'auto', or copy it with .get()"
        )
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        try:
            return np.asarray(value)
        except RuntimeError as error:           # a torch tensor that records a gradient, which would be lost
            raise DTypeError(f"argument {name!r} cannot be read as an array: {error} "
                             "(pb.torch_function takes tensors with their gradients)") from None
    if hasattr(value, "__dlpack__"):
        return np.from_dlpack(value)
    if isinstance(value, memoryview):
        return np.asarray(value)
    raise DTypeError(
        f"argument {name!r} is a {type(value).__name__}: expected an array, a Python number, or a nest of them"
    )
