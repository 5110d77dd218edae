"""Who may do what: the pipeline owns everything, a tenant reads its own rows of `serve`.

Each tenant has one login role. What a tenant sees follows from `current_user`
alone, which a session can change only to roles it is a member of; the one group
it belongs to does not begin with `tenant_`, so as that group it sees nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psycopg
from psycopg import sql

from analytics.errors import WarehouseError
from analytics.secrets import secret
from analytics.settings import Settings
from analytics.tenants import Tenant
from analytics.warehouse.connect import DATABASE, PIPELINE

TENANTS = "warehouse_tenants"  # the group that holds the grants
STATEMENT_TIMEOUT = "60s"
CONNECTION_LIMIT = 20

# Ways to write or to hold the pipeline up that every login has by default.
_OPEN_TO_ALL = (
    "lo_creat(integer)",
    "lo_create(oid)",
    "lo_from_bytea(oid, bytea)",
    "pg_advisory_lock(bigint)",
    "pg_advisory_lock(integer, integer)",
)


def bootstrap(
    dsn_superuser: str,
    settings: Settings,
    passwords: Mapping[str, str] | None = None,
    *,
    database: str = DATABASE,
) -> str:
    """Make the warehouse's database and its owner on a server; returns the pipeline's DSN.

    Run by the server's superuser, once or many times. `passwords` maps role to
    password; what it lacks comes from `var/secrets`. Closes this database and
    the server's own two to logins that hold no grant.
    """
    password = (passwords or {}).get(PIPELINE) or secret(settings.secrets, PIPELINE)
    owner = sql.Identifier(PIPELINE)
    with psycopg.connect(dsn_superuser, autocommit=True) as connection:
        if not _exists(connection, "select from pg_roles where rolname = %s", PIPELINE):
            connection.execute(sql.SQL("create role {} login createrole").format(owner))
        _set_password(connection, PIPELINE, password)
        if not _exists(connection, "select from pg_database where datname = %s", database):
            connection.execute(
                sql.SQL("create database {} owner {}").format(sql.Identifier(database), owner)
            )
        for name in (database, "postgres", "template1"):
            connection.execute(
                sql.SQL("revoke all on database {} from public").format(sql.Identifier(name))
            )
    ours = psycopg.conninfo.make_conninfo(dsn_superuser, dbname=database)
    with psycopg.connect(ours, autocommit=True) as connection:
        connection.execute("revoke all on schema public from public")
        for function in _OPEN_TO_ALL:
            connection.execute(
                sql.SQL("revoke execute on function pg_catalog.{} from public").format(
                    sql.SQL(function)
                )
            )
    return psycopg.conninfo.make_conninfo(ours, user=PIPELINE, password=password)


def prepare_roles(
    connection: psycopg.Connection, settings: Settings, tenants: Mapping[str, Tenant]
) -> None:
    """One login role per tenant, and no login for tenants that left the file."""
    if not _exists(connection, "select from pg_roles where rolname = %s", TENANTS):
        connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(TENANTS)))
    database = sql.Identifier(connection.info.dbname)
    group = sql.Identifier(TENANTS)
    connection.execute(sql.SQL("revoke all on database {} from public").format(database))
    connection.execute(sql.SQL("grant connect on database {} to {}").format(database, group))
    connection.execute(sql.SQL("grant usage on schema serve to {}").format(group))
    for tenant in tenants.values():
        _prepare_tenant(connection, tenant, secret(settings.secrets, tenant.role))
    _disable_others(connection, {tenant.role for tenant in tenants.values()})


def secure(connection: psycopg.Connection, relation: str) -> None:
    """Open `serve.<relation>` to tenants, each to its own rows. Does nothing the second time."""
    table = sql.Identifier("serve", relation)
    forced = connection.execute(
        "select relrowsecurity and relforcerowsecurity from pg_class where oid = %s::regclass",
        [f'serve."{relation}"'],
    ).fetchone()
    if forced is None or not forced[0]:
        connection.execute(sql.SQL("alter table {} enable row level security").format(table))
        connection.execute(sql.SQL("alter table {} force row level security").format(table))
    policies = {
        name
        for (name,) in connection.execute(
            "select policyname from pg_policies where schemaname = 'serve' and tablename = %s",
            [relation],
        )
    }
    if "pipeline_sees_all" not in policies:
        connection.execute(
            sql.SQL(
                "create policy pipeline_sees_all on {} for all to current_user"
                " using (true) with check (true)"
            ).format(table)
        )
    if "tenant_sees_own" not in policies:
        # A scalar subquery is computed once a statement and lets the index on tenant_id serve.
        connection.execute(
            sql.SQL(
                "create policy tenant_sees_own on {} for select to {} using (tenant_id ="
                " (select substr(current_user::text, 8)"
                " where starts_with(current_user::text, 'tenant_')))"
            ).format(table, sql.Identifier(TENANTS))
        )
    connection.execute(sql.SQL("grant select on {} to {}").format(table, sql.Identifier(TENANTS)))


def _prepare_tenant(connection: psycopg.Connection, tenant: Tenant, password: str) -> None:
    role = sql.Identifier(tenant.role)
    known = connection.execute(
        "select rolsuper or rolcreaterole or rolbypassrls or rolcreatedb from pg_roles"
        " where rolname = %s",
        [tenant.role],
    ).fetchone()
    if known is not None and known[0]:
        raise WarehouseError(
            f"role {tenant.role} has rights beyond reading (superuser, createrole, createdb or "
            "bypassrls); take them away before it becomes a tenant's login"
        )
    if known is None:
        connection.execute(sql.SQL("create role {} nologin").format(role))
    connection.execute(
        sql.SQL("alter role {} login connection limit {}").format(role, CONNECTION_LIMIT)
    )
    _set_password(connection, tenant.role, password)
    for name, value in {
        "search_path": "serve",
        "statement_timeout": STATEMENT_TIMEOUT,
        "idle_in_transaction_session_timeout": STATEMENT_TIMEOUT,
        "default_transaction_read_only": "on",
    }.items():
        connection.execute(
            sql.SQL("alter role {} set {} = {}").format(role, sql.Identifier(name), value)
        )
    # From 16 on, a member may be kept from becoming the group itself.
    options = " with inherit true, set false" if connection.info.server_version >= 160000 else ""
    connection.execute(sql.SQL("grant {} to {}" + options).format(sql.Identifier(TENANTS), role))


def _disable_others(connection: psycopg.Connection, roles: Iterable[str]) -> None:
    """Sessions still open lose their rights with the membership, new ones are refused."""
    gone = connection.execute(
        "select member.rolname from pg_auth_members"
        " join pg_roles member on member.oid = pg_auth_members.member"
        " join pg_roles grp on grp.oid = pg_auth_members.roleid and grp.rolname = %s"
        " where starts_with(member.rolname, 'tenant_') and not member.rolname = any(%s)",
        [TENANTS, list(roles)],
    ).fetchall()
    for (name,) in gone:
        role = sql.Identifier(name)
        connection.execute(sql.SQL("alter role {} nologin").format(role))
        connection.execute(sql.SQL("revoke {} from {}").format(sql.Identifier(TENANTS), role))


def _set_password(connection: psycopg.Connection, role: str, password: str) -> None:
    """Send the scram verifier: the password itself never reaches the server or its log."""
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(
        sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(verifier))
    )


def _exists(connection: psycopg.Connection, query: str, name: str) -> bool:
    return connection.execute(query, [name]).fetchone() is not None
