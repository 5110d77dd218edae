"""What a scrobble says as our tables: who heard which track of which artist, and since when.

Feeds    plays, tracks, artists, listeners.
Identity of a track: its MBID, else artist and title. A scrobble has no length, so its track
         never is that of a log or catalogue; and the same song with and without an MBID is two.
         Of an artist: the name, which every scrobble has; the MBID is its external_id.
Surprises Texts that are no MBID ("NA", "-") are none. A scrobble without a time, or of a broken
         clock, stays a play, which the gate sets aside, and dates nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO

import polars as pl

from analytics.errors import SchemaError
from analytics.lake.tables import EARLIEST, INSTANT
from analytics.sources import files
from analytics.sources.base import Unit
from analytics.sources.shape import canonical, identified, song_key
from analytics.sources.typed import RAW_WIDTH, cast
from analytics.tenants import Source, Tenant

TABLES = ("plays", "tracks", "artists", "listeners")
OWNER = "owner"  # whose export it is, where it names nobody

MBID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
FIRST_MS = 100_000_000_000  # epochs from here on are milliseconds: in seconds it is year 5138
SPOKEN = tuple(f"%d %B %Y{comma} {clock}" for comma in ("", ",") for clock in ("%H:%M", "%H:%M:%S"))


def members(
    tenant: Tenant, source: Source, unit: Unit, mine: Callable[[str], bool]
) -> Iterator[tuple[str, IO[bytes]]]:
    """The file, or those files of a zip that are `mine`. SchemaError where none is."""
    found = False
    for name, file in files.members(tenant, source, unit, mine):
        found = True
        yield name, file
    if not found:
        raise SchemaError(
            f"{tenant.id}: source {source.name}: {unit.name} holds no file of scrobbles. Put the "
            f"whole export in its place, or ask its owner ({source.owner})"
        )


def instants(texts: pl.Series) -> pl.Series:
    """Epochs (seconds or milliseconds), ISO and `05 Mar 2021, 14:03` in UTC; null where it is none.

    A day without a time of day is no instant: all of a day's scrobbles would be at once.
    """
    texts = texts.str.strip_chars()
    number = texts.str.extract(r"^(\d{1,14})(?:\.0+)?$").cast(pl.Int64)
    micros = number.to_frame("n").select(
        pl.when(pl.col("n") < FIRST_MS).then(pl.col("n") * 1_000_000).otherwise(pl.col("n") * 1000)
    )
    found = [micros.to_series().cast(INSTANT)]
    clock = texts.set(~texts.str.contains(":", literal=True), None)
    if clock.null_count() < len(clock):
        found.append(cast(clock, INSTANT))
        found += [
            clock.str.to_datetime(layout, strict=False, time_unit="us", time_zone="UTC")
            for layout in SPOKEN
        ]
    return pl.select(pl.coalesce(pl.lit(series) for series in found)).to_series().alias(texts.name)


def placed(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows with their text `at` as an instant, and apart those whose text is none.

    Zero is no time: it is what a player without a clock sends.
    """
    at = instants(rows["at"])
    is_strange = rows["at"].is_not_null() & at.is_null()
    strange = rows.filter(is_strange).select(
        pl.col("_row").alias("row"),
        pl.lit("type:at").alias("rule"),
        pl.lit("at").alias("column"),
        pl.col("at").alias("value"),
        pl.struct(pl.all().exclude("_row")).struct.json_encode().str.head(RAW_WIDTH).alias("raw"),
    )
    timed = rows.with_columns(at.set(at.dt.epoch("us") == 0, None).alias("at"))
    return timed.filter(~is_strange), strange


def mbid(column: str) -> pl.Expr:
    """The column where it holds an id of MusicBrainz, else null."""
    text = pl.col(column).str.strip_chars().str.to_lowercase()
    return pl.when(text.str.contains(MBID)).then(text)


def conform(
    tenant: Tenant, source: Source, heard: pl.DataFrame, play: list[pl.Expr]
) -> dict[str, pl.DataFrame]:
    """Scrobbles as our tables; `play` tells two of them apart.

    `heard` has listener, at, artist, artist_mbid, album, track, track_mbid, and may have
    listened_ms and track_ms.
    """
    artist, title = pl.col("artist"), pl.col("track")
    heard = identified(heard, "_play", play)
    heard = identified(heard, "_song", song_key(artist, title, pl.lit(None, pl.Int64)))
    heard = identified(heard, "_artist", [artist.str.strip_chars().str.to_lowercase()])
    is_named = artist.is_not_null() & title.is_not_null()
    heard = heard.with_columns(
        pl.coalesce(mbid("track_mbid"), pl.when(is_named).then("_song")).alias("_track"),
        pl.when(artist.is_not_null()).then("_artist").alias("_artist"),
        mbid("artist_mbid").alias("_external"),
    )
    dated = heard.filter(pl.col("at") >= EARLIEST)
    return {
        "plays": _plays(tenant, source, heard),
        "tracks": _tracks(tenant, source, dated.filter(title.is_not_null())),
        "artists": _artists(tenant, source, dated),
        "listeners": _listeners(tenant, source, dated),
    }


def _plays(tenant: Tenant, source: Source, heard: pl.DataFrame) -> pl.DataFrame:
    lengths = {c: pl.col(c) for c in ("listened_ms", "track_ms") if c in heard.columns}
    return canonical(
        "plays", tenant, source, heard,
        {
            "play_id": pl.col("_play"),
            "listener_id": pl.col("listener"),
            "track_id": pl.col("_track"),
            "started_at": pl.col("at"),
            **lengths,
        },
    )  # fmt: skip


def _tracks(tenant: Tenant, source: Source, heard: pl.DataFrame) -> pl.DataFrame:
    length = {"duration_ms": "track_ms"} if "track_ms" in heard.columns else {}
    facts = ["track", "_artist", "artist", "album", *length.values()]
    return canonical(
        "tracks", tenant, source, _changes(heard, "_track", facts),
        {
            "track_id": pl.col("_track"),
            "title": pl.col("track"),
            "artist_id": pl.col("_artist"),
            "artist_name": pl.col("artist"),
            "album": pl.col("album"),
            **{ours: pl.col(theirs) for ours, theirs in length.items()},
            "updated_at": pl.col("at"),
        },
    )  # fmt: skip


def _artists(tenant: Tenant, source: Source, heard: pl.DataFrame) -> pl.DataFrame:
    return canonical(
        "artists", tenant, source, _changes(heard, "_artist", ["artist", "_external"]),
        {
            "artist_id": pl.col("_artist"),
            "name": pl.col("artist"),
            "external_id": pl.col("_external"),
            "updated_at": pl.col("at"),
        },
    )  # fmt: skip


def _listeners(tenant: Tenant, source: Source, heard: pl.DataFrame) -> pl.DataFrame:
    return canonical(
        "listeners", tenant, source, _changes(heard, "listener", []),
        {"listener_id": pl.col("listener"), "updated_at": pl.col("at")},
    )  # fmt: skip


def _changes(heard: pl.DataFrame, key: str, facts: list[str]) -> pl.DataFrame:
    """One row per change of what is said of a key, at the first scrobble that shows it."""
    states = heard.filter(pl.col(key).is_not_null()).sort(key, "at", "_file", "_row")
    is_same = [pl.col(c).eq_missing(pl.col(c).shift(1)) for c in (key, *facts)]
    return states.filter(~pl.all_horizontal(is_same))
