"""Training on a toy tenant whose answer is known."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from analytics.errors import TrainingError
from ml.automl.search import Compute, Found, choose, margin_of, refit
from ml.estimators.device import resolve_device, threads_for
from ml.estimators.network import NetworkParameters, fit_network
from ml.estimators.preparation import fit_calibration
from ml.estimators.scorer import Scorer
from ml.evaluation import auc
from ml.explain.reasons import contributions
from ml.problems.churn import Shortage
from ml.train import Result, TrainConfig, train
from spark_jobs.churn_columns import feature_names
from tests.unit.ml.rows import LAST_DAY, MONDAYS, labelled


def a_config(tenant_id="t1", **changes):
    choices = {"trials": 4, "resamples": 60, "workers": 1, "gpu_enabled": False, **changes}
    return TrainConfig(
        tenant_id=tenant_id, as_of=LAST_DAY, features=tuple(feature_names()), **choices
    )


@pytest.fixture(scope="module")
def rows():
    return labelled(listeners=220)


@pytest.fixture(scope="module")
def result(rows) -> Result:
    return train(a_config(), rows)


def test_the_model_finds_the_known_cause(result):
    assert result.scores["challenger"].auc > 0.7


def test_both_families_were_searched(result):
    assert set(result.found) == {"xgboost", "network"}
    assert all(found.trials == 2 for found in result.found.values())


def test_probabilities_are_about_as_high_as_what_happens(result):
    promised = result.holdout["churn_probability"].mean()
    assert promised == pytest.approx(result.holdout["is_churned"].mean(), abs=0.08)


def test_the_same_seed_gives_the_same_model_whatever_the_order_of_rows(rows, result):
    again = train(a_config(), rows.sample(frac=1, random_state=5))
    assert again.scores == result.scores
    assert again.holdout["churn_probability"].equals(result.holdout["churn_probability"])


def test_a_model_never_beats_itself_as_champion(rows, result):
    again = train(a_config(), rows, champion=result.scorer.probability)
    assert not again.promotion.promoted
    assert "champion" in again.promotion.reason


def test_labels_after_the_embargo_do_not_reach_the_model(rows, result):
    """Every label inside the embargo is turned round; the model must not notice."""
    inside = rows["as_of_date"].isin(result.split.embargo)
    turned = rows.assign(is_churned=rows["is_churned"] ^ inside)
    again = train(a_config(), turned)
    assert again.holdout["churn_probability"].equals(result.holdout["churn_probability"])


def test_holdout_labels_do_not_reach_the_model(rows, result):
    inside = rows["as_of_date"].isin(result.split.holdout)
    turned = rows.assign(is_churned=rows["is_churned"] ^ inside)
    again = train(a_config(), turned)
    assert again.holdout["churn_probability"].equals(result.holdout["churn_probability"])
    assert again.scores["challenger"].auc < 0.5


def test_noise_is_not_promoted(rows):
    shuffled = rows.assign(
        is_churned=np.random.default_rng(2).permutation(rows["is_churned"].to_numpy())
    )
    assert not train(a_config(), shuffled).promotion.promoted


def test_rows_of_another_tenant_are_refused(rows):
    with pytest.raises(TrainingError, match="other tenants"):
        train(a_config("t2"), rows)


def test_too_few_listeners_is_an_answer_not_an_error():
    assert str(train(a_config(), labelled(listeners=20))) == "not trained: 20 listeners, needs 200"


def test_a_short_history_is_an_answer_not_an_error(rows):
    short = rows[rows["as_of_date"].isin(MONDAYS[:4])]
    answer = train(a_config(), short)
    assert isinstance(answer, Shortage)
    assert str(answer) == "not trained: 4 label dates, needs 6"


def test_irregular_dates_that_leave_no_room_for_the_embargo_are_an_answer_too(rows):
    close = rows[rows["as_of_date"].isin(MONDAYS[:6])]
    days = {monday: MONDAYS[0] + timedelta(days=n) for n, monday in enumerate(MONDAYS[:6])}
    answer = train(a_config(), close.assign(as_of_date=close["as_of_date"].map(days)))
    assert isinstance(answer, Shortage)


@pytest.mark.parametrize("family", ["xgboost", "network"])
def test_a_saved_model_answers_as_before(rows, family, tmp_path):
    result = train(a_config(families=(family,), trials=1), rows)
    loaded = Scorer.load(result.scorer.save(tmp_path / "scorer"))
    expected = result.holdout["churn_probability"].to_numpy()
    assert (loaded.probability(result.holdout) == expected).all()


def test_nothing_saved_is_a_pickle(result, tmp_path):
    files = {f.suffix for f in result.scorer.save(tmp_path / "scorer").iterdir()}
    assert files <= {".json", ".npz"}


def test_words_and_missing_values_are_encoded(rows):
    worded = rows.assign(
        plan=np.where(rows["plays_7d"] > rows["plays_7d"].median(), "family", "premium")
    )
    worded.loc[::7, "skip_share_7d"] = np.nan
    config = TrainConfig(
        tenant_id="t1", as_of=LAST_DAY, features=("plan", "skip_share_7d", "plays_7d"),
        trials=2, resamples=20, workers=1, gpu_enabled=False,
    )  # fmt: skip
    result = train(config, worded)
    assert result.scorer.features == ["skip_share_7d", "plays_7d", "plan"]
    assert result.holdout["churn_probability"].notna().all()


def test_processes_that_share_a_network_agree_with_one_process():
    """Real processes: a step sees the same rows however many share it, so weights agree too."""
    draw = np.random.default_rng(4)
    x = draw.normal(size=(600, 5)).astype(np.float32)
    y = (x[:, 0] + 0.3 * draw.normal(size=600) > 0).astype(float)
    parameters = NetworkParameters(width=4, dropout=0, learning_rate=0.02)
    alone, _ = fit_network(parameters, (x, y), seed=1, threads=1, epochs=3)
    shared, _ = fit_network(parameters, (x, y), seed=1, threads=1, epochs=3, processes=2)
    assert shared.margin(x) == pytest.approx(alone.margin(x), abs=1e-3)


def test_what_won_learns_from_the_validation_weeks_too(rows):
    served = train(a_config(families=("xgboost",), trials=1), rows)
    learnt = rows[rows["as_of_date"].isin([*served.split.train, *served.split.validation])]
    learnt = learnt.sort_values(["as_of_date", "listener_id"])
    matrix = served.scorer.encoder.matrix(learnt)
    known = (matrix, learnt["is_churned"].to_numpy(dtype="float64"))
    expected = refit(served.found["xgboost"], known, Compute(seed=17, threads=1, device="cpu"))
    assert margin_of(expected, matrix) == pytest.approx(served.scorer.margin_of(matrix))


def a_found(family: str, margin: list[float], label: np.ndarray) -> Found:
    values = np.array(margin)
    return Found(family, {}, 1, float(auc(label, values)[0]), values)


def test_families_are_averaged_only_where_that_does_better_on_validation():
    label = np.array([0.0, 0.0, 1.0, 1.0])
    one = a_found("xgboost", [0, 3, 2, 4], label)
    other = a_found("network", [3, 0, 2, 4], label)
    both, score = choose([one, other], label)
    assert [it.family for it in both] == ["xgboost", "network"]
    assert score == 1.0 > one.validation_auc
    perfect = a_found("network", [0, 0, 1, 1], label)
    assert choose([one, perfect], label)[0] == [perfect]


def test_an_average_of_families_is_served_and_explained_like_one_model(rows, tmp_path):
    parts = [train(a_config(families=(f,), trials=1), rows).scorer for f in ("xgboost", "network")]
    both = Scorer(
        "ensemble", parts[0].encoder, parts[0].calibration, parts[0].booster, parts[1].network
    )
    loaded = Scorer.load(both.save(tmp_path / "scorer"))
    assert (loaded.probability(rows) == both.probability(rows)).all()
    matrix = both.encoder.matrix(rows)
    mean = (parts[0].margin_of(matrix) + parts[1].margin_of(matrix)) / 2
    assert both.margin_of(matrix) == pytest.approx(mean)
    few = rows.head(20)
    pushes = [contributions(it, few).to_numpy() for it in (both, *parts)]
    assert pushes[0] == pytest.approx((pushes[1] + pushes[2]) / 2)


def test_small_tables_are_fitted_by_one_thread():
    assert threads_for(8_000 * 48, allowed=8) == 1
    assert threads_for(1_000_000 * 48, allowed=8) == 8


def test_insisting_on_a_gpu_that_is_not_there_says_what_to_do():
    import torch

    if torch.cuda.is_available():
        assert resolve_device(True) == "cuda"
        return
    with pytest.raises(TrainingError, match="ML_GPU_ENABLED"):
        resolve_device(True)
    assert resolve_device(None) == "cpu"


def test_many_churners_are_calibrated_by_steps_and_few_by_a_line():
    draw = np.random.default_rng(1)
    margin = draw.normal(size=4000)
    label = (draw.random(4000) < 1 / (1 + np.exp(-margin))).astype(float)
    assert fit_calibration(margin, label).kind == "isotonic"
    assert fit_calibration(margin[:200], label[:200]).kind == "platt"
    assert fit_calibration(margin, label)(margin).mean() == pytest.approx(label.mean(), abs=0.01)


def test_a_misspelt_parameter_is_refused():
    with pytest.raises(ValueError, match="trails"):
        TrainConfig(tenant_id="t1", as_of=date(2025, 1, 1), features=("a",), trails=3)
