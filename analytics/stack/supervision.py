"""Keep the services running, by supervisor: its configuration, its daemon, its answers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from analytics.errors import StackError
from analytics.settings import Settings
from analytics.stack import launch, processes, supervisord
from analytics.stack.services import Service, run_folder

LONGEST_SOCKET_PATH = 90  # the system's limit is about 104 characters, and supervisor adds its pid
_STOPPED = ("STOPPED", "EXITED", "FATAL", "BACKOFF", "UNKNOWN")  # BACKOFF: between two tries
_UNREACHABLE = (OSError, xmlrpc.client.ProtocolError)


@dataclass(frozen=True)
class State:
    """One service, as its supervisor sees it."""

    name: str
    word: str  # supervisor's: RUNNING, STARTING, BACKOFF, FATAL, …
    pid: int
    detail: str


class Supervisor:
    """The daemon of one `var/`; whether it lives is asked anew each time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.folder = settings.var.resolve() / "stack"

    # --------------------------------------------------------------- files

    @property
    def socket(self) -> Path:
        """In `var/`, or where that path is too long for a socket, in a folder of ours in /tmp."""
        inside = self.folder / "supervisor.sock"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
            return inside
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        outside = Path(tempfile.gettempdir()) / f"tenant-analytics-{os.geteuid()}-{digest}"
        with contextlib.suppress(FileExistsError):
            outside.mkdir(mode=0o700)
        found = outside.lstat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise StackError(f"{outside} is not ours alone; remove it")
        return outside / "supervisor.sock"

    def log(self, service: str) -> Path:
        return self.folder / "logs" / f"{service}.log"

    def write(self, services: list[Service]) -> None:
        """Write configuration and start files, readable by us alone."""
        for folder in (self.folder, self.folder / "logs", self.folder / "run"):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        for service in services:
            run_folder(self._settings, service.name).mkdir(exist_ok=True, mode=0o700)
            _write_private(self._start_file(service.name), service.specification())
        _write_private(self.folder / "supervisord.conf", self.render(services))

    def render(self, services: list[Service]) -> str:
        """supervisord.conf: without secrets, changed whenever a start file is."""
        head = f"""\
[unix_http_server]
file={_plain(self.socket)}
chmod=0700

[supervisord]
logfile={_plain(self.log("supervisord"))}
pidfile={_plain(self.folder / "supervisord.pid")}
nodaemon=true
silent=true
umask=077
{"user=root" if os.geteuid() == 0 else ""}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
        return head + "".join(self._program(service) for service in services)

    def _program(self, service: Service) -> str:
        digest = hashlib.sha256(service.specification().encode()).hexdigest()[:16]
        start = [sys.executable, "-I", launch.__file__, self._start_file(service.name), digest]
        return f"""
[program:{service.name}]
command={_plain(shlex.join(map(str, start)))}
autostart=false
autorestart=true
startsecs=2
startretries=20
stopsignal={service.stop_signal}
stopwaitsecs={service.stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={_plain(self.log(service.name))}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=1
"""

    def _start_file(self, name: str) -> Path:
        return self.folder / "run" / f"{name}.json"

    # -------------------------------------------------------------- daemon

    def is_alive(self) -> bool:
        try:
            return self._ask("getState")["statename"] == "RUNNING"
        except _UNREACHABLE:
            return False

    def start(self) -> None:
        """Start the daemon in a session of its own, so that our Ctrl-C does not reach it."""
        for stale in (self.socket, self.folder / "supervisord.pid"):
            stale.unlink(missing_ok=True)
        with self.log("supervisord").open("ab") as output:
            daemon = subprocess.Popen(
                [sys.executable, "-I", supervisord.__file__, "-c",
                 self.folder / "supervisord.conf"],
                cwd=self.folder / "run", stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        processes.remember_session(self._settings, daemon.pid)
        deadline = time.monotonic() + 30
        while not self.is_alive():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise StackError(
                    f"the supervisor did not start; see {self.log('supervisord')}\n"
                    f"{self.tail('supervisord')}"
                )
            time.sleep(0.05)

    def reload(self) -> None:
        """Let the living daemon take the written configuration; what changed is stopped."""
        [[added, changed, removed]] = self._ask("reloadConfig")
        for name in (*changed, *removed):
            self.stop(name, wait=False)
        for name in (*changed, *removed):
            self.stop(name)
            self._wait_until_stopped(name)
            self._ask("removeProcessGroup", name)
        for name in (*added, *changed):
            self._ask("addProcessGroup", name)

    def shut_down(self) -> None:
        """Stop every service and the daemon."""
        with contextlib.suppress(*_UNREACHABLE, xmlrpc.client.Fault):
            self._ask("shutdown")

    # ------------------------------------------------------------ services

    def states(self) -> dict[str, State]:
        """Empty when the daemon does not live."""
        try:
            answer = self._ask("getAllProcessInfo")
        except _UNREACHABLE:
            return {}
        return {
            one["name"]: State(one["name"], one["statename"], one["pid"], one["spawnerr"])
            for one in answer
        }

    def run(self, name: str) -> None:
        """Start the service unless it runs or is starting."""
        state = self.states().get(name)
        if state is None or state.word in _STOPPED:
            with contextlib.suppress(xmlrpc.client.Fault):  # it came up meanwhile
                self._ask("startProcess", name, False)

    def stop(self, name: str, wait: bool = True) -> None:
        with contextlib.suppress(xmlrpc.client.Fault):  # not running
            self._ask("stopProcess", name, wait)

    def _wait_until_stopped(self, name: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while self.states()[name].word not in _STOPPED:
            if time.monotonic() > deadline:
                raise StackError(f"{name} does not stop; run `analytics down`, then `analytics up`")
            time.sleep(0.1)

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines a service wrote."""
        try:
            with self.log(name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 20_000))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _ask(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self.socket}")
        try:
            proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            return getattr(proxy.supervisor, method)(*arguments)
        finally:
            transport.close()


def _plain(value: object) -> str:
    return str(value).replace("%", "%%")


def _write_private(file: Path, text: str) -> None:
    if file.exists() and file.read_text() == text:
        return
    fresh = file.with_name(f".{file.name}.fresh")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
    fresh.rename(file)
