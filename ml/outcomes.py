"""What came of a training, also when nothing was trained: in the lake and in `serve`.

Grain    one row per (tenant_id, as_of_date) in `monitoring/training_outcomes`.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from analytics.settings import Settings
from ml import tables

if TYPE_CHECKING:
    from ml.features import TrainingSet
    from ml.train import TrainConfig

TABLE = ("monitoring", "training_outcomes")

_SCHEMA = {
    "tenant_id": pl.String,
    "as_of_date": pl.Date,
    "reason": pl.String,
    "trained": pl.Boolean,
    "outcome": pl.String,
    "version": pl.String,
    "metric": pl.Float64,
    "baseline": pl.Float64,
    "champion_metric": pl.Float64,
    "promoted": pl.Boolean,
    "listeners": pl.Int64,
    "positives": pl.Int64,
    "feature_version": pl.Int64,
    "label_version": pl.Int64,
    "content": pl.String,
    "training_key": pl.String,
    "run_id": pl.String,
}


@dataclass(frozen=True)
class TrainingOutcome:
    """One training, or why there was none. `metric` and `baseline` are holdout AUCs."""

    tenant_id: str
    as_of_date: date
    reason: str  # why it was asked for
    trained: bool
    outcome: str  # what came of it, in a sentence
    version: str | None
    metric: float | None
    baseline: float | None
    champion_metric: float | None  # of the champion it was measured against
    promoted: bool
    listeners: int
    positives: int
    feature_version: int | None
    label_version: int | None
    content: str  # of the labelled rows
    training_key: str  # of rows and configuration
    run_id: str


def training_key(config: TrainConfig, data: TrainingSet) -> str:
    """The same for the same rows and configuration: a retry recognizes its own work by it."""
    text = f"{data.content} {config.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def record(settings: Settings, outcome: TrainingOutcome) -> TrainingOutcome:
    """Write it down, replacing what an earlier training on this date said."""
    frame = pl.DataFrame([asdict(outcome)], schema=_SCHEMA)
    where = {"as_of_date": outcome.as_of_date}
    tables.replace(settings, outcome.tenant_id, *TABLE, frame, where, outcome.run_id)
    show(settings, outcome)
    return outcome


def show(settings: Settings, outcome: TrainingOutcome) -> None:
    """Make `serve.training_outcomes` say what the lake says."""
    from analytics import warehouse

    frame = pl.DataFrame([asdict(outcome)], schema=_SCHEMA)
    where = {"as_of_date": outcome.as_of_date}
    warehouse.publish_rows(settings, outcome.tenant_id, "training_outcomes", frame, where)


def recorded(settings: Settings, tenant_id: str) -> list[TrainingOutcome]:
    """Every recorded training of the tenant, oldest first."""
    rows = tables.read(settings, tenant_id, *TABLE, tables.version(settings, *TABLE))
    if rows.is_empty():
        return []
    return [TrainingOutcome(**row) for row in rows.sort("as_of_date").to_dicts()]
