"""How good predictions are, with the uncertainty of a small holdout.

Resampling is by listener, not by row: one listener stands in the holdout on
several dates, and treating those rows as independent would promise too much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.problems.churn import Comparison

BINS = 10
DIGITS = 6


@dataclass(frozen=True)
class Scores:
    """The holdout scores of one model; `auc_low`/`auc_high` bound 90 % of the resamples."""

    auc: float
    auc_low: float
    auc_high: float
    pr_auc: float
    brier: float
    calibration_error: float

    def named(self, prefix: str) -> dict[str, float]:
        return {f"{prefix}_{name}": value for name, value in vars(self).items()}


@dataclass(frozen=True)
class Holdout:
    """The labels to judge by, and the resamples every model is judged on alike."""

    label: np.ndarray
    weights: np.ndarray  # resamples x rows

    @classmethod
    def of(cls, label: np.ndarray, groups: np.ndarray, resamples: int, seed: int) -> Holdout:
        _, group = np.unique(groups.astype(str), return_inverse=True)
        count = int(group.max()) + 1
        draws = np.random.default_rng(seed).multinomial(
            count, np.full(count, 1 / count), size=resamples
        )
        return cls(label.astype("float64"), draws[:, group].astype("float64"))

    def scores(self, probability: np.ndarray) -> Scores:
        from sklearn.metrics import average_precision_score

        resampled = auc(self.label, probability, self.weights)
        low, high = np.nanpercentile(resampled, [5, 95])
        values = (
            auc(self.label, probability)[0],
            low,
            high,
            average_precision_score(self.label, probability),
            np.mean((probability - self.label) ** 2),
            calibration_error(self.label, probability),
        )
        return Scores(*(round(float(v), DIGITS) for v in values))

    def compare(self, challenger: np.ndarray, rival: np.ndarray, name: str) -> Comparison:
        """The challenger against one rival, on the same resamples."""
        gains = auc(self.label, challenger, self.weights) - auc(self.label, rival, self.weights)
        gains = gains[~np.isnan(gains)]
        gain = auc(self.label, challenger)[0] - auc(self.label, rival)[0]
        brier = np.mean((rival - self.label) ** 2) - np.mean((challenger - self.label) ** 2)
        low, high = np.percentile(gains, [5, 95])
        numbers = (gain, low, high, np.mean(gains > 0), brier)
        return Comparison(name, *(round(float(v), DIGITS) for v in numbers))


def auc(label: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve for each row of weights; ties count half."""
    weights = np.ones((1, len(label))) if weights is None else weights
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    positive = np.add.reduceat(weights[:, order] * label[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * (1 - label[order]), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pairs > 0, (positive * (below + negative / 2)).sum(axis=1) / pairs, np.nan)


def reliability(label: np.ndarray, probability: np.ndarray) -> list[tuple[float, float, int]]:
    """Mean prediction, observed rate and size of ten equally full bins."""
    parts = np.array_split(np.argsort(probability, kind="stable"), BINS)
    return [(float(probability[p].mean()), float(label[p].mean()), len(p)) for p in parts if len(p)]


def calibration_error(label: np.ndarray, probability: np.ndarray) -> float:
    """Expected gap between what is promised and what happens, over those bins."""
    bins = reliability(label, probability)
    return sum(abs(said - seen) * size for said, seen, size in bins) / len(label)
