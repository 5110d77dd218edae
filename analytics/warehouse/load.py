"""Silver rows of one tenant and window, copied into `raw`.

Each load replaces: the window of event tables, all of the tenant's rows in state
tables, in one transaction. A load killed on its way leaves what was there before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date

import polars as pl
import psycopg
from psycopg import sql

from analytics.errors import WarehouseError
from analytics.interval import Interval
from analytics.lake import read as lake
from analytics.lake.tables import TABLES, Table
from analytics.settings import Settings
from analytics.tenants import get_tenant
from analytics.warehouse.connect import connect
from analytics.warehouse.copy import copy_frames
from analytics.warehouse.partitions import add_months, missing_months
from analytics.warehouse.prepare import alone, lock_tenant, prepare_if_needed
from analytics.warehouse.schema import (
    ANALYZE_FROM,
    FEATURE_KEY,
    FEATURES,
    RUN_STAMP,
    columns_of,
    ensure_table,
    sql_type,
)

log = logging.getLogger(__name__)

BATCH = 200_000  # rows held at a time


@dataclass(frozen=True)
class Loaded:
    """What one load brought, and how long it took."""

    rows: dict[str, int]
    seconds: float


def load(settings: Settings, tenant_id: str, touched: Interval) -> Loaded:
    """Replace the tenant's window in every raw table by what silver holds.

    Features look back, so those of every date from the window's start on are replaced too.
    """
    tables = {name: _silver(settings, table, tenant_id, touched) for name, table in TABLES.items()}
    frames = {name: rows for name, rows in tables.items() if rows is not None}
    return _load(settings, tenant_id, frames, touched, touched)


def load_features(
    settings: Settings, tenant_id: str, window: Interval | Collection[date] | None = None
) -> Loaded:
    """Replace the tenant's features from the window's start on, or of the dates given, or all."""
    return _load(settings, tenant_id, {}, None, window)


def _load(
    settings: Settings,
    tenant_id: str,
    silver: dict[str, pl.LazyFrame],
    touched: Interval | None,
    feature_window: Interval | Collection[date] | None,
) -> Loaded:
    started = time.perf_counter()
    get_tenant(settings, tenant_id)
    prepare_if_needed(settings)
    features = _features(settings, tenant_id, feature_window)
    rows: dict[str, int] = {}
    with connect(settings, autocommit=True) as connection:
        _make_room(connection, silver, features)
        try:
            with connection.transaction():
                lock_tenant(connection, tenant_id)
                if touched is not None:
                    for name, table in TABLES.items():
                        _delete_window(connection, table, tenant_id, touched)
                        rows[name] = _copy(connection, name, silver.get(name))
                _delete_features(connection, tenant_id, feature_window)
                rows[FEATURES] = _copy(connection, FEATURES, features)
        except psycopg.Error as error:
            raise WarehouseError(
                f"{tenant_id}: loading {touched or FEATURES} into raw failed, nothing was changed: "
                f"{str(error).strip().splitlines()[0]}"
            ) from None
        for name, count in rows.items():
            if count >= ANALYZE_FROM:
                connection.execute(sql.SQL("analyze {}").format(sql.Identifier("raw", name)))
    seconds = time.perf_counter() - started
    log.info("%s: %d rows loaded into raw in %.1f s", tenant_id, sum(rows.values()), seconds)
    return Loaded(rows, seconds)


# ------------------------------------------------------------------ the lake's side


def _silver(
    settings: Settings, table: Table, tenant_id: str, touched: Interval
) -> pl.LazyFrame | None:
    """The tenant's rows to load: of the window, or all where the table is a state."""
    rows = _scan(settings, table.name, tenant_id, "silver")
    if rows is None:
        return None
    if table.is_event:
        at = pl.col(table.time)
        rows = rows.filter((at >= touched.start) & (at < touched.end))
    there = set(rows.collect_schema().names())
    return rows.select(*table.stored, *({RUN_STAMP} & there))


def _features(
    settings: Settings, tenant_id: str, window: Interval | Collection[date] | None
) -> pl.LazyFrame | None:
    rows = _scan(settings, FEATURES, tenant_id, "features")
    if rows is None or window is None:
        return rows
    if isinstance(window, Interval):
        return rows.filter(pl.col("as_of_date") >= window.start.date())
    return rows.filter(pl.col("as_of_date").is_in(sorted(window)))


def _scan(settings: Settings, table: str, tenant_id: str, layer: str) -> pl.LazyFrame | None:
    """One version of a lake table, or none where nothing has been written yet."""
    version = lake.version(settings, layer, table)
    if version is None:
        return None
    return lake.scan(settings, table, tenant_id, layer=layer, version=version)


# ------------------------------------------------------------------ the warehouse's side


def _make_room(
    connection: psycopg.Connection, silver: dict[str, pl.LazyFrame], features: pl.LazyFrame | None
) -> None:
    """Partitions and feature columns, before and outside the load's own transaction."""
    months = {name: _months(TABLES[name], rows) for name, rows in silver.items()}
    wanted = {name: m for name, m in months.items() if missing_months(connection, name, m)}
    columns = _sql_columns(features)
    grown = columns.keys() - columns_of(connection, "raw", FEATURES).keys()
    if not wanted and not grown:
        return
    with alone(connection):
        for name, missing in wanted.items():
            add_months(connection, name, missing)
        if grown:
            ensure_table(connection, "raw", FEATURES, columns, FEATURE_KEY)


def _months(table: Table, rows: pl.LazyFrame) -> list[date]:
    if not table.is_event:
        return []
    month = pl.col(table.time).dt.truncate("1mo").dt.date().unique()
    return rows.select(month).collect(engine="streaming").to_series().to_list()


def _sql_columns(features: pl.LazyFrame | None) -> dict[str, str]:
    if features is None:
        return {}
    return {name: sql_type(name, dtype) for name, dtype in features.collect_schema().items()}


def _delete_window(
    connection: psycopg.Connection, table: Table, tenant_id: str, touched: Interval
) -> None:
    raw = sql.Identifier("raw", table.name)
    if table.is_event:
        connection.execute(
            sql.SQL("delete from {} where tenant_id = %s and {at} >= %s and {at} < %s").format(
                raw, at=sql.Identifier(table.time)
            ),
            [tenant_id, touched.start, touched.end],
        )
    else:
        connection.execute(sql.SQL("delete from {} where tenant_id = %s").format(raw), [tenant_id])


def _delete_features(
    connection: psycopg.Connection, tenant_id: str, window: Interval | Collection[date] | None
) -> None:
    delete = "delete from raw.churn_features where tenant_id = %s"
    if window is None:
        connection.execute(delete, [tenant_id])
    elif isinstance(window, Interval):
        connection.execute(delete + " and as_of_date >= %s", [tenant_id, window.start.date()])
    else:
        connection.execute(delete + " and as_of_date = any(%s)", [tenant_id, sorted(window)])


def _copy(connection: psycopg.Connection, name: str, rows: pl.LazyFrame | None) -> int:
    if rows is None:
        return 0
    batches: Iterable[pl.DataFrame] = rows.collect_batches(chunk_size=BATCH, engine="streaming")
    return copy_frames(connection, sql.Identifier("raw", name), batches)
