"""The gates: judge what enters and what leaves, stop a tenant whose data is not fit.

`bronze` stands before silver, `marts` before publication, `features` before what models
learn from, `predictions` before what they say is kept. Each raises GateFailed, never only warns.
"""

from analytics.gates.bronze_door import bronze
from analytics.gates.learning_doors import features, predictions
from analytics.gates.marts_door import marts
from analytics.gates.report import GateReport, RuleResult, TableReport

__all__ = ["GateReport", "RuleResult", "TableReport", "bronze", "features", "marts", "predictions"]
