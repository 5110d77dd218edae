"""Looks for the best estimator of each family by seeded trials, judged on validation rows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.evaluation import auc
from ml.problems.churn import SearchSpace

log = logging.getLogger(__name__)

Rows = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Compute:
    """What a fit may use."""

    seed: int
    threads: int
    device: str
    processes: int = 1


@dataclass(frozen=True)
class Found:
    """The best of one family: its fitted estimator and how it did on validation."""

    family: str
    estimator: Any
    parameters: dict[str, Any]
    validation_auc: float
    trials: int
    pruned: int


def search(
    family: str, train: Rows, validation: Rows, *, trials: int, compute: Compute, space: SearchSpace
) -> Found:
    """The best of `trials` fits of one family. The same seed finds the same on a CPU."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=compute.seed, n_startup_trials=max(3, trials // 3)),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=8),
    )
    best: dict[str, Any] = {"auc": -1.0}

    def objective(trial: Any) -> float:
        estimator, margin = FAMILIES[family](trial, train, validation, compute, space)
        score = float(auc(validation[1], margin)[0])
        if score > best["auc"]:
            best.update(auc=score, estimator=estimator, params=trial.params)
        log.info("%s trial %d of %d: validation AUC %.4f", family, trial.number + 1, trials, score)
        return score

    study.optimize(objective, n_trials=trials)
    if family == "network" and compute.processes > 1:
        best.update(_distributed(best["params"], train, validation, compute))
    pruned = sum(t.state == optuna.trial.TrialState.PRUNED for t in study.trials)
    return Found(family, best["estimator"], best["params"], best["auc"], trials, pruned)


def _pruning(trial: Any) -> Callable[[int, float], None]:
    import optuna

    def report(step: int, loss: float) -> None:
        trial.report(-loss, step)  # the study maximizes
        if trial.should_prune():
            raise optuna.TrialPruned

    return report


def _boosting(trial: Any, train: Rows, validation: Rows, compute: Compute, space: SearchSpace):
    import xgboost as xgb

    from ml.estimators.boosting import BoostingParameters, fit_boosting
    from ml.estimators.device import boosting_device

    parameters = BoostingParameters(
        max_depth=trial.suggest_int("max_depth", *space.depths),
        learning_rate=trial.suggest_float("learning_rate", *space.learning_rates, log=True),
        min_child_weight=trial.suggest_float("min_child_weight", 1, 30, log=True),
        subsample=trial.suggest_float("subsample", 0.5, 1.0),
        colsample_bytree=trial.suggest_float("colsample_bytree", 0.4, 1.0),
        reg_lambda=trial.suggest_float("reg_lambda", 0.3, 30, log=True),
    )
    booster = fit_boosting(
        parameters, train, validation, seed=compute.seed, threads=compute.threads,
        device=boosting_device(compute.device), report=_pruning(trial),
    )  # fmt: skip
    return booster, booster.predict(xgb.DMatrix(validation[0]), output_margin=True)


def _network(trial: Any, train: Rows, validation: Rows, compute: Compute, space: SearchSpace):
    from ml.estimators.network import NetworkParameters, fit_network

    parameters = NetworkParameters(
        width=trial.suggest_categorical("width", list(space.widths)),
        depth=trial.suggest_int("depth", 1, 2),
        learning_rate=trial.suggest_float("learning_rate", 1e-3, 3e-2, log=True),
        weight_decay=trial.suggest_float("weight_decay", 1e-4, 0.3, log=True),
        dropout=trial.suggest_float("dropout", 0.0, 0.4),
    )
    network = fit_network(
        parameters, train, validation, seed=compute.seed, threads=compute.threads,
        device=compute.device, report=_pruning(trial),
    )  # fmt: skip
    return network, network.margin(validation[0])


def _distributed(
    found: dict[str, Any], train: Rows, validation: Rows, compute: Compute
) -> dict[str, Any]:
    """The winning network trained again by all processes; trials are too short to share."""
    from ml.estimators.network import NetworkParameters, fit_network

    log.info("training the chosen network on %d processes", compute.processes)
    network = fit_network(
        NetworkParameters(**found), train, validation, seed=compute.seed, threads=1,
        device=compute.device, processes=compute.processes,
    )  # fmt: skip
    return {
        "estimator": network,
        "auc": float(auc(validation[1], network.margin(validation[0]))[0]),
    }


FAMILIES: dict[str, Callable[..., Any]] = {"xgboost": _boosting, "network": _network}
