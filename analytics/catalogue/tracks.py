"""Match one tenant's tracks that came with names alone to those that came with an id.

Grain      matches/tracks: one row per (tenant_id, track_id) without an id of its own,
           partitioned by tenant; `matched_track_id` is null where none is sure enough.
Re-run     safe: one commit that replaces the tenant's rows, none when nothing changed.
Who is who a reader makes the id of a nameless track from its names, so the names tell it
           again. What only scrobbles know by an id of MusicBrainz is matched to the rest of
           the catalogue, and is catalogue for what has no id at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from analytics.catalogue.matching import MATCHES, match
from analytics.lake import read
from analytics.lake.replace import Written, replace
from analytics.lake.tables import TABLES
from analytics.settings import Settings
from analytics.sources.shape import identified, song_key
from analytics.tenants import get_tenant

LAYER, TABLE = "matches", "tracks"


@dataclass(frozen=True)
class Kinds:
    """A tenant's tracks by what identifies them."""

    named: pl.DataFrame  # their names
    foreign: pl.DataFrame  # an id from elsewhere, under an artist known by name
    own: pl.DataFrame  # an id of the tenant's catalogue


def match_tracks(settings: Settings, tenant_id: str, run_id: str) -> Written:
    """Bring matches/tracks of the tenant up to what silver's tracks say now."""
    get_tenant(settings, tenant_id)
    columns = [c for c in TABLES["tracks"].columns if c != "updated_at"]
    tracks = read.scan(settings, "tracks", tenant_id).select(columns).collect()
    found = matched(kinds(tracks)).with_columns(pl.lit(run_id).alias("run_id"))
    return replace(settings, tenant_id, LAYER, TABLE, found, {}, {"run_id": run_id})


def kinds(tracks: pl.DataFrame) -> Kinds:
    """Tell by its id where each track comes from."""
    artist, title, track_id = pl.col("artist_name"), pl.col("title"), pl.col("track_id")
    nothing = pl.lit(None, pl.Int64)
    told = identified(tracks, "_with_length", song_key(artist, title, pl.col("duration_ms")))
    told = identified(told, "_without", song_key(artist, title, nothing))
    told = identified(told, "_account", song_key(artist, title, nothing)[:2])
    told = identified(told, "_artist", song_key(artist, title, nothing)[:1])
    artist_by_name = pl.col("artist_id").is_null() | (pl.col("artist_id") == pl.col("_artist"))
    is_named = artist_by_name & track_id.is_in(
        pl.concat_list("_with_length", "_without", "_account")
    )
    is_foreign = ~is_named & (pl.col("artist_id") == pl.col("_artist")).fill_null(False)
    return Kinds(
        *(
            told.filter(kind).select(tracks.columns)
            for kind in (is_named, is_foreign, ~is_named & ~is_foreign)
        )
    )


def matched(tracks: Kinds) -> pl.DataFrame:
    """MATCHES of the named and the foreign; a foreign track found leads on to its own match."""
    foreign = match(tracks.foreign, tracks.own)
    named = match(tracks.named, pl.concat([tracks.own, tracks.foreign]))
    onward = foreign.select(
        "tenant_id",
        pl.col("track_id").alias("matched_track_id"),
        pl.col("matched_track_id").alias("_onward"),
    )
    named = named.join(onward, on=["tenant_id", "matched_track_id"], how="left").with_columns(
        pl.coalesce("_onward", "matched_track_id").alias("matched_track_id")
    )
    return pl.concat([named.select(list(MATCHES)), foreign]).sort("tenant_id", "track_id")
