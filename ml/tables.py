"""Delta tables that learning writes: one tenant's rows replaced at a time, and only on change.

Grain, keys and columns are the caller's. Re-run: when the table holds just
these rows already (run stamps aside) nothing is committed.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import date
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from analytics.errors import TrainingError
from analytics.lake.tables import RUN_STAMPS
from analytics.settings import Settings

log = logging.getLogger(__name__)

ATTEMPTS = 8


def uri(settings: Settings, layer: str, table: str) -> str:
    return f"{settings.lake_root}/{layer}/{table}"


def version(settings: Settings, layer: str, table: str) -> int | None:
    """The newest version, or None when there is no such table yet."""
    try:
        return DeltaTable(uri(settings, layer, table)).version()
    except TableNotFoundError:
        return None


def read(
    settings: Settings, tenant_id: str, layer: str, table: str, at: int | None
) -> pl.DataFrame:
    """One tenant's rows as version `at` holds them; an empty frame when `at` is None."""
    if at is None:
        return pl.DataFrame()
    snapshot = DeltaTable(uri(settings, layer, table), version=at)
    return pl.scan_delta(snapshot).filter(pl.col("tenant_id") == tenant_id).collect()


def replace(
    settings: Settings,
    tenant_id: str,
    layer: str,
    table: str,
    frame: pl.DataFrame,
    where: dict[str, Any],
    run_id: str,
) -> int:
    """Make `frame` all that the table holds of (tenant, where); the version that holds it.

    One atomic commit, retried while other tenants commit.
    """
    if (frame["tenant_id"] != tenant_id).any():
        raise TrainingError(f"{layer}/{table}: rows of other tenants among those of {tenant_id}")
    predicate = pl.col("tenant_id") == tenant_id
    for column, value in where.items():
        predicate &= pl.col(column) == value
    _create(settings, layer, table, frame)
    for attempt in range(1, ATTEMPTS + 1):
        current = DeltaTable(uri(settings, layer, table))
        held = pl.scan_delta(current).filter(predicate).collect()
        if _same(held, frame):
            return current.version()
        try:
            write_deltalake(
                current,
                frame.to_arrow(),
                mode="overwrite",
                predicate=_sql({"tenant_id": tenant_id, **where}),
                commit_properties=CommitProperties(
                    custom_metadata={"run_id": run_id, "tenant_id": tenant_id}
                ),
            )
            return current.version()
        except CommitFailedError as conflict:
            log.info("%s/%s: %s met another commit (attempt %d)", layer, table, tenant_id, attempt)
            if attempt == ATTEMPTS:
                raise TrainingError(
                    f"{layer}/{table}: other writers won {ATTEMPTS} times against {tenant_id}; "
                    "run the task again, nothing was half written"
                ) from conflict
    raise AssertionError("unreachable")


def content_hash(frame: pl.DataFrame) -> str:
    """Tells frames apart by their rows, whatever the order; run stamps do not count."""
    columns = sorted(set(frame.columns) - RUN_STAMPS)
    text = frame.select(columns).sort(columns).write_csv()
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _same(held: pl.DataFrame, frame: pl.DataFrame) -> bool:
    columns = [c for c in frame.columns if c not in RUN_STAMPS]
    if held.height != frame.height or set(held.columns) != set(frame.columns):
        return False
    return held.select(columns).sort(columns).equals(frame.select(columns).sort(columns))


def _create(settings: Settings, layer: str, table: str, frame: pl.DataFrame) -> None:
    """The empty table, partitioned by tenant."""
    for attempt in range(1, ATTEMPTS + 1):
        if version(settings, layer, table) is not None:
            return
        try:
            write_deltalake(
                uri(settings, layer, table),
                frame.clear().to_arrow(),
                mode="ignore",
                partition_by=["tenant_id"],
            )
        except DeltaError:  # another tenant's task creates it at this moment
            if attempt == ATTEMPTS:
                raise


def _sql(where: dict[str, Any]) -> str:
    return " AND ".join(f"{column} = {_literal(value)}" for column, value in where.items())


def _literal(value: Any) -> str:
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, (bool, int)):
        return str(value).lower()
    escaped = str(value).replace("'", "''")
    return f"'{escaped}'"
