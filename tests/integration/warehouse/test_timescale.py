"""Hypertables: made where a server can, of the same rows as partitions, shut to tenants."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import psycopg
import pytest
from psycopg import sql

from analytics.interval import Interval
from analytics.lake.tables import TABLES
from analytics.settings import Settings
from analytics.stack.postgres import Postgres
from analytics.warehouse import connect, content_hash, load, partitions, prepare, read
from analytics.warehouse.connect import parameters
from tests.builders import NOON, a_frame, a_play
from tests.integration.warehouse.servers import TIMESCALE_DSN

pytestmark = pytest.mark.integration

EVENTS = {table.name for table in TABLES.values() if table.is_event}
HISTORY = Interval.of("2008-01-01", "2026-01-01")
CHUNKS = "select inhrelid::regclass::text from pg_inherits where inhparent = 'raw.plays'::regclass"


def on_timescale(test):
    """Run the test on TimescaleDB alone."""
    test = pytest.mark.parametrize("postgres", ["timescaledb"], indirect=True)(test)
    why = "ANALYTICS_TEST_TIMESCALE_DSN names no server"
    return pytest.mark.skipif(not TIMESCALE_DSN, reason=why)(test)


def load_two_tenants(settings: Settings) -> dict[tuple[str, str], str]:
    """Plays of two far months, their ids the same for both tenants; the hashes of what arrived."""
    early = datetime(2008, 12, 31, 23, tzinfo=UTC)
    rows = [
        a_play(tenant, play_id=play_id, started_at=at)
        for tenant in ("t1", "t2")
        for play_id, at in (("p1", NOON), ("p2", early))
    ]
    frame = a_frame("plays", *rows).with_columns(ingest_run=pl.lit("run-1"))
    frame.write_delta(f"{settings.lake_root}/silver/plays", mode="overwrite")
    for tenant in ("t1", "t2"):
        load(settings, tenant, HISTORY)
    return content_hash(settings)


@on_timescale
def test_every_event_table_becomes_a_hypertable_and_a_second_load_changes_nothing(
    warehouse: Settings,
) -> None:
    first = load_two_tenants(warehouse)

    assert load_two_tenants(warehouse) == first
    assert len(set(first.values())) == 2
    hypertables = (
        "select hypertable_schema, hypertable_name from timescaledb_information.hypertables"
    )
    assert set(read(warehouse, hypertables).rows()) == {("raw", name) for name in EVENTS}
    chunks = read(warehouse, CHUNKS).to_series()
    assert len(chunks) == 2
    assert all(chunk.startswith("_timescaledb_internal.") for chunk in chunks)


@on_timescale
def test_hypertables_hold_what_partitions_hold(
    warehouse: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_hypertables = load_two_tenants(warehouse)
    with connect(warehouse) as connection:
        connection.execute("drop schema raw cascade")
    monkeypatch.setattr(partitions, "has_timescale", lambda connection: False)
    prepare(warehouse)

    assert load_two_tenants(warehouse) == on_hypertables
    assert set(read(warehouse, CHUNKS).to_series()) == {"raw.plays_2008_12", "raw.plays_2025_01"}


@on_timescale
def test_no_tenant_reaches_a_hypertable_or_its_chunks(warehouse: Settings) -> None:
    load_two_tenants(warehouse)

    granted = read(
        warehouse,
        "select relname, grantee::regrole::text from pg_class, aclexplode(relacl)"
        " where relowner = 'warehouse_pipeline'::regrole and grantee <> relowner"
        " and relnamespace <> 'serve'::regnamespace",
    )
    assert granted.is_empty()
    chunk = read(warehouse, CHUNKS).to_series()[0]
    with connect(warehouse, role="tenant_t1", autocommit=True) as tenant:
        tenant.execute("set default_transaction_read_only = off")
        for statement in (
            "select * from raw.plays",
            f"table {chunk}",
            f"truncate {chunk}",
            f"select _timescaledb_functions.drop_chunk('{chunk}')",
            f"select _timescaledb_functions.freeze_chunk('{chunk}')",
            "select public.drop_chunks('raw.plays', now())",
            "select public.create_hypertable('serve.snapshots', 'published_at')",
            "select public.add_job('now', '1h')",
            "select _timescaledb_functions.stop_background_workers()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                tenant.execute(statement)


# ------------------------------------------------------------------ offered, not preloaded


@pytest.fixture
def not_preloaded(postgres: Postgres, empty_warehouse: Settings) -> Settings:
    """A warehouse whose server has the extension's files and would end a session that makes it."""
    files = postgres.home() / "offered" / "extension"  # where the server's account may read
    files.mkdir(parents=True)
    (files / "timescaledb.control").write_text("default_version = '1'\ntrusted = true\n")
    (files / "timescaledb--1.sql").write_text("select pg_terminate_backend(pg_backend_pid());")
    for path in (files.parent, files, *files.iterdir()):
        path.chmod(0o755)
    offer = sql.SQL("alter database {} set extension_control_path = {}").format(
        sql.Identifier(parameters(empty_warehouse)["dbname"]),
        sql.Literal(f"{files.parent}:$system"),
    )
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(offer)
    return empty_warehouse


@pytest.mark.parametrize("postgres", ["postgresql"], indirect=True)
def test_where_the_extension_is_not_preloaded_partitions_do(not_preloaded: Settings) -> None:
    offered = "select name from pg_available_extensions where name = 'timescaledb'"
    assert read(not_preloaded, offered).height == 1
    prepare(not_preloaded)
    load_two_tenants(not_preloaded)
    parts = read(not_preloaded, CHUNKS).to_series()
    assert set(parts) == {"raw.plays_2008_12", "raw.plays_2025_01"}
