"""The declared question: what is enough to learn from, and who may be champion."""

from __future__ import annotations

import pytest

from ml.problems.churn import PROMOTION, Comparison, shortage
from spark_jobs.churn_columns import feature_names


def a_comparison(rival="baseline", share_won=0.99, auc_gain=0.04, brier_gain=0.001):
    return Comparison(rival, auc_gain, auc_gain - 0.02, auc_gain + 0.02, share_won, brier_gain)


def test_a_challenger_that_beats_baseline_and_champion_is_promoted():
    verdict = PROMOTION.judge([a_comparison(), a_comparison("champion", share_won=0.95)])
    assert verdict.promoted
    assert verdict.reason == "beats the baseline and the champion on the forward holdout"


@pytest.mark.parametrize("rival", ["baseline", "champion"])
def test_a_challenger_that_may_have_won_by_luck_is_refused(rival):
    rivals = [a_comparison(), a_comparison("champion")]
    rivals = [a_comparison(rival, share_won=0.8) if r.rival == rival else r for r in rivals]
    verdict = PROMOTION.judge(rivals)
    assert not verdict.promoted
    assert f"does not beat the {rival}" in verdict.reason


def test_a_tie_keeps_the_champion():
    tie = a_comparison("champion", share_won=0.0, auc_gain=0.0, brier_gain=0.0)
    assert not PROMOTION.judge([a_comparison(), tie]).promoted


def test_a_challenger_that_ranks_better_but_promises_worse_is_refused():
    verdict = PROMOTION.judge([a_comparison(brier_gain=-0.01)])
    assert not verdict.promoted
    assert "worse calibrated than the baseline" in verdict.reason


def test_nothing_to_compare_with_promotes_nobody():
    assert not PROMOTION.judge([]).promoted


@pytest.mark.parametrize(
    ("have", "said"),
    [
        ((12, 3, 9), "not trained: 12 listeners, needs 200"),
        ((500, 3, 9), "not trained: 3 listeners who churned, needs 30"),
        ((500, 90, 4), "not trained: 4 label dates, needs 6"),
    ],
)
def test_too_little_says_how_much_is_there_and_how_much_it_takes(have, said):
    assert str(shortage(*have)) == said


def test_enough_is_no_shortage():
    assert shortage(200, 30, 6) is None


def test_the_baselines_features_are_in_the_feature_table():
    from ml.problems.churn import CHURN

    assert set(CHURN.baseline_features) <= set(feature_names())
