"""Learn who will churn: frames in, a judged model out; then the run that records it.

`train` is pure and reads top to bottom. `run` does all reading and writing.

Re-run  safe: the same data and seed give the same model, and a challenger that
        only ties the champion does not replace it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from analytics.errors import TrainingError
from analytics.settings import Settings
from analytics.tenants import get_tenant
from ml.automl.search import Compute, Found, choose, refit, search
from ml.estimators.baseline import Baseline
from ml.estimators.device import resolve_device
from ml.estimators.preparation import fit_calibration, fit_encoder
from ml.estimators.scorer import Calibration, Scorer
from ml.evaluation import Holdout, Scores
from ml.features import TrainingSet, training_set
from ml.outcomes import TrainingOutcome, record, recorded, show, training_key
from ml.problems.churn import (
    CHURN,
    PROMOTION,
    Comparison,
    Promotion,
    SearchSpace,
    Shortage,
    shortage,
)
from ml.registry import Registry, connect, ensure_tenant, versions
from ml.split import TimeSplit, split_by_time

log = logging.getLogger(__name__)

Probability = Callable[[pd.DataFrame], np.ndarray]


class TrainConfig(BaseModel):
    """Everything that decides a training, beside the rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant_id: str
    as_of: date  # nothing that was not known on this day may be read
    features: tuple[str, ...]
    families: tuple[str, ...] = ("xgboost", "network")
    trials: int = 16  # in all, shared by the families
    workers: int = 2
    gpu_enabled: bool | None = None
    distributed: bool = False
    resamples: int = 400
    seed: int = 17

    @classmethod
    def of(
        cls, settings: Settings, tenant_id: str, as_of: date, features: tuple[str, ...]
    ) -> TrainConfig:
        return cls(
            tenant_id=tenant_id,
            as_of=as_of,
            features=features,
            trials=settings.ml_trials,
            workers=settings.ml_workers,
            gpu_enabled=settings.ml_gpu_enabled,
            distributed=settings.ml_distributed_training,
        )


@dataclass(frozen=True)
class Result:
    """A model and all that is needed to judge it."""

    scorer: Scorer
    split: TimeSplit
    found: dict[str, Found]  # the best of each family
    validation_auc: float  # of what was chosen
    scores: dict[str, Scores]  # challenger, baseline, champion (where there is one)
    comparisons: list[Comparison]
    promotion: Promotion
    holdout: pd.DataFrame = field(repr=False)  # its rows, with `churn_probability`
    seconds: float = field(compare=False, default=0.0)


def train(
    config: TrainConfig, frame: pd.DataFrame, champion: Probability | None = None
) -> Result | Shortage:
    """Fit on history, judge on the weeks after it. No I/O.

    In: one row per (tenant_id, listener_id, as_of_date) with features and label.
    Out: the calibrated model with its holdout scores, or what there is too little of.
    """
    started = time.perf_counter()
    if set(frame["tenant_id"].unique()) - {config.tenant_id}:
        raise TrainingError(f"rows of other tenants in the training set of {config.tenant_id}")
    frame = _sorted(frame)
    lacking = too_little(frame)
    split = split_by_time(list(frame["as_of_date"]), CHURN.horizon_days)
    if lacking or split is None:
        dates = frame["as_of_date"].nunique()
        return lacking or Shortage(dates, _dates_needed(), "label dates")

    # ---- the parts, in time order; each serves one purpose
    parts = {p: split.rows(frame, p) for p in ("train", "validation", "calibration", "holdout")}
    labels = {p: rows[CHURN.label].to_numpy(dtype="float64") for p, rows in parts.items()}
    for part, label in labels.items():
        if label.min(initial=1) == label.max(initial=0):
            return Shortage(int(label.sum()), 1, f"listeners who churned in the {part} rows")
    encoder = fit_encoder(parts["train"], config.features)
    matrix = {p: encoder.matrix(rows) for p, rows in parts.items()}
    log.info("%s: %s", config.tenant_id, split.describe())

    # ---- search each family on train, judged on validation
    compute = Compute(
        seed=config.seed,
        threads=config.workers,
        device=resolve_device(config.gpu_enabled),
        processes=config.workers if config.distributed else 1,
    )
    found = {
        family: search(
            family,
            (matrix["train"], labels["train"]),
            (matrix["validation"], labels["validation"]),
            trials=max(1, config.trials // len(config.families)),
            compute=compute,
            space=SearchSpace(),
        )
        for family in config.families
    }
    members, validation_auc = choose(list(found.values()), labels["validation"])

    # ---- what won learns from validation too, then is calibrated on weeks it has not seen
    known = tuple(np.concatenate([it["train"], it["validation"]]) for it in (matrix, labels))
    estimators = {it.family: refit(it, (known[0], known[1]), compute) for it in members}
    scorer = Scorer(
        family=members[0].family if len(members) == 1 else "ensemble",
        encoder=encoder,
        calibration=Calibration("platt"),
        booster=estimators.get("xgboost"),
        network=estimators.get("network"),
    )
    margin = scorer.margin_of(matrix["calibration"])
    scorer.calibration = fit_calibration(margin, labels["calibration"])

    # ---- the baseline learns from the same weeks
    numeric = encoder.numeric
    plain = [c for c in CHURN.baseline_features if c in numeric] or numeric[:3]
    baseline = Baseline(plain).fit(pd.concat([parts["train"], parts["validation"]]), known[1])

    # ---- judge all on the same holdout rows and resamples
    rows = parts["holdout"]
    judge = Holdout.of(
        labels["holdout"], rows["listener_id"].to_numpy(), config.resamples, config.seed
    )
    predictions = {"challenger": scorer.probability(rows), "baseline": baseline.probability(rows)}
    if champion is not None:
        predictions["champion"] = champion(rows)
    scores = {name: judge.scores(values) for name, values in predictions.items()}
    comparisons = [
        judge.compare(predictions["challenger"], values, name)
        for name, values in predictions.items()
        if name != "challenger"
    ]
    promotion = PROMOTION.judge(comparisons)
    log.info(
        "%s: %s, holdout AUC %.3f against baseline %.3f; %s",
        config.tenant_id, scorer.family, scores["challenger"].auc, scores["baseline"].auc,
        promotion.reason,
    )  # fmt: skip
    return Result(
        scorer=scorer,
        split=split,
        found=found,
        validation_auc=validation_auc,
        scores=scores,
        comparisons=comparisons,
        promotion=promotion,
        holdout=rows.assign(churn_probability=predictions["challenger"]),
        seconds=round(time.perf_counter() - started, 2),
    )


def too_little(frame: pd.DataFrame) -> Shortage | None:
    """What is missing before anything can be learnt from these rows."""
    return shortage(
        frame["listener_id"].nunique(), churned_listeners(frame), frame["as_of_date"].nunique()
    )


def churned_listeners(frame: pd.DataFrame) -> int:
    """How many different listeners churned at least once."""
    return int(frame.loc[frame[CHURN.label].astype(bool), "listener_id"].nunique())


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows in one order whatever the reader gave, so that a seed means one result."""
    days = pd.to_datetime(frame["as_of_date"]).dt.date
    frame = frame.assign(as_of_date=days)
    return frame.sort_values(["as_of_date", "listener_id"], kind="stable", ignore_index=True)


def _dates_needed() -> int:
    """How many weekly label dates would make a split possible: two to learn, the embargo, one."""
    return 2 + CHURN.horizon_days // 7


def run(
    settings: Settings, tenant_id: str, as_of: date, reason: str, run_id: str
) -> TrainingOutcome:
    """Train the tenant's churn model on what was known on `as_of`, register it, record the outcome.

    Too little to learn from is an outcome, not an error. Re-run: a training
    already recorded for the same rows and configuration is returned as it is.
    """
    get_tenant(settings, tenant_id)
    registry = connect(settings)
    ensure_tenant(registry, settings, tenant_id)
    data = training_set(settings, tenant_id, as_of)
    config = TrainConfig.of(settings, tenant_id, as_of, data.features)
    key = training_key(config, data)
    for earlier in recorded(settings, tenant_id):
        if earlier.training_key == key:
            log.info("%s: already trained on these rows: %s", tenant_id, earlier.outcome)
            show(settings, earlier)
            return earlier
    log.info("%s: %d labelled rows known on %s", tenant_id, len(data.frame), as_of)

    result = too_little(data.frame) or _learn(registry, config, data, reason, key)
    learnt = result if isinstance(result, versions.Version) else None
    return record(
        settings,
        TrainingOutcome(
            tenant_id=tenant_id,
            as_of_date=as_of,
            reason=reason,
            trained=learnt is not None,
            outcome=learnt.outcome if learnt else str(result),
            version=learnt.version if learnt else None,
            metric=learnt.score("metric") if learnt else None,
            baseline=learnt.score("baseline") if learnt else None,
            champion_metric=learnt.score("champion") if learnt else None,
            promoted=learnt is not None and learnt.promoted,
            listeners=data.frame["listener_id"].nunique(),
            positives=churned_listeners(data.frame),
            feature_version=data.feature_version,
            label_version=data.label_version,
            content=data.content,
            training_key=key,
            run_id=run_id,
        ),
    )


def _learn(
    registry: Registry, config: TrainConfig, data: TrainingSet, reason: str, key: str
) -> versions.Version | Shortage:
    """The registered version; the one an interrupted attempt left is taken up as it is."""
    left = versions.version_of(registry, config.tenant_id, key)
    if left is not None:
        return versions.settle(registry, left)
    rival = versions.champion(registry, config.tenant_id)
    result = train(config, data.frame, versions.load(rival).predict if rival else None)
    if isinstance(result, Shortage):
        return result
    if rival:
        result = replace(result, promotion=_known_of(rival, config, data, result.promotion))
    return versions.register(registry, config, data, result, reason=reason, training_key=key)


def _known_of(
    rival: versions.Version, config: TrainConfig, data: TrainingSet, verdict: Promotion
) -> Promotion:
    """The verdict, with what the champion's own training explains of it."""
    if verdict.promoted and rival.as_of > config.as_of:  # it has seen the holdout
        return Promotion(False, f"the champion learnt from later data ({rival.as_of})")
    if not verdict.promoted and rival.tags["data_content"] == data.content:
        return Promotion(False, f"{verdict.reason}; both learnt from the same labels")
    return verdict
