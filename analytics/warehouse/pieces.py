"""Which pieces of a tenant's published relations differ from their marts, and replacing those.

A piece is a UTC day of a relation that declares `meta.publish_time`, the whole
tenant for the others. Only pieces whose rows differ are replaced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg import sql

from analytics.interval import Interval
from analytics.lake.tables import RUN_STAMPS
from analytics.warehouse.hash import row_hash
from analytics.warehouse.manifest import Relation

# Late rows and tenants' own calendars move rows near the window's edges: look further than it.
LOOKBACK = timedelta(days=7)
LOOKAHEAD = timedelta(days=1)


def replace_changed(
    connection: psycopg.Connection,
    tenant_id: str,
    interval: Interval | None,
    relations: Sequence[Relation],
    columns: Mapping[str, Mapping[str, str]],
) -> dict[str, int]:
    """Rows written by relation, for those that differ.

    What was never published for the tenant is written whole, without comparing.
    """
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
    compared = [r for r in relations if r.name in known]
    changed = _changed_pieces(connection, tenant_id, compared, columns, windows)
    rows = {}
    for relation in relations:
        names, pieces = list(columns[relation.name]), changed.get(relation.name)
        if relation.name not in known or pieces:
            gone, written = _replace(connection, tenant_id, relation, names, pieces)
            if gone or written:
                rows[relation.name] = written
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
    if not relations:
        return {}
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
    pieces: Sequence[date | None] | None,
) -> tuple[int, int]:
    """Delete and insert these pieces, or all of the tenant's; rows gone and rows written."""
    serve = sql.Identifier("serve", relation.name)
    mart = sql.Identifier(relation.schema, relation.name)
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    where: sql.Composable = sql.SQL("tenant_id = %(tenant)s")
    values: dict[str, Any] = {"tenant": tenant_id}
    if relation.time and pieces is not None:
        where = where + sql.SQL(
            " and ({0} = any(%(days)s) or ({0} is null and %(undated)s))"
        ).format(_piece(relation))
        values |= {"days": [d for d in pieces if d is not None], "undated": None in pieces}
    gone = connection.execute(sql.SQL("delete from {} where {}").format(serve, where), values)
    written = connection.execute(
        sql.SQL("insert into {} ({listed}) select {listed} from {} where {}").format(
            serve, mart, where, listed=listed
        ),
        values,
    )
    return gone.rowcount, written.rowcount


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
