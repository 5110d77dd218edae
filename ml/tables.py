"""Tables of the lake as learning reads and writes them: one tenant's rows at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import polars as pl

from analytics.lake import delta, paths
from analytics.lake.read import version
from analytics.lake.replace import replace as replace_rows
from analytics.lake.tables import RUN_STAMPS
from analytics.settings import Settings

__all__ = ["content_hash", "read", "replace", "version"]


def read(
    settings: Settings, tenant_id: str, layer: str, table: str, at: int | None
) -> pl.DataFrame:
    """One tenant's rows as version `at` holds them; an empty frame when `at` is None."""
    snapshot = None if at is None else delta.open_table(paths.table(settings, layer, table), at)
    if snapshot is None:
        return pl.DataFrame()
    return pl.scan_delta(snapshot).filter(pl.col("tenant_id") == tenant_id).collect()


def replace(
    settings: Settings,
    tenant_id: str,
    layer: str,
    table: str,
    frame: pl.DataFrame,
    where: Mapping[str, Any],
    run_id: str,
) -> int:
    """Make `frame` all that the table holds of (tenant, where); the version that holds it."""
    metadata = {"run_id": run_id}
    return replace_rows(settings, tenant_id, layer, table, frame, where, metadata).version


def content_hash(frame: pl.DataFrame) -> str:
    """Tells frames apart by their rows, whatever the order; run stamps do not count."""
    columns = sorted(set(frame.columns) - RUN_STAMPS)
    text = frame.select(columns).sort(columns).write_csv()
    return hashlib.sha256(text.encode()).hexdigest()[:16]
