"""What is learnt from the training rows before any estimator: encoding, scale, calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ml.estimators.scorer import Calibration, Encoder

MAX_CATEGORIES = 12
ISOTONIC_MIN_POSITIVES = 300  # steps fitted on fewer churners chase noise; a line does not


def fit_encoder(frame: pd.DataFrame, features: Sequence[str]) -> Encoder:
    """Numbers and booleans pass; a text column gives one column for each frequent word."""
    numeric, categories = [], {}
    for column in features:
        if pd.api.types.is_numeric_dtype(frame[column]) or pd.api.types.is_bool_dtype(
            frame[column]
        ):
            numeric.append(column)
        else:
            counts = frame[column].dropna().astype(str).value_counts()
            frequent = sorted(counts.index, key=lambda word: (-counts[word], word))
            categories[column] = sorted(frequent[:MAX_CATEGORIES])
    return Encoder(numeric, categories)


def fit_calibration(margin: np.ndarray, label: np.ndarray) -> Calibration:
    """Platt's line, or isotonic steps where there are enough churners to carry them."""
    positives = int(min(label.sum(), len(label) - label.sum()))
    if positives >= ISOTONIC_MIN_POSITIVES:
        return _isotonic(margin, label)
    if positives == 0:
        return Calibration("platt")
    from sklearn.linear_model import LogisticRegression

    spread = max(float(np.std(margin)), 1e-6)
    line = LogisticRegression(C=100.0).fit((margin / spread).reshape(-1, 1), label)
    slope = float(line.coef_[0, 0]) / spread
    if slope <= 0:  # a model that ranks backwards is not turned round behind everybody's back
        rate = float(label.mean())
        return Calibration("platt", 1e-6, float(np.log(rate / (1 - rate))))
    return Calibration("platt", slope, float(line.intercept_[0]))


def _isotonic(margin: np.ndarray, label: np.ndarray) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    rate = 1 / (len(label) + 2)  # nobody is certain to stay or to go
    steps = IsotonicRegression(y_min=rate, y_max=1 - rate, out_of_bounds="clip").fit(margin, label)
    return Calibration(
        "isotonic",
        knots=[float(x) for x in steps.X_thresholds_],
        values=[float(y) for y in steps.y_thresholds_],
    )
