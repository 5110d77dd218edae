"""The Python face of one tenant's published numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from analytics.errors import AnalyticsError
from analytics.report.metrics import METRICS, Period, top_reasons
from analytics.report.model import Insights, Report
from analytics.settings import Settings, load_settings
from analytics.tenants import Tenant, get_tenant

# A day has a decision for each champion it was looked at with: the last champion's is the last.
NEWEST_FIRST = {
    "training_outcomes": "as_of_date desc",
    "retraining_decisions": (
        "as_of_date desc, nullif(champion_version, 'none')::int desc nulls last"
    ),
}


class AnalyticsEngine:
    """Reports from what is published for one tenant, read under that tenant's own role.

    >>> engine = AnalyticsEngine(tenant_id="spotify_premium")
    >>> await engine.initialize()
    >>> report = await engine.generate_report(metrics=["engagement"], ml_insights=True)
    """

    def __init__(self, tenant_id: str, settings: Settings | None = None) -> None:
        self.tenant_id = tenant_id
        self._settings = settings
        self._tenant: Tenant | None = None

    async def initialize(self) -> None:
        """Find the tenant and its warehouse.

        Raises UnknownTenant, or WarehouseError when the warehouse does not answer.
        """
        self._settings = self._settings or load_settings()
        self._tenant = get_tenant(self._settings, self.tenant_id)
        await asyncio.to_thread(self._read, "select 1")

    async def generate_report(
        self,
        metrics: Sequence[str] = tuple(METRICS),
        ml_insights: bool = False,
        days: int = 28,
        until: date | None = None,
    ) -> Report:
        """The figures of `days` days up to `until` (default: the last published day).

        Raises AnalyticsError for an unknown metric or when nothing is published yet.
        """
        if self._tenant is None:
            raise AnalyticsError("call `await initialize()` first")
        unknown = [m for m in metrics if m not in METRICS]
        if unknown:
            raise AnalyticsError(f"no metric {', '.join(unknown)}; there are {', '.join(METRICS)}")
        if days < 1:
            raise AnalyticsError(f"days must be at least 1, not {days}")
        return await asyncio.to_thread(self._report, metrics, ml_insights, days, until)

    def _report(
        self, metrics: Sequence[str], ml_insights: bool, days: int, until: date | None
    ) -> Report:
        assert self._tenant is not None
        snapshot = self._read(
            "select snapshot_id::text from serve.snapshots order by snapshot_id desc limit 1"
        )
        if snapshot.is_empty():
            raise AnalyticsError(
                f"nothing is published for {self.tenant_id} yet: `make run`, or trigger `ingest`"
            )
        period = Period.ending(until or self._published_until(), days)
        return Report(
            tenant_id=self.tenant_id,
            tenant_name=self._tenant.name,
            start=period.start,
            end=period.end,
            snapshot_id=snapshot["snapshot_id"][0],
            sections=tuple(METRICS[m](self._read, period) for m in metrics),
            insights=self._insights(period.end) if ml_insights else None,
        )

    def _published_until(self) -> date:
        """The day after the last one published, whichever publication brought it."""
        last = self._read(
            "select max((interval_to at time zone 'UTC')::date) from serve.snapshots"
        ).item()
        if last is None:  # every publication was of all history
            last = self._read("select max(listening_date) + 1 from serve.daily_listening").item()
        if last is None:
            raise AnalyticsError(f"{self.tenant_id} has no day with a play; give the day to end at")
        return last

    def _insights(self, until: date) -> Insights:
        outcome = self._latest("training_outcomes", until)
        decision = self._latest("retraining_decisions", until)
        champion = self._latest("training_outcomes", until, "promoted")
        return Insights(
            model_version=str(champion["version"]) if champion else None,
            model_metric="AUC" if champion else None,
            model_score=champion["metric"] if champion else None,
            baseline_score=champion["baseline"] if champion else None,
            last_training=outcome["outcome"] if outcome else "never trained",
            last_decision=decision["reason"] if decision else "never monitored",
            top_reasons=top_reasons(self._read, until),
        )

    def _latest(self, relation: str, until: date, where: str = "true") -> dict[str, Any] | None:
        known = self._read("select to_regclass(%(n)s) is not null", {"n": f"serve.{relation}"})
        if not known.item():
            return None
        query = (
            f"select * from serve.{relation} where as_of_date <= %(until)s and {where}"  # noqa: S608  our own words
            f" order by {NEWEST_FIRST[relation]} limit 1"
        )
        rows = self._read(query, {"until": until})
        return None if rows.is_empty() else rows.row(0, named=True)

    def _read(self, sql: str, params: dict[str, Any] | None = None) -> pl.DataFrame:
        from analytics import warehouse

        assert self._settings is not None
        return warehouse.read(self._settings, sql, params, tenant_id=self.tenant_id)
