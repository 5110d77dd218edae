"""Content hashes of warehouse tables: equal when the rows are, in whatever order they lie."""

from __future__ import annotations

import hashlib

import psycopg
from psycopg import sql

from analytics.lake.tables import RUN_STAMPS
from analytics.settings import Settings
from analytics.warehouse.connect import connect

_RELATIONS = """
select nspname, relname, array_agg(attname::text order by attname)
from pg_class
join pg_namespace on pg_namespace.oid = relnamespace
join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
where nspname = any(%s) and relkind in ('r', 'p', 'v', 'm') and not relispartition
group by nspname, relname
having 'tenant_id' = any(array_agg(attname::text))
order by nspname, relname
"""
# A record of runs, not of rows: it names commits and invocations.
_LEFT_OUT = {("serve", "snapshots")}


def content_hash(settings: Settings) -> dict[tuple[str, str], str]:
    """(schema.relation, tenant) to hash, over raw, marts and serve, run stamps left out."""
    hashes = {}
    with connect(settings) as connection:
        found = connection.execute(_RELATIONS, [["raw", "marts", "serve"]]).fetchall()
        for schema, relation, columns in found:
            if (schema, relation) in _LEFT_OUT:
                continue
            kept = [column for column in columns if column not in RUN_STAMPS]
            for tenant, *sums in _sums(connection, schema, relation, kept):
                text = f"{kept}{sums}"
                name = (f"{schema}.{relation}", tenant)
                hashes[name] = hashlib.sha256(text.encode()).hexdigest()[:32]
    return hashes


def row_hash(columns: list[str]) -> sql.Composable:
    """A 64-bit number of one row, of the columns in the order given."""
    return sql.SQL("hashtextextended(row({})::text, 0)").format(
        sql.SQL(", ").join(map(sql.Identifier, columns))
    )


def _sums(
    connection: psycopg.Connection, schema: str, relation: str, columns: list[str]
) -> list[tuple]:
    query = sql.SQL(
        "select tenant_id, count(*), sum({}::numeric)::text from {} group by 1 order by 1"
    ).format(row_hash(columns), sql.Identifier(schema, relation))
    return connection.execute(query).fetchall()
