"""Score every paying listener of a day with the tenant's champion, and say why.

Grain    one row per (tenant_id, listener_id, as_of_date).
Re-run   safe: the day's rows are replaced; the same champion on the same
         features makes no new Delta version.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import date

import polars as pl

from analytics import gates
from analytics.interval import Interval
from analytics.settings import Settings
from analytics.tenants import get_tenant
from ml import tables
from ml.explain.reasons import reasons
from ml.features import feature_rows
from ml.features.training_set import as_pandas
from ml.registry import connect, versions

log = logging.getLogger(__name__)

TABLE = ("predictions", "churn_predictions")
RELATION = "churn_predictions"

SCHEMA = {
    "tenant_id": pl.String,
    "listener_id": pl.String,
    "as_of_date": pl.Date,
    "churn_probability": pl.Float64,
    "model_version": pl.String,
    "reasons": pl.String,
    "run_id": pl.String,
}


@dataclass(frozen=True)
class Scored:
    """What a scoring left behind. Without a champion there is nothing to score with."""

    tenant_id: str
    as_of_date: date
    rows: int
    model_version: str | None
    delta_version: int | None
    reason: str


def score(settings: Settings, tenant_id: str, as_of: date, run_id: str) -> Scored:
    """Write the day's churn probabilities to lake and `serve`, three reasons a listener.

    Raises GateFailed, and writes nothing, when a score breaks a rule of
    `expectations/predictions.py`.
    """
    get_tenant(settings, tenant_id)
    champion = versions.champion(connect(settings), tenant_id)
    if champion is None:
        return Scored(tenant_id, as_of, 0, None, None, "not scored: there is no champion yet")
    rows = feature_rows(settings, tenant_id, as_of, as_of)
    if rows.is_empty():
        return Scored(
            tenant_id, as_of, 0, champion.version, None, f"not scored: no features of {as_of}"
        )
    loaded = versions.load(champion)
    features = as_pandas(rows)
    frame = pl.DataFrame(
        {
            "tenant_id": rows["tenant_id"],
            "listener_id": rows["listener_id"],
            "as_of_date": rows["as_of_date"],
            "churn_probability": loaded.predict(features),
            "model_version": [champion.version] * rows.height,
            "reasons": [json.dumps(words) for words in reasons(loaded.scorer, features)],
            "run_id": [run_id] * rows.height,
        },
        schema=SCHEMA,
    )
    gates.predictions(settings, tenant_id, Interval.day(as_of), run_id, RELATION, frame)
    where = {"as_of_date": as_of}
    version = tables.replace(settings, tenant_id, *TABLE, frame, where, run_id)

    from analytics import warehouse

    warehouse.publish_rows(settings, tenant_id, RELATION, frame, where)
    log.info("%s: %d listeners scored by version %s", tenant_id, rows.height, champion.version)
    return Scored(tenant_id, as_of, rows.height, champion.version, version, "scored")
