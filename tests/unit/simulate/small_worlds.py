"""Small configs: two tenants that share every id, one writes eventsim lines, one Parquet."""

from __future__ import annotations

from datetime import date
from typing import Any

from analytics.simulate.config import SimulationConfig
from analytics.simulate.profiles import SAMPLE, Profile

START = date(2025, 1, 1)
DRIFT_DAY = date(2025, 1, 12)


def small(days: int = 5, **changes: Any) -> SimulationConfig:
    """A config of two tenants of 120 listeners, without drift unless it is named."""
    given: dict[str, Any] = {
        "days": days, "start": START, "listeners": 120, "tenants": SAMPLE[:2], "drift": {},
        "late_share": 0.05, "duplicate_share": 0.05, "damaged_share": 0.02, **changes,
    }  # fmt: skip
    return SimulationConfig(**given)


def profile(name: str, **changes: Any) -> Profile:
    """A sample tenant with what you name changed."""
    return next(p for p in SAMPLE if p.id == name).model_copy(update=changes)
