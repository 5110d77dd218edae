"""Song files of the Million Song Dataset: one JSON object a file, as beside eventsim logs.

Feeds    tracks. The id is made of artist, title and length, as plays of logs
         without track ids make theirs, so that both meet; the song_id stays in bronze.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator

import polars as pl

from analytics.errors import SchemaError
from analytics.interval import Interval
from analytics.settings import Settings
from analytics.sources import files
from analytics.sources.base import Batch, Look, Recognised, Unit, rejects
from analytics.sources.json_lines import parsed, pieces
from analytics.sources.shape import EVER, canonical, identified, song_key
from analytics.sources.typed import typed_batch
from analytics.tenants import Source, Tenant

FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "song_id": pl.String, "title": pl.String, "duration": pl.Float64, "year": pl.Int32,
    "artist_id": pl.String, "artist_name": pl.String, "artist_location": pl.String,
    "artist_latitude": pl.Float64, "artist_longitude": pl.Float64, "num_songs": pl.Int32,
}  # fmt: skip
SIGNS = {"artist_name", "title", "duration"}


class MsdSongs(files.FileReader):
    format = "msd_songs"
    example = '- {name: songs, format: msd_songs, path: "/data/my_tenant/song_data/**/*.json"}'

    def recognise(self, look: Look) -> Recognised | None:
        """One song a file: all JSON files of the same first folder belong to it."""
        if look.suffix != ".json" or not SIGNS.issubset(look.first_object):
            return None
        top, _, below = look.name.partition("/")
        return Recognised("songs", family=f"{glob.escape(top)}/**/*.json" if below else "*.json")

    def feeds(self, source: Source) -> tuple[str, ...]:
        return ("tracks",)

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        first = 0
        for _, file in files.members(tenant, source, unit):
            for number, lines in pieces(file, first):
                frame, broken = parsed(number, lines, FIELDS)
                if frame.height and frame["title"].null_count() == frame.height:
                    raise SchemaError(
                        f"{tenant.id}: source {source.name}: {unit.name} has no field 'title'; "
                        f"owner: {source.owner}"
                    )
                batch = typed_batch(tenant, source, "tracks", unit, frame, FIELDS)
                bad = rejects(tenant, source, "tracks", unit, broken)
                yield Batch(batch.rows, pl.concat([batch.rejects, bad]))
                first = number + len(lines)

    def extent(self, settings: Settings, tenant: Tenant, source: Source) -> Interval | None:
        return None

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        milliseconds = (pl.col("duration") * 1000).round().cast(pl.Int64)
        songs = identified(
            bronze, "_song", song_key(pl.col("artist_name"), pl.col("title"), milliseconds)
        )
        released = pl.when(pl.col("year") > 0).then(pl.date(pl.col("year"), 1, 1))
        tracks = canonical(
            "tracks", tenant, source, songs,
            {
                "track_id": pl.col("_song"),
                "title": pl.col("title"),
                "artist_id": pl.col("artist_id"),
                "artist_name": pl.col("artist_name"),
                "duration_ms": milliseconds,
                "released_on": released,
                "updated_at": EVER,
            },
        )  # fmt: skip
        return {"tracks": tracks}
