"""Drift: what moved since the champion learnt, and whether that calls for retraining."""

from ml.drift.decisions import Decision
from ml.drift.monitor import monitor

__all__ = ["Decision", "monitor"]
