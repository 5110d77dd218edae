"""Splits rows by time, so that a model is judged only on days it could not have known.

`as_of` dates in order:  train … | validation … | calibration … |  embargo  | holdout …

A label looks `horizon` days ahead, so a row is fit for learning only when its
label was known on the first holdout date: as_of + horizon <= that date. Rows in
between are the embargo; they are used by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

HOLDOUT_SHARE = 0.2


@dataclass(frozen=True)
class TimeSplit:
    """The dates of each part, oldest first."""

    train: tuple[date, ...]
    validation: tuple[date, ...]
    calibration: tuple[date, ...]
    embargo: tuple[date, ...]
    holdout: tuple[date, ...]

    def describe(self) -> dict[str, str]:
        """Each part as 'first … last (count)', for the run's record."""
        parts = {}
        for name, dates in vars(self).items():
            parts[name] = f"{dates[0]} … {dates[-1]} ({len(dates)})" if dates else "none"
        return parts

    def rows(self, frame: pd.DataFrame, part: str, column: str = "as_of_date") -> pd.DataFrame:
        return frame[frame[column].isin(getattr(self, part))]


def split_by_time(dates: Sequence[date], horizon_days: int) -> TimeSplit | None:
    """The split, or None when the history is too short for an honest one.

    The holdout is the last fifth of the dates, at least one, and shrinks first
    when history is short. Of the dates whose labels are known by then, the last
    calibrate and those before validate (a quarter each at most). With only two
    such dates, the second both validates and calibrates; with one, nothing can
    be validated, and there is no split.
    """
    ordered = tuple(sorted(set(dates)))
    for size in range(max(1, int(len(ordered) * HOLDOUT_SHARE)), 0, -1):
        holdout = ordered[-size:]
        known = holdout[0] - timedelta(days=horizon_days) if holdout else None
        usable = tuple(d for d in ordered if known and d <= known)
        if len(usable) >= 3 or (size == 1 and len(usable) == 2):
            break
    else:
        return None
    embargo = tuple(d for d in ordered if d not in usable and d not in holdout)
    if len(usable) == 2:
        return TimeSplit(usable[:1], usable[1:], usable[1:], embargo, holdout)
    calibrate = max(1, len(usable) // 5)
    validate = max(1, len(usable) // 4)
    return TimeSplit(
        train=usable[: -calibrate - validate],
        validation=usable[-calibrate - validate : -calibrate],
        calibration=usable[-calibrate:],
        embargo=embargo,
        holdout=holdout,
    )
