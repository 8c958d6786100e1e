"""Other names of the public functions: those of NumPy, the array API and JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import ops
from .node import FUNCTIONS

# Rows that users reach by other functions only.
INTERNAL = frozenset({"exp_product", "mask", "cast", "bitcast", "stop_gradient"})

_OF_ROWS = {alias: name for alias, name in ops.by_alias.items() if name not in INTERNAL and alias != name}

ALIASES: dict[str, str] = _OF_ROWS | {
    "amax": "max", "amin": "min", "array": "asarray", "ascontiguousarray": "asarray", "asanyarray": "asarray",
    "concat": "concatenate", "conjugate": "conj", "permute_dims": "transpose", "row_stack": "vstack", "product": "prod",
    "trapz": "trapezoid", "real_if_close": "real", "negate": "negative",
}


def find(name: str) -> Callable[..., Any] | None:
    """The public function called `name` here or elsewhere."""
    return FUNCTIONS.get(ALIASES.get(name, name))
