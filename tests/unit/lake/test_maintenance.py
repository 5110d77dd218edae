"""Maintenance makes the lake smaller and quicker and never moves a row."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from analytics.errors import LakeError
from analytics.interval import Interval
from analytics.lake import (
    asof,
    content,
    delta,
    ledger,
    leftovers,
    maintenance,
    paths,
    read,
    snapshots,
)  # fmt: skip
from tests.builders import NOON, a_play
from tests.landing import DAY_ONE, DAY_TWO, a_line, a_tenant, drop, land_staged, run, stage
from tests.unit.lake.aging import DAY, age
from tests.unit.lake.test_snapshots import land, of_run, stored

PLAYS = "silver/plays"
TENANTS = ("t1", "t2")


def a_week(settings) -> None:
    """A day a landing, for both tenants."""
    for number in range(7):
        for tenant_id in TENANTS:
            at = NOON + timedelta(days=number)
            rows = [a_play(tenant_id, play_id=f"p{number}-{n}", started_at=at) for n in range(3)]
            land(settings, Interval.day(at.date()), f"run-{number}", *rows, tenant_id=tenant_id)


def tidy(settings, *tenant_ids: str) -> dict[str, maintenance.Maintained]:
    names = [n for group in maintenance.groups(settings, tenant_ids or TENANTS) for n in group]
    chosen = tenant_ids or None
    return {name: maintenance.maintain(settings, name, chosen) for name in names}


def versions(settings) -> dict[str, int | None]:
    return {n: delta.version(paths.named(settings, n)) for n in content.tables(settings)}


def on_disk(settings) -> set[Path]:
    return {p for p in Path(settings.lake_root).rglob("*") if p.is_file()}


def test_small_files_become_one_a_tenant_and_no_row_moves(settings):
    a_week(settings)
    hashes = read.content_hash(settings)
    rows = stored(settings, "t2")
    done = tidy(settings)

    assert (done[PLAYS].files_before, done[PLAYS].files_after) == (14, 2)
    assert done[PLAYS].bytes_after < done[PLAYS].bytes_before
    assert done["ledger"].files_after == done["snapshots"].files_after == 2
    assert read.content_hash(settings) == hashes
    assert_frame_equal(stored(settings, "t2"), rows)


def test_a_tidy_lake_gets_no_commit_and_a_dry_run_none_either(settings):
    a_week(settings)
    before = versions(settings), on_disk(settings)
    promised = [
        maintenance.maintain(settings, name, dry_run=True) for name in content.tables(settings)
    ]
    assert (versions(settings), on_disk(settings)) == before
    done = tidy(settings)
    assert {p.table: p.files_after for p in promised} == {
        name: d.files_after for name, d in done.items()
    }
    tidied = versions(settings), on_disk(settings)
    assert tidied != before
    tidy(settings)
    assert (versions(settings), on_disk(settings)) == tidied


def test_the_files_of_one_tenant_are_merged_alone_when_asked(settings):
    a_week(settings)
    tidy(settings, "t2")
    files = pl.DataFrame(DeltaTable(paths.named(settings, PLAYS)).get_add_actions(flatten=True))
    assert dict(files.group_by("partition.tenant_id").len().iter_rows()) == {"t1": 7, "t2": 1}


def test_a_table_of_another_room_is_left_alone(settings):
    land(settings, DAY_ONE, "run-1", a_play())
    for name in ("features/churn_features", "predictions/churn_predictions", "bronze/gone/plays"):
        delta.write(paths.named(settings, name), pl.DataFrame({"tenant_id": ["t1"], "x": [1]}))
    assert maintenance.groups(settings, TENANTS) == [["ledger"], [PLAYS], ["snapshots"]]


def test_each_tenants_own_tables_are_one_portion(make_settings):
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    for tenant_id in TENANTS:
        drop(settings, tenant_id, "2025-01-06", a_line(), "{")
        run(settings, tenant_id, DAY_ONE, "run-1")
    portions = maintenance.groups(settings, ["t2"])
    assert portions[-1] == ["bronze/t2/events", "bronze_rejects/t2/events"]
    assert not any("t1" in name for portion in portions for name in portion)


def test_a_file_that_came_before_is_still_known_after_merging(make_settings):
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    for tenant_id in TENANTS:
        for day, interval in (("2025-01-06", DAY_ONE), ("2025-01-07", DAY_TWO)):
            drop(settings, tenant_id, day, a_line(itemInSession=int(day[-1])))
            run(settings, tenant_id, interval, f"run-{day}")
    hashes = read.content_hash(settings)
    done = tidy(settings)
    assert done["bronze/t1/events"].files_after == 1
    again = run(settings, "t1", DAY_ONE, "run-again")
    assert again.touched is None
    assert read.content_hash(settings) == hashes


def test_a_long_log_is_summed_up_once(settings):
    a_week(settings)
    assert tidy(settings)[PLAYS].checkpoint
    assert not tidy(settings)[PLAYS].checkpoint
    assert land_staged(settings, "t1", DAY_ONE, "run-0").touched == DAY_ONE  # the log is whole


# ------------------------------------------------------------------- vacuum


def removed_after(settings, days: int) -> maintenance.Maintained:
    """Merge, let so many days pass, maintain again."""
    maintenance.maintain(settings, PLAYS)
    age(paths.named(settings, PLAYS), days)
    return maintenance.maintain(settings, PLAYS)


def test_what_a_snapshot_of_the_last_thirty_days_needs_is_kept(settings):
    a_week(settings)
    assert removed_after(settings, 29).removed == 0
    wanted = of_run(settings, "run-3")
    assert asof.gone(settings, [wanted]) == {wanted.snapshot_id: []}
    assert asof.rows(settings, wanted, PLAYS).collect().height == 12


def test_what_nobody_needed_for_longer_goes_and_its_snapshots_say_so(settings):
    a_week(settings)
    hashes = read.content_hash(settings)
    done = removed_after(settings, 31)

    assert done.removed == 14
    assert done.bytes_removed > 0
    assert read.content_hash(settings) == hashes
    lost = asof.gone(settings, snapshots.snapshots(settings, "t1"))
    assert all(tables == [PLAYS] for tables in lost.values())
    with pytest.raises(LakeError, match="is gone: maintenance removed files of version"):
        asof.rows(settings, of_run(settings, "run-3"), PLAYS)
    land(settings, DAY_TWO, "run-9", a_play(play_id="new"))
    assert asof.gone(settings, [of_run(settings, "run-9")]).popitem()[1] == []


def test_fewer_than_seven_days_and_more_than_the_log_are_refused(settings):
    land(settings, DAY_ONE, "run-1", a_play())
    for days in (0, 6, 31):
        with pytest.raises(LakeError, match="files are kept 7 to 30 days"):
            maintenance.maintain(settings, PLAYS, keep_days=days)


def test_files_of_killed_writers_go_when_they_are_old_and_stay_while_young(settings):
    a_week(settings)
    maintenance.maintain(settings, PLAYS)
    part = Path(paths.named(settings, PLAYS), "tenant_id=t1")
    old, young = part / "part-old.parquet", part / "part-young.parquet"
    for file, days in ((old, 31), (young, 29)):
        file.write_bytes(b"half a file")
        then = file.stat().st_mtime - days * DAY
        os.utime(file, (then, then))
    done = maintenance.maintain(settings, PLAYS)
    assert (done.removed, done.bytes_removed) == (1, 11)
    assert (old.exists(), young.exists()) == (False, True)
    assert maintenance.maintain(settings, PLAYS).removed == 0


# ---------------------------------------------------------- beside writers


LANDINGS = 10


def _land_days(settings, tenant_id: str) -> None:
    for number in range(LANDINGS):
        at = NOON + timedelta(days=number)
        rows = [a_play(tenant_id, play_id=f"p{number}-{n}", started_at=at) for n in range(40)]
        if number % 4 == 3:  # a correction, which rewrites a file that may just be merged
            rows += [a_play(tenant_id, play_id="p0-0", started_at=at, listened_ms=number)]
        land(settings, Interval.day(at.date()), f"run-{number}", *rows, tenant_id=tenant_id)


def _tidy_until(settings, stop) -> None:
    rounds = 0
    while not stop.is_set() or not rounds:
        tidy(settings)
        leftovers.sweep(settings, datetime.now(UTC))
        rounds += 1


def test_beside_running_writers_nothing_is_lost_or_doubled(make_settings, tmp_path):
    busy = make_settings(analytics_lake_root=tmp_path / "busy")
    context = get_context("spawn")
    stop = context.Event()
    writers = [context.Process(target=_land_days, args=(busy, t)) for t in TENANTS]
    tidier = context.Process(target=_tidy_until, args=(busy, stop))
    for process in (*writers, tidier):
        process.start()
    for writer in writers:
        writer.join()
    stop.set()
    tidier.join()
    assert [p.exitcode for p in (*writers, tidier)] == [0, 0, 0]

    quiet = make_settings(analytics_lake_root=tmp_path / "quiet")
    for tenant_id in TENANTS:
        _land_days(quiet, tenant_id)
    assert read.content_hash(busy) == read.content_hash(quiet)
    merged = [
        h for h in DeltaTable(paths.named(busy, PLAYS)).history() if h["operation"] == "OPTIMIZE"
    ]
    assert merged, "the tidier never met a writer"
    assert len(snapshots.snapshots(busy)) == 2 * LANDINGS
    assert stored(busy, "t1").drop("ingest_run").equals(stored(quiet, "t1").drop("ingest_run"))


def test_a_correction_whose_file_is_merged_before_its_commit_is_made_anew(settings, monkeypatch):
    a_week(settings)
    commit, rivals = delta.upsert, []

    def late(table, rows, **kwargs):
        if not rivals:
            rivals.append(maintenance.maintain(settings, PLAYS))
        return commit(table, rows, **kwargs)

    monkeypatch.setattr(delta, "upsert", late)
    landed = land(settings, DAY_TWO, "run-9", a_play(play_id="p0-0", listened_ms=1))
    assert rivals
    assert landed.rows["plays"]["corrected"] == 1
    held = stored(settings, "t1")
    assert held.height == held.n_unique("play_id") == 21
    assert held.filter(play_id="p0-0")["listened_ms"].to_list() == [1]
    assert stored(settings, "t2").filter(play_id="p0-0")["listened_ms"].to_list() == [180_000]


# --------------------------------------------------------------- leftovers


def landed_and_waiting(make_settings):
    """Day one landed for both tenants; day two is staged and waits."""
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    for tenant_id in TENANTS:
        drop(settings, tenant_id, "2025-01-06", a_line())
        run(settings, tenant_id, DAY_ONE, "run-1")
    drop(settings, "t1", "2025-01-07", a_line(itemInSession=1))
    from analytics.lake import bronze

    bronze.extract(settings, "t1", DAY_TWO, "run-2")
    stage(settings, "t1", DAY_TWO)
    return settings


def staged(settings) -> set[tuple[str, str]]:
    """Tenant and interval of every staged file."""
    folder = Path(settings.lake_root, "staged")
    parts = [file.relative_to(folder).parts for file in folder.rglob("*") if file.is_file()]
    return {(tenant_id, rest[0].removesuffix(".json")) for tenant_id, _, *rest in parts}


def test_staged_rows_that_landed_go_after_a_day_and_those_that_wait_stay(make_settings):
    settings = landed_and_waiting(make_settings)
    waiting = {("t1", paths.span(DAY_TWO))}
    now = datetime.now(UTC)
    before = staged(settings)
    assert leftovers.sweep(settings, now + timedelta(hours=23)).staged == 0
    promised = leftovers.sweep(settings, now + timedelta(hours=25), dry_run=True)
    assert staged(settings) == before
    assert leftovers.sweep(settings, now + timedelta(hours=25)) == promised
    assert staged(settings) == waiting
    assert land_staged(settings, "t1", DAY_TWO, "run-2").rows["plays"]["landed"] == 1


def test_a_landing_without_its_staged_rows_says_what_to_do(make_settings):
    settings = landed_and_waiting(make_settings)
    leftovers.sweep(settings, datetime.now(UTC) + timedelta(days=2))
    with pytest.raises(LakeError, match=r"t2: nothing is staged for .* clear its `gate`"):
        land_staged(settings, "t2", DAY_ONE, "run-1")
    assert run(settings, "t2", DAY_ONE, "run-3").touched is None


def test_half_written_files_and_spools_of_the_dead_go_and_living_ones_stay(settings):
    now = datetime.now(UTC)
    folder = Path(settings.lake_root, "staged", "t1", "plays")
    spools = [settings.spool / name for name in ("bronze-dead", "bronze-alive")]
    for path in (folder, *spools):
        path.mkdir(parents=True)
    files = [folder / "a.77.partial", folder / "b.78.partial", *(s / "x.parquet" for s in spools)]
    for file in files:
        file.write_bytes(b"123")
    for path in (files[0], files[2], *spools):  # of the living spool only the folder is old
        os.utime(path, (now.timestamp() - 2 * DAY,) * 2)

    swept = leftovers.sweep(settings, now)
    assert (swept.partial, swept.spooled, swept.bytes) == (1, 1, 6)
    assert [f.exists() for f in files] == [False, True, False, True]
    assert [s.exists() for s in spools] == [False, True]


def test_an_empty_lake_has_nothing_to_sweep(settings):
    assert leftovers.sweep(settings, datetime.now(UTC)) == leftovers.Swept()
    assert maintenance.groups(settings, TENANTS) == []
    assert ledger.read(settings).is_empty()
