"""Captured CUDA graphs of launches that come again with the same arguments."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, NamedTuple

KEPT = 64  # keys of which a program remembers that they came, or the graph


class Captured(NamedTuple):
    graph: Any
    result: Any


class Graphs:
    """The graphs of one program on one device, by keys that say everything that a graph has baked in: addresses,
    sizes, launches.

    Memory is not bound to a graph: CuPy's pool hands out the same addresses again and again, and where it does not,
    the key is another one and the launches are made as they are.
    """

    def __init__(self, cupy: Any) -> None:
        self.cupy, self.problem = cupy, ""
        self.lock = Lock()
        self.known: OrderedDict[Hashable, Captured | None] = OrderedDict()

    def play(self, key: Hashable, work: Callable[[], Any]) -> Any:
        """Carry out `work`, which only launches; its result. From the second time of a key on, a graph does it.

        The first time is not captured: it loads what is loaded late, and a key may never come again. `work` may be
        called twice, of which one is the capture.
        """
        captured = self._find(key, work)
        if captured is None:
            return work()
        captured.graph.launch()
        return captured.result

    def _find(self, key: Hashable, work: Callable[[], Any]) -> Captured | None:
        with self.lock:
            again, captured = key in self.known, self.known.pop(key, None)
            if again and captured is None and not self.problem:
                captured = self._capture(work)
            self.known[key] = captured
            if len(self.known) > KEPT:
                self.known.popitem(last=False)
        return captured

    def _capture(self, work: Callable[[], Any]) -> Captured | None:
        """`work` captured on a stream of its own, so that the user's is never in a capture; None if it fails."""
        stream = self.cupy.cuda.Stream(non_blocking=True)
        try:
            with stream:
                stream.begin_capture()
                try:
                    result = work()
                finally:
                    graph = stream.end_capture()
        except Exception as error:  # whatever a driver finds wrong, plain launches do the same work
            cause = error.__context__ or error
            self.problem = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
            return None
        return Captured(graph, result)
