"""Frames into tables by COPY: each chunk is encoded while the server takes the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import polars as pl
import psycopg
from psycopg import sql

CHUNK = 50_000  # rows


def copy_frames(
    connection: psycopg.Connection, table: sql.Identifier, frames: Iterable[pl.DataFrame]
) -> int:
    """Append all rows, by column name; returns how many. Frames must have equal columns.

    Null is an empty field and the empty string a quoted one. PostgreSQL stores
    no NUL character: it arrives as U+FFFD.
    """
    pieces = (piece for frame in frames for piece in frame.iter_slices(CHUNK) if piece.height)
    first = next(pieces, None)
    if first is None:
        return 0
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(
        table, sql.SQL(", ").join(map(sql.Identifier, first.columns))
    )
    rows = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for count, encoded in _ahead(chain([first], pieces), first.columns):
            copy.write(encoded)
            rows += count
    return rows


def _ahead(frames: Iterator[pl.DataFrame], columns: list[str]) -> Iterator[tuple[int, bytes]]:
    """Encoded chunks, one ahead of the consumer."""

    def encode() -> tuple[int, bytes] | None:
        frame = next(frames, None)
        return None if frame is None else (frame.height, _csv(frame.select(columns)))

    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(encode)
        while (ready := upcoming.result()) is not None:
            upcoming = pool.submit(encode)
            yield ready


def _csv(frame: pl.DataFrame) -> bytes:
    texts = pl.col(pl.String)
    if frame.select(pl.any_horizontal(texts.str.contains("\0", literal=True).any())).item():
        frame = frame.with_columns(texts.str.replace_all("\0", "\ufffd", literal=True))
    return frame.write_csv(include_header=False).encode()
