"""What learning takes from the warehouse and shows there, tenant by tenant."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

import polars as pl
import pytest

from analytics.errors import WarehouseError
from analytics.interval import Interval
from analytics.job.outcome import Retrained, outcome_table, outcomes
from analytics.report.engine import AnalyticsEngine
from analytics.settings import Settings
from analytics.warehouse import connect, labels, publish_rows
from ml import outcomes as trainings
from ml import tables
from ml.drift import Decision, decisions
from ml.features import snapshot_labels
from ml.features.training_set import LABELS

pytestmark = pytest.mark.integration

FIRST = date(2025, 5, 1)
DRIFT = FIRST + timedelta(days=1)
WHY = "does not beat the champion: AUC +0.000; both learnt from the same labels"


def a_training(tenant_id: str, day: date, **changes: object) -> trainings.TrainingOutcome:
    values: dict = {
        "tenant_id": tenant_id, "as_of_date": day, "reason": "no champion yet", "trained": True,
        "outcome": "trained, promoted: beats the baseline", "version": "1", "metric": 0.8,
        "baseline": 0.7, "champion_metric": None, "promoted": True, "listeners": 900,
        "positives": 90, "feature_version": 1, "label_version": 1, "content": "c",
        "training_key": "k", "run_id": "r",
    }  # fmt: skip
    return trainings.TrainingOutcome(**{**values, **changes})


def a_decision(tenant_id: str, day: date, champion: str, **changes: object) -> Decision:
    values: dict = {
        "drifted": False, "share": 0.0, "columns": (), "retrain": False, "reason": "no drift",
    }  # fmt: skip
    return Decision(tenant_id, day, champion, **{**values, **changes})


def drift_of(tenant_id: str) -> Decision:
    return a_decision(
        tenant_id, DRIFT, "1", drifted=True, share=0.2, columns=("plays_1d",), retrain=True,
        reason="drift: 9 of 40 features moved",
    )  # fmt: skip


@pytest.fixture
def learned(warehouse: Settings) -> Settings:
    """Two tenants with the same days and versions; `t1` drifted and was trained again."""
    for number, tenant_id in enumerate(("t1", "t2")):
        plays = pl.DataFrame({"tenant_id": [tenant_id] * 2, "play_id": ["p1", "p2"]})
        publish_rows(warehouse, tenant_id, "fct_plays", plays, {})
        first = a_training(tenant_id, FIRST, metric=0.8 - number / 10)
        trainings.record(warehouse, first)
        asked = a_decision(tenant_id, FIRST, "none", retrain=True, reason="no champion yet")
        for decision in (asked, a_decision(tenant_id, FIRST, "1")):
            decisions.record(warehouse, decision, "r")
    decisions.record(warehouse, drift_of("t1"), "r")
    decisions.record(warehouse, a_decision("t2", DRIFT, "1"), "r")
    return warehouse


def retrained(settings: Settings) -> dict[str, Retrained]:
    return {row["tenant_id"]: row["retrained"] for row in outcomes(settings)}


def test_the_closing_table_shows_each_tenants_model_and_drift(learned: Settings):
    one, two = outcomes(learned)
    assert (one["model"], one["metric"], one["published"]) == ("version 1", "AUC 0.800 (0.700)", 2)
    assert (two["model"], two["metric"], two["published"]) == ("version 1", "AUC 0.700 (0.700)", 2)
    assert (one["drift"], two["drift"]) == (f"yes, {DRIFT}", "no")
    assert retrained(learned) == {
        "t1": Retrained("asked for, not done yet"), "t2": Retrained("no"),
    }  # fmt: skip
    assert outcome_table(learned).row_count == 2


@pytest.mark.parametrize(
    ("came", "said"),
    [
        ({"promoted": True}, Retrained("yes, promoted version 2")),
        (
            {"promoted": False, "outcome": f"trained, not promoted: {WHY}"},
            Retrained("yes, champion kept", WHY),
        ),
        (
            {"promoted": False, "trained": False, "version": None, "metric": None,
             "outcome": "not trained: 12 listeners, needs 200"},
            Retrained("yes, not trained: 12 listeners, needs 200"),
        ),
    ],
)  # fmt: skip
def test_the_closing_table_says_what_came_of_a_retraining(
    learned: Settings, came: dict, said: Retrained
):
    trainings.record(learned, a_training("t1", DRIFT, **{"version": "2", **came}))
    assert retrained(learned) == {"t1": said, "t2": Retrained("no")}
    table = outcome_table(learned)
    assert list(table.columns[-1].cells) == [said.words, "no"]
    assert table.caption == (f"t1: {said.words}: {said.why}" if said.why else None)


def test_a_tenant_without_any_training_is_shown_as_such(warehouse: Settings):
    for tenant_id in ("t1", "t2"):
        plays = pl.DataFrame({"tenant_id": [tenant_id], "play_id": ["p1"]})
        publish_rows(warehouse, tenant_id, "fct_plays", plays, {})
    for row in outcomes(warehouse):
        assert (row["model"], row["metric"]) == ("none", "not trained")
        assert row["retrained"] == Retrained("no")


def test_learning_takes_its_own_tenants_labels_by_name(warehouse: Settings):
    with connect(warehouse) as connection:
        connection.execute(
            "create table marts.churn_labels (tenant_id text, listener_id text,"
            " as_of_date date, is_churned boolean, churned_at timestamptz)"
        )
        connection.execute(
            "insert into marts.churn_labels values ('t1', 'l1', %(day)s, true, now()),"
            " ('t1', 'l2', %(day)s, false, null), ('t2', 'l1', %(day)s, false, null)",
            {"day": FIRST},
        )
    mine = [("t1", "l1", FIRST, True), ("t1", "l2", FIRST, False)]
    assert labels(warehouse, "t1", "churn").sort("listener_id").rows() == mine
    assert labels(warehouse, "t2", "churn").rows() == [("t2", "l1", FIRST, False)]
    version = snapshot_labels(warehouse, "t1", "r")
    copied = tables.read(warehouse, "t1", *LABELS, version).sort("listener_id")
    assert copied.drop("run_id").rows() == mine
    assert tables.read(warehouse, "t2", *LABELS, version).is_empty()
    with pytest.raises(WarehouseError, match="no labels 'mood'; there are churn"):
        labels(warehouse, "t1", "mood")


def test_a_report_shows_its_tenants_model_and_the_last_look_of_the_day(learned: Settings):
    for tenant_id, score, last in (
        ("t1", 0.8, "drift: 9 of 40 features moved"), ("t2", 0.7, "no drift"),
    ):  # fmt: skip
        said = insights(learned, tenant_id, DRIFT)
        assert (said.model_version, said.model_metric) == ("1", "AUC")
        assert (said.model_score, said.baseline_score) == (pytest.approx(score), 0.7)
        assert said.last_decision == last
        assert insights(learned, tenant_id, FIRST).last_decision == "no drift"


def test_a_report_after_a_refused_challenger_shows_champion_and_refusal(learned: Settings):
    refused = {"promoted": False, "outcome": f"trained, not promoted: {WHY}", "version": "2"}
    trainings.record(learned, a_training("t1", DRIFT, **refused))
    said = insights(learned, "t1", DRIFT)
    assert said.model_version == "1"
    assert said.last_training == f"trained, not promoted: {WHY}"
    assert insights(learned, "t2", DRIFT).last_training == "trained, promoted: beats the baseline"


def insights(settings: Settings, tenant_id: str, until: date):
    """Those of a real report: one without figures, after a snapshot."""
    window = Interval.of(until.isoformat(), (until + timedelta(days=1)).isoformat())
    with connect(settings) as connection:
        connection.execute(
            "insert into serve.snapshots (tenant_id, snapshot_id, run_id, interval_from,"
            " interval_to, relations, lake_versions, gate)"
            " values (%s, 1, 'r', %s, %s, '{}', '{}', '{}') on conflict do nothing",
            [tenant_id, window.start, window.end],
        )
    scores = pl.DataFrame(
        schema={
            "tenant_id": pl.String, "listener_id": pl.String, "as_of_date": pl.Date,
            "churn_probability": pl.Float64, "model_version": pl.String, "reasons": pl.String,
        }
    )  # fmt: skip
    publish_rows(settings, tenant_id, "churn_predictions", scores, {})

    async def report():
        engine = AnalyticsEngine(tenant_id, settings)
        await engine.initialize()
        return await engine.generate_report(metrics=[], ml_insights=True, until=until)

    return asyncio.run(report()).insights
