"""Tables and columns: how a frame's types become PostgreSQL's, and tables grow columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
import psycopg
from psycopg import sql

from analytics.errors import WarehouseError
from analytics.lake.tables import TABLES, Table
from analytics.warehouse.partitions import create_event_table

SCHEMAS = ("raw", "marts", "serve", "ops")
FEATURES = "churn_features"
FEATURE_KEY = ("tenant_id", "listener_id", "as_of_date")
ANALYZE_FROM = 20_000  # rows written, from which a table's statistics are worth the scan
RUN_STAMP = "ingest_run"  # says which run brought a raw row; in no content hash

_TYPES: dict[type[pl.DataType], str] = {
    pl.String: "text",
    pl.Categorical: "text",
    pl.Enum: "text",
    pl.Boolean: "boolean",
    pl.Int8: "smallint",
    pl.Int16: "smallint",
    pl.Int32: "integer",
    pl.Int64: "bigint",
    pl.UInt8: "smallint",
    pl.UInt16: "integer",
    pl.UInt32: "bigint",
    pl.Float32: "real",
    pl.Float64: "double precision",
    pl.Date: "date",
    pl.Decimal: "numeric",
}


def sql_type(column: str, dtype: pl.DataType | type[pl.DataType]) -> str:
    """The PostgreSQL type of one frame column."""
    if isinstance(dtype, pl.Datetime):
        return "timestamptz" if dtype.time_zone else "timestamp"
    known = _TYPES.get(dtype.base_type())
    if known is None:
        raise WarehouseError(
            f"column {column} has type {dtype}, which the warehouse does not store; "
            "turn it into text or numbers first"
        )
    return known


def columns_of(connection: psycopg.Connection, schema: str, relation: str) -> dict[str, str]:
    """Column name to type of a table or view, in order; empty when there is none."""
    return dict(
        connection.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute"
            " join pg_class on pg_class.oid = attrelid"
            " join pg_namespace on pg_namespace.oid = relnamespace"
            " where nspname = %s and relname = %s and attnum > 0 and not attisdropped"
            " order by attnum",
            [schema, relation],
        ).fetchall()
    )


def ensure_table(
    connection: psycopg.Connection,
    schema: str,
    relation: str,
    columns: Mapping[str, str],
    key: Sequence[str] = (),
) -> None:
    """A table with at least these columns: made when absent, widened when it lacks some."""
    there = columns_of(connection, schema, relation)
    table = sql.Identifier(schema, relation)
    if not there:
        connection.execute(
            sql.SQL("create table {} ({})").format(table, _definition(columns, key, key))
        )
        return
    for name in columns.keys() - there.keys():
        connection.execute(
            sql.SQL("alter table {} add column {} {}").format(
                table, sql.Identifier(name), sql.SQL(columns[name])
            )
        )


def ensure_raw(connection: psycopg.Connection) -> None:
    """Every canonical table in `raw`, keyed by tenant, cut by time where rows are events."""
    for table in TABLES.values():
        columns = {name: sql_type(name, dtype) for name, dtype in table.stored.items()}
        columns[RUN_STAMP] = "text"
        if table.is_event and not columns_of(connection, "raw", table.name):
            create_event_table(
                connection,
                sql.Identifier("raw", table.name),
                _definition(columns, raw_key(table), table.required),
                table.time,
            )
        ensure_table(connection, "raw", table.name, columns, raw_key(table))
        _demand_no_more(connection, table)
    ensure_table(connection, "raw", FEATURES, feature_columns(), FEATURE_KEY)


def _demand_no_more(connection: psycopg.Connection, table: Table) -> None:
    """Let columns be null that the raw table demanded when it was made and no rule demands now."""
    demanded = connection.execute(
        "select attname from pg_attribute"
        " where attrelid = %s::regclass and attnotnull and attnum > 0 and not attisdropped",
        [f'raw."{table.name}"'],
    ).fetchall()
    for name in sorted({name for (name,) in demanded} - {*table.required, *raw_key(table)}):
        connection.execute(
            sql.SQL("alter table {} alter column {} drop not null").format(
                sql.Identifier("raw", table.name), sql.Identifier(name)
            )
        )


def feature_columns() -> dict[str, str]:
    """The declared feature table, so that dbt finds it before the first features are loaded."""
    from spark_jobs.churn_columns import polars_schema

    return {name: sql_type(name, dtype) for name, dtype in polars_schema().items()}


def raw_key(table: Table) -> tuple[str, ...]:
    """The primary key; an event's time stands before its id, so the key also finds windows."""
    return ("tenant_id", table.time, table.key) if table.is_event else table.identity


def _definition(
    columns: Mapping[str, str], key: Sequence[str], required: Sequence[str]
) -> sql.Composable:
    lines = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(name),
            sql.SQL(kind),  # from the mapping above or from the server's own catalogue
            sql.SQL(" not null" if name in required else ""),
        )
        for name, kind in columns.items()
    ]
    if key:
        names = sql.SQL(", ").join(map(sql.Identifier, key))
        lines.append(sql.SQL("primary key ({})").format(names))
    return sql.SQL(", ").join(lines)
