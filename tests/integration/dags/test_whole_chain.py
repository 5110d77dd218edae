"""A chain on the running stack: scheduler, executor and assets, from one REST call."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from analytics import warehouse
from analytics.lake.content import content_hash
from ml.outcomes import recorded as trainings_of
from tests.integration.dags.world import HISTORY, conf

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def hashes(settings):
    return content_hash(settings) | warehouse.content_hash(settings)


def test_one_trigger_sets_off_the_whole_chain_up_to_the_champions_predictions(chain, world):
    assert {run.state for run in chain} == {"success"}, chain
    assert Counter(run.dag_id for run in chain) == {
        "ingest": 1, "features": 1, "transform": 1, "score": 2, "monitor": 2, "train": 1,
    }  # fmt: skip
    assert trainings_of(world.settings, "nordic_beats")[-1].promoted
    query = "select count(*) as n from serve.fct_plays"
    plays = warehouse.read(world.settings, query, tenant_id="nordic_beats")["n"][0]
    assert plays == world.good("nordic_beats", "plays", HISTORY)
    query = "select count(*) as n from serve.churn_predictions"
    assert warehouse.read(world.settings, query, tenant_id="nordic_beats")["n"][0] > 100


def test_the_same_interval_again_announces_nothing_and_changes_nothing(chain, world, airflow):
    """Now with the truth within reach: it made no difference that it was away."""
    before = hashes(world.settings)
    assert len(before) > 40
    within_reach = world.settings.var / "truth"
    shutil.copytree(world.truth, within_reach)
    try:
        run_id = airflow.trigger("ingest", conf(HISTORY, "nordic_beats"))
        runs = airflow.wait_chain("ingest", run_id, seconds=300)
    finally:
        shutil.rmtree(within_reach)
    assert [(run.dag_id, run.state) for run in runs] == [("ingest", "success")]
    assert airflow.asset_events("ingest", run_id) == []
    assert hashes(world.settings) == before
