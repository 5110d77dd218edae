"""What a report says, typed."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

Unit = Literal["count", "share", "hours", "per listener", "minor units"]


class Figure(BaseModel):
    """One number of a period and what it was in the period before.

    `value` and `previous` are None where there was nothing to measure; a share
    lies in [0, 1]. `good` says which direction is welcome.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    meaning: str
    unit: Unit
    value: float | None
    previous: float | None = None
    good: Literal["up", "down", "neither"] = "up"

    @property
    def delta(self) -> float | None:
        """Relative change; None without a previous value to compare with."""
        if self.value is None or not self.previous:
            return None
        return self.value / self.previous - 1


class Point(BaseModel):
    """One day of a series."""

    model_config = ConfigDict(frozen=True)

    day: date
    value: float


class Section(BaseModel):
    """One metric: its figures, and what its charts draw."""

    model_config = ConfigDict(frozen=True)

    metric: str
    title: str
    figures: tuple[Figure, ...]
    series: dict[str, tuple[Point, ...]] = {}
    bars: dict[str, dict[str, float]] = {}

    def __getitem__(self, name: str) -> Figure:
        return next(f for f in self.figures if f.name == name)


class Insights(BaseModel):
    """What the tenant's model says, and how far to trust it."""

    model_config = ConfigDict(frozen=True)

    model_version: str | None
    model_metric: str | None
    model_score: float | None
    baseline_score: float | None
    last_training: str
    last_decision: str
    top_reasons: dict[str, int] = {}


class Report(BaseModel):
    """One tenant over one period, against the period before."""

    model_config = ConfigDict(frozen=True)

    tenant_id: str
    tenant_name: str
    start: date
    end: date
    snapshot_id: str
    sections: tuple[Section, ...]
    insights: Insights | None = None

    def __getitem__(self, metric: str) -> Section:
        return next(s for s in self.sections if s.metric == metric)

    def to_html(self) -> str:
        """One self-contained page with charts: no link leaves it."""
        from analytics.report.page import render

        return render(self)
