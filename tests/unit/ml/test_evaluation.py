"""Scores agree with scikit-learn, and resampling respects listeners."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ml.evaluation import Holdout, auc, calibration_error

RNG = np.random.default_rng(3)
LABEL = (RNG.random(400) < 0.3).astype(float)
SCORE = np.round(0.4 * LABEL + RNG.random(400), 1)  # many ties


def test_auc_with_ties_is_what_scikit_learn_says():
    assert auc(LABEL, SCORE)[0] == pytest.approx(roc_auc_score(LABEL, SCORE))


def test_weighted_auc_is_what_scikit_learn_says():
    weights = RNG.integers(0, 4, (3, 400)).astype(float)
    expected = [roc_auc_score(LABEL, SCORE, sample_weight=w) for w in weights]
    assert auc(LABEL, SCORE, weights) == pytest.approx(expected)


def test_one_listeners_rows_are_drawn_together():
    groups = np.repeat(np.arange(100), 4)
    weights = Holdout.of(LABEL, groups, resamples=20, seed=1).weights
    assert (weights.reshape(20, 100, 4) == weights.reshape(20, 100, 4)[:, :, :1]).all()


def test_a_model_compared_with_itself_wins_nothing():
    holdout = Holdout.of(LABEL, np.arange(400), resamples=50, seed=1)
    same = holdout.compare(SCORE, SCORE, "champion")
    assert (same.auc_gain, same.share_won, same.brier_gain) == (0, 0, 0)


def test_a_better_model_wins_nearly_every_resample():
    holdout = Holdout.of(LABEL, np.arange(400), resamples=50, seed=1)
    assert holdout.compare(SCORE, RNG.random(400), "baseline").share_won > 0.95


def test_a_holdout_where_nobody_churned_in_a_resample_still_gives_bounds():
    label = np.zeros(40)
    label[:2] = 1
    scores = Holdout.of(label, np.arange(40), resamples=50, seed=1).scores(np.linspace(1, 0, 40))
    assert 0 <= scores.auc_low <= scores.auc_high <= 1


def test_calibration_error_is_the_gap_between_promise_and_outcome():
    label = np.array([0.0, 1.0] * 50)
    assert calibration_error(label, np.full(100, 0.5)) == pytest.approx(0, abs=0.02)
    assert calibration_error(label, np.full(100, 0.9)) == pytest.approx(0.4, abs=0.02)
