"""Everything the warehouse must have before rows arrive. Safe to run twice, or twice at once."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping

import psycopg
from psycopg import sql

from analytics.errors import WarehouseError
from analytics.lake.tables import TABLES
from analytics.settings import Settings
from analytics.tenants import Tenant, registry
from analytics.warehouse.connect import connect
from analytics.warehouse.roles import prepare_roles, secure
from analytics.warehouse.schema import SCHEMAS, ensure_raw, feature_columns

_MADE_BY_ANOTHER = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.DuplicateSchema,
    psycopg.errors.DuplicateTable,
)

_OPS = """
create table if not exists ops.tenants (
    tenant_id text primary key
);
create table if not exists ops.prepared (
    fingerprint text not null
);
create table if not exists ops.published (
    tenant_id text not null,
    relation text not null,
    definition text not null,
    primary key (tenant_id, relation)
);
create table if not exists serve.snapshots (
    tenant_id text not null,
    snapshot_id bigint not null,
    published_at timestamptz not null default current_timestamp,
    run_id text not null,
    interval_from timestamptz,
    interval_to timestamptz,
    relations text[] not null,
    lake_versions jsonb not null,
    dbt_invocation_id text,
    gate jsonb not null,
    primary key (tenant_id, snapshot_id)
);
"""


def prepare(settings: Settings) -> None:
    """Schemas, raw tables, the snapshot list, one login role per tenant and its grants."""
    tenants = registry(settings)
    with connect(settings, autocommit=True) as connection, alone(connection):
        _create_schemas(connection)
        connection.execute(_OPS)
        ensure_raw(connection)
        prepare_roles(connection, settings, tenants)
        secure(connection, "snapshots")
        connection.cursor().executemany(
            "insert into ops.tenants values (%s) on conflict do nothing", [(t,) for t in tenants]
        )
        connection.execute("delete from ops.prepared")
        connection.execute("insert into ops.prepared values (%s)", [_fingerprint(tenants)])


def prepare_if_needed(settings: Settings) -> None:
    """`prepare`, unless tenants and tables are those of the last time."""
    with connect(settings, autocommit=True) as connection:
        try:
            last = connection.execute("select fingerprint from ops.prepared").fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            last = []
    if last != [(_fingerprint(registry(settings)),)]:
        prepare(settings)


@contextlib.contextmanager
def alone(connection: psycopg.Connection) -> Iterator[None]:
    """One transaction that changes tables while no other does.

    The lock is a table of `ops`, which tenants cannot reach, and is taken first,
    so that whoever waits for it holds nothing.
    """
    try:
        _create_guard(connection)
        with connection.transaction():
            connection.execute("set local lock_timeout = '5min'")
            connection.execute("lock table ops.guard in exclusive mode")
            yield
    except psycopg.errors.LockNotAvailable:
        raise WarehouseError(
            "the warehouse's tables were in use for five minutes and could not be changed; "
            "look for long statements in pg_stat_activity, end them and run again"
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise WarehouseError(
            f"the pipeline's login lacks a right: {error.diag.message_primary}; it must own the "
            "database and may need CREATEROLE, see docs/warehouse.md"
        ) from None


def lock_tenant(connection: psycopg.Connection, tenant_id: str) -> None:
    """Until the transaction ends, no other writes this tenant's rows."""
    connection.execute("select from ops.tenants where tenant_id = %s for update", [tenant_id])


def _create_guard(connection: psycopg.Connection) -> None:
    for _ in range(5):
        with contextlib.suppress(*_MADE_BY_ANOTHER), connection.transaction():
            connection.execute("create schema if not exists ops")
            connection.execute("create table if not exists ops.guard ()")
            return
    raise WarehouseError("several sessions prepare the warehouse at once; run again")


def _fingerprint(tenants: Mapping[str, Tenant]) -> str:
    tables = [
        (t.name, t.key, t.time, t.required, sorted(map(str, t.stored.items())))
        for t in TABLES.values()
    ]
    return hashlib.sha256(
        f"{_OPS}{sorted(tenants)}{tables}{feature_columns()}".encode()
    ).hexdigest()


def _create_schemas(connection: psycopg.Connection) -> None:
    for schema in SCHEMAS:
        connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
