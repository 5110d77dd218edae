"""The MTG-Jamendo data set: tracks with the tags their artists gave them.

Feeds    tracks, taggings.
Identity track; track and tag with its category, for `genre---voice` and `instrument---voice`
         are two. A tagging has the word alone; the category stays in bronze.
Surprises The header names one column of tags, a line has one or many. Nothing names a track or an
         artist: `(not named)`. The first genre among the tags is the track's. Tags are by an
         artist or editor, so nobody's; nothing says since when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from analytics.interval import Interval
from analytics.settings import Settings
from analytics.sources import files, text_files
from analytics.sources.base import Batch, Look, Recognised, Unit
from analytics.sources.shape import EVER, canonical, identified
from analytics.sources.text_files import Content
from analytics.tenants import Source, Tenant

FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "TRACK_ID": pl.String, "ARTIST_ID": pl.String, "ALBUM_ID": pl.String, "PATH": pl.String,
    "DURATION": pl.Float64,  # seconds
    "TAGS": pl.String,  # as they came, with tabs between
}  # fmt: skip
HEADER = "\t".join(FIELDS)
LINE = "\t".join(f"(?P<{name}>[^\t]*)" for name in list(FIELDS)[:-1]) + "(?:\t(?P<TAGS>.*))?"
NOT_NAMED = "(not named)"


class JamendoTags(files.FileReader):
    format = "jamendo_tags"
    example = '- {name: tags, format: jamendo_tags, path: "/data/my_tenant/autotagging*.tsv"}'

    def recognise(self, look: Look) -> Recognised | None:
        return Recognised("tags") if text_files.told(look, tell) else None

    def feeds(self, source: Source) -> tuple[str, ...]:
        return ("tracks", "taggings")

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        return text_files.read(
            tenant, source, unit, FIELDS, tell, mine=lambda name: name.lower().endswith(".tsv")
        )

    def extent(self, settings: Settings, tenant: Tenant, source: Source) -> Interval | None:
        return None

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        milliseconds = (pl.col("DURATION") * 1000).round().cast(pl.Int64, strict=False)
        tracks = canonical(
            "tracks", tenant, source, bronze,
            {
                "track_id": pl.col("TRACK_ID"),
                "title": pl.lit(NOT_NAMED),
                "artist_id": pl.col("ARTIST_ID"),
                "genre": pl.col("TAGS").str.extract(r"(?:^|\t)genre---([^\t]+)"),
                "duration_ms": milliseconds,
                "updated_at": EVER,
            },
        )  # fmt: skip
        return {"tracks": tracks, "taggings": _taggings(tenant, source, bronze)}


def tell(name: str, lines: Sequence[str]) -> Content | None:
    """Tracks with tags, where the header says so."""
    if lines[:1] != [HEADER]:
        return None
    return Content("tracks", text_files.groups(LINE), has_header=True)


def _taggings(tenant: Tenant, source: Source, bronze: pl.DataFrame) -> pl.DataFrame:
    tag = pl.col("TAGS").str.split("\t").alias("_tag")
    tagged = bronze.with_columns(tag).explode("_tag")
    tagged = tagged.filter(pl.col("_tag").str.strip_chars().str.len_chars() > 0)
    return canonical(
        "taggings", tenant, source, identified(tagged, "_id", [pl.col("TRACK_ID"), pl.col("_tag")]),
        {
            "tagging_id": pl.col("_id"),
            "item_kind": pl.lit("track"),
            "item_id": pl.col("TRACK_ID"),
            "tag": pl.col("_tag").str.replace("^.*?---", ""),
            "updated_at": EVER,
        },
    )  # fmt: skip
