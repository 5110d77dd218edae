"""Bring what a tenant's sources hold into bronze, and give back an interval of it, conformed.

Grain    bronze/<tenant>/<source>: one row per source row, as it came, with its origin.
Re-run   safe, also after a kill: a unit (a file, a day of a database table) is in one
         commit together with a Delta app transaction named after it, whose number is its
         content's digest. The same content is skipped; other content under the same
         name replaces the rows of before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

import polars as pl

from analytics.errors import SourceError
from analytics.interval import Interval
from analytics.lake import delta, ingest, paths
from analytics.lake.lineage import LINEAGE, REJECTS
from analytics.lake.tables import EARLIEST, TABLES
from analytics.settings import Settings
from analytics.sources import reader
from analytics.sources.plausible import plausible_span
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


class Candidates(dict[str, pl.DataFrame]):
    """Conformed rows of an interval by table (canonical columns + lineage), and what was left out.

    `rejects` (schema lineage.REJECTS, with a `table` column) are rows of the same
    arrivals that could not be read or typed: they are in quarantine already and
    belong to what came. `out_of_interval` counts rows of undated sources by table.
    """

    def __init__(
        self,
        rows: dict[str, pl.DataFrame],
        rejects: pl.DataFrame,
        out_of_interval: dict[str, int],
    ) -> None:
        super().__init__(rows)
        self.rejects = rejects
        self.out_of_interval = out_of_interval

    def rejected(self, table: str) -> int:
        """Source rows (not rule breaches) of this table that could not be read or typed."""
        mine = self.rejects.filter(pl.col("table") == table)
        return mine.n_unique(["source", "file", "row"]) if mine.height else 0


def extract(settings: Settings, tenant_id: str, interval: Interval, run_id: str) -> Extracted:
    """Read every unit of the interval that bronze does not hold yet.

    A source that fails does not keep the tenant's others from arriving: all are
    read, then one error names each that failed; a SchemaError where none of them
    is worth another try.
    """
    tenant = get_tenant(settings, tenant_id)
    totals: list[Extracted] = []
    problems: list[SourceError] = []
    for source in tenant.sources:
        try:
            totals.append(_extract_source(settings, tenant, source, interval, run_id))
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
    settings: Settings, tenant: Tenant, source: Source, interval: Interval, run_id: str
) -> Extracted:
    units = reader(source.format).units(settings, tenant, source, interval)
    table = delta.open_table(paths.bronze(settings, tenant.id, source.name))
    fresh = [
        unit
        for unit in units.found
        if table is None or table.transaction_version(ingest.app(source, unit)) != unit.number
    ]
    if units.missing_days:
        log.warning(
            "%s: source %s has nothing for %d of %d days, the first of them %s",
            tenant.id, source.name, len(units.missing_days), len(interval.days()),
            units.missing_days[0],
        )  # fmt: skip
    rows, rejected = ingest.ingest(settings, tenant, source, interval, fresh, run_id)
    return Extracted(
        units_read=len(fresh),
        units_known=len(units.found) - len(fresh),
        rows_in=rows + rejected,
        rows_rejected=rejected,
        days_missing=len(units.missing_days),
    )


def candidates(settings: Settings, tenant_id: str, interval: Interval) -> Candidates:
    """What the gate judges: dated sources by day of arrival, undated ones by event time."""
    tenant = get_tenant(settings, tenant_id)
    parts: dict[str, list[pl.DataFrame]] = {}
    outside: dict[str, int] = {}
    rejects = [pl.DataFrame(schema=REJECTS)]
    for source in tenant.sources:
        handler = reader(source.format)
        tables = handler.feeds(source)
        for name in tables:
            parts.setdefault(name, [])
        arrived = _arrived_in(interval)
        table = delta.open_table(paths.bronze(settings, tenant_id, source.name))
        if table is not None:
            bronze = pl.scan_delta(table).filter(arrived("_arrived_on")).collect()
            for name, frame in handler.conform(tenant, source, bronze).items():
                inside = _inside(name, frame, interval)
                outside[name] = outside.get(name, 0) + frame.height - inside.height
                parts[name].append(inside)
        bad = delta.open_table(paths.bronze_rejects(settings, tenant_id, source.name))
        if bad is not None:
            rejects.append(pl.scan_delta(bad).filter(arrived("arrived_on")).collect())
    return Candidates(
        {name: _together(name, frames) for name, frames in parts.items()},
        pl.concat(rejects),
        outside,
    )


def _arrived_in(interval: Interval) -> Callable[[str], pl.Expr]:
    first: date = interval.days()[0]
    last: date = interval.days()[-1]
    return lambda column: pl.col(column).is_null() | pl.col(column).is_between(first, last)


def _inside(name: str, frame: pl.DataFrame, interval: Interval) -> pl.DataFrame:
    """Rows of undated sources are placed by their own time; a state holds from then on.

    Rows whose time is null or no service's history can hold (a play in 2099) stay,
    for the gate to name them.
    """
    table = TABLES[name]
    dated, time = pl.col("_arrived_on").is_not_null(), pl.col(table.time)
    belongs = time < interval.end
    if table.is_event:
        belongs &= time >= interval.start
    span = plausible_span(frame.filter(~dated)[table.time])
    if span:
        belongs |= (time > max(span[1], interval.end)) | (time < EARLIEST)
    return frame.filter(dated | belongs.fill_null(True))


def _together(name: str, frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    empty = pl.DataFrame(schema={**TABLES[name].columns, **LINEAGE})
    return pl.concat([empty, *frames])
