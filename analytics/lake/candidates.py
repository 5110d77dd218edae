"""Give back what an interval brought into bronze, conformed: the rows that a gate judges.

Dated sources give what arrived in the interval, undated ones what happened in it. Rows that
quarantine binds to a fix come as the fix makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date

import polars as pl
import pyarrow.dataset as ds
from deltalake import DeltaTable

from analytics.errors import SourceError
from analytics.interval import Interval
from analytics.lake import anew, delta, fixes, paths
from analytics.lake.lineage import LINEAGE, REJECTS
from analytics.lake.tables import EARLIEST, INSTANT, TABLES, Table
from analytics.settings import Settings
from analytics.sources import plausible, reader
from analytics.tenants import Source, Tenant, get_tenant

ROWS_A_PORTION = 1 << 18  # a row group of a file of ours
WATCHED = {c: LINEAGE[c] for c in ("_source", "_file", "_file_hash", "_row")}


@dataclass
class LeftOut:
    """What came for an interval and is no row for the gate to judge.

    `rejects` (schema lineage.REJECTS, with a `table` column) are rows of the same
    arrivals that could not be read or typed: they are in quarantine already and
    belong to what came. `out_of_interval` counts rows of undated sources by table;
    `elsewhere` tells the time of those that are `watched` (WATCHED).
    """

    watched: pl.DataFrame | None = None
    rejects: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTS))
    out_of_interval: dict[str, int] = field(default_factory=dict)
    elsewhere: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={**WATCHED, "table": pl.String, "at": INSTANT})
    )

    def rejected(self, table: str) -> int:
        """Source rows (not rule breaches) of this table that could not be read or typed."""
        mine = self.rejects.filter(pl.col("table") == table)
        return mine.n_unique(["source", "file", "row"]) if mine.height else 0

    def note(self, name: str, outside: pl.DataFrame) -> None:
        """Count rows that lie outside of the interval."""
        self.out_of_interval[name] = self.out_of_interval.get(name, 0) + outside.height
        if self.watched is None:
            return
        found = outside.join(self.watched, on=list(WATCHED), how="semi", nulls_equal=True)
        told = found.select(
            *WATCHED, pl.lit(name).alias("table"), pl.col(TABLES[name].time).alias("at")
        )
        self.elsewhere = pl.concat([self.elsewhere, told])


def candidates(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    *,
    bound: pl.DataFrame | None = None,
    watched: pl.DataFrame | None = None,
) -> tuple[dict[str, pl.DataFrame], LeftOut]:
    """All rows of the interval by table (canonical columns + lineage), and what was left out."""
    left = LeftOut(watched)
    parts: dict[str, list[pl.DataFrame]] = {}
    for name, rows in portions(settings, tenant_id, interval, left, bound=bound):
        parts.setdefault(name, []).append(rows)
    return {name: pl.concat(frames) for name, frames in parts.items()}, left


def portions(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    left: LeftOut,
    *,
    bound: pl.DataFrame | None = None,
) -> Iterator[tuple[str, pl.DataFrame]]:
    """The same a portion at a time, for each table an empty one first; fills in what was `left`.

    `bound` stands in for the fixes bound in quarantine.
    """
    tenant = get_tenant(settings, tenant_id)
    bound = fixes.bound(settings, tenant_id) if bound is None else bound
    for name in dict.fromkeys(n for s in tenant.sources for n in reader(s.format).feeds(s)):
        yield name, pl.DataFrame(schema={**TABLES[name].stored, **LINEAGE})
    for source in tenant.sources:
        for declared, height, came in _came(settings, tenant, source, interval, bound, left):
            sieves = {
                name: Sieve(name, interval, left, plausible.most_left_out(height))
                for name in reader(source.format).feeds(source)
            }
            for bronze in came:
                conformed = reader(source.format).conform(tenant, declared, bronze)
                for name, rows in conformed.items():
                    yield name, sieves[name].inside(rows)
            for name, sieve in sieves.items():
                yield name, sieve.too_far_ahead()


class Sieve:
    """Tells the rows of one source and table that lie in the interval.

    Rows of undated sources are placed by their own time; a state holds from then on. Rows
    whose time is null or no service's history can hold (a play in 2099) stay, for the gate
    to name them; what history can hold is known when all rows were seen.
    """

    def __init__(self, name: str, interval: Interval, left: LeftOut, most: int) -> None:
        self._table: Table = TABLES[name]
        self._interval = interval
        self._left = left
        self._most = most  # rows that may have a clock ahead of all
        self._times: list[pl.Series] = []  # of undated rows
        self._ahead: list[pl.DataFrame] = []  # of these, the last ones after the interval

    def inside(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that surely lie in the interval."""
        is_undated, time = pl.col("_arrived_on").is_null(), pl.col(self._table.time)
        if not rows["_arrived_on"].null_count():
            return rows
        self._most = max(self._most, plausible.most_left_out(rows.height))
        self._times.append(rows.filter(is_undated)[self._table.time])
        ahead = (is_undated & (time >= self._interval.end)).fill_null(False)
        self._hold(rows.filter(ahead))
        inside = (time < EARLIEST) | (time < self._interval.end)
        if self._table.is_event:
            inside = (time < EARLIEST) | time.is_between(
                self._interval.start, self._interval.end, closed="left"
            )
        is_inside = ~is_undated | inside.fill_null(True)
        self._left.note(self._table.name, rows.filter(~is_inside & ~ahead))
        return rows.filter(is_inside)

    def too_far_ahead(self) -> pl.DataFrame:
        """The rows whose clock is wrong."""
        rows = pl.concat([pl.DataFrame(schema={**self._table.stored, **LINEAGE}), *self._ahead])
        span = plausible.plausible_span(pl.concat(self._times)) if self._times else None
        if span is None:
            return rows
        is_ahead = rows[self._table.time] > max(span[1], self._interval.end)
        self._left.note(self._table.name, rows.filter(~is_ahead))
        return rows.filter(is_ahead)

    def _hold(self, rows: pl.DataFrame) -> None:
        """Keep as many of the last rows as may turn out to be wrong; the others are outside."""
        if rows.is_empty():
            return
        both = pl.concat([*self._ahead, rows]).sort(self._table.time, maintain_order=True)
        held = both.tail(self._most)
        self._left.note(self._table.name, both.head(both.height - held.height))
        self._ahead = [held]


def _came(
    settings: Settings,
    tenant: Tenant,
    source: Source,
    interval: Interval,
    bound: pl.DataFrame,
    left: LeftOut,
) -> Iterator[tuple[Source, int, Iterator[pl.DataFrame]]]:
    """The source's bronze rows of the interval by what declares them: how many, and in portions.

    Where a row's meaning hangs on others, or on a fix, they come as one.
    """
    arrived = _arrived_in(interval)
    table = delta.open_table(paths.bronze(settings, tenant.id, source.name))
    if table is not None and not anew.is_as_declared(table, source):
        raise SourceError(
            f"{tenant.id}: source {source.name} was read as it was declared before. Run `ingest` "
            "for the interval from its `extract` on, which reads it anew"
        )
    bad = delta.open_table(paths.bronze_rejects(settings, tenant.id, source.name))
    rejects = pl.DataFrame(schema=REJECTS)
    if bad is not None:
        rejects = pl.scan_delta(bad).filter(arrived("arrived_on")).collect()
    mine = bound.filter(pl.col("source") == source.name)
    if mine.is_empty():
        left.rejects = pl.concat([left.rejects, rejects])
        if table is not None:
            rows = pl.scan_delta(table).filter(arrived("_arrived_on"))
            height = rows.select(pl.len()).collect().item()
            if reader(source.format).row_by_row and height > ROWS_A_PORTION:
                yield source, height, _portions(table, interval)
            else:
                yield source, height, iter([rows.collect()])
        return
    came = None if table is None else pl.scan_delta(table).filter(arrived("_arrived_on")).collect()
    mended = fixes.fixed(tenant, source, came, rejects, mine)
    left.rejects = pl.concat([left.rejects, mended.rejects])
    for declared, frame in mended.bronze:
        yield declared, frame.height, iter([frame])


def _portions(table: DeltaTable, interval: Interval) -> Iterator[pl.DataFrame]:
    """The rows of the interval file by file, with nothing read ahead."""
    day, (first, *_), last = ds.field("_arrived_on"), interval.days(), interval.days()[-1]
    within = day.is_null() | ((day >= first) & (day <= last))
    for fragment in table.to_pyarrow_dataset().get_fragments(within):
        file = f"{table.table_uri.rstrip('/')}/{fragment.path}"
        for start in range(0, fragment.count_rows(), ROWS_A_PORTION):
            rows = pl.scan_parquet(file).slice(start, ROWS_A_PORTION)
            yield rows.filter(_arrived_in(interval)("_arrived_on")).collect()


def _arrived_in(interval: Interval) -> Callable[[str], pl.Expr]:
    first: date = interval.days()[0]
    last: date = interval.days()[-1]
    return lambda column: pl.col(column).is_null() | pl.col(column).is_between(first, last)
