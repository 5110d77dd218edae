"""Looks for the best configuration of each family by seeded trials, judged on validation rows.

The first trial of a family is its defaults, a start known to be good; the others look around.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ml.estimators.boosting import BoostingParameters, fit_boosting
from ml.estimators.device import boosting_device, threads_for
from ml.estimators.network import NetworkParameters, fit_network
from ml.evaluation import auc
from ml.problems.churn import SearchSpace

log = logging.getLogger(__name__)

Rows = tuple[np.ndarray, np.ndarray]
FAMILIES = ("xgboost", "network")
STEPS_A_REPORT = {"xgboost": 10, "network": 1}
STEPS_BEFORE_PRUNING = {"xgboost": 60, "network": 8}  # a slow learner is no bad learner


@dataclass(frozen=True)
class Compute:
    """What a fit may use."""

    seed: int
    threads: int
    device: str
    processes: int = 1


@dataclass(frozen=True)
class Found:
    """The best configuration of one family, and how it did on validation."""

    family: str
    parameters: dict[str, Any]
    steps: int  # boosting rounds or epochs until validation was best
    validation_auc: float
    margin: np.ndarray = field(repr=False)  # of the validation rows
    trials: int = 0
    pruned: int = 0


def search(
    family: str, train: Rows, validation: Rows, *, trials: int, compute: Compute, space: SearchSpace
) -> Found:
    """The best of `trials` fits of one family. The same seed finds the same on a CPU."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=compute.seed, n_startup_trials=max(3, trials // 3)),
        pruner=optuna.pruners.MedianPruner(3, n_warmup_steps=STEPS_BEFORE_PRUNING[family]),
    )
    study.enqueue_trial(vars(_defaults(family)))
    best: list[Found] = []

    def objective(trial: Any) -> float:
        parameters = _suggest(family, trial, space)
        report = _pruning(trial, STEPS_A_REPORT[family])
        estimator, steps = fit(family, parameters, train, compute, validation, report=report)
        margin = margin_of(estimator, validation[0])
        score = float(auc(validation[1], margin)[0])
        if not best or score > best[0].validation_auc:
            best[:] = [Found(family, vars(parameters), steps, score, margin)]
        log.info("%s trial %d of %d: validation AUC %.4f", family, trial.number + 1, trials, score)
        return score

    study.optimize(objective, n_trials=trials)
    pruned = sum(t.state == optuna.trial.TrialState.PRUNED for t in study.trials)
    return Found(**{**vars(best[0]), "trials": trials, "pruned": pruned})


def choose(found: list[Found], label: np.ndarray) -> tuple[list[Found], float]:
    """The best family, or all of them where their averaged log-odds do better; and that AUC."""
    best = max(found, key=lambda it: it.validation_auc)
    together = float(auc(label, np.mean([it.margin for it in found], axis=0))[0])
    return (found, together) if together > best.validation_auc else ([best], best.validation_auc)


def refit(found: Found, rows: Rows, compute: Compute) -> Any:
    """The found configuration learnt again from all these rows, for as many steps."""
    parameters = _parameters(found.family)(**found.parameters)
    return fit(found.family, parameters, rows, compute, steps=found.steps)[0]


def fit(
    family: str,
    parameters: Any,
    rows: Rows,
    compute: Compute,
    validation: Rows | None = None,
    *,
    steps: int | None = None,
    report: Callable[[int, float], None] | None = None,
) -> tuple[Any, int]:
    """An estimator and its steps: the best on validation rows, else exactly `steps`."""
    threads = threads_for(rows[0].size, compute.threads)
    if family == "xgboost":
        booster = fit_boosting(
            parameters, rows, validation, seed=compute.seed, threads=threads, report=report,
            device=boosting_device(compute.device), **({"rounds": steps} if steps else {}),
        )  # fmt: skip
        return booster, booster.num_boosted_rounds()
    return fit_network(
        parameters, rows, validation, seed=compute.seed, threads=threads, report=report,
        device=compute.device, processes=compute.processes, **({"epochs": steps} if steps else {}),
    )  # fmt: skip


def margin_of(estimator: Any, matrix: np.ndarray) -> np.ndarray:
    """Log-odds of an estimator of either family."""
    from ml.estimators.scorer import Network, boosted_margin

    known = isinstance(estimator, Network)
    return estimator.margin(matrix) if known else boosted_margin(estimator, matrix)


def _parameters(family: str) -> Any:
    return {"xgboost": BoostingParameters, "network": NetworkParameters}[family]


def _defaults(family: str) -> Any:
    return _parameters(family)()


def _suggest(family: str, trial: Any, space: SearchSpace) -> Any:
    if family == "xgboost":
        return BoostingParameters(
            max_depth=trial.suggest_int("max_depth", *space.depths),
            learning_rate=trial.suggest_float("learning_rate", *space.learning_rates, log=True),
            min_child_weight=trial.suggest_float(
                "min_child_weight", *space.child_weights, log=True
            ),
            subsample=trial.suggest_float("subsample", *space.row_shares),
            colsample_bytree=trial.suggest_float("colsample_bytree", *space.column_shares),
            reg_lambda=trial.suggest_float("reg_lambda", *space.penalties, log=True),
        )
    return NetworkParameters(
        width=trial.suggest_categorical("width", list(space.widths)),
        depth=trial.suggest_int("depth", 1, 2),
        learning_rate=trial.suggest_float("learning_rate", 2e-3, 3e-2, log=True),
        weight_decay=trial.suggest_float("weight_decay", 1e-3, 1.0, log=True),
        dropout=trial.suggest_float("dropout", 0.0, 0.5),
    )


def _pruning(trial: Any, every: int) -> Callable[[int, float], None]:
    import optuna

    def report(step: int, loss: float) -> None:
        if step % every:
            return
        trial.report(-loss, step)  # the study maximizes
        if trial.should_prune():
            raise optuna.TrialPruned

    return report
