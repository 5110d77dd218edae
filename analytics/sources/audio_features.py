"""A CSV of Spotify's audio features: a line a track, or a track and a playlist it is on.

Feeds    tracks, track_features.
Identity the track id. A track that is on several playlists comes once; where they are of several
         genres it has that of most of them, the first by name among equals.
Names    of columns are those of the usual collections, in any order; what is not named here is not
         read. A file is one when its header names a track, its title and all of NEEDED.
Surprises `NA` as title and artist is how R writes that there is none. A release of which only the
         year or month is known was on its first day. A key of -1 is none. Nothing says since when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import polars as pl

from analytics.interval import Interval
from analytics.settings import Settings
from analytics.sources import delimited, files, text_files
from analytics.sources.base import Batch, Look, Recognised, Unit
from analytics.sources.delimited import Layout
from analytics.sources.shape import EVER, canonical
from analytics.sources.text_files import Content
from analytics.tenants import Source, Tenant

MEASURES = (
    "danceability", "energy", "loudness", "speechiness", "acousticness", "instrumentalness",
    "liveness", "valence", "tempo",
)  # fmt: skip
FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "track_id": pl.String, "title": pl.String, "artist": pl.String, "album": pl.String,
    "album_id": pl.String, "released": pl.String, "genre": pl.String, "subgenre": pl.String,
    "playlist_id": pl.String, "playlist": pl.String, "popularity": pl.Int32,
    "duration_ms": pl.Int64, **dict.fromkeys(MEASURES, pl.Float64), "key": pl.Int32,
    "mode": pl.Int32, "time_signature": pl.Int32,
}  # fmt: skip
# Their names → ours, where they differ.
NAMES = {
    "id": "track_id", "name": "title", "track_name": "title", "artists": "artist",
    "artist_name": "artist", "track_artist": "artist", "album_name": "album",
    "track_album_name": "album", "track_album_id": "album_id", "release_date": "released",
    "track_album_release_date": "released", "track_genre": "genre", "playlist_genre": "genre",
    "playlist_subgenre": "subgenre", "playlist_name": "playlist", "track_popularity": "popularity",
}  # fmt: skip
NEEDED = {"track_id", "title", *MEASURES}


class AudioFeatures(files.FileReader):
    format = "audio_features"
    example = '- {name: features, format: audio_features, path: "/data/my_tenant/songs.csv"}'

    def recognise(self, look: Look) -> Recognised | None:
        return Recognised("features") if text_files.told(look, tell) else None

    def feeds(self, source: Source) -> tuple[str, ...]:
        return ("tracks", "track_features")

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        return text_files.read(
            tenant, source, unit, FIELDS, tell, mine=lambda name: name.lower().endswith(".csv")
        )

    def extent(self, settings: Settings, tenant: Tenant, source: Source) -> Interval | None:
        return None

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        return {
            "tracks": _tracks(tenant, source, bronze),
            "track_features": _features(tenant, source, bronze),
        }


def tell(name: str, lines: Sequence[str]) -> Content | None:
    """Tracks with their features, where the header names both."""
    cut = delimited.cut(pl.Series(lines[:1], dtype=pl.String), ",", is_quoted=True)
    names = cut.explode().drop_nulls().str.strip_chars('" ').to_list()
    columns: dict[str, int] = {}
    for place, theirs in enumerate(names):
        ours = NAMES.get(theirs.lower(), theirs.lower())
        if ours in FIELDS:
            columns.setdefault(ours, place)
    if not columns.keys() >= NEEDED:
        return None
    parse = partial(delimited.parsed, layout=Layout(columns, len(names)))
    return Content("tracks", parse, has_header=True)


def _tracks(tenant: Tenant, source: Source, bronze: pl.DataFrame) -> pl.DataFrame:
    is_none = (pl.col("title") == "NA") & (pl.col("artist") == "NA")
    named = ("title", "artist", "album")
    tracks = bronze.with_columns(pl.when(~is_none.fill_null(False)).then(pl.col(*named)))
    tracks = tracks.drop("genre").join(_genres(bronze), on="track_id", how="left")
    released = pl.col("released")
    day = pl.concat_str(released, pl.lit("-01-01").str.head(10 - released.str.len_chars()))
    facts = ["track_id", *named, "released", "duration_ms"]
    return canonical(
        "tracks", tenant, source, tracks.unique(facts, keep="first", maintain_order=True),
        {
            "track_id": pl.col("track_id"),
            "title": pl.col("title"),
            "artist_name": pl.col("artist"),
            "album": pl.col("album"),
            "genre": pl.col("genre"),
            "duration_ms": pl.col("duration_ms"),
            "released_on": day.str.to_date("%Y-%m-%d", strict=False),
            "updated_at": EVER,
        },
    )  # fmt: skip


def _genres(bronze: pl.DataFrame) -> pl.DataFrame:
    """The genre of most rows of each track."""
    counted = bronze.drop_nulls("genre").group_by("track_id", "genre").len()
    by_count = counted.sort("track_id", "len", "genre", descending=[False, True, False])
    return by_count.unique("track_id", keep="first", maintain_order=True).drop("len")


def _features(tenant: Tenant, source: Source, bronze: pl.DataFrame) -> pl.DataFrame:
    facts = ["track_id", *MEASURES, "key", "mode", "time_signature"]
    return canonical(
        "track_features", tenant, source, bronze.unique(facts, keep="first", maintain_order=True),
        {
            **{name: pl.col(name) for name in ("track_id", *MEASURES, "time_signature")},
            "pitch_class": pl.when(pl.col("key") >= 0).then(pl.col("key")),
            "is_major": pl.col("mode") == 1,
            "updated_at": EVER,
        },
    )  # fmt: skip
