"""Bad rows, kept with the rule they broke and the value that broke it.

Grain    one row per (tenant, door, table, source row, rule, column), for good.
Re-run   writing the same rows twice changes nothing.
Resolved a row that a later run let through is marked, never taken out; one that is bad again
         is marked back. A fix, once bound, belongs to the source row in every later run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl
from deltalake import DeltaTable, Field
from deltalake.schema import PrimitiveType

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
    "is_resolved": pl.Boolean,
    "run_id": pl.String,  # the replay that resolved it
    "fix": pl.String,  # what people wrote to mend the row, as JSON
}
IDENTITY = [
    "tenant_id", "door", "table", "source", "file", "file_hash", "row_number", "rule", "column",
    "value", "row",
]  # fmt: skip
SOURCE_ROW = ["source", "file", "file_hash", "row_number"]  # one may be bad in many ways
# What tables written before replays lack.
LATER = {"is_resolved": "boolean", "run_id": "string", "fix": "string"}


@dataclass(frozen=True)
class Which:
    """Which rows are meant; what is None says nothing."""

    tenant_id: str | None = None
    table: str | None = None
    source: str | None = None
    rule: str | None = None
    door: str | None = None
    since: datetime | None = None  # the run's interval ends after it
    until: datetime | None = None  # and begins before it

    def of(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        for column in ("tenant_id", "table", "source", "rule", "door"):
            if (wanted := getattr(self, column)) is not None:
                rows = rows.filter(pl.col(column) == wanted)
        if self.since is not None:
            rows = rows.filter(pl.col("interval_to") > self.since)
        if self.until is not None:
            rows = rows.filter(pl.col("interval_from") < self.until)
        return rows


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
        "is_resolved": False,
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
        table = _opened(uri)
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

    added = delta.retrying(add)
    # Of a row with a fix only the row as mended is judged, and that is another one.
    back = pl.col("is_resolved") & pl.col("fix").is_null()
    _change(settings, tenant_id, rows["quarantine_id"], back, is_resolved=False, run_id=None)
    return added


def resolve(settings: Settings, tenant_id: str, ids: pl.Series, run_id: str) -> int:
    """Mark rows that this run let through; gives how many were not marked yet."""
    is_open = ~pl.col("is_resolved")
    return _change(settings, tenant_id, ids, is_open, is_resolved=True, run_id=run_id)


def bind(settings: Settings, tenant_id: str, source_rows: pl.DataFrame, fix: str) -> int:
    """Bind a fix to source rows, whatever they broke; gives how many rows that changed."""
    mine = scan(settings, tenant_id).join(
        source_rows.lazy(), on=SOURCE_ROW, how="semi", nulls_equal=True
    )
    ids = mine.select("quarantine_id").collect()["quarantine_id"]
    return _change(settings, tenant_id, ids, pl.col("fix").ne_missing(fix), fix=fix)


def scan(settings: Settings, tenant_id: str | None = None) -> pl.LazyFrame:
    """What is in quarantine, of one tenant or of all."""
    table = delta.open_table(paths.quarantine(settings))
    rows = pl.LazyFrame(schema=COLUMNS) if table is None else _scanned(table)
    return rows if tenant_id is None else rows.filter(pl.col("tenant_id") == tenant_id)


def _scanned(table: DeltaTable) -> pl.LazyFrame:
    rows = pl.scan_delta(table)
    there = rows.collect_schema().names()
    rows = rows.with_columns(pl.lit(None, t).alias(c) for c, t in COLUMNS.items() if c not in there)
    return rows.with_columns(pl.col("is_resolved").fill_null(False)).select(list(COLUMNS))


def _opened(uri: str) -> DeltaTable | None:
    """The table, with all columns of now."""
    table = delta.open_table(uri)
    if table is None:
        return None
    there = {field.name for field in table.schema().fields}
    missing = [Field(c, PrimitiveType(t)) for c, t in LATER.items() if c not in there]
    if not missing:
        return table
    table.alter.add_columns(missing)
    return delta.open_table(uri)


def _change(
    settings: Settings, tenant_id: str, ids: pl.Series, where: pl.Expr, **changes: object
) -> int:
    """Change columns of those of the rows for which `where` holds, in one commit."""
    uri = paths.quarantine(settings)

    def attempt() -> int:
        table = _opened(uri)
        if table is None or ids.is_empty():
            return 0
        mine = _scanned(table).filter((pl.col("tenant_id") == tenant_id) & where)
        wanted = ids.to_frame("quarantine_id").lazy()
        rows = mine.join(wanted, on="quarantine_id", how="semi").collect()
        if rows.height:
            rows = rows.with_columns(pl.lit(v, COLUMNS[c]).alias(c) for c, v in changes.items())
            once = delta.next_number(table, f"quarantine/{tenant_id}")
            commit = delta.properties([once])
            delta.upsert(table, rows, tenant_id=tenant_id, key="quarantine_id", commit=commit)
        return rows.height

    return delta.retrying(attempt)
