"""The same load on hypertables, where a server with TimescaleDB is at hand."""

from __future__ import annotations

import os
from collections.abc import Callable

import polars as pl
import psycopg
import pytest

from analytics.interval import Interval
from analytics.settings import Settings
from analytics.warehouse import bootstrap, content_hash, load, prepare, read
from tests.builders import a_frame, a_play

pytestmark = pytest.mark.integration
DSN = os.environ.get("ANALYTICS_TEST_TIMESCALE_DSN", "")
DATABASE = "warehouse_timescale_test"


@pytest.mark.skipif(not DSN, reason="ANALYTICS_TEST_TIMESCALE_DSN names no server")
def test_events_land_in_hypertables_and_a_second_load_changes_nothing(
    make_settings: Callable[..., Settings],
) -> None:
    with psycopg.connect(DSN, autocommit=True) as admin:
        admin.execute(f"drop database if exists {DATABASE} with (force)")
    dsn = bootstrap(DSN, make_settings(), database=DATABASE)
    with psycopg.connect(DSN, dbname=DATABASE, autocommit=True) as admin:
        admin.execute("create extension if not exists timescaledb")
    settings = make_settings(analytics_warehouse_dsn=dsn)
    prepare(settings)
    frame = a_frame("plays", a_play("t1"), a_play("t2")).with_columns(ingest_run=pl.lit("run-1"))
    frame.write_delta(f"{settings.lake_root}/silver/plays")

    hashes = []
    for _ in range(2):
        for tenant in ("t1", "t2"):
            load(settings, tenant, Interval.of("2025-01-01", "2025-02-01"))
        hashes.append(content_hash(settings))

    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == 2
    tables = read(settings, "select hypertable_name::text from timescaledb_information.hypertables")
    assert "plays" in tables.to_series().to_list()
