"""Bars for loops that run in native code: a thread of the host reads their counters ten times a second."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..codegen.abi import PROGRESS

SECONDS = 0.1


@contextmanager
def shown(names: Sequence[str]) -> Iterator[np.ndarray]:
    """The counters of loops called `names`, a row each, with a bar for each while the block runs."""
    counters = np.zeros((len(names), PROGRESS), np.int64)
    bars = [Bar(name, row) for name, row in zip(names, counters, strict=True)]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(SECONDS):
            refresh(bars)

    watcher = threading.Thread(target=watch, name="pullback-progress", daemon=True)
    watcher.start()
    try:
        yield counters
    finally:
        ended.set()
        watcher.join()
        refresh(bars)
        for bar in bars:
            bar.close()


def refresh(bars: Sequence[Bar]) -> None:
    """Show what the counters say; a loop that is done makes room for the next."""
    for number, bar in enumerate(bars):
        bar.refresh()
        if any(later.counters[2] for later in bars[number + 1 :]) and bar.counters[1] in (bar.counters[0], -1):
            bar.close()


class Bar:
    """The bar of one loop, from when it begins; `counters` are turns done, turns in all (-1: unknown), and how often
    it began.
    """

    def __init__(self, name: str, counters: np.ndarray) -> None:
        self.name, self.counters, self.begun = name, counters, 0
        self.bar: Any = None

    def refresh(self) -> None:
        done, turns, begun = map(int, self.counters)
        total = None if turns < 0 else turns
        if begun != self.begun and self.bar is not None:
            self.bar.reset(total)
        elif begun != self.begun:
            from tqdm import tqdm

            self.bar = tqdm(total=total, desc=self.name, unit=" turns", mininterval=0.0)
        self.begun = begun
        if self.bar is not None:
            self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
