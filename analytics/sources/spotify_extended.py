"""Spotify's extended streaming history: a zip, or its JSON files, audio and video.

Feeds    plays, tracks, listeners.
Identity every field that tells two plays apart (the export has no id): end, length,
         item, device, reasons, flags and the offline clock. `(track, ts - ms_played)`
         alone would merge plays that were different ones. The fields of audiobooks, which
         came later, count where they are given, so older rows keep their ids.
Surprises `ts` is the end of a play, to the second; it started `ms_played` before.
         Plays the export does not name (removed items, most videos) keep their time
         under the track id `unnamed`. A chapter of an audiobook is a track, its book the
         album; the author is not given. Addresses, places and user agents are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from analytics.lake.hashing import NULL, SEPARATOR
from analytics.settings import Settings
from analytics.sources import files, json_array
from analytics.sources.base import Batch, Look, Recognised, Unit
from analytics.sources.shape import canonical, identified
from analytics.tenants import Source, Tenant

NAMES = ("endsong_*.json", "Streaming_History_Audio*.json", "Streaming_History_Video*.json")
OLDER: dict[str, pl.DataType | type[pl.DataType]] = {
    "ts": pl.Datetime("us", "UTC"), "username": pl.String, "platform": pl.String,
    "ms_played": pl.Int64, "conn_country": pl.String, "master_metadata_track_name": pl.String,
    "master_metadata_album_artist_name": pl.String,
    "master_metadata_album_album_name": pl.String, "spotify_track_uri": pl.String,
    "episode_name": pl.String, "episode_show_name": pl.String,
    "spotify_episode_uri": pl.String, "reason_start": pl.String, "reason_end": pl.String,
    "shuffle": pl.Boolean, "skipped": pl.Boolean, "offline": pl.Boolean,
    "offline_timestamp": pl.Int64, "incognito_mode": pl.Boolean,
}  # fmt: skip
BOOKS = ("audiobook_title", "audiobook_uri", "audiobook_chapter_title", "audiobook_chapter_uri")
FIELDS = {**OLDER, **dict.fromkeys(BOOKS, pl.String)}
UNNAMED = "unnamed"
OWNER = "owner"  # newer exports leave the user name out: one export is one listener
NOT_KEPT = "(not kept: a row that cannot be read may hold an address)"


class SpotifyExtended(files.FileReader):
    format = "spotify_extended"
    example = '- {name: history, format: spotify_extended, path: "/data/my_tenant/*.zip"}'

    def recognise(self, look: Look) -> Recognised | None:
        if not json_array.is_named(NAMES, look.name):
            return None
        older = "endsong_*.json" if look.base.startswith("endsong_") else "Streaming_History_*.json"
        return Recognised("history", family=f"**/{older}{packing(look)}")

    def feeds(self, source: Source) -> tuple[str, ...]:
        return ("plays", "tracks", "listeners")

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        found = json_array.read(
            tenant, source, unit, "plays", FIELDS, needed=("ts", "ms_played"), names=NAMES
        )
        for batch in found:
            raw = pl.when(pl.col("rule") == "row_parses").then(pl.lit(NOT_KEPT)).otherwise("raw")
            yield Batch(batch.rows, batch.rejects.with_columns(raw.alias("raw")))

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        absent = [pl.lit(None, pl.String).alias(c) for c in BOOKS if c not in bronze.columns]
        item = pl.coalesce(
            "spotify_track_uri", "spotify_episode_uri", "audiobook_chapter_uri", "audiobook_uri"
        )
        plays = identified(bronze.with_columns(absent), "_id", _identity()).with_columns(
            pl.coalesce("username", pl.lit(OWNER)).alias("_listener"), item.alias("_item")
        )
        return {
            "plays": canonical(
                "plays", tenant, source, plays,
                {
                    "play_id": pl.col("_id"),
                    "listener_id": pl.col("_listener"),
                    "track_id": pl.col("_item").fill_null(UNNAMED),
                    "started_at": pl.col("ts") - pl.duration(milliseconds="ms_played"),
                    "listened_ms": pl.col("ms_played"),
                    "platform": _family(pl.col("platform")),
                    "country": pl.col("conn_country"),
                    "is_skipped": pl.col("skipped"),
                    "is_shuffle": pl.col("shuffle"),
                    "is_offline": pl.col("offline"),
                    "reason_end": pl.col("reason_end"),
                },
            ),
            "tracks": _tracks(tenant, source, plays.filter(pl.col("_item").is_not_null())),
            "listeners": _listeners(tenant, source, plays),
        }  # fmt: skip


def packing(look: Look) -> str:
    """How the name of a file, not of one within a zip, ends beyond the export's own."""
    packed = look.location.rsplit(".", 1)[-1].lower()
    return f".{packed}" if packed in ("gz", "zst") else ""


def _identity() -> list[pl.Expr]:
    """The fields every row had; behind them those of audiobooks where one is given."""
    ends = pl.col("ts").dt.epoch("us")
    last = pl.col("incognito_mode").cast(pl.String).fill_null(NULL)
    books = [pl.col(c).fill_null(NULL) for c in BOOKS]
    given = pl.any_horizontal(pl.col(c).is_not_null() for c in BOOKS)
    more = pl.when(given).then(pl.concat_str([last, *books], separator=SEPARATOR)).otherwise(last)
    return [ends, *(pl.col(c) for c in list(OLDER)[1:-1]), more]


def _family(platform: pl.Expr) -> pl.Expr:
    """ios, android, desktop, web or other, from what the device calls itself."""
    name = platform.str.to_lowercase()
    return (
        pl.when(name.is_null()).then(None)
        .when(name.str.contains("ios|iphone|ipad")).then(pl.lit("ios"))
        .when(name.str.contains("android")).then(pl.lit("android"))
        .when(name.str.contains("web")).then(pl.lit("web"))
        .when(name.str.contains("os x|osx|macos|windows|linux")).then(pl.lit("desktop"))
        .otherwise(pl.lit("other"))
    )  # fmt: skip


def _tracks(tenant: Tenant, source: Source, plays: pl.DataFrame) -> pl.DataFrame:
    latest = plays.sort("_item", "ts", "_row").unique("_item", keep="last", maintain_order=True)
    artist = pl.coalesce("master_metadata_album_artist_name", "episode_show_name")
    title = pl.coalesce(
        "master_metadata_track_name", "episode_name", "audiobook_chapter_title",
        "audiobook_title", pl.lit("(not named)"),
    )  # fmt: skip
    return canonical(
        "tracks", tenant, source, latest,
        {
            "track_id": pl.col("_item"),
            "title": title,
            "artist_name": artist,
            "album": pl.coalesce("master_metadata_album_album_name", "audiobook_title"),
            "updated_at": pl.col("ts"),
        },
    )  # fmt: skip


def _listeners(tenant: Tenant, source: Source, plays: pl.DataFrame) -> pl.DataFrame:
    latest = plays.sort("_listener", "ts", "_row").unique(
        "_listener", keep="last", maintain_order=True
    )
    return canonical(
        "listeners", tenant, source, latest,
        {
            "listener_id": pl.col("_listener"),
            "country": pl.col("conn_country"),
            "updated_at": pl.col("ts"),
        },
    )  # fmt: skip
