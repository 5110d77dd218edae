"""Files as units: which ones an interval names, what they hold, how they are opened."""

from __future__ import annotations

import glob
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import polars as pl

from analytics.errors import SourceError
from analytics.interval import Interval
from analytics.lake.tables import TABLES
from analytics.settings import Settings
from analytics.sources import packed, stores
from analytics.sources.base import (
    Batch,
    Look,
    ReadUnit,
    Recognised,
    SourceReader,
    Unit,
    Units,
)
from analytics.sources.plausible import plausible_span
from analytics.tenants import Source, Tenant

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class FileReader:
    """What readers of files share: their units are files, and one needs nothing of another."""

    row_by_row = False

    def recognise(self, look: Look) -> Recognised | None:
        return None

    def lacks(self, source: Source) -> frozenset[str]:
        return frozenset()

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
            of_day = _matches(tenant, source, pattern, pattern.replace("{date}", day.isoformat()))
            dated += [_unit(settings, tenant, source, found, day) for found in of_day]
            if not of_day:
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
        return tuple(
            _unit(settings, tenant, source, found, None)
            for found in _matches(tenant, source, pattern, pattern)
        )
    days = pattern.replace("{date}", "[0-9]" * 4 + "-[0-9][0-9]-[0-9][0-9]")
    return tuple(
        _unit(settings, tenant, source, found, _day_of(tenant, source, found.location))
        for found in _matches(tenant, source, pattern, days)
    )


def days_interval(first: date, last: date) -> Interval:
    """The whole days from first to last."""
    return Interval.of(first, last + timedelta(days=1))


@contextmanager
def opened(tenant: Tenant, source: Source, unit: Unit) -> Iterator[IO[bytes]]:
    """The file's bytes as they are stored. A damaged file raises SourceError."""
    assert unit.location is not None
    try:
        with stores.opened(unit.location) as file:
            yield file
    except packed.DAMAGE as error:
        raise damaged(tenant, source, unit, str(error)) from None


def members(
    tenant: Tenant, source: Source, unit: Unit, mine: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, IO[bytes]]]:
    """Each file within the unit, by name, unpacked: itself, or those of a zip that are `mine`.

    A damaged file raises SourceError.
    """
    assert unit.location is not None
    with opened(tenant, source, unit) as file:
        yield from packed.members(file, unit.location, stores.size(unit.location), mine)


def seekable(tenant: Tenant, source: Source, unit: Unit) -> Iterator[str | IO[bytes]]:
    """What holds data of a format that is read from its end: a path, or streams."""
    assert unit.location is not None
    is_plain = packed.plain_name(unit.location) == unit.location
    if is_plain and stores.size(unit.location) == 0:
        return
    if is_plain and not stores.is_remote(unit.location):
        yield unit.location
    elif is_plain:
        with opened(tenant, source, unit) as file:
            yield file
    else:
        for _, file in members(tenant, source, unit):
            yield io.BytesIO(file.read())


def damaged(tenant: Tenant, source: Source, unit: Unit, what: str) -> SourceError:
    return SourceError(
        f"{tenant.id}: source {source.name}: {unit.name} is damaged or cut off ({what}). "
        f"Nothing of it was taken; ask its owner ({source.owner}) for it again and re-run"
    )


def _pattern(settings: Settings, tenant: Tenant, source: Source) -> str:
    if not source.path:
        raise SourceError(f"{tenant.id}: source {source.name}: format {source.format} needs `path`")
    return source.path.replace("{landing}", glob.escape(str(settings.landing)))


def _matches(tenant: Tenant, source: Source, declared: str, pattern: str) -> list[stores.Found]:
    """What the declared pattern names, or that pattern made narrower.

    A link may lead anywhere where the declaration names it alone; not where whatever
    lies in a folder is taken.
    """
    takes_a_folder = glob.has_magic(declared) or "{date}" in declared
    try:
        return stores.matches(pattern, stores.literal_folder(declared) if takes_a_folder else None)
    except OSError as error:
        raise SourceError(
            f"{tenant.id}: source {source.name}: {pattern} cannot be asked for its files "
            f"({error}). Check the address and the variables that hold its login, or ask its "
            f"owner ({source.owner})"
        ) from None


def _read(
    reader: SourceReader, settings: Settings, tenant: Tenant, source: Source, unit: Unit
) -> Iterator[Batch]:
    """`read`, where packed bytes that make no sense are damage like any other."""
    if unit.refusal:
        raise SourceError(
            f"{tenant.id}: source {source.name}: {unit.name} {unit.refusal}. Nothing of it was "
            f"taken; ask its owner ({source.owner}) for the file itself and re-run"
        )
    try:
        yield from reader.read(settings, tenant, source, unit)
    except packed.DAMAGE as error:
        raise damaged(tenant, source, unit, str(error)) from None


def _unit(
    settings: Settings, tenant: Tenant, source: Source, found: stores.Found, day: date | None
) -> Unit:
    return Unit(
        name=_name(settings, tenant, source, found.location),
        digest=_digest(tenant, source, found),
        arrived_on=day,
        location=found.location,
        refusal="is a link that leads out of its folder" if found.leads_out else None,
    )


def _name(settings: Settings, tenant: Tenant, source: Source, location: str) -> str:
    """The location below the landing folder, else below the pattern's own folder."""
    for root in (str(settings.landing), stores.literal_folder(_pattern(settings, tenant, source))):
        if location.startswith(f"{root}/"):
            return location.removeprefix(f"{root}/")
    return PurePosixPath(location).name


def _day_of(tenant: Tenant, source: Source, location: str) -> date:
    name = Path(location).name
    day = DAY.findall(name if DAY.search(name) else location)[-1]
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise SourceError(
            f"{tenant.id}: source {source.name}: {location} is dated {day}, which is no day. "
            f"Rename it to the day it arrived, or ask its owner ({source.owner}), and run again"
        ) from None


def _digest(tenant: Tenant, source: Source, found: stores.Found) -> str:
    try:
        return stores.digest(found)
    except OSError as error:
        raise SourceError(
            f"{tenant.id}: source {source.name}: {found.location} cannot be read "
            f"({error.strerror or error}). Let this user read it, or ask its owner "
            f"({source.owner}) for it, and run again"
        ) from None
