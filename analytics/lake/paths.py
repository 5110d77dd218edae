"""Where each table of the lake lives under its root."""

from __future__ import annotations

from analytics.interval import Interval
from analytics.settings import Settings


def table(settings: Settings, layer: str, name: str) -> str:
    """A table shared by all tenants: silver/plays, features/churn_features …"""
    return f"{settings.lake_root}/{layer}/{name}"


def bronze(settings: Settings, tenant_id: str, source: str) -> str:
    return f"{settings.lake_root}/bronze/{tenant_id}/{source}"


def bronze_rejects(settings: Settings, tenant_id: str, source: str) -> str:
    return f"{settings.lake_root}/bronze_rejects/{tenant_id}/{source}"


def quarantine(settings: Settings) -> str:
    return f"{settings.lake_root}/quarantine"


def ledger(settings: Settings) -> str:
    return f"{settings.lake_root}/ledger"


def staged(settings: Settings, tenant_id: str, table_name: str, interval: Interval) -> str:
    span = f"{interval.start:%Y%m%dT%H%M%S}-{interval.end:%Y%m%dT%H%M%S}"
    return f"{settings.lake_root}/staged/{tenant_id}/{table_name}/{span}.parquet"
