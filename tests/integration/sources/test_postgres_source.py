"""A table of a real PostgreSQL, read by its cursor."""

from __future__ import annotations

import polars as pl
import psycopg
import pytest

from analytics.errors import SchemaError, SourceError
from analytics.lake import bronze, quarantine, read, schemas
from tests.landing import BOTH_DAYS, DAY_ONE, a_line, a_tenant, drop, events_of, run, stage

pytestmark = pytest.mark.integration
DATABASE = "source_tests"
TICKETS = {
    "name": "tickets", "format": "postgres", "table": "tickets", "dsn_secret": "ops_dsn",
    "relation": "app.tickets", "cursor": "recorded_at", "owner": "support",
    "columns": {"ticket_id": "id", "listener_id": "account_id", "opened_at": "opened_at",
                "body": "body", "satisfaction": "score"},
}  # fmt: skip


@pytest.fixture
def database(postgres):
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(f"drop database if exists {DATABASE}")
        connection.execute(f"create database {DATABASE}")
    with psycopg.connect(postgres.dsn(DATABASE), autocommit=True) as connection:
        connection.execute("create schema app")
        connection.execute(
            "create table app.tickets (id bigint primary key, account_id bigint, "
            "opened_at timestamptz, body text, score text, recorded_at timestamptz)"
        )
        connection.execute(
            "insert into app.tickets values "
            "(1, 1, '2025-01-06 10:00+02', E'two\\nlines, \"quoted\"', '5', '2025-01-06 23:59Z'),"
            "(2, 1, '2025-01-06 10:00Z', '', 'great', '2025-01-06 12:00Z'),"
            "(3, 2, '2025-01-06 11:00Z', null, null, '2025-01-07 00:00Z')"
        )
        yield connection


@pytest.fixture
def settings(make_settings, postgres, database):
    return with_dsn(make_settings, postgres, TICKETS, TICKETS)


def with_dsn(make_settings, postgres, *sources):
    made = make_settings([a_tenant(f"t{n}", source) for n, source in enumerate(sources, 1)])
    made.secrets.mkdir(parents=True)
    (made.secrets / "ops_dsn").write_text(postgres.dsn(DATABASE))
    return made


def test_rows_arrive_by_the_day_of_their_cursor_and_a_wrong_type_is_set_aside(settings):
    assert run(settings, "t1", DAY_ONE, "run").rows["tickets"]["landed"] == 1
    row = read.scan(settings, "tickets").collect().row(0, named=True)
    assert (row["ticket_id"], row["body"], row["satisfaction"]) == ("1", 'two\nlines, "quoted"', 5)
    assert row["opened_at"].hour == 8
    bad = quarantine.scan(settings, "t1").collect().row(0, named=True)
    assert (bad["rule"], bad["value"]) == ("type:score", "great")

    assert run(settings, "t1", BOTH_DAYS, "run-2").rows["tickets"]["landed"] == 1
    assert read.scan(settings, "tickets", "t2").collect().is_empty()


def test_a_day_that_did_not_change_is_known_and_one_that_did_replaces_itself(settings, database):
    run(settings, "t1", BOTH_DAYS, "run-1")
    assert bronze.extract(settings, "t1", BOTH_DAYS, "run-2").units_read == 0

    database.execute("update app.tickets set score = '4' where id in (1, 2)")
    again = bronze.extract(settings, "t1", BOTH_DAYS, "run-3")
    assert (again.units_read, again.units_known, again.rows_rejected) == (1, 1, 0)
    tickets = stage(settings, "t1", BOTH_DAYS)["tickets"].sort("ticket_id")
    assert tickets["satisfaction"].to_list() == [4, 4, None]


def test_a_wrong_password_is_said_and_the_password_is_not(settings, postgres):
    dsn = postgres.dsn(DATABASE, password="not-the-password")  # noqa: S106
    (settings.secrets / "ops_dsn").write_text(dsn)
    with pytest.raises(SourceError, match=r"t1: source tickets: .*password.*support") as caught:
        bronze.extract(settings, "t1", DAY_ONE, "run")
    assert "not-the-password" not in str(caught.value)
    assert "ops_dsn" in str(caught.value)


def test_with_a_wrong_password_the_other_sources_and_tenants_arrive(make_settings, postgres):
    settings = make_settings([a_tenant("t1", TICKETS, events_of("t1")), a_tenant("t2")])
    settings.secrets.mkdir(parents=True)
    dsn = postgres.dsn(password="not-the-password")  # noqa: S106
    (settings.secrets / "ops_dsn").write_text(dsn)
    for tenant_id in ("t1", "t2"):
        drop(settings, tenant_id, "2025-01-06", a_line())
    with pytest.raises(SourceError, match=r"t1: source tickets: .*password"):
        bronze.extract(settings, "t1", DAY_ONE, "run")
    assert stage(settings, "t1", DAY_ONE)["plays"].height == 1
    assert run(settings, "t2", DAY_ONE, "run").rows["plays"]["landed"] == 1


def test_a_server_that_is_not_there_is_said(settings):
    (settings.secrets / "ops_dsn").write_text("postgresql://u:hidden@127.0.0.1:1/x")
    with pytest.raises(
        SourceError, match=r"app.tickets cannot be read: connection failed"
    ) as caught:
        bronze.extract(settings, "t1", DAY_ONE, "run")
    assert "hidden" not in str(caught.value)


def test_a_missing_relation_and_a_missing_column_are_named(settings, database):
    database.execute("alter table app.tickets rename account_id to customer")
    with pytest.raises(SchemaError, match=r"came without account_id \(our listener_id\).*support"):
        bronze.extract(settings, "t1", DAY_ONE, "run")
    database.execute("drop table app.tickets")
    with pytest.raises(SourceError, match=r'"app.tickets" does not exist.*Correct `relation`'):
        bronze.extract(settings, "t1", DAY_ONE, "run")


def test_a_new_column_is_carried_where_it_is_declared(make_settings, postgres, database):
    settings = with_dsn(make_settings, postgres, TICKETS | {"extras": ["mood"]}, TICKETS)
    for tenant_id in ("t1", "t2"):
        run(settings, tenant_id, BOTH_DAYS, "one")
    database.execute("alter table app.tickets add mood text")
    database.execute("update app.tickets set mood = 'calm' where id = 3")
    for tenant_id in ("t1", "t2"):
        run(settings, tenant_id, BOTH_DAYS, "two")

    rows = read.scan(settings, "tickets").collect()
    assert sorted(rows.select("tenant_id", "ticket_id", "extras").rows(), key=str) == [
        ("t1", "1", None), ("t1", "3", '{"mood":"calm"}'), ("t2", "1", None), ("t2", "3", None),
    ]  # fmt: skip
    found = schemas.read(settings, "t1", "tickets").filter(pl.col("change").is_not_null())
    assert found.select("column", "change").rows() == [("mood", "added")]
    assert bronze.extract(settings, "t1", BOTH_DAYS, "three").units_read == 0


def test_a_column_whose_type_changed_stops_the_days_it_comes_with(settings, database):
    database.execute("delete from app.tickets where id = 2")
    database.execute("alter table app.tickets alter score type int using score::int")
    run(settings, "t1", DAY_ONE, "one")
    database.execute("alter table app.tickets alter score type text using 'word'")

    with pytest.raises(SchemaError, match=r"t1: source tickets: .*score \(was int32.*support"):
        bronze.extract(settings, "t1", BOTH_DAYS, "two")
    assert read.scan(settings, "tickets").collect()["satisfaction"].to_list() == [5]


def test_an_optional_column_that_is_gone_is_read_as_nothing(settings, database):
    run(settings, "t1", DAY_ONE, "one")
    database.execute("alter table app.tickets drop body")
    run(settings, "t1", BOTH_DAYS, "two")

    assert set(read.scan(settings, "tickets").collect()["body"]) == {None}
    found = schemas.read(settings, "t1", "tickets").filter(pl.col("change").is_not_null())
    assert found.select("column", "change").rows() == [("body", "dropped")]
