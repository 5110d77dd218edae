"""Tenants simulated at the same time, one process each; what is written stays the same."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from datetime import date
from typing import Any, TypeVar

T = TypeVar("T")
Progress = Callable[[str, date], None]

_days: Any = None  # in a worker: where it reports each day it has written


def workers_for(tasks: int) -> int:
    """A process a task, up to two a processor.

    Three equal tenants on two processors end together in one and a half times what
    one takes; with a process a processor the third would be alone for as long again.
    """
    allowed = getattr(os, "sched_getaffinity", None)  # not every system limits a process
    processors = len(allowed(0)) if allowed else os.cpu_count() or 1
    return max(1, min(tasks, 2 * processors if processors > 1 else 1))


def side_by_side(
    task: Callable[..., T], arguments: Sequence[tuple[Any, ...]], workers: int, progress: Progress
) -> list[T]:
    """`task(*arguments, progress)` of each, in order. The first error is raised when all ended.

    Processes are spawned, not forked: a fork would copy the threads' locks of the caller.
    An interruption ends them at once.
    """
    context = multiprocessing.get_context("spawn")
    days = context.Queue()
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_report_to, initargs=(days,)
    ) as pool:
        pending = [pool.submit(_run, task, its_own) for its_own in arguments]
        try:
            while wait(pending, timeout=0.1).not_done:
                _pass_on(days, progress)
        except BaseException:
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise
        results = [future.result() for future in pending]
    _pass_on(days, progress)
    return results


def _report_to(days: Any) -> None:
    global _days
    _days = days
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us, too; the caller ends us
    # Read when Polars is first imported, by the task: a process a tenant is threads enough.
    os.environ["POLARS_MAX_THREADS"] = "1"


def _run(task: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    return task(*arguments, lambda tenant_id, day: _days.put((tenant_id, day)))


def _pass_on(days: Any, progress: Progress) -> None:
    """Everything reported so far, in the caller's own thread."""
    while True:
        try:
            progress(*days.get_nowait())
        except queue.Empty:
            return
