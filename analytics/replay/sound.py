"""The rows of a table that the bronze gate would not set aside, without a verdict on the table."""

from __future__ import annotations

import polars as pl

from analytics.gates import engine, split
from analytics.gates.bronze_door import lacking
from analytics.interval import Interval
from analytics.tenants import Tenant


def is_sound(tenant: Tenant, table: str, interval: Interval, frame: pl.DataFrame) -> pl.Series:
    """For each row, whether it breaks none of the rules by which rows are set aside."""
    engine.context()
    from expectations import bronze as suites

    suite = suites.suite(table, interval, lacking=lacking(tenant, table))
    broken = [
        split.predicate(rule).broken
        for rule in suite.expectations
        if split.is_row_rule(rule) and getattr(rule.severity, "value", rule.severity) == "critical"
    ]
    return frame.select(~pl.any_horizontal(broken)).to_series()
