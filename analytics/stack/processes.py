"""The processes that belong to one stack, found whatever became of their supervisor.

A service runs in a folder of its own under `var/stack/run` (PostgreSQL in its
data folder) and carries a mark in its environment; what it forks inherits
both. Either is enough: some programs rewrite their title over their
environment, others change folder. Airflow closes its workers to everybody but
root; those are known by the session that the supervisor began.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from analytics.settings import Settings
from analytics.stack import supervisord

MARK = "TENANT_ANALYTICS_STACK"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux
CLOCK_SECONDS = 60  # by as much a clock set anew moves the time of the boot


def ours(settings: Settings) -> list[psutil.Process]:
    """Every living process of this stack, its supervisor and all their children included."""
    homes = _homes(settings)
    mark = str(settings.var.resolve())
    session = _session(settings, homes, mark)
    everyone = {p.pid: p for p in psutil.process_iter()}
    found = {
        pid: process
        for pid, process in everyone.items()
        if _is_ours(process, homes, mark) or _is_closed_worker(process, session)
    }
    children = _children(everyone)
    found.update({pid: everyone[pid] for pid in _descendants(list(found), children)})
    me = psutil.Process()
    for mine in (me, *me.parents()):
        found.pop(mine.pid, None)
    return [p for p in found.values() if _alive(p)]


def _children(everyone: dict[int, psutil.Process]) -> dict[int, list[int]]:
    """Parents and their children, of one look at the system: a process's own look costs as much."""
    children: dict[int, list[int]] = {}
    for pid, process in everyone.items():
        with contextlib.suppress(psutil.Error):
            children.setdefault(process.ppid(), []).append(pid)
    return children


def _descendants(pids: list[int], children: dict[int, list[int]]) -> set[int]:
    below: set[int] = set()
    while pids:
        pids = [c for pid in pids for c in children.get(pid, []) if c not in below]
        below.update(pids)
    return below


def listening(processes: Iterable[psutil.Process]) -> set[int]:
    """The TCP ports on which any of them listens."""
    ports: set[int] = set()
    for process in processes:
        with contextlib.suppress(psutil.Error):
            ports |= {
                c.laddr.port
                for c in process.net_connections("tcp")
                if c.status == psutil.CONN_LISTEN
            }
    return ports


def end(processes: list[psutil.Process], grace: float = 10) -> None:
    """Stop them: asked first (PostgreSQL last, so that its clients are gone), then killed."""
    servers = [p for p in processes if _name(p) == "postgres"]
    clients = [p for p in processes if p not in servers]
    for group, ask in ((clients, signal.SIGTERM), (_roots(servers), signal.SIGINT)):
        for process in group:
            with contextlib.suppress(psutil.Error):
                process.send_signal(ask)
        _, stubborn = psutil.wait_procs(group, timeout=grace)
        for process in stubborn:
            with contextlib.suppress(psutil.Error):
                process.kill()
    for process in servers:
        if _alive(process):
            with contextlib.suppress(psutil.Error):
                process.kill()
    psutil.wait_procs(processes, timeout=grace)


def wait_until_buried(processes: list[psutil.Process], seconds: float = 3) -> None:
    """Ended processes stand in `ps` until their parent, often the system's first, looks at them."""
    deadline = time.monotonic() + seconds
    while any(p.is_running() for p in processes) and time.monotonic() < deadline:
        psutil.wait_procs(processes, timeout=0)  # buries our own
        time.sleep(0.02)


def daemon(settings: Settings, processes: list[psutil.Process]) -> int | None:
    """The pid of the supervisor among them."""
    run = settings.var.resolve() / "stack" / "run"
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.cwd()) == run and supervisord.__file__ in process.cmdline():
                return process.pid
    return None


def has_children(process: psutil.Process) -> bool:
    try:
        return bool(process.children())
    except psutil.Error:
        return False


def memory_mb(pid: int) -> int:
    """Memory of a process and its children: shared pages counted once where the system tells."""
    total = 0
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in tree:
        with contextlib.suppress(psutil.Error):
            try:
                total += process.memory_full_info().pss
            except (AttributeError, psutil.AccessDenied):
                total += process.memory_info().rss
    return round(total / 2**20)


def _homes(settings: Settings) -> list[Path]:
    var = settings.var.resolve()
    homes = [var / "stack" / "run"]
    record = var / "postgres.home"
    if record.exists():
        homes.append((var / record.read_text().strip()).resolve())
    return homes


def remember_session(settings: Settings, session: int) -> None:
    """Note the session that the supervisor began, until `forget_session`."""
    _record(settings).write_text(json.dumps({"session": session, "boot": _boot()}))


def forget_session(settings: Settings) -> None:
    """All processes of the session have ended: others may get its number."""
    _record(settings).unlink(missing_ok=True)


def _record(settings: Settings) -> Path:
    return settings.var / "stack" / "session"


def _session(settings: Settings, homes: list[Path], mark: str) -> int | None:
    """The noted session, unless its number was given away meanwhile.

    No process gets the number of a session that still has members; so where one
    lives under it, it is our supervisor or the session is over.
    """
    try:
        noted = json.loads(_record(settings).read_text())
        session = int(noted["session"])
        since_boot = _is_this_boot(noted["boot"])
    except (FileNotFoundError, KeyError, TypeError, ValueError):  # none, or half written
        return None
    if not since_boot:
        return None
    with contextlib.suppress(psutil.NoSuchProcess):
        leader = psutil.Process(session)
        if _alive(leader) and not _is_ours(leader, homes, mark):
            return None
    return session


def _boot() -> str:
    """What tells this start of the machine from others: its id, or elsewhere its time."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else str(psutil.boot_time())


def _is_this_boot(noted: str) -> bool:
    if BOOT_ID.exists():
        return noted == _boot()
    return abs(float(noted) - float(_boot())) < CLOCK_SECONDS


def _is_closed_worker(process: psutil.Process, session: int | None) -> bool:
    """A worker of Airflow in our session, whose environment we may not read."""
    with contextlib.suppress(psutil.Error, OSError):
        mine = session is not None and os.getsid(process.pid) == session
        return mine and _is_closed(process) and " ".join(process.cmdline()).startswith("airflow")
    return False


def _is_closed(process: psutil.Process) -> bool:
    try:
        process.environ()
    except psutil.AccessDenied:
        return True
    return False


def _is_ours(process: psutil.Process, homes: list[Path], mark: str) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        here = Path(process.cwd().removesuffix(" (deleted)"))
        if any(here.is_relative_to(home) for home in homes):
            return True
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get(MARK) == mark
    return False


def _roots(processes: list[psutil.Process]) -> list[psutil.Process]:
    pids = {p.pid for p in processes}
    roots = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.ppid() not in pids:
                roots.append(process)
    return roots


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
