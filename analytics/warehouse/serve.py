"""The tables of `serve`: shaped like what they publish, indexed and secured for tenants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql

from analytics.errors import WarehouseError
from analytics.warehouse.manifest import Relation
from analytics.warehouse.prepare import alone
from analytics.warehouse.roles import secure
from analytics.warehouse.schema import columns_of, ensure_table

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,50}$")
RESERVED = {"snapshots"}


def check_name(relation: str) -> str:
    """The name, if a relation of serve may have it."""
    if not _NAME.match(relation) or relation in RESERVED:
        raise WarehouseError(f"{relation!r} cannot be a relation of serve; use snake_case")
    return relation


def ensure_like_mart(
    connection: psycopg.Connection, relation: Relation, columns: Mapping[str, str]
) -> None:
    """`serve.<relation>` with just the mart's columns, its grain unique, tenants let in.

    Grows, drops and retypes columns with the mart; a column that was dropped
    there is gone here for every tenant at the next publication of any.
    """
    name = check_name(relation.name)
    there = columns_of(connection, "serve", name)
    if there == dict(columns) and _is_open(connection, name):
        return
    table = sql.Identifier("serve", name)
    with alone(connection):
        ensure_table(connection, "serve", name, columns)
        for column in there.keys() - columns.keys():
            connection.execute(
                sql.SQL("alter table {} drop column {}").format(table, sql.Identifier(column))
            )
        for column in there.keys() & columns.keys():
            if there[column] != columns[column]:
                _retype(connection, name, column, columns[column])
        _index(connection, name, relation.grain, "grain", unique=True)
        if relation.time:
            _index(connection, name, ("tenant_id", relation.time), "time")
        elif not relation.grain:
            _index(connection, name, ("tenant_id",), "tenant")
        secure(connection, name)


def ensure_rows_table(
    connection: psycopg.Connection, name: str, columns: Mapping[str, str], index: Sequence[str]
) -> None:
    """`serve.<name>` with at least these columns, tenants let in."""
    if columns.keys() <= columns_of(connection, "serve", name).keys() and _is_open(
        connection, name
    ):
        return
    with alone(connection):
        ensure_table(connection, "serve", name, columns)
        _index(connection, name, index, "replace")
        secure(connection, name)


def _is_open(connection: psycopg.Connection, name: str) -> bool:
    """Whether the last step of making the table was reached: the grant to tenants."""
    return (
        connection.execute(
            "select from pg_class where oid = %s::regclass and relforcerowsecurity and"
            " exists (select from aclexplode(relacl) where privilege_type = 'SELECT'"
            " and grantee = (select oid from pg_roles where rolname = 'warehouse_tenants'))",
            [f'serve."{name}"'],
        ).fetchone()
        is not None
    )


def _index(
    connection: psycopg.Connection,
    name: str,
    columns: Sequence[str],
    suffix: str,
    unique: bool = False,
) -> None:
    if not columns:
        return
    connection.execute(
        sql.SQL("create {} if not exists {} on {} ({})").format(
            sql.SQL("unique index" if unique else "index"),
            sql.Identifier(f"{name}_{suffix}"),
            sql.Identifier("serve", name),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
        )
    )


def _retype(connection: psycopg.Connection, name: str, column: str, kind: str) -> None:
    try:
        connection.execute(
            sql.SQL("alter table {} alter column {c} type {kind} using {c}::{kind}").format(
                sql.Identifier("serve", name), c=sql.Identifier(column), kind=sql.SQL(kind)
            )
        )
    except psycopg.Error as error:
        raise WarehouseError(
            f"serve.{name}.{column} cannot become {kind}: {error.diag.message_primary}; "
            f"drop serve.{name} and publish every tenant again"
        ) from None
