"""The HetRec 2011 Last.fm-2K data set: what two thousand people played, tagged and befriended.

Feeds    listening_counts, artists, taggings, friendships.
Identity user and artist; artist; user, artist and tag; user and friend, each way a row.
         Both files of tag assignments say the same ones, by day and by millisecond.
Surprises A count is all that is known: how often, never when. No plays are made of it.
         The words of the tags stand in a file of their own (`tags.dat`), so all files are one
         source; without that file a tagging has no word, and the gate sets it aside.
         A few words are Latin-1 among UTF-8. `artists.dat` may lack its header.
         Only tag assignments have a time, which therefore is the source's: most are the first of
         a month, some decades before there was a service, which the gate sets aside.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from functools import partial

import polars as pl

from analytics.interval import Interval
from analytics.settings import Settings
from analytics.sources import delimited, files, text_files
from analytics.sources.base import Batch, Look, Recognised, Unit
from analytics.sources.plausible import plausible_span
from analytics.sources.shape import EVER, canonical, epoch, identified
from analytics.sources.text_files import Content
from analytics.tenants import Source, Tenant

FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "kind": pl.String,
    "userID": pl.Int64, "artistID": pl.Int64, "weight": pl.Int64,
    "id": pl.Int64, "name": pl.String, "url": pl.String, "pictureURL": pl.String,
    "tagID": pl.Int64, "tagValue": pl.String,
    "day": pl.Int32, "month": pl.Int32, "year": pl.Int32, "timestamp": pl.Int64,
    "friendID": pl.Int64,
}  # fmt: skip
# kind of file → what its rejects are counted on
KINDS = {
    "user_artists": "listening_counts",
    "artists": "artists",
    "tags": "taggings",
    "user_taggedartists": "taggings",
    "user_friends": "friendships",
}
HEADERS = {
    ("userID", "artistID", "weight"): "user_artists",
    ("id", "name", "url", "pictureURL"): "artists",
    ("tagID", "tagValue"): "tags",
    ("userID", "artistID", "tagID", "day", "month", "year"): "user_taggedartists",
    ("userID", "artistID", "tagID", "timestamp"): "user_taggedartists",
    ("userID", "friendID"): "user_friends",
}
ARTIST = r"\d+\t[^\t]*\thttps?://(www\.)?last\.fm/music/[^\t]*\t[^\t]*"


class HetrecLastfm(files.FileReader):
    format = "hetrec_lastfm"
    example = '- {name: community, format: hetrec_lastfm, path: "/data/my_tenant/*.dat"}'

    def recognise(self, look: Look) -> Recognised | None:
        """All files of its folder are one source where they have their own names."""
        if text_files.told(look, tell) is None:
            return None
        folder = look.name.removesuffix(look.base)
        own_name = look.base.split("-")[0].removesuffix(".dat") in KINDS
        return Recognised("community", family=f"{glob.escape(folder)}*.dat*" if own_name else None)

    def feeds(self, source: Source) -> tuple[str, ...]:
        return tuple(dict.fromkeys(KINDS.values()))

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        return text_files.read(
            tenant, source, unit, FIELDS, tell, mine=lambda name: name.lower().endswith(".dat")
        )

    def extent(self, settings: Settings, tenant: Tenant, source: Source) -> Interval | None:
        """The days of the tag assignments; None where there are none."""
        times = [pl.Series(dtype=pl.Datetime("us", "UTC"))]
        with self.session(settings, tenant, source) as read:
            for unit in files.all_units(settings, tenant, source):
                times += [_taggings(tenant, source, b.rows)["updated_at"] for b in read(unit)]
        span = plausible_span(pl.concat(times))
        return files.days_interval(span[0].date(), span[1].date()) if span else None

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        return {
            "listening_counts": _counts(tenant, source, bronze),
            "artists": _artists(tenant, source, bronze),
            "taggings": _taggings(tenant, source, bronze),
            "friendships": _friendships(tenant, source, bronze),
        }


def tell(name: str, lines: Sequence[str]) -> Content | None:
    """The kind of a file by its header; of artists also by their pages at Last.fm."""
    for columns, kind in HEADERS.items():
        has_header = lines[:1] == ["\t".join(columns)]
        if has_header or (kind == "artists" and text_files.are_mostly(lines, ARTIST)):
            parse = text_files.fields(columns, "\t")
            return Content(
                KINDS[kind],
                partial(_in_utf8, parse=parse) if kind == "tags" else parse,
                has_header,
                alike={"kind": kind},
            )
    return None


def _in_utf8(
    number: int, lines: list[bytes], parse: text_files.Parse
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """As `parse`, with the lines that are no UTF-8 taken for the Latin-1 that they are."""
    texts = delimited.decoded(lines)
    if texts.null_count():
        strange = texts.is_null().arg_true().to_list()
        lines = list(lines)
        for at in strange:
            lines[at] = lines[at].decode("latin-1").encode()
    return parse(number, lines)


def _counts(tenant: Tenant, source: Source, bronze: pl.DataFrame) -> pl.DataFrame:
    counts = _of_kind(bronze, "user_artists")
    counts = identified(counts, "_id", [pl.col("userID"), pl.col("artistID")])
    return canonical(
        "listening_counts", tenant, source, counts,
        {
            "count_id": pl.col("_id"),
            "listener_id": pl.col("userID"),
            "item_kind": pl.lit("artist"),
            "item_id": pl.col("artistID"),
            "plays": pl.col("weight"),
            "updated_at": EVER,
        },
    )  # fmt: skip


def _artists(tenant: Tenant, source: Source, bronze: pl.DataFrame) -> pl.DataFrame:
    return canonical(
        "artists", tenant, source, _of_kind(bronze, "artists"),
        {"artist_id": pl.col("id"), "name": pl.col("name"), "updated_at": EVER},
    )  # fmt: skip


def _taggings(tenant: Tenant, source: Source, bronze: pl.DataFrame) -> pl.DataFrame:
    words = _of_kind(bronze, "tags").sort("_file", "_row").unique("tagID", keep="last")
    words = words.select("tagID", pl.col("tagValue").alias("_word"))
    taggings = _of_kind(bronze, "user_taggedartists").join(
        words, on="tagID", how="left", maintain_order="left"
    )
    parts = [pl.col("userID"), pl.col("artistID"), pl.col("tagID")]
    return canonical(
        "taggings", tenant, source, identified(taggings, "_id", parts),
        {
            "tagging_id": pl.col("_id"),
            "item_kind": pl.lit("artist"),
            "item_id": pl.col("artistID"),
            "tag": pl.col("_word"),
            "listener_id": pl.col("userID"),
            "updated_at": pl.coalesce(epoch(pl.col("timestamp"), 1000), _instant_of_day()),
        },
    )  # fmt: skip


def _instant_of_day() -> pl.Expr:
    """The beginning of the day in `year`, `month` and `day`; null where there is no such day."""
    two = [pl.col(c).cast(pl.String).str.zfill(2) for c in ("month", "day")]
    text = pl.concat_str([pl.col("year").cast(pl.String).str.zfill(4), *two], separator="-")
    day = text.str.to_date("%Y-%m-%d", strict=False)
    return day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _friendships(tenant: Tenant, source: Source, bronze: pl.DataFrame) -> pl.DataFrame:
    friends = _of_kind(bronze, "user_friends")
    friends = identified(friends, "_id", [pl.col("userID"), pl.col("friendID")])
    return canonical(
        "friendships", tenant, source, friends,
        {
            "friendship_id": pl.col("_id"),
            "listener_id": pl.col("userID"),
            "friend_id": pl.col("friendID"),
            "updated_at": EVER,
        },
    )  # fmt: skip


def _of_kind(bronze: pl.DataFrame, kind: str) -> pl.DataFrame:
    return bronze.filter(pl.col("kind") == kind)
