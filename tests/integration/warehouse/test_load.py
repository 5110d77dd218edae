"""Silver into raw: what is replaced, what stays, and what a kill leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest

from analytics.errors import UnknownTenant, WarehouseError
from analytics.interval import Interval
from analytics.lake.tables import TABLES
from analytics.settings import Settings
from analytics.stack.postgres import Postgres
from analytics.warehouse import connect, content_hash, copy, load, load_features, prepare, read
from tests.builders import NOON, a_frame, a_play, a_row

pytestmark = pytest.mark.integration

JANUARY = Interval.of("2025-01-01", "2025-02-01")
DAY = timedelta(days=1)


def silver(settings: Settings, table: str, *rows: dict, layer: str = "silver") -> None:
    frame = a_frame(table, *rows).with_columns(ingest_run=pl.lit("run-1"))
    write(settings, layer, table, frame)


def write(settings: Settings, layer: str, table: str, frame: pl.DataFrame) -> None:
    frame.write_delta(
        f"{settings.lake_root}/{layer}/{table}",
        mode="overwrite",
        delta_write_options={"partition_by": ["tenant_id"], "schema_mode": "overwrite"},
    )


def two_tenants_sharing_ids(settings: Settings) -> None:
    silver(
        settings, "plays",
        a_play("t1", play_id="p1"), a_play("t1", play_id="p2", started_at=NOON + 40 * DAY),
        a_play("t2", play_id="p1", listened_ms=1), a_play("t2", play_id="p2", listened_ms=2),
    )  # fmt: skip
    silver(settings, "listeners", a_row("listeners", "t1"), a_row("listeners", "t2", country="US"))


def test_only_the_window_and_only_the_tenant_arrive(warehouse: Settings) -> None:
    two_tenants_sharing_ids(warehouse)

    loaded = load(warehouse, "t1", JANUARY)

    assert (loaded.rows["plays"], loaded.rows["listeners"]) == (1, 1)
    rows = read(warehouse, "select tenant_id, play_id, ingest_run from raw.plays")
    assert rows.rows() == [("t1", "p1", "run-1")]
    assert read(warehouse, "select tenant_id from raw.listeners").rows() == [("t1",)]


def test_every_value_of_every_table_arrives_as_it_was(warehouse: Settings) -> None:
    odd = 'comma, "quote"\nline \\N \\. tab\t ümlaut 🎵'
    rows = {
        "plays": [a_play(platform="", country=None), a_play("t2", reason_end=odd)],
        "app_events": [a_row("app_events", properties='{"a": "b"}', page=odd, session_id=None)],
        "tracks": [a_row("tracks", title=odd, released_on=None, album="")],
        "tickets": [a_row("tickets", body="  padded ", opened_at=NOON + timedelta(microseconds=1))],
        "reviews": [a_row("reviews", body=odd)],
        "payments": [a_row("payments", amount_minor=2**62, extras='{"mood":"c\\"a"}')],
    }
    rows |= {table: [a_row(table), a_row(table, "t2")] for table in TABLES if table not in rows}
    for table, some in rows.items():
        silver(warehouse, table, *some)

    load(warehouse, "t1", JANUARY)
    load(warehouse, "t2", JANUARY)

    for table, some in rows.items():
        expected = a_frame(table, *some)
        arrived = read(warehouse, f"select * from raw.{table} order by 1")  # noqa: S608
        assert arrived.drop("ingest_run").equals(expected.sort("tenant_id")), table


def test_a_nul_character_arrives_as_the_replacement_character(warehouse: Settings) -> None:
    silver(warehouse, "reviews", a_row("reviews", body="a\0b"))
    load(warehouse, "t1", JANUARY)
    assert read(warehouse, "select body from raw.reviews").item() == "a\ufffdb"


def test_loading_twice_changes_nothing(warehouse: Settings) -> None:
    two_tenants_sharing_ids(warehouse)
    for tenant in ("t1", "t2"):
        load(warehouse, tenant, JANUARY)
    first = content_hash(warehouse)

    for tenant in ("t2", "t1"):
        load(warehouse, tenant, JANUARY)

    assert content_hash(warehouse) == first
    assert first.keys() == {
        (f"raw.{table}", tenant) for table in ("plays", "listeners") for tenant in ("t1", "t2")
    }
    assert len(set(first.values())) == 4


def test_a_corrected_window_replaces_its_rows_and_no_others(warehouse: Settings) -> None:
    two_tenants_sharing_ids(warehouse)
    load(warehouse, "t1", Interval.of("2025-01-01", "2025-03-01"))
    load(warehouse, "t2", JANUARY)

    silver(warehouse, "plays", a_play("t1", play_id="p3"))
    load(warehouse, "t1", Interval.of("2025-01-01", "2025-01-15"))

    rows = read(warehouse, "select tenant_id, play_id from raw.plays order by 1, 2").rows()
    assert rows == [("t1", "p2"), ("t1", "p3"), ("t2", "p1"), ("t2", "p2")]


def test_the_window_is_half_open(warehouse: Settings) -> None:
    end = datetime(2025, 2, 1, tzinfo=UTC)
    silver(
        warehouse, "plays",
        a_play(play_id="last", started_at=end - timedelta(microseconds=1)),
        a_play(play_id="next", started_at=end),
    )  # fmt: skip
    load(warehouse, "t1", JANUARY)
    assert read(warehouse, "select play_id from raw.plays").rows() == [("last",)]


@pytest.mark.parametrize("postgres", ["postgresql"], indirect=True)
def test_partitions_exist_for_the_months_that_have_rows(warehouse: Settings) -> None:
    silver(
        warehouse, "plays",
        a_play(play_id="a", started_at=datetime(2008, 12, 31, 23, tzinfo=UTC)), a_play(play_id="b"),
    )  # fmt: skip
    load(warehouse, "t1", Interval.of("1990-01-01", "2030-01-01"))
    parts = read(
        warehouse,
        "select inhrelid::regclass::text from pg_inherits"
        " where inhparent = 'raw.plays'::regclass order by 1",
    )
    assert parts.to_series().to_list() == ["raw.plays_2008_12", "raw.plays_2025_01"]


def test_features_take_their_columns_from_the_lake_and_grow_with_it(warehouse: Settings) -> None:
    base = pl.DataFrame(
        {
            "tenant_id": ["t1", "t1", "t2"],
            "listener_id": ["l1", "l1", "l1"],
            "as_of_date": [date(2025, 1, 6), date(2025, 1, 13), date(2025, 1, 6)],
            "skip_share": [0.1, None, 1e-6],
        }
    )
    write(warehouse, "features", "churn_features", base)
    assert load_features(warehouse, "t1").rows == {"churn_features": 2}
    assert load_features(warehouse, "t2").rows == {"churn_features": 1}

    write(warehouse, "features", "churn_features", base.with_columns(plays_7d=pl.lit(3)))
    assert load_features(warehouse, "t1", [date(2025, 1, 13)]).rows == {"churn_features": 1}

    rows = read(
        warehouse,
        "select tenant_id, as_of_date::text, skip_share, plays_7d from raw.churn_features"
        " order by 1, 2",
    ).rows()
    assert rows == [
        ("t1", "2025-01-06", 0.1, None),
        ("t1", "2025-01-13", None, 3),
        ("t2", "2025-01-06", 1e-6, None),
    ]


def test_a_load_brings_the_features_of_its_window_and_those_that_look_back_on_it(
    warehouse: Settings,
) -> None:
    days = [date(2024, 12, 30), date(2025, 1, 31), date(2025, 2, 1), date(2025, 3, 3)]
    frame = pl.DataFrame({"tenant_id": "t1", "listener_id": "l1", "as_of_date": days})
    write(warehouse, "features", "churn_features", frame)
    assert load(warehouse, "t1", JANUARY).rows["churn_features"] == 3


def test_two_tenants_load_side_by_side_into_new_months(warehouse: Settings) -> None:
    rows = [
        a_play(tenant, play_id=f"p{n}", started_at=NOON + n * DAY)
        for tenant in ("t1", "t2")
        for n in range(400)
    ]
    silver(warehouse, "plays", *rows)
    window = Interval.of("2025-01-01", "2027-01-01")
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(load, warehouse, t, window) for t in ("t1", "t2", "t1", "t2")]
        assert [job.result().rows["plays"] for job in jobs] == [400] * 4
    counts = read(warehouse, "select tenant_id, count(*) from raw.plays group by 1 order by 1")
    assert counts.rows() == [("t1", 400), ("t2", 400)]


def test_an_unknown_tenant_is_refused_by_name(warehouse: Settings) -> None:
    with pytest.raises(UnknownTenant, match="t1, t2"):
        load(warehouse, "t3", JANUARY)


def test_a_row_that_the_table_refuses_changes_nothing(warehouse: Settings) -> None:
    two_tenants_sharing_ids(warehouse)
    load(warehouse, "t1", JANUARY)
    before = content_hash(warehouse)
    silver(warehouse, "plays", a_play(play_id="a"), a_play(play_id="a"))
    with pytest.raises(WarehouseError, match=r"t1: loading .* failed, nothing was changed"):
        load(warehouse, "t1", JANUARY)
    assert content_hash(warehouse) == before


_KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from analytics.interval import Interval
from analytics.lake.tables import TABLES
from analytics.settings import load_settings
from analytics.warehouse import copy, load
whole = copy._csv
seen = []
def half(frame):
    seen.append(1)
    if len(seen) == 3:
        open(sys.argv[2], "w").write("mid")
        import time; time.sleep(600)
    return whole(frame)
copy._csv, copy.CHUNK = half, 1_000
load(load_settings(dotenv=None), "t1", Interval.of("2025-01-01", "2025-02-01"))
"""


def test_a_load_killed_in_the_middle_of_its_copy_leaves_what_was_there(
    warehouse: Settings, tmp_path: Path
) -> None:
    two_tenants_sharing_ids(warehouse)
    load(warehouse, "t1", JANUARY)
    load(warehouse, "t2", JANUARY)
    before = content_hash(warehouse)
    many = [a_play(play_id=f"n{n}", started_at=NOON + timedelta(seconds=n)) for n in range(20_000)]
    silver(warehouse, "plays", *many)
    assert warehouse.analytics_warehouse_dsn is not None
    signal_file = tmp_path / "mid"
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(Path(__file__).parents[3]), str(signal_file)],
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith(("ANALYTICS_", "ML_"))},
            "ANALYTICS_WAREHOUSE_DSN": warehouse.analytics_warehouse_dsn.get_secret_value(),
            "ANALYTICS_VAR_DIR": str(warehouse.var),
            "ANALYTICS_TENANTS_FILE": str(warehouse.analytics_tenants_file),
        },
    )
    deadline = time.monotonic() + 60
    while not signal_file.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    assert signal_file.exists()
    busy = "select count(*) from pg_stat_activity where usename = 'warehouse_pipeline' and query"
    assert read(warehouse, f"{busy} ilike 'copy \"raw\"%'").item() == 1
    process.send_signal(signal.SIGKILL)
    process.wait(30)

    assert content_hash(warehouse) == before
    assert load(warehouse, "t1", JANUARY).rows["plays"] == 20_000


def test_a_connection_lost_in_the_middle_of_a_copy_says_so_and_the_next_load_brings_all(
    warehouse: Settings, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_tenants_sharing_ids(warehouse)
    load(warehouse, "t1", JANUARY)
    load(warehouse, "t2", JANUARY)
    before = content_hash(warehouse)
    many = [a_play(play_id=f"n{n}", started_at=NOON + timedelta(seconds=n)) for n in range(20_000)]
    silver(warehouse, "plays", *many)
    whole, cut = copy._csv, []

    def cut_off(frame: pl.DataFrame) -> object:
        if len(cut) < 3:
            cut.append(0)
            if len(cut) == 3:
                with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
                    cut.extend(admin.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity "
                        "where usename = 'warehouse_pipeline' and query ilike 'copy \"raw\"%'"
                    ).fetchall())  # fmt: skip
        return whole(frame)

    monkeypatch.setattr(copy, "_csv", cut_off)
    monkeypatch.setattr(copy, "CHUNK", 1_000)
    with pytest.raises(WarehouseError, match=r"t1: loading .* failed, nothing was changed"):
        load(warehouse, "t1", JANUARY)

    assert cut[3:] == [(True,)]
    assert content_hash(warehouse) == before
    assert load(warehouse, "t1", JANUARY).rows["plays"] == 20_000


def test_preparing_twice_changes_nothing_and_waits_for_no_load(warehouse: Settings) -> None:
    two_tenants_sharing_ids(warehouse)
    load(warehouse, "t1", JANUARY)
    before = content_hash(warehouse)
    with connect(warehouse) as loading:
        loading.execute("delete from raw.plays")  # a load still running
        loading.execute("select from serve.snapshots")
        with ThreadPoolExecutor(2) as pool:
            for job in [pool.submit(prepare, warehouse) for _ in range(4)]:
                job.result(timeout=30)
        loading.rollback()
    assert content_hash(warehouse) == before


def test_a_play_of_unknown_length_arrives_where_an_older_version_demanded_one(
    warehouse: Settings,
) -> None:
    two_tenants_sharing_ids(warehouse)
    load(warehouse, "t1", JANUARY)  # with a partition of its own
    with connect(warehouse) as connection:
        connection.execute("alter table raw.plays alter column listened_ms set not null")
        connection.execute("delete from ops.prepared")
    silver(
        warehouse, "plays",
        a_play("t1", listened_ms=None), a_play("t2", play_id="p2", listened_ms=2),
    )  # fmt: skip

    for tenant in ("t1", "t2"):
        load(warehouse, tenant, JANUARY)

    rows = read(warehouse, "select tenant_id, listened_ms from raw.plays order by 1").rows()
    assert rows == [("t1", None), ("t2", 2)]
    with connect(warehouse) as connection, pytest.raises(psycopg.errors.NotNullViolation):
        connection.execute("update raw.plays set listener_id = null")


def test_a_raw_table_made_before_a_column_existed_is_widened(warehouse: Settings) -> None:
    with connect(warehouse) as connection:
        connection.execute("alter table raw.plays drop column reason_end")
        connection.execute("alter table raw.tracks drop column genre")
    prepare(warehouse)
    columns = read(warehouse, "select reason_end, genre from raw.plays, raw.tracks").columns
    assert columns == ["reason_end", "genre"]
