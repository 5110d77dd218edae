"""Where every row went: one line per (tenant, table, interval, run that changed something).

rows_in = landed + corrected + duplicates + quarantined + out_of_interval, to the row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl

from analytics.errors import AnalyticsError
from analytics.interval import Interval
from analytics.lake import delta, paths
from analytics.lake.tables import INSTANT
from analytics.settings import Settings

BUCKETS = ("landed", "corrected", "duplicates", "quarantined", "out_of_interval")
COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "tenant_id": pl.String,
    "table": pl.String,
    "interval_from": INSTANT,
    "interval_to": INSTANT,
    "rows_in": pl.Int64,
    **dict.fromkeys(BUCKETS, pl.Int64),
    "ingest_run": pl.String,
}


def entry(
    tenant_id: str, table: str, interval: Interval, counts: dict[str, int], run_id: str
) -> dict[str, Any]:
    """One line, checked: raises when a row is unaccounted for."""
    missing = counts["rows_in"] - sum(counts[bucket] for bucket in BUCKETS)
    if missing:
        raise AnalyticsError(
            f"{tenant_id}: {table} of {interval} does not balance by {missing} rows: {counts}. "
            "Nothing was landed; report this with the staged file."
        )
    return {
        "tenant_id": tenant_id,
        "table": table,
        "interval_from": interval.start.isoformat(),
        "interval_to": interval.end.isoformat(),
        **counts,
        "ingest_run": run_id,
    }


def read(settings: Settings, tenant_id: str | None = None) -> pl.DataFrame:
    """The ledger, of one tenant or of all."""
    table = delta.open_table(paths.ledger(settings))
    if table is None:
        return pl.DataFrame(schema=COLUMNS)
    rows = pl.scan_delta(table)
    if tenant_id is not None:
        rows = rows.filter(pl.col("tenant_id") == tenant_id)
    return rows.collect().sort("tenant_id", "interval_from", "interval_to", "table", "ingest_run")


def record(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    landed: list[dict[str, Any]],
    read_again: list[dict[str, Any]],
) -> set[tuple[str, str]]:
    """Add the lines of an interval that the ledger lacks, once whoever else records it now.

    `landed` are the lines of commits, one for each (table, run). `read_again` are
    lines of tables that nothing came of; they count only where the interval has
    no line of the table yet. Gives the (table, run) added.
    """
    uri = paths.ledger(settings)

    def add() -> set[tuple[str, str]]:
        ledger = delta.open_table(uri)
        known = set()
        if ledger is not None:
            mine = pl.scan_delta(ledger).filter(
                pl.col("tenant_id") == tenant_id,
                pl.col("interval_from") == interval.start,
                pl.col("interval_to") == interval.end,
            )
            known = set(mine.select("table", "ingest_run").collect().iter_rows())
        missing = [line for line in landed if (line["table"], line["ingest_run"]) not in known]
        told = {table for table, _ in known} | {line["table"] for line in missing}
        missing += [line for line in read_again if line["table"] not in told]
        if missing:
            delta.write(
                ledger or uri,
                _frame(missing),
                partition_by=["tenant_id"],
                commit=delta.properties([delta.next_number(ledger, f"ledger/{tenant_id}")]),
            )
        return {(line["table"], line["ingest_run"]) for line in missing}

    return delta.retrying(add)


def _frame(lines: list[dict[str, Any]]) -> pl.DataFrame:
    ends = ("interval_from", "interval_to")
    typed = [{**line, **{e: datetime.fromisoformat(line[e]) for e in ends}} for line in lines]
    return pl.DataFrame(typed, schema=COLUMNS, orient="row")
