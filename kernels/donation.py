"""Donated arguments: arrays whose memory later results may take."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..dsl import nest
from ..dsl.node import Expr

_MOST = 16                  # arrays that wait for a result of their kind


class Donation:
    """The arguments that a program may keep: `chosen` are positions, names or Vars among `parameters`."""

    def __init__(self, chosen: Sequence[Any], parameters: Sequence[str]) -> None:
        self.names = [_name(c, parameters) for c in chosen]
        self._spare: list[np.ndarray] = []
        self._lock = threading.Lock()

    def places(self, results: Sequence[tuple[tuple[int, ...], Any]],
               inputs: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """Memory for results of these shapes and dtypes: what earlier calls were given, unless an input lies there."""
        with self._lock:
            return [self._taken(shape, np.dtype(dtype), inputs) for shape, dtype in results]

    def _taken(self, shape: tuple[int, ...], dtype: np.dtype, inputs: Sequence[np.ndarray]) -> np.ndarray | None:
        for k, array in enumerate(self._spare):
            fits = array.shape == shape and array.dtype == dtype
            if fits and not any(np.may_share_memory(array, x) for x in inputs):
                return self._spare.pop(k)
        return None

    def keep(self, arguments: Mapping[str, Any]) -> None:
        """Take the arrays among the donated `arguments` of a call that is over: those that own writable memory."""
        for leaf in nest.leaves([arguments[n] for n in self.names if n in arguments]):
            if type(leaf) is not np.ndarray or not leaf.size or not leaf.flags.carray:
                continue
            with self._lock:
                if not any(np.may_share_memory(leaf, x) for x in self._spare):
                    self._spare.append(leaf)
                del self._spare[:-_MOST]


def arguments_of(signature: inspect.Signature | None, positional: Sequence[str], args: tuple,
                 kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of a call by name."""
    if signature is not None:
        return signature.bind(*args, **kwargs).arguments
    return {**dict(zip(positional, args, strict=False)), **kwargs}


def _name(chosen: Any, parameters: Sequence[str]) -> str:
    """The parameter that is meant."""
    if isinstance(chosen, Expr) and chosen.op == "var":
        chosen = chosen.attrs[0]
    if isinstance(chosen, int) and not isinstance(chosen, bool) and -len(parameters) <= chosen < len(parameters):
        return parameters[chosen]
    if isinstance(chosen, str) and chosen in parameters:
        return chosen
    raise TypeError(f"donate names {chosen!r}, which is no parameter: they are {', '.join(parameters) or 'none'}")
