"""Scrobbles of Last.fm as exporters write them: CSV, TSV or semicolons, with a header or without.

Feeds    plays, tracks, artists, listeners (see `scrobbles.py`).
Identity of a play: listener, time, artist, track and album as written. No MBID: Last.fm adds
         them later, and the export of next year would bring every play again.
Dialects with a header: artist, track (or title) and a time in any order and case; a first
         column of row numbers is passed over. Without one: artist, album, track, date.
Times    are UTC and as fine as they are written. Epochs (`uts`, `timestamp`, `Date#<user>` in
         milliseconds) and `datetime` tell seconds. The export without a header tells minutes, as
         `utc_time` does, which counts only where `uts` is empty: there a track scrobbled twice
         within a minute is one play, and no play of theirs is one of an export with seconds.
Surprises A scrobble without a time (still playing, or 0: a player without a clock) stays
         without, and the gate sets it aside. Nothing says how long a track was heard.
         The listener is the export's `user` or `username`, else the user of `Date#<user>`,
         else `owner`: not the file's name, which changes with every delivery.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from analytics.errors import SchemaError
from analytics.lake.tables import INSTANT
from analytics.settings import Settings
from analytics.sources import delimited, files, scrobbles
from analytics.sources.base import Batch, Look, Recognised, Unit, rejects
from analytics.sources.delimited import Layout
from analytics.sources.typed import typed_batch
from analytics.tenants import Source, Tenant

FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "listener": pl.String, "artist": pl.String, "artist_mbid": pl.String, "album": pl.String,
    "album_mbid": pl.String, "track": pl.String, "track_mbid": pl.String, "at": INSTANT,
}  # fmt: skip
# Letters of a header's names → ours. Of several times the first that is given counts.
NAMES = {
    "artist": "artist", "artistname": "artist", "artistmbid": "artist_mbid",
    "album": "album", "albumname": "album", "albumtitle": "album", "albummbid": "album_mbid",
    "track": "track", "trackname": "track", "title": "track", "trackmbid": "track_mbid",
    "user": "listener", "username": "listener",
}  # fmt: skip
TIMES = ("uts", "timestamp", "datetime", "utctime", "date", "time")
NEEDED = {"artist", "track"}
HEADLESS = Layout({"artist": 0, "album": 1, "track": 2, "date": 3}, width=4)
DATE_OF_USER = re.compile(r"date#(.+)", re.IGNORECASE)
SUFFIXES = (".csv", ".tsv")
LINES_LOOKED_AT = 50


@dataclass(frozen=True)
class Dialect:
    """How one file writes its scrobbles."""

    layout: Layout
    has_header: bool
    user: str = scrobbles.OWNER  # whose scrobbles they are, where no column says it


class LastfmScrobbles(files.FileReader):
    format = "lastfm_scrobbles"
    example = '- {name: scrobbles, format: lastfm_scrobbles, path: "/data/my_tenant/*.csv"}'

    def recognise(self, look: Look) -> Recognised | None:
        if look.suffix not in SUFFIXES:
            return None
        lines = [line for line in look.lines if line.strip()][:LINES_LOOKED_AT]
        dialect = dialect_of(lines)
        if dialect is None:
            return None
        rows, _ = delimited.parsed(
            0, [line.encode() for line in lines[dialect.has_header :]], dialect.layout
        )
        times = _times(rows)
        is_all_strange = times.count() > 0 and scrobbles.instants(times).count() == 0
        return None if is_all_strange else Recognised("scrobbles")

    def feeds(self, source: Source) -> tuple[str, ...]:
        return scrobbles.TABLES

    def lacks(self, source: Source) -> frozenset[str]:
        return frozenset({"listened_ms"})

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        first = 0
        for _, file in scrobbles.members(tenant, source, unit, _is_of_scrobbles):
            dialect: Dialect | None = None
            for number, lines in delimited.pieces(file, first):
                first = number + len(lines)
                if dialect is None:
                    skipped, dialect = _begun(tenant, source, unit, lines)
                    number, lines = number + skipped, lines[skipped:]
                if dialect is not None:
                    yield _batch(tenant, source, unit, number, lines, dialect)

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        play = [pl.col("at").dt.epoch("us"), *map(pl.col, ("listener", "artist", "track", "album"))]
        return scrobbles.conform(tenant, source, bronze, play)


def dialect_of(lines: Sequence[str]) -> Dialect | None:
    """How a file that begins with these lines is written; None where it holds no scrobbles."""
    if not lines or "\x00" in lines[0]:  # UTF-16 is full of them
        return None
    for separator in (",", "\t", ";"):
        head = pl.Series(lines, dtype=pl.String)
        names, *rows = delimited.cut(head, separator, is_quoted=True).to_list()
        wider = sum(len(row) == len(names) + 1 for row in rows)
        if wider * 2 > len(rows):  # R leaves the row numbers without a name
            names.insert(0, "")
        columns, user = _columns(names)
        if set(columns) > NEEDED:
            return Dialect(Layout(columns, len(names), separator), True, user)
    whole, _ = delimited.parsed(0, [line.encode() for line in lines], HEADLESS)
    dates = whole["date"].filter(~whole["date"].str.contains(r"^[\s\d.]*$"))  # a mere number
    dated = scrobbles.instants(dates).count()
    return Dialect(HEADLESS, False) if dated * 2 > len(lines) else None


def _columns(names: list[str]) -> tuple[dict[str, int], str]:
    """Place by our name of a header's columns, times under their own names, and its user."""
    columns: dict[str, int] = {}
    user = scrobbles.OWNER
    for place, name in enumerate(names):
        if of_user := DATE_OF_USER.fullmatch(name.strip().strip('"')):
            user, plain = of_user[1].strip(), "date"
        else:
            plain = re.sub("[^a-z]", "", name.lower())
        ours = plain if plain in TIMES else NAMES.get(plain)
        if ours:
            columns.setdefault(ours, place)
    return (columns, user) if set(columns) & set(TIMES) else ({}, user)


def _is_of_scrobbles(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _begun(
    tenant: Tenant, source: Source, unit: Unit, lines: list[bytes]
) -> tuple[int, Dialect | None]:
    """How many lines stand before the first row, and the dialect; None where all are blank."""
    given = [n for n, line in enumerate(lines) if line.strip()][:LINES_LOOKED_AT]
    if not given:
        return len(lines), None
    texts = [lines[n].decode("utf-8", "replace").rstrip("\r") for n in given]
    dialect = dialect_of(texts)
    if dialect is None:
        raise SchemaError(
            f"{tenant.id}: source {source.name}: {unit.name} holds no scrobbles that are known "
            f"here; it begins with {texts[0][:80]!r}. Export it as UTF-8 with columns for artist, "
            f"track and time, or ask its owner ({source.owner})"
        )
    return given[0] + dialect.has_header, dialect


def _batch(
    tenant: Tenant, source: Source, unit: Unit, number: int, lines: list[bytes], dialect: Dialect
) -> Batch:
    rows, broken = delimited.parsed(number, lines, dialect.layout)
    frame, strange = scrobbles.placed(rows.with_columns(_times(rows)))
    if "listener" not in frame.columns:
        frame = frame.with_columns(pl.lit(dialect.user).alias("listener"))
    batch = typed_batch(tenant, source, "plays", unit, frame, FIELDS)
    bad = rejects(tenant, source, "plays", unit, pl.concat([broken, strange]))
    return Batch(batch.rows, bad)


def _times(rows: pl.DataFrame) -> pl.Series:
    """The text of each row that says when: the first of TIMES that is given."""
    there = {name: pl.col(name) for name in TIMES if name in rows.columns}
    if {"date", "time"} <= set(there):
        there["date"] = pl.concat_str("date", pl.lit(" "), there.pop("time"))
    return rows.select(pl.coalesce(*there.values()).alias("at")).to_series()
