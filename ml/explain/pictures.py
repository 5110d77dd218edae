"""The two pictures of every training: what drives the model, and whether its promises hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ml.evaluation import reliability
from ml.explain.reasons import contributions

ROWS = 600


def shap_picture(scorer: Any, rows: pd.DataFrame, file: Path) -> Path:
    """SHAP summary (beeswarm) of the holdout's first rows, as PNG."""
    import shap

    plt = _pyplot()
    sample = rows.head(ROWS)
    pushes = contributions(scorer, sample)
    values = sample[list(pushes.columns)].apply(pd.to_numeric, errors="coerce")
    shap.summary_plot(
        pushes.to_numpy(), values, max_display=15, show=False, rng=np.random.default_rng(17)
    )
    return _save(plt, file, "What raises (right) and lowers (left) the risk of churn")


def calibration_picture(label: np.ndarray, probability: np.ndarray, file: Path) -> Path:
    """Promised against observed churn in ten equally full bins, as PNG."""
    plt = _pyplot()
    bins = reliability(label, probability)
    _, axes = plt.subplots(figsize=(5, 5))
    top = max(max(said, seen) for said, seen, _ in bins) * 1.1 + 0.01
    axes.plot([0, top], [0, top], color="grey", linestyle="--", label="perfect")
    axes.plot([b[0] for b in bins], [b[1] for b in bins], marker="o", label="model")
    axes.set_xlabel("predicted churn")
    axes.set_ylabel("observed churn")
    axes.legend()
    return _save(plt, file, "Calibration on the forward holdout")


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.close("all")
    return plt


def _save(plt: Any, file: Path, title: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    plt.title(title)
    plt.tight_layout()
    plt.savefig(file, dpi=110)
    plt.close("all")
    return file
