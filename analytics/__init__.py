"""Tenant Analytics: the whole stack of a music service's data team, per tenant."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analytics.report.engine import AnalyticsEngine as AnalyticsEngine
    from ml.manager import MLManager as MLManager

# Loaded on first use, so that `import analytics` stays light.
_LAZY = {"AnalyticsEngine": "analytics.report.engine", "MLManager": "ml.manager"}
__all__ = ["AnalyticsEngine", "MLManager"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'analytics' has no attribute {name!r}")
