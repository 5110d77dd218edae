"""The gates: judge what enters and what leaves, stop a tenant whose data is not fit.

`bronze` stands before silver, `marts` before publication. Each raises GateFailed,
never only warns.
"""

from analytics.gates.bronze_door import bronze
from analytics.gates.marts_door import marts
from analytics.gates.report import GateReport, RuleResult, TableReport

__all__ = ["GateReport", "RuleResult", "TableReport", "bronze", "marts"]
