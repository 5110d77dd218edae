"""Bring what a tenant's sources hold into bronze, and give back an interval of it, conformed.

Grain    bronze/<tenant>/<source>: one row per source row, as it came, with its origin.
Re-run   safe, also after a kill: a unit (a file, a day of a database table) is in one
         commit together with a Delta app transaction named after it, whose number is its
         content's digest. The same content is skipped; other content under the same
         name replaces the rows of before. A source that is declared otherwise, so that
         its columns differ, is read anew, all days that bronze holds of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import polars as pl

from analytics.errors import SourceError
from analytics.interval import Interval
from analytics.lake import anew, delta, fixes, ingest, paths
from analytics.lake.lineage import LINEAGE, REJECTS
from analytics.lake.tables import EARLIEST, INSTANT, TABLES
from analytics.settings import Settings
from analytics.sources import reader
from analytics.sources.plausible import plausible_span
from analytics.tenants import Source, Tenant, get_tenant

log = logging.getLogger(__name__)
WATCHED = {c: LINEAGE[c] for c in ("_source", "_file", "_file_hash", "_row")}


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
    belong to what came. `out_of_interval` counts rows of undated sources by table;
    `elsewhere` tells the time of those that somebody watches.
    """

    def __init__(
        self,
        rows: dict[str, pl.DataFrame],
        rejects: pl.DataFrame,
        out_of_interval: dict[str, int],
        elsewhere: pl.DataFrame,
    ) -> None:
        super().__init__(rows)
        self.rejects = rejects
        self.out_of_interval = out_of_interval
        self.elsewhere = elsewhere

    def rejected(self, table: str) -> int:
        """Source rows (not rule breaches) of this table that could not be read or typed."""
        mine = self.rejects.filter(pl.col("table") == table)
        return mine.n_unique(["source", "file", "row"]) if mine.height else 0


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


def candidates(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    *,
    bound: pl.DataFrame | None = None,
    watched: pl.DataFrame | None = None,
) -> Candidates:
    """What the gate judges: dated sources by day of arrival, undated ones by event time.

    Rows that quarantine binds to a fix come as the fix makes them; `bound` stands in for
    what is bound there. `watched` (WATCHED) are source rows to tell of when they lie outside.
    """
    tenant = get_tenant(settings, tenant_id)
    bound = fixes.bound(settings, tenant_id) if bound is None else bound
    parts: dict[str, list[pl.DataFrame]] = {}
    outside: dict[str, int] = {}
    rejects = [pl.DataFrame(schema=REJECTS)]
    elsewhere = [pl.DataFrame(schema={**WATCHED, "table": pl.String, "at": INSTANT})]
    for source in tenant.sources:
        for name in reader(source.format).feeds(source):
            parts.setdefault(name, [])
        rows = fixes.fixed(tenant, source, *_came(settings, tenant, source, interval), bound)
        for declared, bronze in rows.bronze:
            conformed = reader(source.format).conform(tenant, declared, bronze)
            for name, frame in conformed.items():
                is_inside = _is_inside(name, frame, interval)
                inside = frame.filter(is_inside)
                outside[name] = outside.get(name, 0) + frame.height - inside.height
                parts[name].append(inside)
                if watched is not None:
                    elsewhere.append(_seen(name, frame.filter(~is_inside), watched))
        rejects.append(rows.rejects)
    return Candidates(
        {name: _together(name, frames) for name, frames in parts.items()},
        pl.concat(rejects),
        outside,
        pl.concat(elsewhere),
    )


def _seen(name: str, frame: pl.DataFrame, watched: pl.DataFrame) -> pl.DataFrame:
    found = frame.join(watched, on=list(WATCHED), how="semi", nulls_equal=True)
    return found.select(
        *WATCHED, pl.lit(name).alias("table"), pl.col(TABLES[name].time).alias("at")
    )


def _came(
    settings: Settings, tenant: Tenant, source: Source, interval: Interval
) -> tuple[pl.DataFrame | None, pl.DataFrame]:
    """The source's bronze rows of the interval (None: there is no table yet), and its rejects."""
    arrived = _arrived_in(interval)
    table = delta.open_table(paths.bronze(settings, tenant.id, source.name))
    if table is not None and not anew.is_as_declared(table, source):
        raise SourceError(
            f"{tenant.id}: source {source.name} was read as it was declared before. Run `ingest` "
            "for the interval from its `extract` on, which reads it anew"
        )
    rows = None if table is None else pl.scan_delta(table).filter(arrived("_arrived_on")).collect()
    bad = delta.open_table(paths.bronze_rejects(settings, tenant.id, source.name))
    if bad is None:
        return rows, pl.DataFrame(schema=REJECTS)
    return rows, pl.scan_delta(bad).filter(arrived("arrived_on")).collect()


def _arrived_in(interval: Interval) -> Callable[[str], pl.Expr]:
    first: date = interval.days()[0]
    last: date = interval.days()[-1]
    return lambda column: pl.col(column).is_null() | pl.col(column).is_between(first, last)


def _is_inside(name: str, frame: pl.DataFrame, interval: Interval) -> pl.Series:
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
    return frame.select(dated | belongs.fill_null(True)).to_series()


def _together(name: str, frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    empty = pl.DataFrame(schema={**TABLES[name].stored, **LINEAGE})
    return pl.concat([empty, *frames])
