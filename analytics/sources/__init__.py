"""Sources by format name. One module a format, one contract (`base.py`).

A new format is a class with the methods of `base.SourceReader` and a line in `_FORMATS`.
"""

from __future__ import annotations

import importlib
from functools import cache

from analytics.errors import SettingsError
from analytics.sources.base import SourceReader

_FORMATS = {
    "eventsim": "analytics.sources.eventsim:Eventsim",
    "msd_songs": "analytics.sources.msd_songs:MsdSongs",
    "spotify_extended": "analytics.sources.spotify_extended:SpotifyExtended",
    "spotify_account": "analytics.sources.spotify_account:SpotifyAccount",
    "movielens": "analytics.sources.movielens:Movielens",
    "lastfm_scrobbles": "analytics.sources.lastfm_scrobbles:LastfmScrobbles",
    "lastfm_1k": "analytics.sources.lastfm_1k:Lastfm1k",
    "listenbrainz_dump": "analytics.sources.listenbrainz_dump:ListenbrainzDump",
    "hetrec_lastfm": "analytics.sources.hetrec_lastfm:HetrecLastfm",
    "audioscrobbler": "analytics.sources.audioscrobbler:Audioscrobbler",
    "thirty_music": "analytics.sources.thirty_music:ThirtyMusic",
    "recsys_lists": "analytics.sources.recsys_lists:RecsysLists",
    "audio_features": "analytics.sources.audio_features:AudioFeatures",
    "jamendo_tags": "analytics.sources.jamendo_tags:JamendoTags",
    "parquet": "analytics.sources.tabular:Parquet",
    "csv": "analytics.sources.tabular:Csv",
    "jsonl": "analytics.sources.tabular:Jsonl",
    "postgres": "analytics.sources.postgres:PostgresTable",
    "listenbrainz_api": "analytics.sources.listenbrainz_api:ListenBrainzApi",
    "lastfm_api": "analytics.sources.lastfm_api:LastfmApi",
}


def formats() -> tuple[str, ...]:
    return tuple(_FORMATS)


@cache
def reader(name: str) -> SourceReader:
    """The reader of one format. Raises SettingsError with the formats there are."""
    if name not in _FORMATS:
        raise SettingsError(
            f"no source format {name!r}; known: {', '.join(_FORMATS)} (see `analytics sources`)"
        )
    module, attribute = _FORMATS[name].split(":")
    made: SourceReader = getattr(importlib.import_module(module), attribute)()
    return made
