"""Where PostgreSQL and TimescaleDB differ: how an event table is cut by time.

TimescaleDB is used where the server preloads it and never required. Without it,
event tables are cut into monthly range partitions, made when a load brings the month.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import psycopg
from psycopg import sql


def has_timescale(connection: psycopg.Connection) -> bool:
    """Whether hypertables can be made; installs the extension where the server offers it."""
    found = connection.execute(
        "select installed_version is not null,"
        " current_setting('timescaledb.disable_load', true) is not null"
        " from pg_available_extensions where name = 'timescaledb'"
    ).fetchone()
    installed, preloaded = found or (False, False)
    if installed or not preloaded:  # to install what is not preloaded would end the session
        return bool(installed)
    try:
        with connection.transaction():
            connection.execute("create extension timescaledb")
    except psycopg.Error:
        return False  # offered, but not ours to install: partitions do as well
    return True


def create_event_table(
    connection: psycopg.Connection, table: sql.Identifier, columns: sql.Composable, time: str
) -> None:
    """A new table cut by `time`: a hypertable of 30-day chunks, or partitioned by month."""
    if has_timescale(connection):
        connection.execute(sql.SQL("create table {} ({})").format(table, columns))
        connection.execute(
            # The primary key finds windows; an index on time alone slows COPY by a fifth.
            "select create_hypertable(%s::regclass, %s::name, create_default_indexes => false,"
            " chunk_time_interval => interval '30 days')",
            [table.as_string(connection), time],
        )
    else:
        connection.execute(
            sql.SQL("create table {} ({}) partition by range ({})").format(
                table, columns, sql.Identifier(time)
            )
        )


def missing_months(connection: psycopg.Connection, name: str, months: Iterable[date]) -> list[date]:
    """The months that `raw.<name>` has no partition for; none where it is no partitioned table."""
    kind = connection.execute(
        "select relkind from pg_class where oid = %s::regclass", [f'raw."{name}"']
    ).fetchone()
    if kind is None or kind[0] not in ("p", b"p"):
        return []
    there = {
        child
        for (child,) in connection.execute(
            "select relname from pg_inherits join pg_class on pg_class.oid = inhrelid"
            " where inhparent = %s::regclass",
            [f'raw."{name}"'],
        )
    }
    return [month for month in sorted(set(months)) if _partition(name, month) not in there]


def add_months(connection: psycopg.Connection, name: str, months: Iterable[date]) -> None:
    """Make the partitions. Attaching, unlike creating in place, waits for no running load."""
    for month in missing_months(connection, name, months):
        parent = sql.Identifier("raw", name)
        child = sql.Identifier("raw", _partition(name, month))
        after = date(month.year + month.month // 12, month.month % 12 + 1, 1)
        connection.execute(sql.SQL("create table {} (like {} including all)").format(child, parent))
        connection.execute(
            sql.SQL("alter table {} attach partition {} for values from ({}) to ({})").format(
                parent, child, f"{month:%Y-%m-01} 00:00:00+00", f"{after:%Y-%m-01} 00:00:00+00"
            )
        )


def _partition(name: str, month: date) -> str:
    return f"{name}_{month:%Y_%m}"
