"""MLManager: a tenant's models from Python.

manager = MLManager(tenant_id="indie_radio")
await manager.initialize()
await manager.predictions(limit=10)
"""

from __future__ import annotations

import asyncio
from datetime import date

import polars as pl

from analytics.errors import TrainingError
from analytics.settings import Settings, load_settings
from analytics.tenants import Tenant, get_tenant
from ml.drift.decisions import Decision
from ml.outcomes import TrainingOutcome
from ml.registry.client import Registry
from ml.registry.versions import Version

BY_HAND = "asked for by hand"


class MLManager:
    """The async face of one tenant's churn model; work runs in a thread."""

    def __init__(self, tenant_id: str, settings: Settings | None = None) -> None:
        self.tenant_id = tenant_id
        self.settings = settings or load_settings()
        self._registry: Registry | None = None
        self._tenant: Tenant | None = None

    async def initialize(self) -> MLManager:
        """Check the tenant and log in to the registry. Raises what is wrong and what to do."""
        from ml.registry import connect

        self._tenant = get_tenant(self.settings, self.tenant_id)
        self._registry = await asyncio.to_thread(connect, self.settings)
        return self

    async def champion(self) -> Version | None:
        """The version in use, or None."""
        from ml.registry import versions

        return await asyncio.to_thread(versions.champion, self._ready(), self.tenant_id)

    async def predictions(self, limit: int | None = None) -> pl.DataFrame:
        """The newest day's predictions, highest risk first."""
        from ml import score, tables

        self._ready()
        version = await asyncio.to_thread(tables.version, self.settings, *score.TABLE)
        rows = await asyncio.to_thread(
            tables.read, self.settings, self.tenant_id, *score.TABLE, version
        )
        if rows.is_empty():
            return pl.DataFrame(schema=score.SCHEMA)
        newest = rows.filter(pl.col("as_of_date") == pl.col("as_of_date").max())
        ranked = newest.sort("churn_probability", "listener_id", descending=[True, False])
        return ranked if limit is None else ranked.head(limit)

    async def train(self, as_of: date, run_id: str = "by_hand") -> TrainingOutcome:
        """Train on what was known on that day; the recorded outcome."""
        from ml.train import run

        self._ready()
        return await asyncio.to_thread(run, self.settings, self.tenant_id, as_of, BY_HAND, run_id)

    async def outcomes(self) -> list[TrainingOutcome]:
        """Every recorded training, oldest first."""
        from ml.outcomes import recorded

        self._ready()
        return await asyncio.to_thread(recorded, self.settings, self.tenant_id)

    async def decisions(self) -> list[Decision]:
        """Every recorded look at drift, oldest first."""
        from ml.drift.decisions import recorded

        self._ready()
        return await asyncio.to_thread(recorded, self.settings, self.tenant_id)

    def _ready(self) -> Registry:
        if self._registry is None:
            raise TrainingError("call `await manager.initialize()` first")
        return self._registry
