"""Runs a tenant's chain (files → bronze → gate → silver → warehouse) to be killed on its way.

    python -m tests.integration.warehouse.victim

loads every library once, then forks a process a task: one line of JSON in, `{"settings": …,
"tenant": …, "days": […], "run": …, "point": …}`, one line out, `{"events": [[seconds, what], …],
"status": …}`. A point is nothing (let it live), `{"after": seconds}` from the fork, or
`{"at": event, "plus": seconds}` from something it is about to do: a step, the n-th commit to
the lake (`commit 3`), the n-th table copied (`copy 2`). Then it is killed by SIGKILL.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any

from analytics import gates, warehouse
from analytics.gates import engine
from analytics.interval import Interval
from analytics.lake import bronze, delta, silver
from analytics.settings import load_settings

# The package's own `load` is the function.
loading = import_module("analytics.warehouse.load")
FOREVER = 1e9


def serve() -> None:
    engine.context()
    import expectations.bronze
    import expectations.learned
    import expectations.silver  # noqa: F401  (loaded before the first fork)

    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(live(json.loads(line))), flush=True)


def live(task: dict[str, Any]) -> dict[str, Any]:
    """Fork the task, kill it at its point, and say what it did until then."""
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if not child:
        os.close(reading)
        status = 1
        try:
            chain(task, lambda what: os.write(writing, f"{what}\n".encode()))
            status = 0
        except BaseException:  # a child must never go on as its parent
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    point = task["point"] or {}
    deadline = started + point.get("after", FOREVER)
    events: list[tuple[float, str]] = []
    said = b""
    while True:
        patience = max(0.0, min(deadline - time.monotonic(), 60.0))
        if not select.select([reading], [], [], patience)[0]:
            os.kill(child, signal.SIGKILL)
            break
        fresh = os.read(reading, 4096)
        if not fresh:  # it ended
            break
        now = time.monotonic()
        *whole, said = (said + fresh).split(b"\n")
        for what in map(bytes.decode, whole):
            events.append((round(now - started, 4), what))
            if what == point.get("at"):
                deadline = now + point["plus"]
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(reading)
    return {"events": events, "status": status}


def chain(task: dict[str, Any], tell: Callable[[str], object]) -> None:
    """What the tasks of `ingest` and the load of `transform` do for one tenant."""
    settings = load_settings(task["settings"], dotenv=None)
    interval, tenant_id, run = Interval.of(*task["days"]), task["tenant"], task["run"]
    delta.write = counted("commit", delta.write, tell)
    delta.upsert = counted("commit", delta.upsert, tell)
    loading.copy_frames = counted("copy", loading.copy_frames, tell)
    tell("extract")
    bronze.extract(settings, tenant_id, interval, run)
    tell("gate")
    gates.bronze(settings, tenant_id, interval, run)
    tell("land")
    silver.land(settings, tenant_id, interval, run)
    tell("load")
    warehouse.load(settings, tenant_id, interval)
    tell("done")


COUNTS: dict[str, int] = {}


def counted(name: str, step: Callable[..., Any], tell: Callable[[str], object]) -> Any:
    def told(*args: Any, **kwargs: Any) -> Any:
        COUNTS[name] = COUNTS.get(name, 0) + 1
        number = COUNTS[name]
        tell(f"{name} {number}")
        try:
            return step(*args, **kwargs)
        finally:
            tell(f"after {name} {number}")

    return told


if __name__ == "__main__":
    serve()
