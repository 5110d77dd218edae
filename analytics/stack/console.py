"""The stack's commands as people see them: progress, tables, URLs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from analytics import stack
from analytics.errors import StackError
from analytics.settings import Settings
from analytics.stack.addresses import logins
from analytics.stack.services import services
from analytics.stack.supervision import Supervisor

_COLOURS = {"healthy": "green", "failed": "red", "stopped": "red", "restarting": "yellow"}


def up(settings: Settings, out: Console) -> None:
    """Start, show each service's progress, then where everything is."""
    started = time.monotonic()
    with _Progress(out) as progress:
        at = stack.up(settings, progress.say)
    out.print(f"[green]✓[/] the stack is up ({time.monotonic() - started:.0f} s)")
    lines = {**logins(settings, at), "docs": at.docs_url}
    if settings.analytics_warehouse_dsn is None:
        lines["warehouse"] = (
            f"127.0.0.1:{at.postgres_port}/warehouse  user warehouse_pipeline, "
            f"password in {settings.secrets.resolve() / 'warehouse_pipeline'}"
        )
    for name, line in lines.items():
        out.print(f"  {name:<10} {escape(line)}", soft_wrap=True, highlight=False)


def down(settings: Settings, out: Console) -> None:
    with _Progress(out) as progress:
        stack.down(settings, progress.say)
    out.print("[green]✓[/] the stack is down; its data stays in", escape(str(settings.var)))


def status(settings: Settings, out: Console, as_json: bool) -> bool:
    """Print how each service is; whether all are healthy."""
    now = stack.status(settings)
    if as_json:
        print(json.dumps([asdict(one) for one in now], indent=2))
    else:
        table = Table("service", "state", "pid", "memory", "url")
        for one in now:
            pid, memory = str(one.pid or ""), f"{one.memory_mb:,} MB" if one.pid else ""
            table.add_row(one.service, _coloured(one.state), pid, memory, one.url or "")
        table.add_row("", "", "", f"{sum(one.memory_mb for one in now):,} MB", "")
        out.print(table)
    return all(one.is_healthy for one in now)


def logs(settings: Settings, out: Console, service: str | None, follow: bool, lines: int) -> None:
    """Print the end of the logs, and what is added when following."""
    known = [one.name for one in services(settings, stack.endpoints(settings))]
    if service is not None and service not in known:
        raise StackError(f"no service {service!r}; there are {', '.join(known)}")
    names = known if service is None else [service]
    supervisor = Supervisor(settings)
    width = max(map(len, names))
    for name in names:
        for line in supervisor.tail(name, lines).splitlines() if lines else []:
            _print_line(out, name if service is None else "", width, line)
    if not follow:
        return
    tails = {name: _added(supervisor.log(name)) for name in names}
    try:
        while True:
            for name, tail in tails.items():
                for line in next(tail):
                    _print_line(out, name if service is None else "", width, line)
            time.sleep(0.3)
    except KeyboardInterrupt:
        return


def _added(file: Path) -> Iterator[list[str]]:
    """At each step the whole lines written since the last; starts anew when the log is rotated."""
    at = file.stat().st_size if file.exists() else 0
    while True:
        size = file.stat().st_size if file.exists() else 0
        at = 0 if size < at else at
        lines: list[str] = []
        if size > at:
            with file.open("rb") as stream:
                stream.seek(at)
                whole, newline, _ = stream.read(size - at).rpartition(b"\n")
            at += len(whole) + len(newline)
            lines = whole.decode(errors="replace").splitlines() if newline else []
        yield lines


def _print_line(out: Console, name: str, width: int, line: str) -> None:
    prefix = f"[cyan]{name:<{width}}[/] " if name else ""
    out.print(f"{prefix}{escape(line)}", highlight=False, soft_wrap=True)


def _coloured(word: str) -> str:
    return f"[{_COLOURS.get(word, 'yellow')}]{word}[/]"


class _Progress:
    """A live table of services on a terminal; a line a change elsewhere."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._words: dict[str, str] = {}
        self._started = time.monotonic()
        self._live = Live(console=out, refresh_per_second=4, transient=True)

    def __enter__(self) -> _Progress:
        if self._out.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._out.is_terminal:
            self._live.stop()

    def say(self, service: str, word: str) -> None:
        if self._words.get(service) == word:
            return
        self._words[service] = word
        if not self._out.is_terminal:
            seconds = time.monotonic() - self._started
            self._out.print(f"{seconds:5.0f} s  {service}: {word}", highlight=False)
            return
        table = Table.grid(padding=(0, 2))
        for name, now in self._words.items():
            table.add_row(name, _coloured(now))
        self._live.update(table)
