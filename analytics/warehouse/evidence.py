"""What a publication rests on: lake versions and the gate's verdict, kept with the snapshot."""

from __future__ import annotations

import json
from typing import Any

from analytics.gates.report import GateReport, folder, slug
from analytics.lake import read
from analytics.lake.tables import TABLES
from analytics.settings import Settings


def collect(settings: Settings, tenant_id: str, run_id: str) -> dict[str, Any]:
    """`lake_versions` by table, and `gate`: whether it passed, rules judged, warnings."""
    silver = {f"silver/{name}": read.version(settings, "silver", name) for name in TABLES}
    features = {"features/churn_features": read.version(settings, "features", "churn_features")}
    versions = {k: v for k, v in {**silver, **features}.items() if v is not None}
    return {"lake_versions": versions, "gate": _verdict(settings, tenant_id, run_id)}


def _verdict(settings: Settings, tenant_id: str, run_id: str) -> dict[str, Any]:
    path = folder(settings) / tenant_id / "marts" / f"{slug(run_id)}.json"
    if not path.exists():
        return {}
    report = GateReport.from_dict(json.loads(path.read_text()))
    return {
        "passed": report.passed,
        "rules": sum(len(table.results) for table in report.tables),
        "warnings": sorted({r.rule for table in report.tables for r in table.warnings}),
    }
