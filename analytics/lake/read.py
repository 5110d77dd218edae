"""Read a table of the lake, as it is or as it was."""

from __future__ import annotations

import polars as pl

from analytics.lake import content, delta, paths
from analytics.lake.tables import TABLES
from analytics.settings import Settings


def scan(
    settings: Settings,
    table: str,
    tenant_id: str | None = None,
    layer: str = "silver",
    version: int | None = None,
) -> pl.LazyFrame:
    """The rows of one table, lazily; empty (with the canonical columns) before its first write.

    Silver shows its canonical columns, `extras` and `ingest_run`; arrival days stay inside the
    lake. What an earlier release did not store yet is null.
    """
    found = delta.open_table(paths.table(settings, layer, table), version)
    canonical = TABLES.get(table) if layer == "silver" else None
    if found is None:
        columns = dict(canonical.stored) if canonical else {"tenant_id": pl.String}
        return pl.LazyFrame(schema={**columns, "ingest_run": pl.String})
    rows = pl.scan_delta(found)
    if tenant_id is not None:
        rows = rows.filter(pl.col("tenant_id") == tenant_id)
    if canonical is None:
        return rows
    there = rows.collect_schema()
    lacking = {c: t for c, t in canonical.stored.items() if c not in there}
    rows = rows.with_columns(pl.lit(None, t).alias(c) for c, t in lacking.items())
    return rows.select([*canonical.stored, "ingest_run"])


def version(settings: Settings, layer: str, table: str) -> int | None:
    """The Delta version the table stands at; None before its first write."""
    return delta.version(paths.table(settings, layer, table))


def content_hash(settings: Settings) -> dict[tuple[str, str], str]:
    """(layer/table, tenant) → hash of the rows, whatever their order or file layout."""
    return content.content_hash(settings)
