"""Query results as frames, read as the pipeline or as one tenant."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
import psycopg

from analytics.errors import WarehouseError
from analytics.settings import Settings
from analytics.tenants import get_tenant
from analytics.warehouse.connect import connect

# By type name; numeric arrives as Float64, so cast to bigint or text where exactness matters.
_TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "int2": pl.Int16,
    "int4": pl.Int32,
    "int8": pl.Int64,
    "float4": pl.Float32,
    "float8": pl.Float64,
    "numeric": pl.Float64,
    "bool": pl.Boolean,
    "text": pl.String,
    "varchar": pl.String,
    "bpchar": pl.String,
    "name": pl.String,
    "date": pl.Date,
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
    "interval": pl.Duration("us"),
}


def read(
    settings: Settings,
    query: str,
    params: Mapping[str, Any] | Sequence[Any] | None = None,
    tenant_id: str | None = None,
) -> pl.DataFrame:
    """The rows of one query, typed; with `tenant_id` as that tenant's own login."""
    role = get_tenant(settings, tenant_id).role if tenant_id is not None else "pipeline"
    with connect(settings, role=role) as connection:
        return _query(connection, query, params)


@contextmanager
def one_view(settings: Settings, tenant_id: str) -> Iterator[Callable[..., pl.DataFrame]]:
    """`read` for several queries as a tenant that all see the same moment.

    What is published meanwhile shows in none of them.
    """
    with connect(settings, role=get_tenant(settings, tenant_id).role) as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        yield lambda query, params=None: _query(connection, query, params)


def _query(
    connection: psycopg.Connection, query: str, params: Mapping[str, Any] | Sequence[Any] | None
) -> pl.DataFrame:
    try:
        cursor = connection.execute(query, params)  # type: ignore[arg-type]
    except psycopg.Error as error:
        raise WarehouseError(sql_error(error)) from None
    if cursor.description is None:
        raise WarehouseError("this statement returns no rows; write a select")
    rows = cursor.fetchall()
    schema = {
        column.name: _TYPES.get(_type_name(column.type_code)) for column in cursor.description
    }
    return _frame(rows, schema)


def sql_error(error: psycopg.Error) -> str:
    """PostgreSQL's own words: message, detail, hint, place."""
    diag = error.diag
    if diag.message_primary is None:
        return str(error).strip() or type(error).__name__
    parts = [diag.message_primary]
    if diag.message_detail:
        parts.append(f"detail: {diag.message_detail}")
    if diag.message_hint:
        parts.append(f"hint: {diag.message_hint}")
    elif isinstance(error, psycopg.errors.InsufficientPrivilege):
        parts.append("hint: a tenant reads its own rows of the relations in schema serve")
    if diag.statement_position:
        parts.append(f"at character {diag.statement_position}")
    return "\n".join(parts)


def _type_name(oid: int) -> str:
    known = psycopg.adapters.types.get(oid)
    # A type is found by the id of its arrays as well.
    return known.name if known is not None and known.oid == oid else ""


def _frame(rows: list[tuple], schema: Mapping[str, Any]) -> pl.DataFrame:
    columns: list[Sequence[Any]] = [list(c) for c in zip(*rows, strict=True)] or [()] * len(schema)
    series = [
        _series(name, dtype, values)
        for (name, dtype), values in zip(schema.items(), columns, strict=True)
    ]
    return pl.DataFrame(series)


def _series(name: str, dtype: Any, values: Sequence[Any]) -> pl.Series:
    if dtype is None:  # json, uuid, arrays …: lists stay lists, the rest becomes text
        if any(isinstance(value, list) for value in values):
            return pl.Series(name, values, strict=False)
        texts = [None if value is None else _text(value) for value in values]
        return pl.Series(name, texts, dtype=pl.String)
    if dtype == pl.Float64:
        values = [None if value is None else float(value) for value in values]
    return pl.Series(name, values, dtype=dtype)


def _text(value: Any) -> str:
    """Documents as JSON, everything else as it prints."""
    return json.dumps(value) if isinstance(value, (dict, bool, int, float)) else str(value)
