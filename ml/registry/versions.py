"""Registered versions of a tenant's churn model: write one, find one, load one."""

from __future__ import annotations

import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analytics.settings import PROJECT
from ml.registry.client import CHALLENGER, CHAMPION, Registry, model_name

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

    from ml.features import TrainingSet
    from ml.train import Result, TrainConfig


@dataclass(frozen=True)
class Version:
    """A registered version and what it says of itself."""

    tenant_id: str
    version: str
    run_id: str
    tags: dict[str, str]

    @property
    def as_of(self) -> date:
        return date.fromisoformat(self.tags["as_of"])

    @property
    def feature_version(self) -> int:
        return int(self.tags["data_version"])

    @property
    def promoted(self) -> bool:
        return self.tags["promoted"] == "true"

    @property
    def outcome(self) -> str:
        """What came of its training, in a sentence."""
        word = "promoted" if self.promoted else "not promoted"
        return f"trained, {word}: {self.tags['verdict']}"

    def score(self, name: str) -> float | None:
        """A holdout AUC it was judged by: metric (its own), baseline or champion."""
        return float(self.tags[name]) if name in self.tags else None

    @property
    def uri(self) -> str:
        return f"models:/{model_name(self.tenant_id)}/{self.version}"


@dataclass(frozen=True)
class Loaded:
    """A version that can predict. `scorer` is the served class, for explanations."""

    version: Version
    predict: Callable[[pd.DataFrame], np.ndarray]
    scorer: Any


def champion(registry: Registry, tenant_id: str) -> Version | None:
    """The version in use, or None when there is none yet."""
    from mlflow.exceptions import MlflowException

    try:
        found = registry.client.get_model_version_by_alias(model_name(tenant_id), CHAMPION)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
    return Version(tenant_id, str(found.version), str(found.run_id), dict(found.tags))


def version_of(registry: Registry, tenant_id: str, training_key: str) -> Version | None:
    """The version an earlier, interrupted attempt of the same training registered."""
    for found in registry.client.search_model_versions(f"name = '{model_name(tenant_id)}'"):
        if found.tags.get("training_key") == training_key:
            return Version(tenant_id, str(found.version), str(found.run_id), dict(found.tags))
    return None


def load(version: Version) -> Loaded:
    """The model of a version, from the registry this process is connected to.

    What MLflow downloads for it is deleted once it is in memory.
    """
    import mlflow.pyfunc

    with (
        tempfile.TemporaryDirectory(prefix="model-") as folder,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        model = mlflow.pyfunc.load_model(version.uri, dst_path=folder)
    served = model.unwrap_python_model()
    return Loaded(version, lambda rows: served.scorer.probability(rows), served.scorer)


def register(
    registry: Registry,
    config: TrainConfig,
    data: TrainingSet,
    result: Result,
    *,
    reason: str,
    training_key: str,
) -> Version:
    """Log the run, register the model, set the alias the verdict gives it."""
    import mlflow

    experiment_id, name = registry.experiment(config.tenant_id), registry.model(config.tenant_id)
    tags = {
        "tenant_id": config.tenant_id,
        "as_of": config.as_of.isoformat(),
        "reason": reason,
        "data_version": str(data.feature_version),
        "label_version": str(data.label_version),
        "data_content": data.content,
        "code_commit": code_commit(),
        "training_key": training_key,
    }
    with (
        tempfile.TemporaryDirectory(prefix="training-") as folder,
        warnings.catch_warnings(),
        mlflow.start_run(
            experiment_id=experiment_id, run_name=f"{config.tenant_id} {config.as_of}", tags=tags
        ) as run,
    ):
        warnings.simplefilter("ignore")
        mlflow.log_params(_parameters(config, result))
        mlflow.log_dict(json.loads(config.model_dump_json()), "config.json")
        _pictures(result, Path(folder))
        model = _log_model(result, config, Path(folder))
        # Of run and model in one request; logged before, MLflow would copy them one by one.
        mlflow.log_metrics(_metrics(result), model_id=model.model_id)
    version = mlflow.register_model(
        model.model_uri, name, tags={**tags, **_judgement(result)}, await_registration_for=60
    )
    return settle(
        registry,
        Version(
            config.tenant_id, str(version.version), run.info.run_id, {**tags, **_judgement(result)}
        ),
    )


def settle(registry: Registry, version: Version) -> Version:
    """Give the version the alias its verdict calls for; a later day's champion stays."""
    name = model_name(version.tenant_id)
    current = champion(registry, version.tenant_id)
    if not version.promoted:
        registry.client.set_registered_model_alias(name, CHALLENGER, version.version)
    elif current is None or current.as_of <= version.as_of:
        registry.client.set_registered_model_alias(name, CHAMPION, version.version)
        registry.client.delete_registered_model_alias(name, CHALLENGER)
    return version


def code_commit() -> str:
    """The commit this code stands at, or 'unknown' outside a checkout."""
    try:
        said = subprocess.run(
            ["git", "-C", str(PROJECT), "rev-parse", "HEAD"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said.stdout.strip()


def _log_model(result: Result, config: TrainConfig, folder: Path) -> ModelInfo:
    """One pyfunc: its code is the scorer's own file, its state JSON and arrays."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    from ml.estimators import scorer as code

    example = result.holdout[list(config.features)].head(5)
    answer = result.scorer.probability(example)
    return mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(code.__file__)),
        artifacts={"scorer": str(result.scorer.save(folder / "scorer"))},
        signature=infer_signature(example, answer),
        input_example=example,
        pip_requirements=["mlflow", "numpy", "pandas", "xgboost-cpu"],
    )


def _pictures(result: Result, folder: Path) -> None:
    import mlflow

    from ml.explain.pictures import calibration_picture, shap_picture

    rows = result.holdout
    for picture in (
        shap_picture(result.scorer, rows, folder / "shap_summary.png"),
        calibration_picture(
            rows["is_churned"].to_numpy(dtype="float64"),
            rows["churn_probability"].to_numpy(),
            folder / "calibration.png",
        ),
    ):
        mlflow.log_artifact(str(picture))


def _parameters(config: TrainConfig, result: Result) -> dict[str, Any]:
    best = {
        f"{family}_{name}": value
        for family, found in result.found.items()
        for name, value in {**found.parameters, "steps": found.steps}.items()
    }
    return {
        **{k: v for k, v in config.model_dump(mode="json").items() if k != "features"},
        "feature_count": len(config.features),
        "family": result.scorer.family,
        "calibration": result.scorer.calibration.kind,
        **best,
        **{f"dates_{part}": dates for part, dates in result.split.describe().items()},
    }


def _metrics(result: Result) -> dict[str, float]:
    metrics = {"seconds": result.seconds, "validation_auc": result.validation_auc}
    for name, scores in result.scores.items():
        metrics |= scores.named("holdout" if name == "challenger" else name)
    for family, found in result.found.items():
        metrics[f"validation_auc_{family}"] = found.validation_auc
        metrics[f"pruned_trials_{family}"] = found.pruned
    for it in result.comparisons:
        metrics[f"auc_gain_over_{it.rival}"] = it.auc_gain
        metrics[f"share_won_against_{it.rival}"] = it.share_won
    return metrics


def _judgement(result: Result) -> dict[str, str]:
    rival = result.scores.get("champion")
    return {
        "metric": str(result.scores["challenger"].auc),
        "baseline": str(result.scores["baseline"].auc),
        **({"champion": str(rival.auc)} if rival else {}),
        "promoted": str(result.promotion.promoted).lower(),
        "verdict": result.promotion.reason,
    }
