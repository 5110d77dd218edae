"""Marts of one tenant into `serve`, in one transaction: readers see the old or the new.

Where nothing differs, nothing is written and no snapshot made.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from analytics.errors import WarehouseError
from analytics.interval import Interval
from analytics.settings import Settings
from analytics.tenants import get_tenant
from analytics.warehouse.connect import connect
from analytics.warehouse.manifest import Relation, published_relations
from analytics.warehouse.pieces import replace_changed
from analytics.warehouse.prepare import lock_tenant, prepare_if_needed
from analytics.warehouse.schema import ANALYZE_FROM, columns_of
from analytics.warehouse.serve import ensure_like_mart

log = logging.getLogger(__name__)

ATTEMPTS = 3


@dataclass(frozen=True)
class Published:
    """What one publication changed."""

    snapshot_id: int | None  # None: nothing differed, the tenant stays on its snapshot
    rows: dict[str, int]  # relation to rows written, changed relations only


def publish(
    settings: Settings,
    tenant_id: str,
    interval: Interval | None,
    run_id: str,
    evidence: Mapping[str, Any],
    *,
    manifest: Path | None = None,
) -> Published:
    """Replace the tenant's changed rows of every published relation, and note the snapshot.

    Relations with a `publish_time` are compared around the interval (all of
    them without one, or when their model changed since the tenant's last
    publication). `evidence` may hold lake_versions, gate and dbt_invocation_id.
    """
    get_tenant(settings, tenant_id)
    relations, invocation = published_relations(manifest or settings.dbt_target / "manifest.json")
    prepare_if_needed(settings)
    with connect(settings, autocommit=True) as connection:
        columns = _ensure_structure(connection, relations)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with connection.transaction():
                    # One view of all marts; two publications of one tenant end in a retry.
                    connection.execute("set transaction isolation level repeatable read")
                    lock_tenant(connection, tenant_id)
                    rows = replace_changed(connection, tenant_id, interval, relations, columns)
                    evidence = {"dbt_invocation_id": invocation, **evidence}
                    number = _note_snapshot(
                        connection, tenant_id, interval, run_id, evidence, sorted(rows)
                    )
                for name, count in rows.items():
                    if count >= ANALYZE_FROM:
                        table = sql.Identifier("serve", name)
                        connection.execute(sql.SQL("analyze {}").format(table))
                log.info("%s: snapshot %s, rows %s", tenant_id, number or "unchanged", rows)
                return Published(number, rows)
            except psycopg.errors.SerializationFailure as error:
                if attempt == ATTEMPTS:
                    raise refused(tenant_id, error) from None
            except psycopg.Error as error:
                raise refused(tenant_id, error) from None
    raise AssertionError("unreachable")


def _ensure_structure(
    connection: psycopg.Connection, relations: Sequence[Relation]
) -> dict[str, dict[str, str]]:
    """Serve tables shaped like their marts; returns the marts' columns by relation."""
    marts = {}
    for relation in relations:
        columns = columns_of(connection, relation.schema, relation.name)
        if not columns:
            raise WarehouseError(
                f"{relation.schema}.{relation.name} is to be published and is not there; "
                "run `dbt build` first"
            )
        needed = {"tenant_id", *relation.grain, *([relation.time] if relation.time else [])}
        lacks = ", ".join(sorted(needed - columns.keys()))
        if lacks:
            raise WarehouseError(
                f"{relation.schema}.{relation.name} has no column {lacks}, which publishing "
                "needs; correct its meta in dbt"
            )
        marts[relation.name] = columns
        ensure_like_mart(connection, relation, columns)
    return marts


def _note_snapshot(
    connection: psycopg.Connection,
    tenant_id: str,
    interval: Interval | None,
    run_id: str,
    evidence: Mapping[str, Any],
    changed: list[str],
) -> int | None:
    """The number of the new snapshot; none where nothing changed and there is one already."""
    found = connection.execute(
        "select max(snapshot_id) from serve.snapshots where tenant_id = %s", [tenant_id]
    ).fetchone()
    last = found[0] if found else None
    if last is not None and not changed:
        return None
    connection.execute(
        "insert into serve.snapshots (tenant_id, snapshot_id, run_id, interval_from, interval_to,"
        " relations, lake_versions, dbt_invocation_id, gate)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            tenant_id,
            (last or 0) + 1,
            run_id,
            interval.start if interval else None,
            interval.end if interval else None,
            changed,
            json.dumps(evidence.get("lake_versions", {}), sort_keys=True, default=str),
            evidence.get("dbt_invocation_id"),
            json.dumps(evidence.get("gate", {}), sort_keys=True, default=str),
        ],
    )
    return (last or 0) + 1


def refused(tenant_id: str, error: psycopg.Error) -> WarehouseError:
    return WarehouseError(
        f"{tenant_id}: publishing failed, readers stay on the last snapshot: "
        f"{str(error).strip().splitlines()[0]}"
    )
