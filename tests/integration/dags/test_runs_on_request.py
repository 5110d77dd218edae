"""What Airflow refuses to run, and what its own backfill does."""

from __future__ import annotations

import time

import polars as pl
import pytest

from analytics.errors import StackError
from analytics.lake import ledger
from analytics.stack import AirflowClient
from tests.integration.dags.world import day, paused

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
TENANT = "spotify_premium"


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
                "dag_run_conf": {"tenants": [TENANT]},
            },
        )
        runs = ended(airflow, backfill["id"], seconds=300)
    assert [run["state"] for run in runs] == ["success", "success"]
    book = ledger.read(world.settings, TENANT).filter(pl.col("table") == "plays")
    for one in days:
        line = book.filter(pl.col("interval_from") == one.start).row(0, named=True)
        assert line["interval_to"] == one.end
        assert line["landed"] == world.good(TENANT, "plays", one)


def ended(airflow: AirflowClient, backfill: int, seconds: float) -> list[dict]:
    """The runs of a backfill once all have finished."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        runs = [run for run in airflow.runs("ingest") if run["run_type"] == "backfill"]
        if airflow.request("GET", f"/backfills/{backfill}")["completed_at"] and runs:
            return sorted(runs, key=lambda run: run["data_interval_start"])
        time.sleep(1)
    pytest.fail(f"the backfill did not end within {seconds:.0f} s: {runs}")
