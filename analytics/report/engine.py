"""The Python face of one tenant's published numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date

from analytics.errors import AnalyticsError
from analytics.lake.tables import EARLIEST
from analytics.report.insights import insights
from analytics.report.metrics import METRICS, Period, Reader
from analytics.report.model import Report
from analytics.settings import Settings, load_settings
from analytics.tenants import Tenant, get_tenant

MOST_DAYS = 3660


def check_period(days: int, until: date | None) -> None:
    """Raises AnalyticsError for a period that no data can fill."""
    if not 1 <= days <= MOST_DAYS:
        raise AnalyticsError(f"days must be 1 to {MOST_DAYS}, not {days}")
    if until is not None and until < EARLIEST.date():
        raise AnalyticsError(f"until {until}: no data is older than {EARLIEST:%Y-%m-%d}")


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
        from analytics import warehouse

        self._settings = self._settings or load_settings()
        self._tenant = get_tenant(self._settings, self.tenant_id)
        await asyncio.to_thread(warehouse.read, self._settings, "select 1", None, self.tenant_id)

    async def generate_report(
        self,
        metrics: Sequence[str] = tuple(METRICS),
        ml_insights: bool = False,
        days: int = 28,
        until: date | None = None,
    ) -> Report:
        """The figures of `days` days up to `until` (default: the last published day).

        Raises AnalyticsError for an unknown metric, a period before any data, or when
        nothing is published yet.
        """
        check_period(days, until)
        if self._tenant is None:
            raise AnalyticsError("call `await initialize()` first")
        unknown = [m for m in metrics if m not in METRICS]
        if unknown:
            raise AnalyticsError(f"no metric {', '.join(unknown)}; there are {', '.join(METRICS)}")
        return await asyncio.to_thread(self._report, metrics, ml_insights, days, until)

    def _report(
        self, metrics: Sequence[str], ml_insights: bool, days: int, until: date | None
    ) -> Report:
        from analytics import warehouse

        assert self._tenant is not None
        assert self._settings is not None
        with warehouse.one_view(self._settings, self.tenant_id) as read:
            snapshot = read(
                "select snapshot_id::text from serve.snapshots order by snapshot_id desc limit 1"
            )
            if snapshot.is_empty():
                raise AnalyticsError(
                    f"nothing is published for {self.tenant_id} yet: `make run`, or trigger "
                    "`ingest`"
                )
            end = until or _published_until(read)
            if end is None:
                raise AnalyticsError(
                    f"{self.tenant_id} has no day with a play; give the day to end at"
                )
            period = Period.ending(end, days)
            return Report(
                tenant_id=self.tenant_id,
                tenant_name=self._tenant.name,
                start=period.start,
                end=period.end,
                snapshot_id=snapshot["snapshot_id"][0],
                sections=tuple(METRICS[m](read, period) for m in metrics),
                insights=insights(read, period.end) if ml_insights else None,
            )


def _published_until(read: Reader) -> date | None:
    """The day after the last one published, whichever publication brought it."""
    last = read("select max((interval_to at time zone 'UTC')::date) from serve.snapshots").item()
    if last is None:  # every publication was of all history
        last = read("select max(listening_date) + 1 from serve.daily_listening").item()
    return last
