"""The ledger into `serve`: each tenant sees where every row of its own went.

Grain    one row per (tenant_id, table_name, interval, run that changed something).
Re-run   safe: the tenant's rows are replaced by what the ledger says.
"""

from __future__ import annotations

from analytics.lake import ledger
from analytics.settings import Settings
from analytics.warehouse.publish_rows import publish_rows

RELATION = "row_balance"


def publish_row_balance(settings: Settings, tenant_id: str) -> int:
    """Make `serve.row_balance` say of a tenant what the ledger says; the number of its lines.

    rows_in = landed + corrected + duplicates + quarantined + out_of_interval, in every row.
    `table` is a word of SQL, so the column is called table_name there.
    """
    lines = ledger.read(settings, tenant_id).rename({"table": "table_name"})
    return publish_rows(settings, tenant_id, RELATION, lines, {})
