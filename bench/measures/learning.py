"""Training one tenant, and scoring rows."""

from __future__ import annotations

from datetime import date

import xgboost

from bench import rows
from bench.figure import Figure, rate, seconds
from bench.place import Place

TENANT = "spotify_premium"


def measure(place: Place) -> list[Figure]:
    """The pure training (search, calibration, judgement), then the scorer against its booster."""
    from ml.features.training_set import as_pandas
    from ml.problems.churn import CHURN
    from ml.train import Result, TrainConfig, train

    listeners = max(300, place.size.rows // 1000)
    frame = as_pandas(rows.labelled(listeners))
    trials = 16 if place.size.repeats > 1 else 2
    config = TrainConfig(
        tenant_id=TENANT, as_of=date(2025, 5, 1), features=tuple(_features(frame, CHURN.label)),
        trials=trials, gpu_enabled=False, families=("xgboost", "network"),
    )  # fmt: skip
    results = []
    trained = seconds(lambda: results.append(train(config, frame)), min(3, place.size.repeats))
    boosted = train(config.model_copy(update={"families": ("xgboost",), "trials": 2}), frame)
    if not isinstance(boosted, Result):
        raise RuntimeError(f"the made-up rows do not suffice to train: {boosted}")
    scorer = boosted.scorer
    many = as_pandas(rows.labelled(max(1, place.size.rows // 10 // len(rows.MONDAYS))))
    matrix = scorer.encoder.matrix(many)
    scored = seconds(lambda: scorer.probability(many), place.size.repeats)
    bare = seconds(lambda: scorer.booster.predict(xgboost.DMatrix(matrix)), place.size.repeats)
    return [
        Figure(
            "train", "train one tenant", round(trained, 1), "s",
            f"{len(frame):,} labelled rows, {trials} trials over XGBoost and a network, "
            "calibration, judgement",
        ),
        rate(
            "score", "score rows", len(many), scored, bare,
            how=f"{len(many):,} rows encoded, predicted, calibrated",
            bare="XGBoost predicts the same encoded matrix",
        ),
    ]  # fmt: skip


def _features(frame, label: str) -> list[str]:
    known = {"tenant_id", "listener_id", "as_of_date", label}
    return [name for name in frame.columns if name not in known]
