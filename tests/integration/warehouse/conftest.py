"""A fresh warehouse database of the run's real server, and settings that lead to it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from analytics.settings import Settings
from analytics.stack.postgres import Postgres
from analytics.warehouse import bootstrap, prepare

_NUMBERS = itertools.count(1)


@pytest.fixture
def empty_warehouse(
    postgres: Postgres, make_settings: Callable[..., Settings]
) -> Iterator[Settings]:
    """Settings that lead to a database with nothing in it."""
    database = f"warehouse_{next(_NUMBERS)}"
    dsn = bootstrap(postgres.dsn(), make_settings(), database=database)
    yield make_settings(analytics_warehouse_dsn=dsn)
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(database)))


@pytest.fixture
def warehouse(empty_warehouse: Settings) -> Settings:
    """Settings that lead to a prepared warehouse."""
    prepare(empty_warehouse)
    return empty_warehouse
