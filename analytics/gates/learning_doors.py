"""The doors of learning: before a feature table takes new rows, before scores are kept.

Grain    one tenant: the as-of dates of a build, the listeners of a scored day.
Re-run   safe: judges what was computed, writes its own report alone.
Red      what was computed breaks a rule. Nothing of it is written; models go on with the
         features, and readers with the scores, that were there. docs/runbooks/gates.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from analytics.errors import GateFailed
from analytics.gates import data_docs, engine
from analytics.gates.judge import judge
from analytics.gates.publish import publish
from analytics.gates.report import GateReport
from analytics.interval import Interval
from analytics.settings import Settings
from analytics.tenants import get_tenant

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite


def features(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    run_id: str,
    table: str,
    rows: pl.DataFrame,
    values: pl.DataFrame,
) -> GateReport:
    """Judge a feature table by its profile: `rows` by as-of date, `values` by date and feature.

    Raises GateFailed when anything critical does not hold; the report and its data
    docs are written all the same.
    """
    engine.context()
    from expectations import features as suites

    judged = {
        table: (suites.rows_suite(table), rows),
        f"{table}_values": (suites.values_suite(table), values),
    }
    return _pass(settings, tenant_id, "features", interval, run_id, judged)


def predictions(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    run_id: str,
    relation: str,
    scores: pl.DataFrame,
) -> GateReport:
    """Judge one day's scores. Raises GateFailed like every door."""
    engine.context()
    from expectations import predictions as suites

    judged = {relation: (suites.suite(relation, scores.height), scores)}
    return _pass(settings, tenant_id, "predictions", interval, run_id, judged)


def _pass(
    settings: Settings,
    tenant_id: str,
    door: str,
    interval: Interval,
    run_id: str,
    tables: Mapping[str, tuple[ExpectationSuite, pl.DataFrame]],
) -> GateReport:
    get_tenant(settings, tenant_id)
    judged = {table: judge(suite, frame) for table, (suite, frame) in tables.items()}
    report = publish(settings, tenant_id, door, interval, run_id, judged)
    if not report.passed:
        raise GateFailed(report.message(data_docs.index(settings)))
    return report
