"""The Last.fm-1K data set: one TSV of who heard what when, and one of who they are.

Feeds    plays, tracks, artists, listeners (see `scrobbles.py`).
Identity of a play: listener, second, artist and track as written.
Surprises Nothing is quoted: a quote belongs to the name, and a tab within a name breaks its line.
         A file is the listeners' when its header begins with `#id`. Their `age` is that of an
         unknown day, so it gives no year of birth; countries are names, not codes. A listener
         is as stated since registering, else since ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from analytics.lake.tables import INSTANT
from analytics.settings import Settings
from analytics.sources import delimited, files, scrobbles
from analytics.sources.base import Batch, Look, Recognised, Unit, rejects
from analytics.sources.delimited import Layout
from analytics.sources.shape import EVER, canonical
from analytics.sources.typed import typed_batch
from analytics.tenants import Source, Tenant

FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "listener": pl.String, "at": INSTANT, "artist_mbid": pl.String, "artist": pl.String,
    "track_mbid": pl.String, "track": pl.String,
    "gender": pl.String, "age": pl.Int32, "country": pl.String, "registered_on": pl.Date,
    "is_profile": pl.Boolean,
}  # fmt: skip


def _layout(*names: str) -> Layout:
    places = {name: place for place, name in enumerate(names)}
    return Layout(places, len(names), separator="\t", is_quoted=False)


HEARD = _layout("listener", "at", "artist_mbid", "artist", "track_mbid", "track")
PROFILES = _layout("listener", "gender", "age", "country", "registered_on")
HEADER = re.compile(r"#id\tgender\tage\tcountry\tregistered\s*")
SCROBBLE = re.compile(r"[^\t]+\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(\t[^\t]*){4}")
REGISTERED = "%b %d, %Y"  # Feb 1, 2006


class Lastfm1k(files.FileReader):
    format = "lastfm_1k"
    example = '- {name: listening, format: lastfm_1k, path: "/data/my_tenant/userid-*.tsv"}'

    def recognise(self, look: Look) -> Recognised | None:
        """Both files are one source where they still have their own names."""
        lines = [line for line in look.lines if line.strip()][:50]
        is_profile = bool(lines) and HEADER.fullmatch(lines[0]) is not None
        if not is_profile and sum(map(bool, map(SCROBBLE.fullmatch, lines))) * 2 <= len(lines):
            return None
        own_name = look.base.startswith("userid-")
        return Recognised("listening", family="**/userid-*.tsv*" if own_name else None)

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
        for _, file in files.members(tenant, source, unit):
            begins, is_profile = first, False
            for number, lines in delimited.pieces(file, first):
                first = number + len(lines)
                if number == begins:
                    header = HEADER.fullmatch(lines[0].decode("utf-8", "replace"))
                    is_profile = header is not None
                    number, lines = number + is_profile, lines[is_profile:]
                yield _batch(tenant, source, unit, number, lines, is_profile)

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        is_profile = pl.col("is_profile")
        heard = bronze.filter(~is_profile).with_columns(pl.lit(None, pl.String).alias("album"))
        play = [pl.col("at").dt.epoch("us"), *map(pl.col, ("listener", "artist", "track"))]
        tables = scrobbles.conform(tenant, source, heard, play)
        profiles = _profiles(tenant, source, bronze.filter(is_profile))
        return {**tables, "listeners": pl.concat([profiles, tables["listeners"]])}


def _batch(
    tenant: Tenant, source: Source, unit: Unit, number: int, lines: list[bytes], is_profile: bool
) -> Batch:
    rows, broken = delimited.parsed(number, lines, PROFILES if is_profile else HEARD)
    if is_profile:
        frame, strange = rows.with_columns(_iso("registered_on")), broken.clear()
    else:
        frame, strange = scrobbles.placed(rows)
    frame = frame.with_columns(pl.lit(is_profile).alias("is_profile"))
    table = "listeners" if is_profile else "plays"
    batch = typed_batch(tenant, source, table, unit, frame, FIELDS)
    bad = rejects(tenant, source, table, unit, pl.concat([broken, strange]))
    return Batch(batch.rows, pl.concat([batch.rejects, bad]))


def _iso(column: str) -> pl.Expr:
    """The day as every reader writes it; what is no day stays as it is, to be set aside."""
    day = pl.col(column).str.strip_chars().str.to_date(REGISTERED, strict=False)
    return pl.coalesce(day.dt.to_string("%Y-%m-%d"), column)


def _profiles(tenant: Tenant, source: Source, profiles: pl.DataFrame) -> pl.DataFrame:
    signed_up = pl.col("registered_on").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return canonical(
        "listeners", tenant, source, profiles,
        {
            "listener_id": pl.col("listener"),
            "signed_up_at": signed_up,
            "country": pl.col("country"),
            "gender": pl.col("gender").str.to_uppercase(),
            "updated_at": signed_up.fill_null(EVER),
        },
    )  # fmt: skip
