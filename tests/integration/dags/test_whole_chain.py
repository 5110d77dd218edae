"""A chain on the running stack: scheduler, executor and assets, from one REST call.

Then how far one tenant's bad day reaches, which moves the numbers of those above.
"""

from __future__ import annotations

import shutil
from collections import Counter

import polars as pl
import pytest

from analytics import warehouse
from analytics.lake import ledger, quarantine, read
from analytics.lake.content import content_hash
from ml.outcomes import recorded as trainings_of
from tests.integration.dags.world import HISTORY, conf, day, paused

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
GREEN, RED = "nordic_beats", "spotify_premium"


def hashes(settings):
    return content_hash(settings) | warehouse.content_hash(settings)


def test_one_trigger_sets_off_the_whole_chain_up_to_the_champions_predictions(chain, world):
    assert {run.state for run in chain} == {"success"}, chain
    assert Counter(run.dag_id for run in chain) == {
        "ingest": 1, "features": 1, "transform": 1, "score": 2, "monitor": 2, "train": 1,
    }  # fmt: skip
    assert trainings_of(world.settings, GREEN)[-1].promoted
    query = "select count(*) as n from serve.fct_plays"
    plays = warehouse.read(world.settings, query, tenant_id=GREEN)["n"][0]
    assert plays == world.good(GREEN, "plays", HISTORY)
    query = "select count(*) as n from serve.churn_predictions"
    assert warehouse.read(world.settings, query, tenant_id=GREEN)["n"][0] > 100


def test_the_same_interval_again_announces_nothing_and_changes_nothing(chain, world, airflow):
    """Now with the truth within reach: it made no difference that it was away."""
    before = hashes(world.settings)
    assert len(before) > 40
    within_reach = world.settings.var / "truth"
    shutil.copytree(world.truth, within_reach)
    try:
        run_id = airflow.trigger("ingest", conf(HISTORY, GREEN))
        runs = airflow.wait_chain("ingest", run_id, seconds=300)
    finally:
        shutil.rmtree(within_reach)
    assert [(run.dag_id, run.state) for run in runs] == [("ingest", "success")]
    assert airflow.asset_events("ingest", run_id) == []
    assert hashes(world.settings) == before


@pytest.mark.long
def test_a_red_gate_stops_its_tenant_everywhere_and_nobody_else(chain, world, airflow):
    bad_day = day(2)
    file = world.settings.landing / RED / "events" / f"{bad_day.start:%Y-%m-%d}.jsonl"
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    file.write_bytes(b"".join(line[: len(line) // 2] + b"\n" for line in lines[:20]) + whole)

    run_id = airflow.trigger("ingest", conf(bad_day, GREEN, RED))
    runs = airflow.wait_chain("ingest", run_id, seconds=600)

    states = {run.dag_id: run.state for run in runs}
    assert states.pop("ingest") == "failed"
    assert set(states.values()) == {"success"}
    assert {"features", "transform", "score", "monitor"} <= set(states)
    for run in runs:
        for event in airflow.asset_events(run.dag_id, run.run_id):
            assert event["extra"]["tenants"] == [GREEN]
    assert plays_on(world, RED, bad_day) == 0
    assert plays_on(world, GREEN, bad_day) == published_on(world, GREEN, bad_day) > 0
    tasks = {
        (task["task_id"], task["map_index"]): task["state"]
        for task in airflow.task_instances("ingest", run_id)
    }
    gates = {state for (name, _), state in tasks.items() if name == "one_tenant.gate"}
    assert gates == {"success", "failed"}

    file.write_bytes(whole)  # the source is mended
    with paused(airflow, "features"):
        again = airflow.trigger("ingest", conf(bad_day, GREEN, RED))
        (run,) = airflow.wait_chain("ingest", again, seconds=300)
    assert run.state == "success"
    (event,) = airflow.asset_events("ingest", again)
    assert event["extra"]["tenants"] == [RED]
    line = ledger.read(world.settings, RED).filter(
        pl.col("table") == "plays", pl.col("interval_from") == bad_day.start
    )
    assert line["landed"].to_list() == [world.good(RED, "plays", bad_day)]
    assert quarantine.scan(world.settings, RED).collect()["rule"].is_not_null().all()


def plays_on(world, tenant_id, interval) -> int:
    """Plays in silver that happened in the interval."""
    within = pl.col("started_at").is_between(interval.start, interval.end, closed="left")
    return read.scan(world.settings, "plays", tenant_id).filter(within).collect().height


def published_on(world, tenant_id, interval) -> int:
    query = "select count(*) as n from serve.fct_plays where started_at >= %s and started_at < %s"
    window = [interval.start, interval.end]
    return warehouse.read(world.settings, query, window, tenant_id=tenant_id)["n"][0]
