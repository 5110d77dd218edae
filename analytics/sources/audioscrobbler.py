"""The Audioscrobbler data set of 2005: how often who played which artist, and misspelt artists.

Feeds    listening_counts, artists.
Identity user and artist; artist. An alias is an artist that is another name of one
         (`same_as`); its plays are counted under the name they came with.
Surprises No file has a header, and two of them are only two numbers or a number and a text, so
         the name must begin as the data set's own does and the lines must look like it. Names
         hold broken characters, and lines that a tab or a line end within a name has torn are
         set aside. A few aliases are their own artist, which warns. Nothing has a time.
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
    "kind": pl.String, "user_id": pl.Int64, "artist_id": pl.Int64, "plays": pl.Int64,
    "name": pl.String, "same_as": pl.Int64,
}  # fmt: skip
COUNTS = text_files.fields(("user_id", "artist_id", "plays"), " ")
NAMES = text_files.fields(("artist_id", "name"), "\t")
ALIASES = text_files.fields(("artist_id", "same_as"), "\t")
# kind of file, as its name begins → what its rejects are counted on, its lines, their columns
KINDS = {
    "user_artist_data": ("listening_counts", r"\d+ \d+ \d+", COUNTS),
    "artist_data": ("artists", r"\d+\t.+", NAMES),
    "artist_alias": ("artists", r"\d*\t\d+", ALIASES),
}


class Audioscrobbler(files.FileReader):
    format = "audioscrobbler"
    example = '- {name: counts, format: audioscrobbler, path: "/data/my_tenant/*artist_*.txt"}'

    def recognise(self, look: Look) -> Recognised | None:
        if text_files.told(look, tell) is None:
            return None
        return Recognised("counts", family="**/*artist_[da]*.txt*")

    def feeds(self, source: Source) -> tuple[str, ...]:
        return ("listening_counts", "artists")

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        return text_files.read(
            tenant, source, unit, FIELDS, tell, mine=lambda name: name.startswith(tuple(KINDS))
        )

    def extent(self, settings: Settings, tenant: Tenant, source: Source) -> Interval | None:
        return None

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        is_count = pl.col("kind") == "user_artist_data"
        key = [pl.col("user_id"), pl.col("artist_id")]
        counts = canonical(
            "listening_counts", tenant, source, identified(bronze.filter(is_count), "_id", key),
            {
                "count_id": pl.col("_id"),
                "listener_id": pl.col("user_id"),
                "item_kind": pl.lit("artist"),
                "item_id": pl.col("artist_id"),
                "plays": pl.col("plays"),
                "updated_at": EVER,
            },
        )  # fmt: skip
        artists = canonical(
            "artists", tenant, source, bronze.filter(~is_count),
            {
                "artist_id": pl.col("artist_id"),
                "name": pl.col("name").str.strip_chars(),
                "same_as": pl.col("same_as"),
                "updated_at": EVER,
            },
        )  # fmt: skip
        return {"listening_counts": counts, "artists": artists}


def tell(name: str, lines: Sequence[str]) -> Content | None:
    """The kind of a file by how its name begins, where its lines are of that kind."""
    for kind, (table, line, parse) in KINDS.items():
        if name.startswith(kind) and text_files.are_mostly(lines, line):
            return Content(table, parse, alike={"kind": kind})
    return None
