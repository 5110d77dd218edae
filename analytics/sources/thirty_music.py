"""The 30Music data set: its play events, or slices of its sessions as session-rec cuts them.

Feeds    plays, tracks, artists, listeners.
Identity of a play: its number where it has one, user, session, track and second. A line that
         comes again is the same play. Events and slices number sessions and plays apart, so one
         play in both would be two: give one of them.
Dialects `events.idomaar` has a line `event.play` with two JSON objects; slices have a header.
Surprises Nothing is named: a track is `(not named)`, an artist a number. Only events may say how
         many seconds were listened. The session stays in bronze, for a play of ours has none.
         Playlists, loves and the original's own sessions and names are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from analytics.lake.tables import EARLIEST
from analytics.settings import Settings
from analytics.sources import files, text_files
from analytics.sources.base import Batch, Look, Recognised, Unit
from analytics.sources.shape import canonical, epoch, identified
from analytics.sources.text_files import Content
from analytics.tenants import Source, Tenant

FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "UserId": pl.Int64, "SessionId": pl.Int64, "ItemId": pl.Int64, "Time": pl.Int64,
    "ArtistId": pl.Int64, "EventId": pl.Int64, "Playtime": pl.Int64,
}  # fmt: skip
SLICE = ("UserId", "SessionId", "ItemId", "Time", "ArtistId")
EVENT = (
    r"event\.play\t(?P<EventId>\d+)\t(?P<Time>-?\d+)"
    r'\s\{(?:"playtime": ?(?P<Playtime>-?\d+))?[^{}]*\}'
    r'\s\{"subjects": ?\[\{"type": ?"user", ?"id": ?(?P<UserId>\d+)\}\], ?'
    r'"objects": ?\[\{"type": ?"track", ?"id": ?(?P<ItemId>\d+)\}\]\}'
)
IDENTITY = ("UserId", "SessionId", "EventId", "ItemId", "Time")  # what tells two plays apart
SUFFIXES = (".txt", ".idomaar")
NOT_NAMED = "(not named)"


class ThirtyMusic(files.FileReader):
    format = "thirty_music"
    example = '- {name: sessions, format: thirty_music, path: "/data/my_tenant/30music*.txt"}'

    def recognise(self, look: Look) -> Recognised | None:
        """Slices are one source where they still have the data set's name."""
        if text_files.told(look, tell) is None:
            return None
        own_name = look.base.lower().startswith("30music")
        return Recognised("sessions", family="**/30music*.txt*" if own_name else None)

    def feeds(self, source: Source) -> tuple[str, ...]:
        return ("plays", "tracks", "artists", "listeners")

    def lacks(self, source: Source) -> frozenset[str]:
        return frozenset({"listened_ms"})

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        return text_files.read(
            tenant, source, unit, FIELDS, tell, mine=lambda name: name.lower().endswith(SUFFIXES)
        )

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        plays = bronze.with_columns(epoch(pl.col("Time"), 1_000_000).alias("_at"))
        plays = identified(plays, "_id", [pl.col(c) for c in IDENTITY])
        dated = plays.filter(pl.col("_at") >= EARLIEST).sort("_at", "_file", "_row")
        return {
            "plays": canonical(
                "plays", tenant, source, plays,
                {
                    "play_id": pl.col("_id"),
                    "listener_id": pl.col("UserId"),
                    "track_id": pl.col("ItemId"),
                    "started_at": pl.col("_at"),
                    "listened_ms": _milliseconds(pl.col("Playtime")),
                },
            ),
            "tracks": canonical(
                "tracks", tenant, source, _first(dated, "ItemId", "ArtistId"),
                {
                    "track_id": pl.col("ItemId"),
                    "title": pl.lit(NOT_NAMED),
                    "artist_id": pl.col("ArtistId"),
                    "updated_at": pl.col("_at"),
                },
            ),
            "artists": canonical(
                "artists", tenant, source, _first(dated, "ArtistId"),
                {"artist_id": pl.col("ArtistId"), "updated_at": pl.col("_at")},
            ),
            "listeners": canonical(
                "listeners", tenant, source, _first(dated, "UserId"),
                {"listener_id": pl.col("UserId"), "updated_at": pl.col("_at")},
            ),
        }  # fmt: skip


def tell(name: str, lines: Sequence[str]) -> Content | None:
    """Plays, where a header has the columns of a slice, in any order, or the lines are events."""
    columns = lines[0].split("\t") if lines else []
    if sorted(columns) == sorted(SLICE):
        return Content("plays", text_files.fields(columns, "\t"), has_header=True)
    are_events = text_files.are_mostly(lines, EVENT)
    return Content("plays", text_files.groups(EVENT)) if are_events else None


def _milliseconds(seconds: pl.Expr) -> pl.Expr:
    """The length, of whatever size, for the gate to judge; a negative one is none."""
    return pl.when(seconds >= 0).then(seconds.clip(upper_bound=10**15) * 1000)


def _first(dated: pl.DataFrame, key: str, *facts: str) -> pl.DataFrame:
    """One row per key and what is said of it: the first in time."""
    known = dated.filter(pl.col(key).is_not_null())
    return known.unique([key, *facts], keep="first", maintain_order=True)
