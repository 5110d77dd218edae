"""When a moved column is drift, and when drift is answered already."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ml.drift.comparison import PREDICTION, Drift
from ml.drift.decisions import already_trained, answered
from ml.drift.monitor import judged
from ml.outcomes import TrainingOutcome
from spark_jobs.churn_columns import feature_names

DAY = date(2025, 5, 1)
STILL = {f"plays_{n}d": 0.1 for n in range(1, 41)}  # 40 columns that did not move
TRAINED = TrainingOutcome(
    tenant_id="t1", as_of_date=DAY, reason="drift", trained=True,
    outcome="trained, not promoted: a tie", version="2", metric=0.7, baseline=0.6,
    champion_metric=0.7, promoted=False, listeners=900, positives=90, feature_version=1,
    label_version=1, content="these rows", training_key="k", run_id="r",
)  # fmt: skip


@pytest.mark.parametrize(
    ("moved", "drifted"),
    [
        ({}, False),
        ({"plays_1d": 2.0}, False),  # one column alone decides nothing, however far it moved
        ({"plays_1d": 0.3, "plays_2d": 0.29}, False),
        ({"plays_1d": 0.3, "plays_2d": 0.3}, True),
        ({PREDICTION: 0.3}, True),  # what people act upon
        ({PREDICTION: 0.29}, False),
    ],
)
def test_drift_is_two_features_and_a_twentieth_of_them_or_the_predictions(moved, drifted):
    assert Drift({**STILL, **moved}).drifted is drifted


def test_what_moves_by_the_calendar_is_not_judged():
    left_out = set(feature_names()) - set(judged(feature_names()))
    lifetime = {"tenure_days", "days_on_plan", "upgrades", "downgrades", "cancellations"}
    assert left_out == lifetime | {n for n in feature_names() if n.endswith("_90d")}


def test_drift_that_lasts_is_answered_once_until_labels_come():
    later = DAY + timedelta(days=1)
    assert already_trained([], later, "these rows") is None
    said = already_trained([TRAINED], later, "these rows")
    assert said == f"nothing new to learn from since {DAY}: trained, not promoted: a tie"
    assert already_trained([TRAINED], later, "more rows") is None


def test_a_day_is_answered_once():
    assert already_trained([TRAINED], DAY, "other rows") == f"already retrained on data up to {DAY}"
    failed = replace(TRAINED, trained=False, outcome="not trained: 12 listeners, needs 200")
    assert already_trained([failed], DAY, "other rows") == (
        f"already tried on data up to {DAY}: not trained: 12 listeners, needs 200"
    )


def test_a_champion_of_the_same_day_or_a_later_one_ends_the_matter():
    """Else its own training would be followed by the next, for ever."""
    for learnt in (DAY, DAY + timedelta(days=9)):
        said = answered(learnt, [], DAY, "other rows")
        assert said == f"the champion learnt from data up to {learnt}"


def test_an_older_champion_is_answered_by_the_trainings_since():
    before = DAY - timedelta(days=1)
    assert answered(before, [], DAY, "these rows") is None
    assert answered(before, [TRAINED], DAY, "x") == f"already retrained on data up to {DAY}"
    own = replace(TRAINED, as_of_date=before)
    assert answered(before, [own], DAY, "these rows") is None
    assert answered(None, [own], DAY, "these rows") is not None
