from datetime import timedelta
from multiprocessing import get_context

import polars as pl
import pytest

from analytics.errors import GateFailed
from analytics.interval import Interval
from analytics.lake import ledger, read, staging
from tests.builders import NOON, a_frame, a_play, a_row
from tests.landing import BOTH_DAYS, DAY_ONE, DAY_TWO, land_staged, stage_rows

LINE = ["rows_in", *ledger.BUCKETS]


def arrived(interval: Interval, table: str, *rows: dict) -> pl.DataFrame:
    return a_frame(table, *rows).with_columns(
        pl.lit("events").alias("_source"),
        pl.lit(str(interval)).alias("_file"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("_row"),
        pl.lit(interval.start.date()).alias("_arrived_on"),
    )


def land(settings, interval: Interval, run: str, *rows: dict, table="plays", tenant_id="t1"):
    rows_of = arrived(interval, table, *rows)
    stage_rows(settings, tenant_id, table, interval, rows_of, run_id=run)
    return land_staged(settings, tenant_id, interval, run)


def test_a_second_run_commits_nothing_and_touches_nothing(settings):
    first = land(settings, DAY_ONE, "run-1", a_play(), a_play(play_id="p2"))
    hashes = read.content_hash(settings)
    again = land_staged(settings, "t1", DAY_ONE, "run-2")

    assert first.touched == DAY_ONE
    assert again.touched is None
    assert again.versions == first.versions
    assert read.content_hash(settings) == hashes
    assert ledger.read(settings)["ingest_run"].to_list() == ["run-1"]


def test_a_retry_of_the_same_run_reports_what_the_run_touched(settings):
    land(settings, DAY_ONE, "run-1", a_play())
    assert land_staged(settings, "t1", DAY_ONE, "run-1").touched == DAY_ONE


def test_the_same_row_again_is_a_duplicate_and_other_content_a_correction(settings):
    landed = land(
        settings, DAY_ONE, "run-1", a_play(), a_play(), a_play(play_id="p2", listened_ms=1)
    )
    assert landed.rows["plays"] == dict(zip(LINE, (3, 2, 0, 1, 0, 0), strict=True))

    corrected = land(
        settings,
        DAY_TWO,
        "run-2",
        a_play(),
        a_play(play_id="p2", listened_ms=2),
        a_play(play_id="p3"),
    )
    assert corrected.rows["plays"] == dict(zip(LINE, (3, 1, 1, 1, 0, 0), strict=True))
    rows = dict(read.scan(settings, "plays").select("play_id", "listened_ms").collect().rows())
    assert rows == {"p1": 180_000, "p2": 2, "p3": 180_000}


def test_running_an_older_day_again_does_not_undo_a_later_correction(settings):
    land(settings, DAY_ONE, "run-1", a_play(listened_ms=1))
    land(settings, DAY_TWO, "run-2", a_play(listened_ms=2))
    again = land_staged(settings, "t1", DAY_ONE, "run-3")

    assert again.touched is None
    assert read.scan(settings, "plays").collect()["listened_ms"].to_list() == [2]


def test_daily_runs_end_where_one_ranged_run_ends(make_settings, tmp_path):
    days = {
        DAY_ONE: [a_play(), a_play(play_id="p2", listened_ms=1), a_play()],
        DAY_TWO: [a_play(play_id="p2", listened_ms=2), a_play(), a_play(play_id="p3")],
    }
    daily = make_settings(analytics_lake_root=tmp_path / "daily")
    for number, (day, rows) in enumerate(days.items()):
        land(daily, day, f"run-{number}", *rows)
    ranged = make_settings(analytics_lake_root=tmp_path / "ranged")
    together = pl.concat(arrived(day, "plays", *rows) for day, rows in days.items())
    stage_rows(ranged, "t1", "plays", BOTH_DAYS, together)
    land_staged(ranged, "t1", BOTH_DAYS, "run")

    key = ("silver/plays", "t1")
    assert read.content_hash(daily)[key] == read.content_hash(ranged)[key]
    assert ledger.read(daily).select(LINE).sum().equals(ledger.read(ranged).select(LINE).sum())


def test_touched_covers_the_old_and_the_new_place_of_a_moved_event(settings):
    land(settings, DAY_ONE, "run-1", a_play(started_at=NOON - timedelta(days=3)))
    moved = land(settings, DAY_ONE, "run-2", a_play(started_at=NOON))
    assert moved.touched == Interval.of("2025-01-03", "2025-01-07")


def test_two_tenants_share_ids_and_never_a_row(settings):
    land(settings, DAY_ONE, "run", a_play("t1", listened_ms=1))
    land(settings, DAY_ONE, "run", a_play("t2", listened_ms=2), tenant_id="t2")
    land(settings, DAY_TWO, "run", a_play("t2", listened_ms=3), tenant_id="t2")

    rows = (
        read.scan(settings, "plays").select("tenant_id", "listened_ms").collect().sort("tenant_id")
    )
    assert rows.rows() == [("t1", 1), ("t2", 3)]
    assert read.scan(settings, "plays", "t1").collect().height == 1


def test_of_a_state_the_later_time_wins_and_a_null_does_not_erase(settings):
    old = a_row("listeners", country="DE", birth_year=1990)
    new = a_row("listeners", country="SE", birth_year=None, updated_at=NOON)
    land(settings, DAY_ONE, "run-1", new, old, table="listeners")
    found = read.scan(settings, "listeners").collect().row(0, named=True)
    assert (found["country"], found["birth_year"], found["updated_at"]) == ("SE", 1990, NOON)

    stale = a_row("listeners", country="FR")
    same = a_row("listeners", country="SE", updated_at=NOON + timedelta(hours=1))
    again = land(settings, DAY_TWO, "run-2", stale, same, table="listeners")
    assert again.touched is None
    assert again.rows["listeners"]["duplicates"] == 2

    changed = a_row("listeners", country="NO", updated_at=NOON + timedelta(hours=2))
    assert land(settings, DAY_TWO, "run-3", changed, table="listeners").touched == DAY_TWO
    assert read.scan(settings, "listeners").collect()["country"].to_list() == ["NO"]


def test_a_gate_that_lost_a_row_is_refused(settings):
    with pytest.raises(GateFailed, match="does not balance: 3 rows in"):
        stage_rows(
            settings, "t1", "plays", DAY_ONE, arrived(DAY_ONE, "plays", a_play()),
            staging.Counts(rows_in=3, quarantined=1),
        )  # fmt: skip


def _land_many(settings, tenant_id: str, number: int) -> None:
    day = Interval.of(f"2025-02-{number + 1:02}", f"2025-02-{number + 2:02}")
    at = day.start + timedelta(hours=1)
    rows = [
        a_play(tenant_id, play_id=f"p{n}", started_at=at, listened_ms=number) for n in range(50)
    ]
    land(settings, day, f"run-{number}", *rows, tenant_id=tenant_id)


def test_tenants_and_days_landing_at_the_same_time_lose_nothing(settings):
    context = get_context("spawn")
    jobs = [(settings, tenant, n) for tenant in ("t1", "t2") for n in range(2)]
    workers = [context.Process(target=_land_many, args=job) for job in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [w.exitcode for w in workers] == [0] * 4
    plays = read.scan(settings, "plays").collect()
    assert plays.height == 100
    assert plays.n_unique(["tenant_id", "play_id"]) == 100
    lines = ledger.read(settings)
    assert lines["rows_in"].sum() == 200
    assert lines["landed"].sum() == 100


def test_a_table_can_be_read_as_it_was(settings):
    before = land(settings, DAY_ONE, "run-1", a_play(listened_ms=1)).versions["plays"]
    land(settings, DAY_TWO, "run-2", a_play(listened_ms=2))
    assert read.scan(settings, "plays", version=before).collect()["listened_ms"].to_list() == [1]
    assert read.version(settings, "silver", "plays") == before + 1
    assert read.version(settings, "silver", "reviews") is None
    assert read.scan(settings, "reviews").collect().is_empty()
