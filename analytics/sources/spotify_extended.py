"""Spotify's extended streaming history: a zip, or its JSON files, audio and video.

Feeds    plays, tracks, listeners.
Identity every field that tells two plays apart (the export has no id): end, length,
         item, device, reasons, flags and the offline clock. `(track, ts - ms_played)`
         alone would merge plays that were different ones.
Surprises `ts` is the end of a play, to the second; it started `ms_played` before.
         Plays the export does not name (removed items, most videos) keep their time
         under the track id `unnamed`. Addresses and user agents are not kept.
"""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Iterator

import polars as pl

from analytics.errors import SchemaError
from analytics.settings import Settings
from analytics.sources import files
from analytics.sources.base import Batch, Look, Recognised, Unit
from analytics.sources.shape import canonical, identified
from analytics.sources.typed import typed_batch
from analytics.tenants import Source, Tenant

NAMES = ("endsong_*.json", "Streaming_History_Audio*.json", "Streaming_History_Video*.json")
FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "ts": pl.Datetime("us", "UTC"), "username": pl.String, "platform": pl.String,
    "ms_played": pl.Int64, "conn_country": pl.String, "master_metadata_track_name": pl.String,
    "master_metadata_album_artist_name": pl.String,
    "master_metadata_album_album_name": pl.String, "spotify_track_uri": pl.String,
    "episode_name": pl.String, "episode_show_name": pl.String,
    "spotify_episode_uri": pl.String, "reason_start": pl.String, "reason_end": pl.String,
    "shuffle": pl.Boolean, "skipped": pl.Boolean, "offline": pl.Boolean,
    "offline_timestamp": pl.Int64, "incognito_mode": pl.Boolean,
}  # fmt: skip
NEEDED = ("ts", "ms_played")
UNNAMED = "unnamed"
OWNER = "owner"  # newer exports leave the user name out: one export is one listener
ROWS_A_BATCH = 200_000


class SpotifyExtended(files.FileReader):
    format = "spotify_extended"
    example = '- {name: history, format: spotify_extended, path: "/data/my_tenant/*.zip"}'

    def recognise(self, look: Look) -> Recognised | None:
        if not is_history(look.name):
            return None
        name = look.base
        older = "endsong_*.json" if name.startswith("endsong_") else "Streaming_History_*.json"
        return Recognised("history", family=f"**/{older}")

    def feeds(self, source: Source) -> tuple[str, ...]:
        return ("plays", "tracks", "listeners")

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        first_row = 0
        for name, content in _members(tenant, source, unit):
            frame = _rows(tenant, source, unit, name, content)
            for column in NEEDED:
                if frame.height and frame[column].null_count() == frame.height:
                    raise SchemaError(
                        f"{tenant.id}: source {source.name}: {name} of {unit.name} has no field "
                        f"{column!r}; is it an extended streaming history? owner: {source.owner}"
                    )
            for start in range(0, frame.height, ROWS_A_BATCH):
                part = frame.slice(start, ROWS_A_BATCH)
                yield typed_batch(
                    tenant, source, "plays", unit, part, FIELDS, first_row=first_row + start
                )
            first_row += frame.height

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        item = pl.coalesce("spotify_track_uri", "spotify_episode_uri")
        plays = identified(bronze, "_id", [_part(c) for c in FIELDS]).with_columns(
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


def _part(column: str) -> pl.Expr:
    return pl.col(column).dt.epoch("us") if column == "ts" else pl.col(column)


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
    title = pl.coalesce("master_metadata_track_name", "episode_name", pl.lit("(not named)"))
    return canonical(
        "tracks", tenant, source, latest,
        {
            "track_id": pl.col("_item"),
            "title": title,
            "artist_name": artist,
            "album": pl.col("master_metadata_album_album_name"),
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


def is_history(name: str) -> bool:
    """Whether a file of that name is part of an extended history."""
    base = name.rsplit("/", 1)[-1]
    hidden = name.startswith("__MACOSX") or base.startswith(".")
    return not hidden and any(fnmatch.fnmatch(base, pattern) for pattern in NAMES)


def _members(tenant: Tenant, source: Source, unit: Unit) -> Iterator[tuple[str, bytes]]:
    """The JSON files of the unit, in the order of their names."""
    names = 0
    for name, file in files.members(tenant, source, unit, is_history):
        names += 1
        yield name, file.read()  # exports split at 12 MB
    if not names:
        raise SchemaError(
            f"{tenant.id}: source {source.name}: {unit.name} holds no "
            f"{' or '.join(NAMES)}. Ask Spotify for the extended streaming history, "
            "not the account data"
        )


def _rows(tenant: Tenant, source: Source, unit: Unit, name: str, content: bytes) -> pl.DataFrame:
    if not content.strip():
        return pl.DataFrame(schema=dict.fromkeys(FIELDS, pl.String()))
    try:
        return pl.read_json(io.BytesIO(content), schema=dict.fromkeys(FIELDS, pl.String()))
    except pl.exceptions.PolarsError as error:
        what = f"{name} is not whole JSON: {str(error).splitlines()[0]}"
        raise files.damaged(tenant, source, unit, what) from None
