"""Gradient-boosted trees (XGBoost), stopped when validation no longer improves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost as xgb

MAX_ROUNDS = 400
PATIENCE = 25

Rows = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class BoostingParameters:
    """The defaults are a strong start where one row in twenty is a churner: shallow and slow."""

    max_depth: int = 3
    learning_rate: float = 0.05
    min_child_weight: float = 20.0
    subsample: float = 0.7
    colsample_bytree: float = 0.5
    reg_lambda: float = 10.0


def fit_boosting(
    parameters: BoostingParameters,
    train: Rows,
    validation: Rows | None = None,
    *,
    seed: int,
    threads: int,
    device: str = "cpu",
    rounds: int = MAX_ROUNDS,
    report: Callable[[int, float], None] | None = None,
) -> xgb.Booster:
    """With validation rows: a booster cut at its best round. Without: one of exactly `rounds`.

    `report(round, validation log loss)` may raise to stop.
    """
    settings: dict[str, Any] = {
        **vars(parameters),
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "device": device,
        "nthread": threads,
        "seed": seed,
    }
    rows = xgb.DMatrix(train[0], train[1], nthread=threads)
    if validation is None:
        return xgb.train(settings, rows, num_boost_round=rounds)
    judged = xgb.DMatrix(validation[0], validation[1], nthread=threads)
    booster = xgb.train(
        settings,
        rows,
        num_boost_round=rounds,
        evals=[(judged, "validation")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
        callbacks=[_Report(report)] if report else None,
    )
    return booster[: booster.best_iteration + 1]


class _Report(xgb.callback.TrainingCallback):
    def __init__(self, report: Callable[[int, float], None]) -> None:
        self.report = report

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self.report(epoch, float(evals_log["validation"]["logloss"][-1]))
        return False
