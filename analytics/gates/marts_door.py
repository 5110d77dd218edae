"""The door between marts and publication: what a tenant's readers may see.

Grain    one tenant, one interval: every published mart, in the days of the interval.
Re-run   safe: reads only.
Red      a rule on a mart, or a dbt test whose failing rows name this tenant (or name
         nobody, which stops all). The tenant stays on its last good snapshot.
         docs/runbooks/gates.md
"""

from __future__ import annotations

from analytics.errors import GateFailed
from analytics.gates import data_docs, engine, profiles
from analytics.gates.dbt_failures import dbt_failures
from analytics.gates.judge import judge
from analytics.gates.publish import publish
from analytics.gates.report import GateReport, RuleResult, TableReport
from analytics.interval import Interval
from analytics.settings import Settings
from analytics.tenants import get_tenant

DOOR = "marts"


def marts(settings: Settings, tenant_id: str, interval: Interval, run_id: str) -> GateReport:
    """Judge a tenant's marts in the interval, and what dbt's own tests found.

    Raises GateFailed when anything critical does not hold; the report and its
    data docs are written all the same.
    """
    get_tenant(settings, tenant_id)
    engine.context()
    from expectations import marts as suites

    judged = {
        name: judge(suites.suite(name), profiles.profile(settings, tenant_id, interval, mart))
        for name, mart in suites.MARTS.items()
    }
    judged["reconciliation"] = judge(
        suites.reconciliation_suite(), profiles.totals(settings, tenant_id, interval)
    )
    tests = _dbt_tests(settings, tenant_id)
    report = publish(settings, tenant_id, DOOR, interval, run_id, judged, (tests,))
    if not report.passed:
        raise GateFailed(report.message(data_docs.index(settings)))
    return report


def _dbt_tests(settings: Settings, tenant_id: str) -> TableReport:
    """The dbt tests that failed for this tenant, or for everybody."""
    failures = dbt_failures(settings, tenant_id)
    results = tuple(
        RuleResult(
            rule=row["test"],
            kind="dbt",
            severity=row["severity"],
            passed=False,
            unexpected=row["failures"],
            considered=row["failures"],
            reason=row["description"] or "A dbt test declared beside the model.",
            expectation="dbt test",
            observed=row["message"] or "",
        )
        for row in failures.iter_rows(named=True)
    )
    return TableReport("dbt_tests", 0, 0, 0, 0, results)
