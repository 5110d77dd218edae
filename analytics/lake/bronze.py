"""Bring what a tenant's sources hold into bronze. `candidates.py` gives it back, conformed.

Grain    bronze/<tenant>/<source>: one row per source row, as it came, with its origin.
Re-run   safe, also after a kill: a unit (a file, a day of a database table) is in one
         commit together with a Delta app transaction named after it, whose number is its
         content's digest. The same content is skipped; other content under the same
         name replaces the rows of before. A source that is declared otherwise, so that
         its columns differ, is read anew, all days that bronze holds of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import polars as pl

from analytics.errors import SourceError
from analytics.interval import Interval
from analytics.lake import anew, delta, ingest, paths
from analytics.settings import Settings
from analytics.sources import reader
from analytics.tenants import Source, Tenant, get_tenant

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extracted:
    """What one extraction read."""

    units_read: int
    units_known: int  # ingested before with the same content
    rows_in: int
    rows_rejected: int = 0
    days_missing: int = 0  # days of the interval for which a dated source had nothing


def extract(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    run_id: str,
    only: Collection[str] | None = None,
    seen: Callable[[str, int, int], None] = lambda source, done, total: None,
) -> Extracted:
    """Read every unit of the interval that bronze does not hold yet, of all sources or `only` some.

    A source that fails does not keep the tenant's others from arriving: all are
    read, then one error names each that failed; a SchemaError where none of them
    is worth another try.
    """
    tenant = get_tenant(settings, tenant_id)
    totals: list[Extracted] = []
    problems: list[SourceError] = []
    for source in tenant.sources:
        if only is not None and source.name not in only:
            continue
        watch = partial(seen, source.name)
        try:
            totals.append(_extract_source(settings, tenant, source, interval, run_id, watch))
        except SourceError as error:
            problems.append(error)
    ingest.raise_all(problems)
    return Extracted(
        units_read=sum(t.units_read for t in totals),
        units_known=sum(t.units_known for t in totals),
        rows_in=sum(t.rows_in for t in totals),
        rows_rejected=sum(t.rows_rejected for t in totals),
        days_missing=sum(t.days_missing for t in totals),
    )


def _extract_source(
    settings: Settings,
    tenant: Tenant,
    source: Source,
    interval: Interval,
    run_id: str,
    seen: ingest.Seen,
) -> Extracted:
    table = delta.open_table(paths.bronze(settings, tenant.id, source.name))
    is_known = table is not None and anew.is_as_declared(table, source)
    span = interval
    if table is not None and not is_known:
        span = Interval.covering([interval, *_held(settings, tenant, source)])
    units = reader(source.format).units(settings, tenant, source, span)
    known = {
        unit.name
        for unit in units.found
        if table is not None and table.transaction_version(ingest.app(source, unit)) == unit.number
    }
    fresh = [unit for unit in units.found if not (is_known and unit.name in known)]
    if table is not None and not is_known:
        log.warning(
            "%s: source %s is declared otherwise than it was read; its %d files are read anew",
            tenant.id, source.name, len(fresh),
        )  # fmt: skip
    if units.missing_days:
        log.warning(
            "%s: source %s has nothing for %d of %d days, the first of them %s",
            tenant.id, source.name, len(units.missing_days), len(span.days()),
            units.missing_days[0],
        )  # fmt: skip
    rows, rejected = ingest.ingest(
        settings, tenant, source, interval, fresh, run_id,
        as_one=table is not None and not is_known, known=known, seen=seen,
    )  # fmt: skip
    return Extracted(
        units_read=len(fresh),
        units_known=len(units.found) - len(fresh),
        rows_in=rows + rejected,
        rows_rejected=rejected,
        days_missing=len(units.missing_days),
    )


def _held(settings: Settings, tenant: Tenant, source: Source) -> list[Interval]:
    """The days of arrival of which bronze has rows, or rejects."""
    arrivals = []
    for uri, column in (
        (paths.bronze(settings, tenant.id, source.name), "_arrived_on"),
        (paths.bronze_rejects(settings, tenant.id, source.name), "arrived_on"),
    ):
        if (table := delta.open_table(uri)) is not None:
            arrivals.append(pl.scan_delta(table).select(pl.col(column).alias("day")))
    if not arrivals:
        return []
    day = pl.col("day")
    first, last = pl.concat(arrivals).select(day.min(), day.max().alias("last")).collect().row(0)
    return [Interval.of(first, last + timedelta(days=1))] if first else []
