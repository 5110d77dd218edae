"""A snapshot names what a run left; it can be read, compared and gone back to, to the row."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from datetime import timedelta
from itertools import combinations
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from analytics.errors import LakeError
from analytics.interval import Interval
from analytics.lake import (
    asof,
    delta,
    differing,
    ledger,
    maintenance,
    paths,
    read,
    restore,
    snapshots,
    staging,
)  # fmt: skip
from analytics.lake.tables import TABLES
from tests.builders import NOON, a_frame, a_play, a_row
from tests.landing import DAY_ONE, DAY_TWO, a_line, a_tenant, drop, land_staged, run, stage_rows
from tests.unit.lake.aging import age

PLAYS = "silver/plays"


def land(settings, interval: Interval, run_id: str, *rows: dict, table="plays", tenant_id="t1"):
    arrived = a_frame(table, *rows).with_columns(
        pl.lit("events").alias("_source"),
        pl.lit(str(interval)).alias("_file"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("_row"),
        pl.lit(interval.start.date()).alias("_arrived_on"),
    )
    stage_rows(settings, tenant_id, table, interval, arrived, run_id=run_id)
    return land_staged(settings, tenant_id, interval, run_id)


def stored(settings, tenant_id: str, table: str = "plays") -> pl.DataFrame:
    """Every stored column, run stamps and arrival included."""
    held = pl.scan_delta(paths.table(settings, "silver", table)).filter(tenant_id=tenant_id)
    return held.collect().sort(pl.all())


def of_run(settings, run_id: str, tenant_id: str = "t1") -> snapshots.Snapshot:
    (found,) = snapshots.find(settings, run_id, tenant_id)
    return found


def go_back(settings, snapshot, *tables: str) -> restore.Restored:
    return restore.restore(settings, snapshot, tables or restore.tables_of(settings, snapshot))


# ------------------------------------------------------------------- binding


def test_a_run_is_bound_once_and_one_that_changed_nothing_not_at_all(settings):
    for tenant_id in ("t1", "t2"):
        land(settings, DAY_ONE, "run-1", a_play(tenant_id), tenant_id=tenant_id)
    before = DeltaTable(paths.snapshots(settings)).version()
    for run_id in ("run-1", "run-2"):
        land_staged(settings, "t1", DAY_ONE, run_id)

    assert DeltaTable(paths.snapshots(settings)).version() == before
    bound = snapshots.snapshots(settings)
    assert [(s.tenant_id, s.number, s.run_id) for s in bound] == [
        ("t1", 1, "run-1"),
        ("t2", 1, "run-1"),
    ]
    assert bound[0].snapshot_id != bound[1].snapshot_id
    assert bound[0].interval == DAY_ONE


def test_a_snapshot_holds_every_table_of_its_tenant_and_none_of_another(make_settings):
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    for tenant_id in ("t1", "t2"):
        drop(settings, tenant_id, "2025-01-06", a_line(), a_line(page="Home", itemInSession=1), "{")
        run(settings, tenant_id, DAY_ONE, "run-1")

    bound = of_run(settings, "run-1", "t2").versions
    assert set(bound) == {
        "bronze/t2/events", "bronze_rejects/t2/events", "ledger", "quarantine",
        "silver/app_events", "silver/listeners", "silver/plays",
    }  # fmt: skip
    assert bound == {name: delta.version(paths.named(settings, name)) for name in bound}


def test_a_run_killed_before_it_was_bound_is_bound_by_the_retry(settings, monkeypatch):
    land(settings, DAY_ONE, "run-0", a_play("t2"), tenant_id="t2")
    with monkeypatch.context() as patched:
        patched.setattr(snapshots, "bind", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            land(settings, DAY_ONE, "run-1", a_play())
    land_staged(settings, "t1", DAY_ONE, "run-2")

    assert [s.run_id for s in snapshots.snapshots(settings, "t1")] == ["run-1"]


def test_two_that_bind_the_same_run_at_once_bind_it_once(settings, monkeypatch):
    commit, rivals = delta.write, []

    def late(target, *args, **kwargs):
        where = target if isinstance(target, str) else target.table_uri
        if where.rstrip("/").endswith("snapshots") and not rivals:
            rivals.append(1)
            snapshots.bind_landing(settings, "t1", DAY_ONE)
        return commit(target, *args, **kwargs)

    monkeypatch.setattr(delta, "write", late)
    land(settings, DAY_ONE, "run-1", a_play())
    rivals.clear()
    land(settings, DAY_TWO, "run-2", a_play(play_id="p2"))
    with pytest.raises(LakeError, match="no snapshot"):
        snapshots.find(settings, "rival")
    rivals.clear()
    land(settings, DAY_ONE, "run-3", a_play(play_id="p3"))

    assert [(s.number, s.run_id) for s in snapshots.snapshots(settings)] == [
        (1, "run-1"), (2, "run-2"), (3, "run-3"),
    ]  # fmt: skip


def test_snapshots_have_no_part_in_content_hashes(settings):
    land(settings, DAY_ONE, "run-1", a_play())
    assert {name for name, _ in read.content_hash(settings)} == {"ledger", PLAYS}


def test_a_name_that_is_not_there_is_answered_with_the_closest(settings):
    with pytest.raises(LakeError, match="there is no snapshot yet; a run of `ingest`"):
        snapshots.find(settings, "abc")
    land(settings, DAY_ONE, "scheduled__2025-01-06", a_play())
    bound = of_run(settings, "scheduled__2025-01-06")
    assert snapshots.find(settings, bound.snapshot_id[:5]) == [bound]
    with pytest.raises(LakeError, match="closest: scheduled__2025-01-06"):
        snapshots.find(settings, "scheduled__2025-01-07")
    with pytest.raises(LakeError, match="did you mean plays"):
        asof.table_name(bound, "play")


# ------------------------------------------------------- as it was, and diffs


def story(settings, seed: int) -> dict[tuple[str, str], dict[str, dict]]:
    """Random landings of two tenants that share ids; what a plain dict says each run left."""
    draw = random.Random(seed)
    now: dict[str, dict[str, dict]] = {"t1": {}, "t2": {}}
    left = {}
    for number in range(8):
        for tenant_id in ("t1", "t2"):
            day = Interval.day(DAY_ONE.start.date() + timedelta(days=number))
            rows = [
                a_play(
                    tenant_id, play_id=f"p{draw.randrange(12)}", listened_ms=draw.randrange(4),
                    started_at=NOON + timedelta(days=draw.randrange(9)), country=draw.choice("AB"),
                )
                for _ in range(draw.randrange(1, 7))
            ]  # fmt: skip
            for row in rows:
                now[tenant_id][row["play_id"]] = row
            land(settings, day, f"run-{number}", *rows, tenant_id=tenant_id)
            left[tenant_id, f"run-{number}"] = dict(now[tenant_id])
    return left


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2))])
def test_every_snapshot_and_difference_is_what_a_plain_dict_says(settings, seed):
    left = story(settings, seed)
    for name in (PLAYS, "ledger", "snapshots"):
        maintenance.maintain(settings, name)
    found = {(s.tenant_id, s.run_id): s for s in snapshots.snapshots(settings)}
    for key, snapshot in found.items():
        rows = asof.rows(settings, snapshot, PLAYS).select(*TABLES["plays"].columns).collect()
        assert {row["play_id"]: row for row in rows.to_dicts()} == left[key]
    for one, other in combinations(found, 2):
        if one[0] != other[0]:
            continue
        was, now = left[one], left[other]
        difference = differing.between(settings, found[one], found[other], PLAYS)
        assert (difference.added, difference.removed, difference.changed) == (
            len(now.keys() - was.keys()),
            len(was.keys() - now.keys()),
            sum(was[k] != now[k] for k in was.keys() & now.keys()),
        )
        back = differing.between(settings, found[other], found[one], PLAYS)
        assert (back.added, back.removed) == (difference.removed, difference.added)
        for before, after in zip(
            difference.examples.get("was", []), difference.examples.get("now", []), strict=True
        ):
            assert before["play_id"] == after["play_id"]
            assert before["listened_ms"] == was[before["play_id"]]["listened_ms"]
            assert after["listened_ms"] == now[before["play_id"]]["listened_ms"]


def test_a_difference_counts_in_every_kind_of_table(make_settings):
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    for tenant_id in ("t1", "t2"):
        drop(settings, tenant_id, "2025-01-06", a_line(), "{")
        run(settings, tenant_id, DAY_ONE, "run-1")
        drop(settings, tenant_id, "2025-01-07", a_line(itemInSession=1), '{"cut')
        run(settings, tenant_id, DAY_TWO, "run-2")
    one, two = of_run(settings, "run-1"), of_run(settings, "run-2")
    counts = {
        name: (d.added, d.removed, d.changed)
        for name in two.versions
        if (d := differing.between(settings, one, two, name))
    }
    lines = ledger.read(settings, "t1").filter(ingest_run="run-2").height
    assert counts == {
        "bronze/t1/events": (1, 0, 0), "bronze_rejects/t1/events": (1, 0, 0),
        "quarantine": (1, 0, 0), "ledger": (lines, 0, 0), PLAYS: (1, 0, 0),
    }  # fmt: skip


# ------------------------------------------------------------------- restore


def two_days(settings) -> None:
    """Day two adds, corrects and brings states; both tenants, the same ids."""
    for tenant_id in ("t1", "t2"):
        rows = [a_play(tenant_id, play_id=f"p{n}") for n in range(4)]
        land(settings, DAY_ONE, "run-1", *rows, tenant_id=tenant_id)
        known = a_row("listeners", tenant_id)
        land(settings, DAY_ONE, "run-1b", known, table="listeners", tenant_id=tenant_id)
    for tenant_id in ("t1", "t2"):
        later = NOON + timedelta(days=1)
        rows = [
            a_play(tenant_id, play_id="p0", listened_ms=1),
            a_play(tenant_id, play_id="p9", started_at=later),
        ]
        staging.clear(settings, tenant_id, "listeners", DAY_TWO)
        land(settings, DAY_TWO, "run-2", *rows, tenant_id=tenant_id)
        moved = a_row("listeners", tenant_id, country="SE", updated_at=later)
        land(settings, DAY_TWO, "run-2b", moved, table="listeners", tenant_id=tenant_id)


def test_a_restore_gives_the_rows_as_they_were_and_moves_nobody_else(settings):
    two_days(settings)
    wanted = of_run(settings, "run-1b")
    was = {t: asof.rows(settings, wanted, f"silver/{t}").collect() for t in ("plays", "listeners")}
    others = {t: stored(settings, "t2", t) for t in ("plays", "listeners")}
    files = {
        t: set(DeltaTable(paths.table(settings, "silver", t)).file_uris()) for t in others
    }  # fmt: skip
    lines = ledger.read(settings)
    done = go_back(settings, wanted)

    for table in ("plays", "listeners"):
        assert_frame_equal(stored(settings, "t1", table), was[table].sort(pl.all()))
        assert_frame_equal(stored(settings, "t2", table), others[table])
        still = set(DeltaTable(paths.table(settings, "silver", table)).file_uris())
        assert {f for f in files[table] if "tenant_id=t2" in f} <= still
    assert done.touched == Interval.of("2025-01-06", "2025-01-08")
    assert [(d.table, d.added, d.removed, d.changed) for d in done.differences] == [
        (PLAYS, 0, 1, 1),
        ("silver/listeners", 0, 0, 1),
    ]
    assert_frame_equal(ledger.read(settings), lines)
    last = snapshots.snapshots(settings, "t1")[-1]
    assert (last.step, last.restores) == ("restore", wanted.snapshot_id)


def test_a_restore_again_commits_nothing_and_can_itself_be_undone(settings):
    two_days(settings)
    now = {tenant_id: stored(settings, tenant_id) for tenant_id in ("t1", "t2")}
    go_back(settings, of_run(settings, "run-1b"))
    versions = {n: delta.version(paths.named(settings, n)) for n in (PLAYS, "snapshots")}
    again = go_back(settings, of_run(settings, "run-1b"))
    assert again.snapshot_id is None
    assert again.differences == []
    assert versions == {n: delta.version(paths.named(settings, n)) for n in versions}

    go_back(settings, of_run(settings, "run-2b"))
    for tenant_id, rows in now.items():
        assert_frame_equal(stored(settings, tenant_id), rows)


def test_a_table_that_came_later_is_emptied_for_the_tenant_alone(settings):
    two_days(settings)
    go_back(settings, of_run(settings, "run-1"))  # before the listeners
    assert stored(settings, "t1", "listeners").is_empty()
    assert stored(settings, "t2", "listeners").height == 1


def test_one_table_is_restored_and_bronze_or_the_ledger_never(settings):
    two_days(settings)
    wanted = of_run(settings, "run-1b")
    go_back(settings, wanted, *restore.tables_of(settings, wanted, "plays"))
    assert stored(settings, "t1").filter(play_id="p9").is_empty()
    assert stored(settings, "t1", "listeners")["country"].to_list() == ["SE"]
    with pytest.raises(LakeError, match="bronze, quarantine and ledger say what came"):
        restore.tables_of(settings, wanted, "ledger")


def test_after_a_restore_the_interval_lands_again_what_bronze_holds(make_settings):
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    for tenant_id in ("t1", "t2"):
        drop(settings, tenant_id, "2025-01-06", a_line())
        run(settings, tenant_id, DAY_ONE, "run-1")
        drop(settings, tenant_id, "2025-01-07", a_line(itemInSession=1), a_line(itemInSession=2))
        run(settings, tenant_id, DAY_TWO, "run-2")
    hashes = read.content_hash(settings)
    go_back(settings, of_run(settings, "run-1"))
    assert stored(settings, "t1").height == 1
    again = run(settings, "t1", DAY_TWO, "run-3")

    after = read.content_hash(settings)
    assert {k for k in hashes if hashes[k] != after[k]} == {("ledger", "t1")}
    assert again.rows["plays"]["landed"] == 2
    assert again.touched is not None
    assert of_run(settings, "run-3").number == 4  # two landings, the restore, the landing again

    second = of_run(settings, "run-2")  # the same rows, but for the run that landed them
    go_back(settings, second)
    was = asof.rows(settings, second, PLAYS).collect().sort(pl.all())
    assert_frame_equal(stored(settings, "t1"), was)
    assert set(was["ingest_run"]) == {"run-1", "run-2"}


def test_a_landing_between_look_and_commit_of_a_restore_is_seen(settings, monkeypatch):
    two_days(settings)
    wanted, commit, rivals = of_run(settings, "run-1b"), delta.write, []

    def late(target, *args, **kwargs):
        if kwargs.get("predicate") and not rivals:
            rivals.append(land(settings, DAY_TWO, "rival", a_play(play_id="new")))
        return commit(target, *args, **kwargs)

    monkeypatch.setattr(delta, "write", late)
    go_back(settings, wanted, PLAYS)
    assert rivals
    was = asof.rows(settings, wanted, PLAYS).collect().sort(pl.all())
    assert_frame_equal(stored(settings, "t1"), was)


def test_a_restore_between_look_and_commit_of_a_landing_is_seen(settings, monkeypatch):
    two_days(settings)
    wanted, commit, rivals = of_run(settings, "run-1b"), delta.write, []

    def late(target, *args, **kwargs):
        if not rivals:
            rivals.append(1)
            go_back(settings, wanted, PLAYS)
        return commit(target, *args, **kwargs)

    monkeypatch.setattr(delta, "write", late)
    again = a_play(play_id="p9", started_at=NOON + timedelta(days=1))
    landed = land(settings, DAY_TWO, "run-3", again, a_play(play_id="new"))
    assert landed.rows["plays"]["landed"] == 2  # p9 had been a duplicate at first
    assert {"p9", "new"} <= set(stored(settings, "t1")["play_id"])


VICTIM = """
import os, signal, sys
from analytics.lake import delta, restore, snapshots
from analytics.settings import load_settings

var, tenants, wanted, moment = sys.argv[1:]
commits, commit = 0, delta.write

def deadly(*args, **kwargs):
    global commits
    commits += 1
    if commits == int(wanted) and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    commit(*args, **kwargs)
    if commits == int(wanted) and moment == "after":
        os.kill(os.getpid(), signal.SIGKILL)

delta.write = deadly
settings = load_settings(
    {"ANALYTICS_VAR_DIR": var, "ANALYTICS_TENANTS_FILE": tenants}, dotenv=None
)
from analytics.lake.tables import TABLES
(to,) = snapshots.find(settings, "run-1b", "t1")
restore.restore(settings, to, restore.tables_of(settings, to))
"""


FEW = [(1, "after"), (3, "before")]  # plays, listeners, snapshots
ALL = [(n, moment) for n in range(1, 4) for moment in ("before", "after")]


@pytest.mark.parametrize(
    ("wanted", "moment"),
    [pytest.param(*k, marks=[] if k in FEW else [pytest.mark.long]) for k in ALL],
)
def test_a_restore_killed_anywhere_is_finished_by_the_next_try(settings, wanted, moment):
    two_days(settings)
    death = subprocess.run(
        [
            sys.executable, "-c", VICTIM, str(settings.var),
            str(settings.analytics_tenants_file), str(wanted), moment,
        ],
        capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False,
    )  # fmt: skip
    assert death.returncode == -signal.SIGKILL, death.stderr
    target = of_run(settings, "run-1b")
    go_back(settings, target)

    for table in ("plays", "listeners"):
        was = asof.rows(settings, target, f"silver/{table}").collect().sort(pl.all())
        assert_frame_equal(stored(settings, "t1", table), was)
    restores = [s for s in snapshots.snapshots(settings, "t1") if s.step == "restore"]
    assert [s.restores for s in restores] == [target.snapshot_id]


def test_a_restore_whose_files_are_gone_is_refused_before_anything_moves(settings):
    two_days(settings)
    age(paths.table(settings, "silver", "listeners"), 31)  # their first file is out of use
    assert maintenance.maintain(settings, "silver/listeners").removed > 0
    before, wanted = stored(settings, "t1"), of_run(settings, "run-1b")
    with pytest.raises(LakeError, match=r"silver/listeners as of snapshot .* is gone"):
        go_back(settings, wanted)
    assert_frame_equal(stored(settings, "t1"), before)
    assert asof.gone(settings, [wanted]) == {wanted.snapshot_id: ["silver/listeners"]}
    assert asof.rows(settings, wanted, PLAYS).collect().height == 4
    go_back(settings, wanted, PLAYS)
    assert stored(settings, "t1").height == 4
