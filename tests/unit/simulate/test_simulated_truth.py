"""What the simulator says is true shows in the data it writes."""

from __future__ import annotations

import ast
import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from analytics.settings import PROJECT
from analytics.simulate import churn, lifecycle
from analytics.simulate.run import simulate
from analytics.simulate.world import World
from tests.unit.simulate.small_worlds import DRIFT_DAY, START, profile, small


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory):
    """Ninety days of one tenant with 600 listeners, as a report and a folder."""
    folder = tmp_path_factory.mktemp("quarter")
    config = small(90, listeners=600, tenants=(profile("indie_radio"),))
    return simulate(config, folder / "landing", folder / "truth").tenants[0], folder


def spins(folder: Path) -> pl.DataFrame:
    rows = pl.read_parquet(folder / "landing/indie_radio/plays/*.parquet").unique("spin_no")
    return rows.filter(
        pl.col("seconds_played") > 0,
        pl.col("played_at") < 4_000_000_000_000,
        pl.col("member_no").is_not_null(),
    ).with_columns(day=pl.from_epoch("played_at", time_unit="ms").dt.date())


def test_the_oracle_is_good_but_not_perfect_and_enough_payers_leave(quarter):
    done, folder = quarter
    assert 0.75 <= done.oracle_auc <= 0.90
    assert 0.03 <= done.churn_share <= 0.10
    said = pl.read_parquet(folder / "truth/indie_radio/hazards/*.parquet")
    assert said["churn_probability"].mean() == pytest.approx(done.churn_share, rel=0.35)


def test_the_oracle_in_the_report_is_the_area_under_the_curve_of_its_parts(quarter):
    done, folder = quarter
    truth = folder / "truth/indie_radio"
    said = pl.read_parquet(truth / "hazards/*.parquet")
    end = START + timedelta(days=90)
    said = said.filter(pl.col("as_of_date") + timedelta(days=28) <= end)
    left = pl.read_parquet(truth / "churn.parquet")
    wait = (pl.col("left_on") - pl.col("as_of_date")).dt.total_days()
    leavers = said.join(left, on="listener_id").filter(wait.is_between(0, 27))
    leavers = leavers.unique(["listener_id", "as_of_date"])
    stayers = said.join(leavers, on=["listener_id", "as_of_date"], how="anti")
    a, b = leavers["churn_probability"].to_numpy(), stayers["churn_probability"].to_numpy()
    by_hand = ((a[:, None] > b).mean() + (a[:, None] >= b).mean()) / 2
    assert done.label_positives == len(a)
    assert done.oracle_auc == pytest.approx(by_hand)


def test_area_under_the_curve_counts_ties_half_and_needs_both_classes():
    assert churn.auc(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 1])) == 1.0
    assert churn.auc(np.array([1.0, 1.0]), np.array([0, 1])) == 0.5
    assert churn.auc(np.array([1.0, 2.0]), np.array([1, 1])) is None


def test_who_will_leave_listens_less_and_skips_more_before(quarter):
    _, folder = quarter
    left = pl.read_parquet(folder / "truth/indie_radio/churn.parquet")
    left = left.filter(pl.col("left_on") >= START + timedelta(days=40))
    before = spins(folder).filter(pl.col("day") < START + timedelta(days=40))
    by_listener = before.group_by("member_no").agg(pl.len(), pl.col("skipped").mean())
    leavers = by_listener.filter(pl.col("member_no").is_in(left["listener_id"].implode()))
    others = by_listener.filter(~pl.col("member_no").is_in(left["listener_id"].implode()))
    assert leavers["len"].mean() < others["len"].mean()
    assert leavers["skipped"].mean() > others["skipped"].mean()


def test_a_quarter_of_plays_is_skipped_and_the_popular_tracks_lead(quarter):
    _, folder = quarter
    plays = spins(folder)
    assert 0.2 < plays["skipped"].mean() < 0.32
    per_track = plays.group_by("song_no").len().sort("len", descending=True)["len"]
    top_tenth = per_track.head(len(per_track) // 10).sum() / per_track.sum()
    assert 0.3 < top_tenth < 0.8


def test_listening_follows_the_clock_of_each_zone(quarter):
    _, folder = quarter
    people = pl.read_parquet(folder / "truth/indie_radio/listeners.parquet")
    bots = people.filter("is_bot")["listener_id"]  # they play day and night
    canadians = spins(folder).filter(
        pl.col("country_code") == "CA", ~pl.col("member_no").is_in(bots.implode())
    )
    at = pl.from_epoch("played_at", time_unit="ms").dt.replace_time_zone("UTC")
    hours = canadians.with_columns(at=at.dt.convert_time_zone("America/Toronto").dt.hour())
    evening = hours.filter(pl.col("at").is_between(17, 20)).height
    night = hours.filter(pl.col("at").is_between(2, 5)).height
    assert evening > 4 * night


def test_the_true_lift_of_the_experiment_shows_in_upgrades():
    world = World(small(1, listeners=4000), profile("indie_radio"))
    people = world.people
    people.plan[:] = 0
    people.variant[:, 0] = np.arange(len(people)) % 2
    chance = lifecycle.upgrade_hazard(people)
    lift = chance[people.variant[:, 0] == 1].mean() / chance[people.variant[:, 0] == 0].mean()
    assert lift == pytest.approx(lifecycle.EXPERIMENTS[0][2], rel=0.05)
    people.variant[:, 1] = people.variant[:, 0]
    assert np.allclose(lifecycle.upgrade_hazard(people), chance)  # new_player does nothing


def test_a_touchpoint_raises_upgrades_by_its_true_effect_and_fades():
    world = World(small(1), profile("indie_radio"))
    people = world.people
    people.plan[:] = 0
    before = lifecycle.upgrade_hazard(people)
    people.advertised[:, 3] = 1.0
    ratio = lifecycle.upgrade_hazard(people) / before
    assert np.allclose(ratio, np.exp(lifecycle.TOUCH_EFFECT[3]))
    lifecycle.touchpoints(people, world.streams, 0, 0)
    assert people.advertised[:, 3].min() == pytest.approx(lifecycle.TOUCH_FADES)


def test_one_day_of_drift_moves_every_number_a_monitor_looks_at(sent):
    _, folder = sent
    plays = spins(folder)
    drifted = plays.filter(pl.col("day") == DRIFT_DAY)
    calm = plays.filter(pl.col("day") < DRIFT_DAY)
    days = (DRIFT_DAY - START).days
    assert len(drifted) > 2.5 * len(calm) / days
    assert drifted["skipped"].mean() > calm["skipped"].mean() + 0.35
    assert drifted["seconds_played"].mean() < calm["seconds_played"].mean() / 2
    assert (drifted["device"] == "android").mean() > (calm["device"] == "android").mean() + 0.3
    week = plays.filter(pl.col("day") > DRIFT_DAY - timedelta(days=7))
    assert week["skipped"].mean() > calm["skipped"].mean() + 0.12


def test_bots_are_told_apart_less_the_more_they_mimic(tmp_path):
    shares = {}
    for mimicry in (0.0, 1.0):
        config = small(
            6, tenants=(profile("indie_radio"),), bot_share=0.1, bot_mimicry=mimicry,
            damaged_share=0.0,
        )  # fmt: skip
        simulate(config, tmp_path / "landing", tmp_path / "truth")
        people = pl.read_parquet(tmp_path / "truth/indie_radio/listeners.parquet")
        bots = people.filter("is_bot")["listener_id"]
        plays = spins(tmp_path)
        by_bots = plays.filter(pl.col("member_no").is_in(bots.implode()))
        shares[mimicry] = by_bots.filter(pl.col("seconds_played").is_between(30, 36)).height / max(
            by_bots.height, 1
        )
    assert shares[0.0] > 0.95
    assert shares[1.0] < 0.15


def test_both_tenants_number_their_listeners_and_tracks_from_one(sent):
    _, folder = sent
    first_file = folder / f"landing/spotify_premium/events/{START}.jsonl"
    users = {json.loads(line)["userId"] for line in _whole(first_file)} - {None}
    members = pl.read_parquet(folder / f"landing/indie_radio/listeners/{START}.parquet")
    shared = users & set(members["member_no"].cast(pl.String))
    assert {str(n) for n in range(1, 121)} <= shared


def test_no_other_room_imports_the_simulator_or_names_its_truth():
    outside = [
        file
        for room in ("analytics", "bench", "dags", "expectations", "ml", "spark_jobs")
        for file in (PROJECT / room).rglob("*.py")
        if "simulate" not in file.relative_to(PROJECT).parts
    ]
    assert len(outside) > 10
    # Those who start it for people: they write data, and read none.
    may_import = {PROJECT / "analytics" / "cli.py", PROJECT / "analytics" / "job" / "main.py"}
    may_name_its_place = {PROJECT / "analytics" / "job" / "main.py"}
    # Those who measure: how fast it is made, and how near a model comes to the oracle.
    may_import |= {PROJECT / "bench" / f for f in ("place.py", "measures/simulator.py")}
    may_name_its_place |= {
        PROJECT / "bench" / f for f in ("place.py", "measures/simulator.py", "whole_run.py")
    }
    for file in outside:
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            if file not in may_import:
                assert not any(n.startswith("analytics.simulate") for n in names), file
            if file in may_name_its_place:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value != "truth", file
                assert "/truth" not in node.value, file
                assert "truth/" not in node.value, file
    for file in (PROJECT / "dbt_project").rglob("*.sql"):
        assert "truth" not in file.read_text().lower(), file


def _whole(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line.endswith("}")]
