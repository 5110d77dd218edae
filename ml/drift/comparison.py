"""Which columns moved: Evidently's distance of today's rows from the champion's reference.

The rule, and why
    A column has drifted when its normed Wasserstein distance (the mean shift of
    its quantiles, in reference standard deviations) is at least 0.3. With some
    1,000 listeners, sampling alone gives 0.03 to 0.06, with 190 up to 0.2; a broken
    client moves its one-day columns by 1.5 and more. A significance test would
    call ever smaller differences drift as the tenant grows. Predictions are
    judged in the same way.
    Features have drifted together when 5 % of them, and at least two, have: a
    fault of one day shows in the one-day and seven-day columns alone. The
    predictions drifting suffices by itself: that is what people act upon.
    A column without variation in the reference cannot be judged and is left out.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

log = logging.getLogger(__name__)

COLUMN_THRESHOLD = 0.3
MIN_SHARE = 0.05
MIN_COLUMNS = 2
MIN_ROWS = 50
METHOD = "wasserstein"
PREDICTION = "churn_probability"
DIGITS = 4


@dataclass(frozen=True)
class Drift:
    """What moved, and by how much."""

    distances: dict[str, float]  # every judged column

    @property
    def columns(self) -> tuple[str, ...]:
        """The drifted ones, furthest first."""
        moved = {c: d for c, d in self.distances.items() if d >= COLUMN_THRESHOLD}
        return tuple(sorted(moved, key=lambda c: (-moved[c], c)))

    @property
    def share(self) -> float:
        """The drifted share of the features (predictions aside)."""
        judged = [c for c in self.distances if c != PREDICTION]
        moved = [c for c in self.columns if c != PREDICTION]
        return round(len(moved) / len(judged), DIGITS) if judged else 0.0

    @property
    def drifted(self) -> bool:
        judged = len([c for c in self.distances if c != PREDICTION])
        moved = len([c for c in self.columns if c != PREDICTION])
        return PREDICTION in self.columns or moved >= max(
            MIN_COLUMNS, math.ceil(judged * MIN_SHARE)
        )

    def __str__(self) -> str:
        judged = len([c for c in self.distances if c != PREDICTION])
        moved = [c for c in self.columns if c != PREDICTION]
        text = f"{len(moved)} of {judged} features moved"
        if self.columns:
            text += ": " + ", ".join(f"{c} {self.distances[c]:.2f}" for c in self.columns[:3])
        return text + ("; predictions moved" if PREDICTION in self.columns else "")


def compare(reference: pd.DataFrame, current: pd.DataFrame, report: Path | None = None) -> Drift:
    """The distance of every column of `current` from `reference`; the report as HTML beside."""
    os.environ["DO_NOT_TRACK"] = "1"  # read by Evidently when it is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        columns = [c for c in reference.columns if _judgeable(reference[c], current[c])]
        definition = DataDefinition(numerical_columns=columns)
        preset = DataDriftPreset(
            columns=columns, num_method=METHOD, num_threshold=COLUMN_THRESHOLD,
            drift_share=MIN_SHARE,
        )  # fmt: skip
        snapshot = Report([preset]).run(
            Dataset.from_pandas(current[columns].astype("float64"), data_definition=definition),
            Dataset.from_pandas(reference[columns].astype("float64"), data_definition=definition),
        )
        if report is not None:
            report.parent.mkdir(parents=True, exist_ok=True)
            snapshot.save_html(str(report))
    return Drift(_distances(snapshot.dict()))


def _judgeable(reference: pd.Series, current: pd.Series) -> bool:
    """Whether both have enough values, and the reference varies."""
    known = reference.dropna()
    return len(known) >= MIN_ROWS and current.notna().sum() >= MIN_ROWS and known.nunique() > 1


def _distances(said: dict[str, Any]) -> dict[str, float]:
    distances = {}
    for metric in said["metrics"]:
        config = metric["config"]
        if config["type"].endswith(":ValueDrift"):
            distances[config["column"]] = round(float(metric["value"]), DIGITS)
    return distances
