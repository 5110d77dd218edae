"""A frame of one tenant into `serve`, in one transaction: predictions, outcomes, decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from analytics.errors import WarehouseError
from analytics.settings import Settings
from analytics.tenants import get_tenant
from analytics.warehouse.connect import connect
from analytics.warehouse.copy import copy_frames
from analytics.warehouse.prepare import lock_tenant, prepare_if_needed
from analytics.warehouse.publish import refused
from analytics.warehouse.schema import sql_type
from analytics.warehouse.serve import check_name, ensure_rows_table


def publish_rows(
    settings: Settings,
    tenant_id: str,
    relation: str,
    frame: pl.DataFrame,
    replace: Mapping[str, Any],
) -> int:
    """Replace the tenant's rows of `serve.<relation>` that match `replace` by the frame's.

    Makes or widens the table by the frame's columns, readable by each tenant
    for its own rows. Returns the number of rows written.
    """
    get_tenant(settings, tenant_id)
    name = check_name(relation.removeprefix("serve."))
    _check_frame(tenant_id, name, frame, replace)
    prepare_if_needed(settings)
    columns = {column: sql_type(column, dtype) for column, dtype in frame.schema.items()}
    conditions = [sql.SQL("tenant_id = %s")] + [
        sql.SQL("{} is not distinct from %s").format(sql.Identifier(column)) for column in replace
    ]
    table = sql.Identifier("serve", name)
    with connect(settings, autocommit=True) as connection:
        ensure_rows_table(connection, name, columns, ("tenant_id", *replace))
        try:
            with connection.transaction():
                lock_tenant(connection, tenant_id)
                connection.execute(
                    sql.SQL("delete from {} where {}").format(
                        table, sql.SQL(" and ").join(conditions)
                    ),
                    [tenant_id, *replace.values()],
                )
                # COPY does not write where row-level security is forced; INSERT does.
                connection.execute(
                    sql.SQL("create temp table arriving (like {}) on commit drop").format(table)
                )
                copy_frames(connection, sql.Identifier("pg_temp", "arriving"), [frame])
                listed = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
                return connection.execute(
                    sql.SQL("insert into {} ({listed}) select {listed} from arriving").format(
                        table, listed=listed
                    )
                ).rowcount
        except psycopg.Error as error:
            raise refused(tenant_id, error) from None


def _check_frame(
    tenant_id: str, name: str, frame: pl.DataFrame, replace: Mapping[str, Any]
) -> None:
    if (
        "tenant_id" not in frame.columns
        or frame.filter(pl.col("tenant_id").ne_missing(tenant_id)).height
    ):
        raise WarehouseError(f"{name}: every row to publish must carry tenant_id {tenant_id!r}")
    lacks = set(replace) - set(frame.columns)
    if lacks:
        raise WarehouseError(f"{name}: no column {', '.join(sorted(lacks))} to replace by")
