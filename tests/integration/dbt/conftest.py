"""A warehouse with empty raw tables, in a fresh database of the run's PostgreSQL, and dbt on it."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from psycopg import sql

from analytics.lake.tables import TABLES
from analytics.stack.postgres import Postgres
from analytics.warehouse.partitions import create_event_table, has_timescale
from spark_jobs.churn_columns import polars_schema
from tests.builders import a_row
from tests.integration.warehouse.servers import SERVERS, Timescale

# One name for all, because a parsed project is bound to its database; each test gets it empty.
DATABASE = f"dbt_{uuid.uuid4().hex[:12]}"
PROJECT = Path(__file__).parents[3] / "dbt_project"
CHURN_FEATURES = polars_schema()

TYPES = {
    pl.String: "text",
    pl.Int64: "bigint",
    pl.Int32: "integer",
    pl.Float64: "double precision",
    pl.Boolean: "boolean",
    pl.Date: "date",
    pl.Datetime: "timestamptz",
}


@dataclass(frozen=True)
class Done:
    """What a dbt command left behind."""

    ok: bool
    output: str
    statuses: Mapping[str, str]  # node name -> success, pass, fail, error, skipped …


@dataclass
class Warehouse:
    """One database: put rows in, run dbt, look."""

    connection: psycopg.Connection
    environment: dict[str, str]
    manifest: Manifest
    zone: str = "UTC"
    variables: dict[str, Any] = field(default_factory=dict)

    def put(self, table: str, *rows: dict[str, Any]) -> None:
        for row in rows:
            self.connection.execute(
                sql.SQL("insert into raw.{} ({}) values ({})").format(
                    sql.Identifier(table),
                    sql.SQL(", ").join(map(sql.Identifier, row)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(row)),
                ),
                list(row.values()),
            )

    def execute(self, statement: str, *values: Any) -> None:
        self.connection.execute(statement.encode(), values or None)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement.encode()).fetchall()

    def everything(self, relation: str) -> list[tuple[Any, ...]]:
        """All rows of a mart in an order that depends on their content alone."""
        return self.rows(f"select * from marts.{relation} as r order by r::text")  # noqa: S608

    def dbt(self, *arguments: str, window: tuple[str, str] | None = None) -> Done:
        """Invoke dbt in this process, on a copy of the parsed project."""
        variables = dict(self.variables)
        if window:
            variables |= {"from": window[0], "to": window[1]}
        if variables:
            arguments = (*arguments, "--vars", json.dumps(variables))
        lines: list[str] = []
        runner = dbtRunner(
            manifest=self.manifest.deepcopy(),
            callbacks=[lambda event: lines.append(event.info.msg)],
        )
        with environment(self.environment | {"PGTZ": self.zone}):
            done = runner.invoke([*arguments, "--quiet", "--no-use-colors"])
        statuses = {
            result.node.name: str(result.status) for result in getattr(done.result, "results", ())
        }
        words = [*lines, str(done.exception or "")]
        return Done(done.success, "\n".join(words), statuses)

    def run(self, *select: str, window: tuple[str, str] | None = None, full: bool = False) -> None:
        """Build the models, without tests; fail with dbt's words."""
        arguments = ["run", *(["--full-refresh"] if full else [])]
        if select:
            arguments += ["--select", *select]
        done = self.dbt(*arguments, window=window)
        assert done.ok, done.output


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """The process's environment with these on top, for as long as the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def folders(place: Path) -> dict[str, str]:
    return {
        "DBT_PROJECT_DIR": str(PROJECT),
        "DBT_PROFILES_DIR": str(PROJECT),
        "DBT_TARGET_PATH": str(place / "target"),
        "DBT_LOG_PATH": str(place / "logs"),
    }


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The parsed project; runs take a copy, because dbt compiles into it."""
    with environment({**folders(tmp_path_factory.mktemp("dbt")), "DBT_DATABASE": DATABASE}):
        parsed = dbtRunner().invoke(["parse", "--quiet"])
    assert parsed.success, parsed.exception
    assert isinstance(parsed.result, Manifest)
    return parsed.result


@pytest.fixture(scope="session", params=SERVERS)
def postgres(request: pytest.FixtureRequest, postgres: Postgres) -> Postgres:
    """The run's own server; every test runs again on TimescaleDB where a DSN names one."""
    return postgres if request.param == "postgresql" else Timescale()


@pytest.fixture
def warehouse(postgres: Postgres, project: Manifest, tmp_path: Path) -> Iterator[Warehouse]:
    """A database of its own with empty raw tables."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
    login = psycopg.conninfo.conninfo_to_dict(postgres.dsn(DATABASE))
    variables = {
        "DBT_HOST": str(login["host"]),
        "DBT_PORT": str(login["port"]),
        "DBT_USER": str(login["user"]),
        "DBT_DATABASE": DATABASE,
        "DBT_ENV_SECRET_PASSWORD": str(login["password"]),
        **folders(tmp_path),
    }
    with psycopg.connect(postgres.dsn(DATABASE), autocommit=True) as connection:
        create_raw(connection)
        yield Warehouse(connection, variables, project)
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(DATABASE)))


def create_raw(connection: psycopg.Connection) -> None:
    """The schema `raw` with every table that dbt reads, empty; events in hypertables if it can."""
    connection.execute("create schema raw")
    timescale = has_timescale(connection)
    tables = {name: table.columns for name, table in TABLES.items()}
    for name, columns in {**tables, "churn_features": CHURN_FEATURES}.items():
        table = sql.Identifier("raw", name)
        definition = sql.SQL(", ").join(
            sql.SQL("{} " + _type(kind)).format(sql.Identifier(column))  # type: ignore[arg-type]
            for column, kind in columns.items()
        )
        if timescale and name in TABLES and TABLES[name].is_event:
            create_event_table(connection, table, definition, TABLES[name].time)
        else:
            connection.execute(sql.SQL("create table {} ({})").format(table, definition))


def _type(kind: Any) -> str:
    return TYPES[kind if isinstance(kind, type) else type(kind)]


@pytest.fixture
def small(warehouse: Warehouse) -> Warehouse:
    """Two tenants that share every id; tenant t2 has the later sign-up and the refund."""
    for tenant, currency in (("t1", "EUR"), ("t2", "USD")):
        for table in ("tracks", "listeners", "plays", "app_events", "tickets"):
            warehouse.put(table, a_row(table, tenant))
        warehouse.put("payments", a_row("payments", tenant, currency=currency))
        warehouse.put("subscription_events", a_row("subscription_events", tenant))
    return warehouse


@pytest.fixture
def a_feature_row() -> Callable[..., dict[str, Any]]:
    """A row of the feature table as Spark writes it."""

    def make(tenant_id: str = "t1", **changes: Any) -> dict[str, Any]:
        blank = dict.fromkeys(CHURN_FEATURES, 0)
        named = {"listener_id": "l1", "as_of_date": "2025-01-13", "plan": "premium"}
        return {**blank, **named, "tenant_id": tenant_id, **changes}

    return make
