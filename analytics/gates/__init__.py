"""The gates: judge what enters and what leaves, stop a tenant whose data is not fit.

`bronze` judges what came, `silver` what a landing is about to publish, `marts` what readers
are about to see, `features` what models are about to learn from, `predictions` what they say.
Each raises GateFailed, never only warns.
"""

from analytics.gates.bronze_door import bronze
from analytics.gates.learning_doors import features, predictions
from analytics.gates.marts_door import marts
from analytics.gates.report import GateReport, RuleResult, TableReport
from analytics.gates.silver_door import silver

__all__ = [
    "GateReport", "RuleResult", "TableReport", "bronze", "features", "marts", "predictions",
    "silver",
]  # fmt: skip
