"""Many rows come a portion at a time: what is judged, staged and landed is the same as at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from analytics import gates
from analytics.errors import GateFailed, SourceError
from analytics.interval import Interval
from analytics.lake import (
    bronze,
    candidates,
    ingest,
    ledger,
    paths,
    portions,
    quarantine,
    read,
    silver,
    staging,
)
from analytics.lake.tables import TABLES
from tests.builders import NOON, a_frame, a_play

DAY = Interval.of("2025-01-06", "2025-01-07")
YEAR_2099 = datetime(2099, 1, 1, tzinfo=UTC)
COLUMNS = {c: c for c in TABLES["plays"].columns if c != "tenant_id"}


def a_tenant(tenant_id: str, name: str = "plays.parquet") -> dict:
    source = {"name": "plays", "format": "parquet", "table": "plays", "columns": COLUMNS}
    path = f"{{landing}}/{tenant_id}/{name}"
    return {
        "id": tenant_id, "name": tenant_id, "bad_row_budget": 0.2,
        "sources": [{**source, "path": path}],
    }  # fmt: skip


def plays() -> list[dict]:
    """Sound ones out of order, bad ones, one twice, some of other days and of a broken clock."""
    rows = [
        a_play(play_id=f"p{n}", started_at=NOON + timedelta(seconds=(n * 37) % 600))
        for n in range(60)
    ]
    rows[7] |= {"listened_ms": -1}
    rows[31] |= {"listener_id": None}
    rows[44] |= {"started_at": YEAR_2099}
    rows[50] |= {"started_at": NOON + timedelta(days=3)}
    rows[52] |= {"started_at": NOON - timedelta(days=3)}
    rows[58] = dict(rows[5])
    return rows


def drop(settings, tenant_id: str, rows: list[dict], name: str = "plays.parquet") -> Path:
    path = settings.landing / tenant_id / name
    path.parent.mkdir(parents=True, exist_ok=True)
    a_frame("plays", *rows).drop("tenant_id").write_parquet(path)
    return path


def run(settings, tenant_id: str, interval: Interval = DAY):
    bronze.extract(settings, tenant_id, interval, "run")
    report = gates.bronze(settings, tenant_id, interval, "run")
    return report, silver.land(settings, tenant_id, interval, "run")


def small(monkeypatch, rows: int = 7) -> None:
    """As if so few rows were many."""
    monkeypatch.setattr(portions, "ROWS_IN_MEMORY", rows)
    monkeypatch.setattr(candidates, "ROWS_A_PORTION", rows)
    monkeypatch.setattr(ingest, "ROWS_IN_MEMORY", rows)


def told(report) -> list[tuple]:
    return [
        (r.rule, r.passed, r.unexpected, r.considered, sorted(r.examples))
        for table in report.tables
        for r in table.results
    ]


@pytest.mark.parametrize("rows", [1, 7, 59])
def test_portions_end_like_the_whole(make_settings, tmp_path, monkeypatch, rows):
    tenants = [a_tenant("t1"), a_tenant("t2")]
    whole = make_settings(tenants)
    parts = make_settings(tenants, analytics_lake_root=tmp_path / "parts")
    for tenant_id in ("t1", "t2"):
        drop(whole, tenant_id, plays())
        first, landed = run(whole, tenant_id)
        with monkeypatch.context() as patch:
            small(patch, rows)
            second, landed_in_parts = run(parts, tenant_id)
        assert told(second) == told(first)
        assert landed_in_parts.rows == landed.rows
        assert landed_in_parts.touched == landed.touched == DAY
    assert read.content_hash(parts) == read.content_hash(whole)
    assert landed.rows["plays"] == {
        "rows_in": 60, "landed": 54, "corrected": 0, "duplicates": 1, "quarantined": 3,
        "out_of_interval": 2,
    }  # fmt: skip
    assert not [*whole.spool.iterdir()]


def test_what_nobody_contests_is_published_by_name_alone(make_settings, monkeypatch):
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    small(monkeypatch, 20)
    drop(settings, "t1", [a_play(play_id=f"p{n}") for n in range(60)])
    bronze.extract(settings, "t1", DAY, "run")
    gates.bronze(settings, "t1", DAY, "run")
    found = staging.read(settings, "t1", "plays", DAY)
    assert found is not None
    staged = {Path(file.rows_uri).stat().st_ino for file in found.files}
    silver.land(settings, "t1", DAY, "run")

    shown = Path(paths.table(settings, "silver", "plays"), "tenant_id=t1").glob("*.parquet")
    assert {file.stat().st_ino for file in shown} == staged
    assert len(staged) > 1
    assert {*read.scan(settings, "plays").collect()["tenant_id"]} == {"t1"}


def test_only_the_files_that_hold_a_contested_key_are_written_anew(make_settings, monkeypatch):
    settings = make_settings([a_tenant("t1", "{date}.parquet"), a_tenant("t2")])
    next_day = Interval.of("2025-01-07", "2025-01-08")
    drop(settings, "t1", [a_play(play_id="p3")], "2025-01-06.parquet")
    run(settings, "t1")
    small(monkeypatch, 20)
    late = [a_play(play_id=f"p{n}", started_at=NOON + timedelta(hours=n / 60)) for n in range(60)]
    late[3] = a_play(play_id="p3")
    drop(settings, "t1", late, "2025-01-07.parquet")
    bronze.extract(settings, "t1", next_day, "run")
    gates.bronze(settings, "t1", next_day, "run")
    found = staging.read(settings, "t1", "plays", next_day)
    assert found is not None
    staged = {Path(file.rows_uri).stat().st_ino for file in found.files}
    landed = silver.land(settings, "t1", next_day, "run")

    assert landed.rows["plays"]["landed"] == 59
    assert landed.rows["plays"]["duplicates"] == 1
    shown = Path(paths.table(settings, "silver", "plays"), "tenant_id=t1").glob("*.parquet")
    assert len(staged - {file.stat().st_ino for file in shown}) == 1
    mine = read.scan(settings, "plays", "t1").collect()
    assert mine.height == mine.n_unique("play_id") == 60


def test_a_stop_of_many_rows_sets_none_aside_and_stages_nothing(make_settings, monkeypatch):
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    small(monkeypatch)
    drop(settings, "t1", [a_play(play_id=f"p{n}", listened_ms=-1) for n in range(40)])
    bronze.extract(settings, "t1", DAY, "run")
    with pytest.raises(GateFailed, match="listened_ms_is_plausible failed for 40 of 40 rows"):
        gates.bronze(settings, "t1", DAY, "run")
    assert staging.read(settings, "t1", "plays", DAY) is None
    assert quarantine.scan(settings).collect().is_empty()
    assert not [*settings.spool.iterdir()]


def test_a_file_that_breaks_off_leaves_no_rows_and_no_files(make_settings, monkeypatch):
    tenant = a_tenant("t1", "*.jsonl")
    tenant["sources"][0] |= {"format": "jsonl"}
    settings = make_settings([tenant, a_tenant("t2")])
    small(monkeypatch)
    folder = settings.landing / "t1"
    folder.mkdir(parents=True)
    rows = a_frame("plays", *(a_play(play_id=f"p{n}") for n in range(40)))
    rows.write_ndjson(folder / "whole.jsonl")
    read_unit = ingest._read

    def break_off(read, unit, group):
        found = read_unit(read, unit, group)
        if unit.name.endswith("broken.jsonl"):
            raise SourceError("t1: broken off")
        return found

    rows.with_columns(play_id="x" + pl.col("play_id")).write_ndjson(folder / "broken.jsonl")
    monkeypatch.setattr(ingest, "_read", break_off)
    with pytest.raises(SourceError, match="broken off"):
        bronze.extract(settings, "t1", DAY, "run")

    uri = paths.bronze(settings, "t1", "plays")
    assert pl.read_delta(uri).height == 40
    named = {Path(file).name for file in DeltaTable(uri).file_uris()}
    assert {file.name for file in Path(uri).glob("*.parquet")} == named


def test_a_play_far_ahead_of_all_is_named_however_many_days_lie_behind_the_interval(
    make_settings, monkeypatch
):
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    small(monkeypatch, 10)
    days = [a_play(play_id=f"p{n}", started_at=NOON + timedelta(days=n)) for n in range(60)]
    today = [a_play(play_id=f"q{n}") for n in range(10)]
    drop(settings, "t1", [a_play(play_id="x", started_at=YEAR_2099), *today, *days])
    report, landed = run(settings, "t1")
    assert landed.rows["plays"]["out_of_interval"] == 59
    assert ledger.read(settings, "t1")["quarantined"].to_list() == [1]
    assert "2099" in str(told(report))
