"""What readers of listening services share: their units are a user's days, fetched to disk.

Units     (user, UTC day) of the interval. Every run asks the service anew, so listens that came
          late are found; a day that did not change is not read again, and one that did replaces
          itself. A day without listens is a unit too: it empties a day whose listens were
          deleted at the service, and tells "none" from "not asked".
Dated     by the day of the listen. The service does not say when a listen reached it, so a late
          one is found by a run over its own day, not over the day it came.
Re-run    safe, also after a kill: a fetch goes on where it stopped (see `fetched`).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from filelock import FileLock

from analytics.errors import SourceError
from analytics.interval import Interval
from analytics.settings import Settings
from analytics.sources import fetched
from analytics.sources.base import Batch, Look, ReadUnit, Recognised, SourceReader, Unit, Units
from analytics.sources.fetched import Cursor, Listens, Span
from analytics.sources.http_client import Service, Sleep
from analytics.tenants import Source, Tenant

BEGINNINGS = 4  # of one fetch, when the history changes while it is read


class StartOver(Exception):
    """The pages so far do not fit the service's answer any more; read from this cursor again."""

    def __init__(self, cursor: Cursor) -> None:
        super().__init__()
        self.cursor = cursor


@dataclass(frozen=True)
class Access:
    """How a service is reached."""

    url: str  # the public one
    pause: float  # seconds between two calls that it asks for
    needs_key: bool
    key: str  # what its key is called, and where one gets it


class WebListens(ABC):
    """A format adds how its service is asked, and the reader of files of the same listens."""

    format: ClassVar[str]
    access: ClassVar[Access]
    of_files: SourceReader
    row_by_row = False

    def __init__(self, sleep: Sleep = time.sleep) -> None:
        self.sleep = sleep

    @abstractmethod
    def begin(self, span: Span) -> Cursor:
        """The cursor of the first page."""

    @abstractmethod
    def page(
        self, service: Service, user: str, span: Span, cursor: Cursor
    ) -> tuple[Listens, Cursor | None]:
        """The listens at the cursor, and the next cursor; None after the last page.

        A listen of the span is in one page and in no other. Some beyond it may come along.
        """

    @abstractmethod
    def signed(self, key: str) -> dict[str, Any]:
        """Where a call carries the key: `headers` or `params` of a Service."""

    @abstractmethod
    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        """The listens of a day file as the reader of files would have them."""

    def units(
        self, settings: Settings, tenant: Tenant, source: Source, interval: Interval
    ) -> Units:
        """Fetch the interval for every user. Pages are kept until all users are whole."""
        span = Span(tuple(interval.days()))
        folder = fetched.folder(settings, tenant, source)
        folder.mkdir(parents=True, exist_ok=True)
        found: list[Unit] = []
        with (
            FileLock(folder / ".lock"),
            self._service(settings, tenant, source) as service,
        ):
            kept = []
            for user in source.users:
                pages = self._fetch(service, source, user, span, fetched.folder_of(folder, user))
                kept.append(pages)
                found += _units(user, pages, fetched.folder_of(folder, user), span)
            for pages in kept:
                pages.forget()
        return Units(tuple(found))

    def recognise(self, look: Look) -> Recognised | None:
        return None  # a service is no file

    def extent(self, settings: Settings, tenant: Tenant, source: Source) -> Interval | None:
        return None  # a service is asked for an interval and has no end of its own

    def feeds(self, source: Source) -> tuple[str, ...]:
        return self.of_files.feeds(source)

    def lacks(self, source: Source) -> frozenset[str]:
        return self.of_files.lacks(source)

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return self.of_files.schema(source)

    @contextmanager
    def session(self, settings: Settings, tenant: Tenant, source: Source) -> Iterator[ReadUnit]:
        yield partial(self.read, settings, tenant, source)

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        return self.of_files.conform(tenant, source, bronze)

    def _fetch(
        self, service: Service, source: Source, user: str, span: Span, folder: Path
    ) -> fetched.Pages:
        """All pages of the span, from where an earlier try stopped."""
        url = self._url(source)
        pages = fetched.Pages(folder, f"{self.format} {url} {user} {span.days[0]} {span.days[-1]}")
        begin = self.begin(span)
        for _ in range(BEGINNINGS):
            try:
                while (cursor := pages.cursor(begin)) is not None:
                    pages.add(*self.page(service, user, span, cursor))
                return pages
            except StartOver as again:
                pages.forget()
                begin = again.cursor
        raise service.refused(
            user,
            f"changed the history {BEGINNINGS} times while it was read",
            "Run the same interval again later",
        )

    def _service(self, settings: Settings, tenant: Tenant, source: Source) -> Service:
        key = self._key(settings, tenant, source)
        return Service(
            tenant,
            source,
            self._url(source),
            secret=key,
            pause=self.access.pause,
            sleep=self.sleep,
            **(self.signed(key) if key else {}),
        )

    def _url(self, source: Source) -> str:
        return (source.url or self.access.url).rstrip("/")

    def _key(self, settings: Settings, tenant: Tenant, source: Source) -> str | None:
        label = f"{tenant.id}: source {source.name}"
        if not source.users:
            raise SourceError(f"{label}: format {self.format} needs `users`")
        if not source.key_secret:
            if self.access.needs_key:
                raise SourceError(f"{label}: format {self.format} needs `key_secret`")
            return None
        path = settings.secrets / source.key_secret
        try:
            key = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise SourceError(
                f"{label}: {path} cannot be read. Write {self.access.key} into that file "
                f"(mode 0600), or ask its owner ({source.owner})"
            ) from None
        if not (key.isascii() and key.isprintable() and key and " " not in key):
            raise SourceError(
                f"{label}: {path} holds no single word. Write {self.access.key} into it and "
                f"nothing else, or ask its owner ({source.owner})"
            )
        return key


def user_of(unit: Unit) -> str:
    return unit.name.rpartition("@")[0]


def _units(user: str, pages: fetched.Pages, folder: Path, span: Span) -> list[Unit]:
    days = fetched.sort_into_days(pages, folder, span)
    return [
        Unit(name=f"{user}@{day}", digest=digest, arrived_on=day, location=str(path))
        for day, (path, digest) in days.items()
    ]
