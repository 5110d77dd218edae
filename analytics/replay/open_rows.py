"""What an interval's open rows in quarantine are worth, as bronze, fixes and rules are now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from analytics import by_hand
from analytics.interval import Interval
from analytics.lake import ledger, quarantine
from analytics.lake.candidates import WATCHED, candidates
from analytics.lake.quarantine import SOURCE_ROW
from analytics.replay.sound import is_sound
from analytics.settings import Settings
from analytics.tenants import Tenant, get_tenant

DOORS = ("extract", "bronze")  # what stands at the marts is no row of a source
ROW = list(WATCHED)  # SOURCE_ROW of a conformed row


@dataclass(frozen=True)
class Look:
    """What became of the rows, by their ids in quarantine."""

    passing: pl.Series = field(default_factory=lambda: pl.Series([], dtype=pl.String))
    bad: int = 0
    waiting: int = 0  # good, but their time now lies in days that never ran
    others: frozenset[Interval] = frozenset()  # that landed, and in which rows lie now


def look(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    is_by_hand: bool,
    bound: pl.DataFrame | None = None,
) -> Look:
    """Which of the interval's open rows pass; `settings` see the sources that are meant.

    `bound` stands in for the fixes bound in quarantine.
    """
    tenant = get_tenant(settings, tenant_id)
    rows = _open(settings, tenant, interval)
    watched = rows.select(ROW).unique()
    came, left = candidates(settings, tenant_id, interval, bound=bound, watched=watched)
    unfit = _bad(tenant, interval, came, left.rejects, rows)
    bad = pl.concat([rows.clear(), *unfit]).unique("quarantine_id")
    good = rows.join(bad, on="quarantine_id", how="anti")
    spans = _landed(settings, tenant_id, is_by_hand, left.elsewhere["at"])
    lost = left.elsewhere.filter(pl.Series([not found for found in spans], dtype=pl.Boolean))
    waiting = good.join(lost, on=ROW, how="semi", nulls_equal=True)
    passing = good.join(waiting, on="quarantine_id", how="anti")
    return Look(passing["quarantine_id"], bad.height, waiting.height, frozenset().union(*spans))


def _open(settings: Settings, tenant: Tenant, interval: Interval) -> pl.DataFrame:
    rows = quarantine.scan(settings, tenant.id).filter(
        ~pl.col("is_resolved"),
        pl.col("door").is_in(DOORS),
        pl.col("source").is_in([source.name for source in tenant.sources]),
        pl.col("interval_from") == interval.start,
        pl.col("interval_to") == interval.end,
    )
    names = dict(zip(SOURCE_ROW, ROW, strict=True))
    return rows.select("quarantine_id", "table", *SOURCE_ROW).rename(names).collect()


def _bad(
    tenant: Tenant,
    interval: Interval,
    came: Mapping[str, pl.DataFrame],
    rejects: pl.DataFrame,
    rows: pl.DataFrame,
) -> Iterator[pl.DataFrame]:
    """The rows that cannot be read even now, then those that break a rule, table by table."""
    unread = rejects.select(pl.col("source", "file", "file_hash", "row").name.prefix("_"))
    yield rows.join(unread, on=ROW, how="semi", nulls_equal=True)
    for name, frame in came.items():
        broken = frame.filter(~is_sound(tenant, name, interval, frame))
        mine = rows.filter(pl.col("table") == name)
        yield mine.join(broken, on=ROW, how="semi", nulls_equal=True)


def _landed(
    settings: Settings, tenant_id: str, is_by_hand: bool, times: pl.Series
) -> list[set[Interval]]:
    """For each instant the intervals that hold it and landed."""
    lines = ledger.read(settings, tenant_id).filter(
        pl.col("ingest_run").str.starts_with(by_hand.RUN) == is_by_hand
    )
    ends = lines.select("interval_from", "interval_to").unique()
    landed = [Interval(start, end) for start, end in ends.iter_rows()]
    return [{i for i in landed if i.start <= at < i.end} for at in times]
