"""A fresh warehouse database of the run's real server, and settings that lead to it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import sql

from analytics.settings import Settings, load_settings
from analytics.stack.postgres import Postgres
from analytics.warehouse import bootstrap, prepare
from tests.conftest import TWO_TENANTS
from tests.integration.warehouse.servers import SERVERS, Timescale

_RUN = uuid.uuid4().hex[:12]  # a server that stays up may keep a killed run's databases
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session", params=SERVERS)
def postgres(request: pytest.FixtureRequest, postgres: Postgres) -> Postgres:
    """The run's own server; every test runs again on TimescaleDB where a DSN names one."""
    return postgres if request.param == "postgresql" else Timescale()


@pytest.fixture(scope="session")
def shared_secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logins belong to the server, not to a database: every test uses the same passwords."""
    return tmp_path_factory.mktemp("secrets")


@pytest.fixture
def empty_warehouse(
    postgres: Postgres, make_settings: Callable[..., Settings], shared_secrets: Path
) -> Iterator[Settings]:
    """Settings that lead to a database with nothing in it."""
    settings = make_settings()
    settings.var.mkdir(parents=True, exist_ok=True)
    settings.secrets.symlink_to(shared_secrets)
    dsn = _new_database(postgres, settings)
    yield make_settings(analytics_warehouse_dsn=dsn)
    _drop(postgres, dsn)


@pytest.fixture
def warehouse(empty_warehouse: Settings) -> Settings:
    """Settings that lead to a prepared warehouse."""
    prepare(empty_warehouse)
    return empty_warehouse


@pytest.fixture(scope="module")
def module_warehouse(
    postgres: Postgres, shared_secrets: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """One prepared warehouse for tests that change nothing in it."""
    folder = tmp_path_factory.mktemp("warehouse")
    (folder / "tenants.yaml").write_text(yaml.safe_dump({"tenants": TWO_TENANTS}))
    (folder / "var").mkdir()
    (folder / "var" / "secrets").symlink_to(shared_secrets)
    environment = {
        "ANALYTICS_VAR_DIR": str(folder / "var"),
        "ANALYTICS_TENANTS_FILE": str(folder / "tenants.yaml"),
    }
    dsn = _new_database(postgres, load_settings(environment, dotenv=None))
    settings = load_settings({**environment, "ANALYTICS_WAREHOUSE_DSN": dsn}, dotenv=None)
    prepare(settings)
    yield settings
    _drop(postgres, dsn)


def _new_database(postgres: Postgres, settings: Settings) -> str:
    return bootstrap(postgres.dsn(), settings, database=f"warehouse_{_RUN}_{next(_NUMBERS)}")


def _drop(postgres: Postgres, dsn: str) -> None:
    database = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(
            sql.SQL("drop database {} with (force)").format(sql.Identifier(str(database)))
        )
