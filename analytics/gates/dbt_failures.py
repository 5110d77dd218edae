"""Which tenants dbt's tests found at fault.

dbt stores the failing rows of a test as a table; these name their tenant, so a
failure blocks that tenant alone. Failing rows without a tenant, and a test that
could not run, block every tenant: nobody knows whom they concern.

Grain    ops.dbt_test_failures: one row per test that does not hold and tenant ('*' is all).
Re-run   safe: recording a run replaces what earlier runs said about the same tests.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from analytics.errors import GateFailed
from analytics.settings import Settings
from analytics.warehouse import connect, read
from analytics.warehouse.prepare import alone

EVERY_TENANT = "*"
FAILED = {"fail": "critical", "warn": "warning"}
DID_NOT_RUN = {"error", "runtime error", "skipped"}

_TABLE = """
create table if not exists ops.dbt_test_failures (
    tenant_id text not null,
    test_id text not null,
    test text not null,
    severity text not null,
    failures bigint not null,
    message text,
    description text,
    invocation_id text not null,
    primary key (tenant_id, test_id)
)
"""
_DROP_RETOLD = "delete from ops.dbt_test_failures where test_id = any(%s) or not test_id = any(%s)"
_INSERT = "insert into ops.dbt_test_failures values (%s, %s, %s, %s, %s, %s, %s, %s)"
_OF_TENANT = """
select test, severity, failures, message, description from ops.dbt_test_failures
where tenant_id in (%(tenant_id)s, '*') order by severity, test, tenant_id
"""


@dataclass(frozen=True)
class Failure:
    """One test that does not hold for one tenant."""

    tenant_id: str
    test_id: str
    test: str
    severity: str
    failures: int
    message: str | None
    description: str | None
    invocation_id: str


def record(
    settings: Settings, run_results_path: Path, manifest_path: Path, invocation_id: str
) -> list[Failure]:
    """Store what one `dbt test --store-failures` found, by tenant; gives the failures.

    Raises GateFailed when dbt left no results: untested marts are not published.
    """
    run_results, manifest = _artifact(run_results_path), _artifact(manifest_path)
    known = {k: node for k, node in manifest["nodes"].items() if k.startswith("test.")}
    results = [r for r in run_results["results"] if r["unique_id"].startswith("test.")]
    with connect(settings, autocommit=True) as connection, alone(connection):
        connection.execute(_TABLE)
        failures = [
            failure
            for result in results
            for failure in _failures(
                connection, result, known.get(result["unique_id"], {}), invocation_id
            )
        ]
        retold = [result["unique_id"] for result in results]
        connection.execute(_DROP_RETOLD, [retold, list(known)])
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT, [astuple(failure) for failure in failures])
    return failures


def dbt_failures(settings: Settings, tenant_id: str) -> pl.DataFrame:
    """The tests that do not hold for this tenant, with severity, count, message, description.

    Raises GateFailed when no test was ever recorded.
    """
    if read(settings, "select to_regclass('ops.dbt_test_failures') is null as absent")["absent"][0]:
        raise GateFailed(
            "dbt's tests were never recorded, so nothing says that the marts are sound; run "
            "`dbt test --store-failures` by the transform DAG first"
        )
    return read(settings, _OF_TENANT, {"tenant_id": tenant_id})


def _artifact(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise GateFailed(
            f"dbt left no usable {path.name} at {path} ({error}); its tests prove nothing, so no "
            "tenant is published. Read the log of the dbt task and run it again"
        ) from None


def _failures(
    connection: psycopg.Connection, result: dict[str, Any], node: dict[str, Any], invocation: str
) -> list[Failure]:
    """One failure a tenant for one test's result; none when it holds."""
    status, test_id = result["status"], result["unique_id"]
    name = node.get("name") or test_id
    told = (result.get("message"), node.get("description") or None, invocation)
    if status in DID_NOT_RUN:
        return [Failure(EVERY_TENANT, test_id, name, "critical", 0, *told)]
    if status not in FAILED:
        return []
    by_tenant = _stored_rows(connection, node.get("relation_name"))
    if not by_tenant:
        by_tenant = {EVERY_TENANT: int(result.get("failures") or 0)}
    return [
        Failure(tenant_id, test_id, name, FAILED[status], count, *told)
        for tenant_id, count in by_tenant.items()
    ]


def _stored_rows(connection: psycopg.Connection, relation: str | None) -> dict[str, int]:
    """Failing rows by tenant; nothing where dbt stored none or they name no tenant."""
    if not relation:
        return {}
    named = connection.execute(
        "select from pg_attribute where attrelid = to_regclass(%s) and attname = 'tenant_id'"
        " and not attisdropped",
        [relation],
    ).fetchone()
    if named is None:
        return {}
    parts = [part.strip('"') for part in relation.split(".")][-2:]
    query = sql.SQL(
        "select coalesce(tenant_id::text, '*'), count(*) from {} group by 1 order by 1"
    ).format(sql.Identifier(*parts))
    return dict(connection.execute(query).fetchall())
