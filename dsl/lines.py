"""Which line of the user's a node comes from: the nearest caller outside the package, or, for what is made of another
node (by a rewriting, by differentiation), the line of that node.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .unrolled import WARNING, count_node

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_FLOORS = tuple(os.path.join(_PACKAGE, floor) + os.sep for floor in ("dsl", "codegen", "kernels"))
_NUMPY = os.sep + "numpy" + os.sep


class _State(threading.local):
    """Of this thread: the frames that make something of a node, outermost first, and who listens."""

    def __init__(self) -> None:
        self.speakers: list[tuple[int, Any]] = []
        self.heard: dict[Any, str] | None = None


_state = _State()


def note_line(node: Any) -> None:
    """Keep the present line beside `node`, which is being made: the first three that made it."""
    heard = _state.heard
    if len(node.lines) >= 3 and heard is None:
        return
    line, entry = _user_call()
    if line and line not in node.lines and len(node.lines) < 3:
        if not node.lines and entry:
            loop = count_node(line, entry)
            if loop:
                warn_at(loop, WARNING.format(line=loop))
        node.lines = (*node.lines, line)
    if heard is not None:
        heard.setdefault(node, line)


def user_line() -> str:
    """file:line of the nearest caller outside the package, or of the node that a nearer frame speaks for."""
    return _user_call()[0]


def warn_at(line: str, text: str) -> None:
    """A UserWarning that shows the user's `line`, each time it is given."""
    name, _, number = line.rpartition(":")
    warnings.warn_explicit(text, UserWarning, name or "pullback", int(number or 0), registry={})


def _user_call() -> tuple[str, str]:
    """The same, and the file of the package that the user's line called; '' where a frame speaks for a node."""
    speakers, entry = _state.speakers, ""
    k = len(speakers) - 1
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not is_own(frame):
            return f"{name}:{frame.f_lineno}", entry
        if k >= 0 and id(frame) == speakers[k][0]:
            line = line_of(speakers[k][1])
            if line:
                return line, ""
            k -= 1
        frame, entry = frame.f_back, name  # type: ignore[assignment]
    return "", entry


def line_of(node: Any) -> str:
    """The line that a node was made at: in what is heard at present, else by whom it was first."""
    heard = _state.heard
    if heard is not None and node in heard:
        return heard[node]
    return node.lines[0] if node.lines else ""


def is_own(frame: FrameType) -> bool:
    """Whether a frame is no user's code: of this package, of NumPy, or of generated text."""
    name = frame.f_code.co_filename
    return name.startswith(_FLOORS) or name.startswith("<") or _NUMPY in name


class speaking:  # noqa: N801 - used as a statement
    """`with speaking(node):` what this frame makes comes from the line of `node`."""

    __slots__ = ("mark", "node")

    def __init__(self, node: Any) -> None:
        self.node, self.mark = node, id(sys._getframe(1))

    def __enter__(self) -> None:
        _state.speakers.append((self.mark, self.node))

    def __exit__(self, *error: object) -> None:
        _state.speakers.pop()


@contextmanager
def listening() -> Iterator[dict[Any, str]]:
    """The line of every node that this thread makes inside, new or made again."""
    before, _state.heard = _state.heard, {}
    try:
        yield _state.heard
    finally:
        _state.heard = before
