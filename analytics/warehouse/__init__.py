"""The warehouse: load silver into `raw`, publish marts to `serve`, read as a tenant."""

from analytics.warehouse.connect import connect, dbt_environment
from analytics.warehouse.hash import content_hash
from analytics.warehouse.labels import labels
from analytics.warehouse.load import Loaded, load, load_features
from analytics.warehouse.prepare import prepare
from analytics.warehouse.publish import Published, publish
from analytics.warehouse.publish_rows import publish_rows
from analytics.warehouse.read import one_view, read
from analytics.warehouse.roles import bootstrap
from analytics.warehouse.row_balance import publish_row_balance

__all__ = [
    "Loaded",
    "Published",
    "bootstrap",
    "connect",
    "content_hash",
    "dbt_environment",
    "labels",
    "load",
    "load_features",
    "one_view",
    "prepare",
    "publish",
    "publish_row_balance",
    "publish_rows",
    "read",
]
