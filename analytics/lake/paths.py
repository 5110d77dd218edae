"""Where each table of the lake lives under its root."""

from __future__ import annotations

from deltalake.fs import DeltaStorageHandler
from pyarrow import fs

from analytics.interval import Interval
from analytics.settings import Settings

SNAPSHOTS = "snapshots"


def table(settings: Settings, layer: str, name: str) -> str:
    """A table shared by all tenants: silver/plays, features/churn_features …"""
    return f"{settings.lake_root}/{layer}/{name}"


def bronze(settings: Settings, tenant_id: str, source: str) -> str:
    return f"{settings.lake_root}/bronze/{tenant_id}/{source}"


def bronze_rejects(settings: Settings, tenant_id: str, source: str) -> str:
    return f"{settings.lake_root}/bronze_rejects/{tenant_id}/{source}"


def bronze_schemas(settings: Settings, tenant_id: str, source: str) -> str:
    return f"{settings.lake_root}/bronze_schemas/{tenant_id}/{source}"


def quarantine(settings: Settings) -> str:
    return f"{settings.lake_root}/quarantine"


def ledger(settings: Settings) -> str:
    return f"{settings.lake_root}/ledger"


def snapshots(settings: Settings) -> str:
    return f"{settings.lake_root}/{SNAPSHOTS}"


def named(settings: Settings, name: str) -> str:
    """A table by its path under the root, as snapshots and hashes name it."""
    return f"{settings.lake_root}/{name}"


def store(uri: str) -> fs.FileSystem:
    """The files below a folder of the lake, through the library that writes them.

    Raises TableNotFoundError where a folder of this machine is not there.
    """
    return fs.PyFileSystem(DeltaStorageHandler(uri))


def staged(settings: Settings, tenant_id: str, table_name: str, interval: Interval) -> str:
    """Of what waits to land: the name of its JSON file less the suffix, and of its folder."""
    return f"{settings.lake_root}/staged/{tenant_id}/{table_name}/{span(interval)}"


def span(interval: Interval) -> str:
    """An interval as a name in `staged`."""
    return f"{interval.start:%Y%m%dT%H%M%S}-{interval.end:%Y%m%dT%H%M%S}"
