"""Bad rows, kept with the rule they broke and the value that broke it.

Grain: one row per (tenant, door, table, source row, rule, column). Writing the
same rows twice changes nothing.
"""

from __future__ import annotations

import polars as pl

from analytics.interval import Interval
from analytics.lake import delta, paths
from analytics.lake.hashing import row_hash
from analytics.lake.tables import INSTANT
from analytics.settings import Settings

COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "tenant_id": pl.String,
    "quarantine_id": pl.String,
    "door": pl.String,  # extract, bronze, marts
    "table": pl.String,
    "source": pl.String,
    "rule": pl.String,
    "column": pl.String,
    "value": pl.String,
    "row": pl.String,  # the whole row as JSON, or the raw text where it could not be read
    "file": pl.String,
    "file_hash": pl.String,
    "row_number": pl.Int64,
    "interval_from": INSTANT,
    "interval_to": INSTANT,
    "ingest_run": pl.String,
}
IDENTITY = [
    "tenant_id", "door", "table", "source", "file", "file_hash", "row_number", "rule", "column",
    "value", "row",
]  # fmt: skip


def write(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    bad: pl.DataFrame,
    *,
    door: str,
    run_id: str,
) -> int:
    """Add rows that are not in quarantine yet; gives how many were new.

    `bad` has table, source, rule, column, value, row, file, file_hash and
    row_number; columns that it lacks are null.
    """
    if bad.is_empty():
        return 0
    given = {
        "tenant_id": tenant_id,
        "door": door,
        "interval_from": interval.start,
        "interval_to": interval.end,
        "ingest_run": run_id,
    }
    rows = bad.select(
        pl.lit(given[c], t).alias(c)
        if c in given
        else (pl.col(c).cast(t) if c in bad.columns else pl.lit(None, t).alias(c))
        for c, t in COLUMNS.items()
    )
    rows = rows.with_columns(row_hash(rows, IDENTITY).alias("quarantine_id"))
    rows = rows.unique("quarantine_id", keep="first", maintain_order=True)
    uri = paths.quarantine(settings)

    def add() -> int:
        table = delta.open_table(uri)
        fresh = rows
        if table is not None:
            known = (
                pl.scan_delta(table)
                .filter(pl.col("tenant_id") == tenant_id)
                .select("quarantine_id")
                .collect()
            )
            fresh = rows.join(known, on="quarantine_id", how="anti", maintain_order="left")
        if fresh.height:
            once = delta.next_number(table, f"quarantine/{tenant_id}")
            commit = delta.properties([once])
            delta.write(table or uri, fresh, partition_by=["tenant_id"], commit=commit)
        return fresh.height

    return delta.retrying(add)


def scan(settings: Settings, tenant_id: str | None = None) -> pl.LazyFrame:
    """What is in quarantine, of one tenant or of all."""
    table = delta.open_table(paths.quarantine(settings))
    rows = pl.LazyFrame(schema=COLUMNS) if table is None else pl.scan_delta(table)
    return rows if tenant_id is None else rows.filter(pl.col("tenant_id") == tenant_id)
