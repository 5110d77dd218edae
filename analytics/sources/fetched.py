"""What a web service gave, kept on disk: pages while they come, then one file a user and day.

Grain    `<user>/<day>.jsonl`: one listen a line with every value as the service gave it, by
         time and then by its text, so that the same listens are the same bytes.
Re-run   safe after a kill anywhere: every file is written whole or not at all. Pages of a
         fetch that was cut off wait in `<user>/pages-…` and are not asked for again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from analytics.settings import Settings
from analytics.tenants import Source, Tenant

LONGEST_NAME = 150  # bytes; a file system takes 255, and a day or a suffix may follow
Listens = list[tuple[int, dict[str, Any]]]  # the second of each, and it as it came
Cursor = dict[str, Any]


@dataclass(frozen=True)
class Span:
    """Whole UTC days, and the same in seconds: from `first` on, before `end`."""

    days: tuple[date, ...]

    @property
    def first(self) -> int:
        return _midnight(self.days[0])

    @property
    def end(self) -> int:
        return _midnight(self.days[-1]) + 86_400


def folder(settings: Settings, tenant: Tenant, source: Source) -> Path:
    return settings.var / "fetched" / tenant.id / source.name


def folder_of(parent: Path, user: str) -> Path:
    """The user's own folder, whatever a name at the service may hold (`..`, `/`, `AC/DC`)."""
    name = quote(user, safe="").replace(".", "%2E")
    if len(name) > LONGEST_NAME:
        name = hashlib.sha256(user.encode()).hexdigest()
    return parent / name


class Pages:
    """The pages of one fetch, in the order they came, each with where the next one begins."""

    def __init__(self, user: Path, fetch: str) -> None:
        """`fetch` says what was asked for; pages of another fetch are not these."""
        self._folder = user / f"pages-{hashlib.sha256(fetch.encode()).hexdigest()[:16]}"

    def __iter__(self) -> Iterator[Listens]:
        for page in self._files():
            yield [(second, listen) for second, listen in json.loads(page.read_bytes())["listens"]]

    def cursor(self, begin: Cursor) -> Cursor | None:
        """Where to go on; None when the fetch is whole."""
        files = self._files()
        if not files:
            return begin
        found: Cursor | None = json.loads(files[-1].read_bytes())["next"]
        return found

    def add(self, listens: Listens, cursor: Cursor | None) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        page = self._folder / f"{len(self._files()):08}.json"
        content = json.dumps({"next": cursor, "listens": listens}).encode()
        _write_whole(page, content, lasts=True)

    def forget(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))


def sort_into_days(pages: Pages, user: Path, span: Span) -> dict[date, tuple[Path, str]]:
    """Write the span's day files from the pages; gives each file and the digest of its content.

    A page and a day fit into memory; a history need not. Listens of other days are left out.
    """
    waiting = user / "sorting"
    shutil.rmtree(waiting, ignore_errors=True)
    waiting.mkdir(parents=True)
    for listens in pages:
        by_day: dict[date, list[str]] = {}
        for second, listen in listens:
            line = json.dumps(listen, sort_keys=True, separators=(",", ":"))
            day = datetime.fromtimestamp(second, UTC).date()
            by_day.setdefault(day, []).append(f"{second:012} {line}\n")
        for day, lines in by_day.items():
            with (waiting / day.isoformat()).open("a", encoding="ascii") as file:
                file.writelines(lines)
    written = {day: _write_day(waiting / day.isoformat(), user, day) for day in span.days}
    shutil.rmtree(waiting)
    return written


def _write_day(unsorted: Path, user: Path, day: date) -> tuple[Path, str]:
    """A day without listens is an empty file: it was asked for, and there are none."""
    lines = sorted(unsorted.read_text("ascii").splitlines()) if unsorted.exists() else []
    content = "".join(f"{line[13:]}\n" for line in lines).encode("ascii")
    path = user / f"{day.isoformat()}.jsonl"
    _write_whole(path, content)
    return path, hashlib.sha256(content).hexdigest()


def _write_whole(path: Path, content: bytes, *, lasts: bool = False) -> None:
    """The file as a whole or as it was; where it `lasts`, also after a power cut."""
    fresh = path.with_name(f".{path.name}.fresh")
    with fresh.open("wb") as file:
        file.write(content)
        if lasts:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
