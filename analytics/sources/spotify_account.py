"""Spotify's account data: a zip, or its StreamingHistory files: music, podcasts, audiobooks.

Feeds    plays, tracks, artists, listeners.
Identity end, artist, title, book and length, by whichever names a file gives them (a podcast
         is artist and title in older exports), so that exports which overlap meet. Two equal
         rows are one play: an export has none by itself. Cutting the 41,114 music plays of
         a history known to the second down to these fields merges 61, most under a second.
Surprises `endTime` is UTC and cut to the minute: a play is placed `msPlayed` before that
         minute began, so up to a minute too early. There are names only: a track is its
         artist and title, as of a scrobble. The export names no listener and covers a year.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from analytics.settings import Settings
from analytics.sources import files, json_array
from analytics.sources.base import Batch, Look, Recognised, Unit
from analytics.sources.shape import canonical, identified, song_key
from analytics.sources.spotify_extended import OWNER, UNNAMED, packing
from analytics.tenants import Source, Tenant

NAMES = ("StreamingHistory*.json",)
FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "endTime": pl.Datetime("us", "UTC"), "msPlayed": pl.Int64,
    "artistName": pl.String, "trackName": pl.String,
    "podcastName": pl.String, "episodeName": pl.String,
    "authorName": pl.String, "audiobookName": pl.String, "chapterName": pl.String,
}  # fmt: skip
ARTIST = pl.coalesce("artistName", "podcastName", "authorName")
TITLE = pl.coalesce("trackName", "episodeName", "chapterName", "audiobookName")


class SpotifyAccount(files.FileReader):
    format = "spotify_account"
    example = '- {name: account, format: spotify_account, path: "/data/my_tenant/*.zip"}'

    def recognise(self, look: Look) -> Recognised | None:
        if not json_array.is_named(NAMES, look.name):
            return None
        return Recognised("account", family=f"**/{NAMES[0]}{packing(look)}")

    def feeds(self, source: Source) -> tuple[str, ...]:
        return ("plays", "tracks", "artists", "listeners")

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        yield from json_array.read(
            tenant, source, unit, "plays", FIELDS, needed=("endTime", "msPlayed"), names=NAMES
        )

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        ended = pl.col("endTime").dt.epoch("us")
        plays = identified(
            bronze, "_id", [ended, ARTIST, TITLE, pl.col("audiobookName"), pl.col("msPlayed")]
        )
        title = pl.concat_str("audiobookName", TITLE, separator=": ", ignore_nulls=True)
        plays = identified(plays, "_song", song_key(ARTIST, title, pl.lit(None, pl.Int64)))
        plays = identified(plays, "_artist", [ARTIST.str.strip_chars().str.to_lowercase()])
        is_named = ARTIST.is_not_null() | TITLE.is_not_null()
        plays = plays.with_columns(
            pl.when(is_named).then("_song").otherwise(pl.lit(UNNAMED)).alias("_item"),
            pl.when(ARTIST.is_not_null()).then("_artist").alias("_artist"),
        )
        return {
            "plays": canonical(
                "plays", tenant, source, plays,
                {
                    "play_id": pl.col("_id"),
                    "listener_id": pl.lit(OWNER),
                    "track_id": pl.col("_item"),
                    "started_at": pl.col("endTime") - pl.duration(milliseconds="msPlayed"),
                    "listened_ms": pl.col("msPlayed"),
                },
            ),
            "tracks": _tracks(tenant, source, plays.filter(is_named)),
            "artists": _artists(tenant, source, plays.filter(ARTIST.is_not_null())),
            "listeners": _listener(tenant, source, plays),
        }  # fmt: skip


def _tracks(tenant: Tenant, source: Source, plays: pl.DataFrame) -> pl.DataFrame:
    return canonical(
        "tracks", tenant, source, _first(plays, "_item"),
        {
            "track_id": pl.col("_item"),
            "title": TITLE.fill_null("(not named)"),
            "artist_id": pl.col("_artist"),
            "artist_name": ARTIST,
            "album": pl.col("audiobookName"),
            "updated_at": pl.col("endTime"),
        },
    )  # fmt: skip


def _artists(tenant: Tenant, source: Source, plays: pl.DataFrame) -> pl.DataFrame:
    return canonical(
        "artists", tenant, source, _first(plays, "_artist"),
        {"artist_id": pl.col("_artist"), "name": ARTIST, "updated_at": pl.col("endTime")},
    )  # fmt: skip


def _listener(tenant: Tenant, source: Source, plays: pl.DataFrame) -> pl.DataFrame:
    """The one whose export it is."""
    return canonical(
        "listeners", tenant, source, plays.sort("endTime", "_row").head(1),
        {"listener_id": pl.lit(OWNER), "updated_at": pl.col("endTime")},
    )  # fmt: skip


def _first(plays: pl.DataFrame, key: str) -> pl.DataFrame:
    """The first play of each: it is known since then, so in every interval that plays it."""
    return plays.sort(key, "endTime", "_row").unique(key, keep="first", maintain_order=True)
