"""The databases of the embedded server: one owner each, closed to everybody else."""

from __future__ import annotations

import psycopg
from psycopg import sql

from analytics import warehouse
from analytics.secrets import secret
from analytics.settings import Settings
from analytics.stack.postgres import Postgres
from analytics.tenants import Tenant, registry


def bootstrap(settings: Settings, server: Postgres) -> None:
    """Databases and owners for Airflow, MLflow, the warehouse and simulated operational systems.

    Safe to run again: it makes what is missing and sets passwords back to their files'.
    """
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        for database in ("postgres", "template1"):
            _close(admin, database)
        _own(admin, "airflow", "airflow", secret(settings.secrets, "airflow_db"))
        _own(admin, "mlflow", "mlflow", secret(settings.secrets, "mlflow_db"))
        if settings.analytics_warehouse_dsn is None:
            warehouse.bootstrap(server.dsn(), settings)
        for tenant in registry(settings).values():
            if _wants_operational_database(tenant):
                _operational(settings, server, admin, tenant)


def _wants_operational_database(tenant: Tenant) -> bool:
    return any(source.dsn_secret == f"{tenant.id}_ops_dsn" for source in tenant.sources)


def _operational(
    settings: Settings, server: Postgres, admin: psycopg.Connection, tenant: Tenant
) -> None:
    """A stand-in for the tenant's own system, unless its DSN already points elsewhere."""
    name = f"{tenant.id}_ops"
    file = settings.secrets / f"{name}_dsn"
    if file.exists():
        known = psycopg.conninfo.conninfo_to_dict(file.read_text().strip())
        if (known.get("host"), known.get("dbname")) != ("127.0.0.1", name):
            return
    password = secret(settings.secrets, name)
    _own(admin, name, name, password)
    dsn = server.dsn(name, name, password)
    if not file.exists() or file.read_text() != dsn:
        fresh = settings.secrets / f".{name}_dsn"
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(dsn)
        fresh.rename(file)


def _own(admin: psycopg.Connection, database: str, owner: str, password: str) -> None:
    role = sql.Identifier(owner)
    known = admin.execute("select 1 from pg_roles where rolname = %s", [owner]).fetchone()
    verb = sql.SQL("alter" if known else "create")
    admin.execute(sql.SQL("{} role {} login password {}").format(verb, role, sql.Literal(password)))
    if not admin.execute("select 1 from pg_database where datname = %s", [database]).fetchone():
        admin.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(database), role))
    _close(admin, database)


def _close(admin: psycopg.Connection, database: str) -> None:
    admin.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(database)))
