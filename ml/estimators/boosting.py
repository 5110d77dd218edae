"""Gradient-boosted trees (XGBoost), stopped when validation no longer improves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost as xgb

MAX_ROUNDS = 400
PATIENCE = 25


@dataclass(frozen=True)
class BoostingParameters:
    max_depth: int = 4
    learning_rate: float = 0.08
    min_child_weight: float = 5.0
    subsample: float = 0.8
    colsample_bytree: float = 0.8
    reg_lambda: float = 3.0


def fit_boosting(
    parameters: BoostingParameters,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    *,
    seed: int,
    threads: int,
    device: str = "cpu",
    report: Callable[[int, float], None] | None = None,
) -> xgb.Booster:
    """A booster cut at its best round. `report(round, validation log loss)` may raise to stop."""
    settings: dict[str, Any] = {
        **vars(parameters),
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "device": device,
        "nthread": threads,
        "seed": seed,
    }
    booster = xgb.train(
        settings,
        xgb.DMatrix(train[0], train[1]),
        num_boost_round=MAX_ROUNDS,
        evals=[(xgb.DMatrix(validation[0], validation[1]), "validation")],
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
