"""Marts of one tenant into `serve`, in one transaction: readers see the old or the new.

Compared and replaced are pieces: a UTC day of a relation that declares
`meta.publish_time`, the whole tenant for the others. Only pieces whose rows
differ are replaced; where none differs, nothing is written and no snapshot made.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from analytics.errors import WarehouseError
from analytics.interval import Interval
from analytics.lake.tables import RUN_STAMPS
from analytics.settings import Settings
from analytics.tenants import get_tenant
from analytics.warehouse.connect import connect
from analytics.warehouse.copy import copy_frames
from analytics.warehouse.hash import row_hash
from analytics.warehouse.manifest import Relation, published_relations
from analytics.warehouse.prepare import lock_tenant, prepare_if_needed
from analytics.warehouse.schema import ANALYZE_FROM, columns_of, sql_type
from analytics.warehouse.serve import check_name, ensure_like_mart, ensure_rows_table

log = logging.getLogger(__name__)

# Late rows and tenants' own calendars move rows near the window's edges: look further than it.
LOOKBACK = timedelta(days=7)
LOOKAHEAD = timedelta(days=1)
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
                    rows = _replace_changed(connection, tenant_id, interval, relations, columns)
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
                    raise _refused(tenant_id, error) from None
            except psycopg.Error as error:
                raise _refused(tenant_id, error) from None
    raise AssertionError("unreachable")


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
            raise _refused(tenant_id, error) from None


# ------------------------------------------------------------------ what changed


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


def _replace_changed(
    connection: psycopg.Connection,
    tenant_id: str,
    interval: Interval | None,
    relations: Sequence[Relation],
    columns: Mapping[str, Mapping[str, str]],
) -> dict[str, int]:
    """Rows written by relation, for those that differ."""
    definitions = {r.name: _definition(r, columns[r.name]) for r in relations}
    known: dict[str, str] = dict(
        connection.execute(
            "select relation, definition from ops.published where tenant_id = %s", [tenant_id]
        ).fetchall()
    )
    windows = {
        r.name: _window(interval) if known.get(r.name) == definitions[r.name] else None
        for r in relations
    }
    changed = _changed_pieces(connection, tenant_id, relations, columns, windows)
    rows = {}
    for relation in relations:
        pieces = changed.get(relation.name)
        if pieces:
            names = list(columns[relation.name])
            rows[relation.name] = _replace(connection, tenant_id, relation, names, pieces)
    connection.cursor().executemany(
        "insert into ops.published values (%s, %s, %s)"
        " on conflict (tenant_id, relation) do update set definition = excluded.definition"
        " where published.definition <> excluded.definition",
        [(tenant_id, name, definition) for name, definition in definitions.items()],
    )
    return rows


def _changed_pieces(
    connection: psycopg.Connection,
    tenant_id: str,
    relations: Sequence[Relation],
    columns: Mapping[str, Mapping[str, str]],
    windows: Mapping[str, tuple[date, date] | None],
) -> dict[str, list[date | None]]:
    """One grouped query over all relations: which pieces differ between marts and serve."""
    parts: list[sql.Composable] = []
    for relation in relations:
        names = sorted(set(columns[relation.name]) - RUN_STAMPS)
        piece = _piece(relation)
        window = windows[relation.name]
        within = (
            sql.SQL(" and {}").format(_between(relation, columns[relation.name], window))
            if relation.time and window
            else sql.SQL("")
        )
        for side, schema in (("mart", relation.schema), ("serve", "serve")):
            parts.append(
                sql.SQL(
                    "select {name} as relation, {side} as side, {piece} as piece, count(*) as n,"
                    " sum({hash}::numeric) as h from {table}"
                    " where tenant_id = {tenant}{within} group by {piece}"
                ).format(
                    name=sql.Literal(relation.name),
                    side=sql.Literal(side),
                    piece=piece,
                    hash=row_hash(names),
                    table=sql.Identifier(schema, relation.name),
                    tenant=sql.Literal(tenant_id),
                    within=within,
                )
            )
    query = sql.SQL(
        "with pieces as ({}) select relation, piece from pieces group by relation, piece"
        " having count(*) < 2 or min(n) <> max(n) or min(h) <> max(h) order by 1, 2"
    ).format(sql.SQL(" union all ").join(parts))
    changed: dict[str, list[date | None]] = {}
    for name, day in connection.execute(query).fetchall():
        changed.setdefault(name, []).append(day)
    return changed


def _replace(
    connection: psycopg.Connection,
    tenant_id: str,
    relation: Relation,
    names: Sequence[str],
    pieces: Sequence[date | None],
) -> int:
    """Delete and insert the pieces."""
    serve = sql.Identifier("serve", relation.name)
    mart = sql.Identifier(relation.schema, relation.name)
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    where: sql.Composable = sql.SQL("tenant_id = %(tenant)s")
    if relation.time:
        where = where + sql.SQL(
            " and ({0} = any(%(days)s) or ({0} is null and %(undated)s))"
        ).format(_piece(relation))
    values = {
        "tenant": tenant_id,
        "days": [day for day in pieces if day is not None],
        "undated": None in pieces,
    }
    connection.execute(sql.SQL("delete from {} where {}").format(serve, where), values)
    done = connection.execute(
        sql.SQL("insert into {} ({listed}) select {listed} from {} where {}").format(
            serve, mart, where, listed=listed
        ),
        values,
    )
    return done.rowcount


def _piece(relation: Relation) -> sql.Composable:
    # Sessions are in UTC, so the cast cuts instants at midnight UTC.
    if relation.time is None:
        return sql.SQL("null::date")
    return sql.SQL("{}::date").format(sql.Identifier(relation.time))


def _between(
    relation: Relation, columns: Mapping[str, str], window: tuple[date, date]
) -> sql.Composable:
    """The window on the bare column, so that an index serves."""
    assert relation.time is not None
    kind = sql.SQL(columns[relation.time])
    return sql.SQL("{0} >= {1}::{3} and {0} < {2}::{3}").format(
        sql.Identifier(relation.time),
        sql.Literal(window[0].isoformat()),
        sql.Literal(window[1].isoformat()),
        kind,
    )


def _window(interval: Interval | None) -> tuple[date, date] | None:
    if interval is None:
        return None
    days = interval.days()
    return days[0] - LOOKBACK, days[-1] + LOOKAHEAD + timedelta(days=1)


def _definition(relation: Relation, columns: Mapping[str, str]) -> str:
    return f"{relation.definition}:{json.dumps(sorted(columns.items()))}"


# ------------------------------------------------------------------ evidence


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


def _refused(tenant_id: str, error: psycopg.Error) -> WarehouseError:
    return WarehouseError(
        f"{tenant_id}: publishing failed, readers stay on the last snapshot: "
        f"{str(error).strip().splitlines()[0]}"
    )
