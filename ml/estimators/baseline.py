"""What a model must beat: a logistic regression on what anybody would look at first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


class Baseline:
    """Scaled logistic regression on a few plain columns."""

    def __init__(self, features: Sequence[str]) -> None:
        self.features = list(features)

    def fit(self, frame: pd.DataFrame, label: np.ndarray) -> Baseline:
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.pipeline = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(),
        )
        self.pipeline.fit(self._matrix(frame), label)
        return self

    def probability(self, frame: pd.DataFrame) -> np.ndarray:
        return self.pipeline.predict_proba(self._matrix(frame))[:, 1]

    def _matrix(self, frame: pd.DataFrame) -> np.ndarray:
        return frame[self.features].astype("float64").to_numpy()
