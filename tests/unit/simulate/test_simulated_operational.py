"""The third tenant's tables, in a real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import polars as pl
import psycopg
import pytest

from analytics.errors import StackError
from analytics.simulate import layout
from analytics.simulate.run import simulate
from analytics.stack.postgres import Postgres
from tests.unit.simulate.small_worlds import profile, small

pytestmark = pytest.mark.integration


@pytest.fixture
def dsn(postgres: Postgres) -> Iterator[str]:
    """A database of its own."""
    name = f"ops_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres.dsn(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def live(dsn: str, folder, days: int) -> dict[str, list[tuple]]:
    config = small(days, tenants=(profile("nordic_beats"),))
    simulate(config, folder / "landing", folder / "truth", {"nordic_beats": dsn})
    return rows(dsn)


def rows(dsn: str) -> dict[str, list[tuple]]:
    with psycopg.connect(dsn) as connection:
        return {
            table: connection.execute(
                f"SELECT * FROM {layout.relation(table)} t ORDER BY t::text"  # noqa: S608
            ).fetchall()
            for table in layout.POSTGRES
        }


def test_every_table_holds_what_the_truth_counts(dsn, tmp_path):
    there = live(dsn, tmp_path, 3)
    counts = pl.read_parquet(tmp_path / "truth/nordic_beats/counts.parquet")
    told = dict(counts.group_by("table").agg(pl.col("rows").sum()).rows())
    assert {table: len(found) for table, found in there.items()} == told
    assert set(there) == set(layout.POSTGRES)
    plays = counts.filter(pl.col("table") == "plays").sum()
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT count(*) FILTER (WHERE listened_ms < 0),"
            " count(*) FILTER (WHERE account_id IS NULL),"
            " count(*) FILTER (WHERE started_at > '2099-01-01'), count(*) - count(DISTINCT id)"
            " FROM app.plays"
        ).fetchone()
    assert found == (
        plays["negative_duration"][0],
        plays["null_listener"][0],
        plays["year_2099"][0],
        plays["duplicates"][0],
    )


def test_writing_the_same_days_again_changes_nothing_and_more_days_add_theirs(dsn, tmp_path):
    first = live(dsn, tmp_path, 2)
    assert live(dsn, tmp_path, 2) == first
    longer = live(dsn, tmp_path, 3)
    for table, found in first.items():
        assert set(found) <= set(longer[table])
    assert len(longer["plays"]) > len(first["plays"])


def test_every_row_is_recorded_after_it_happened_and_on_a_day_of_the_run(dsn, tmp_path):
    live(dsn, tmp_path, 3)
    with psycopg.connect(dsn) as connection:
        early, least, last = connection.execute(
            "SELECT count(*) FILTER (WHERE recorded_at < started_at AND started_at < '2099-01-01'),"
            " min(recorded_at), max(recorded_at) FROM app.plays"
        ).fetchone()
    assert early == 0
    assert (least.date().isoformat(), last.date().isoformat()) == ("2025-01-01", "2025-01-03")


def test_a_wrong_password_says_which_database(dsn, tmp_path):
    wrong = psycopg.conninfo.make_conninfo(dsn, password="not it")  # noqa: S106
    with pytest.raises(StackError, match="nordic_beats cannot be reached"):
        live(wrong, tmp_path, 1)


@pytest.mark.parametrize("days", [3, 25], ids=["the last transaction", "one of several"])
def test_a_transaction_the_server_refuses_is_raised_and_leaves_nothing(dsn, tmp_path, days):
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE SCHEMA app")
        connection.execute("CREATE TABLE app.plays (recorded_at timestamptz)")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        live(dsn, tmp_path, days)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM app.plays").fetchone() == (0,)
