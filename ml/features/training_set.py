"""Point-in-time rows to learn from and to score, pinned to Delta versions.

Grain    one row per (tenant_id, listener_id, as_of_date).
Time     a feature row holds only what happened before its as_of_date; a label
         is used only once its four weeks had passed on the day of training.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

import pandas as pd
import polars as pl

from analytics.errors import TrainingError
from analytics.settings import Settings
from ml import tables
from ml.problems.churn import CHURN, IDENTIFIERS, NAME
from spark_jobs.churn_columns import feature_names

FEATURES = ("features", "churn_features")
LABELS = ("labels", "churn_labels")

_LABEL_SCHEMA = {
    "tenant_id": pl.String,
    "listener_id": pl.String,
    "as_of_date": pl.Date,
    "is_churned": pl.Boolean,
    "run_id": pl.String,
}


@dataclass(frozen=True)
class TrainingSet:
    """Labelled rows of one tenant, and the versions that give them again."""

    tenant_id: str
    as_of: date
    frame: pd.DataFrame = field(repr=False)
    features: tuple[str, ...]
    feature_version: int | None
    label_version: int | None
    content: str  # hash of the rows: the same when another tenant moved the versions on


def snapshot_labels(settings: Settings, tenant_id: str, run_id: str) -> int:
    """Copy the tenant's labels from the warehouse to the lake; the Delta version.

    Re-run: the same labels make no new version.
    """
    from analytics import warehouse

    labels = warehouse.labels(settings, tenant_id, NAME)
    return write_labels(settings, tenant_id, labels, run_id)


def write_labels(settings: Settings, tenant_id: str, labels: pl.DataFrame, run_id: str) -> int:
    """Make these all of the tenant's labels in the lake."""
    frame = labels.with_columns(run_id=pl.lit(run_id)).select(
        pl.col(name).cast(kind) for name, kind in _LABEL_SCHEMA.items()
    )
    return tables.replace(settings, tenant_id, *LABELS, frame, {}, run_id)


def training_set(settings: Settings, tenant_id: str, as_of: date) -> TrainingSet:
    """Every row of the tenant whose label was known on `as_of`."""
    feature_version = tables.version(settings, *FEATURES)
    label_version = tables.version(settings, *LABELS)
    rows = tables.read(settings, tenant_id, *FEATURES, feature_version)
    labels = tables.read(settings, tenant_id, *LABELS, label_version)
    names = feature_names()
    if rows.is_empty() or labels.is_empty():
        joined = pl.DataFrame(schema=dict.fromkeys((*IDENTIFIERS, *names, CHURN.label), pl.String))
    else:
        known_since = as_of - timedelta(days=CHURN.horizon_days)
        joined = (
            rows.select(*IDENTIFIERS, *names)
            .join(labels.select(*IDENTIFIERS, CHURN.label), on=IDENTIFIERS, how="inner")
            .filter(pl.col("as_of_date") <= known_since)
            .sort("as_of_date", "listener_id")
        )
    return TrainingSet(
        tenant_id=tenant_id,
        as_of=as_of,
        frame=as_pandas(joined),
        features=tuple(names),
        feature_version=feature_version,
        label_version=label_version,
        content=tables.content_hash(joined),
    )


def feature_rows(
    settings: Settings,
    tenant_id: str,
    from_date: date,
    to_date: date,
    at: int | None = None,
) -> pl.DataFrame:
    """The tenant's feature rows of these dates, both included, at a version or the newest.

    Raises TrainingError when the pinned version is gone.
    """
    pinned = tables.version(settings, *FEATURES) if at is None else at
    try:
        rows = tables.read(settings, tenant_id, *FEATURES, pinned)
    except Exception as error:  # delta-rs has no one class for "that version was vacuumed"
        raise TrainingError(
            f"version {pinned} of the feature table cannot be read ({error}); "
            "train again to make a new reference"
        ) from error
    if rows.is_empty():
        return rows
    return rows.filter(pl.col("as_of_date").is_between(from_date, to_date)).sort(
        "as_of_date", "listener_id"
    )


def as_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """The frame for estimators: numbers as floats (missing is NaN), dates as dates."""
    numbers = [name for name, kind in frame.schema.items() if kind.is_numeric()]
    rows = frame.with_columns(pl.col(numbers).cast(pl.Float64)).to_pandas()
    if "as_of_date" in rows:
        rows["as_of_date"] = frame["as_of_date"].to_list()
    return rows
