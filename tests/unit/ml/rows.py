"""Feature and label rows of a toy tenant whose churn has a known cause.

Whoever is annoyed leaves. Annoyance shows in skipping alone, which the baseline does not see;
a taste for listening drives how much is played and protects a little.
Listener ids are 1..n in every tenant: they repeat across tenants on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd
import polars as pl

from spark_jobs.churn_columns import polars_schema

FIRST_MONDAY = date(2025, 1, 6)
MONDAYS = tuple(FIRST_MONDAY + timedelta(weeks=n) for n in range(12))  # until 2025-03-24
LAST_DAY = date(2025, 4, 21)  # the labels of every Monday are known


def feature_rows(
    tenant_id: str,
    dates: Sequence[date] = (*MONDAYS, LAST_DAY),
    listeners: int = 120,
    seed: int = 1,
    drift: bool = False,
) -> pl.DataFrame:
    """Rows as the feature table holds them. `drift`: a broken client skips and plays by itself."""
    frames = [_day(tenant_id, day, listeners, seed, drift) for day in dates]
    return pl.concat(frames)


def label_rows(features: pl.DataFrame, seed: int = 1) -> pl.DataFrame:
    """A label for every feature row, drawn from the hidden taste."""
    taste = _taste(features["listener_id"].n_unique(), seed)
    index = features["listener_id"].cast(pl.Int64).to_numpy() - 1
    days = features["as_of_date"].to_numpy().astype("datetime64[D]").astype(int)
    draw = np.array(
        [
            np.random.default_rng([seed, int(i), int(d)]).random()
            for i, d in zip(index, days, strict=True)
        ]
    )
    annoyed = _annoyance(len(taste), seed)
    risk = 1 / (1 + np.exp(1.7 + 0.5 * taste[index] - 1.8 * annoyed[index]))
    return features.select("tenant_id", "listener_id", "as_of_date").with_columns(
        is_churned=pl.Series(draw < risk)
    )


def labelled(tenant_id: str = "t1", **choices: object) -> pd.DataFrame:
    """Both together, as `train` takes them."""
    from ml.features.training_set import as_pandas

    features = feature_rows(tenant_id, dates=MONDAYS, **choices)  # type: ignore[arg-type]
    keys = ["tenant_id", "listener_id", "as_of_date"]
    return as_pandas(features.join(label_rows(features), on=keys))


def _taste(listeners: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=listeners)


def _annoyance(listeners: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, 99]).normal(size=listeners)


def _day(tenant_id: str, day: date, listeners: int, seed: int, drift: bool) -> pl.DataFrame:
    draw = np.random.default_rng([seed, day.toordinal()])
    taste = _taste(listeners, seed)
    rate = np.exp(0.6 * taste + 0.3 * draw.normal(size=listeners))
    annoyed = _annoyance(listeners, seed)
    skips = 1 / (1 + np.exp(-annoyed + 0.3 * draw.normal(size=listeners)))
    columns: dict[str, object] = {
        "tenant_id": [tenant_id] * listeners,
        "listener_id": [str(n + 1) for n in range(listeners)],
        "as_of_date": [day] * listeners,
        "plan": ["premium"] * listeners,
    }
    for name, kind in polars_schema().items():
        if name in columns:
            continue
        window = (
            int(name.rsplit("_", 1)[1][:-1]) if name.endswith(("1d", "7d", "28d", "90d")) else 28
        )
        if name.startswith(("plays_trend", "listened_trend")):
            columns[name] = draw.uniform(-1, 1, listeners).round(6)
        elif name.startswith("skip_share"):
            wrong = 0.9 if drift and window <= 7 else 0.0
            columns[name] = np.maximum(skips, wrong).round(6)
        elif kind == pl.Float64:
            columns[name] = draw.random(listeners).round(6)
        elif name == "days_since_last_play":
            columns[name] = np.clip((4 / rate).round(), 0, 91).astype(int)
        elif name.startswith(("refunds", "unhappy", "open_tickets")):
            columns[name] = np.zeros(listeners, dtype=int)
        else:
            factor = 4 if drift and window <= 7 else 1
            columns[name] = draw.poisson(rate * window * factor)
    return pl.DataFrame(columns, schema=polars_schema())
