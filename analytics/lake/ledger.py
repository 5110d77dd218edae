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


def record(settings: Settings, lines: list[dict[str, Any]]) -> None:
    """Add lines. The caller gives only those that are not there yet."""
    if not lines:
        return
    typed = [
        {
            **line,
            "interval_from": datetime.fromisoformat(line["interval_from"]),
            "interval_to": datetime.fromisoformat(line["interval_to"]),
        }
        for line in lines
    ]
    rows = pl.DataFrame(typed, schema=COLUMNS, orient="row")
    uri = paths.ledger(settings)
    delta.retrying(
        lambda: delta.write(delta.open_table(uri) or uri, rows, partition_by=["tenant_id"])
    )
