"""The contract of a source: what can be read, reading it, and turning it into our tables.

A reader knows one format. It never writes, and never decides what is good:
it types what came, sets aside what cannot be read or typed, and maps the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Protocol

import polars as pl

from analytics.interval import Interval
from analytics.lake.lineage import REJECTS
from analytics.settings import Settings
from analytics.tenants import Source, Tenant

HEAD = 64 << 10  # bytes looked at to tell what a file is


@dataclass(frozen=True)
class Unit:
    """What is ingested as a whole or not at all: a file, or a day of a database table."""

    name: str  # the same on every machine: relative to the landing folder
    digest: str  # of the content; the same digest is never ingested twice
    arrived_on: date | None  # None where the source does not date its files
    location: str | None = None  # of a file: an absolute path or a URL
    refusal: str | None = None  # why it must not even be opened

    @property
    def number(self) -> int:
        """The digest as the 63-bit version of a Delta app transaction."""
        return int(self.digest[:16], 16) >> 1


@dataclass(frozen=True)
class Units:
    """The units of an interval, and the days for which a dated source brought nothing."""

    found: tuple[Unit, ...]
    missing_days: tuple[date, ...] = ()


@dataclass(frozen=True)
class Came:
    """The columns that came, declared or not, with their types by `physical`'s words."""

    types: Mapping[str, str]
    is_whole: bool = True  # False: a column that is not named may still be there, as in JSON


@dataclass(frozen=True)
class Batch:
    """Some rows of a unit: typed as they came (`tenant_id` first, ORIGIN last), and rejects."""

    rows: pl.DataFrame
    rejects: pl.DataFrame
    came: Came | None = None  # None where the format itself says what its columns are


@dataclass(frozen=True)
class Look:
    """A file somebody gave us, before we know what it is: its name and how it begins."""

    name: str  # below the folder given, with slashes; of a file in a zip, its name there
    head: bytes  # the first HEAD bytes, unpacked
    location: str  # where the file, or the zip that holds it, lies

    @property
    def base(self) -> str:
        return self.name.rsplit("/", 1)[-1]

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.base).suffix.lower()

    @cached_property
    def lines(self) -> list[str]:
        """The whole lines of the head, as text."""
        text = self.head.decode("utf-8-sig", errors="replace")
        lines = text.splitlines()
        return lines[:-1] if len(lines) > 1 and len(self.head) >= HEAD else lines

    @cached_property
    def first_object(self) -> dict[str, Any]:
        """The first JSON object of a file with one a line; empty where there is none."""
        for line in self.lines:
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                return found
        return {}


@dataclass(frozen=True)
class Recognised:
    """What a file is taken for: the entry of a source that would read it."""

    name: str  # what to call the source
    fields: Mapping[str, Any] = field(default_factory=dict)  # of the entry: table, columns …
    family: str | None = None  # glob, below the folder, of files to be read together with it


ReadUnit = Callable[[Unit], Iterator[Batch]]


class SourceReader(Protocol):
    """One format."""

    format: str
    example: str  # an entry for the tenants file
    row_by_row: bool  # `conform` looks at one row at a time, so they may come in portions

    def recognise(self, look: Look) -> Recognised | None:
        """The source that would read this file; None when it is of another format."""

    def feeds(self, source: Source) -> tuple[str, ...]:
        """The silver tables it feeds; rejects are counted on the first."""

    def lacks(self, source: Source) -> frozenset[str]:
        """The `knowable` columns of these tables that it cannot know, so null is no fault there."""

    def units(
        self, settings: Settings, tenant: Tenant, source: Source, interval: Interval
    ) -> Units:
        """What the interval can hold. Raises SourceError where the source is not there."""

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        """The unit in bounded batches. Raises SourceError, SchemaError."""

    def session(
        self, settings: Settings, tenant: Tenant, source: Source
    ) -> AbstractContextManager[ReadUnit]:
        """`read` for many units, with what they share (a connection) opened once."""

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        """Columns of the bronze table between `tenant_id` and ORIGIN."""

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        """Canonical columns + LINEAGE per table fed. Pure; one bronze row may feed many."""

    def extent(self, settings: Settings, tenant: Tenant, source: Source) -> Interval | None:
        """The source's own interval; None where it says nothing of time."""


def no_rejects() -> pl.DataFrame:
    return pl.DataFrame(schema=REJECTS)


def rejects(
    tenant: Tenant,
    source: Source,
    table: str,
    unit: Unit,
    found: pl.DataFrame,
) -> pl.DataFrame:
    """REJECTS from a frame with row, rule, column, value, raw."""
    fixed = {
        "tenant_id": tenant.id,
        "table": table,
        "source": source.name,
        "file": unit.name,
        "file_hash": unit.digest,
        "arrived_on": unit.arrived_on,
    }
    return found.select(
        pl.lit(fixed[c], t).alias(c) if c in fixed else pl.col(c).cast(t)
        for c, t in REJECTS.items()
    )
