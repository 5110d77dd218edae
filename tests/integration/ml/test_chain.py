"""From features to a registered champion, predictions, drift and the decision, on real services."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import replace
from datetime import timedelta

import mlflow
import numpy as np
import polars as pl
import pytest

from analytics import warehouse
from analytics.errors import GateFailed
from analytics.settings import PROJECT, Settings
from ml import tables
from ml.drift import monitor
from ml.drift.decisions import recorded as decisions_of
from ml.drift.monitor import report_file
from ml.features.training_set import FEATURES, LABELS, training_set, write_labels
from ml.manager import MLManager
from ml.outcomes import TABLE as OUTCOMES
from ml.outcomes import recorded as outcomes_of
from ml.registry import connect, versions
from ml.score import TABLE as PREDICTIONS
from ml.score import score
from ml.train import run
from tests.integration.ml.conftest import SEEDS, Learned
from tests.unit.ml.rows import LAST_DAY, feature_rows, label_rows

pytestmark = pytest.mark.integration

NEXT_DAY = LAST_DAY + timedelta(days=1)


def add_features(settings: Settings, tenant_id: str, day, drift: bool = False) -> None:
    rows = feature_rows(tenant_id, [day], 220, SEEDS[tenant_id], drift)
    tables.replace(settings, tenant_id, *FEATURES, rows, {"as_of_date": day}, "r2")


def test_the_first_look_asks_for_training(learned: Learned):
    assert {t: d.retrain for t, d in learned.decisions.items()} == dict.fromkeys(
        ("t1", "t2", "small"), True
    )
    assert learned.decisions["t1"].reason == "no champion yet"


def test_a_good_challenger_becomes_champion(learned: Learned):
    outcome = learned.outcomes["t1"]
    assert outcome.trained
    assert outcome.promoted, outcome.outcome
    champion = versions.champion(connect(learned.settings), "t1")
    assert champion is not None
    assert champion.version == outcome.version


def test_a_version_names_data_code_and_configuration(learned: Learned):
    champion = versions.champion(connect(learned.settings), "t1")
    assert champion.tags["tenant_id"] == "t1"
    assert champion.tags["as_of"] == LAST_DAY.isoformat()
    assert champion.tags["reason"] == "no champion yet"
    assert int(champion.tags["data_version"]) == learned.outcomes["t1"].feature_version
    assert int(champion.tags["label_version"]) == learned.outcomes["t1"].label_version
    known = ["git", "cat-file", "-t", champion.tags["code_commit"]]
    assert subprocess.check_output(known, cwd=PROJECT, text=True).strip() == "commit"
    client = connect(learned.settings).client
    run_of = client.get_run(champion.run_id)
    assert run_of.data.params["seed"] == "17"
    assert run_of.data.metrics["holdout_auc"] == learned.outcomes["t1"].metric
    kept = {file.path for file in client.list_artifacts(champion.run_id)}
    assert {"shap_summary.png", "calibration.png", "config.json"} <= kept


def test_the_logged_model_answers_like_the_trained_one_and_has_a_signature(learned: Learned):
    registry = connect(learned.settings)
    champion = versions.champion(registry, "t1")
    model = mlflow.pyfunc.load_model(champion.uri)
    assert set(training_set(learned.settings, "t1", LAST_DAY).features) == set(
        model.metadata.signature.inputs.input_names()
    )
    frame = training_set(learned.settings, "t1", LAST_DAY).frame
    features = frame[list(model.metadata.signature.inputs.input_names())]
    assert np.allclose(model.predict(features), versions.load(champion).predict(frame))


def test_too_little_is_green_recorded_and_shown_to_its_tenant(learned: Learned):
    outcome = learned.outcomes["small"]
    assert not outcome.trained
    assert outcome.outcome == "not trained: 12 listeners, needs 200"
    shown = warehouse.read(
        learned.settings, "select outcome from serve.training_outcomes", tenant_id="small"
    )
    assert shown["outcome"].to_list() == [outcome.outcome]
    assert learned.scored["small"].rows == 0


def test_training_again_on_the_same_rows_returns_what_is_recorded(learned: Learned):
    settings = learned.settings
    before = tables.version(settings, *OUTCOMES)
    again = run(settings, "t1", LAST_DAY, "asked for by hand", "r9")
    assert again == learned.outcomes["t1"]
    assert tables.version(settings, *OUTCOMES) == before
    client = connect(settings).client
    assert len(client.search_model_versions("name = 't1.churn'")) == 1


def test_every_listener_of_the_day_has_a_probability_and_reasons(learned: Learned):
    rows = warehouse.read(learned.settings, "select * from serve.churn_predictions", tenant_id="t1")
    assert rows.height == learned.scored["t1"].rows == 220
    assert rows["churn_probability"].is_between(0, 1).all()
    reasons = [json.loads(text) for text in rows["reasons"].to_list()]
    assert all(len(words) <= 3 for words in reasons)
    assert any(reasons)


def test_same_listener_ids_in_two_tenants_have_their_own_probabilities(learned: Learned):
    key = ["listener_id"]
    one, two = (
        warehouse.read(learned.settings, "select * from serve.churn_predictions", tenant_id=t)
        for t in ("t1", "t2")
    )
    both = one.join(two, on=key, suffix="_two")
    assert both.height == 220
    assert (both["tenant_id"] == "t1").all()
    assert (both["tenant_id_two"] == "t2").all()
    assert (both["churn_probability"] != both["churn_probability_two"]).any()


def test_scoring_again_changes_nothing(learned: Learned):
    settings = learned.settings
    before = tables.version(settings, *PREDICTIONS)
    again = score(settings, "t1", LAST_DAY, "another run")
    assert again.rows == 220
    assert tables.version(settings, *PREDICTIONS) == before


def test_a_red_predictions_door_leaves_the_former_scores(learned: Learned, monkeypatch):
    settings, shown = learned.settings, "select * from serve.churn_predictions"
    at = tables.version(settings, *PREDICTIONS)
    before = warehouse.read(settings, shown, tenant_id="t1")
    sound = versions.load
    silent = lambda rows: np.full(len(rows), 0.5)  # noqa: E731
    monkeypatch.setattr(versions, "load", lambda v: replace(sound(v), predict=silent))
    with pytest.raises(GateFailed, match="the predictions gate stopped tenant t1") as failed:
        score(settings, "t1", LAST_DAY, "a run gone wrong")
    assert "churn_predictions: probabilities_differ failed" in str(failed.value)
    assert tables.version(settings, *PREDICTIONS) == at
    assert warehouse.read(settings, shown, tenant_id="t1").equals(before)


def test_no_model_stays_in_the_temporary_folder(learned: Learned, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    versions.load(versions.champion(connect(learned.settings), "t1"))
    assert list(tmp_path.iterdir()) == []


def test_labels_known_only_later_are_not_read(learned: Learned):
    data = training_set(learned.settings, "t1", LAST_DAY - timedelta(days=14))
    assert data.frame["as_of_date"].max() <= LAST_DAY - timedelta(days=14 + 28)


def test_the_same_labels_make_no_new_version(learned: Learned):
    settings = learned.settings
    before = tables.version(settings, *LABELS)
    labels = tables.read(settings, "t1", *LABELS, before)
    assert write_labels(settings, "t1", labels.drop("run_id"), "r7") == before


def test_a_normal_day_is_no_drift(learned: Learned):
    add_features(learned.settings, "t1", NEXT_DAY)
    decision = monitor(learned.settings, "t1", NEXT_DAY, "r2")
    assert not decision.retrain
    assert not decision.drifted, decision.reason
    assert decision.reason.startswith("no drift: ")


def test_drift_retrains_that_tenant_once_and_no_other(learned: Learned):
    settings, day = learned.settings, NEXT_DAY + timedelta(days=1)
    add_features(settings, "t1", day)
    add_features(settings, "t2", day, drift=True)
    assert not monitor(settings, "t1", day, "r3").retrain
    found = monitor(settings, "t2", day, "r3")
    assert found.retrain
    assert "skip_share_1d" in found.columns
    assert report_file(settings, "t2", day).stat().st_size > 10_000

    outcome = run(settings, "t2", day, found.reason, "r3")
    assert outcome.trained
    assert not outcome.promoted  # no new labels: it can only tie with the champion
    version = tables.version(settings, "monitoring", "retraining_decisions")
    later = monitor(settings, "t2", day, "r4")
    assert not later.retrain
    assert later.reason.endswith(f"already retrained on data up to {day}")
    assert tables.version(settings, "monitoring", "retraining_decisions") == version
    assert decisions_of(settings, "t2")[-1].retrain  # the yes stays on record
    client = connect(settings).client
    assert client.get_registered_model("t2.churn").aliases == {"champion": "1", "challenger": "2"}


def test_decisions_are_visible_to_their_tenant_alone(learned: Learned):
    rows = warehouse.read(
        learned.settings, "select * from serve.retraining_decisions", tenant_id="t1"
    )
    assert rows["tenant_id"].unique().to_list() == ["t1"]
    assert rows.filter(pl.col("as_of_date") == LAST_DAY)["retrain"].to_list() == [True]


def test_too_little_is_not_tried_again_on_the_same_rows(learned: Learned):
    decision = monitor(learned.settings, "small", NEXT_DAY, "r2")
    assert not decision.retrain
    assert "not trained: 12 listeners, needs 200" in decision.reason


def test_monitoring_switched_off_is_recorded(learned: Learned):
    off = learned.settings.model_copy(update={"ml_monitoring_enabled": False})
    day = NEXT_DAY + timedelta(days=30)
    decision = monitor(off, "t1", day, "r2")
    assert (decision.retrain, decision.reason) == (False, "monitoring is off")
    assert decisions_of(off, "t1")[-1].reason == "monitoring is off"


def test_a_first_training_is_asked_for_without_monitoring_too(learned: Learned):
    off = learned.settings.model_copy(update={"ml_monitoring_enabled": False})
    features = tables.read(off, "small", *FEATURES, tables.version(off, *FEATURES))
    write_labels(off, "small", label_rows(features, seed=3), "r8")  # the last day's labels came
    decision = monitor(off, "small", LAST_DAY + timedelta(days=40), "r8")
    assert (decision.retrain, decision.reason) == (True, "no champion yet")


def test_the_tables_hold_one_outcome_a_day(learned: Learned):
    days = [outcome.as_of_date for outcome in outcomes_of(learned.settings, "t1")]
    assert len(days) == len(set(days))


async def _by_hand(settings: Settings):
    manager = await MLManager("t1", settings).initialize()
    return await manager.champion(), await manager.predictions(limit=5), await manager.decisions()


def test_the_python_face_shows_champion_predictions_and_decisions(learned: Learned):
    import asyncio

    champion, predictions, decisions = asyncio.run(_by_hand(learned.settings))
    assert champion.tenant_id == "t1"
    assert predictions["churn_probability"].is_sorted(descending=True)
    assert predictions.height == 5
    assert decisions[0].reason == "no champion yet"
