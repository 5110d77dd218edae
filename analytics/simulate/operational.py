"""The operational PostgreSQL of a tenant: schema `app`, rows by COPY.

Writing days again replaces the rows of those days, found by `recorded_at`. Some
days wait in memory and go in by one transaction, so a reader never sees half a day.
While the server takes them in, the next days are made up.
"""

from __future__ import annotations

import io
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import psycopg
from psycopg import sql

from analytics.errors import StackError
from analytics.simulate.canonical import Spelt
from analytics.simulate.layout import CURSOR, POSTGRES, relation

DAYS_A_TRANSACTION = 10
ROWS_A_TRANSACTION = 200_000
TYPES = {
    pl.Int64: "bigint", pl.Int32: "integer", pl.String: "text", pl.Boolean: "boolean",
    pl.Date: "date", pl.Datetime: "timestamptz",
}  # fmt: skip


def dsn_of(secrets: Path, name: str, tenant_id: str) -> str:
    """The DSN that `analytics up` left for this tenant's operational database."""
    path = secrets / name
    if not path.exists():
        raise StackError(
            f"{tenant_id} writes to an operational PostgreSQL, and its DSN is not at {path}. "
            f"Run `analytics up` first, or leave the tenant out: --without {tenant_id}"
        )
    return path.read_text().strip()


class OperationalWriter:
    """Writes days to the database; `close` commits the last of them."""

    def __init__(self, dsn: str, tenant_id: str) -> None:
        try:
            self.connection = psycopg.connect(dsn, connect_timeout=10)
        except psycopg.OperationalError as error:
            raise StackError(
                f"the operational database of {tenant_id} cannot be reached: {error}. "
                f"`analytics status` shows whether it runs"
            ) from None
        self.connection.execute("SET synchronous_commit = off")
        self.known = False
        self.waiting: list[tuple[date, dict[str, pl.DataFrame]]] = []
        self.sender = ThreadPoolExecutor(1)
        self.sent: Future[None] | None = None  # one transaction under way, never two

    def write(self, day: date, spelt: Spelt) -> None:
        """Replace the rows that were recorded on the day, now or with days to come."""
        frames = {
            table: pl.DataFrame(
                {theirs: spelt[table][name] for name, theirs in columns.items()}
                | {CURSOR: spelt[table]["arrived"]}
            )
            for table, columns in POSTGRES.items()
        }
        self.waiting.append((day, frames))
        rows = sum(len(frame) for _, of_day in self.waiting for frame in of_day.values())
        if len(self.waiting) >= DAYS_A_TRANSACTION or rows >= ROWS_A_TRANSACTION:
            self._send()

    def close(self, keep: bool) -> None:
        """Commit what waits, or drop it where the run failed."""
        try:
            if keep and self.waiting:
                self._send()
            if keep and self.sent is not None:
                self.sent.result()
        finally:
            self.sender.shutdown()
            self.connection.close()

    def _send(self) -> None:
        """Hand over what waits; raises what became of the transaction before."""
        if self.sent is not None:
            self.sent.result()
        self.sent = self.sender.submit(self._commit, self.waiting)
        self.waiting = []

    def _commit(self, waiting: list[tuple[date, dict[str, pl.DataFrame]]]) -> None:
        days = [day for day, _ in waiting]
        frames = {table: pl.concat(f[table] for _, f in waiting) for table in POSTGRES}
        if not self.known:
            self._create(frames)
            self.known = True
        opens = datetime.combine(days[0], time(), tzinfo=UTC)
        closes = datetime.combine(days[-1] + timedelta(days=1), time(), tzinfo=UTC)
        for table, frame in frames.items():
            name = sql.Identifier(*relation(table).split("."))
            self.connection.execute(
                sql.SQL("DELETE FROM {} WHERE {} >= %s AND {} < %s").format(
                    name, sql.Identifier(CURSOR), sql.Identifier(CURSOR)
                ),
                (opens, closes),
            )
            buffer = io.BytesIO()
            frame.write_csv(buffer, include_header=False)
            into = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
                name, sql.SQL(", ").join(map(sql.Identifier, frame.columns))
            )
            with self.connection.cursor().copy(into) as copy:
                copy.write(buffer.getbuffer())
        self.connection.commit()

    def _create(self, frames: dict[str, pl.DataFrame]) -> None:
        """Make the tables that are missing; an index on the cursor finds a day's rows."""
        self.connection.execute("CREATE SCHEMA IF NOT EXISTS app")
        for table, frame in frames.items():
            fields = [
                sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(TYPES[kind.base_type()]))
                + sql.SQL(" NOT NULL" if name == CURSOR else "")
                for name, kind in frame.schema.items()
            ]
            schema_name, plain = relation(table).split(".")
            self.connection.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(
                    sql.Identifier(schema_name, plain), sql.SQL(", ").join(fields)
                )
            )
            self.connection.execute(
                sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(
                    sql.Identifier(f"{plain}_{CURSOR}"),
                    sql.Identifier(schema_name, plain),
                    sql.Identifier(CURSOR),
                )
            )
        self.connection.commit()
        self.connection.execute("SET synchronous_commit = off")
