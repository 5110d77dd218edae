"""Why a listener is at risk: SHAP contributions, and the three strongest in plain words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from ml.explain.shapley import network_pushes

BACKGROUND = 12  # typical rows a network's answer is compared with
SEED = 17
TOP = 3

_NOUNS = {
    "plays": ("fewer plays", "more plays"),
    "listened_seconds": ("less listening time", "more listening time"),
    "active_days": ("fewer active days", "more active days"),
    "sessions": ("fewer sessions", "more sessions"),
    "tracks": ("fewer different tracks", "more different tracks"),
    "artists": ("fewer different artists", "more different artists"),
    "skip_share": ("skips less", "skips more"),
    "shuffle_share": ("shuffles less", "shuffles more"),
    "offline_share": ("listens offline less", "listens offline more"),
    "plays_trend": ("plays are falling", "plays are rising"),
    "listened_trend": ("listening is falling", "listening is rising"),
    "charges": ("fewer charges", "more charges"),
    "refunds": ("fewer refunds", "more refunds"),
    "paid_minor": ("paid less", "paid more"),
    "tickets": ("fewer support tickets", "more support tickets"),
    "unhappy_tickets": ("fewer unhappy tickets", "more unhappy tickets"),
    "days_since_last_play": ("played recently", "long since the last play"),
    "days_since_last_charge": ("charged recently", "long since the last charge"),
    "tenure_days": ("a new listener", "a long-time listener"),
    "days_on_plan": ("new on this plan", "long on this plan"),
    "is_family_plan": ("on the premium plan", "on the family plan"),
    "upgrades": ("never upgraded", "upgraded before"),
    "downgrades": ("never downgraded", "downgraded before"),
    "cancellations": ("never cancelled", "cancelled before and came back"),
    "open_tickets": ("no open ticket", "a support ticket still open"),
}


def contributions(scorer: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """Each feature's push on the log-odds of churn, row by row.

    Trees give exact TreeSHAP. For a network, Shapley values are estimated against
    a spread of the rows themselves, with a fixed seed. Where both answer, their
    log-odds are averaged, and so are the pushes.
    """
    matrix = scorer.encoder.matrix(frame)
    values = []
    if scorer.booster is not None:
        import xgboost as xgb

        values.append(scorer.booster.predict(xgb.DMatrix(matrix), pred_contribs=True)[:, :-1])
    if scorer.network is not None:
        values.append(_network_pushes(scorer.network, scorer.network.standardize(matrix)))
    pushes = pd.DataFrame(np.mean(values, axis=0), columns=scorer.encoder.names, index=frame.index)
    return pushes.T.groupby(scorer.encoder.sources, sort=False).sum().T


def _network_pushes(network: Any, signal: np.ndarray) -> np.ndarray:
    if len(network.layers) == 1:  # linear: exact in closed form
        weight, _ = network.layers[0]
        return (signal - signal.mean(axis=0)) * weight[0]
    order = np.argsort(network.forward(signal), kind="stable")
    spread = signal[order[np.linspace(0, len(order) - 1, BACKGROUND).astype(int)]]
    return network_pushes(network.layers, signal, spread, seed=SEED)


def reasons(scorer: Any, frame: pd.DataFrame) -> list[list[str]]:
    """Up to three plain phrases a row: what raises this listener's risk most."""
    pushes = contributions(scorer, frame)
    names, values = list(pushes.columns), pushes.to_numpy()
    middle = {c: frame[c].median() if c in scorer.encoder.numeric else None for c in names}
    order = np.argsort(-values, axis=1, kind="stable")[:, :TOP]
    columns = {c: frame[c].to_numpy() for c in names}
    answer = []
    for row, best in enumerate(order):
        raising = [i for i in best if values[row, i] > 0]
        answer.append([phrase(names[i], columns[names[i]][row], middle[names[i]]) for i in raising])
    return answer


def phrase(feature: str, value: Any, middle: Any) -> str:
    """A feature's value in plain words, against the tenant's typical listener."""
    window = re.fullmatch(r"(.+)_(\d+)d", feature)
    stem = window.group(1) if window else feature
    when = "" if window is None else _when(int(window.group(2)))
    if value is None or value != value:
        return f"no {stem.replace('_', ' ')} known{when}"
    if middle is None:
        return f"{feature.replace('_', ' ')} is {value}"
    if stem in _NOUNS:
        return _NOUNS[stem][int(value > middle or (value == middle and value > 0))] + when
    side = "high" if value > middle else "low" if value < middle else "typical"
    return f"{side} {stem.replace('_', ' ')}{when}"


def _when(days: int) -> str:
    return " yesterday" if days == 1 else f" in the last {days} days"
