"""The memory a stack and its tasks take together, sampled while they work."""

from __future__ import annotations

import contextlib
import threading

import psutil

from analytics.settings import Settings
from analytics.stack import processes

EVERY = 2.0  # seconds
IDLE = 0.05  # seconds of CPU within which a process takes what it took before


class Memory:
    """A thread that keeps the highest sum it saw; shared pages count once where that is known."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.peak = 0
        self.samples = 0
        self.beside: set[int] = set()  # processes to count that are not the stack's
        self._sizes: dict[psutil.Process, tuple[float, int]] = {}
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
        self._sizes = {p: self._measured(p) for p in found.values()}
        return sum(size for _, size in self._sizes.values())

    def _measured(self, process: psutil.Process) -> tuple[float, int]:
        """The CPU seconds a process had used when it was last measured, and its bytes then.

        The system walks all its pages to know; so only who worked since is asked again.
        """
        worked, size = self._sizes.get(process, (-1.0, 0))
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            now = times.user + times.system
            return (worked, size) if 0 <= now - worked < IDLE and size else (now, _size(process))
        return worked, 0


def _size(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        try:
            return int(process.memory_full_info().pss)
        except (AttributeError, psutil.AccessDenied):
            return int(process.memory_info().rss)
    return 0
