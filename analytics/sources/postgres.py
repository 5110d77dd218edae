"""A table of a PostgreSQL database, read by its cursor column.

Units    UTC days of the cursor. A day's digest is computed by the server, so a day
         that did not change is not read again, and one that did replaces itself.
Feeds    the one table that `table` names, by the declared mapping.
Surprises the session is read-only; the password never appears in an error.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import psycopg
from psycopg import sql

from analytics.errors import SourceError
from analytics.interval import Interval
from analytics.settings import Settings
from analytics.sources import declared, files, physical
from analytics.sources.base import Batch, Came, Look, ReadUnit, Recognised, Unit, Units
from analytics.sources.typed import typed_batch
from analytics.tenants import Source, Tenant

BYTES_A_BATCH = 16 << 20


class PostgresTable:
    format = "postgres"
    row_by_row = True
    example = (
        "- {name: payments, format: postgres, table: payments, dsn_secret: my_ops_dsn, "
        "relation: app.payments, cursor: recorded_at, columns: {payment_id: id, "
        "listener_id: account_id, paid_at: paid_at, amount_minor: cents, currency: currency, "
        "kind: kind}}"
    )

    def recognise(self, look: Look) -> Recognised | None:
        return None  # a table is no file

    def feeds(self, source: Source) -> tuple[str, ...]:
        return (source.table or "",)

    def lacks(self, source: Source) -> frozenset[str]:
        return declared.lacks(source)

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return declared.types(source)

    def units(
        self, settings: Settings, tenant: Tenant, source: Source, interval: Interval
    ) -> Units:
        declared.table_of(tenant, source)
        days = interval.days()
        with connected(settings, tenant, source) as connection:
            query = sql.SQL(
                "select ({cursor} at time zone 'UTC')::date, count(*), "
                "sum(('x' || substr(md5(row({columns})::text), 1, 15))::bit(60)::bigint)::text "
                "from {relation} where {cursor} >= %s and {cursor} < %s group by 1"
            ).format(**_names(source), columns=_columns(source, _came(connection, tenant, source)))
            span = (_midnight(days[0]), _midnight(days[-1] + timedelta(days=1)))
            seen = {day: (count, total) for day, count, total in connection.execute(query, span)}
        return Units(tuple(_unit(source, day, *seen.get(day, (0, "0"))) for day in days))

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        with self.session(settings, tenant, source) as read:
            yield from read(unit)

    @contextmanager
    def session(self, settings: Settings, tenant: Tenant, source: Source) -> Iterator[ReadUnit]:
        with connected(settings, tenant, source) as connection:
            path = settings.secrets / (source.dsn_secret or "")

            def read(unit: Unit) -> Iterator[Batch]:
                # Explained unit by unit, so that one day's failure leaves the others.
                with (
                    _explained(tenant, source, path, path.read_text().strip()),
                    connection.transaction(),
                ):
                    came = _came(connection, tenant, source)
                    yield from _rows(connection, tenant, source, unit, came)

            yield read

    def extent(self, settings: Settings, tenant: Tenant, source: Source) -> Interval | None:
        query = sql.SQL("select min({cursor}), max({cursor}) from {relation}").format(
            **_names(source)
        )
        with connected(settings, tenant, source) as connection:
            first, last = connection.execute(query).fetchone() or (None, None)
        if first is None or last is None:
            return None
        return files.days_interval(first.astimezone(UTC).date(), last.astimezone(UTC).date())

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        return declared.conform(tenant, source, bronze)


def _rows(
    connection: psycopg.Connection, tenant: Tenant, source: Source, unit: Unit, came: Came
) -> Iterator[Batch]:
    """One day of the cursor, in its order."""
    assert unit.arrived_on is not None
    table = declared.table_of(tenant, source)
    key = source.columns.get(table.key, "")
    order = [sql.Identifier(c) for c in (source.cursor or "", key) if c in came.types]
    query = sql.SQL(
        "copy (select {columns} from {relation} where {cursor} >= {start} and {cursor} < {end} "
        "order by {order}) to stdout (format csv, header)"
    ).format(
        **_names(source),
        columns=_columns(source, came),
        start=_midnight(unit.arrived_on),
        end=_midnight(unit.arrived_on + timedelta(days=1)),
        order=sql.SQL(", ").join(order),
    )
    types, first_row = declared.types(source), 0
    for text in _copied(connection, query):
        frame = pl.read_csv(io.BytesIO(text), infer_schema=False)
        yield typed_batch(
            tenant, source, table.name, unit, frame, types, first_row=first_row, came=came
        )
        first_row += frame.height


@contextmanager
def connected(settings: Settings, tenant: Tenant, source: Source) -> Iterator[psycopg.Connection]:
    """A read-only session in UTC. Every failure is a SourceError without the password."""
    label = f"{tenant.id}: source {source.name}"
    if not (source.dsn_secret and source.relation and source.cursor):
        raise SourceError(f"{label}: format postgres needs `dsn_secret`, `relation` and `cursor`")
    path = settings.secrets / source.dsn_secret
    if not path.exists():
        raise SourceError(
            f"{label}: no DSN at {path}. Write postgresql://user:password@host:port/database "
            "into that file (mode 0600)"
        )
    dsn = path.read_text().strip()
    with (
        _explained(tenant, source, path, dsn),
        psycopg.connect(
            dsn, connect_timeout=10, options="-c timezone=UTC -c datestyle=ISO"
        ) as connection,
    ):
        connection.read_only = True
        yield connection


@contextmanager
def _explained(tenant: Tenant, source: Source, path: Path, dsn: str) -> Iterator[None]:
    """What PostgreSQL refuses becomes a SourceError that says what to do."""
    try:
        yield
    except psycopg.Error as error:
        advice = f"Check {path} and the server, or ask its owner ({source.owner})"
        if "password authentication failed" in str(error):
            advice = f"Put the right password into {path}, or ask its owner ({source.owner})"
        elif isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
            advice = f"Correct `relation`, `cursor` or `columns`, or ask its owner ({source.owner})"
        elif isinstance(error, psycopg.errors.InsufficientPrivilege):
            advice = f"Ask its owner ({source.owner}) to grant select on {source.relation}"
        what = " ".join(_without_password(str(error), dsn).split())
        raise SourceError(
            f"{tenant.id}: source {source.name}: {source.relation} cannot be read: {what}. {advice}"
        ) from None


def _without_password(message: str, dsn: str) -> str:
    try:
        password = str(psycopg.conninfo.conninfo_to_dict(dsn).get("password") or "")
    except psycopg.Error:
        return "its DSN is malformed"
    return message.replace(password, "***") if password else message


def _came(connection: psycopg.Connection, tenant: Tenant, source: Source) -> Came:
    """What the relation has; a required column that is gone is named before a query fails on it."""
    names = _names(source)
    probe = connection.execute(sql.SQL("select * from {relation} limit 0").format(**names))
    known, types = connection.adapters.types, {}
    for column in probe.description or ():
        info = known.get(column.type_code)
        types[column.name] = physical.of_postgres(info.name if info else "")
    declared.require_columns(tenant, source, source.relation or "", list(types))
    return Came(types)


def _names(source: Source) -> dict[str, sql.Composable]:
    return {
        "relation": sql.Identifier(*(source.relation or "").split(".")),
        "cursor": sql.Identifier(source.cursor or ""),
    }


def _columns(source: Source, came: Came) -> sql.Composable:
    """The declared columns that are there."""
    there = [name for name in declared.types(source) if name in came.types]
    return sql.SQL(", ").join(map(sql.Identifier, there))


def _unit(source: Source, day: date, count: int, total: str) -> Unit:
    digest = hashlib.sha256(f"{source.relation}|{day}|{count}|{total}".encode()).hexdigest()
    return Unit(name=f"{source.relation}@{day}", digest=digest, arrived_on=day)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _copied(connection: psycopg.Connection, query: sql.Composed) -> Iterator[bytes]:
    """The CSV of the query in pieces of whole rows, each with the header.

    COPY gives one row a message, so a piece never ends inside a quoted value.
    """
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        header, kept, size = b"", [], 0
        for message in copy:
            row = bytes(message)
            if not header:
                header = row
                continue
            kept.append(row)
            size += len(row)
            if size >= BYTES_A_BATCH:
                yield header + b"".join(kept)
                kept, size = [], 0
        if kept:
            yield header + b"".join(kept)
