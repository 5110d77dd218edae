"""Files as units: which ones an interval names, what they hold, how they are opened."""

from __future__ import annotations

import glob
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import IO

import polars as pl

from analytics.errors import SourceError
from analytics.interval import Interval
from analytics.lake.tables import TABLES
from analytics.settings import Settings
from analytics.sources.base import Batch, ReadUnit, SourceReader, Unit, Units
from analytics.sources.plausible import plausible_span
from analytics.tenants import Source, Tenant

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class FileReader:
    """What readers of files share: their units are files, and one needs nothing of another."""

    def units(
        self, settings: Settings, tenant: Tenant, source: Source, interval: Interval
    ) -> Units:
        """The files of the interval.

        A path with {date} has one set of files a day of arrival; days without any are
        reported, and SourceError is raised when no day has one. A path without it
        must match something.
        """
        pattern = _pattern(settings, tenant, source)
        if "{date}" not in pattern:
            found = all_units(settings, tenant, source)
            if not found:
                raise SourceError(
                    f"{tenant.id}: source {source.name}: no file matches {pattern}. Put the file "
                    f"there or correct `path` in the tenants file; owner: {source.owner}"
                )
            return Units(found)
        dated, missing = [], []
        for day in interval.days():
            paths = _matches(pattern.replace("{date}", day.isoformat()))
            dated += [_unit(settings, tenant, source, path, day) for path in paths]
            if not paths:
                missing.append(day)
        if not dated:
            raise SourceError(
                f"{tenant.id}: source {source.name}: no file for any day of {interval} at "
                f"{pattern}. Ask its owner ({source.owner}) for the drop, then run the interval "
                "again"
            )
        return Units(tuple(dated), tuple(missing))

    @contextmanager
    def session(
        self: SourceReader, settings: Settings, tenant: Tenant, source: Source
    ) -> Iterator[ReadUnit]:
        yield partial(_read, self, settings, tenant, source)

    def extent(
        self: SourceReader, settings: Settings, tenant: Tenant, source: Source
    ) -> Interval | None:
        """The whole days the files cover: by arrival where dated, else by event time.

        A few instants years outside the rest (a play in 2099) do not stretch it.
        """
        found = all_units(settings, tenant, source)
        days = [unit.arrived_on for unit in found if unit.arrived_on]
        if days:
            return days_interval(min(days), max(days))
        times = []
        for unit in found:
            for batch in _read(self, settings, tenant, source, unit):
                for name, frame in self.conform(tenant, source, batch.rows).items():
                    if TABLES[name].is_event:
                        times.append(frame[TABLES[name].time].drop_nulls())
        span = plausible_span(pl.concat(times)) if times else None
        return days_interval(span[0].date(), span[1].date()) if span else None


def all_units(settings: Settings, tenant: Tenant, source: Source) -> tuple[Unit, ...]:
    """Every file of the source, whatever the day."""
    pattern = _pattern(settings, tenant, source)
    if "{date}" not in pattern:
        return tuple(_unit(settings, tenant, source, path, None) for path in _matches(pattern))
    dated = _matches(pattern.replace("{date}", "[0-9]" * 4 + "-[0-9][0-9]-[0-9][0-9]"))
    return tuple(_unit(settings, tenant, source, p, _day_of(tenant, source, p)) for p in dated)


def days_interval(first: date, last: date) -> Interval:
    """The whole days from first to last."""
    return Interval.of(first, last + timedelta(days=1))


@contextmanager
def opened(tenant: Tenant, source: Source, unit: Unit) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked when it ends in .gz. A damaged file raises SourceError."""
    assert unit.path is not None
    try:
        if unit.path.suffix == ".gz":
            with gzip.open(unit.path, "rb") as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            with unit.path.open("rb") as file:
                yield file
    except (OSError, EOFError) as error:
        raise damaged(tenant, source, unit, str(error)) from None


def damaged(tenant: Tenant, source: Source, unit: Unit, what: str) -> SourceError:
    return SourceError(
        f"{tenant.id}: source {source.name}: {unit.name} is damaged or cut off ({what}). "
        f"Nothing of it was taken; ask its owner ({source.owner}) for it again and re-run"
    )


def _pattern(settings: Settings, tenant: Tenant, source: Source) -> str:
    if not source.path:
        raise SourceError(f"{tenant.id}: source {source.name}: format {source.format} needs `path`")
    return source.path.replace("{landing}", glob.escape(str(settings.landing)))


def _matches(pattern: str) -> list[Path]:
    return sorted(p for p in map(Path, glob.glob(pattern, recursive=True)) if p.is_file())


def _read(
    reader: SourceReader, settings: Settings, tenant: Tenant, source: Source, unit: Unit
) -> Iterator[Batch]:
    """`read`, where packed bytes that make no sense are damage like any other."""
    try:
        yield from reader.read(settings, tenant, source, unit)
    except zlib.error as error:
        raise damaged(tenant, source, unit, str(error)) from None


def _unit(settings: Settings, tenant: Tenant, source: Source, path: Path, day: date | None) -> Unit:
    pattern = _pattern(settings, tenant, source)
    root = settings.landing if path.is_relative_to(settings.landing) else _literal_folder(pattern)
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return Unit(name=name, digest=_digest(tenant, source, path), arrived_on=day, path=path)


def _day_of(tenant: Tenant, source: Source, path: Path) -> date:
    day = DAY.findall(path.name if DAY.search(path.name) else str(path))[-1]
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise SourceError(
            f"{tenant.id}: source {source.name}: {path} is dated {day}, which is no day. Rename "
            f"it to the day it arrived, or ask its owner ({source.owner}), and run again"
        ) from None


def _literal_folder(pattern: str) -> Path:
    """The deepest folder of the pattern without wildcards."""
    kept = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part) or "{date}" in part:
            break
        kept.append(part)
    return Path(*kept)


def _digest(tenant: Tenant, source: Source, path: Path) -> str:
    """sha256 of the content, read in pieces."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(
            f"{tenant.id}: source {source.name}: {path} cannot be read ({error.strerror}). Let "
            f"this user read it, or ask its owner ({source.owner}) for it, and run again"
        ) from None
