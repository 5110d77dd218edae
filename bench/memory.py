"""The memory a stack and its tasks take together, sampled while they work."""

from __future__ import annotations

import contextlib
import threading

import psutil

from analytics.settings import Settings
from analytics.stack import processes

EVERY = 1.0  # seconds


class Memory:
    """A thread that keeps the highest sum it saw; shared pages count once where that is known."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.peak = 0
        self.samples = 0
        self.beside: set[int] = set()  # processes to count that are not the stack's
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(30)

    @property
    def peak_gib(self) -> float:
        return round(self.peak / 2**30, 2)

    def _watch(self) -> None:
        while not self._done.wait(EVERY):
            self.peak = max(self.peak, self._now())
            self.samples += 1

    def _now(self) -> int:
        found = {p.pid: p for p in processes.ours(self.settings)}
        for pid in list(self.beside):
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(pid)
                found.update({p.pid: p for p in (root, *root.children(recursive=True))})
        return sum(map(_size, found.values()))


def _size(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        try:
            return int(process.memory_full_info().pss)
        except (AttributeError, psutil.AccessDenied):
            return int(process.memory_info().rss)
    return 0
