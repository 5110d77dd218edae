"""The trained model as it is served: preprocessing, estimator and calibration in one.

Training evaluates through this class and MLflow logs this very file as the
model's code, so what was measured is what is served. It needs numpy, pandas and
xgboost, no torch and nothing of this project; its state is JSON, arrays and
xgboost's own format, never a pickle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd

CLIP = 6.0  # standard deviations; a network must not see one listener's 10,000 plays raw
DIGITS = 6  # of a probability: float sums differ in their last bits between machines


@dataclass
class Encoder:
    """Turns named columns into a matrix: numbers stay (missing is NaN), words become 0/1."""

    numeric: list[str]
    categories: dict[str, list[str]]

    @property
    def names(self) -> list[str]:
        words = [f"{c}={v}" for c, values in self.categories.items() for v in values]
        return [*self.numeric, *words]

    @property
    def sources(self) -> list[str]:
        """The column each matrix column came from, in the same order."""
        words = [c for c, values in self.categories.items() for _ in values]
        return [*self.numeric, *words]

    def matrix(self, frame: pd.DataFrame) -> np.ndarray:
        blocks: list[np.ndarray] = [frame[c].astype("float64").to_numpy() for c in self.numeric]
        for column, values in self.categories.items():
            text = frame[column].astype("object")
            blocks += [(text == v).to_numpy(dtype="float64") for v in values]
        return np.column_stack(blocks).astype(np.float32)


@dataclass
class Network:
    """The forward pass of a small fully connected net, in numpy.

    Inputs pass through asinh first (linear near 0, a logarithm far out): counts
    have long tails, and without it a few heavy listeners set the scale for all.
    """

    centre: np.ndarray
    scale: np.ndarray
    layers: list[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def scaled_by(cls, matrix: np.ndarray) -> Network:
        """One without layers: median and spread of each column, 1 where it never varies."""
        squeezed = np.arcsinh(np.where(np.isnan(matrix).all(axis=0), 0.0, matrix))
        centre, spread = np.nanmedian(squeezed, axis=0), np.nanstd(squeezed, axis=0)
        scale = np.where(spread > 1e-9, spread, 1.0)
        return cls(centre.astype(np.float32), scale.astype(np.float32), [])

    def standardize(self, matrix: np.ndarray) -> np.ndarray:
        signal = (np.arcsinh(matrix) - self.centre) / self.scale
        return np.clip(np.nan_to_num(signal, nan=0.0), -CLIP, CLIP).astype(np.float32)

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        return self.forward(self.standardize(matrix))

    def forward(self, signal: np.ndarray) -> np.ndarray:
        for weight, bias in self.layers[:-1]:
            signal = np.maximum(signal @ weight.T + bias, 0)
        weight, bias = self.layers[-1]
        return (signal @ weight.T + bias)[:, 0]


def boosted_margin(booster: Any, matrix: np.ndarray) -> np.ndarray:
    """Log-odds of XGBoost's trees."""
    import xgboost as xgb

    return booster.predict(xgb.DMatrix(matrix), output_margin=True)


@dataclass
class Calibration:
    """A monotone map from margins to probabilities: Platt's line or isotonic steps."""

    kind: str
    slope: float = 1.0
    intercept: float = 0.0
    knots: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def __call__(self, margin: np.ndarray) -> np.ndarray:
        if self.kind == "isotonic":
            return np.interp(margin, self.knots, self.values)
        return 1 / (1 + np.exp(-(self.slope * margin + self.intercept)))


@dataclass
class Scorer:
    """Rows in, calibrated churn probabilities out.

    Trees, a network, or both (`family` "ensemble"), whose log-odds are then averaged.
    """

    family: str
    encoder: Encoder
    calibration: Calibration
    booster: Any = None
    network: Network | None = None

    @property
    def features(self) -> list[str]:
        return [*self.encoder.numeric, *self.encoder.categories]

    def margin_of(self, matrix: np.ndarray) -> np.ndarray:
        """Log-odds before calibration, from the encoded matrix."""
        margins = []
        if self.booster is not None:
            margins.append(boosted_margin(self.booster, matrix))
        if self.network is not None:
            margins.append(self.network.margin(matrix))
        return np.mean(margins, axis=0)

    def probability(self, frame: pd.DataFrame) -> np.ndarray:
        margin = self.margin_of(self.encoder.matrix(frame)).astype("float64")
        return np.round(self.calibration(margin), DIGITS)

    # ------------------------------------------------------------- on disk

    def save(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "family": self.family,
            "encoder": vars(self.encoder),
            "calibration": vars(self.calibration),
        }
        (folder / "scorer.json").write_text(json.dumps(state, indent=1, sort_keys=True))
        if self.network is not None:
            arrays = {"centre": self.network.centre, "scale": self.network.scale}
            for i, (weight, bias) in enumerate(self.network.layers):
                arrays |= {f"weight_{i}": weight, f"bias_{i}": bias}
            np.savez(folder / "network.npz", **arrays)  # type: ignore[arg-type]
        if self.booster is not None:
            self.booster.save_model(folder / "booster.json")
        return folder

    @classmethod
    def load(cls, folder: Path) -> Scorer:
        state = json.loads((folder / "scorer.json").read_text())
        scorer = cls(
            state["family"], Encoder(**state["encoder"]), Calibration(**state["calibration"])
        )
        if (folder / "network.npz").exists():
            with np.load(folder / "network.npz", allow_pickle=False) as arrays:
                count = sum(name.startswith("weight_") for name in arrays.files)
                layers = [(arrays[f"weight_{i}"], arrays[f"bias_{i}"]) for i in range(count)]
                scorer.network = Network(arrays["centre"], arrays["scale"], layers)
        if (folder / "booster.json").exists():
            import xgboost as xgb

            scorer.booster = xgb.Booster()
            scorer.booster.load_model(folder / "booster.json")
        return scorer


class ServedModel(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined]
    """What MLflow loads: one probability a row, in the rows' order."""

    def load_context(self, context: Any) -> None:
        self.scorer = Scorer.load(Path(context.artifacts["scorer"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:
        return self.scorer.probability(model_input)


mlflow.models.set_model(ServedModel())
