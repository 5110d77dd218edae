"""What learning may ask of the warehouse: labels by name, one tenant's at a time."""

from __future__ import annotations

import polars as pl

from analytics.errors import WarehouseError
from analytics.settings import Settings
from analytics.warehouse.read import read

LABELS = {
    "churn": "select tenant_id, listener_id, as_of_date, is_churned from marts.churn_labels"
    " where tenant_id = %(tenant_id)s",
}


def labels(settings: Settings, tenant_id: str, name: str) -> pl.DataFrame:
    """The labels of that name as dbt last built them, one row per grain of their mart."""
    if name not in LABELS:
        raise WarehouseError(f"no labels {name!r}; there are {', '.join(LABELS)}")
    return read(settings, LABELS[name], {"tenant_id": tenant_id})
