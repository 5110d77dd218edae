"""What learning records is what the closing table and the reports read."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date

import polars as pl

from analytics.job import outcome as closing
from analytics.report.insights import insights
from ml import outcomes
from ml.drift import decisions

DAY = date(2025, 5, 1)


def a_training(**changes: object) -> dict:
    values = {
        "tenant_id": "t1", "as_of_date": DAY, "reason": "no champion yet", "trained": True,
        "outcome": "trained, promoted: beats the baseline", "version": "3", "metric": 0.8,
        "baseline": 0.7, "champion_metric": None, "promoted": True, "listeners": 900,
        "positives": 90, "feature_version": 1, "label_version": 1, "content": "c",
        "training_key": "k", "run_id": "r",
    }  # fmt: skip
    return asdict(outcomes.TrainingOutcome(**{**values, **changes}))


def published(training: dict):
    """Reads what one training and one decision would publish, as their own schemas have it."""

    def read(sql: str, params: dict | None = None) -> pl.DataFrame:
        if "to_regclass" in sql:
            there = "serve.churn_predictions" not in (params or {}).values()
            return pl.DataFrame({"known": [there]})
        if "training_outcomes" in sql:
            wanted = training["promoted"] or "promoted" not in sql
            return pl.DataFrame([training] if wanted else [], schema=outcomes._SCHEMA)
        return pl.DataFrame(schema=decisions._SCHEMA)

    return read


def test_a_report_shows_the_champion_as_learning_recorded_it():
    said = insights(published(a_training()), DAY)
    assert (said.model_version, said.model_score, said.baseline_score) == ("3", 0.8, 0.7)
    assert said.last_training == "trained, promoted: beats the baseline"
    assert said.last_decision == "never monitored"


def test_a_report_without_champion_says_why():
    lost = a_training(promoted=False, outcome="trained, not promoted: does not beat the baseline")
    said = insights(published(lost), DAY)
    assert said.model_version is None
    assert said.last_training == "trained, not promoted: does not beat the baseline"


def test_the_closing_table_shows_metric_and_baseline_or_why_there_is_no_model():
    assert closing._metric(a_training(), None) == "AUC 0.800 (0.700)"
    none = a_training(trained=False, outcome="not trained: 12 listeners, needs 200")
    assert closing._metric(None, none) == "not trained: 12 listeners, needs 200"
    assert closing._metric(None, None) == "not trained"
