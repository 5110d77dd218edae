"""What a tenant's login can reach: its own rows of serve, and nothing by any side door."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import psycopg
import pytest
from psycopg import sql

from analytics.errors import WarehouseError
from analytics.secrets import secret
from analytics.settings import Settings
from analytics.stack.postgres import Postgres
from analytics.warehouse import bootstrap, connect, prepare, publish_rows, read
from analytics.warehouse.connect import parameters

pytestmark = pytest.mark.integration

EDGE_NAMES = ["a1", "se_tenants", "tenant_t1", "t_" * 20 + "x", "select", "t1_"]


def publish_plans(settings: Settings) -> None:
    """A published table and its mart, in which both tenants have a listener l1."""
    for tenant, plan in (("t1", "premium"), ("t2", "family")):
        frame = pl.DataFrame({"tenant_id": [tenant], "listener_id": ["l1"], "plan": [plan]})
        publish_rows(settings, tenant, "plans", frame, {})
    with connect(settings) as pipeline:
        pipeline.execute("create table marts.plans as select * from serve.plans")
        pipeline.execute("analyze marts.plans, serve.plans")


@pytest.fixture(scope="module")
def shared_ids(module_warehouse: Settings) -> Settings:
    publish_plans(module_warehouse)
    return module_warehouse


@pytest.fixture
def as_t1(shared_ids: Settings) -> Iterator[psycopg.Connection]:
    with connect(shared_ids, role="tenant_t1", autocommit=True) as connection:
        yield connection


def test_each_tenant_sees_its_own_rows_alone(shared_ids: Settings) -> None:
    question = "select tenant_id, listener_id, plan from plans"
    assert read(shared_ids, question, tenant_id="t1").rows() == [("t1", "l1", "premium")]
    assert read(shared_ids, question, tenant_id="t2").rows() == [("t2", "l1", "family")]
    assert read(shared_ids, "select * from serve.plans").height == 2


@pytest.mark.parametrize(
    "statement",
    [
        "select * from raw.plays",
        "select * from marts.plans",
        "select * from ops.tenants",
        "create table serve.mine (x int)",
        "create table public.mine (x int)",
        "create temp table mine (x int)",
        "create schema mine",
        "create view serve.all_plans as select * from serve.plans",
        "create function pg_temp.leak() returns int language sql as 'select 1'",
        "create role other",
        "create database other",
        "create extension pg_trgm",
        "insert into serve.plans values ('t1', 'l2', 'free')",
        "update serve.plans set tenant_id = 't2'",
        "delete from serve.plans",
        "truncate serve.plans",
        "alter table serve.plans disable row level security",
        "alter table serve.plans no force row level security",
        "drop policy tenant_sees_own on serve.plans",
        "copy marts.plans to stdout",
        "copy serve.plans to '/tmp/plans.csv'",
        "copy serve.plans to program 'cat'",
        "copy serve.plans from stdin",
        "set role tenant_t2",
        "set role warehouse_pipeline",
        "set role warehouse_tenants",
        "set role postgres",
        "set session authorization tenant_t2",
        "select set_config('role', 'tenant_t2', false)",
        "select set_config('role', 'warehouse_pipeline', false)",
        "select set_config('session_authorization', 'tenant_t2', false)",
        "grant tenant_t2 to tenant_t1",
        "grant warehouse_pipeline to tenant_t1",
        "alter role tenant_t1 bypassrls",
        "alter role tenant_t1 superuser",
        "alter role tenant_t1 connection limit 1000",
        "alter role tenant_t2 password 'mine'",
        "select pg_read_file('/etc/passwd')",
        "select * from pg_authid",
        "select * from pg_statistic",
        "select lo_create(0)",
        "select lo_from_bytea(0, 'x')",
        "select pg_advisory_lock(1)",
        "select pg_terminate_backend(pid) from pg_stat_activity where usename <> current_user",
    ],
)
def test_a_side_door_is_shut(as_t1: psycopg.Connection, statement: str) -> None:
    as_t1.execute("set default_transaction_read_only = off")  # a tenant may do that much
    with pytest.raises(psycopg.Error) as refused:
        as_t1.execute(statement)  # type: ignore[arg-type]
    assert refused.value.sqlstate in ("42501", "0LP01", "22023"), str(refused.value)
    kept = as_t1.execute("select tenant_id from serve.plans").fetchall()
    assert kept == [("t1",)]


@pytest.mark.parametrize(
    "spoof",
    [
        "set row_security = off",
        "grant select on serve.plans to public",
        "select set_config('app.tenant_id', 't2', false)",
        "set application_name = 'tenant_t2'",
        "set search_path = marts, pg_temp, serve",
    ],
)
def test_a_session_setting_opens_nothing(as_t1: psycopg.Connection, spoof: str) -> None:
    as_t1.execute("set default_transaction_read_only = off")
    as_t1.execute(spoof)  # type: ignore[arg-type]
    try:
        rows = as_t1.execute("select tenant_id from serve.plans").fetchall()
    except psycopg.errors.InsufficientPrivilege:
        return  # row_security = off refuses rather than filters
    assert rows == [("t1",)]


def test_a_tenant_holds_no_lock_that_stops_a_publication(as_t1: psycopg.Connection) -> None:
    as_t1.execute("set default_transaction_read_only = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), as_t1.transaction():
        as_t1.execute("lock table serve.plans in row exclusive mode")


def test_copy_out_gives_own_rows_alone(as_t1: psycopg.Connection) -> None:
    with as_t1.cursor().copy("copy serve.plans to stdout") as copy:
        assert bytes(b"".join(map(bytes, copy))) == b"t1\tl1\tpremium\n"


def test_statistics_show_no_value_of_another_tenant(as_t1: psycopg.Connection) -> None:
    shown = as_t1.execute(
        "select schemaname, tablename from pg_stats"
        " where schemaname !~ '^(pg_|information|_timescaledb_catalog)'"
    ).fetchall()
    assert shown == []


def test_a_leaky_function_is_not_pushed_below_the_policy(as_t1: psycopg.Connection) -> None:
    # An error on another tenant's row would tell its value.
    rows = as_t1.execute("select 1 / (case when plan = 'family' then 0 else 1 end) from plans")
    assert rows.fetchall() == [(1,)]


def test_other_databases_of_the_server_are_closed(shared_ids: Settings) -> None:
    login = parameters(shared_ids, "tenant_t1")
    for database in ("postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(psycopg.conninfo.make_conninfo("", **{**login, "dbname": database}))


def test_a_tenant_reads_in_read_only_transactions_with_a_timeout(as_t1: psycopg.Connection) -> None:
    shown = [
        as_t1.execute(f"show {name}").fetchone()[0]  # type: ignore[arg-type,index]
        for name in ("default_transaction_read_only", "statement_timeout", "search_path")
    ]
    assert shown == ["on", "1min", "serve"]


def test_every_table_of_serve_has_forced_row_security_and_there_is_no_view(
    shared_ids: Settings,
) -> None:
    bare = read(
        shared_ids,
        "select relname from pg_class where relnamespace = 'serve'::regnamespace"
        " and relkind in ('r', 'p', 'v', 'm', 'f')"
        " and not (relkind = 'r' and relrowsecurity and relforcerowsecurity)",
    )
    assert bare.is_empty()


def test_a_view_someone_put_into_serve_is_not_readable_by_tenants(warehouse: Settings) -> None:
    publish_plans(warehouse)
    with connect(warehouse) as pipeline:
        pipeline.execute("create view serve.everything as select * from serve.plans")
    prepare(warehouse)
    with pytest.raises(WarehouseError, match="permission denied for view everything"):
        read(warehouse, "select * from serve.everything", tenant_id="t1")


# ------------------------------------------------------------------ logins


def test_names_at_the_edge_keep_tenants_apart(
    postgres: Postgres, empty_warehouse: Settings, make_settings
) -> None:
    assert empty_warehouse.analytics_warehouse_dsn is not None
    dsn = empty_warehouse.analytics_warehouse_dsn.get_secret_value()
    tenants = [{"id": name, "name": name, "sources": []} for name in [*EDGE_NAMES, "t1", "t2"]]
    settings = make_settings(tenants, analytics_warehouse_dsn=dsn)
    prepare(settings)
    for tenant in tenants:
        frame = pl.DataFrame({"tenant_id": [tenant["id"]], "listener_id": ["l1"]})
        publish_rows(settings, tenant["id"], "plans", frame, {})
    for tenant in tenants:
        rows = read(settings, "select tenant_id from plans", tenant_id=tenant["id"]).rows()
        assert rows == [(tenant["id"],)]


def test_as_the_group_nobody_sees_a_row(shared_ids: Settings, postgres: Postgres) -> None:
    # Before PostgreSQL 16 a member may become the group; `se_tenants` would be its eighth letter on
    dsn = psycopg.conninfo.make_conninfo(postgres.dsn(), dbname=parameters(shared_ids)["dbname"])
    with psycopg.connect(dsn) as admin:
        admin.execute("insert into serve.plans values ('se_tenants', 'l1', 'free')")
        admin.execute("set role warehouse_tenants")
        assert admin.execute("select * from serve.plans").fetchall() == []
        admin.rollback()


def test_a_tenant_taken_out_of_the_file_cannot_log_in_and_returns_when_put_back(
    warehouse: Settings, make_settings
) -> None:
    publish_plans(warehouse)
    assert warehouse.analytics_warehouse_dsn is not None
    dsn = warehouse.analytics_warehouse_dsn.get_secret_value()
    with connect(warehouse, role="tenant_t2", autocommit=True) as still_open:
        only_t1 = make_settings(
            [{"id": "t1", "name": "One", "sources": []}], analytics_warehouse_dsn=dsn
        )
        prepare(only_t1)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            still_open.execute("select * from serve.plans")

    both = make_settings(analytics_warehouse_dsn=dsn)
    with pytest.raises(WarehouseError, match=r"tenant_t2 may not log in: .*tenants file"):
        connect(both, role="tenant_t2")
    prepare(both)
    assert read(both, "select plan from plans", tenant_id="t2").rows() == [("family",)]


def test_a_role_with_more_rights_does_not_become_a_tenants_login(
    postgres: Postgres, empty_warehouse: Settings
) -> None:
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute("create role tenant_mighty createdb")
    assert empty_warehouse.analytics_warehouse_dsn is not None
    file = empty_warehouse.analytics_tenants_file
    file.write_text(file.read_text().replace("id: t2", "id: mighty"))
    try:
        with pytest.raises(WarehouseError, match="role tenant_mighty has rights beyond reading"):
            prepare(empty_warehouse)
    finally:
        with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
            admin.execute("drop role tenant_mighty")


def test_a_wrong_password_says_what_to_do_and_up_heals_it(
    postgres: Postgres, warehouse: Settings
) -> None:
    database = parameters(warehouse)["dbname"]
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(
            sql.SQL("alter role {} password 'other'").format(sql.Identifier("warehouse_pipeline"))
        )
    password = secret(warehouse.secrets, "warehouse_pipeline")
    with pytest.raises(WarehouseError, match="refuses the password of warehouse_pipeline") as no:
        connect(warehouse)
    assert password not in str(no.value)
    assert no.value.__cause__ is None
    assert no.value.__context__ is None
    bootstrap(postgres.dsn(), warehouse, database=database)
    connect(warehouse).close()
