"""What Airflow refuses, what its own backfill does, and how far one tenant's bad day reaches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
import pytest

from analytics import warehouse
from analytics.errors import StackError
from analytics.lake import ledger, quarantine, read
from analytics.stack import AirflowClient
from tests.integration.dags.world import conf, day

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
GREEN, RED = "nordic_beats", "spotify_premium"


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"tenants": ["nobody"], "from": "2025-01-01", "to": "2025-01-02"}, "nobody"),
        ({"from": "2025-13-01", "to": "2025-01-02"}, "2025-13-01"),
        ({"from": "yesterday", "to": "today"}, "yesterday"),
        ({"from": "2025-01-02", "to": "2025-01-01"}, "must be later"),
        ({"from": "2025-01-02"}, "give both"),
    ],
)
def test_a_bad_trigger_form_is_refused_and_leaves_no_run(airflow, form, complaint):
    before = len(airflow.runs("ingest"))
    with pytest.raises(StackError, match=rf"Airflow refused POST .*: 4\d\d .*{complaint}"):
        airflow.trigger("ingest", form)
    assert len(airflow.runs("ingest")) == before


def test_airflows_own_backfill_lands_past_days_one_run_a_day(airflow, world):
    days = [day(0), day(1)]
    with paused(airflow, "features"):
        backfill = airflow.request(
            "POST",
            "/backfills",
            json={
                "dag_id": "ingest",
                "from_date": days[0].start.isoformat(),
                "to_date": days[1].start.isoformat(),
                "run_backwards": False,
                "reprocess_behavior": "none",
                "max_active_runs": 1,
                "dag_run_conf": {"tenants": [RED]},
            },
        )
        runs = ended(airflow, backfill["id"], seconds=300)
    assert [run["state"] for run in runs] == ["success", "success"]
    book = ledger.read(world.settings, RED).filter(pl.col("table") == "plays")
    for one in days:
        line = book.filter(pl.col("interval_from") == one.start).row(0, named=True)
        assert line["interval_to"] == one.end
        assert line["landed"] == world.good(RED, "plays", one)


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


@contextmanager
def paused(airflow: AirflowClient, dag_id: str) -> Iterator[None]:
    """For a while nothing is handed on: what is asked for here is `ingest` alone."""
    airflow.request("PATCH", f"/dags/{dag_id}", json={"is_paused": True})
    try:
        yield
    finally:
        airflow.unpause(dag_id)


def ended(airflow: AirflowClient, backfill: int, seconds: float) -> list[dict]:
    """The runs of a backfill once all have finished."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        runs = [run for run in airflow.runs("ingest") if run["run_type"] == "backfill"]
        if airflow.request("GET", f"/backfills/{backfill}")["completed_at"] and runs:
            return sorted(runs, key=lambda run: run["data_interval_start"])
        time.sleep(1)
    pytest.fail(f"the backfill did not end within {seconds:.0f} s: {runs}")
