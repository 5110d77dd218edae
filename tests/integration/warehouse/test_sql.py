"""`read`, `analytics sql` and content hashes: what comes out of the warehouse."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, date, datetime

import polars as pl
import pytest
from typer.testing import CliRunner

from analytics.errors import UnknownTenant, WarehouseError
from analytics.settings import Settings
from analytics.warehouse import cli as command_line
from analytics.warehouse import connect, content_hash, publish_rows, read
from analytics.warehouse.cli import ask

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def published(module_warehouse: Settings) -> Settings:
    for tenant, factor in (("t1", 1), ("t2", 100)):
        frame = pl.DataFrame(
            {
                "tenant_id": tenant,
                "listener_id": ["l1", "l2", "l3"],
                "name": ['say "hi", [bold]you[/bold]', None, "Ümläut\n🎵"],
                "amount_minor": [factor, 2 * factor, None],
                "on_date": [date(2025, 1, 6)] * 3,
                "seen_at": [datetime(2025, 1, 6, 12, tzinfo=UTC)] * 3,
                "is_paid": [True, False, None],
            }
        )
        publish_rows(module_warehouse, tenant, "bills", frame, {})
    return module_warehouse


@pytest.fixture
def run(published: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable:
    monkeypatch.setattr(command_line, "load_settings", lambda: published)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(command_line.app, list(arguments))


def test_types_survive_reading(published: Settings) -> None:
    rows = read(published, "select * from bills order by listener_id", tenant_id="t2")
    assert dict(rows.schema) == {
        "tenant_id": pl.String,
        "listener_id": pl.String,
        "name": pl.String,
        "amount_minor": pl.Int64,
        "on_date": pl.Date,
        "seen_at": pl.Datetime("us", "UTC"),
        "is_paid": pl.Boolean,
    }
    assert rows["amount_minor"].to_list() == [100, 200, None]
    assert rows["seen_at"][0] == datetime(2025, 1, 6, 12, tzinfo=UTC)


def test_other_types_become_numbers_lists_or_json(published: Settings) -> None:
    row = read(
        published,
        """select 1.5::numeric as n, '{"a": 1}'::jsonb as j, array[1, 2] as l, 1::int2 as s,
        'a'::varchar as v, null::text as z, interval '1 day' as i, 0.5::float8 as f""",
    ).row(0, named=True)
    assert (row["n"], json.loads(row["j"]), row["l"], row["s"]) == (1.5, {"a": 1}, [1, 2], 1)
    assert (row["v"], row["z"], row["i"].days, row["f"]) == ("a", None, 1, 0.5)


def test_no_rows_keep_their_types(published: Settings) -> None:
    rows = read(published, "select * from serve.bills where false")
    assert rows.height == 0
    assert rows.schema["amount_minor"] == pl.Int64


def test_parameters_are_values_never_sql(published: Settings) -> None:
    query = "select %(name)s::text as name, count(*) as n from serve.bills"
    assert read(published, query, {"name": "'; drop table x"}).rows() == [("'; drop table x", 6)]


def test_an_error_is_postgresqls_own_words(published: Settings) -> None:
    with pytest.raises(WarehouseError, match=r'column "lisener_id" does not exist') as no:
        read(published, "select lisener_id from bills", tenant_id="t1")
    assert "hint: Perhaps you meant" in str(no.value)
    assert no.value.__cause__ is None
    with pytest.raises(WarehouseError, match="returns no rows"):
        read(published, "set work_mem = '4MB'")
    with pytest.raises(UnknownTenant, match="known: t1, t2"):
        read(published, "select 1", tenant_id="t9")


def test_sql_prints_a_table_of_the_tenants_own_rows(run: Callable) -> None:
    result = run("--tenant", "t1", "select listener_id, name, amount_minor from bills order by 1")
    assert result.exit_code == 0, result.output
    assert "[bold]you[/bold]" in result.output  # data is no markup
    assert "200" not in result.output
    assert "3 rows" in result.output


def test_sql_prints_csv_and_json(run: Callable) -> None:
    query = "select name, amount_minor, seen_at, is_paid from bills order by listener_id"
    lines = list(
        csv.reader(run("--tenant", "t1", "--format", "csv", query).stdout.splitlines(True))
    )
    assert lines[0] == ["name", "amount_minor", "seen_at", "is_paid"]
    assert lines[1] == ['say "hi", [bold]you[/bold]', "1", "2025-01-06T12:00:00+00:00", "True"]
    assert lines[3][0] == "Ümläut\n🎵"

    records = json.loads(run("--tenant", "t1", "--format", "json", query).stdout)
    assert records[1] == {
        "name": None, "amount_minor": 2, "seen_at": "2025-01-06T12:00:00+00:00", "is_paid": False,
    }  # fmt: skip


def test_sql_says_when_it_left_rows_out(run: Callable) -> None:
    result = run("--tenant", "t1", "--limit", "2", "select * from bills")
    assert "2 rows" in result.output
    assert "only the first 2 rows" in result.output
    assert (
        "only the first" not in run("--tenant", "t1", "--limit", "3", "select * from bills").output
    )


def test_sql_reads_only_even_as_the_pipeline(published: Settings) -> None:
    assert ask(published, "select count(*) from serve.bills")[1] == [(6,)]
    with pytest.raises(WarehouseError, match="read-only transaction"):
        ask(published, "delete from serve.bills returning 1")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("selec 1", 'syntax error at or near "selec"'),
        ("select * from nowhere", 'relation "nowhere" does not exist'),
        ("select * from marts.x", "permission denied for schema marts"),
        ("  ; ", "the query is empty"),
        ("set work_mem = '4MB'", "returns no rows"),
        ("select 1; select 2", "cannot insert multiple commands"),
    ],
)
def test_sql_refuses_with_a_clear_message(published: Settings, query: str, message: str) -> None:
    with pytest.raises(WarehouseError, match=message):
        ask(published, query, "t1")


def test_a_slow_query_is_ended_by_the_tenants_timeout(published: Settings) -> None:
    with connect(published, role="tenant_t1") as connection:
        assert connection.execute("show statement_timeout").fetchone() == ("1min",)
    with connect(published, autocommit=True) as admin:
        admin.execute("alter role tenant_t1 set statement_timeout = '200ms'")
        try:
            with pytest.raises(
                WarehouseError, match="canceling statement due to statement timeout"
            ):
                ask(published, "select pg_sleep(30)", "t1")
            assert ask(published, "select pg_sleep(1)", "t2")[1], "it is the tenant's own"
        finally:
            admin.execute("alter role tenant_t1 set statement_timeout = '1min'")


# ------------------------------------------------------------------ content hashes


def test_a_hash_knows_values_and_not_their_order_or_run(warehouse: Settings) -> None:
    def hash_of(*rows: tuple, run: str) -> str:
        with connect(warehouse) as connection:
            connection.execute("drop table if exists marts.x")
            connection.execute("create table marts.x (run_id text, v text, tenant_id text, n int)")
            connection.cursor().executemany(
                "insert into marts.x values (%s, %s, 't1', %s)", [(run, *row) for row in rows]
            )
        return content_hash(warehouse)[("marts.x", "t1")]

    first = hash_of(("a", 1), ("b", None), run="1")
    assert hash_of(("b", None), ("a", 1), run="2") == first
    others = [
        hash_of(("a", 1), ("b", 0), run="1"),
        hash_of(("a", 1), run="1"),
        hash_of(("a", 1), ("b", None), ("b", None), run="1"),
        hash_of(("a", None), ("b", 1), run="1"),
        hash_of(("", 1), ("b", None), run="1"),
        hash_of((None, 1), ("b", None), run="1"),
    ]
    assert len({first, *others}) == 7


def test_a_hash_does_not_depend_on_a_servers_settings(warehouse: Settings) -> None:
    with connect(warehouse, autocommit=True) as connection:
        connection.execute("create table marts.x (tenant_id text, at timestamptz, f float8)")
        connection.execute("insert into marts.x values ('t1', '2025-01-06 12:00Z', 0.1)")
        before = content_hash(warehouse)
        connection.execute("alter role warehouse_pipeline set timezone = 'Asia/Tokyo'")
        connection.execute("alter role warehouse_pipeline set extra_float_digits = -5")
        try:
            assert content_hash(warehouse) == before
        finally:
            connection.execute("alter role warehouse_pipeline reset all")
