"""`analytics report`: one tenant's report in the terminal or as a page."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

from analytics.report.engine import AnalyticsEngine, check_period
from analytics.report.model import Report
from analytics.settings import Settings


def make_report(
    settings: Settings, tenant_id: str, days: int = 28, until: date | None = None
) -> Report:
    """The report of `days` days, as `AnalyticsEngine.generate_report` gives it."""
    check_period(days, until)  # before the warehouse is asked

    async def make() -> Report:
        engine = AnalyticsEngine(tenant_id, settings)
        await engine.initialize()
        return await engine.generate_report(ml_insights=True, days=days, until=until)

    return asyncio.run(make())


def write_page(settings: Settings, report: Report) -> Path:
    """The page under var/reports, where the docs site serves it."""
    path = settings.var / "reports" / f"{report.tenant_id}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report.to_html())
    return path
