"""Each DAG by `dag.test()`, in the chain's order, and what it left behind."""

from __future__ import annotations

import polars as pl
import pytest

from analytics import warehouse
from analytics.lake import ledger, quarantine, read
from ml.drift.decisions import recorded as decisions_of
from ml.outcomes import recorded as trainings_of
from ml.registry import connect
from ml.registry.versions import champion
from tests.integration.dags.world import BY_HAND, HISTORY, STEPS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
# silver table and the published relation that holds one row for each of its rows
PUBLISHED = {"plays": "fct_plays", "payments": "fct_payments"}


@pytest.mark.parametrize("step", STEPS)
def test_the_dag_ends_green_with_every_step_done(by_hand, step):
    run = by_hand[step]
    assert run["state"] == "success"
    unfinished = {task: state for task, state in run["tasks"].items() if state != "success"}
    # red's last task has nothing to say
    assert unfinished == {"fail_if_any_tenant_failed": "skipped"}


def test_each_dag_hands_its_tenants_and_its_window_to_the_next(by_hand):
    for step, asset in (
        ("ingest", "silver"), ("features", "features"), ("transform", "marts"),
        ("score", "predictions"),
    ):  # fmt: skip
        event = by_hand[step]["announced"][asset]
        assert event["tenants"] == sorted(BY_HAND)
        assert event["to"] == HISTORY.end.isoformat()
    assert by_hand["train"]["announced"]["models"]["tenants"] == ["indie_radio"]


@pytest.mark.parametrize("tenant_id", BY_HAND)
def test_silver_holds_every_good_row_that_was_handed_over_and_no_other(by_hand, world, tenant_id):
    tables = ["plays", "subscription_events", "payments", "tickets", "reviews", "exposures"]
    if tenant_id == "indie_radio":  # in a log, app events are more pages than the app's own
        tables.append("app_events")
    for table in tables:
        landed = read.scan(world.settings, table, tenant_id).collect()
        assert landed.height == world.good(tenant_id, table, HISTORY), table


@pytest.mark.parametrize("tenant_id", BY_HAND)
def test_damaged_rows_are_in_quarantine_and_the_ledger_accounts_for_every_row(
    by_hand, world, tenant_id
):
    bad = quarantine.scan(world.settings, tenant_id).collect()
    rows = bad.unique(["table", "source", "file_hash", "row_number"])
    assert rows.height == world.damaged(tenant_id, HISTORY)
    assert bad["rule"].is_not_null().all()

    handed_over = world.handed_over(tenant_id, "plays", HISTORY)
    book = ledger.read(world.settings, tenant_id).filter(
        pl.col("table") == "plays", pl.col("interval_from") == HISTORY.start
    )
    line = book.row(0, named=True)
    assert book.height == 1
    assert line["quarantined"] == world.damaged(tenant_id, HISTORY)
    assert line["duplicates"] == handed_over["duplicates"]
    assert line["landed"] == world.good(tenant_id, "plays", HISTORY)


@pytest.mark.parametrize("tenant_id", BY_HAND)
def test_a_tenant_reads_its_own_rows_in_serve_and_they_are_what_happened(by_hand, world, tenant_id):
    for table, relation in PUBLISHED.items():
        query = f"select tenant_id, count(*) as rows from serve.{relation} group by 1"  # noqa: S608
        found = warehouse.read(world.settings, query, tenant_id=tenant_id)
        assert found.rows() == [(tenant_id, world.good(tenant_id, table, HISTORY))], relation
    total = "select sum(plays)::bigint as plays from serve.daily_listening"
    plays = warehouse.read(world.settings, total, tenant_id=tenant_id)["plays"][0]
    assert plays == world.good(tenant_id, "plays", HISTORY)


def test_where_there_is_enough_to_learn_from_a_champion_is_registered(by_hand, world):
    outcome = trainings_of(world.settings, "indie_radio")[-1]
    assert (outcome.trained, outcome.promoted) == (True, True), outcome.outcome
    in_use = champion(connect(world.settings), "indie_radio")
    assert in_use is not None
    assert in_use.version == outcome.version


def test_the_champions_predictions_are_published_for_every_payer(by_hand, world):
    query = "select count(*) as n, min(churn_probability) as low, max(churn_probability) as high, "
    query += "count(distinct listener_id) as listeners from serve.churn_predictions"
    found = warehouse.read(world.settings, query, tenant_id="indie_radio").row(0, named=True)
    features = read.scan(world.settings, "churn_features", "indie_radio", layer="features")
    payers = features.filter(pl.col("as_of_date") == HISTORY.end.date()).collect()
    assert found["n"] == found["listeners"] == payers.height > 100
    assert 0 <= found["low"] < found["high"] <= 1


def test_a_small_tenant_is_green_and_its_not_trained_is_on_record(by_hand, world):
    outcome = trainings_of(world.settings, "spotify_premium")[-1]
    assert not outcome.trained
    assert outcome.outcome == f"not trained: {outcome.listeners} listeners, needs 200"
    query = "select outcome from serve.training_outcomes"
    shown = warehouse.read(world.settings, query, tenant_id="spotify_premium")
    assert shown["outcome"].to_list() == [outcome.outcome]


@pytest.mark.parametrize("tenant_id", BY_HAND)
def test_the_decision_to_train_is_on_record_with_its_reason(by_hand, world, tenant_id):
    first = decisions_of(world.settings, tenant_id)[0]
    assert (first.as_of, first.retrain) == (HISTORY.end.date(), True)
    assert "no champion yet" in first.reason
    query = "select as_of_date, retrain from serve.retraining_decisions"
    shown = warehouse.read(world.settings, query, tenant_id=tenant_id)
    assert (first.as_of, True) in shown.rows()


def test_nobody_needed_the_truth(by_hand, world):
    assert not (world.settings.var / "truth").exists()
